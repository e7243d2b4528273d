package edge

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bespoke/modules/abi"
	"bespoke/modules/registry"
)

// saying is a policy that puts a word into the greeting, and logs it.
func saying(word string) []byte {
	code := join(
		i32(int(abi.OpText)), i32(0), i32(9), i32(9), i32(len(word)), i32(0), i32(0), []byte{0x10, callEmit, 0x1a},
		i32(int(abi.Info)), i32(9), i32(len(word)), []byte{0x10, callLog})
	return module(code, []byte("#greeting"+word), &abi.Manifest{Name: "say", Version: "1.0.0"})
}

const sayRoutes = `[{path: /pinned, policies: [{use: say@1}]}, {path: /**, policies: [{use: say@active}]}]`

func said(body string) string {
	_, rest, _ := strings.Cut(body, `<p id="greeting">`)
	word, _, _ := strings.Cut(rest, "</p>")
	return word
}

func (r *rig) upload(word string) registry.Version {
	r.t.Helper()
	v, err := r.store.Registry().Upload("shop", "say", saying(word), "")
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// What is uploaded runs when it is activated, from the next exchange on, and no
// more when it is rolled back.
func TestUploadedPolicies(t *testing.T) {
	r := newRig(t, html(page), routes(sayRoutes))
	v := r.visitor(berlin)
	reg := r.store.Registry()
	expect := func(path, want string) {
		t.Helper()
		resp, body := v.get(path)
		if resp.StatusCode != 200 || said(body) != want {
			t.Errorf("%s: %s %q, want %q", path, resp.Status, said(body), want)
		}
	}
	must := func(_ registry.Version, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	expect("/", "") // nothing is uploaded yet
	r.upload("one")
	expect("/", "")          // uploaded is not active
	expect("/pinned", "one") // but can be named
	must(reg.Activate("shop", "say", 1))
	expect("/", "one")
	r.upload("two")
	expect("/", "one")
	must(reg.Activate("shop", "say", 2))
	expect("/", "two")
	expect("/pinned", "one")
	must(reg.Rollback("shop", "say"))
	expect("/", "one")

	// A canary takes its share, the same version through the whole exchange.
	must(reg.Stage("shop", "say", 2, registry.Canary, 300))
	two := 0
	for range 200 {
		_, body := v.get("/")
		switch said(body) {
		case "two":
			two++
		case "one":
		default:
			t.Fatalf("neither version: %q", said(body))
		}
	}
	if two < 30 || two > 90 {
		t.Errorf("the canary of 30 %% took %d of 200 exchanges", two)
	}

	// A shadow changes nothing, and is compared.
	must(reg.Stage("shop", "say", 2, registry.Shadow, 1000))
	for range 10 {
		expect("/", "one")
	}
	staged, _, _ := reg.Staged("shop", "say")
	e := r.store.stored("shop", "say", staged)
	if e.shadowed.Load() != 10 || e.different.Load() != 10 {
		t.Errorf("%d shadow runs, %d different; want 10 and 10", e.shadowed.Load(), e.different.Load())
	}
	must(reg.Unstage("shop", "say"))

	must(reg.Retire("shop", "say", 1))
	expect("/", "")

	lines := r.store.Logs("shop", "say", 0)
	if len(lines) < 200 || lines[0].Text != "one" || lines[0].Version != 1 {
		t.Errorf("%d lines of log, the first %+v", len(lines), lines[0])
	}
	if more := r.store.Logs("shop", "say", lines[len(lines)-1].Seq); len(more) != 0 {
		t.Errorf("%d lines after the last", len(more))
	}
	if len(r.store.Logs("other", "say", 0)) != 0 {
		t.Error("another tenant sees them")
	}
}

// Two hundred switches while requests run: every answer is whole and of one
// version or the other.
func TestSwitchesUnderLoad(t *testing.T) {
	r := newRig(t, html(page), routes(sayRoutes))
	reg := r.store.Registry()
	r.upload("one")
	r.upload("two")
	if _, err := reg.Activate("shop", "say", 1); err != nil {
		t.Fatal(err)
	}
	whole := func(word string) string {
		return strings.Replace(page, `<p id="greeting"></p>`, `<p id="greeting">`+word+`</p>`, 1) + privacyLink
	}
	one, two := whole("one"), whole("two")
	var wg sync.WaitGroup
	var bad atomic.Value
	var ones, twos atomic.Int64
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			v := r.visitor(berlin)
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, body := v.get("/")
				switch {
				case resp.StatusCode == 200 && body == one:
					ones.Add(1)
				case resp.StatusCode == 200 && body == two:
					twos.Add(1)
				default:
					bad.Store(fmt.Sprint(resp.Status, body))
					return
				}
			}
		})
	}
	v := r.visitor(berlin)
	for i := range 200 {
		if _, err := reg.Activate("shop", "say", 1+(i+1)%2); err != nil {
			t.Fatal(err)
		}
		// The next exchange after the switch sees it.
		want := []string{"two", "one"}[i%2]
		if _, body := v.get("/"); said(body) != want {
			t.Fatalf("after switch %d: %q, want %q", i, said(body), want)
		}
	}
	close(stop)
	wg.Wait()
	if b := bad.Load(); b != nil {
		t.Errorf("an answer is neither: %v", b)
	}
	if ones.Load() == 0 || twos.Load() == 0 {
		t.Errorf("%d of one, %d of the other: the test shows little", ones.Load(), twos.Load())
	}
	t.Logf("%d answers of one version, %d of the other", ones.Load(), twos.Load())
}

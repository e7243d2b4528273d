package edge

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bespoke/host/audit/exhibit"
	"bespoke/host/ledger"
)

// kept is a rig with a ledger, that makes an exhibit of every exchange that may be one.
type kept struct {
	*rig
	t     *testing.T
	state string
	dir   string
	store *exhibit.Store
	book  *ledger.Ledger
}

func keeping(t *testing.T, origin http.Handler, opts ...rigOption) *kept {
	t.Helper()
	k := &kept{t: t, state: t.TempDir()}
	k.dir = filepath.Join(k.state, exhibit.Folder)
	k.store = exhibit.Open(exhibit.Config{Dir: k.dir, Every: 1})
	var err error
	if k.book, err = ledger.Open(ledger.Config{Dir: filepath.Join(k.state, LedgerFolder), Keys: filepath.Join(k.state, "keys"), Window: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	k.rig = newRig(t, origin, append(opts, exhibiting(k.store), recordedBy(k.book))...)
	t.Cleanup(k.stop)
	return k
}

// stop ends the edge, then what it stands on.
func (k *kept) stop() {
	if k.store == nil {
		return
	}
	k.rig.stop()
	k.store.Close()
	if err := k.book.Close(); err != nil {
		k.t.Error(err)
	}
	k.store = nil
}

// all stops the edge and returns its exhibits by name.
func (k *kept) all() map[string]*exhibit.Exhibit {
	k.t.Helper()
	k.stop()
	names, err := exhibit.List(k.dir)
	if err != nil {
		k.t.Fatal(err)
	}
	all := map[string]*exhibit.Exhibit{}
	for _, name := range names {
		if all[name], err = exhibit.Load(k.dir, name); err != nil {
			k.t.Fatal(err)
		}
	}
	return all
}

// replay replays the ledger.
func (k *kept) replay() *ReplayReport {
	k.t.Helper()
	r, err := ReplayLedger(context.Background(), ReplayConfig{State: k.state, cache: compiled()})
	if err != nil {
		k.t.Fatal(err)
	}
	return r
}

// settle waits until what was sent is written.
func (k *kept) settle() {
	k.t.Helper()
	for range 2000 {
		if k.store.Waiting() == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	k.t.Fatal("exhibits still wait")
}

func TestExhibitsReplay(t *testing.T) {
	k := keeping(t, html(page), routes(`
      - {path: /said, policies: [{use: say@active}]}
      - path: /**
        policies:
          - use: nearby
            with: {list: "#results", show: ".distance"}
          - use: greet
            with: {slot: "#greeting", text: "Welcome back, {name}"}
          - use: say@active
`))
	k.upload("one")
	if _, err := k.rig.store.Registry().Activate("shop", "say", 1); err != nil {
		t.Fatal(err)
	}
	refusing := k.visitor(berlin, "Accept-Encoding", "gzip")
	refusing.choose("action=refuse-all")
	for _, v := range []*visitor{refusing, k.visitor(berlin), k.visitor(sanFrancisco, "Sec-GPC", "1")} {
		v.get("/said")
		v.get("/a%20b")
		v.get("/", "Accept-Language", "de-CH, fr;q=0.5", "Sec-Fetch-Dest", "document")
		k.settle()
	}
	k.upload("two")
	if _, err := k.rig.store.Registry().Activate("shop", "say", 2); err != nil {
		t.Fatal(err)
	}
	refusing.get("/said")
	all := k.all()
	if len(all) != 10 {
		t.Errorf("%d exhibits, want 10", len(all))
	}
	two := false
	for _, e := range all {
		two = two || strings.Contains(string(e.Sent.Body), ">two</p>")
	}
	if !two {
		t.Error("no exhibit of the second version")
	}
	if got := k.replay(); !got.OK() || got.Exhibits != 10 || got.Decisions < 11 || got.Gone+got.Unnamed != 0 {
		t.Errorf("%+v", got)
	}
}

// What cannot be kept is not, and nobody who asks for a page notices.
func TestExhibitsWithoutFolder(t *testing.T) {
	k := keeping(t, html(page))
	v := k.visitor(berlin)
	want := ""
	for i, harm := range []func() error{
		func() error { return nil },
		func() error { return os.RemoveAll(k.dir) },
		func() error { return errors.Join(os.RemoveAll(k.dir), os.WriteFile(k.dir, nil, 0o600)) },
		func() error { return errors.Join(os.Remove(k.dir), os.Mkdir(k.dir, 0o700)) },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			resp, body := v.get("/")
			if want = cmp.Or(want, body); resp.StatusCode != 200 || body != want {
				t.Errorf("harm %d: %s", i, resp.Status)
			}
			k.settle()
		}
		if names, _ := exhibit.List(k.dir); (len(names) == 5) != (i != 2) {
			t.Errorf("harm %d: %d exhibits", i, len(names))
		}
	}
	if n := len(k.all()); n != 5 {
		t.Errorf("%d exhibits are there in the end", n)
	}
	if got := k.replay(); !got.OK() || got.Exhibits != 5 || got.Gone != 15 {
		t.Errorf("%+v", got)
	}
}

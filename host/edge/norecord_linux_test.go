package edge

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bespoke/host/ledger"
)

// fullDisk makes dir a disk of its own, of little room. fill leaves no byte of it,
// free gives back what fill took.
func fullDisk(t *testing.T, dir string) (fill, free func()) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("fills a small disk, which only root may mount (sudo, or a container with CAP_SYS_ADMIN, has it run): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	fill = func() {
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 1024))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return fill, func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
}

// With a ledger whose disk is full, pages go out as for those who refused, what
// visitors set themselves is honoured, and nothing is learned; then all comes back.
func TestFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	fill, free := fullDisk(t, dir)
	l, err := ledger.Open(ledger.Config{Dir: dir, Keys: t.TempDir(), Window: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	r := newRig(t, html(page), recordedBy(l))
	defer r.stop()
	v := r.visitor(berlin)
	v.choose("action=allow-all")
	v.choose("action=prefer&name=Jane")
	look := func() (order string, named bool) {
		resp, body := v.get("/")
		if resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		return cities(body), strings.Contains(body, "Welcome back, Jane")
	}
	until := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			order, named := look()
			if !named {
				t.Fatal("what the visitor set is not honoured")
			}
			if order == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the order is %s, want %s", order, want)
			}
		}
	}
	until(fromBerlin)
	fill()
	until(originOrder)
	for range 50 {
		if order, named := look(); order != originOrder || !named {
			t.Fatalf("with a full disk: %s, %v", order, named)
		}
	}
	if s := l.Status(); s.Blocked == "" || s.Failures == 0 {
		t.Errorf("%+v", s)
	}
	_, body := v.get("/_bespoke/privacy", "Accept-Language", "en")
	if !strings.Contains(body, "cannot keep its record") {
		t.Error("the privacy centre does not say why nothing is used")
	}
	// A choice of one purpose leaves the others as they are.
	resp, body := v.do("PATCH", "/_bespoke/api/choice", strings.NewReader(`{"measure":false}`), "Content-Type", "application/json")
	if resp.StatusCode != 200 || !strings.Contains(body, `"localize": true`) {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	free()
	until(fromBerlin)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if s := l.Status(); s.Blocked != "" {
		t.Errorf("%+v", s)
	}
}

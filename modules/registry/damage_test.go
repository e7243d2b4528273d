package registry

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// twoTenants fills a state folder and closes it.
func twoTenants(t *testing.T) (dir string, blob Version) {
	t.Helper()
	dir = t.TempDir()
	r := mustOpen(t, dir, config())
	up := must[Version](t)
	v := up(r.Upload("stores", "welcome", binary("1"), ""))
	up(r.Upload("stores", "welcome", binary("2"), ""))
	up(r.Activate("stores", "welcome", 1))
	up(r.Upload("other", "greet", binary("3"), ""))
	up(r.Activate("other", "greet", 1))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, v
}

func TestDamagedIndex(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":         func(b []byte) []byte { return nil },
		"cut":           func(b []byte) []byte { return b[:len(b)/2] },
		"a bit":         func(b []byte) []byte { b[len(b)*2/3] ^= 1; return b },
		"another state": func(b []byte) []byte { return bytes.Replace(b, []byte("checked"), []byte("retired"), 1) },
		"newer":         func(b []byte) []byte { return bytes.Replace(b, []byte(`"format":1`), []byte(`"format":2`), 1) },
		"another's":     func(b []byte) []byte { return []byte(string(must[[]byte](t)(newIndex("other", nil).encode()))) },
		"more":          func(b []byte) []byte { return append(b, '{') },
		"huge":          func(b []byte) []byte { return append(b, make([]byte, maxIndex)...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, v := twoTenants(t)
			path := filepath.Join(dir, "policies", "tenants", "stores.json")
			sound, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(bytes.Clone(sound)), 0o600); err != nil {
				t.Fatal(err)
			}
			r := mustOpen(t, dir, config())
			f := r.Faults()
			if len(f) != 1 || !errors.Is(f[0], ErrDamaged) || !strings.Contains(f[0].Error(), path) {
				t.Fatalf("faults: %v, want one that names %s", f, path)
			}
			if _, ok := r.Active("stores", "welcome"); ok {
				t.Error("something is active")
			}
			_, _, listed := r.List("stores")
			_, uploaded := r.Upload("stores", "welcome", binary("9"), "")
			_, activated := r.Activate("stores", "welcome", 1)
			for _, err := range []error{listed, uploaded, activated, r.Delete("stores", "welcome", 1)} {
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
					t.Errorf("%v: want one that names %s", err, path)
				}
			}
			// The other tenant is whole.
			if v, ok := r.Active("other", "greet"); !ok || v.Number != 1 {
				t.Errorf("another tenant: %+v, %v", v, ok)
			}
			if _, err := r.Upload("other", "greet", binary("4"), ""); err != nil {
				t.Errorf("another tenant: %v", err)
			}
			// No binary went meanwhile: with the file restored all is back.
			r.Close()
			if err := os.WriteFile(path, sound, 0o600); err != nil {
				t.Fatal(err)
			}
			r = mustOpen(t, dir, config())
			if f := r.Faults(); len(f) > 0 {
				t.Fatal(f)
			}
			if _, err := r.Binary(v.Digest); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUnsoundIndex changes one thing in an index that says all there is to say.
func TestUnsoundIndex(t *testing.T) {
	d := func(c string) string { return strings.Repeat(c, 64) }
	sound := `{"tenant":"stores","epoch":9,"policies":[{"name":"a","next":2,"versions":[` +
		`{"number":1,"digest":"` + d("a") + `","size":5,"uploaded":"2025-06-01T12:00:00Z","state":"uploaded"}]},` +
		`{"name":"b","next":5,"active":2,"previous":1,"staging":{"version":4,"mode":"canary","permille":10},"versions":[` +
		`{"number":1,"digest":"` + d("1") + `","size":5,"uploaded":"2025-06-01T12:00:00Z","state":"retired"},` +
		`{"number":2,"digest":"` + d("2") + `","size":5,"uploaded":"2025-06-01T12:00:00Z","state":"active","note":"n"},` +
		`{"number":4,"digest":"` + d("4") + `","size":5,"uploaded":"2025-06-01T12:00:00Z","state":"staged"}]}]}`
	if _, err := decodeBody([]byte(sound), "stores"); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`"tenant":"stores"`, `"tenant":"other"`},
		{`"tenant":"stores"`, `"tenant":"Stores"`},
		{`"epoch":9`, `"epoch":4611686018427387905`},
		{`"epoch":9`, `"epoch":-1`},
		{`"epoch":9`, `"epoch":9,"more":1`},
		{`"name":"a"`, `"name":"b"`},
		{`"name":"a"`, `"name":"c"`},
		{`"name":"a"`, `"name":"A"`},
		{`"next":2`, `"next":1`},
		{`"next":5`, `"next":4`},
		{`"next":5`, `"next":1073741825`},
		{`"active":2,`, ``},
		{`"active":2`, `"active":1`},
		{`"active":2`, `"active":3`},
		{`"previous":1`, `"previous":2`},
		{`"previous":1`, `"previous":3`},
		{`"staging":{"version":4,"mode":"canary","permille":10},`, ``},
		{`"version":4`, `"version":3`},
		{`"version":4`, `"version":1`},
		{`"mode":"canary"`, `"mode":"other"`},
		{`"permille":10`, `"permille":0`},
		{`"permille":10`, `"permille":1001`},
		{`"number":1`, `"number":0`},
		{`"number":4`, `"number":2`},
		{`"number":4`, `"number":5`},
		{d("4"), d("2")},
		{d("4"), d("F")},
		{d("4"), d("f")[1:]},
		{`"size":5`, `"size":0`},
		{`"size":5`, `"size":-5`},
		{`"state":"retired"`, `"state":"uploaded"`},
		{`"state":"retired"`, `"state":"gone"`},
		{`"state":"retired"`, `"state":"active"`},
		{`"state":"active"`, `"state":"checked"`},
		{`"state":"staged"`, `"state":"checked"`},
		{`"note":"n"`, `"note":"\u001b"`},
		{`"note":"n"`, `"note":"` + strings.Repeat("n", 257) + `"`},
		{`2025-06-01`, `2025-06-41`},
		{`}]}]}`, `}]}]}{}`},
	} {
		text := strings.Replace(sound, c[0], c[1], 1)
		if text == sound {
			t.Fatalf("%s is not in the index", c[0])
		}
		if _, err := decodeBody([]byte(text), "stores"); err == nil {
			t.Errorf("%s in place of %s is accepted", c[1], c[0])
		}
	}
}

func TestIndexOfNobody(t *testing.T) {
	dir, v := twoTenants(t)
	tenants := filepath.Join(dir, "policies", "tenants")
	if err := os.Rename(filepath.Join(tenants, "stores.json"), filepath.Join(tenants, "Stores.json")); err != nil {
		t.Fatal(err)
	}
	r := mustOpen(t, dir, config())
	if f := r.Faults(); len(f) != 1 || !strings.Contains(f[0].Error(), "Stores.json") {
		t.Fatalf("faults: %v", f)
	}
	if _, err := os.Stat(filepath.Join(dir, "policies", "sha256", v.Digest.String())); err != nil {
		t.Errorf("its binary went: %v", err)
	}
}

func TestDamagedBinary(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(path string) error
		atOpen bool // else it is found when it is read
	}{
		"missing": {os.Remove, true},
		"cut":     {func(p string) error { return os.Truncate(p, 3) }, true},
		"longer":  {func(p string) error { return os.WriteFile(p, binary("1 and more"), 0o600) }, true},
		"a bit":   {func(p string) error { return os.WriteFile(p, binary("0"), 0o600) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, v := twoTenants(t)
			path := filepath.Join(dir, "policies", "sha256", v.Digest.String())
			if err := c.damage(path); err != nil {
				t.Fatal(err)
			}
			r := mustOpen(t, dir, config())
			if f := r.Faults(); c.atOpen != (len(f) == 1 && errors.Is(f[0], ErrDamaged) && strings.Contains(f[0].Error(), path)) || len(f) > 1 {
				t.Errorf("faults: %v", f)
			}
			if _, err := r.Binary(v.Digest); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("binary: %v, want an error that names %s", err, path)
			}
			// The tenant's other version can take over; there is no way back.
			if _, err := r.Activate("stores", "welcome", 2); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Rollback("stores", "welcome"); !errors.Is(err, ErrDamaged) {
				t.Errorf("rollback: %v", err)
			}
			if _, err := r.Stage("stores", "welcome", 1, Canary, 5); !errors.Is(err, ErrDamaged) {
				t.Errorf("stage: %v", err)
			}
			if got := states(r, "stores", "welcome"); got != "1 retired, 2 active; previous 1" {
				t.Errorf("after refused changes: %s", got)
			}
			// Uploading it again repairs the file.
			if again, err := r.Upload("stores", "welcome", binary("1"), ""); err != nil || again.Number != 1 {
				t.Errorf("upload: %+v, %v", again, err)
			}
			if _, err := r.Rollback("stores", "welcome"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestInterruptedCheck has the process end while a binary is checked.
func TestInterruptedCheck(t *testing.T) {
	dir := t.TempDir()
	checking, end := make(chan bool), make(chan bool)
	c := config()
	c.Check = func(b []byte) (*Info, error) {
		checking <- true
		<-end
		return check(b)
	}
	r := mustOpen(t, dir, c)
	failed := make(chan error)
	go func() { failed <- only(r.Upload("stores", "welcome", binary("1"), "")) }()
	<-checking
	if got := states(r, "stores", "welcome"); got != "1 uploaded" {
		t.Fatalf("during the check: %s", got)
	}
	// A check keeps nobody waiting.
	for name, err := range map[string]error{
		"activate": only(r.Activate("stores", "welcome", 1)),
		"stage":    only(r.Stage("stores", "welcome", 1, Shadow, 5)),
		"retire":   only(r.Retire("stores", "welcome", 1)),
	} {
		if !errors.Is(err, ErrState) {
			t.Errorf("%s what is not checked: %v", name, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	close(end)
	if err := <-failed; !errors.Is(err, ErrClosed) {
		t.Errorf("upload: %v", err)
	}
	r = mustOpen(t, dir, config())
	if got := states(r, "stores", "welcome"); got != "1 uploaded" {
		t.Fatalf("opened again: %s", got)
	}
	if v, err := r.Upload("stores", "welcome", binary("1"), ""); err != nil || v.Number != 1 || v.State != Checked {
		t.Errorf("uploaded again: %+v, %v", v, err)
	}
}

// TestDeletedDuringCheck and uploaded anew under the same number.
func TestDeletedDuringCheck(t *testing.T) {
	for _, refused := range []bool{false, true} {
		content := []byte("bad")
		if !refused {
			content = binary("1")
		}
		checking, end := make(chan bool), make(chan bool)
		c := config()
		c.Check = func(b []byte) (*Info, error) {
			if bytes.Equal(b, content) {
				checking <- true
				<-end
			}
			return check(b)
		}
		r := mustOpen(t, t.TempDir(), c)
		failed := make(chan error)
		go func() { failed <- only(r.Upload("stores", "welcome", content, "")) }()
		<-checking
		if err := r.Delete("stores", "welcome", 1); err != nil {
			t.Fatal(err)
		}
		if v, err := r.Upload("stores", "welcome", binary("2"), ""); err != nil || v.Number != 1 {
			t.Fatalf("uploaded anew: %+v, %v", v, err)
		}
		close(end)
		want := ErrNotFound
		if refused {
			want = ErrRefused
		}
		if err := <-failed; !errors.Is(err, want) {
			t.Errorf("the deleted upload: %v, want %v", err, want)
		}
		if v, _ := r.Version("stores", "welcome", 1); v.ManifestVersion != "2" || v.State != Checked {
			t.Errorf("the new version 1: %+v", v)
		}
	}
}

func TestClosed(t *testing.T) {
	r := mustOpen(t, t.TempDir(), config())
	up := must[Version](t)
	up(r.Upload("stores", "welcome", binary("1"), ""))
	up(r.Activate("stores", "welcome", 1))
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Upload("new", "welcome", binary("1"), ""); !errors.Is(err, ErrClosed) {
		t.Errorf("upload: %v", err)
	}
	if _, err := r.Retire("stores", "welcome", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("retire: %v", err)
	}
	if v, ok := r.Active("stores", "welcome"); !ok || v.Number != 1 {
		t.Errorf("active: %+v, %v", v, ok)
	}
}

package registry

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSwitchesUnderLoad switches 200 times while others ask what is active.
func TestSwitchesUnderLoad(t *testing.T) {
	r := mustOpen(t, t.TempDir(), config())
	up := must[Version](t)
	digest := map[int]Digest{}
	for i := 1; i <= 2; i++ {
		digest[i] = up(r.Upload("stores", "welcome", binary(fmt.Sprint(i)), "")).Digest
	}
	up(r.Activate("stores", "welcome", 1))
	var latest atomic.Int64 // switches that are done
	var asked atomic.Int64
	stop := make(chan bool)
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := latest.Load()
				v, ok := r.Active("stores", "welcome")
				after := latest.Load()
				if !ok || v.State != Active || v.Digest != digest[v.Number] {
					t.Errorf("active: %+v, %v", v, ok)
					return
				}
				// With no switch under way, it is the one that was acknowledged.
				// An odd count says that one is.
				if before == after && before%2 == 0 && v.Number != 1+int(before/2)%2 {
					t.Errorf("after %d switches version %d is active", before/2, v.Number)
					return
				}
				asked.Add(1)
			}
		})
	}
	for i := 1; i <= 200; i++ {
		latest.Add(1)
		var err error
		if i%5 == 0 { // every fifth by going back
			_, err = r.Rollback("stores", "welcome")
			if errors.Is(err, ErrState) {
				t.Fatal(err)
			}
		} else {
			_, err = r.Activate("stores", "welcome", 1+i%2)
		}
		if err != nil {
			t.Fatal(err)
		}
		latest.Add(1)
	}
	close(stop)
	readers.Wait()
	if asked.Load() < 200 {
		t.Errorf("it was asked only %d times", asked.Load())
	}
}

// TestManyAtOnce has tenants that share binaries upload, switch and delete at
// the same time: no shared binary goes missing, every count adds up.
func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	r := mustOpen(t, dir, config())
	var events atomic.Int64
	defer r.Subscribe(func(Change) { events.Add(1) })()
	var all sync.WaitGroup
	for n := range 6 {
		tenant := fmt.Sprintf("t%d", n%3) // two at a time for one tenant
		policy := fmt.Sprintf("p%d", n)
		all.Go(func() {
			cancel := r.Subscribe(func(Change) {})
			defer cancel()
			for i := range 15 {
				content := binary(fmt.Sprint(i % 4)) // the same for all
				v, err := r.Upload(tenant, policy, content, "")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := r.Activate(tenant, policy, v.Number); err != nil {
					t.Error(err)
					return
				}
				if _, err := r.Binary(v.Digest); err != nil {
					t.Error(err)
				}
				if _, err := r.Retire(tenant, policy, v.Number); err != nil {
					t.Error(err)
				}
				if err := r.Delete(tenant, policy, v.Number); err != nil {
					t.Error(err)
				}
			}
			if _, err := r.Upload(tenant, policy, binary("last"), ""); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if want := int64(6 * (15*5 + 2)); events.Load() != want {
		t.Errorf("%d changes were told, want %d", events.Load(), want)
	}
	files, err := disk{}.List(r.blobs.dir)
	if err != nil || len(files) != 1 {
		t.Errorf("files left: %v, %v, want one", files, err)
	}
	for n := range 3 {
		// 77 changes each of two policies: an epoch for every one.
		if _, epoch, err := r.List(fmt.Sprintf("t%d", n)); err != nil || epoch != 2*77 {
			t.Errorf("tenant %d: epoch %d, %v", n, epoch, err)
		}
	}
	r.Close()
	again := mustOpen(t, dir, config())
	if f := again.Faults(); len(f) > 0 || summary(again) != summary(r) {
		t.Errorf("opened again: %v\n%s\nwant\n%s", f, summary(again), summary(r))
	}
}

// TestSameUploadAtOnce gives one version however many upload it.
func TestSameUploadAtOnce(t *testing.T) {
	for _, content := range [][]byte{binary("1"), []byte("bad")} {
		r := mustOpen(t, t.TempDir(), config())
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				v, err := r.Upload("stores", "welcome", content, "")
				if string(content) == "bad" {
					if !errors.Is(err, ErrRefused) {
						t.Errorf("refused: %+v, %v", v, err)
					}
				} else if err != nil || v.Number != 1 || v.State != Checked {
					t.Errorf("%+v, %v", v, err)
				}
			})
		}
		all.Wait()
		files, err := disk{}.List(r.blobs.dir)
		if want := len(r.tenant("stores").now.Load().Policies); err != nil || len(files) != want {
			t.Errorf("%d files, %v, want %d", len(files), err, want)
		}
	}
}

// TestTenantsDoNotWait has one tenant's change hang while another makes some.
func TestTenantsDoNotWait(t *testing.T) {
	r := mustOpen(t, t.TempDir(), config())
	hangs, end := make(chan bool), make(chan bool)
	cancel := r.Subscribe(func(c Change) {
		if c.Tenant == "slow" && c.Kind == Upload {
			hangs <- true
			<-end
		}
	})
	defer cancel()
	done := make(chan error)
	go func() { done <- only(r.Upload("slow", "welcome", binary("1"), "")) }()
	<-hangs
	up := must[Version](t)
	up(r.Upload("stores", "welcome", binary("1"), ""))
	up(r.Activate("stores", "welcome", 1))
	close(end)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

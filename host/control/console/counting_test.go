package console

import (
	"fmt"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"bespoke/host/control"
	"bespoke/host/ledger"
)

// What is kept of counts has a bound, and so has what one may have of it.
func TestCountingBounded(t *testing.T) {
	d := newDiary(t, noon)
	d.sealed()
	var c counting
	ask := func(who string, i int) {
		now := noon.Add(time.Duration(i) * time.Minute)
		if _, _, err := c.of(who, d.dir, ledger.Period{From: noon.Add(-time.Duration(i+1) * time.Hour), To: noon.Add(time.Hour)}, func() time.Time { return now }); err != nil {
			t.Fatal(err)
		}
	}
	kept := func(who string) (n int) {
		for _, e := range c.by {
			if e.who == who {
				n++
			}
		}
		return n
	}
	ask("books", 0)
	for i := range 3 * maxCounted {
		ask("stores", 1+i)
	}
	if n := kept("stores"); n != maxCountedOf {
		t.Errorf("%d are kept for one, want %d", n, maxCountedOf)
	}
	if kept("books") != 1 {
		t.Error("what one asks for makes another's be forgotten")
	}
	for i := range 3 * maxCounted {
		ask(fmt.Sprint("tenant ", i), 1000+i)
	}
	if len(c.by) != maxCounted {
		t.Errorf("%d are kept, want %d", len(c.by), maxCounted)
	}
}

// Whoever asks for many periods at the same time has a few counted, is refused the
// others in words, and keeps nobody else from theirs.
func TestCountingStarvesNobody(t *testing.T) {
	d := newDiary(t, noon.Add(-40*24*time.Hour))
	d.exchange("stores", 3)
	d.exchange("books", 3)
	d.sealed()
	h := recorded(t, d, nil)
	get := func(secret, query string) *httptest.ResponseRecorder {
		return h.asks(secret, "/console/privacy?"+query)
	}
	another := h.token(control.Token{Role: control.RoleTenant, Tenant: "stores"})
	c := &h.console.counting
	before := runtime.NumGoroutine()
	c.turn.Lock() // a count that takes long
	counted, refused := 0, 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 3 * maxCounted {
		wg.Go(func() {
			first := noon.Add(-time.Duration(i) * 24 * time.Hour).Format(time.DateOnly)
			w := get([]string{h.stores, another}[i%2], "from="+first+"&to=2026-05-04")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case w.Code == 200 && strings.Contains(w.Body.String(), "It is being counted"):
				counted++
			case w.Code == 503 && w.Header().Get("Retry-After") != "" && strings.Contains(w.Body.String(), "Look again in a moment"):
				refused++
			default:
				t.Errorf("%d: %.500s", w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	if counted != maxBusyOf || refused != 3*maxCounted-maxBusyOf {
		t.Errorf("%d are counted, %d refused", counted, refused)
	}
	if more := runtime.NumGoroutine() - before; more > maxBusyOf+5 { // some are of the test's own
		t.Errorf("%d goroutines wait", more)
	}
	// Others get their turn, until too much waits in all.
	if w := get(h.books, "period=7d"); w.Code != 200 {
		t.Errorf("books: %d: %.300s", w.Code, w.Body)
	}
	counted, refused = 0, 0
	for i := range 2 * maxBusy {
		secret := h.token(control.Token{Role: control.RoleAuditor})
		wg.Go(func() {
			w := get(secret, "from=2026-05-04&to="+noon.Add(time.Duration(i)*24*time.Hour).Format(time.DateOnly))
			mu.Lock()
			defer mu.Unlock()
			if w.Code == 200 {
				counted++
			} else if w.Code == 503 {
				refused++
			}
		})
	}
	wg.Wait()
	if want := maxBusy - maxBusyOf - 1; counted != want || refused != 2*maxBusy-want {
		t.Errorf("of many, %d are counted, and %d refused", counted, refused)
	}
	c.turn.Unlock()
	c.await(t)
	// When it is done, there is room again, also for who was refused.
	if w := get(h.stores, "from=2026-04-01&to=2026-05-04"); w.Code != 200 {
		t.Errorf("%d: %.300s", w.Code, w.Body)
	}
}

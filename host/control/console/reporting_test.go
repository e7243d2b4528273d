package console

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bespoke/host/control"
	"bespoke/host/ledger"
)

// asks is one request, with a token in its header.
func (h *house) asks(secret, path string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
	r.Header.Set("Authorization", "Bearer "+secret)
	h.console.ServeHTTP(w, r)
	return w
}

// Reports wait for each other, one of each asker, few of tenants, in order; who has no
// place is told so at once.
func TestReportsWait(t *testing.T) {
	d := newDiary(t, noon.Add(-time.Hour))
	for range 20 {
		d.exchange("stores", 3)
		d.exchange("books", 3)
	}
	d.sealed()
	h := recorded(t, d, nil)
	y := &h.console.reporting
	y.turn <- struct{}{} // one that takes long
	waiting := 0
	answers := make(chan *httptest.ResponseRecorder, maxReports)
	wait := func(secret string) {
		t.Helper()
		waiting++
		go func() { answers <- h.asks(secret, "/console/privacy/report?format=json") }()
		for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
			y.mu.Lock()
			n := len(y.busy)
			y.mu.Unlock()
			if n == waiting {
				return
			}
			if len(answers) > 0 {
				t.Fatalf("%d, at once", (<-answers).Code)
			}
		}
		t.Fatal("it does not wait")
	}
	refused := func(secret string, status int, words string) {
		t.Helper()
		w := h.asks(secret, "/console/privacy/report?format=html&period=30d")
		if w.Code != status || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), words) {
			t.Errorf("%d, want %d: %.600s", w.Code, status, w.Body)
		}
	}
	wait(h.stores)
	refused(h.stores, 429, "for you")
	refused(h.token(control.Token{Role: control.RoleTenant, Tenant: "stores"}), 429, "for you") // another token of the tenant
	wait(h.books)                                                                               // one tenant does not keep another from theirs
	refused(h.token(control.Token{Role: control.RoleTenant, Tenant: "toys"}), 503, "for others")
	wait(h.auditor)
	refused(h.auditor, 429, "for you")
	wait(h.operator)
	refused(h.token(control.Token{Role: control.RoleAuditor}), 503, "for others")
	<-y.turn
	for range waiting {
		if w := <-answers; w.Code != 200 {
			t.Errorf("%d: %.300s", w.Code, w.Body)
		}
	}
	if len(y.busy) != 0 || len(y.turn) != 0 {
		t.Errorf("%v is left", y.busy)
	}
	h.in(h.stores).get("/console/privacy/report?format=json").want(t, 200)
}

// A tenant's report of the same state of the ledger is made once in minutes; of another
// period or state, and for others, anew.
func TestReportAgain(t *testing.T) {
	d := newDiary(t, noon.Add(-time.Hour))
	d.exchange("stores", 3)
	d.exchange("books", 3)
	d.sealed()
	h := recorded(t, d, nil)
	made := func(secret, query string) time.Time {
		t.Helper()
		w := h.asks(secret, "/console/privacy/report?format=json&"+query)
		var r ledger.Report
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || w.Code != 200 {
			t.Fatalf("%d: %v", w.Code, err)
		}
		if r.Summary.Tenant != strings.TrimPrefix(query, "tenant=") && strings.HasPrefix(query, "tenant=") {
			t.Errorf("%s: a report of %q", query, r.Summary.Tenant)
		}
		return r.Made
	}
	first := made(h.stores, "")
	h.later(time.Minute)
	if got := made(h.stores, ""); !got.Equal(first) {
		t.Errorf("made again at %v", got)
	}
	second := first.Add(time.Minute)
	for _, one := range []struct{ secret, query string }{{h.stores, "period=7d"}, {h.books, ""}, {h.auditor, "tenant=stores"}, {h.operator, ""}} {
		if got := made(one.secret, one.query); !got.Equal(second) {
			t.Errorf("%q: made at %v, want %v", one.query, got, second)
		}
	}
	d.exchange("stores", 3)
	d.sealed()
	if got := made(h.stores, ""); !got.Equal(second) {
		t.Errorf("of another state, made at %v", got)
	}
	h.later(reportFresh)
	third := second.Add(reportFresh)
	if got := made(h.stores, ""); !got.Equal(third) {
		t.Errorf("of long ago: %v", got)
	}
	// Damage that was found in the meantime is in the report.
	files, err := filepath.Glob(filepath.Join(d.dir, "segments", "*"))
	h.must(err)
	h.must(os.WriteFile(files[0], []byte("x"), 0o600))
	h.in(h.auditor).do("POST", "/console/privacy/verify", "x=y").want(t, 303)
	if w := h.asks(h.stores, "/console/privacy/report?format=json"); !strings.Contains(w.Body.String(), "No answer: the ledger is not what was sealed") {
		t.Errorf("%.600s", w.Body)
	}
	for i := range 3 * maxKept {
		made(h.books, "from="+noon.Add(-time.Duration(i)*24*time.Hour).Format(time.DateOnly)+"&to=2026-05-04")
	}
	if n := len(h.console.reporting.kept); n > maxKept {
		t.Errorf("%d are kept", n)
	}
}

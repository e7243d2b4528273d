package console

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A stuck is a client that takes nothing of what it asked for.
type stuck struct {
	*httptest.ResponseRecorder
	writing, done chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	s.writing <- struct{}{}
	<-s.done
	return len(b), nil
}

// Who takes a report or a page of records slowly keeps nobody else from theirs; and
// searches wait for each other.
func TestSlowReader(t *testing.T) {
	d := newDiary(t, noon.Add(-2*time.Hour))
	for i := range 20 {
		d.exchange("stores", i%9)
	}
	d.sealed()
	h := recorded(t, d, nil)
	for _, path := range []string{"/console/privacy/report?format=html", "/console/privacy/records"} {
		s := &stuck{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
		gone := make(chan struct{})
		go func() {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("Authorization", "Bearer "+h.auditor)
			h.console.ServeHTTP(s, r)
			close(gone)
		}()
		<-s.writing
		h.in(h.auditor).get(path).want(t, http.StatusOK)
		close(s.done)
		<-gone
	}
	h.console.searching <- struct{}{}
	h.in(h.auditor).get("/console/privacy/records").want(t, http.StatusServiceUnavailable, "Others are searching")
	<-h.console.searching
	h.in(h.auditor).get("/console/privacy/records").want(t, http.StatusOK)
}

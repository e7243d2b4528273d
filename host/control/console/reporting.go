package console

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bespoke/host/ledger"
)

// reporting has reports made, each of which verifies the whole tree: one after the
// other, in the order in which they were asked for, one at a time of each asker.
type reporting struct {
	turn chan struct{} // holds one while a report is made

	mu   sync.Mutex
	busy map[string]bool              // askers whose report is made, or waits for its turn; guarded by mu
	kept map[ledger.Period]keptReport // of tenants, not long ago; guarded by mu
}

// A keptReport is of one state of the ledger.
type keptReport struct {
	*ledger.Report
	checkpoint string
	at         time.Time
}

const (
	maxReports    = 4 // that are made, or wait for their turn
	tenantReports = 2 // with as many, no tenant's is added: there is always place for who answers for the whole edge
	reportWait    = time.Minute
	reportFresh   = 5 * time.Minute // a report may be handed out again, which says when it was made
	maxKept       = 16
)

func newReporting() reporting {
	return reporting{turn: make(chan struct{}, 1), busy: map[string]bool{}, kept: map[ledger.Period]keptReport{}}
}

// of returns the report of a period for who asks. A tenant is handed out again what was
// made for it of the same state of the ledger: it may ask as often as it likes, and
// nobody's turn is lost.
func (y *reporting) of(v *visit, p ledger.Period) (*ledger.Report, error) {
	who, whole := v.asker(), v.sees("")
	if f := y.enter(who, whole); f != nil {
		v.w.Header().Set("Retry-After", "10")
		return nil, f
	}
	defer y.leave(who)
	wait := time.NewTimer(reportWait)
	defer wait.Stop()
	select {
	case y.turn <- struct{}{}:
		defer func() { <-y.turn }()
	case <-wait.C:
		v.w.Header().Set("Retry-After", "60")
		return nil, &fault{http.StatusServiceUnavailable, "Reports of others take long; ask again in a minute."}
	}
	state := ""
	if !whole {
		data, _ := os.ReadFile(filepath.Join(v.config.Ledger, "checkpoint")) // read first: what is made then is no older
		state = string(data)
		if r := y.again(v, p, state); r != nil {
			return r, nil
		}
	}
	r, err := ledger.MakeReport(v.config.Ledger, p, ledger.VerifyOptions{}, v.now)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if !whole {
		ofTenant(r)
		y.keep(v, p, keptReport{r, state, v.now})
	}
	return r, nil
}

// enter returns why there is no place for one more report, nil if there is.
func (y *reporting) enter(who string, whole bool) *fault {
	y.mu.Lock()
	defer y.mu.Unlock()
	most := tenantReports
	if whole {
		most = maxReports
	}
	switch {
	case y.busy[who]:
		return &fault{http.StatusTooManyRequests, "Another report is being made for you; ask again when it is there."}
	case len(y.busy) >= most:
		return &fault{http.StatusServiceUnavailable, "Reports are being made for others; ask again in a moment."}
	}
	y.busy[who] = true
	return nil
}

func (y *reporting) leave(who string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.busy, who)
}

// again returns a tenant's report that was made of the same state; nil: there is none,
// or the ledger turned out to be damaged.
func (y *reporting) again(v *visit, p ledger.Period, checkpoint string) *ledger.Report {
	if v.verifying.now().Damaged() {
		return nil
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if k, ok := y.kept[p]; ok && k.checkpoint == checkpoint && v.now.Sub(k.at) < reportFresh {
		return k.Report
	}
	return nil
}

// keep remembers a report, and forgets those that are of no use any more.
func (y *reporting) keep(v *visit, p ledger.Period, k keptReport) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for old, one := range y.kept {
		if v.now.Sub(one.at) >= reportFresh || one.checkpoint != k.checkpoint {
			delete(y.kept, old)
		}
	}
	if len(y.kept) < maxKept {
		y.kept[p] = k
	}
}

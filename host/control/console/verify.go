package console

import (
	"net/http"
	"sync"
	"time"

	"bespoke/host/ledger"
)

// verifying has the whole ledger verified, one time after the other.
type verifying struct {
	mu   sync.Mutex
	last verification  // guarded by mu
	done chan struct{} // closed when the one under way has ended; nil: none is
}

// A verification is how one went, or how far it is.
type verification struct {
	Busy        bool
	Records, Of int64 // read so far
	Began       time.Time
	By          string // name of the token

	Done *ledger.Verified // of the last that ended; nil: none did
	At   time.Time        // when that was begun
	Took time.Duration
	For  string // name of the token that wanted it
	Err  error
}

// Damaged reports whether the last one found the ledger changed.
func (v *verification) Damaged() bool { return v != nil && v.Done != nil && !v.Done.Intact() }

// verifyWait is how long who asks waits: a small ledger is verified by then.
const verifyWait = 3 * time.Second

func (y *verifying) now() *verification {
	y.mu.Lock()
	defer y.mu.Unlock()
	v := y.last
	return &v
}

// begin starts one unless one is under way, and returns what is closed at its end.
func (y *verifying) begin(dir, by string, at time.Time) <-chan struct{} {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.done != nil {
		return y.done
	}
	done := make(chan struct{})
	y.done = done
	y.last.Busy, y.last.Records, y.last.Of, y.last.Began, y.last.By = true, 0, 0, at, by
	go func() { // ends by itself: it reads a folder
		began := time.Now()
		got, err := ledger.Verify(dir, ledger.VerifyOptions{Progress: func(records, of int64) {
			y.mu.Lock()
			defer y.mu.Unlock()
			y.last.Records, y.last.Of = records, of
		}})
		y.mu.Lock()
		defer y.mu.Unlock()
		y.last.Busy = false
		y.last.Done, y.last.At, y.last.Took, y.last.For, y.last.Err = got, at, time.Since(began), by, err
		y.done = nil
		close(done)
	}()
	return done
}

// verify has the ledger verified now. It changes nothing, so auditors may; it is of
// all sites, so tenants may not.
func (v *visit) verify() error {
	if v.config.Ledger == "" {
		return errNoLedger
	}
	wait := time.NewTimer(verifyWait)
	defer wait.Stop()
	v.config.Log.Info("verify the ledger", "by", v.token.Name, "role", string(v.token.Role))
	select {
	case <-v.verifying.begin(v.config.Ledger, v.token.Name, v.now):
	case <-wait.C:
	}
	http.Redirect(v.w, v.r, "/console/privacy#verified", http.StatusSeeOther)
	return nil
}

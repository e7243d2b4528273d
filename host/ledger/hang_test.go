//go:build unix

package ledger

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestHangingFolder has a witness in a folder that does not answer, as a network's may not: named pipes stand
// in the place of its files, so that opening them waits for an other side. It takes its time at the start and at the end,
// and no more; and sealing goes on.
func TestHangingFolder(t *testing.T) {
	for _, name := range []string{checkpointName, checkpointName + ".next"} {
		dir := t.TempDir()
		pipe := filepath.Join(dir, name)
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		began := time.Now()
		go func() {
			defer close(done)
			l, c := newLedger(t, func(c *Config) { c.Witnesses = []Witness{FileWitness{dir}} })
			for range 3 {
				l.Exchange(&Exchange{}, false)
				if err := l.Flush(); err != nil {
					t.Error(err)
				}
			}
			if n := l.Status().WitnessFailures; n == 0 && name == checkpointName {
				t.Error("nobody is told")
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if v, err := Verify(c.Dir, VerifyOptions{}); err != nil || !v.OK() || !v.Closed {
				t.Errorf("%v %+v", err, v)
			}
		}()
		select {
		case <-done:
			t.Logf("%s: %v", name, time.Since(began))
		case <-time.After(askTime + lastTime + 5*time.Second):
			t.Errorf("%s: it waits for the witness still", name)
		}
		// The other side comes and goes, until nobody waits for it any more.
		for waits := true; waits; {
			if f, err := os.OpenFile(pipe, os.O_RDWR, 0); err != nil {
				t.Fatal(err)
			} else {
				f.Close()
			}
			select {
			case <-done:
				waits = false
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

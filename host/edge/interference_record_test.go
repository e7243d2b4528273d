package edge

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"bespoke/host/ledger"
	"bespoke/host/watch"
)

// A pairLedger keeps records as the ledger writes them, but for the time. Its keys
// are always the same.
type pairLedger struct {
	told  chan<- struct{} // of records of exchanges
	mu    sync.Mutex      // guards lines
	lines []byte
}

func (l *pairLedger) Reserve() bool { return true }

func (l *pairLedger) Exchange(x *ledger.Exchange, _ bool) {
	one := *x
	one.Time = time.Time{}
	defer tell(l.told)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(one.AppendJSON(l.lines), '\n')
}

func (l *pairLedger) Event(e ledger.Event) {
	e.Time = time.Time{}
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err := e.AppendJSON(l.lines)
	if err != nil {
		b = append(l.lines, err.Error()...)
	}
	l.lines = append(b, '\n')
}

func (l *pairLedger) Pseudonym(dst *[8]byte, tenant string, id []byte) {
	m := hmac.New(sha256.New, []byte("of the period"))
	m.Write([]byte(tenant))
	m.Write(id)
	copy(dst[:], m.Sum(nil))
}

func (l *pairLedger) SealDigest(sum [32]byte) (sealed [32]byte) {
	m := hmac.New(sha256.New, []byte("of the period"))
	m.Write(sum[:])
	m.Sum(sealed[:0])
	return sealed
}

func (l *pairLedger) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := string(l.lines)
	l.lines = l.lines[:0]
	return s
}

// figures returns all figures of the edge, where they are looked at. Of durations it is
// how many there were.
func (s *pairSite) figures(room map[string]float64) map[string]float64 {
	if !s.counts {
		return nil
	}
	all := make(map[string]float64, len(room))
	for _, f := range s.edge.Families() {
		if f.Kind == watch.Gauge {
			continue
		}
		f.Samples(func(one watch.Sample) {
			v := one.Value
			if one.Histogram != nil {
				v = float64(one.Histogram.Count)
			} else if strings.HasSuffix(f.Name, "_seconds_total") {
				return
			}
			all[f.Name+" "+strings.Join(one.Labels, ",")] = v
		})
	}
	return all
}

// grown tells which figures grew, and by how much.
func grown(before, after map[string]float64) string {
	var lines []string
	for name, v := range after {
		if d := v - before[name]; d != 0 {
			lines = append(lines, fmt.Sprintf("%s +%v", name, d))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

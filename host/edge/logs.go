package edge

import (
	"sync"
	"time"

	"bespoke/modules/abi"
)

// What is kept of a policy's log, in memory only: a policy can write what it
// read of visitors into it, so it is for its tenant, and not for long.
const (
	logLines = 500
	logBytes = 128 << 10
)

// A LogLine is a line that an uploaded policy wrote.
type LogLine struct {
	Seq     uint64 // grows by one
	Time    time.Time
	Version int
	Level   abi.Level
	Text    string
}

type logKey struct{ tenant, policy string }

// A ring holds the last lines of one policy.
type ring struct {
	mu    sync.Mutex // guards the rest
	lines []LogLine
	bytes int
	seq   uint64
}

func (r *ring) add(at time.Time, version int, level abi.Level, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	r.lines = append(r.lines, LogLine{r.seq, at, version, level, text})
	r.bytes += len(text)
	drop := 0
	for len(r.lines)-drop > logLines || r.bytes > logBytes {
		r.bytes -= len(r.lines[drop].Text)
		drop++
	}
	if drop > 0 {
		r.lines = append(r.lines[:0], r.lines[drop:]...)
	}
}

func (s *Store) ring(tenant, policy string) *ring {
	key := logKey{tenant, policy}
	if r, ok := s.logs.Load(key); ok {
		return r.(*ring)
	}
	r, _ := s.logs.LoadOrStore(key, &ring{})
	return r.(*ring)
}

// Logs returns the lines of an uploaded policy that came after a sequence number.
func (s *Store) Logs(tenant, policy string, after uint64) []LogLine {
	got, ok := s.logs.Load(logKey{tenant, policy})
	if !ok {
		return nil
	}
	r := got.(*ring)
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []LogLine
	for _, l := range r.lines {
		if l.Seq > after {
			out = append(out, l)
		}
	}
	return out
}

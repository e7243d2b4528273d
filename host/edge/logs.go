package edge

import (
	"sync"
	"time"

	"bespoke/host/control"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// What is kept of a policy's log, in memory only: a policy can write what it
// read of visitors into it, so it is for its tenant, and not for long.
const (
	logLines = 500
	logBytes = 128 << 10
)

type logKey struct{ tenant, policy string }

// A ring holds the last lines of one policy.
type ring struct {
	mu    sync.Mutex // guards the rest
	lines []control.LogLine
	bytes int
	seq   uint64
}

func (r *ring) add(at time.Time, version int, level abi.Level, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq == 0 {
		r.seq = uint64(time.Now().UnixMicro()) // above what an earlier process numbered
	}
	r.seq++
	r.lines = append(r.lines, control.LogLine{Seq: r.seq, Time: at, Version: version, Level: level.String(), Text: text})
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
func (s *Store) Logs(tenant, policy string, after uint64) []control.LogLine {
	got, ok := s.logs.Load(logKey{tenant, policy})
	if !ok {
		return nil
	}
	r := got.(*ring)
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []control.LogLine
	for _, l := range r.lines {
		if l.Seq > after {
			out = append(out, l)
		}
	}
	return out
}

// Status tells how each version of an uploaded policy that was wanted since the
// start has fared.
func (s *Store) Status(tenant, policy string) []control.RunStatus {
	policies, _, err := s.registry.List(tenant)
	if err != nil {
		return nil
	}
	var out []control.RunStatus
	for _, p := range policies {
		if p.Name != policy {
			continue
		}
		for _, v := range p.Versions {
			if _, wanted := s.modules.Load(storeKey{tenant, policy, v.Digest}); !wanted {
				continue
			}
			if e := s.stored(tenant, policy, v); e.module != nil {
				out = append(out, runStatus(v.Number, e))
			}
		}
	}
	return out
}

func runStatus(version int, e *stored) control.RunStatus {
	st := e.module.State()
	rs := control.RunStatus{Version: version, SuspendedUntil: st.Until, Runs: st.Runs, Edits: st.Edits, Fuel: st.Fuel, Differences: e.different.Load()}
	for kind, n := range st.Failures {
		if n > 0 {
			if rs.Failures == nil {
				rs.Failures = map[string]uint64{}
			}
			rs.Failures[engine.FaultKind(kind).String()] = n
		}
	}
	return rs
}

// Limits returns the limits that hold for uploaded policies.
func (s *Store) Limits() abi.Limits { return s.limits }

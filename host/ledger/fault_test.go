package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A clock for tests that goes when it is told to.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// noon is where tests begin.
var noon = time.Date(2026, 3, 1, 11, 59, 58, 0, time.UTC)

func memConfig(c *clock) Config {
	return Config{Dir: "/state/ledger", Keys: "/state/keys", Window: time.Hour, Now: c.now, Keep: 2 * time.Hour, PseudonymPeriod: time.Hour, PseudonymLife: time.Hour}
}

// A life is one run of a ledger on a file system that may fail, and what the
// world has seen of it.
type life struct {
	clock   clock
	sealed  []string            // tenants of records that a Flush has acknowledged
	sent    []string            // tenants of all records; with '!' of those that were not personalized
	seen    map[string]struct{} // checkpoints that a reader may have seen
	opened  bool
	blocked bool // a failed seal stopped personalization
}

func newMemWithState() *memFS {
	m := newMemFS()
	for _, name := range []string{"/state", "/state/ledger"} {
		if err := m.Mkdir(name, 0o755); err != nil {
			panic(err)
		}
	}
	m.root.syncNames()
	m.root.names["state"].syncNames()
	m.ops = 0
	return m
}

// see keeps the checkpoint that is there now; m.mu is held.
func (f *life) see(m *memFS) {
	if _, n, _, err := m.walk("/state/ledger/checkpoint"); err == nil && n != nil && len(n.data) > 0 {
		f.seen[string(n.data)] = struct{}{}
	}
}

// run opens the ledger, records rounds times, and closes it. After an error
// it tries again once, as the next window would.
func (f *life) run(m *memFS, rounds int) error {
	m.watch = func() { f.see(m) }
	l, err := open(memConfig(&f.clock), m)
	if err != nil {
		return err
	}
	f.opened = true
	defer func() { l.Close() }()
	f.blocked = l.Status().Blocked != ""
	for i := range rounds {
		name := fmt.Sprintf("t%d.%d", len(f.sent), i)
		reserved := l.Reserve()
		if !reserved {
			name += "!"
		}
		f.sent = append(f.sent, name)
		l.Exchange(&Exchange{Time: f.clock.t, Tenant: name, Status: 200}, reserved)
		if err := l.Flush(); err != nil {
			f.blocked = true
			if l.Reserve() {
				return errors.New("personalized while records cannot be sealed")
			}
			if err := l.Flush(); err != nil {
				return err
			}
		}
		f.sealed = append(f.sealed[:0], f.sent...)
		if !l.Reserve() {
			return errors.New("not personalized when records are sealed again")
		}
		l.Unreserve()
		f.clock.t = f.clock.t.Add(700 * time.Millisecond)
	}
	return l.Close()
}

// tenants are those of the exchanges of a ledger.
func (c *content) tenants() []string {
	var list []string
	for _, line := range c.records {
		if i := bytes.Index(line, []byte(`"tenant":"t`)); i >= 0 {
			name := line[i+len(`"tenant":"`):]
			list = append(list, string(name[:bytes.IndexByte(name, '"')]))
		}
	}
	return list
}

// holds checks that the ledger on a file system is whole, has what was
// acknowledged, and contains every checkpoint that was ever seen.
func (f *life) holds(m *memFS) (*content, error) {
	folder := m.folder("/state/ledger")
	c, err := checkFolder(folder, true)
	if err != nil {
		return nil, err
	}
	got := c.tenants()
	if !strings.HasPrefix(strings.Join(f.sent, " ")+" ", strings.Join(got, " ")+" ") && len(got) > 0 {
		return nil, fmt.Errorf("records %v, and %v were sent", got, f.sent)
	}
	if len(got) < len(f.sealed) {
		return nil, fmt.Errorf("records %v, and %v were acknowledged", got, f.sealed)
	}
	leaves := make([]tlog.Hash, len(c.statements))
	for i := range leaves {
		leaves[i] = tlog.RecordHash(c.statements[i].append(nil))
	}
	key, err := note.NewVerifier(strings.TrimSpace(string(folder[keyName])))
	if err != nil {
		return nil, err
	}
	for msg := range f.seen {
		tree, err := once(&checkpointMemo, msg+key.Name(), func() (tlog.Tree, error) { return openCheckpoint([]byte(msg), key) })
		if err != nil {
			if strings.Contains(msg, "\n0\n") {
				continue // of a beginning that did not end, with another key: of an empty tree
			}
			return nil, err
		}
		if tree.N > int64(len(leaves)) || merkle(leaves[:tree.N]) != tree.Hash {
			return nil, fmt.Errorf("somebody has seen a checkpoint of %d segments that is not of this ledger, which has %d", tree.N, len(leaves))
		}
	}
	return c, nil
}

// seeds are the states that faults are injected into: nothing, and a ledger that is about to fill
// a tile.
func seeds(t *testing.T) map[string]*memFS {
	t.Helper()
	old := newMemWithState()
	f := life{clock: clock{noon.Add(-3 * time.Hour)}, seen: map[string]struct{}{}}
	if err := f.run(old, 3); err != nil {
		t.Fatal(err)
	}
	l := life{clock: clock{noon.Add(-time.Minute)}, seen: map[string]struct{}{}}
	if err := l.run(old, 254-5-2); err != nil {
		t.Fatal(err)
	}
	return map[string]*memFS{"new": newMemWithState(), "old": old}
}

// again begins a life after another one on what that left.
func (f *life) again(m *memFS) (*content, error) {
	f.clock.t = f.clock.t.Add(time.Second)
	if err := f.run(m, 2); err != nil {
		return nil, fmt.Errorf("go on: %w", err)
	}
	return f.holds(m)
}

// start is a life on a copy of a seed, whose records it knows.
func start(t *testing.T, seed *memFS) (*life, *memFS) {
	t.Helper()
	m := seed.crash(false, nil)
	f := &life{clock: clock{noon}, seen: map[string]struct{}{}}
	if files := m.folder("/state/ledger"); len(files) > 0 {
		c, err := checkFolder(files, true)
		if err != nil {
			t.Fatal(err)
		}
		f.sent = c.tenants()
		f.sealed = append(f.sealed, f.sent...)
	}
	return f, m
}

// TestPowerLoss takes the power away before every operation that changes something. What
// was not synced is lost, or there, or in parts. The next start must go on, with all that was acknowledged and
// without contradicting a checkpoint that anybody may have seen.
func TestPowerLoss(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a fifth less work
	for name, seed := range seeds(t) {
		points, adopted := 0, 0
		for op := 0; ; op++ {
			f, m := start(t, seed)
			m.fault = func(i int, _ string) faultKind {
				if i == op {
					return faultCrash
				}
				return faultNone
			}
			if err := f.run(m, 4); err == nil {
				break // it ended before this operation
			}
			points++
			for mode := range 5 {
				var after *memFS
				switch mode {
				case 0:
					after = m.crash(false, nil) // kill -9
				case 1:
					after = m.crash(true, nil) // everything that was not synced is lost
				default:
					after = m.crash(true, rand.New(rand.NewPCG(uint64(op), uint64(mode))))
				}
				g := *f
				g.seen = map[string]struct{}{}
				for k := range f.seen {
					g.seen[k] = struct{}{}
				}
				waiting := after.folder("/state/ledger")[nextName]
				g.sent = append([]string(nil), f.sent...)
				c, err := g.after(after)
				if err != nil {
					t.Fatalf("%s: power lost before operation %d (%s), mode %d: %v", name, op, m.latest, mode, err)
				}
				if len(waiting) > 0 && c.tree.N > 0 {
					adopted++
				}
			}
		}
		t.Logf("%s: %d operations, %d starts found a signed checkpoint to finish", name, points, adopted)
		if points < 50 || adopted == 0 {
			t.Errorf("%s: %d operations, %d adopted: the test shows little", name, points, adopted)
		}
	}
}

// after is the start after a crash: what came last may be lost, and then the
// record of the start says that there was a crash.
func (f *life) after(m *memFS) (*content, error) {
	f.clock.t = f.clock.t.Add(time.Second)
	l, err := open(memConfig(&f.clock), m)
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	c, err := checkFolder(m.folder("/state/ledger"), true)
	if err != nil {
		return nil, err
	}
	// What was lost is at most the window that was not acknowledged.
	got := c.tenants()
	if len(got) < len(f.sealed) || len(f.sent)-len(got) > 1 {
		return nil, fmt.Errorf("records %v, acknowledged %v of %v", got, f.sealed, f.sent)
	}
	lost := f.sent[len(got):]
	f.sent = got
	// A run that could seal nothing at all leaves no trace, and personalized nothing.
	if len(lost) > 0 && !strings.HasSuffix(lost[0], "!") && !bytes.Contains(bytes.Join(c.records, []byte("\n")), []byte(`"ended":"crash"`)) {
		return nil, errors.New("a record is lost, and nothing says that there was a crash")
	}
	return f.again(m)
}

// TestFaults fails every operation that changes something, in three ways; some
// runs fail a second one, or end with the power going. Nothing may be lost unless the process ends.
func TestFaults(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a fifth less work
	for name, seed := range seeds(t) {
		runs, blocked := 0, 0
		for _, kind := range []faultKind{faultLost, faultKept, faultPartial} {
			for op := 0; ; op++ {
				hit := false
				// One fault, and by turns a second one or the end of the process soon after.
				for _, second := range []int{0, 1 + op%5} {
					f, m := start(t, seed)
					what := ""
					m.fault = func(i int, w string) faultKind {
						switch {
						case i == op:
							hit, what = true, w
							return kind
						case second > 0 && second < 4 && i == op+second*2:
							return kind
						case second >= 4 && i == op+(second-3)*3:
							return faultCrash
						}
						return faultNone
					}
					err := f.run(m, 4)
					runs++
					if f.blocked {
						blocked++
					}
					where := fmt.Sprintf("%s: operation %d (%s) failed (%d, %d): %v", name, op, what, kind, second, err)
					if m.dead {
						after := m.crash(true, rand.New(rand.NewPCG(uint64(op), uint64(kind))))
						if _, err := f.after(after); err != nil {
							t.Fatalf("%s; then the power went: %v", where, err)
						}
						continue
					}
					m.fault = nil
					if err == nil {
						if c, herr := f.holds(m); herr != nil {
							t.Fatalf("%s: %v", where, herr)
						} else if got := c.tenants(); len(got) != len(f.sent) {
							t.Fatalf("%s: records %v of %v", where, got, f.sent)
						}
					} else if f.opened && strings.Contains(err.Error(), "personalized") {
						t.Fatal(where)
					}
					// It goes on in any case, after an error with a loss at most of what was not acknowledged.
					if _, err := f.after(m.crash(false, nil)); err != nil {
						t.Fatalf("%s; the next start: %v", where, err)
					}
				}
				if !hit {
					break
				}
			}
		}
		t.Logf("%s: %d runs, %d stopped personalization", name, runs, blocked)
		if runs < 200 || blocked < 100 {
			t.Errorf("%s: %d runs, %d stopped: the test shows little", name, runs, blocked)
		}
	}
}

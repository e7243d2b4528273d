package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const stateDir = "/srv/state"

// A scenario is one change, made where before has been done. do is what fails
// and is tried again; it returns nil when the change is there.
type scenario struct {
	name   string
	before func(r *Registry)
	do     func(r *Registry) error
}

func only(_ any, err error) error { return err }

var scenarios = []scenario{
	{"activate", nil, func(r *Registry) error { return only(r.Activate("stores", "welcome", 2)) }},
	{"activate the active", nil, func(r *Registry) error { return only(r.Activate("stores", "welcome", 1)) }},
	{"activate the staged", func(r *Registry) { r.Stage("stores", "welcome", 2, Canary, 10) },
		func(r *Registry) error { return only(r.Activate("stores", "welcome", 2)) }},
	{"roll back", func(r *Registry) { r.Activate("stores", "welcome", 2) },
		func(r *Registry) error {
			if v, _ := r.Active("stores", "welcome"); v.Number == 1 {
				return nil // it was done, and only the answer was lost
			}
			return only(r.Rollback("stores", "welcome"))
		}},
	{"upload", nil, func(r *Registry) error { return only(r.Upload("stores", "welcome", binary("3"), "n")) }},
	{"upload a new policy", nil, func(r *Registry) error { return only(r.Upload("stores", "river", binary("3"), "n")) }},
	{"upload what another tenant has", nil, func(r *Registry) error { return only(r.Upload("stores", "welcome", binary("o"), "n")) }},
	{"first upload of a tenant", nil, func(r *Registry) error { return only(r.Upload("third", "welcome", binary("3"), "n")) }},
	{"upload what is there", nil, func(r *Registry) error { return only(r.Upload("stores", "welcome", binary("2"), "n")) }},
	{"upload what is refused", nil, func(r *Registry) error {
		err := only(r.Upload("stores", "welcome", []byte("bad"), "n"))
		if errors.Is(err, ErrRefused) && !errors.Is(err, errFault) {
			return nil
		}
		return err
	}},
	{"stage", nil, func(r *Registry) error { return only(r.Stage("stores", "welcome", 2, Shadow, 10)) }},
	{"unstage", func(r *Registry) { r.Stage("stores", "welcome", 2, Canary, 10) },
		func(r *Registry) error {
			if _, _, ok := r.Staged("stores", "welcome"); !ok {
				return nil
			}
			return only(r.Unstage("stores", "welcome"))
		}},
	{"retire the active", nil, func(r *Registry) error { return only(r.Retire("stores", "welcome", 1)) }},
	{"delete", func(r *Registry) { r.Retire("stores", "welcome", 2) },
		func(r *Registry) error { return forget(r, "stores", "welcome", 2) }},
	{"delete what another tenant has", func(r *Registry) { r.Upload("stores", "welcome", binary("o"), ""); r.Retire("stores", "welcome", 3) },
		func(r *Registry) error { return forget(r, "stores", "welcome", 3) }},
	{"delete the last one", func(r *Registry) { r.Retire("other", "welcome", 1) },
		func(r *Registry) error { return forget(r, "other", "welcome", 1) }},
}

func forget(r *Registry, tenant, policy string, version int) error {
	if _, ok := r.Version(tenant, policy, version); !ok {
		return nil
	}
	return r.Delete(tenant, policy, version)
}

// prepare returns a file system where before has been done, and the registry
// that did it.
func (s scenario) prepare(plant func(*model)) (*model, *Registry, error) {
	m := newModel()
	if plant != nil {
		plant(m)
	}
	r, err := open(stateDir, config(), m)
	if err != nil {
		return nil, nil, err
	}
	for _, err := range []error{
		only(r.Upload("stores", "welcome", binary("1"), "")),
		only(r.Upload("stores", "welcome", binary("2"), "")),
		only(r.Activate("stores", "welcome", 1)),
		only(r.Upload("other", "welcome", binary("o"), "")),
	} {
		if err != nil {
			return nil, nil, err
		}
	}
	if s.before != nil {
		s.before(r)
	}
	return m, r, nil
}

// summary is all that a registry knows, but for epochs.
func summary(r *Registry) string {
	var b strings.Builder
	for _, t := range r.Tenants() {
		if all, _, err := r.List(t); err != nil {
			fmt.Fprintf(&b, "%s: %v\n", t, err)
		} else if len(all) > 0 {
			text, _ := json.Marshal(all)
			fmt.Fprintf(&b, "%s: %s\n", t, text)
		}
	}
	return b.String()
}

// fates are the ways in which operation k and those after it may go.
var fates = map[string]func(k int) func(step int) mood{
	"fails, lost":              func(k int) func(int) mood { return at(k, lost, fine) },
	"fails, kept":              func(k int) func(int) mood { return at(k, kept, fine) },
	"fails, torn":              func(k int) func(int) mood { return at(k, torn, fine) },
	"fails, lost; then all do": func(k int) func(int) mood { return at(k, lost, lost) },
	"fails, kept; then all do": func(k int) func(int) mood { return at(k, kept, kept) },
	"fails, kept; rest lost":   func(k int) func(int) mood { return at(k, kept, lost) },
	"is done; rest lost":       func(k int) func(int) mood { return at(k, fine, lost) },
}

func at(k int, then, after mood) func(int) mood {
	return func(step int) mood {
		switch {
		case step < k:
			return fine
		case step == k:
			return then
		}
		return after
	}
}

// violations plays a scenario with every fault, crashes in every way, and
// returns what it found that must not be, and how many endings it looked at.
// With a planted fault the first finding is enough.
func (s scenario) violations(plant func(*model)) (found []string, endings int, err error) {
	// Once without a fault: which states may be seen, and how many operations.
	m, r, err := s.prepare(plant)
	if err != nil {
		return nil, 0, err
	}
	allowed := []string{summary(r)}
	r.Subscribe(func(Change) { allowed = append(allowed, summary(r)) })
	start := m.steps
	if err := s.do(r); err != nil {
		return nil, 0, err
	}
	final := summary(r)
	for fate, fault := range fates {
		for k := start + 1; k <= m.steps; k++ {
			c := chance{scenario: s, allowed: allowed, final: final, fault: fault(k), plant: plant}
			if err := c.play(); err != nil {
				return nil, 0, err
			}
			endings += c.endings
			if plant != nil && len(c.found) > 0 {
				return c.found, endings, nil
			}
			for _, f := range c.found {
				found = append(found, fmt.Sprintf("%s, operation %d %s: %s", s.name, k-start, fate, f))
			}
		}
	}
	return found, endings, nil
}

// A chance is one scenario with one fault.
type chance struct {
	scenario
	allowed []string // states that may be found, in order
	final   string
	fault   func(int) mood
	plant   func(*model)

	endings int
	found   []string
}

func (c *chance) badf(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func (c *chance) play() error {
	for _, next := range []string{"ends", "goes on", "does something else"} {
		m, r, err := c.prepare(c.plant)
		if err != nil {
			return err
		}
		m.fault = c.fault
		m.renamed = c.epochs()
		failed := c.do(r)
		seen := summary(r)
		if !slices.Contains(c.allowed, seen) {
			c.badf("%s: half a state is visible: %s", failed, seen)
		}
		if failed == nil && seen != c.final {
			c.badf("done, and not visible: %s", seen)
		}
		want := c.allowed
		switch {
		case next != "does something else" && failed == nil:
			want = []string{c.final}
		case next == "ends" && !r.inDoubt():
			want = []string{seen} // it failed, and nothing of it may come back
			c.sameEpochs(m, r)
		case next == "ends" && m.fails == 1:
			c.badf("%s: one fault, and it was not undone", failed)
		case next == "goes on":
			m.heal()
			if err := c.do(r); err != nil {
				c.badf("%s; then, without a fault: %s", failed, err)
			}
			want = []string{c.final}
			if held, want := r.holds(); held != want {
				c.badf("%s; then, without a fault: binaries are held %d times by %d versions", failed, held, want)
			}
		case next == "does something else":
			// It is active already, and stored already: nothing to do, if that
			// is what the files say.
			m.heal()
			if v, ok := r.Active("stores", "welcome"); ok {
				if _, err := r.Activate("stores", "welcome", v.Number); err != nil {
					c.badf("%s; then, activating what is active: %s", failed, err)
				}
				if _, err := r.Upload("other", "welcome", binary("o"), ""); err != nil {
					c.badf("%s; then, uploading what is there: %s", failed, err)
				}
			}
			want = nil
			for _, s := range c.allowed {
				// The third tenant was let be, and may still be in doubt.
				want = append(want, without(summary(r), "third")+strings.TrimPrefix(s, without(s, "third")))
			}
		}
		m.heal()
		for _, v := range []view{nothing, everything, 1, 2, 3} {
			c.look(m.crash(v), want, fmt.Sprintf("%v; %s; crash, %d survives", failed, next, v))
		}
		c.restart(m, want, fmt.Sprintf("%v; %s; restart", failed, next))
	}
	return nil
}

// epochs returns what notes the epoch of each index that is placed: no two
// may have the same.
func (c *chance) epochs() func(to string, data []byte) {
	placed := map[string]bool{}
	return func(to string, data []byte) {
		var e struct{ Index index }
		if filepath.Ext(to) != ".json" || json.Unmarshal(data, &e) != nil {
			return
		}
		key := fmt.Sprint(to, e.Index.Epoch)
		if placed[key] {
			c.badf("epoch %d stood in %s twice", e.Index.Epoch, to)
		}
		placed[key] = true
	}
}

// sameEpochs holds the epochs that readers see against those of the files.
func (c *chance) sameEpochs(m *model, r *Registry) {
	for _, t := range r.Tenants() {
		path := filepath.Join(r.folder, t+".json")
		if m.live[path] == nil {
			continue // its first upload failed
		}
		_, seen, _ := r.List(t)
		if ix, err := readIndex(m, path, t); err != nil || ix.Epoch != seen {
			c.badf("%s: epoch %d is visible, the file says %+v, %v", t, seen, ix, err)
		}
	}
}

func (r *Registry) inDoubt() bool {
	for _, t := range *r.tenants.Load() {
		if t.doubt {
			return true
		}
	}
	return false
}

// holds returns how many holds there are on binaries, and how many there should be.
func (r *Registry) holds() (held, want int) {
	for _, b := range r.blobs.held {
		held += b.refs
	}
	for _, t := range *r.tenants.Load() {
		for _, p := range t.now.Load().Policies {
			want += len(p.Versions)
		}
	}
	return held, want
}

// without returns a summary up to the line that is about a tenant.
func without(summary, tenant string) string {
	before, _, _ := strings.Cut(summary, tenant+": ")
	return before
}

// restart opens after the process died and the machine went on; and then the
// machine loses its power too. What was answered in between must last.
func (c *chance) restart(m *model, want []string, how string) {
	m.locked, m.given = false, map[string]bool{}
	r := c.look(m, want, how)
	if r == nil {
		return
	}
	if v, ok := r.Active("stores", "welcome"); ok {
		if _, err := r.Activate("stores", "welcome", v.Number); err != nil {
			c.badf("%s; activating what is active: %s", how, err)
		}
	}
	for _, v := range []view{nothing, 1, 2} {
		c.look(m.crash(v), []string{summary(r)}, fmt.Sprintf("%s; crash, %d survives", how, v))
	}
}

// look opens what is there and holds it against what may be.
func (c *chance) look(m *model, want []string, how string) *Registry {
	c.endings++
	m.deafFile, m.deafDir = false, false
	r, err := open(stateDir, config(), m)
	if err != nil {
		c.badf("%s: %s", how, err)
		return nil
	}
	if f := r.Faults(); len(f) > 0 {
		c.badf("%s: faults: %s", how, f)
	}
	if got := summary(r); !slices.Contains(want, got) {
		c.badf("%s: found %s, want one of %s", how, got, want)
	}
	// No binary is missing, none is there that nothing refers to.
	refers := map[string]bool{}
	for _, t := range r.Tenants() {
		all, _, _ := r.List(t)
		for _, p := range all {
			for _, v := range p.Versions {
				refers[v.Digest.String()] = true
				if _, err := r.Binary(v.Digest); err != nil {
					c.badf("%s: %s/%s@%d: %s", how, t, p.Name, v.Number, err)
				}
			}
		}
	}
	files, _ := m.List(stateDir + "/policies/sha256")
	more, _ := m.List(stateDir + "/policies/tenants")
	for _, f := range append(files, more...) {
		if !refers[f.name] && !strings.HasSuffix(f.name, ".json") {
			c.badf("%s: garbage: %s", how, f.name)
		}
	}
	return r
}

// TestFaults is the fault table: every operation of every change fails in
// every way, then the machine crashes in every way.
func TestFaults(t *testing.T) {
	total := 0
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			found, endings, err := s.violations(nil)
			if err != nil {
				t.Fatal(err)
			}
			total += endings
			for i, f := range found {
				if i == 5 {
					t.Fatalf("and %d more", len(found)-i)
				}
				t.Error(f)
			}
		})
	}
	t.Logf("%d endings", total)
}

// TestFaultsAreSeen plants syncs that do nothing: the table must notice.
func TestFaultsAreSeen(t *testing.T) {
	for name, plant := range map[string]func(*model){
		"files":   func(m *model) { m.deafFile = true },
		"folders": func(m *model) { m.deafDir = true },
	} {
		for _, s := range scenarios {
			found, endings, err := s.violations(plant)
			if err != nil {
				t.Fatal(err)
			}
			if endings > 0 && len(found) == 0 { // some scenarios write nothing
				t.Errorf("%s are never synced, and %q passes", name, s.name)
			}
		}
	}
}

// TestOpenFaults fails every operation of Open, on a new folder and on one
// with an interrupted upload. Whatever a later, sound Open reports done must last.
func TestOpenFaults(t *testing.T) {
	interrupted := func() *model {
		m, r, err := scenario{}.prepare(nil)
		if err != nil {
			t.Fatal(err)
		}
		m.fault = at(m.steps+8, lost, lost)
		if _, err := r.Upload("stores", "welcome", binary("3"), ""); err == nil {
			t.Fatal("the upload was not interrupted")
		}
		return m.crash(everything)
	}
	for name, fresh := range map[string]func() *model{"new": newModel, "interrupted": interrupted} {
		m := fresh()
		if _, err := open(stateDir, config(), m); err != nil {
			t.Fatal(err)
		}
		steps := m.steps
		if steps < 8 {
			t.Errorf("%s: Open took only %d operations", name, steps)
		}
		for fate, fault := range fates {
			for k := 1; k <= steps; k++ {
				m := fresh()
				m.fault = fault(k)
				if _, err := open(stateDir, config(), m); err != nil && !errors.Is(err, errFault) {
					t.Errorf("%s: operation %d %s: %v", name, k, fate, err)
				}
				m.heal()
				m.locked, m.given = false, map[string]bool{}
				r, err := open(stateDir, config(), m)
				if err != nil {
					t.Fatalf("%s: operation %d %s: opening again: %v", name, k, fate, err)
				}
				if _, err := r.Upload("stores", "welcome", binary("4"), ""); err != nil {
					t.Errorf("%s: operation %d %s: %v", name, k, fate, err)
				}
				for _, v := range []view{nothing, everything, 1, 2} {
					c := chance{}
					c.look(m.crash(v), []string{summary(r)}, "crash")
					for _, f := range c.found {
						t.Errorf("%s: operation %d %s: %s", name, k, fate, f)
					}
				}
			}
		}
	}
}

// TestFullDisk lets the disk run full at every byte of an upload and a switch.
func TestFullDisk(t *testing.T) {
	big := binary(strings.Repeat("x", 200))
	full, fit := 0, 0
	for room := 0; fit == 0; room += 7 {
		m, r, err := scenario{}.prepare(nil)
		if err != nil {
			t.Fatal(err)
		}
		before := summary(r)
		used := 0
		for _, n := range m.live {
			used += len(n.data)
		}
		m.room = used + max(1, room)
		_, err = r.Upload("stores", "welcome", big, "")
		_, err2 := r.Activate("stores", "welcome", 2)
		if err == nil && err2 == nil {
			fit++
			continue
		}
		full++
		for _, err := range []error{err, err2} {
			if err != nil && (!errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), stateDir)) {
				t.Fatalf("room for %d: %v: want what and where", room, err)
			}
		}
		// Whole steps were done, or none. Nothing lies about half written.
		switch got := states(r, "stores", "welcome"); got {
		case "1 active, 2 checked, 3 uploaded", "1 active, 2 checked, 3 checked":
		case "1 retired, 2 active; previous 1", "1 retired, 2 active, 3 uploaded; previous 1":
			if err2 != nil {
				t.Fatalf("room for %d: %v, and yet %s", room, err2, got)
			}
		default:
			if summary(r) != before {
				t.Fatalf("room for %d: %s", room, got)
			}
		}
		for p := range m.live {
			if strings.HasPrefix(filepath.Base(p), temporary) {
				t.Errorf("room for %d: %s was left", room, p)
			}
		}
		m.heal()
		if _, err := r.Upload("stores", "welcome", big, ""); err != nil {
			t.Fatalf("room for %d, then more: %v", room, err)
		}
		if _, err := r.Activate("stores", "welcome", 3); err != nil {
			t.Fatalf("room for %d, then more: %v", room, err)
		}
		c := chance{}
		c.look(m.crash(nothing), []string{summary(r)}, "crash")
		for _, f := range c.found {
			t.Errorf("room for %d, then more: %s", room, f)
		}
	}
	if full < 20 {
		t.Errorf("the disk was full only %d times", full)
	}
}

package edge

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bespoke/host/control"
	"bespoke/host/state"
)

// knownHouse is a rig whose origin names subjects, with a catalogue and a policy that
// tells what is known.
func knownHouse(t *testing.T, keys ...string) (*rig, func(v *visitor) map[string]string) {
	t.Helper()
	origin := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if id, ok := strings.CutPrefix(req.URL.Path, "/login/"); ok {
			w.Header().Set("Bespoke-Subject", id)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, slots(keys))
	})
	file := filepath.Join(t.TempDir(), "teller.wasm")
	if err := os.WriteFile(file, teller(keys, declareAll(keys)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, origin, withSubjects(), offering(house(t)), routes(`[{path: /**, `+everyProduct+`, policies: [{use: "file:`+file+`"}]}]`))
	return r, func(v *visitor) map[string]string {
		_, page := v.get("/")
		return told(t, keys, page)
	}
}

// stored returns what the store has of a subject once all was written.
func (r *rig) stored(id string) []byte {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r.known.flushProfiles(ctx, true)
	if n := r.known.profiles.count.Load(); n != 0 {
		r.t.Fatalf("%d profiles still wait", n)
	}
	b, _, _, err := r.known.store.Load().Get(ctx, profilesBucket, r.keyOf(id))
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rig) keyOf(id string) state.Key { return r.known.namer.Subject("shop", id) }

// A subject has one profile on all of their devices, and when they refuse on one it is
// erased on all, and in the store.
func TestSubjectProfile(t *testing.T) {
	r, tells := knownHouse(t, "profile.recent", "profile.engagement", "profile.affinity.colour")
	phone, laptop := r.visitor(berlin), r.visitor(berlin)
	phone.login("jane")
	laptop.login("jane")
	phone.get("/product/lamp-black")
	if b := r.stored("jane"); b != nil {
		t.Fatalf("kept without a grant: %x", b)
	}
	phone.choose("action=allow-all")
	phone.get("/product/lamp-black")
	shown(t, "laptop", tells(laptop), "profile.recent", "lamp-black")
	laptop.get("/product/lamp-white")
	laptop.get("/product/kettle-black")
	shown(t, "phone", tells(phone), "profile.recent", "kettle-black\nlamp-white\nlamp-black", "profile.affinity.colour", "black\t2\nwhite\t1")
	b := r.stored("jane")
	if len(b) == 0 || strings.Contains(string(b), "lamp") {
		t.Fatalf("the store has %q", b)
	}
	if got := b[9:17]; string(got) != string(make([]byte, 8)) {
		t.Errorf("the store has the number of a visit: %x", got)
	}
	if john := r.visitor(berlin); true {
		john.login("john")
		john.choose("action=allow-all")
		shown(t, "somebody else", tells(john), "profile.recent", "absent")
	}

	late := laptop.valueOf("bespoke-profile")
	phone.choose("action=refuse-all")
	if b := r.stored("jane"); b != nil {
		t.Errorf("refused, and the store has %x", b)
	}
	shown(t, "refused", tells(laptop), "profile.recent", "absent")
	phone.choose("action=allow-all")
	laptop.setCookies("bespoke-profile=" + late)
	shown(t, "allowed again", tells(laptop), "profile.recent", "absent")
	laptop.get("/product/tray-black")
	shown(t, "allowed again", tells(phone), "profile.recent", "tray-black")
}

// What waits to be written when the subject refuses is not written any more.
func TestSubjectProfileLate(t *testing.T) {
	r, tells := knownHouse(t, "profile.recent", "profile.engagement", "profile.affinity.colour")
	v := r.visitor(berlin)
	v.login("jane")
	v.choose("action=allow-all")
	v.get("/product/lamp-black")
	waiting := r.known.profile(r.keyOf("jane"))
	if len(waiting) == 0 {
		t.Fatal("nothing waits")
	}
	v.choose("action=refuse-all")
	r.known.keepProfile(r.keyOf("jane"), waiting) // by an exchange that was under way
	if b := r.stored("jane"); b != nil {
		t.Errorf("refused, and the store has %x", b)
	}
	v.choose("action=allow-all")
	r.known.keepProfile(r.keyOf("jane"), waiting)
	shown(t, "allowed again", tells(v), "profile.recent", "absent")
	if b := r.stored("jane"); b != nil {
		t.Errorf("of before the refusal, and the store has %x", b)
	}
}

// It is there after the process ended, and what cannot be read does no harm.
func TestSubjectProfileStays(t *testing.T) {
	r, tells := knownHouse(t, "profile.recent", "profile.engagement", "profile.affinity.colour")
	v := r.visitor(berlin)
	v.login("jane")
	v.choose("action=allow-all")
	v.get("/product/lamp-black")
	key := r.keyOf("jane")
	if err := r.known.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := NewSubjects(SubjectsConfig{Dir: r.subjectsDir(), Key: [32]byte{2}})
	if err != nil {
		t.Fatal(err)
	}
	r.edge.subjects, r.known = again, again
	r.ready()
	other := r.visitor(berlin)
	other.login("jane")
	for range 100 {
		if tells(other)["profile.recent"] == "lamp-black" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	shown(t, "after a restart", tells(other), "profile.recent", "lamp-black")
	for name, b := range map[string][]byte{
		"nothing": {}, "short": {1, 2, 3}, "garbage": []byte(strings.Repeat("\x01", 60)), "newer": append([]byte{9}, make([]byte, 40)...),
	} {
		again.profiles.mu.Lock()
		again.profiles.changes[key] = b
		again.profiles.count.Store(1)
		again.profiles.mu.Unlock()
		fresh := r.visitor(berlin)
		fresh.login("jane")
		shown(t, name, tells(fresh), "profile.recent", "absent")
	}
}

// What the tenant's server tells of a subject is in their profile where they granted it.
func TestSubjectEventsLearned(t *testing.T) {
	r, tells := knownHouse(t, "profile.recent", "profile.engagement", "profile.affinity.colour")
	v := r.visitor(berlin)
	v.login("jane")
	tell := func() {
		t.Helper()
		events := []control.SubjectEvent{{Kind: "mail-sent"}, {Kind: "mail-sent"}, {Kind: "mail-open"}, {Kind: "view", Item: "lamp-black"}, {Kind: "view", Item: "nothing"}}
		if unknown, err := r.edge.SubjectEvents("shop", "jane", events); err != nil || unknown != 1 {
			t.Fatal(unknown, err)
		}
	}
	tell()
	if b := r.stored("jane"); b != nil {
		t.Errorf("nothing was granted, and the store has %x", b)
	}
	v.choose("action=save&personalize=on")
	tell()
	shown(t, "granted", tells(v), "profile.recent", "lamp-black", "profile.engagement", "mail\t0.5", "profile.affinity.colour", "black\t1")
	v.choose("action=erase")
	if b := r.stored("jane"); b != nil {
		t.Errorf("erased, and the store has %x", b)
	}
}

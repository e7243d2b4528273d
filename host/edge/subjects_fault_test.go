package edge

import (
	"os"
	"strings"
	"testing"
)

// While the store cannot take it, a choice holds here, the answer says so, and
// the edge tries on; nothing is used of whom it cannot tell.
func TestStoreFails(t *testing.T) {
	r, _ := known(t)
	// A file where the folder belongs: the store cannot be opened.
	if err := os.WriteFile(r.subjectsDir(), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, b := r.visitor(sanFrancisco), r.visitor(sanFrancisco)
	a.get("/login/jane")
	b.get("/login/jane")
	if _, body := a.get("/"); granted(body) {
		t.Error("place used while nobody knows what the subject chose")
	}
	resp, body := a.do("PUT", "/_bespoke/api/choice", strings.NewReader(`{}`), "Content-Type", "application/json")
	if resp.StatusCode != 202 || !strings.Contains(body, `"all_devices": false`) {
		t.Errorf("not honest: %d %s", resp.StatusCode, body)
	}
	if a.cookie("bespoke-choice") == nil {
		t.Error("the refusal is not kept here")
	}
	resp, _ = a.do("POST", "/_bespoke/privacy", strings.NewReader("action=refuse-all&return=%2F"), "Content-Type", "application/x-www-form-urlencoded")
	if at := resp.Header.Get("Location"); resp.StatusCode != 303 || at != "/_bespoke/privacy?saved=here" {
		t.Errorf("not honest: %d %s", resp.StatusCode, at)
	}
	if _, body := a.get("/_bespoke/privacy?saved=here"); !strings.Contains(body, "could not be saved for your other devices") {
		t.Errorf("the centre does not say it:\n%s", body)
	}
	if _, body := a.get("/_bespoke/api/choice"); !strings.Contains(body, `"all_devices": false`) {
		t.Errorf("the API does not say it: %s", body)
	}
	if !strings.Contains(r.log.String(), "level=ERROR msg=\"choices of subjects cannot be kept") {
		t.Errorf("the log does not say it:\n%s", r.log)
	}
	if strings.Contains(r.log.String(), "jane") {
		t.Errorf("the log has the name:\n%s", r.log)
	}
	if err := os.Remove(r.subjectsDir()); err != nil {
		t.Fatal(err)
	}
	r.ready()
	eventually(t, "what waited is kept", func() bool { return r.known.waits.Load() == 0 })
	if _, body := b.get("/"); granted(body) {
		t.Error("refused on the other device, and used here")
	}
	if _, body := a.get("/_bespoke/api/choice"); !strings.Contains(body, `"all_devices": true`) {
		t.Errorf("kept, and not said: %s", body)
	}
	c := r.visitor(sanFrancisco)
	c.login("jim")
	if _, body := c.get("/"); !granted(body) {
		t.Error("the store is back, and who refused nothing counts as having refused")
	}

	// It goes away.
	if err := r.known.store.Load().Close(); err != nil {
		t.Fatal(err)
	}
	if _, body := c.get("/"); granted(body) {
		t.Error("place used of a subject whose choice cannot be told")
	}
	resp, body = c.do("PUT", "/_bespoke/api/choice", strings.NewReader(`{"localize":true}`), "Content-Type", "application/json")
	if resp.StatusCode != 202 {
		t.Errorf("not honest: %d %s", resp.StatusCode, body)
	}
	if _, body := c.get("/"); granted(body) {
		t.Error("an allowance that could not be kept opens what cannot be told")
	}
	if _, body := r.visitor(sanFrancisco).get("/"); !granted(body) {
		t.Error("who is no subject suffers from it")
	}
}

// A refusal that an edge could not keep before it ended is made good by the
// visitor's own cookie.
func TestRefusalComesBackWithItsCookie(t *testing.T) {
	r, _ := known(t)
	a, b := r.visitor(sanFrancisco), r.visitor(sanFrancisco)
	a.login("jane")
	b.login("jane")
	a.choose("action=refuse-all")
	key := r.known.namer.Subject("shop", "jane")
	if err := r.known.store.Load().Delete(t.Context(), choicesBucket, key); err != nil { // as if it had never come there
		t.Fatal(err)
	}
	if _, body := b.get("/"); !granted(body) {
		t.Fatal("the test shows nothing")
	}
	a.get("/")
	if _, body := b.get("/"); granted(body) {
		t.Error("the cookie of the refusal came by, and it does not hold elsewhere")
	}
	eventually(t, "it is kept", func() bool { return r.known.waits.Load() == 0 })
	if _, ok := r.known.view.Load().Get(key); !ok {
		t.Error("it is not kept")
	}
}

// What is kept and cannot be read refuses everything, until a refusal replaces it.
func TestUnreadableKept(t *testing.T) {
	r, _ := known(t)
	v := r.visitor(sanFrancisco)
	v.login("jane")
	key := r.known.namer.Subject("shop", "jane")
	garbage := func([]byte) ([]byte, error) { return []byte{99}, nil }
	if err := r.known.store.Load().Update(t.Context(), choicesBucket, key, garbage); err != nil {
		t.Fatal(err)
	}
	if _, body := v.get("/"); granted(body) {
		t.Error("place used")
	}
	put := func(body string, want int) {
		t.Helper()
		if resp, said := v.do("PUT", "/_bespoke/api/choice", strings.NewReader(body), "Content-Type", "application/json"); resp.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", body, resp.StatusCode, said, want)
		}
	}
	put(`{"localize":true}`, 202)
	if _, body := v.get("/"); granted(body) {
		t.Error("place used: an allowance replaced what nobody can read")
	}
	put(`{}`, 200)
	put(`{"localize":true}`, 200)
	if _, body := v.get("/"); !granted(body) {
		t.Error("a refusal did not heal it")
	}
}

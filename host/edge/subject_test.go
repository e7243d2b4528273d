package edge

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/host/consent"
)

// A site answers as html does; /login/ID names a subject, /logout takes it back,
// and /raw sends the header as the query has it. What the origin got is in got.
type site struct{ got atomic.Pointer[http.Header] }

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := r.Header.Clone()
	s.got.Store(&h)
	if id, ok := strings.CutPrefix(r.URL.Path, "/login/"); ok {
		w.Header().Set("Bespoke-Subject", id)
	}
	if r.URL.Path == "/logout" {
		w.Header().Set("Bespoke-Subject", "-")
	}
	for _, v := range r.URL.Query()["subject"] {
		w.Header().Add("Bespoke-Subject", v)
	}
	html(page).ServeHTTP(w, r)
}

func known(t *testing.T, opts ...rigOption) (*rig, *site) {
	t.Helper()
	s := &site{}
	return newRig(t, s, append(opts, withSubjects())...), s
}

// granted reports whether a page used the visitor's place.
func granted(body string) bool { return strings.Contains(body, " km</span>") }

// eventually waits for what another goroutine does.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("never: %s", what)
		}
	}
}

// ready waits until the store of subjects answers.
func (r *rig) ready() {
	r.t.Helper()
	eventually(r.t, "the store of subjects is open", func() bool {
		v := r.known.view.Load()
		return v != nil && v.Stale() == nil
	})
}

// login has the origin name the visitor.
func (v *visitor) login(id string) {
	v.rig.t.Helper()
	if resp, _ := v.get("/login/" + id); resp.Header.Get("Bespoke-Subject") != "" {
		v.rig.t.Errorf("the visitor sees whom the origin names: %v", resp.Header)
	}
	v.rig.ready()
}

// cookie returns a cookie of the visitor's jar, nil if there is none.
func (v *visitor) cookie(name string) *http.Cookie {
	for _, c := range v.client.Jar.Cookies(jarURL()) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func TestSubjectOnTwoDevices(t *testing.T) {
	r, _ := known(t)
	phone, laptop := r.visitor(sanFrancisco), r.visitor(berlin)
	if _, err := os.Stat(r.subjectsDir()); err == nil {
		t.Fatal("the store is there before there is a subject")
	}
	phone.login("jane")
	laptop.login("jane")
	laptop.choose("action=allow-all")
	if _, body := laptop.get("/"); !granted(body) {
		t.Error("what was allowed does not hold")
	}
	if _, body := phone.get("/"); !granted(body) {
		t.Error("what was allowed on the other device does not hold")
	}
	phone.choose("action=refuse-all")
	if _, body := phone.get("/"); granted(body) {
		t.Error("what was refused does not hold")
	}
	if _, body := laptop.get("/"); granted(body) {
		t.Error("what was refused on the other device does not hold")
	}
	if _, body := laptop.get("/_bespoke/privacy?saved=choice"); !strings.Contains(body, "saved for all of your devices") {
		t.Errorf("the centre does not say that it holds everywhere:\n%s", body)
	}
	if resp, body := laptop.do("PUT", "/_bespoke/api/choice", strings.NewReader(`{"localize":true}`), "Content-Type", "application/json"); resp.StatusCode != 200 || !strings.Contains(body, `"all_devices": true`) {
		t.Errorf("the API: %d %s", resp.StatusCode, body)
	}
	for name, v := range map[string]*visitor{"here": laptop, "there": phone} {
		if _, body := v.get("/"); !granted(body) {
			t.Errorf("a later, explicit choice does not hold %s", name)
		}
	}
	other := r.visitor(berlin)
	other.login("jim")
	if _, body := other.get("/"); granted(body) {
		t.Error("one subject's choice holds for another")
	}
}

// The cookie of a subject says nothing about whom it is, and is as the others.
func TestSubjectCookie(t *testing.T) {
	r, s := known(t)
	v := r.visitor(berlin)
	resp, body := v.get("/login/jane@example.com", "Bespoke-Subject", "somebody")
	cs := resp.Cookies()
	if len(cs) != 1 || cs[0].Name != "bespoke-subject" || !cs[0].HttpOnly || cs[0].SameSite != http.SameSiteLaxMode || cs[0].Path != "/" || cs[0].MaxAge != int(cookieLife/time.Second) {
		t.Errorf("cookies %v", cs)
	}
	if strings.Contains(fmt.Sprint(resp.Header), "jane") || strings.Contains(body, "jane") {
		t.Errorf("the name goes to the visitor: %v", resp.Header)
	}
	if got := resp.Header["Cache-Control"]; len(got) != 1 || got[0] != "private, no-store" {
		t.Errorf("an answer with a subject's cookie may be stored: %q", got)
	}
	if got := s.got.Load().Get("Bespoke-Subject"); got != "" {
		t.Errorf("the origin got the visitor's %q", got)
	}
	v.get("/", "Cookie", "a=b")
	if got := s.got.Load().Get("Cookie"); got != "a=b" {
		t.Errorf("the origin got Cookie: %q", got)
	}
	if resp, _ := v.get("/login/jane@example.com"); len(resp.Cookies()) > 0 {
		t.Errorf("the same subject again: %v", resp.Cookies())
	}
	if resp, _ := v.get("/login/other"); len(resp.Cookies()) != 1 {
		t.Errorf("another subject: %v", resp.Cookies())
	}
	// What a visitor says of themselves makes nobody of them.
	w := r.visitor(berlin)
	if resp, _ := w.get("/", "Bespoke-Subject", "jane"); len(resp.Cookies()) > 0 {
		t.Errorf("a visitor named themselves: %v", resp.Cookies())
	}
	if strings.Contains(r.log.String(), "jane") {
		t.Errorf("the log has the name:\n%s", r.log)
	}
	filepath.WalkDir(r.subjectsDir(), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if b, _ := os.ReadFile(path); strings.Contains(string(b)+path, "jane") {
				t.Errorf("%s has the name", path)
			}
		}
		return nil
	})
}

// On routes without policies, redirects and HEAD the header is taken off, too.
func TestSubjectIsTakenOffEverywhere(t *testing.T) {
	r, _ := known(t, routes(`[{path: /shop/**, policies: [{use: greet, with: {slot: "#greeting", text: "hi {name}"}}]}]`))
	v := r.visitor(berlin)
	for _, method := range []string{"GET", "HEAD", "POST"} {
		for _, path := range []string{"/x?subject=a", "/shop/x?subject=b", "/x?subject=c&subject=d", "/shop/?subject=", "/x?subject=-"} {
			resp, _ := v.do(method, path, nil)
			if _, there := resp.Header["Bespoke-Subject"]; there {
				t.Errorf("%s %s: the visitor sees %q", method, path, resp.Header["Bespoke-Subject"])
			}
		}
	}
	private := func(what string, resp *http.Response) {
		t.Helper()
		if got := resp.Header["Cache-Control"]; len(resp.Cookies()) != 1 || len(got) != 1 || got[0] != "private, no-store" || resp.Header.Get("ETag") != "" {
			t.Errorf("%s may be stored: %v", what, resp.Header)
		}
	}
	resp, _ := v.get("/x?subject=jane")
	private("an answer with a subject's cookie", resp)
	if v.cookie("bespoke-subject") == nil {
		t.Error("named on a route without policies, and not remembered")
	}
	resp, _ = v.get("/logout")
	private("an answer that takes it away", resp)
	if c := v.cookie("bespoke-subject"); c != nil {
		t.Errorf("after the logout: %v", c)
	}
	if resp, _ := v.get("/logout"); len(resp.Cookies()) > 0 {
		t.Errorf("a logout of nobody: %v", resp.Cookies())
	}
}

// Without subjects the header is taken off, and nobody remembered.
func TestNoSubjects(t *testing.T) {
	r := newRig(t, &site{})
	v := r.visitor(sanFrancisco)
	resp, _ := v.get("/login/jane")
	if resp.Header.Get("Bespoke-Subject") != "" || len(resp.Cookies()) > 0 {
		t.Errorf("%v", resp.Header)
	}
	if _, body := v.get("/", "Cookie", "bespoke-subject=garbage"); !granted(body) {
		t.Error("a cookie that means nothing here counts")
	}
}

func TestLogout(t *testing.T) {
	r, _ := known(t)
	a, b := r.visitor(sanFrancisco), r.visitor(sanFrancisco)
	a.login("jane")
	b.login("jane")
	a.choose("action=refuse-all")
	if _, body := b.get("/"); granted(body) {
		t.Error("refused on the other device, used here")
	}
	b.get("/logout")
	if _, body := b.get("/"); !granted(body) {
		t.Error("nobody is known after the logout, and it counts as a refusal")
	}
	b.login("jane")
	if _, body := b.get("/"); granted(body) {
		t.Error("known again, and the refusal does not hold")
	}
}

// Two people at one browser: what one refused as a subject is not brought to the
// other's devices, and is not undone in the browser either.
func TestTwoSubjectsInOneBrowser(t *testing.T) {
	r, _ := known(t)
	shared, jims := r.visitor(sanFrancisco), r.visitor(sanFrancisco)
	shared.login("jane")
	shared.choose("action=refuse-all")
	shared.get("/logout")
	shared.login("jim")
	jims.login("jim")
	eventually(t, "nothing waits", func() bool { return r.known.waits.Load() == 0 })
	if _, body := jims.get("/"); !granted(body) {
		t.Error("one subject's refusal holds on the devices of another")
	}
	if _, body := shared.get("/"); granted(body) {
		t.Error("what was refused in a browser does not hold there for the next one")
	}
	shared.choose("action=allow-all")
	jane := r.visitor(sanFrancisco)
	jane.login("jane")
	if _, body := jane.get("/"); granted(body) {
		t.Error("what one subject allowed undoes what another refused")
	}
}

// Whom nobody can tell has refused, until the origin names them, or nobody.
func TestUnintelligibleSubject(t *testing.T) {
	r, _ := known(t)
	for name, query := range map[string]string{
		"two":        "subject=jane&subject=jim",
		"and nobody": "subject=jane&subject=-",
		"long":       "subject=" + strings.Repeat("a", 257),
		"a space":    "subject=jane+doe",
		"not ASCII":  "subject=j%C3%A4ne",
	} {
		v := r.visitor(sanFrancisco)
		if _, body := v.get("/?" + query); !granted(body) {
			t.Fatal("the test shows nothing")
		}
		if _, body := v.get("/"); granted(body) {
			t.Errorf("%s: place used", name)
		}
		v.choose("action=allow-all")
		if _, body := v.get("/"); granted(body) {
			t.Errorf("%s: place used after a choice, though nobody knows what they refused elsewhere", name)
		}
		resp, body := v.do("PUT", "/_bespoke/api/choice", strings.NewReader(`{"localize":false}`), "Content-Type", "application/json")
		if resp.StatusCode != 202 || !strings.Contains(body, `"all_devices": false`) {
			t.Errorf("%s: told that it holds everywhere: %d %s", name, resp.StatusCode, body)
		}
		v.get("/logout")
		v.choose("action=allow-all")
		if _, body := v.get("/"); !granted(body) {
			t.Errorf("%s: after the logout it still counts", name)
		}
	}
	for name, cookie := range map[string]string{"garbage": "bespoke-subject=x", "empty": "bespoke-subject=", "two": "bespoke-subject=a; bespoke-subject=b"} {
		v := r.visitor(sanFrancisco)
		if _, body := v.get("/", "Cookie", cookie); granted(body) {
			t.Errorf("%s: place used", name)
		}
	}
	v := r.visitor(sanFrancisco)
	if _, body := v.get("/?subject=" + strings.Repeat("a", 256)); !granted(body) {
		t.Fatal("the test shows nothing")
	}
	r.ready()
	if _, body := v.get("/"); !granted(body) {
		t.Error("256 characters are no name")
	}
	if _, body := v.get("/?subject=&subject=+"); !granted(body) {
		t.Error("a header that says nothing counts")
	}
}

// A browser's choices from before the site knew them, and a subject's, count
// different things: of the two, what either refuses is refused.
func TestChoiceBeforeLogin(t *testing.T) {
	r, _ := known(t)
	phone := r.visitor(sanFrancisco)
	phone.login("jane")
	phone.choose("action=refuse-all")
	r.clock.advance(time.Hour)
	laptop := r.visitor(sanFrancisco)
	for range 5 { // to a high epoch
		laptop.choose("localize=on")
	}
	laptop.login("jane")
	eventually(t, "what was refused before the login is kept", func() bool { return r.known.waits.Load() == 0 })
	if _, body := phone.get("/"); granted(body) {
		t.Error("what was allowed before a login undoes what the subject refused elsewhere")
	}
	if _, body := laptop.get("/"); granted(body) {
		t.Error("what was allowed before the login beats what the subject refused")
	}
	// Made while known, and so knowing of both: it counts.
	laptop.choose("action=allow-all")
	for name, v := range map[string]*visitor{"laptop": laptop, "phone": phone} {
		if _, body := v.get("/"); !granted(body) {
			t.Errorf("%s: a later, explicit choice does not count", name)
		}
	}
	// The cookie from before, once more.
	r.clock.advance(time.Hour)
	tablet := r.visitor(sanFrancisco)
	tablet.choose("action=refuse-all")
	tablet.login("jane")
	eventually(t, "what was refused before the login holds on other devices", func() bool {
		_, body := phone.get("/")
		return !granted(body)
	})
	r.clock.advance(time.Hour)
	phone.choose("action=allow-all")
	tablet.get("/logout")
	tablet.login("jane") // brings a refusal that is older than the subject's choice
	tablet.get("/")
	if _, body := phone.get("/"); !granted(body) {
		t.Error("an old refusal undoes a newer choice")
	}
	if _, body := tablet.get("/"); granted(body) {
		t.Error("a refusal does not hold on its own device")
	}
}

// An older cookie does not bring back what was withdrawn.
func TestReplayedChoice(t *testing.T) {
	r, _ := known(t)
	v := r.visitor(sanFrancisco)
	v.login("jane")
	v.choose("action=allow-all")
	old, who := v.cookie("bespoke-choice"), v.cookie("bespoke-subject")
	if _, body := v.get("/"); !granted(body) {
		t.Fatal("the test shows nothing")
	}
	v.choose("action=refuse-all")
	replay := "bespoke-choice=" + old.Value + "; bespoke-subject=" + who.Value
	if _, body := r.visitor(sanFrancisco).get("/", "Cookie", replay); granted(body) {
		t.Error("an older cookie revives what was withdrawn")
	}
	now := v.cookie("bespoke-choice")
	both := "bespoke-choice=" + old.Value + "; bespoke-choice=" + now.Value
	if _, body := r.visitor(sanFrancisco).get("/", "Cookie", both); granted(body) {
		t.Error("an older cookie beside the newer revives what was withdrawn")
	}
}

// Erasing all drops whom the visitor was known as, and leaves a refusal.
func TestEraseAllOfSubject(t *testing.T) {
	r, _ := known(t)
	a, b := r.visitor(sanFrancisco), r.visitor(sanFrancisco)
	a.login("jane")
	b.login("jane")
	b.choose("action=allow-all&name=Jane")
	if resp, body := a.do("DELETE", "/_bespoke/api/profile", nil); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if c := a.cookie("bespoke-subject"); c != nil {
		t.Errorf("the subject is still known: %v", c)
	}
	for name, v := range map[string]*visitor{"here": a, "there": b} {
		if _, body := v.get("/"); granted(body) {
			t.Errorf("after erasing: place used %s", name)
		}
	}
	key := r.known.namer.Subject("shop", "jane")
	value, ok := r.known.view.Load().Get(key)
	c, err := consent.ParseChoice(value)
	if !ok || err != nil || c.Granted != 0 {
		t.Errorf("what is left is %v %v, want a refusal", c, err)
	}
}

package edge

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/host/recommend"
	"bespoke/modules/abi"
)

// A house of lamps and kettles, each in black and in white, and pens for teachers.
const houseItems = `{"id":"lamp-black","title":"Black lamp","url":"/product/lamp-black","image":"/lamp.svg","price":30,"was":40,"attributes":{"colour":"black","kind":"lamp"}}
{"id":"lamp-white","title":"White lamp","url":"/product/lamp-white","price":31.5,"attributes":{"colour":"white","kind":"lamp"}}
{"id":"kettle-black","title":"Black kettle","price":20,"attributes":{"colour":"black","kind":"kettle"}}
{"id":"kettle-white","title":"White kettle","price":20,"attributes":{"colour":"white","kind":"kettle"}}
{"id":"tray-black","title":"Black tray","price":9,"attributes":{"colour":"black","kind":"tray"}}
{"id":"crayons","title":"Crayons","price":5,"attributes":{"colour":["red","green"],"persona":"teacher"}}
{"id":"R & D","title":"Book","price":5,"attributes":{"kind":"book"}}
`

// house returns a recommender that one visitor is enough for.
func house(t testing.TB) *recommend.Recommender {
	t.Helper()
	r, err := recommend.Open("", recommend.Options{Manual: true, Support: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := r.Load(strings.NewReader(houseItems), nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// followKeys is what the policy of these tests tells.
var followKeys = []string{
	"profile.recent", "profile.purchases", "profile.affinity.colour", "profile.affinity.kind", "profile.persona", "profile.engagement", "profile.interests",
	"recommend.recently-viewed", "recommend.for-you?n=3", "recommend.next?item=lamp-black", "recommend.best-sellers?n=2", "recommend.deals", "preference.hidden",
}

// personalKeys are those of them that need a purpose.
func personalKeys() (some []string) {
	for _, k := range followKeys {
		if _, needs := abi.Classify(k).Needs(); needs {
			some = append(some, k)
		}
	}
	return some
}

// declareAll declares keys without their parameters.
func declareAll(keys []string) map[string]string {
	m := map[string]string{}
	for _, k := range keys {
		k, _, _ = strings.Cut(k, "?")
		m[k] = "to test"
	}
	return m
}

const everyProduct = `items: "/product/{item}"`

// followed is a rig with a house, a policy that tells followKeys, and items by the path.
func followed(t testing.TB, items string, opts ...rigOption) (*rig, *recommend.Recommender) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "teller.wasm")
	if err := os.WriteFile(file, teller(followKeys, declareAll(followKeys)), 0o600); err != nil {
		t.Fatal(err)
	}
	if items != "" {
		items += ", "
	}
	rec := house(t)
	all := []rigOption{offering(rec), routes(`[{path: /**, ` + items + `policies: [{use: "file:` + file + `"}]}]`)}
	return newRig(t, html(slots(followKeys)), append(all, opts...)...), rec
}

// tells returns what the visitor's page tells.
func (v *visitor) tells(t *testing.T, path string) map[string]string {
	t.Helper()
	_, page := v.get(path)
	return told(t, followKeys, page)
}

// shown checks some of what is told.
func shown(t *testing.T, what string, got map[string]string, want ...string) {
	t.Helper()
	for i := 0; i < len(want); i += 2 {
		if got[want[i]] != want[i+1] {
			t.Errorf("%s: %s is %q, want %q", what, want[i], got[want[i]], want[i+1])
		}
	}
}

func (v *visitor) sendEvent(t *testing.T, body string) *http.Response {
	t.Helper()
	resp, text := v.do("POST", "/_bespoke/api/events", strings.NewReader(body), "Content-Type", "text/plain;charset=UTF-8", "Sec-Fetch-Site", "same-origin")
	if resp.StatusCode != 204 {
		t.Fatalf("%s: %d %s", body, resp.StatusCode, text)
	}
	return resp
}

func (v *visitor) valueOf(name string) string {
	for _, c := range v.client.Jar.Cookies(jarURL()) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// setCookies gives the visitor's browser cookies.
func (v *visitor) setCookies(pairs ...string) {
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		v.client.Jar.SetCookies(jarURL(), []*http.Cookie{{Name: name, Value: value, Path: "/"}})
	}
}

const (
	lampLine   = "id=lamp-black\ttitle=Black lamp\turl=/product/lamp-black\timage=/lamp.svg\tprice=30\twas=40\tattr.colour=black\tattr.kind=lamp"
	kettleLine = "id=kettle-black\ttitle=Black kettle\tprice=20\tattr.colour=black\tattr.kind=kettle"
)

// The session is followed as it happens, and what is refused is gone.
func TestFollow(t *testing.T) {
	r, rec := followed(t, everyProduct)
	v := r.visitor(berlin)
	fresh := r.visitor(berlin)
	_, everybodys := fresh.get("/")
	v.choose("action=allow-all")
	shown(t, "nothing seen", v.tells(t, "/"), "profile.recent", "absent", "profile.affinity.colour", "absent", "recommend.for-you?n=3", "absent")
	for _, id := range []string{"kettle-white", "kettle-black", "tray-black", "lamp-black"} {
		v.get("/product/" + id)
	}
	shown(t, "three black things", v.tells(t, "/"),
		"profile.affinity.colour", "black\t3\nwhite\t1", "profile.recent", "lamp-black\ntray-black\nkettle-black\nkettle-white",
		"profile.interests", "black\t3\nkettle\t2\nlamp\t1\nwhite\t1\ntray\t1")
	got := v.tells(t, "/")
	if s := got["recommend.recently-viewed"]; !strings.HasPrefix(s, lampLine+"\nid=tray-black\t") || strings.Count(s, "\n") != 3 {
		t.Errorf("recently viewed, and nothing else: %q", s)
	}
	shown(t, "nobody went on from there", got, "recommend.next?item=lamp-black", "absent")

	// They hide one, and it is gone everywhere, also from what is everybody's.
	shown(t, "deals", v.tells(t, "/"), "recommend.deals", lampLine+"\n"+rest(v.tells(t, "/")["recommend.deals"]))
	v.sendEvent(t, `{"kind":"hide","item":"lamp-black"}`)
	got = v.tells(t, "/")
	shown(t, "hidden", got, "preference.hidden", "lamp-black", "profile.recent", "tray-black\nkettle-black\nkettle-white")
	for k, s := range got {
		if k != "preference.hidden" && strings.Contains(s, "lamp-black") {
			t.Errorf("hidden, and in %s: %q", k, s)
		}
	}

	// They buy; what was bought together is learned when the session closes.
	v.sendEvent(t, `[{"kind":"purchase","item":"kettle-black"},{"kind":"purchase","item":"crayons"},{"kind":"purchase","item":"nothing"}]`)
	shown(t, "bought", v.tells(t, "/"), "profile.purchases", "crayons\nkettle-black", "profile.persona", "teacher\t4")
	if s := rec.Stats(); s.Open != 1 || s.Events != 7 {
		t.Errorf("aggregates: %+v, want one session of 4 views, a hide and 2 purchases", s)
	}

	// They refuse: the next page is everybody's but for what they hid, and the
	// cookie is gone. What they did in this session enters no aggregate.
	v.choose("action=refuse-all")
	if v.valueOf("bespoke-profile") != "" {
		t.Error("the profile is still in the browser")
	}
	rec.Settle()
	if s := rec.Stats(); s.Sessions != 0 {
		t.Errorf("aggregates after the refusal: %+v", s)
	}
	v.sendEvent(t, `{"kind":"view","item":"lamp-white"}`)
	if resp, _ := v.get("/product/lamp-white"); len(resp.Header["Set-Cookie"]) != 0 {
		t.Errorf("a refused exchange sets %q", resp.Header["Set-Cookie"])
	}
	got = v.tells(t, "/")
	for _, k := range personalKeys() {
		shown(t, "refused", got, k, "absent")
	}
	if resp, body := v.do("PATCH", "/_bespoke/api/hidden", strings.NewReader(`{"show":["lamp-black"]}`), "Content-Type", "application/json"); resp.StatusCode != 200 || strings.Contains(body, "lamp") {
		t.Errorf("show again: %d %s", resp.StatusCode, body)
	}
	if _, page := v.get("/"); page != everybodys {
		t.Errorf("not everybody's page:\n%s\nwant\n%s", page, everybodys)
	}
	if s := rec.Stats(); s.Open != 0 {
		t.Errorf("aggregates of who refused: %+v", s)
	}
	for _, secret := range []string{"lamp", "kettle", "crayons", "teacher"} {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("the log tells of %s", secret)
		}
	}
}

func rest(s string) string {
	_, after, _ := strings.Cut(s, "\n")
	return after
}

// What each purpose opens, and what it leaves shut: withheld looks as if absent.
func TestFollowByPurpose(t *testing.T) {
	for name, tt := range map[string]struct {
		allow        []abi.Purpose
		gpc          bool
		kept, counts bool
		absent       []string
	}{
		"all":              {[]abi.Purpose{abi.Personalize, abi.Advertise, abi.Measure}, false, true, true, nil},
		"personalize":      {[]abi.Purpose{abi.Personalize}, false, true, false, []string{"profile.interests"}},
		"measure":          {[]abi.Purpose{abi.Measure}, false, false, false, personalKeys()},
		"advertise":        {[]abi.Purpose{abi.Advertise}, false, false, false, personalKeys()},
		"nothing":          {nil, false, false, false, personalKeys()},
		"GPC after choice": {[]abi.Purpose{abi.Personalize, abi.Measure}, true, false, false, personalKeys()},
	} {
		t.Run(name, func(t *testing.T) {
			r, rec := followed(t, everyProduct)
			header := []string{}
			if tt.gpc {
				header = []string{"Sec-GPC", "1"}
			}
			v := r.visitor(berlin, header...)
			v.setCookies(r.sealed(r.allows(tt.allow...), nil))
			v.get("/product/lamp-black")
			v.sendEvent(t, `{"kind":"view","item":"kettle-black"}`)
			if kept := v.valueOf("bespoke-profile") != ""; kept != tt.kept {
				t.Errorf("a profile is kept: %v", kept)
			}
			if s := rec.Stats(); (s.Open == 1) != tt.counts || (s.Events == 2) != tt.counts {
				t.Errorf("aggregates: %+v", s)
			}
			got := v.tells(t, "/")
			for _, k := range tt.absent {
				shown(t, name, got, k, "absent")
			}
			if tt.kept {
				shown(t, name, got, "profile.recent", "kettle-black\nlamp-black", "profile.affinity.colour", "black\t2")
			}
		})
	}
}

// Of who refused, nothing depends on a profile that their browser still brings.
func TestProfileWithheld(t *testing.T) {
	r, _ := followed(t, everyProduct)
	v := r.visitor(berlin)
	v.choose("action=allow-all")
	v.get("/product/lamp-black")
	mine := "bespoke-profile=" + v.valueOf("bespoke-profile")
	refused := r.sealed(r.allows(), nil)
	ask := func(cookies, path string) string {
		resp, body := r.visitor(berlin).get(path, "Cookie", cookies)
		resp.Header.Del("Date")
		return fmt.Sprint(resp.StatusCode, resp.Header, body)
	}
	for _, path := range []string{"/", "/product/kettle-black", "/_bespoke/privacy", "/_bespoke/privacy/download"} {
		if a, b := ask(refused, path), ask(refused+"; "+mine, path); a != b {
			t.Errorf("%s differs by a profile that may not be used:\n%s\n%s", path, a, b)
		}
	}
}

// An answer that was under way while the visitor refused brings nothing back: not when
// they allow it again, within the same second or later.
func TestLateProfile(t *testing.T) {
	r, _ := followed(t, everyProduct)
	v := r.visitor(berlin)
	v.choose("action=allow-all")
	v.get("/product/lamp-black")
	late := v.valueOf("bespoke-profile")
	shown(t, "allowed", v.tells(t, "/"), "profile.recent", "lamp-black")
	v.choose("action=refuse-all")
	v.setCookies("bespoke-profile=" + late)
	v.choose("action=allow-all")
	v.setCookies("bespoke-profile=" + late)
	shown(t, "allowed again", v.tells(t, "/"), "profile.recent", "absent")
	v.get("/product/kettle-black")
	shown(t, "allowed again", v.tells(t, "/"), "profile.recent", "kettle-black")
	// To allow more, or less of something else, loses nothing.
	v.choose("action=save&personalize=on")
	shown(t, "still allowed", v.tells(t, "/"), "profile.recent", "kettle-black")
	v.choose("action=erase")
	if v.valueOf("bespoke-profile") != "" {
		t.Error("erased, and still there")
	}
}

// Cookies that cannot be read count for nothing; one of a later build stays as it is.
func TestProfileCookies(t *testing.T) {
	r, rec := followed(t, everyProduct)
	seal := func(u use, plain []byte) string {
		return r.edge.sealer.Seal(plain, profile.Binding{Use: string(u), Tenant: "shop", Host: "shop.localhost"})
	}
	choice := r.sealed(r.allows(abi.Personalize, abi.Measure), nil)
	in := &inferred{}
	number, _ := rec.Catalogue().Number("lamp-white")
	in.View(number, nil, profile.Memory{}.At(time.Now()))
	now := uint32(time.Now().Unix()) + 2
	good := append([]byte(nil), in.encode(rec.Catalogue().Epoch(), now, ownerTag{})...) // a copy: encode writes in one place
	other := append([]byte(nil), in.encode(rec.Catalogue().Epoch()+1, now, ownerTag{})...)
	newer := append([]byte{inferredCookie + 1}, good[1:]...)
	newerInside := append([]byte(nil), good...)
	newerInside[inferredCookieHead] = 200
	token := seal(useInferred, good)
	for name, tt := range map[string]struct {
		cookies string
		known   bool
		written bool // by the next event
	}{
		"good":              {"bespoke-profile=" + token, true, true},
		"none":              {"", false, true},
		"truncated":         {"bespoke-profile=" + token[:len(token)-5], false, true},
		"forged":            {"bespoke-profile=" + token[:20] + "AAAA" + token[24:], false, true},
		"of another use":    {"bespoke-profile=" + seal(useHidden, good), false, true},
		"cut inside":        {"bespoke-profile=" + seal(useInferred, good[:12]), false, true},
		"no bytes":          {"bespoke-profile=" + seal(useInferred, nil), false, true},
		"garbage inside":    {"bespoke-profile=" + seal(useInferred, append(append([]byte(nil), good[:inferredCookieHead]...), 1, 255, 255, 255)), false, true},
		"doubled":           {"bespoke-profile=" + token + "; bespoke-profile=" + token, false, true},
		"other numbers":     {"bespoke-profile=" + seal(useInferred, other), false, true},
		"a later version":   {"bespoke-profile=" + seal(useInferred, newer), false, false},
		"a later profile":   {"bespoke-profile=" + seal(useInferred, newerInside), false, false},
		"a later seal":      {"bespoke-profile=" + "_" + token[1:], false, false},
		"five thousand x's": {"bespoke-profile=" + strings.Repeat("x", 5000), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, page := r.visitor(berlin).get("/", "Cookie", choice+"; "+tt.cookies)
			want := "absent"
			if tt.known {
				want = "lamp-white"
			}
			shown(t, name, told(t, followKeys, page), "profile.recent", want)
			before := rec.Stats().Events
			resp, _ := r.visitor(berlin).get("/product/lamp-black", "Cookie", choice+"; "+tt.cookies)
			if counted := rec.Stats().Events > before; counted != tt.written {
				t.Errorf("the event counts: %v", counted)
			}
			if written := strings.Contains(fmt.Sprint(resp.Header["Set-Cookie"]), "bespoke-profile="); written != tt.written {
				t.Errorf("the event wrote a profile: %v", written)
			}
		})
	}
}

// What was hidden is honoured as it was written, and for nobody else's numbers.
func TestHiddenCookies(t *testing.T) {
	r, rec := followed(t, "")
	seal := func(epoch uint32, plain ...byte) string {
		b := binary.BigEndian.AppendUint32([]byte{hiddenCookie}, epoch)
		return "bespoke-hidden=" + r.edge.sealer.Seal(append(b, plain...), profile.Binding{Use: string(useHidden), Tenant: "shop", Host: "shop.localhost"})
	}
	number, _ := rec.Catalogue().Number("lamp-white")
	var h profile.Hidden
	if err := h.Hide(number); err != nil {
		t.Fatal(err)
	}
	epoch, items := rec.Catalogue().Epoch(), h.AppendEncode(nil)
	good := seal(epoch, items...)
	for name, tt := range map[string]struct{ cookies, want string }{
		"good":            {good, "lamp-white"},
		"other numbers":   {seal(epoch+1, items...), "absent"},
		"cut":             {good[:len(good)-4], "absent"},
		"doubled":         {good + "; " + good, "absent"},
		"empty":           {seal(epoch), "absent"},
		"a later version": {seal(epoch, append([]byte{200}, items[1:]...)...), "absent"},
	} {
		_, page := r.visitor(berlin).get("/", "Cookie", tt.cookies)
		shown(t, name, told(t, followKeys, page), "preference.hidden", tt.want)
		resp, _ := r.visitor(berlin).do("PATCH", "/_bespoke/api/hidden", strings.NewReader(`{"hide":["lamp-black"]}`), "Cookie", tt.cookies, "Content-Type", "application/json")
		if newer := name == "a later version"; (resp.StatusCode == 409) != newer || (len(resp.Header["Set-Cookie"]) == 0) != newer {
			t.Errorf("%s: to hide another: %d %q", name, resp.StatusCode, resp.Header["Set-Cookie"])
		}
	}
}

// The cookies of all that is kept fit together, however much it is.
func TestCookiesFit(t *testing.T) {
	n := profile.SealedLen(profile.MaxPreferred) + profile.SealedLen(hiddenCookieHead+profile.MaxHiddenBytes) + profile.SealedLen(inferredCookieHead+profile.MaxInferred)
	if n > profile.MaxCookies {
		t.Errorf("%d characters, at most %d", n, profile.MaxCookies)
	}
}

// Which answers count as a look at an item, and which item that is.
func TestViews(t *testing.T) {
	page := func(body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			switch req.URL.RawQuery {
			case "gone":
				w.WriteHeader(404)
			case "data":
				w.Header().Set("Content-Type", "application/json")
			}
			fmt.Fprint(w, body)
		})
	}
	for name, tt := range map[string]struct {
		items, body, method, path string
		header                    []string
		want                      string // "": none
	}{
		"the path":              {everyProduct, "", "GET", "/product/lamp-black", nil, "lamp-black"},
		"the path, escaped":     {everyProduct, "", "GET", "/product/R%20%26%20D", nil, "R & D"},
		"the query":             {`items: "/p?id={item}"`, "", "GET", "/p?id=R+%26+D", nil, "R & D"},
		"unknown":               {everyProduct, "", "GET", "/product/nothing", nil, ""},
		"no items":              {"", "", "GET", "/product/lamp-black", nil, ""},
		"a failure":             {everyProduct, "", "GET", "/product/lamp-black?gone", nil, ""},
		"no page":               {everyProduct, "", "GET", "/product/lamp-black?data", nil, ""},
		"a form":                {everyProduct, "", "POST", "/product/lamp-black", nil, ""},
		"a header":              {everyProduct, "", "HEAD", "/product/lamp-black", nil, ""},
		"by a script":           {everyProduct, "", "GET", "/product/lamp-black", []string{"Sec-Fetch-Dest", "empty"}, ""},
		"in a frame":            {everyProduct, "", "GET", "/product/lamp-black", []string{"Sec-Fetch-Dest", "iframe"}, ""},
		"opened":                {everyProduct, "", "GET", "/product/lamp-black", []string{"Sec-Fetch-Dest", "document"}, "lamp-black"},
		"in advance":            {everyProduct, "", "GET", "/product/lamp-black", []string{"Sec-Purpose", "prefetch;prerender"}, ""},
		"the page":              {"items: {page: true}", "<p>x<p data-bespoke-item='lamp-black'>", "GET", "/x", nil, "lamp-black"},
		"the page, long":        {"items: {page: true}", "<main data-bespoke-item=lamp-black>" + strings.Repeat("<p>text", 60_000), "GET", "/x", nil, "lamp-black"},
		"the page, first":       {"items: {page: true}", "<!-- data-bespoke-item='tray-black'><p --><b data-bespoke-item='R &amp; D'></b><b data-bespoke-item=lamp-black>", "GET", "/x", nil, "R & D"},
		"the page, in a script": {"items: {page: true}", "<script>'<b data-bespoke-item=lamp-black>'</script>", "GET", "/x", nil, ""},
		"the page, not asked":   {everyProduct, "<p data-bespoke-item='lamp-black'>", "GET", "/x", nil, ""},
		"the path first":        {`items: {path: "/product/{item}", page: true}`, "<p data-bespoke-item='lamp-black'>", "GET", "/product/lamp-white", nil, "lamp-white"},
		"then the page":         {`items: {path: "/product/{item}", page: true}`, "<p data-bespoke-item='lamp-black'>", "GET", "/x", nil, "lamp-black"},
		"the page, a failure":   {"items: {page: true}", "<p data-bespoke-item='lamp-black'>", "GET", "/x?gone", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for its edge to end
			rec := house(t)
			items := tt.items
			if items != "" {
				items += ", "
			}
			r := newRig(t, page(tt.body), offering(rec), routes(`[{path: /**, `+items+`policies: [{use: greet, with: {slot: "#none"}}]}]`))
			v := r.visitor(berlin)
			v.setCookies(r.sealed(r.allows(abi.Personalize), nil))
			if resp, body := v.do(tt.method, tt.path, nil, tt.header...); tt.method == "GET" && !strings.HasPrefix(body, tt.body) && tt.body != "" {
				t.Errorf("the page did not pass: %d %.200s", resp.StatusCode, body)
			}
			_, known := v.get("/_bespoke/privacy/download")
			for _, title := range []string{"Black lamp", "White lamp", "Book", "Black tray"} {
				want := map[string]string{"lamp-black": "Black lamp", "lamp-white": "White lamp", "R & D": "Book", "tray-black": "Black tray"}[tt.want]
				if has := strings.Contains(known, title); has != (title == want) {
					t.Errorf("%s is known: %v\n%s", title, has, known)
				}
			}
		})
	}
}

// Pages of a route without policies are followed, too, and pass as they are.
func TestViewsWithoutPolicies(t *testing.T) {
	r := newRig(t, html("<p>x"), offering(house(t)), routes(`[{path: /**, items: "/product/{item}"}]`))
	v := r.visitor(berlin)
	v.setCookies(r.sealed(r.allows(abi.Personalize), nil))
	resp, body := v.get("/product/lamp-black")
	if body != "<p>x" || v.valueOf("bespoke-profile") == "" || resp.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("%v %q", resp.Header, body)
	}
	resp, body = r.visitor(berlin).get("/product/lamp-black")
	if body != "<p>x" || len(resp.Header["Set-Cookie"]) > 0 || resp.Header.Get("Cache-Control") != "public, max-age=600" {
		t.Errorf("of who granted nothing: %v %q", resp.Header, body)
	}
}

// What a visitor muted is in no band, and bands have what was asked for of them.
func TestBands(t *testing.T) {
	keys := []string{
		"recommend.best-sellers?n=2", "recommend.best-sellers?n=100", "recommend.similar?item=lamp-black&n=1", "recommend.similar?item=R+%26+D&n=1",
		"recommend.similar", "recommend.similar?item=nothing", "recommend.deals?n=0", "recommend.deals?n=x", "recommend.bought-together?item=%zz", "recommend.nothing", "recommend.trending?n=1",
	}
	r := withPolicy(t, html(slots(keys)), teller(keys, declareAll([]string{"recommend.best-sellers", "recommend.similar", "recommend.deals", "recommend.bought-together", "recommend.trending"})), offering(house(t)))
	lines := func(s string) int {
		if s == "absent" {
			return 0
		}
		return 1 + strings.Count(s, "\n")
	}
	count := func(p *profile.Preferences) string {
		_, page := r.visitor(berlin).get("/", "Cookie", r.sealed(nil, p))
		got := told(t, keys, page)
		var n []int
		for _, k := range keys {
			n = append(n, lines(got[k]))
		}
		if p != nil && (strings.Contains(page, "=black") || strings.Contains(page, "BLACK")) {
			t.Errorf("muted, and there: %s", page)
		}
		return fmt.Sprint(n)
	}
	if got, want := count(nil), "[2 7 1 1 0 0 0 0 0 0 1]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := count(&profile.Preferences{Muted: []string{"BLACK"}}), "[2 4 1 1 0 0 0 0 0 0 1]"; got != want {
		t.Errorf("black is muted: %s, want %s", got, want)
	}
	// Without a catalogue there are none.
	r = withPolicy(t, html(slots(keys)), teller(keys, declareAll([]string{"recommend.best-sellers"})))
	if got, want := count(nil), "[0 0 0 0 0 0 0 0 0 0 0]"; got != want {
		t.Errorf("without a catalogue: %s", got)
	}
}

// Many events of one visitor are one visitor's, and the cookie stays small.
func TestFlood(t *testing.T) {
	r, rec := followed(t, everyProduct)
	v := r.visitor(berlin)
	v.choose("action=allow-all")
	one := `{"kind":"purchase","item":"tray-black"},{"kind":"search","q":"x","attributes":{"colour":"red"}},{"kind":"mail-click"}`
	for range 40 {
		v.sendEvent(t, "["+strings.Repeat(one+",", 9)+one+"]")
	}
	rec.Settle()
	if s := rec.Stats(); s.Open != 0 || s.Sessions > 8 {
		t.Errorf("aggregates: %+v", s)
	}
	if c := v.valueOf("bespoke-profile"); len(c) > 200 {
		t.Errorf("the profile has %d characters", len(c))
	}
	shown(t, "flood", v.tells(t, "/"), "profile.purchases", "tray-black", "profile.engagement", "mail\t1")
}

// Who shares a browser with somebody whom the site knew does not get their profile;
// what was done before it knew them goes with them.
func TestProfileOfOneBrowser(t *testing.T) {
	r, tells := knownHouse(t, "profile.recent")
	v := r.visitor(sanFrancisco)
	recent := func(want string) {
		t.Helper()
		if got := tells(v)["profile.recent"]; got != want {
			t.Errorf("recent: %q, want %q", got, want)
		}
	}
	v.get("/product/lamp-black")
	v.login("jane")
	recent("lamp-black")
	v.get("/product/lamp-white")
	recent("lamp-white\nlamp-black")
	v.get("/login/-")
	recent("absent")
	v.login("john")
	recent("absent")
	v.get("/product/kettle-black")
	v.login("jane")
	recent("lamp-white\nlamp-black") // from the store
}

// Opening, updating and sealing a full profile, as a part of an exchange.
func BenchmarkFollow(b *testing.B) {
	r, rec := followed(b, everyProduct)
	ctx := new(fasthttp.RequestCtx)
	ctx.Request.Header.SetHost("shop.localhost")
	x := &exchange{edge: r.edge, ctx: ctx, snap: r.edge.current.Load(), began: time.Now()}
	if f := x.findTenant(); f != noFault {
		b.Fatal(f)
	}
	x.decision = consent.Decide(consent.Signals{Choice: &consent.Choice{Granted: consent.All, At: x.began, Epoch: 1}, Now: x.began})
	full := &inferred{session: 7}
	for i := range uint32(80) {
		full.View(i%20+1000, []uint32{2000 + i}, profile.Memory{}.At(x.began.Add(time.Duration(i-100)*time.Minute)))
	}
	token := r.edge.sealer.Seal(full.encode(rec.Catalogue().Epoch(), uint32(x.began.Unix()), ownerTag{}), x.binding(useInferred))
	b.ReportAllocs()
	for b.Loop() {
		x.cookies.inferred = ownCookie{[]byte(token), 1}
		x.item = "lamp-black"
		ctx.Response.Header.Reset()
		x.follow()
		x.inferred.close()
		x.inferred = nil
	}
	b.StopTimer()
	if s := rec.Stats(); s.Events+1 == 0 || len(ctx.Response.Header.PeekCookie("bespoke-profile")) == 0 {
		b.Errorf("nothing was kept: %+v", s)
	}
	b.ReportMetric(float64(len(token)), "chars")
}

// What a policy waits for when it asks for a band.
func BenchmarkBand(b *testing.B) {
	r, _ := followed(b, everyProduct)
	ctx := new(fasthttp.RequestCtx)
	ctx.Request.Header.SetHost("shop.localhost")
	x := &exchange{edge: r.edge, ctx: ctx, snap: r.edge.current.Load(), began: time.Now()}
	if f := x.findTenant(); f != noFault {
		b.Fatal(f)
	}
	v := &view{x: x}
	b.ReportAllocs()
	for b.Loop() {
		x.tell().band = ""
		if value, ok := v.recommended("best-sellers?n=5"); !ok || len(value) < 100 {
			b.Fatalf("%q", value)
		}
	}
}

package edge

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"bespoke/host/recommend"
)

// shapely answers with the pages of the non-interference test, in the shape that the
// request asks for. /gone repeats all that it was sent.
func shapely() http.Handler {
	bodies := pairBodies()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := bodies[r.URL.Path]
		if !ok {
			body = bodies["/"]
		}
		h := w.Header()
		h.Set("Content-Type", pairType(r.URL.Path))
		h.Add("X-Of-Origin", "one")
		h.Add("X-Of-Origin", "two")
		if r.URL.Path == "/gone" {
			var all bytes.Buffer
			r.Write(&all)
			body = fmt.Sprintf("<!DOCTYPE html><p>%s\n%s", r.URL.RawQuery, all.Bytes())
		}
		for name, value := range map[string]string{"X-Caching": "Cache-Control", "X-Sets": "Set-Cookie", "X-Knows": "Bespoke-Subject"} {
			if v := r.Header.Get(name); v != "" {
				h.Set(value, v)
			}
		}
		var out io.Writer = w
		shape := r.Header.Get("X-Shape")
		if strings.Contains(shape, "coded") {
			h.Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			out = z
		} else if !strings.Contains(shape, "chunked") {
			h.Set("Content-Length", fmt.Sprint(len(body)))
		}
		for len(body) > 0 {
			n := min(700, len(body))
			io.WriteString(out, body[:n])
			if body = body[n:]; strings.Contains(shape, "chunked") {
				w.(http.Flusher).Flush()
			}
		}
	})
}

// keepingSite is a site with every built-in policy, hostile ones, and an uploaded one.
func keepingSite(t *testing.T) *kept {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	fences := file("fences.geojson", []byte(`{"type":"FeatureCollection","features":[
{"type":"Feature","properties":{"name":"berlin","radius_km":30},"geometry":{"type":"Point","coordinates":[13.405,52.52]}},
{"type":"Feature","properties":{"name":"san-francisco","radius_km":30},"geometry":{"type":"Point","coordinates":[-122.4194,37.7749]}},
{"type":"Feature","properties":{"name":"tokyo","radius_km":30},"geometry":{"type":"Point","coordinates":[139.6503,35.6762]}}]}`))
	hostile := hostileGuest(hostileKeys(), hostileDeclares())
	routed := fmt.Sprintf(pairRoutes, file("hostile.wasm", hostile), file("sly.wasm", hostileGuest(hostileKeys(), map[string]string{"config.*": "to test"})), file("failing.wasm", failingGuest()))
	rec, err := recommend.Open("", recommend.Options{Manual: true, Support: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rec.Close() })
	if err := rec.Load(strings.NewReader(pairCatalogue()), nil); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range uint64(40) {
		rec.Event(recommend.Event{Kind: recommend.Purchase, Item: uint32(1 + i%7), Session: i + 1, Visitor: i + 1, Time: now.Add(-time.Hour)})
	}
	rec.Advance(now)
	rec.Learn()
	k := keeping(t, shapely(), routes(routed), ofTenant("fences: "+fences), offering(rec), withSubjects())
	if _, err := k.rig.store.Registry().Upload("shop", "hostile", hostile, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := k.rig.store.Registry().Activate("shop", "hostile", 1); err != nil {
		t.Fatal(err)
	}
	return k
}

// sitePaths are those of its pages.
func sitePaths() (paths []string) {
	for _, p := range pairPages() {
		if p.host == shopHost && p.method == "" && !p.own {
			paths = append(paths, p.path)
		}
	}
	return paths
}

// Every built-in policy, hostile ones and an uploaded one, on HTML, XML and JSON in every
// shape: what is kept of refusing visitors comes out again to the byte, and so does its record.
func TestExhibitsOfAllPolicies(t *testing.T) {
	k := keepingSite(t)
	refusing := k.visitor(berlin)
	refusing.choose("action=refuse-all")
	for _, v := range []*visitor{
		refusing,
		k.visitor(sanFrancisco, "Sec-GPC", "1", "Accept-Language", "de-CH, fr;q=0.5", "Accept-Encoding", "gzip", "Sec-Fetch-Dest", "document"),
		k.visitor(nowhere, "X-Shape", "chunked", "Sec-Fetch-Dest", "document"),
		k.visitor(nowhere, "X-Shape", "chunked coded", "Accept-Encoding", "gzip"),
		k.visitor(nowhere, "X-Shape", "coded"),
	} {
		for _, path := range sitePaths() {
			v.get(path)
			k.settle()
		}
	}
	all := k.all()
	byPath, streamed, bands := map[string]int{}, 0, 0
	for _, e := range all {
		byPath[string(e.Request.Target)]++
		if e.Streamed {
			streamed++
		}
		for _, run := range e.Runs {
			for _, r := range run.Reads {
				if strings.HasPrefix(r.Key, "recommend.") && r.Value != nil {
					bands++
				}
			}
		}
	}
	for _, path := range sitePaths() {
		want := 5
		switch path {
		case "/plain": // no policy
			want = 0
		}
		if path != "/gone" && byPath[path] != want { // what repeats a visitor's address
			t.Errorf("%s: %d exhibits, want %d", path, byPath[path], want)
		}
	}
	if streamed == 0 || bands == 0 {
		t.Errorf("%d streamed, %d bands: the test shows little", streamed, bands)
	}
	if got := k.replay(); !got.OK() || got.Exhibits != len(all) || got.Gone+got.Unnamed != 0 {
		t.Errorf("%d of %d exhibits, %d gone, %d unnamed, %d differences", got.Exhibits, len(all), got.Gone, got.Unnamed, got.Different)
		for _, d := range got.Differences[:min(10, len(got.Differences))] {
			t.Error(d.Exhibit, all[d.Exhibit].Request.Target, d.Text)
		}
	}
}

// Nothing of what is a visitor's own is in any file of the exhibits.
func TestExhibitsHoldNothingPersonal(t *testing.T) {
	k := keepingSite(t)
	const planted = "planted-by-nobody"
	named := "name=Zuleika&muted=" + planted + "-muted&action="
	refusing, agreeing, account := k.visitor(berlin), k.visitor(berlin), k.visitor(sanFrancisco)
	refusing.choose(named + "allow-all")
	for _, v := range []*visitor{refusing, agreeing, account} {
		if v != refusing {
			v.choose(named + "allow-all")
		}
		v.get("/p/lamp-black")
		v.get("/p/crayons")
	}
	account.get("/", "X-Knows", planted+"-account")
	refusing.choose("action=refuse-all&name=Zuleika&muted=" + planted + "-muted")
	plain := k.visitor(nowhere)
	plain.client.Jar = nil // else one cookie would be in all that follows
	for _, path := range append(sitePaths(), "/gone") {
		for _, v := range []*visitor{refusing, agreeing, account} {
			v.get(path)
			k.settle()
		}
		for _, header := range [][2]string{
			{"Cookie", "session=" + planted + "-cookie"}, {"Authorization", "Bearer " + planted + "-token"}, {"User-Agent", planted + "-browser"},
			{"Referer", "http://elsewhere.example/" + planted}, {"X-Sets", "id=" + planted + "-set"}, {"X-Knows", planted + "-subject"},
			{"X-Mine", planted + "-field"}, {"X-Caching", "private; " + planted},
		} {
			plain.get(path, header[0], header[1])
			k.settle()
		}
		plain.get(path + "?q=" + planted + "-read&name=" + planted + "-unread")
		plain.get(path, "Accept-Language", "tlh;q=0.4, x-klingon")
		plain.get(path + "?" + planted)
		plain.get(path + "?q=x&q=" + planted + "-second")
		plain.do("POST", path, strings.NewReader(planted+"-body"))
		k.settle()
	}
	k.stop()
	files := 0
	err := filepath.WalkDir(k.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		z, err := zstd.NewReader(f)
		if err != nil {
			return err
		}
		defer z.Close()
		text, err := io.ReadAll(z)
		if err != nil {
			return err
		}
		if strings.Contains(path, "wasm") {
			return nil
		}
		if bytes.Contains(text, []byte("tlh;q=0.4, x-klingon")) && !bytes.Contains(text, []byte(`"request.header.accept-language"`)) {
			t.Errorf("%s holds languages that no policy read", filepath.Base(path))
		}
		for _, personal := range []string{planted, "Zuleika", "Berlin", "San Francisco", berlin, sanFrancisco, nowhere} {
			if i := bytes.Index(text, []byte(personal)); i >= 0 {
				t.Errorf("%s holds %q: %q", filepath.Base(path), personal, text[max(0, i-80):min(len(text), i+80)])
			}
		}
		return nil
	})
	if err != nil || files < 50 {
		t.Fatalf("%d files, %v", files, err)
	}
	for _, why := range []string{whyRequest, whyNamed, whyQuery, whyPersonal, whyAnswer, whyEchoes, whySent, whyKnown} {
		if !strings.Contains(k.log.String(), why) {
			t.Errorf("no exchange is left out because %s: the test shows less than it means to", why)
		}
	}
	if got := k.replay(); !got.OK() {
		t.Errorf("%d differences, first %+v", got.Different, got.Differences[0])
	}
}

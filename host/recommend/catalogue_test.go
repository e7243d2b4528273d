package recommend

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func load(t testing.TB, r *Recommender, text string) {
	t.Helper()
	if err := r.Load(strings.NewReader(text), nil); err != nil {
		t.Fatal(err)
	}
}

// manual opens a recommender in memory, or in a folder, whose time the test tells.
func manual(t testing.TB, dir string, o Options) *Recommender {
	t.Helper()
	o.Manual = true
	r, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Restored() == nil && r.now.Load() == 1 {
		// Two visitors may share a bit of a crowd; which do is the seed's. Tests that
		// count visitors need the same ones each time.
		r.seed, r.flood = 7, newFlood(7)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

const twoJSON = `{"id":"chair","title":"A <chair>","url":"/c","image":"https://x.test/c.svg","price":40,"was":"50.00","currency":"EUR","stock":3,"lat":52.5,"lon":13.4,"attributes":{"colour":["black","oak"],"legs":4}}

{"id":12,"title":"Lamp","price":9.99,"stock":false}
`

const twoCSV = "\ufeffID,Title,url,image,price,was-price,currency,stock,lat,lon,colour,attributes.legs\r\n" +
	"chair,A <chair>,/c,https://x.test/c.svg,40,50.00,EUR,3,52.5,13.4,black|oak,4\r\n" +
	"12,\"Lamp\",,,9.99,,,out of stock,,,,\r\n"

func TestCatalogueForms(t *testing.T) {
	for name, text := range map[string]string{"JSON Lines": twoJSON, "CSV": twoCSV} {
		t.Run(name, func(t *testing.T) {
			r := manual(t, "", Options{})
			load(t, r, text)
			c := r.Catalogue()
			n, ok := c.Number("chair")
			it, ok2 := c.Item(n)
			if !ok || !ok2 || c.Len() != 2 {
				t.Fatalf("the chair is not there; %d items", c.Len())
			}
			want := Item{Number: n, ID: "chair", Title: "A <chair>", URL: "/c", Image: "https://x.test/c.svg", Price: 40, Was: 50, Currency: "EUR", InStock: true, Placed: true}
			values := it.Values
			if it.Lat != 52.5 || it.Lon < 13.39 || it.Lon > 13.41 {
				t.Errorf("place %v, %v", it.Lat, it.Lon)
			}
			it.Lat, it.Lon, it.Values = 0, 0, nil
			if fmt.Sprint(it) != fmt.Sprint(want) {
				t.Errorf("got  %+v\nwant %+v", it, want)
			}
			if it.Discount() < 0.199 || it.Discount() > 0.201 {
				t.Errorf("discount %v", it.Discount())
			}
			var said []string
			for _, v := range values {
				k, v, _ := c.Attribute(v)
				said = append(said, k+"="+v)
			}
			slices.Sort(said)
			if got := strings.Join(said, " "); got != "colour=black colour=oak legs=4" {
				t.Errorf("attributes %s", got)
			}
			black, _ := c.Value("colour", "black")
			if got := c.With(black); !slices.Equal(got, []uint32{n}) {
				t.Errorf("with black: %v", got)
			}
			lamp, _ := c.Number("12")
			if it, _ := c.Item(lamp); it.InStock || it.Title != "Lamp" || it.Discount() != 0 {
				t.Errorf("lamp %+v", it)
			}
		})
	}
}

func TestCatalogueRefused(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "the catalogue is empty"},
		{"blank", "\n \n", "the catalogue is empty"},
		{"no id", `{"title":"x"}`, "line 1: id: missing"},
		{"price", "{\"id\":\"a\"}\n{\"id\":\"b\",\"price\":\"12,50\"}", `line 2: price: "12,50" is no number`},
		{"negative", `{"id":"a","price":-1}`, "line 1: price: -1 is not from 0"},
		{"huge", `{"id":"a","price":1e13}`, "line 1: price"},
		{"not a number", "id,price\na,NaN", `line 2: price: "NaN" is no number`},
		{"twice", "{\"id\":\"a\"}\n\n{\"id\":\"a\"}", `line 3: id: "a" is on line 1 already`},
		{"field", `{"id":"a","colour":"red"}`, `line 1: "colour": no such field`},
		{"broken", "{\"id\":\"a\"}\n{\"id\":", "line 2: not JSON"},
		{"list", `[{"id":"a"}]`, "line 1: not a JSON object"},
		{"two", `{"id":"a"}{"id":"b"}`, "line 1: something follows"},
		{"script", `{"id":"a","url":"javascript:alert(1)"}`, "line 1: url"},
		{"script 2", `{"id":"a","image":"JavaScript:alert(1)"}`, "line 1: image"},
		{"control", `{"id":"a\nb"}`, "line 1: id: control character U+000A"},
		{"line separator", `{"id":"a","title":"x\u2028y"}`, "line 1: title: control character"},
		{"long id", `{"id":"` + strings.Repeat("x", 129) + `"}`, "line 1: id: 129 bytes"},
		{"long title", `{"id":"a","title":"` + strings.Repeat("x", 513) + `"}`, "line 1: title: 513 bytes"},
		{"long line", `{"id":"` + strings.Repeat("x", 70_000) + `"}`, "line 1: longer than"},
		{"bytes", "{\"id\":\"\xff\"}", "line 1: not UTF-8"},
		{"half a place", `{"id":"a","lat":1}`, "line 1: lat, lon: one"},
		{"no place", `{"id":"a","lat":91,"lon":0}`, "line 1: lat, lon: 91"},
		{"stock", `{"id":"a","stock":"perhaps"}`, `line 1: stock: "perhaps"`},
		{"stock below none", `{"id":"a","stock":-2}`, "line 1: stock"},
		{"attributes", `{"id":"a","attributes":{"x":{"y":1}}}`, "line 1: attributes"},
		{"many", `{"id":"a","attributes":{"x":[` + strings.Repeat("1,", 64) + `1]}}`, "line 1: attributes: 65 values"},
		{"header", "title,price\nx,1", `line 1: header: no column "id"`},
		{"header twice", "id,ID\nx,1", `line 1: header: "id" is there twice`},
		{"columns", "id,title\na,b\nc\n", "line 3: 1 columns, the header has 2"},
		{"quote", "id,title\na,\"b\nc,d\n", "line 2: CSV"},
		{"open quote", "id,title\na,\"" + strings.Repeat("x\n", 100_000), "a quote may be open"},
		{"row", "id,title\n\"a\nb\",c\nd,e", "line 2: id: control character"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := manual(t, "", Options{})
			load(t, r, `{"id":"before"}`)
			err := r.Load(strings.NewReader(c.text), nil)
			var p Problems
			if !errors.As(err, &p) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if _, ok := r.Catalogue().Number("before"); !ok || r.Catalogue().Len() != 1 {
				t.Error("the catalogue before is gone")
			}
		})
	}
}

// Problems after a line are told with their own lines, and not without end.
func TestCatalogueManyProblems(t *testing.T) {
	r := manual(t, "", Options{})
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "{\"id\":\"%d\",\"price\":%d}\n", i, 1-2*(i%2))
	}
	var p Problems
	if err := r.Load(strings.NewReader(b.String()), nil); !errors.As(err, &p) {
		t.Fatal(err)
	}
	if len(p) != maxProblems || p[0].Line != 2 || p[1].Line != 4 {
		t.Errorf("%d problems: %v", len(p), p)
	}
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, errors.New("the line broke") }

func TestCatalogueReadError(t *testing.T) {
	dir := t.TempDir()
	r := manual(t, dir, Options{})
	err := r.Load(io.MultiReader(strings.NewReader("{\"id\":\"a\"}\n"), badReader{}), nil)
	if err == nil || !strings.Contains(err.Error(), "the line broke") {
		t.Errorf("got %v", err)
	}
	if files(t, dir) != "numbers" {
		t.Errorf("files %s", files(t, dir))
	}
}

// A number is for good: through reloads, restarts, and an absence.
func TestNumbersStay(t *testing.T) {
	dir := t.TempDir()
	r := manual(t, dir, Options{})
	load(t, r, `{"id":"a","attributes":{"c":"red"}}
{"id":"b","attributes":{"c":"blue"}}`)
	epoch := r.Catalogue().Epoch()
	a, _ := r.Catalogue().Number("a")
	b, _ := r.Catalogue().Number("b")
	blue, _ := r.Catalogue().Value("c", "blue")
	load(t, r, `{"id":"c","attributes":{"c":"green"}}`)
	if _, ok := r.Catalogue().Number("b"); ok {
		t.Error("b is still there")
	}
	if _, ok := r.Catalogue().Item(b); ok {
		t.Error("b's number still gives an item")
	}
	r.Close()
	r = manual(t, dir, Options{})
	if err := r.Restored(); err != nil {
		t.Fatal(err)
	}
	load(t, r, `{"id":"d","attributes":{"c":"pink"}}
{"id":"b","attributes":{"c":"blue"}}
{"id":"a"}`)
	a2, _ := r.Catalogue().Number("a")
	b2, _ := r.Catalogue().Number("b")
	blue2, _ := r.Catalogue().Value("c", "blue")
	if a2 != a || b2 != b || blue2 != blue || r.Catalogue().Epoch() != epoch {
		t.Errorf("a %d→%d, b %d→%d, blue %d→%d, epoch %d→%d", a, a2, b, b2, blue, blue2, epoch, r.Catalogue().Epoch())
	}
}

func TestNumbersReclaimed(t *testing.T) {
	n := newNames(3)
	for i, name := range []string{"a", "b", "c"} {
		if got, err := n.give(name, 100); err != nil || got != uint32(i+1) {
			t.Fatal(got, err)
		}
	}
	if _, err := n.give("d", 100); err == nil {
		t.Error("a fourth of three")
	}
	n.give("b", 300)
	if gone := n.reclaim(100 + keepGone); len(gone) != 0 {
		t.Errorf("%v are gone within a year", gone)
	}
	if gone := n.reclaim(101 + keepGone); !slices.Equal(gone, []uint32{1, 3}) {
		t.Errorf("%v are gone after a year", gone)
	}
	if got, _ := n.give("b", 500); got != 2 {
		t.Errorf("b is %d", got)
	}
	x, _ := n.give("x", 500)
	y, _ := n.give("y", 500)
	if x+y != 4 || x == y {
		t.Errorf("x %d, y %d: of 1 and 3", x, y)
	}
}

// What is offered at the end of a long time without uploads was not gone.
func TestOfferedIsNotGone(t *testing.T) {
	r := manual(t, "", Options{})
	load(t, r, `{"id":"a"}`)
	a, _ := r.Catalogue().Number("a")
	r.Catalogue().nums.items.seen[a] = 1 // long ago
	load(t, r, `{"id":"z"}`)
	load(t, r, "{\"id\":\"b\"}\n{\"id\":\"a\"}")
	if got, _ := r.Catalogue().Number("a"); got != a {
		t.Errorf("a was %d, is %d", a, got)
	}
}

// What was known under a number that another item gets is not known of that item.
func TestReclaimedForgets(t *testing.T) {
	r := manual(t, "", Options{Support: 1})
	load(t, r, "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}")
	visit(r, 1, "a", "b", "c")
	b, _ := r.Catalogue().Number("b")
	load(t, r, "{\"id\":\"a\"}\n{\"id\":\"c\"}")
	r.Catalogue().nums.items.seen[b] = 1
	load(t, r, "{\"id\":\"a\"}\n{\"id\":\"new\"}\n{\"id\":\"c\"}")
	if got, _ := r.Catalogue().Number("new"); got != b {
		t.Fatalf("new is %d, not %d: the test shows nothing", got, b)
	}
	a, _ := r.Catalogue().Number("a")
	for _, band := range []Band{Similar, ForYou, BestSellers} {
		for _, it := range r.Band(band, Query{Item: a, Exact: true}) {
			if it.ID == "new" {
				t.Errorf("%v shows new for what b was", band)
			}
		}
	}
}

func FuzzCatalogue(f *testing.F) {
	f.Add([]byte(twoJSON))
	f.Add([]byte(twoCSV))
	f.Add([]byte("id,price\n\"a\"\"b\",1\n"))
	f.Add([]byte(`{"id":"a","attributes":{"x":[1,true,"z",null]},"stock":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := newBuilder(newNumbers(), 1)
		if err := b.read(bytes.NewReader(text), nil); err != nil {
			t.Fatal(err)
		}
		c, err := b.done()
		if err != nil {
			var p Problems
			if !errors.As(err, &p) || len(p) > maxProblems+1 {
				t.Fatal(err)
			}
			return
		}
		for it := range c.All() {
			if n, ok := c.Number(it.ID); !ok || n != it.Number || it.Number == 0 {
				t.Fatalf("%q is %d, found as %d", it.ID, it.Number, n)
			}
			raw := rawItem{id: it.ID, title: it.Title, url: it.URL, image: it.Image, currency: it.Currency, price: it.Price, was: it.Was}
			if err := raw.check(); err != nil || len(it.Values) > maxAttributes {
				t.Fatalf("%+v: %v", it, err)
			}
			for _, v := range it.Values {
				if _, _, ok := c.Attribute(v); !ok || !slices.Contains(c.With(v), it.Number) {
					t.Fatalf("value %d of %q", v, it.ID)
				}
			}
		}
	})
}

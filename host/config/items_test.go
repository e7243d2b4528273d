package config

import "testing"

func TestItem(t *testing.T) {
	query := func(name string) string {
		if name == "id" {
			return "q7"
		}
		return ""
	}
	for _, c := range []struct{ pattern, path, want string }{
		{"/product/{item}", "/product/7", "7"},
		{"/product/{item}", "/product/", ""},
		{"/product/{item}", "/product", ""},
		{"/product/{item}", "/product/7/reviews", ""},
		{"/product/{item}", "/product/7/", ""},
		{"/product/{item}", "/Product/7", ""},
		{"/product/{item}/**", "/product/7/reviews/2", "7"},
		{"/product/{item}/**", "/product/7", "7"},
		{"/*/p-{item}.html", "/shop/p-lamp 5.html", "lamp 5"},
		{"/*/p-{item}.html", "/shop/p-.html", ""},
		{"/*/p-{item}.html", "//p-1.html", ""},
		{"/*/p-{item}.html", "/shop/q-1.html", ""},
		{"/{item}", "/", ""},
		{"/{item}", "", ""},
		{"/p?id={item}", "/p", "q7"},
		{"/p?id={item}", "/q", ""},
		{"/p?no={item}", "/p", ""},
		{"/**?id={item}", "/any/where", "q7"},
		{"", "/p", ""},
	} {
		i := Items{Path: c.pattern}
		got, ok := i.Item(c.path, query)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s of %s: %q, %v, want %q", c.pattern, c.path, got, ok, c.want)
		}
	}
	i := Items{Path: "/*/p-{item}.html"}
	if n := testing.AllocsPerRun(100, func() { i.Item("/shop/p-7.html", query) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzItem(f *testing.F) {
	f.Add("/a/{item}", "/a/b")
	f.Add("/**?x={item}", "/")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		d := newDecoder("x.yaml", nil)
		i := Items{Path: d.itemPattern(&node{kind: scalar, text: pattern})}
		if d.faults() != nil || len(path) == 0 || path[0] != '/' {
			return
		}
		if id, ok := i.Item(path, func(string) string { return "q" }); ok && id != "q" && len(id) >= len(path) {
			t.Errorf("%q of %q is %q", pattern, path, id)
		}
	})
}

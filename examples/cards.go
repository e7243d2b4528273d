package examples

import (
	"embed"
	"net/http"
	"strings"
)

//go:embed cards
var cardsFiles embed.FS

// palettes colour the drawings: paper, main, second and dark.
var palettes = []struct{ name, a, b, c, d string }{
	{"coral", "#ffe3d8", "#e2583e", "#f6b648", "#7a2418"},
	{"sea", "#d8edf2", "#2b7f99", "#f2c14e", "#123f52"},
	{"moss", "#e6eed8", "#5b8c3e", "#e9a13b", "#2c4420"},
	{"plum", "#efe0f1", "#8a4596", "#f0a6b8", "#3f1c49"},
	{"sun", "#fff1c9", "#e8912d", "#c8402f", "#6b3a0d"},
	{"slate", "#e3e7ee", "#56657f", "#e8b65a", "#242d3d"},
}

// cards is the origin of a shop for printed things: drawings of eight motifs,
// on products that wait for the visitor's words.
func cards() http.Handler {
	products := catalogue(cardsFiles, "cards/products.jsonl")
	occasions := grouped(products, "occasion")
	f := frame{
		Name: "cards", Brand: "Paper Lantern", Footer: "Paper Lantern. Printed for one.",
		Nav: []link{{Href: "/", Label: "Shop"}, {Href: "/design.html", Label: "Designer"}},
		Data: struct {
			Products    []item
			Occasions   []label
			Inks, Fonts []option
		}{
			products, occasions,
			[]option{{ID: "coal", Title: "Coal"}, {ID: "red", Title: "Red"}, {ID: "blue", Title: "Blue"}, {ID: "green", Title: "Green"}, {ID: "plum", Title: "Plum"}, {ID: "gold", Title: "Gold"}},
			[]option{{ID: "plain", Title: "Plain"}, {ID: "book", Title: "Book"}, {ID: "hand", Title: "Hand"}, {ID: "typed", Title: "Typed"}},
		},
	}
	s := build(cardsFiles, f, nil)
	list := parsePage(cardsFiles, "cards", "cards/one/occasion.html", nil)
	for _, o := range occasions {
		url := "/occasion/" + o.Name + ".html"
		s.put(url, list(page{frame: f, Page: "occasion", Path: url, One: o}))
	}
	product := parsePage(cardsFiles, "cards", "cards/one/product.html", nil)
	for _, p := range products {
		s.put(p.URL, product(page{frame: f, Page: "product", Path: p.URL, One: p}))
	}
	motifs, err := cardsFiles.ReadDir("cards/motifs")
	must("cards/motifs", err)
	for _, m := range motifs {
		drawing, err := cardsFiles.ReadFile("cards/motifs/" + m.Name())
		must(m.Name(), err)
		for _, p := range palettes {
			paint := strings.NewReplacer("{a}", p.a, "{b}", p.b, "{c}", p.c, "{d}", p.d)
			s.put("/art/"+strings.TrimSuffix(m.Name(), ".svg")+"-"+p.name+".svg", []byte(paint.Replace(string(drawing))))
		}
	}
	return s
}

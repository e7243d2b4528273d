package examples

import (
	"embed"
	"net/http"
)

//go:embed builder
var builderFiles embed.FS

// An option is a value that a visitor can choose. Its ID is part of a class of
// the stylesheet, or the name of a file.
type option struct{ ID, Title, About, Goes string }

// builder is the origin of a site builder: a site in its first design, and the
// forms to change that.
func builder() http.Handler {
	return build(builderFiles, frame{
		Name: "builder", Brand: "Plinth", Footer: "Plinth. Your site, on its feet.",
		Nav: []link{{Href: "/", Label: "Your site"}, {Href: "/design.html", Label: "Design"}, {Href: "/themes.html", Label: "Themes"}},
		Data: struct{ Themes, Accents, Fonts, Logos []option }{
			Themes: []option{
				{"sand", "Sand", "Warm paper, brown ink. Made for pots and bread.", "rust"},
				{"snow", "Snow", "White and quiet. Lets pictures speak.", "coal"},
				{"moss", "Moss", "Soft green, as under a hedge.", "fern"},
				{"blush", "Blush", "Pink paper with a dark red hand.", "plum"},
				{"dusk", "Dusk", "Violet evening, light letters.", "ochre"},
				{"night", "Night", "Almost black. Easy on tired eyes.", "sea"},
			},
			Accents: []option{{ID: "rust", Title: "Rust"}, {ID: "ochre", Title: "Ochre"}, {ID: "fern", Title: "Fern"}, {ID: "sea", Title: "Sea"}, {ID: "plum", Title: "Plum"}, {ID: "coal", Title: "Coal"}},
			Fonts:   []option{{ID: "plain", Title: "Plain"}, {ID: "book", Title: "Book"}, {ID: "round", Title: "Round"}, {ID: "typed", Title: "Typed"}},
			Logos: []option{
				{ID: "bowl", Title: "Bowl"}, {ID: "kiln", Title: "Kiln"}, {ID: "leaf", Title: "Leaf"},
				{ID: "wave", Title: "Waves"}, {ID: "star", Title: "Star"}, {ID: "house", Title: "House"},
			},
		},
	}, nil)
}

package examples

import (
	"embed"
	"html/template"
	"net/http"
	"time"
)

//go:embed letters
var lettersFiles embed.FS

// letters is the origin of a mailing list: its archive, the subscriber's own
// page, and what its mailer asks before it writes.
func letters() http.Handler {
	list := catalogue(lettersFiles, "letters/letters.jsonl")
	funcs := template.FuncMap{"date": func(s string) string {
		t, err := time.Parse(time.DateOnly, s)
		must(s, err)
		return t.Format("2 January 2006")
	}}
	f := frame{
		Name: "letters", Brand: "Windfall", Footer: "Windfall. Letters about fruit.",
		Nav:  []link{{Href: "/", Label: "Archive"}, {Href: "/subscriber.html", Label: "How often"}},
		Data: list,
	}
	s := build(lettersFiles, f, funcs)
	letter := parsePage(lettersFiles, "letters", "letters/one/letter.html", funcs)
	for _, it := range list {
		s.put(it.URL, letter(page{frame: f, Page: "letter", Path: it.URL, One: it}))
	}
	return s
}

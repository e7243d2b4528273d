package examples

import (
	"bytes"
	"embed"
	"encoding/xml"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed river
var riverFiles embed.FS

// The feeds refer to themselves by an address, as both formats ask for; the
// demo's own port is not known here, and readers do not need it.
const riverURL = "http://river.localhost/"

// riverNewest is how many stories the page and each feed have.
const riverNewest = 60

type source struct {
	ID, Title, About string
	Count            int
	Latest           item
}

// river is the origin of a news river: a page, and the same as RSS and Atom.
func river() http.Handler {
	stories := catalogue(riverFiles, "river/stories.jsonl")
	sources := []source{
		{ID: "beta", Title: "Beta Notes", About: "Computing, soldered and compiled"},
		{ID: "gear", Title: "Gearbox", About: "Bicycles, trams and other things that turn"},
		{ID: "half", Title: "Half Time", About: "Local sport, all leagues"},
		{ID: "lamp", Title: "Lamplight", About: "Books and the stage"},
		{ID: "leaf", Title: "Leaf Mould", About: "Gardens, and what to cook from them"},
		{ID: "peak", Title: "Peak & Path", About: "Trails, huts and wildlife"},
		{ID: "quay", Title: "Quayside Business", About: "Work and money, in plain words"},
		{ID: "tide", Title: "The Tideline", About: "The harbour and the weather over it"},
	}
	names := map[string]string{}
	for i := range sources {
		p := &sources[i]
		names[p.ID] = p.Title
		for _, it := range stories {
			if it.At("source") != p.ID {
				continue
			}
			if p.Count++; p.Count == 1 {
				p.Latest = it
			}
		}
	}
	funcs := template.FuncMap{
		"source": func(id string) string { return names[id] },
		"when":   func(s string) string { return when(s).Format("2 January, 15:04") },
	}
	f := frame{
		Name: "river", Brand: "Driftline", Footer: "Driftline. Eight papers, one river.",
		Nav:   []link{{Href: "/", Label: "River"}, {Href: "/sources.html", Label: "Sources"}},
		Feeds: []link{{"/river.rss", "Driftline (RSS)", "application/rss+xml"}, {"/river.atom", "Driftline (Atom)", "application/atom+xml"}},
		Data: struct {
			Stories []item
			Sources []source
		}{stories, sources},
	}
	s := build(riverFiles, f, funcs)
	newest := stories[:riverNewest]
	one := parsePage(riverFiles, "river", "river/one/story.html", funcs)
	for _, it := range stories {
		s.put(it.URL, one(page{frame: f, Page: "story", Path: it.URL, One: it}))
	}
	s.put("/river.rss", rss(newest, names))
	s.put("/river.atom", atom(newest, names))
	return s
}

// when reads the time of a story, which a test has seen to be one.
func when(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	must(s, err)
	return t
}

// rss writes RSS 2.0 (rssboard.org/rss-specification): the source and the topic
// of a story are categories of two domains.
func rss(stories []item, names map[string]string) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header + `<rss version="2.0">` + "\n<channel>\n")
	element(&b, "title", "Driftline")
	element(&b, "link", riverURL)
	element(&b, "description", "The newest stories of eight papers.")
	element(&b, "lastBuildDate", when(stories[0].At("published")).Format(time.RFC1123Z))
	for _, it := range stories {
		b.WriteString("<item>\n")
		element(&b, "title", it.Title)
		element(&b, "link", riverURL+it.URL[1:])
		element(&b, "description", it.At("summary"))
		element(&b, "category", it.At("topic"), "domain", "topic")
		element(&b, "category", it.At("source"), "domain", "source")
		element(&b, "source", names[it.At("source")], "url", riverURL+"river.rss")
		element(&b, "guid", it.ID, "isPermaLink", "false")
		element(&b, "pubDate", when(it.At("published")).Format(time.RFC1123Z))
		b.WriteString("</item>\n")
	}
	b.WriteString("</channel>\n</rss>\n")
	return b.Bytes()
}

// atom writes an Atom feed (RFC 4287).
func atom(stories []item, names map[string]string) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header + `<feed xmlns="http://www.w3.org/2005/Atom">` + "\n")
	element(&b, "title", "Driftline")
	element(&b, "id", riverURL)
	element(&b, "updated", stories[0].At("published"))
	element(&b, "link", "", "rel", "self", "href", riverURL+"river.atom")
	for _, it := range stories {
		b.WriteString("<entry>\n")
		element(&b, "title", it.Title)
		element(&b, "id", riverURL+it.URL[1:])
		element(&b, "link", "", "href", riverURL+it.URL[1:])
		element(&b, "updated", it.At("published"))
		element(&b, "category", "", "term", it.At("topic"), "scheme", riverURL+"topics")
		element(&b, "category", "", "term", it.At("source"), "scheme", riverURL+"sources")
		fmt.Fprint(&b, "<author>")
		element(&b, "name", names[it.At("source")])
		b.WriteString("</author>\n")
		element(&b, "summary", it.At("summary"))
		b.WriteString("</entry>\n")
	}
	b.WriteString("</feed>\n")
	return b.Bytes()
}

// element writes one element of XML; attributes are name, value, name, value.
func element(b *bytes.Buffer, name, text string, attributes ...string) {
	b.WriteString("<" + name)
	for i := 0; i < len(attributes); i += 2 {
		b.WriteString(" " + attributes[i] + `="`)
		xml.EscapeText(b, []byte(attributes[i+1])) // a bytes.Buffer takes all
		b.WriteByte('"')
	}
	if text == "" {
		b.WriteString("/>\n")
		return
	}
	b.WriteByte('>')
	xml.EscapeText(b, []byte(text))
	b.WriteString("</" + name + ">\n")
}

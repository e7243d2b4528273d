package examples

import (
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
)

//go:embed circle
var circleFiles embed.FS

// circle is the origin of a neighbourhood's feed, as pages and as JSON.
func circle() http.Handler {
	posts := catalogue(circleFiles, "circle/posts.jsonl")
	var alerts []item
	for _, p := range posts {
		if p.At("kind") == "event" && len(alerts) < 4 {
			alerts = append(alerts, p)
		}
	}
	topics := grouped(posts, "topic")
	funcs := template.FuncMap{
		"when": func(s string) string { return when(s).Format("2 Jan, 15:04") },
	}
	f := frame{
		Name: "circle", Brand: "Round the Corner", Footer: "Round the Corner. Four streets, one feed.",
		Nav: []link{{Href: "/", Label: "Feed"}, {Href: "/alerts.html", Label: "Alerts and topics"}},
		Data: struct {
			Posts, Alerts []item
			Topics        []label
		}{posts, alerts, topics},
	}
	s := build(circleFiles, f, funcs)
	topic := parsePage(circleFiles, "circle", "circle/one/topic.html", funcs)
	for _, l := range topics {
		url := "/topic/" + l.Name + ".html"
		s.put(url, topic(page{frame: f, Page: "topic", Path: url, One: l}))
	}
	post := parsePage(circleFiles, "circle", "circle/one/post.html", funcs)
	for _, p := range posts {
		s.put(p.URL, post(page{frame: f, Page: "post", Path: p.URL, One: p}))
	}

	type entry struct {
		ID     string `json:"id"`
		Topic  string `json:"topic"`
		Kind   string `json:"kind"`
		By     string `json:"by"`
		Posted string `json:"posted"`
		Thanks int    `json:"thanks"`
		Text   string `json:"text"`
	}
	var entries []entry
	for _, p := range posts[:60] {
		thanks, err := strconv.Atoi(p.At("thanks"))
		must(p.ID, err)
		entries = append(entries, entry{p.ID, p.At("topic"), p.At("kind"), p.At("by"), p.At("posted"), thanks, p.Title})
	}
	b, err := json.MarshalIndent(map[string]any{"feed": "Round the Corner", "posts": entries}, "", " ")
	must("feed.json", err)
	s.put("/feed.json", b)
	return s
}

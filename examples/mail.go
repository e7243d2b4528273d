package examples

import (
	"embed"
	"html/template"
	"net/http"
)

//go:embed mail
var mailFiles embed.FS

type label struct {
	Name     string
	Count    int
	Messages []item
}

// mail is the origin of a webmail: an inbox, its labels, messages and settings.
func mail() http.Handler {
	messages := catalogue(mailFiles, "mail/messages.jsonl")
	labels := grouped(messages, "label")
	funcs := template.FuncMap{
		"day": func(s string) string { return when(s).Format("2 Jan") },
	}
	f := frame{
		Name: "mail", Brand: "Pigeonhole", Footer: "Pigeonhole. Mail, sorted.",
		Nav: []link{{Href: "/", Label: "Inbox"}, {Href: "/settings.html", Label: "Settings"}},
		Data: struct {
			Messages []item
			Labels   []label
			Ads      []item // one for each topic; the slot's first is a note of its own
		}{messages, labels, catalogue(mailFiles, "mail/ads.jsonl")},
	}
	s := build(mailFiles, f, funcs)
	list := parsePage(mailFiles, "mail", "mail/one/label.html", funcs)
	for _, l := range labels {
		url := "/label/" + l.Name + ".html"
		s.put(url, list(page{frame: f, Page: "label", Path: url, One: l}))
	}
	message := parsePage(mailFiles, "mail", "mail/one/message.html", funcs)
	for _, m := range messages {
		s.put(m.URL, message(page{frame: f, Page: "message", Path: m.URL, One: m}))
	}
	return s
}

// grouped sorts items by the value of an attribute, both in the order of the catalogue.
func grouped(items []item, attribute string) []label {
	var out []label
	at := map[string]int{}
	for _, it := range items {
		name := it.At(attribute)
		i, ok := at[name]
		if !ok {
			i = len(out)
			at[name] = i
			out = append(out, label{Name: name})
		}
		out[i].Count++
		out[i].Messages = append(out[i].Messages, it)
	}
	return out
}

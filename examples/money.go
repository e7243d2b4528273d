package examples

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"time"
)

//go:embed money
var moneyFiles embed.FS

type week struct {
	Number  string // of the year (ISO 8601)
	Path    string
	Entries []item
	Sums    []sum // by category
	Total   float64
}

type sum struct {
	Name   string
	Amount float64
}

// tally is the origin of a household's account: its entries week by week, added
// up by category. It knows no budgets: those are the visitor's.
func tally() http.Handler {
	entries := catalogue(moneyFiles, "money/entries.jsonl")
	var weeks []week
	for _, g := range grouped(entries, "week") {
		w := week{Number: g.Name, Path: "/week/" + g.Name + ".html", Entries: g.Messages}
		for _, c := range grouped(g.Messages, "category") {
			s := sum{Name: c.Name}
			for _, e := range c.Messages {
				s.Amount += e.Price
			}
			w.Sums, w.Total = append(w.Sums, s), w.Total+s.Amount
		}
		weeks = append(weeks, w)
	}
	funcs := template.FuncMap{"day": func(s string) string {
		t, err := time.Parse(time.DateOnly, s)
		must(s, err)
		return t.Format("Mon 2")
	}}
	f := frame{
		Name: "money", Brand: "Tally", Footer: "Tally. Five strokes a week.",
		Nav: []link{{Href: "/", Label: "This week"}, {Href: "/budgets.html", Label: "Budgets"}},
		Data: struct {
			This  week
			Weeks []week
		}{weeks[0], weeks},
	}
	s := build(moneyFiles, f, funcs)
	one := parsePage(moneyFiles, "money", "money/one/week.html", funcs)
	for _, w := range weeks {
		s.put(w.Path, one(page{frame: f, Page: "week", Path: w.Path, One: w}))
	}
	s.put("/week.json", weekJSON(weeks[0]))
	return s
}

func weekJSON(w week) []byte {
	type entry struct {
		Date     string  `json:"date"`
		What     string  `json:"what"`
		Category string  `json:"category"`
		Amount   float64 `json:"amount"`
	}
	type line struct {
		Name  string `json:"name"`
		Spent string `json:"spent"`
	}
	out := struct {
		Week    string  `json:"week"`
		Total   float64 `json:"total"`
		Summary []line  `json:"summary"`
		Entries []entry `json:"entries"`
	}{Week: w.Number, Total: math.Round(w.Total*100) / 100}
	for _, s := range w.Sums {
		out.Summary = append(out.Summary, line{s.Name, fmt.Sprintf("%.2f", s.Amount)})
	}
	for _, e := range w.Entries {
		out.Entries = append(out.Entries, entry{e.At("date"), e.Title, e.At("category"), e.Price})
	}
	b, err := json.MarshalIndent(out, "", " ")
	must("week.json", err)
	return b
}

//go:build wasip1

// A policy that greets the visitor in the language of their country, shows what
// the site has to say to that country, and puts the nearest results first.
package main

import (
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

func init() { bespoke.OnResponse(welcome) }

func main() {}

func welcome(v bespoke.Visitor, page *bespoke.Page) {
	slot, ok := v.Config("slot")
	list, ok2 := v.Config("list")
	if !ok || !ok2 {
		bespoke.Log(bespoke.Error, "the options slot and list are needed")
		return
	}
	country := v.Country()
	lang, greeting := greet(country, v.Hour())
	if name := v.Name(); name != "" {
		greeting += ", " + name
	}
	page.Text(slot, greeting)
	page.Attr(slot, "lang", lang)

	notices, _ := v.Config("notices")
	for notice := range strings.Lines(notices) { // such as "DE Free delivery"
		to, text, ok := strings.Cut(strings.TrimSuffix(notice, "\n"), " ")
		if ok && country != "" && to == country {
			page.Before(list, text+"\n")
		}
	}

	show, _ := v.Config("show")
	if show == "" {
		page.Order(list, bespoke.Nearest(v.Place()))
	} else {
		page.Order(list, bespoke.Nearest(v.Place()), bespoke.Show(show))
	}
}

// greet returns the language of a country and its greeting at an hour.
func greet(country string, hour int) (lang, greeting string) {
	part := 2 // of the day
	switch {
	case hour >= 5 && hour < 12:
		part = 0
	case hour >= 12 && hour < 18:
		part = 1
	}
	switch country {
	case "AT", "DE":
		return "de", [3]string{"Guten Morgen", "Guten Tag", "Guten Abend"}[part]
	case "BR", "PT":
		return "pt", [3]string{"Bom dia", "Boa tarde", "Boa noite"}[part]
	case "JP":
		return "ja", [3]string{"おはようございます", "こんにちは", "こんばんは"}[part]
	}
	return "en", [3]string{"Good morning", "Good afternoon", "Good evening"}[part]
}

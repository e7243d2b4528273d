//go:build wasip1

// Command policy uses every part of the SDK; the test compares what it emits.
package main

import (
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

func init() {
	bespoke.OnRequest(func(v bespoke.Visitor, x *bespoke.Exchange) {
		check("redirect", x.Redirect("/de", 303))
		check("upstream header", x.UpstreamHeader("X-Variant", "b"))
		check("upstream path", x.UpstreamPath("/b"+v.Path()))
		check("set header", x.SetHeader("Vary", "Accept-Language"))
	})
	bespoke.OnResponse(values)
	bespoke.OnResponse(edits)
	bespoke.OnResponse(lists)
	bespoke.OnResponse(visitor)
}

func check(what string, err error) {
	if err != nil {
		bespoke.Log(bespoke.Error, what+": "+err.Error())
	}
}

func values(v bespoke.Visitor, page *bespoke.Page) {
	greeting, ok := v.Config("greeting")
	query, _ := v.Query("q")
	language, _ := v.Header("accept-language")
	theme, themed := v.Preference("theme")
	long, _ := v.Read("page.body")
	granted := "no"
	if v.Granted("localize") && !v.Granted("personalize") {
		granted = "localize only"
	}
	page.Text("#values", strings.Join([]string{
		v.Policy(), greeting, query, language, theme, v.Name(), v.Method(), v.Path(), v.Country(), v.City(), granted}, "|"))
	if !ok || themed || len(long) != 5000 || strings.Trim(long, "x") != "" {
		bespoke.Log(bespoke.Error, "values are wrong")
	}
}

func edits(v bespoke.Visitor, page *bespoke.Page) {
	check("attr", page.Attr("a", "href", "/x"))
	check("unset-attr", page.UnsetAttr("a", "rel"))
	check("add-class", page.AddClass("a", "c"))
	check("remove-class", page.RemoveClass("a", "d"))
	check("before", page.Before("a", "1"))
	check("after", page.After("a", "2"))
	check("prepend", page.Prepend("a", "3"))
	check("append", page.Append("a", "4"))
	check("remove", page.Remove("i"))
	check("set-header", page.SetHeader("X-A", "1"))
	check("add-header", page.AddHeader("X-B", "2"))
	check("remove-header", page.RemoveHeader("X-C"))
	check("refused", page.Text("refuse me", ""))
}

func lists(v bespoke.Visitor, page *bespoke.Page) {
	here, nowhere := v.Place(), bespoke.Place{}
	page.Order("#a", bespoke.Nearest(here))
	page.Order("#b", bespoke.Nearest(here), bespoke.Coordinates("lat", "lon"), bespoke.Items("li\n.shop"), bespoke.Show(".km"), bespoke.Unit("mi"))
	page.Order("#c", bespoke.Nearest(nowhere), bespoke.Show(".km"))
	page.Order("#d", bespoke.ByNumber("data-price"), bespoke.Descending())
	page.Order("#e", bespoke.ByText("title\nfirst=1"))
	page.Order("#f", bespoke.ByIDs("x", "y"))
	page.Keep("#g", bespoke.First(3), bespoke.Within(12.5, here))
	page.Keep("#h", bespoke.First(3), bespoke.Within(12.5, nowhere), bespoke.Coordinates("lat", "lon"), bespoke.Show(".km"), bespoke.Items("li"))
	page.Keep("#i", bespoke.Within(12.5, nowhere))
}

func visitor(v bespoke.Visitor, page *bespoke.Page) {
	check("why", page.Why("because"))
	check("event", page.Event("view", "7", "colour=red\nsize=L"))
	check("fill", page.Fill("#band", "id=2\ntitle=a=b"))
}

func main() {}

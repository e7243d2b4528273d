package rewrite

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bespoke/modules/abi"

	"github.com/PuerkitoBio/goquery"
)

// BenchmarkOrder measures order by distance, shown in each item, of a list of
// 50 items, against goquery doing the same: parse, work out distances, sort,
// move, render. They take turns. Its figure is x-goquery, how many times as
// fast as goquery. It fails if the two do not put the items in the same order,
// or if a page costs an allocation of ours.
func BenchmarkOrder(b *testing.B) {
	page := benchPage()
	p := compile(b, Options{}, edit(abi.OpOrder, "#results", near, "show=.distance"))
	r := new(Rewriter)
	var out, theirs bytes.Buffer
	pass(r, p, page, &out)
	orderWithGoquery(b, page, &theirs)
	ours, want := itemOrder(b, out.Bytes()), itemOrder(b, theirs.Bytes())
	if len(ours) != 50 || !slices.Equal(ours, want) {
		b.Fatalf("items are in the order\n%v, with goquery\n%v", ours, want)
	}
	if n := testing.AllocsPerRun(10, func() { pass(r, p, page, &out) }); n > 0 {
		b.Errorf("%v allocations a page, want none", n)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	least, leastTheirs := math.Inf(1), math.Inf(1)
	for b.Loop() {
		least = min(least, perRun(func() { pass(r, p, page, &out) }))
		leastTheirs = min(leastTheirs, perRun(func() { orderWithGoquery(b, page, &theirs) }))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(least/1e3, "µs/page")
	b.ReportMetric(leastTheirs/1e3, "goquery-µs/page")
	b.ReportMetric(leastTheirs/least, "x-goquery")
}

// orderWithGoquery does with a parsed page what order does.
func orderWithGoquery(b *testing.B, page []byte, out *bytes.Buffer) {
	doc, err := goquery.NewDocumentFromReader(bytes.NewReader(page))
	if err != nil {
		b.Fatal(err)
	}
	list := doc.Find("#results")
	type item struct {
		*goquery.Selection
		km float64
	}
	var items []item
	list.Children().Each(func(_ int, s *goquery.Selection) {
		lat, _ := strconv.ParseFloat(s.AttrOr("data-lat", ""), 64)
		lon, _ := strconv.ParseFloat(s.AttrOr("data-lon", ""), 64)
		items = append(items, item{s, greatCircle(lat, lon, 52.52, 13.405)})
	})
	slices.SortStableFunc(items, func(x, y item) int {
		switch {
		case x.km < y.km:
			return -1
		case x.km > y.km:
			return 1
		}
		return 0
	})
	for _, i := range items {
		i.Find(".distance").SetText(fmt.Sprintf("%.1f km", i.km))
		list.AppendSelection(i.Selection) // which takes it from its place
	}
	html, err := doc.Html()
	if err != nil {
		b.Fatal(err)
	}
	out.Reset()
	out.WriteString(html)
}

// greatCircle is the distance in km on a sphere (haversine).
func greatCircle(lat1, lon1, lat2, lon2 float64) float64 {
	const rad = math.Pi / 180
	s, t := math.Sin((lat2-lat1)*rad/2), math.Sin((lon2-lon1)*rad/2)
	return 2 * 6371 * math.Asin(math.Sqrt(s*s+math.Cos(lat1*rad)*math.Cos(lat2*rad)*t*t))
}

// itemOrder returns the headings of the items, which tell them apart.
func itemOrder(b *testing.B, page []byte) []string {
	doc, err := goquery.NewDocumentFromReader(bytes.NewReader(page))
	if err != nil {
		b.Fatal(err)
	}
	return doc.Find("#results > li").Map(func(_ int, s *goquery.Selection) string {
		if s.Find(".distance").Text() == "" {
			return "no distance"
		}
		return strings.TrimSpace(s.Find("h3").Text())
	})
}

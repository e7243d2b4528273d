package rewrite

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// nearPage is a page of 30 KB with 50 stores around San Francisco, half of
// them within 40 km: the page that whole exchanges are measured on, too (host/edge).
func nearPage() []byte {
	var b bytes.Buffer
	b.WriteString("<!DOCTYPE html><html><head><meta charset=utf-8><title>Stores</title></head><body><p id=greeting></p><ul id=results>\n")
	for i := range 50 {
		sin, cos := math.Sincos(float64(i) * 2.4)
		degrees := float64(i) * 80 / 50 / 111.2
		lat, lon := 37.7749+degrees*cos, -122.4194+degrees*sin/math.Cos(37.7749*math.Pi/180)
		fmt.Fprintf(&b, `<li class="card" data-lat="%.4f" data-lon="%.4f"><h3>Store %d</h3><p class="address">Street %d, a city</p><p>%s</p><span class="distance"></span></li>`+"\n",
			lat, lon, i, i, strings.Repeat("Some text about this store. ", 16))
	}
	b.WriteString("</ul></body></html>\n")
	return b.Bytes()
}

// BenchmarkNear measures what a policy does that greets, shows each item's
// distance and drops those beyond 40 km.
func BenchmarkNear(b *testing.B) {
	page := nearPage()
	p := compile(b, Options{Tail: []byte(benchTail)}, edit(abi.OpText, "#greeting", "Welcome back"),
		edit(abi.OpKeep, "#results", "within=40\nlat=data-lat\nlon=data-lon\nat=37.7749,-122.4194", "show=.distance"))
	r := new(Rewriter)
	var out bytes.Buffer
	pass(r, p, page, &out)
	if n := bytes.Count(out.Bytes(), []byte(" km</span>")); n != 25 {
		b.Fatalf("%d items with a distance in\n%s", n, &out)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	least := math.Inf(1)
	for b.Loop() {
		least = min(least, perRun(func() {
			out.Reset()
			r.Reset(p, &out)
			r.Write(page)
			r.Close()
		}))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(least/1e3, "µs/page")
}

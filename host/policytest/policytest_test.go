package policytest

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"bespoke/host/config"
	"bespoke/host/consent"
	"bespoke/modules/abi"
	"bespoke/policies/builtin"
)

const whole = `What it shows.
-- request --
POST /a?b=c

Accept-Language: de
-- place --
continent: EU
country: DE
region: BE
city: Berlin
timezone: Europe/Berlin
lat: 52.5
lon: -13.4
-- decision --
gpc: yes
granted: localize, measure
-- preferences --
name: Jane
-- with --
list: "#results"
show: .km
-- time --
2026-03-04T05:06:07+01:00
zone: Asia/Tokyo
-- page --
<p>x</p>
-- edits --
# a comment

text p "a b"
-- want --
<p>a b</p>
`

// anyOption takes every option, as a policy whose manifest names none.
type anyOption struct{}

func (anyOption) Manifest(config.Ref) (*abi.Manifest, error) { return nil, nil }

func TestParse(t *testing.T) {
	f, err := Parse("f.txtar", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 4, 4, 6, 7, 0, time.UTC)
	switch p := f.Place; {
	case f.Method != "POST", f.Target != "/a?b=c", len(f.Header) != 1, f.Header[0] != [2]string{"Accept-Language", "de"}:
		t.Errorf("request %+v", f.Exchange)
	case p.Continent != "EU", p.Country != "DE", p.Region != "BE", p.City != "Berlin", p.TimeZone != "Europe/Berlin", p.Lat != 52.5, p.Lon != -13.4, !p.Located:
		t.Errorf("place %+v", p)
	case !f.GPC, f.Choice == nil, f.Choice.Granted != consent.Set(0).With(abi.Localize).With(abi.Measure), !f.Choice.At.Equal(now), !f.Choice.UnderGPC:
		t.Errorf("decision %v %+v", f.GPC, f.Choice)
	case f.Preferences.Name != "Jane", !f.Now.Equal(now), string(f.Page) != "<p>x</p>\n":
		t.Errorf("%+v", f.Exchange)
	}
	site, err := f.Site("/x/y z.wasm", anyOption{})
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a module that is not there: %v, %v", site, err)
	}
}

func TestCompareAndUpdate(t *testing.T) {
	same := Outcome{Page: []byte("<p>a b</p>"), Edits: []Edit{{Edit: abi.Edit{Op: abi.OpText, Target: "p", A: "a b"}}}}
	f, err := Parse("f.txtar", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := f.Compare(same); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	other := same
	other.Edits = append([]Edit{{abi.Edit{Op: abi.OpAttr, Target: "a[href]", A: "href", B: ""}, abi.RefusedRight}}, same.Edits...)
	d, err := f.Compare(other)
	if want := "+refused (right missing from the manifest) attr a[href] href\n"; err != nil || !strings.Contains(d, want) || strings.Contains(d, "page") {
		t.Errorf("%v\n%s", err, d)
	}
	text, err := f.Update(other)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("f.txtar", text)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := again.Compare(other); err != nil || d != "" {
		t.Errorf("updated, and still: %v\n%s", err, d)
	}
	if !bytes.HasPrefix(text, []byte("What it shows.\n-- request --\nPOST /a?b=c\n\nAccept")) {
		t.Errorf("the rest of the file changed:\n%s", text)
	}
}

// An edit is one line, and another edit is another line.
func TestEditString(t *testing.T) {
	seen := map[string]Edit{}
	for _, target := range []string{"", "p", `"p"`, "p q", "p\n", `p\n`, "\u202e", "é"} {
		for _, a := range []string{"", "p", " ", "x=1\ny=2", `"`} {
			for _, refused := range []abi.Refusal{abi.Accepted, abi.RefusedLimit} {
				e := Edit{abi.Edit{Op: abi.OpText, Target: target, A: a}, refused}
				s := e.String()
				if old, ok := seen[s]; ok || strings.ContainsAny(s, "\n\r") {
					t.Errorf("%+v and %+v are %q", old, e, s)
				}
				seen[s] = e
			}
		}
	}
}

func TestCheck(t *testing.T) {
	ctx := context.Background()
	r, err := Check(ctx, "builtin", builtin.Module())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Manifests) != 14 || len(r.Imports) < 4 || r.Imports[0] != "bespoke_1.emit" || r.Bytes != len(builtin.Module()) ||
		len(r.Digest) != 64 || r.Functions == 0 || r.Metered <= r.CodeBytes || r.Pages == 0 {
		t.Errorf("%+v", r)
	}
	if w := strings.Join(r.Warnings, "\n"); !strings.Contains(w, "it carries 14 policies") {
		t.Errorf("warnings %s", w)
	}
	// It has a table that it writes to, and no manifest.
	r, err = Check(ctx, "table", tableModule())
	if err != nil {
		t.Fatal(err)
	}
	if w := strings.Join(r.Warnings, "\n"); !strings.Contains(w, "table.set in function 0") || !strings.Contains(w, "it has no manifest") {
		t.Errorf("warnings %s", w)
	}
	if _, err := Check(ctx, "cut", builtin.Module()[:1000]); err == nil {
		t.Error("half a module is taken")
	}
}

// tableModule exports memory and on_response, which sets an element of a table.
func tableModule() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, body ...byte) {
		b = append(binary.AppendUvarint(append(b, id), uint64(len(body))), body...)
	}
	name := func(s string, rest ...byte) []byte { return append(append([]byte{byte(len(s))}, s...), rest...) }
	section(1, 1, 0x60, 0, 0)
	section(3, 1, 0)
	section(4, 1, 0x70, 0, 1)
	section(5, 1, 0, 1)
	section(7, append(append([]byte{2}, name("memory", 2, 0)...), name("on_response", 0, 0)...)...)
	section(10, 1, 8, 0, 0x41, 0, 0xd0, 0x70, 0x26, 0, 0x0b)
	return b
}

// Whatever a fixture holds, it is an error or something to try; what is updated
// reads the same again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole), []byte("<p>"), "p")
	f.Add([]byte("-- place --\n192.0.2.7\n-- want --\n"), []byte("-- x --\n"), "\n-- want --\n")
	f.Fuzz(func(t *testing.T, data, page []byte, target string) {
		x, err := Parse("f", data)
		if err != nil {
			return
		}
		if _, err := x.Site("/nowhere/a.wasm", anyOption{}); err == nil {
			t.Error("a module that is not there is taken")
		}
		o := Outcome{Page: page, Edits: []Edit{{Edit: abi.Edit{Op: abi.OpText, Target: target, A: string(page)}}}}
		text, err := x.Update(o)
		if err != nil {
			return
		}
		again, err := Parse("f", text)
		if err != nil {
			t.Fatalf("updated, it does not parse: %v\n%s", err, text)
		}
		if d, err := again.Compare(o); err != nil || d != "" {
			t.Errorf("updated, it still differs: %v\n%s", err, d)
		}
	})
}

// A module that was not checked before is no danger to survey either.
func FuzzSurvey(f *testing.F) {
	f.Add(tableModule())
	f.Add(builtin.Module()[:2000])
	f.Fuzz(func(t *testing.T, module []byte) {
		if s, err := survey(module); err == nil && s == nil {
			t.Error("nothing, and no error")
		}
	})
}

// A page says of what type it is, once.
func TestTypeOfPage(t *testing.T) {
	for marker, want := range map[string]string{
		"-- page --": "", "-- page application/json --": "application/json", "-- page text/html; charset=iso-8859-1 --": "text/html; charset=iso-8859-1",
	} {
		f, err := Parse("f.txtar", []byte(strings.Replace(whole, "-- page --", marker, 1)))
		if err != nil || f.ContentType != want || string(f.Page) != "<p>x</p>\n" {
			t.Errorf("%s: %v, %+v", marker, err, f)
		}
	}
	for name, text := range map[string]string{
		"is no type":   strings.Replace(whole, "-- page --", "-- page of mine --", 1),
		"stands twice": whole + "-- page application/json --\n{}\n",
		"no section":   strings.Replace(whole, "-- page --", "-- pagetext/xml --", 1),
	} {
		if _, err := Parse("f.txtar", []byte(text)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

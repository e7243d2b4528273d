package rewrite

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"

	"bespoke/modules/abi"
)

// A jsonWriter writes random documents.
type jsonWriter struct {
	*rand.Rand
	b    bytes.Buffer
	root *oracleJSON // what edits aim into
}

func (g *jsonWriter) one(of ...string) string { return of[g.IntN(len(of))] }

func (g *jsonWriter) space() {
	if g.IntN(3) == 0 {
		g.b.WriteString(g.one(" ", "\n", "\t", "\r\n", "  ", "\n          "))
	}
}

func (g *jsonWriter) name() {
	g.b.WriteString(g.one(`"a"`, `"a"`, `"b"`, `"c"`, `"\u0061"`, `"a/b"`, `"a\/b"`, `"m~n"`, `"0"`, `"1"`, `""`, `"*"`, `"-"`, `"__proto__"`,
		`"é"`, `"\u00e9"`, `"\ud83d\ude00"`, `"😀"`, `"\u0000"`, `"id"`, `"p"`, `"lat"`, `"a name that is longer than eight"`))
}

func (g *jsonWriter) scalar() {
	g.b.WriteString(g.one(`0`, `-0`, `1`, `-12.50`, `1e5`, `1E+2`, `0.000e-0`, `123456789012345678901234567890`, `true`, `false`, `null`,
		`""`, `"x"`, `"red"`, `"é"`, `"\u00e9\n\"\\\/"`, `"\ud800"`, `"{[,]}:"`, `"a text of more than eight bytes, 日本語"`, `"<b>"`))
}

func (g *jsonWriter) value(depth int) {
	switch n := g.IntN(10); {
	case depth == 0 || n < 3:
		g.scalar()
	case n < 5:
		g.items(depth - 1)
	default:
		open := g.one("{", "[")
		g.b.WriteString(open)
		g.space()
		for i := range g.IntN(5) {
			if i > 0 {
				g.b.WriteByte(',')
				g.space()
			}
			if open == "{" {
				g.name()
				g.space()
				g.b.WriteByte(':')
				g.space()
			}
			g.value(depth - 1)
			g.space()
		}
		g.b.WriteByte(open[0] + 2)
	}
}

// items writes a list of things with places and prices.
func (g *jsonWriter) items(depth int) {
	g.b.WriteByte('[')
	for i := range g.IntN(6) {
		if i > 0 {
			g.b.WriteByte(',')
			g.space()
		}
		if g.IntN(12) == 0 {
			g.value(depth)
			continue
		}
		g.b.WriteByte('{')
		g.member("id", g.one(`"i0"`, `"i1"`, `"i2"`, `"i3"`, `3`, `"\u0069\u0030"`))
		if g.IntN(6) > 0 {
			g.member(g.one("lat", "lat", "l\\u0061t"), g.one(`10`, `-3.5`, `"42.25"`, `91`, `null`))
			g.member("lon", g.one(`1e1`, `-123.5`, `"7"`, `0`, `0`))
		}
		g.member("p", g.one(`1`, `2.5`, `-3`, `"4"`, `"x"`, `true`, `1`, `[1]`))
		g.member("tag", g.one(`"red"`, `"Blue"`, `["red", "blue"]`, `[]`, `{}`, `"r\u0065d , green"`, `[null,"blue",{"x":[1]},"a\nb"]`))
		if g.IntN(4) == 0 {
			g.member("geo", `{"lat": `+g.one("1", "2", "-8")+`, "lon":`+g.one("3", "4.5")+`}`)
		}
		if g.IntN(5) == 0 {
			g.member(g.one("a", "p", "id", "km"), `"again"`)
		}
		g.b.Truncate(g.b.Len() - 1)
		g.b.WriteByte('}')
	}
	g.b.WriteByte(']')
}

func (g *jsonWriter) member(name, value string) {
	g.space()
	g.b.WriteString(`"` + name + `"`)
	g.space()
	g.b.WriteByte(':')
	g.space()
	g.b.WriteString(value + ",")
}

func randomJSON(rnd *rand.Rand) string {
	g := &jsonWriter{Rand: rnd}
	if rnd.IntN(10) == 0 {
		g.b.WriteString("\ufeff")
	}
	g.space()
	g.value(1 + rnd.IntN(5))
	g.space()
	return g.b.String()
}

// pointer is, more often than not, one that leads to a value.
func (g *jsonWriter) pointer() string {
	s := ""
	if n := g.root; g.IntN(4) > 0 {
		for len(n.kids) > 0 && g.IntN(5) > 0 {
			i := g.IntN(len(n.kids))
			switch {
			case g.IntN(3) == 0:
				s += "/*"
			case n.kind == '[':
				s += "/" + strconv.Itoa(i)
			default:
				s += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(n.names[i].text)
			}
			n = n.kids[i]
		}
		return s
	}
	for range g.IntN(4) {
		s += "/" + g.one("a", "a", "b", "c", "0", "1", "2", "*", "*", "*", "a~1b", "m~0n", "", "-", "01", "é", "😀", "id", "p", "__proto__", "\x00")
	}
	return s
}

func (g *jsonWriter) edit() abi.Edit {
	target := g.pointer()
	value := g.one(`1`, `"s"`, ` [ 1 , "a b" ] `, `{"a": {"a":1}}`, `null`, `{}`, `[]`, `"<script>"`, `-1.50e+3`)
	name := g.one("a", "b", "p", "new", "new", "km", "", "é", "a/b", "0")
	place := "lat=lat\nlon=lon\nat=10,10"
	if g.IntN(3) == 0 {
		place = "lat=/geo/lat\nlon=/geo/lon\nat=1,4"
	}
	how := g.one("", "", "show=km", "show=km\nunit=km", "show=p", "show=lat")
	switch g.IntN(16) {
	case 0, 1:
		return edit(abi.OpText, target, g.one("", "text", "\"</script>\u2028\n\x00é"))
	case 2, 3:
		return edit(abi.OpReplace, target, value)
	case 4, 5:
		if target == "" {
			target = "/a"
		}
		return edit(abi.OpRemove, target)
	case 6, 7:
		return edit(abi.OpAttr, target, name, value)
	case 8:
		return edit(abi.OpUnsetAttr, target, name)
	case 9:
		return edit(abi.OpBefore, target, value)
	case 10:
		return edit(abi.OpAfter, target, value)
	case 11:
		return edit(abi.OpPrepend, target, value)
	case 12:
		return edit(abi.OpAppend, target, value)
	case 13:
		return edit(abi.OpFill, target, g.one(`[]`, `[1, {"a" : 2}]`, `["x"]`))
	case 14:
		switch g.IntN(5) {
		case 4:
			return edit(abi.OpOrder, target, "by=affinity\nweight.tag=red:1|blue:0.75|green:-2\nweight.id=i1:4|3:1.5")
		case 0:
			return edit(abi.OpOrder, target, "by=distance\n"+place, how)
		case 1:
			return edit(abi.OpOrder, target, "by=ids\nids="+g.one("i2 i1", "3", "i0"))
		case 2:
			return edit(abi.OpOrder, target, "by=attr\nas=number\nattr="+g.one("p", "lat", "/geo/lat")+g.one("", "\ndir=desc"))
		default:
			return edit(abi.OpOrder, target, "by=attr\nattr="+g.one("p", "id", "tag")+g.one("", "\ndir=desc"))
		}
	default:
		switch g.IntN(5) {
		case 0:
			return edit(abi.OpKeep, target, "within="+g.one("0", "900", "5000", "15000")+"\n"+place, how)
		case 1:
			return edit(abi.OpKeep, target, "first="+g.one("1", "2", "3")+"\n"+place, how)
		case 2:
			return edit(abi.OpKeep, target, g.one("ids=", "drop=")+g.one("i0 i1", "3 i2"))
		case 3:
			return edit(abi.OpKeep, target, "attr=tag\nin="+g.one("red", "red|blue", "x"))
		default:
			return edit(abi.OpKeep, target, "first=2\nattr=p\nmin="+g.one("0", "2"))
		}
	}
}

func randomJSONEdits(rnd *rand.Rand, root *oracleJSON, n int) []abi.Edit {
	g := &jsonWriter{Rand: rnd, root: root}
	edits := make([]abi.Edit, n)
	for i := range edits {
		edits[i] = g.edit()
	}
	return edits
}

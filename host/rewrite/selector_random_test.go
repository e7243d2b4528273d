package rewrite

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A selectorWriter makes random selectors, and writes a selector in one of the
// many ways in which it can be written.
type selectorWriter struct {
	*rand.Rand
	names  []string
	values []string
}

// hardNames need escapes, or look like something else.
var hardNames = []string{"a", "B", "li", "x-y", "-a", "--", "-", "_", "1", "12a", "-1", "é", "a:b", "a.b", "of", "odd", "n", "i", "a b", "日本", "a\nb", "\\", "a'", `a"`, "\u007f", "(", "-\u0080", "\ufffd", "😀"}

// plainNames are the same to every reader of selectors.
var plainNames = []string{"a", "B", "li", "x-y", "-a", "_", "é", "n", "odd"}

func (g *selectorWriter) one(of ...string) string { return of[g.IntN(len(of))] }

// list makes functions nested at most depth+1 deep.
func (g *selectorWriter) list(depth int, has, relative bool) []chain {
	list := []chain{g.chain(depth, has, relative)}
	for g.IntN(3) == 0 {
		list = append(list, g.chain(depth, has, relative))
	}
	return list
}

func (g *selectorWriter) chain(depth int, has, relative bool) chain {
	c := chain{comb: []combinator{descendant}, parts: []compound{g.compound(depth, has)}}
	if relative {
		c.comb[0] = combinator(g.IntN(4))
	}
	for g.IntN(3) == 0 {
		c.comb = append(c.comb, combinator(g.IntN(4)))
		c.parts = append(c.parts, g.compound(depth, has))
	}
	return c
}

func (g *selectorWriter) compound(depth int, has bool) compound {
	var c compound
	if g.IntN(2) == 0 {
		c.tag = g.one(g.names...)
	}
	for g.IntN(4) == 0 {
		c.ids = append(c.ids, g.one(g.names...))
	}
	for g.IntN(3) == 0 {
		c.classes = append(c.classes, g.one(g.names...))
	}
	for g.IntN(3) == 0 {
		a := attrTest{name: g.one(g.names...)}
		if ops := "\x00=~|^$*"; g.IntN(4) > 0 {
			a.op = ops[g.IntN(len(ops))]
		}
		if a.op != 0 {
			a.value = g.one(g.values...)
			switch g.IntN(4) {
			case 0:
				a.fold = true
			case 1:
				a.exact = true
			}
		}
		c.attrs = append(c.attrs, a)
	}
	for g.IntN(3) == 0 {
		c.pseudos = append(c.pseudos, g.pseudo(depth, has))
	}
	return c
}

func (g *selectorWriter) pseudo(depth int, has bool) pseudo {
	for {
		p := pseudo{kind: pseudoKind(g.IntN(int(pseudoNthLastType) + 1))}
		if depth == 0 && p.kind <= pseudoHas || has && p.kind == pseudoHas {
			continue
		}
		switch p.kind {
		case pseudoIs:
			if g.IntN(4) > 0 {
				p.list = g.list(depth-1, has, false)
			}
		case pseudoNot:
			p.list = g.list(depth-1, has, false)
		case pseudoHas:
			p.list = g.list(depth-1, true, true)
		case pseudoNth, pseudoNthLast, pseudoNthType, pseudoNthLastType:
			p.a, p.b = g.IntN(9)-4, g.IntN(9)-4
			if g.IntN(3) == 0 {
				p.a, p.b = 0, 1
			}
			if p.kind <= pseudoNthLast && depth > 0 && g.IntN(3) == 0 {
				for range 1 + g.IntN(2) {
					p.list = append(p.list, chain{parts: []compound{g.compound(depth-1, has)}, comb: []combinator{descendant}})
				}
			}
		}
		return p
	}
}

func (g *selectorWriter) space() string {
	return g.one("", "", "", " ", "  ", "\t", "\n", "\r\n", " \f")
}

func (g *selectorWriter) write(list []chain) string {
	var s []string
	for i := range list {
		c := &list[i]
		one := ""
		for j := range c.parts {
			switch c.comb[j] {
			case childOf:
				one += g.space() + ">" + g.space()
			case nextTo:
				one += g.space() + "+" + g.space()
			case after:
				one += g.space() + "~" + g.space()
			default:
				if j > 0 {
					one += g.one(" ", "  ", "\n", "\t ")
				}
			}
			one += g.writeCompound(&c.parts[j])
		}
		s = append(s, g.space()+one+g.space())
	}
	return strings.Join(s, ",")
}

// writeCompound keeps the order within each kind, but mixes the kinds.
func (g *selectorWriter) writeCompound(c *compound) string {
	var parts [4][]string
	for _, id := range c.ids {
		parts[0] = append(parts[0], "#"+g.name(id))
	}
	for _, class := range c.classes {
		parts[1] = append(parts[1], "."+g.name(class))
	}
	for i := range c.attrs {
		parts[2] = append(parts[2], g.writeAttr(&c.attrs[i]))
	}
	for i := 0; i < len(c.pseudos); i++ {
		p := c.pseudos[i]
		if i+1 < len(c.pseudos) && g.IntN(2) == 0 && p.list == nil && p.a == 0 && p.b == 1 {
			next := pseudo{kind: p.kind + 1, b: 1}
			if p.kind == pseudoNth && reflect.DeepEqual(c.pseudos[i+1], next) {
				parts[3] = append(parts[3], g.anyCase(":only-child"))
				i++
				continue
			}
			if p.kind == pseudoNthType && reflect.DeepEqual(c.pseudos[i+1], next) {
				parts[3] = append(parts[3], g.anyCase(":only-of-type"))
				i++
				continue
			}
		}
		parts[3] = append(parts[3], g.writePseudo(&p))
	}
	s := ""
	if c.tag != "" {
		s = g.name(c.tag)
	} else if g.IntN(3) == 0 {
		s = "*"
	}
	for {
		k := g.IntN(4)
		if len(parts[k]) > 0 {
			s += parts[k][0]
			parts[k] = parts[k][1:]
		} else if len(parts[0])+len(parts[1])+len(parts[2])+len(parts[3]) == 0 {
			break
		}
	}
	if s == "" {
		return "*"
	}
	return s
}

func (g *selectorWriter) writeAttr(a *attrTest) string {
	s := "[" + g.space() + g.name(a.name) + g.space()
	if a.op != 0 {
		op := string(a.op) + "="
		if a.op == '=' {
			op = "="
		}
		s += op + g.space()
		if a.value != "" && g.IntN(2) == 0 {
			s += g.name(a.value) + " "
		} else {
			s += g.quoted(a.value) + g.space()
		}
		if a.fold {
			s += g.one("i", "I") + g.space()
		}
		if a.exact {
			s += g.one("s", "S") + g.space()
		}
	}
	return s + "]"
}

func (g *selectorWriter) writePseudo(p *pseudo) string {
	short := map[pseudoKind]string{pseudoNth: ":first-child", pseudoNthLast: ":last-child", pseudoNthType: ":first-of-type", pseudoNthLastType: ":last-of-type"}
	name := map[pseudoKind]string{pseudoNot: ":not(", pseudoHas: ":has(", pseudoNth: ":nth-child(", pseudoNthLast: ":nth-last-child(",
		pseudoNthType: ":nth-of-type(", pseudoNthLastType: ":nth-last-of-type("}[p.kind]
	switch p.kind {
	case pseudoEmpty:
		return g.anyCase(":empty")
	case pseudoRoot:
		return g.anyCase(":root")
	case pseudoIs:
		name = g.one(":is(", ":where(")
	case pseudoNot, pseudoHas:
	default:
		if p.a == 0 && p.b == 1 && p.list == nil && g.IntN(2) == 0 {
			return g.anyCase(short[p.kind])
		}
		s := g.anyCase(name) + g.space() + g.anPlusB(p.a, p.b)
		if p.list != nil {
			s += g.one(" ", "\n") + g.anyCase("of") + " " + g.write(p.list)
		}
		return s + g.space() + ")"
	}
	return g.anyCase(name) + g.space() + g.write(p.list) + ")"
}

func (g *selectorWriter) anPlusB(a, b int) string {
	switch {
	case a == 2 && b == 1 && g.IntN(2) == 0:
		return g.anyCase("odd")
	case a == 2 && b == 0 && g.IntN(2) == 0:
		return g.anyCase("even")
	case a == 0 && g.IntN(2) == 0:
		return fmt.Sprintf(g.one("%d", "%+d", "%03d"), b)
	}
	s := fmt.Sprintf(g.one("%d", "%+d"), a)
	switch {
	case a == 1 && g.IntN(2) == 0:
		s = g.one("", "+")
	case a == -1 && g.IntN(2) == 0:
		s = "-"
	}
	s += g.one("n", "N")
	if b == 0 && g.IntN(2) == 0 {
		return s
	}
	sign := g.one("+", "-")
	if b != 0 {
		sign = fmt.Sprintf("%+d", b)[:1]
	}
	return s + g.space() + sign + g.space() + fmt.Sprint(max(b, -b))
}

func (g *selectorWriter) anyCase(s string) string {
	if g.IntN(4) == 0 {
		return strings.ToUpper(s)
	}
	return s
}

// name writes a name, escaped where it has to be, and now and then where it need not be.
func (g *selectorWriter) name(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		digit := r >= '0' && r <= '9'
		plain := r == '_' || r >= 0x80 || r < 0x80 && (byteClass[r]&cAlpha != 0 || digit || r == '-')
		if digit && (i == 0 || i == 1 && s[0] == '-') || s == "-" {
			plain = false
		}
		hex := digit || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F'
		switch {
		case plain && g.IntN(8) > 0:
			b.WriteRune(r)
		case g.IntN(4) == 0:
			end := " " // without it, a space after the name would be taken as the end of the escape
			if i+1 < len(runes) {
				end = g.one("", " ")
			}
			fmt.Fprintf(&b, "\\%06X%s", r, end)
		case r < ' ' || hex || g.IntN(3) == 0:
			fmt.Fprintf(&b, "\\%x%s", r, g.one(" ", "\t", "\r\n"))
		default:
			b.WriteString("\\" + string(r))
		}
	}
	return b.String()
}

func (g *selectorWriter) quoted(s string) string {
	q := g.one("'", `"`)
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < ' ' || g.IntN(8) == 0:
			fmt.Fprintf(&b, "\\%x%s", r, g.one(" ", "\n", "\r\n"))
		case string(r) == q || r == '\\':
			b.WriteString("\\" + string(r))
		default:
			b.WriteRune(r)
		}
		b.WriteString(g.one("", "", "", "", "\\\n", "\\\r\n"))
	}
	return q + b.String() + q
}

// However a selector is written, it is read as what it is.
func TestSelectorsAreReadAsWritten(t *testing.T) {
	seen := map[pseudoKind]int{}
	for seed := range uint64(20000) {
		g := &selectorWriter{rand.New(rand.NewPCG(seed, 3)), hardNames, append([]string{"", " ", "a  b"}, hardNames...)}
		want := g.list(maxNesting-1, false, false)
		s := g.write(want)
		got, err := parseSelector(s)
		if len(s) > maxSelector {
			if err == nil {
				t.Fatalf("seed %d: no limit on %d bytes", seed, len(s))
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %q, %v\ngot  %+v\nwant %+v", seed, s, err, got, want)
		}
		for _, p := range want[0].parts[0].pseudos {
			seen[p.kind]++
		}
		for i := range want {
			if got[i].key() != want[i].key() {
				t.Fatalf("seed %d: keys %q and %q", seed, got[i].key(), want[i].key())
			}
		}
	}
	for k := pseudoIs; k <= pseudoNthLastType; k++ {
		if seen[k] < 100 {
			t.Errorf("kind %d was tried %d times", k, seen[k])
		}
	}
}

// Two chains have one key only if they are the same, apart from the case of
// what is compared without it.
func TestSelectorKeys(t *testing.T) {
	names := []string{"", "a", "A", "1:a", "#1:a", ".1:a", "1:", ",", ")", "a)", " <0:", "i", "a#:a", "a.:a", "a[:a", "a=:a"}
	seen := map[string][]chain{}
	same := 0
	for seed := range uint64(30000) {
		g := &selectorWriter{rand.New(rand.NewPCG(seed, 4)), names, names}
		c := g.chain(g.IntN(3), false, true)
		if len(c.parts) > 2 || len(c.key()) > 60 {
			continue
		}
		k := c.key()
		ignoreCase(c.parts)
		if c.key() != k {
			t.Fatalf("the key %q is not the one without case, %q", k, c.key())
		}
		if was, ok := seen[k]; ok {
			same++
			if !reflect.DeepEqual(was[0], c) {
				t.Fatalf("one key %q:\n%+v\n%+v", k, was[0], c)
			}
		}
		seen[k] = []chain{c}
	}
	if same < 1000 || len(seen) < 1000 {
		t.Errorf("%d equal keys, %d different ones", same, len(seen))
	}
}

func ignoreCase(parts []compound) {
	for i := range parts {
		for j := range parts[i].attrs {
			if a := &parts[i].attrs[j]; a.fold {
				a.value = strings.ToLower(a.value)
			}
		}
		for j := range parts[i].pseudos {
			for _, c := range parts[i].pseudos[j].list {
				ignoreCase(c.parts)
			}
		}
	}
}

// What can be said of an attribute's value is what a plain reading of the standard says.
func TestAttrTests(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	text := func(letters string, n int) string {
		b := make([]byte, rnd.IntN(n+1))
		for i := range b {
			b[i] = letters[rnd.IntN(len(letters))]
		}
		return string(b)
	}
	yes := map[byte]int{}
	for range 200000 {
		letters, long := "aAb- ", 6
		if rnd.IntN(4) == 0 {
			letters, long = "aaaaaaaaaaaaab", 80
		}
		a := attrTest{op: "=~|^$*"[rnd.IntN(6)], value: text(letters, long/2), fold: rnd.IntN(2) == 0}
		v := text(letters, long)
		if got, want := a.ok([]byte(v)), plainTest(a, v); got != want {
			t.Fatalf("%c= %q in %q, fold %v: %v", a.op, a.value, v, a.fold, got)
		} else if got {
			yes[a.op]++
		}
	}
	for _, op := range []byte("=~|^$*") {
		if yes[op] < 500 {
			t.Errorf("%c= held %d times", op, yes[op])
		}
	}
}

func plainTest(a attrTest, v string) bool {
	w := a.value
	if a.fold {
		w, v = strings.ToLower(w), strings.ToLower(v)
	}
	switch a.op {
	case '=':
		return v == w
	case '~':
		return slices.Contains(strings.Fields(v), w)
	case '|':
		return v == w || strings.HasPrefix(v, w+"-")
	case '^':
		return w != "" && strings.HasPrefix(v, w)
	case '$':
		return w != "" && strings.HasSuffix(v, w)
	}
	return w != "" && strings.Contains(v, w)
}

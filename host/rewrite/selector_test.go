package rewrite

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"bespoke/modules/abi"
)

// Errors name the column, what was expected there, and what was found.
func TestSelectorErrors(t *testing.T) {
	const (
		start = `expected a type, '*', '#', '.', '[' or ':', found `
		next  = `expected '#', '.', '[', ':', a combinator (space, '>', '+' or '~'), ',' or `
		known = `expected a pseudo-class that is known here (:empty, :first-child, :first-of-type, :has, :is, :last-child, :last-of-type, :not, ` +
			`:nth-child, :nth-last-child, :nth-last-of-type, :nth-of-type, :only-child, :only-of-type, :root, :where), found `
		element   = `pseudo-elements are not known here: they are no elements of the page`
		namespace = `namespaces are not known here; a prefix is part of the name, with its colon escaped, as in media\:content`
		anb       = `expected An+B (as in 3, 2n+1, -n + 3, odd or even), found `
		numberEnd = `expected space or ')' after An+B, found `
	)
	for _, c := range []struct{ selector, column, want string }{
		{"", "1", start + "the end"},
		{" ", "2", start + "the end"},
		{"p,", "3", start + "the end"},
		{",p", "1", start + "','"},
		{"p >", "4", start + "the end"},
		{"p > > q", "5", start + "'>'"},
		{"p + ~ q", "5", start + "'~'"},
		{"> p", "1", start + "'>'"},
		{"p .a, , b", "7", start + "','"},
		{"p & q", "3", start + "'&'"},
		{"1", "1", start + "'1'"},
		{"-1", "1", start + "'-'"},
		{"é#1", "3", `expected the name of an id, found '1'`},
		{"p..a", "3", `expected the name of a class, found '.'`},
		{"p{", "2", next + "the end, found '{'"},
		{"p!", "2", next + "the end, found '!'"},
		{"p)", "2", next + "the end, found ')'"},
		{"*p", "2", next + "the end, found 'p'"},
		{"[a]p", "4", next + "the end, found 'p'"},
		{"p/**/q", "2", next + "the end, found a comment, which is not known here"},
		{"p /* x */ q", "3", start + "a comment, which is not known here"},
		{"a\\", "3", `expected a character after '\', found the end`},
		{"a\\\nb", "3", `expected a character after '\', found '\n'`},

		{"[a", "3", `expected ']', '=', '~=', '|=', '^=', '$=' or '*=', found the end`},
		{"[a!=b]", "3", `expected ']', '=', '~=', '|=', '^=', '$=' or '*=', found '!'`},
		{"[]", "2", `expected the name of an attribute, found ']'`},
		{"[a=]", "4", `expected a name or a quoted string, found ']'`},
		{"[a=1]", "4", `expected a name or a quoted string, found '1'`},
		{"[a='x]", "7", `expected the closing quote, found the end`},
		{`[a='x\']`, "9", `expected the closing quote, found the end`},
		{"[a=\"\n\"]", "5", `expected the closing quote, found '\n'`},
		{`[a="\62` + "\r\"]", "9", ""}, // CR ends the escape
		{"[a='\\x\n']", "7", `expected the closing quote, found '\n'`},
		{"[a~x]", "4", `expected '=', found 'x'`},
		{"[a='x'", "7", `expected ']' or one of the flags 'i' and 's', found the end`},
		{"[a=x j]", "6", `expected ']' or one of the flags 'i' and 's', found 'j'`},
		{"[a=x is]", "6", `expected ']' or one of the flags 'i' and 's', found 'i'`},
		{"[a=x i s]", "8", `expected ']', found 's'`},
		{"[a i]", "4", `expected ']', '=', '~=', '|=', '^=', '$=' or '*=', found 'i'`},

		{"svg|a", "4", namespace},
		{"*|a", "2", namespace},
		{"|a", "1", namespace},
		{"a || b", "3", start + "'|'"},
		{"[svg|a]", "6", namespace},
		{"[*|a]", "2", namespace},
		{"[|a=x]", "2", namespace},

		{"p:", "3", `expected the name of a pseudo-class, found the end`},
		{"p::before", "2", element},
		{"p::slotted(a)", "2", element},
		{"p:AFTER", "2", element},
		{"a:hover", "2", known + `':hover'`},
		{"é:x", "2", known + `':x'`},
		{"li:frist-child", "3", known + `':frist-child'; is ':first-child' meant?`},
		{"p:nth-chlid(2)", "2", known + `':nth-chlid'; is ':nth-child' meant?`},
		{"p:" + strings.Repeat("é", 41), "2", known + `':` + strings.Repeat("é", 40) + `...'`},
		{":first-child(1)", "13", `':first-child' takes no argument`},
		{":not", "5", `expected '(' after ':not', found the end`},
		{":nth-child (2)", "11", `expected '(' after ':nth-child', found ' '`},
		{":not()", "6", start + "')'"},
		{":not( )", "7", start + "')'"},
		{":has()", "6", start + "')'"},
		{":is(,a)", "5", start + "','"},
		{":is(a,)", "7", start + "')'"},
		{":is(a, :nope)", "8", known + `':nope'; is ':not' meant?`},
		{":is(a", "6", next + "')', found the end"},
		{":is(a]", "6", next + "')', found ']'"},
		{":is(> a)", "5", start + "'>'"},
		{":not(a b))", "10", next + "the end, found ')'"},
		{":has(> > a)", "8", start + "'>'"},
		{":has(a >)", "9", start + "')'"},
		{"a:has(b, :has(c))", "10", `':has' may not stand within ':has'`},
		{"a:has(:is(b:HAS(c)))", "12", `':has' may not stand within ':has'`},
		{":is(:not(:is(:not(:is(a)))))", "22", `expected functions at most 4 deep`},
		{":is(:not(:is(:not(:nth-child(1)))))", "29", `expected functions at most 4 deep`},

		{":nth-child()", "12", anb + "')'"},
		{":nth-child(x)", "12", anb + "'x'"},
		{":nth-child(oddly)", "12", anb + "'o'"},
		{":nth-child(+odd)", "13", anb + "'o'"},
		{":nth-child(- n)", "13", anb + "' '"},
		{":nth-child(1.5)", "13", numberEnd + "'.'"},
		{":nth-child(1x)", "13", numberEnd + "'x'"},
		{":nth-child(nx)", "13", numberEnd + "'x'"},
		{":nth-child(n+1x)", "15", numberEnd + "'x'"},
		{":nth-child(3n + -6)", "17", `expected a digit, found '-'`},
		{":nth-child(n-)", "14", `expected a digit, found ')'`},
		{":nth-child(2 2)", "14", `expected "of" or ')', found '2'`},
		{":nth-child(2 off a)", "14", `expected "of" or ')', found 'o'`},
		{":nth-child(2of a)", "13", numberEnd + "'o'"},
		{":nth-child(2", "13", `expected "of" or ')', found the end`},
		{":nth-child(2 of)", "16", start + "')'"},
		{":nth-child(2 of a b)", "19", `expected (in a compound, which is what "of" takes) '#', '.', '[', ':', ',' or ')', found 'b'`},
		{":nth-child(2 of > b)", "17", start + "'>'"},
		{":nth-of-type(2 of a)", "16", `expected ')', found 'o'`},
	} {
		want := "<nil>"
		if c.want != "" {
			want = "selector " + quote(c.selector) + ", column " + c.column + ": " + c.want
		}
		if got := errorText(CheckSelector(c.selector)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// An+B: the examples of CSS Syntax Level 3, section 6, and of Selectors Level 4, section 14.3.1.
func TestAnPlusB(t *testing.T) {
	for s, want := range map[string][2]int{
		"even": {2, 0}, "odd": {2, 1}, "EVEN": {2, 0}, " oDd ": {2, 1}, `\6f d\64`: {2, 1},
		"2n+0": {2, 0}, "2n+1": {2, 1}, "4n+1": {4, 1}, "-1n+6": {-1, 6}, "-4n+10": {-4, 10},
		"0n+5": {0, 5}, "5": {0, 5}, "+5": {0, 5}, "-5": {0, -5}, "007": {0, 7}, "0": {0, 0},
		"1n+0": {1, 0}, "n+0": {1, 0}, "n": {1, 0}, "2n": {2, 0}, "N": {1, 0}, "-N": {-1, 0}, "+n": {1, 0}, "-0n+1": {0, 1},
		"3n-6": {3, -6}, "3n - 6": {3, -6}, "3n -6": {3, -6}, "3n- 6": {3, -6}, "10n-1": {10, -1}, "10n+9": {10, 9},
		" 3n + 1 ": {3, 1}, " +3n - 2 ": {3, -2}, " -n+ 6": {-1, 6}, " +6 ": {0, 6}, "-n +06": {-1, 6},
		"-1N\n -\n123": {-1, -123}, "+n+3": {1, 3}, "23n\r\n+\t123": {23, 123},
		"99999999999999999999": {0, maxNth}, "-99999999999999999999n+99999999999999999999": {-maxNth, maxNth},
	} {
		for name, kind := range map[string]pseudoKind{"nth-child": pseudoNth, "nth-last-child": pseudoNthLast, "nth-of-type": pseudoNthType, "nth-last-of-type": pseudoNthLastType} {
			c, err := parseCompound(":" + name + "(" + s + ")")
			if err != nil || !reflect.DeepEqual(c.pseudos, []pseudo{{kind: kind, a: want[0], b: want[1]}}) {
				t.Errorf("%q: %+v, %v", s, c.pseudos, err)
			}
		}
	}
	for _, s := range []string{"3 n", "+ 2n", "+ 2", "+ n", "- n", "3n + -6", "3n+-6", "3n-+6", "3n--6", "n-+6", "3n + + 6", "3n + n", "2n+", "2n -", "n-", "+", "-", "",
		"1.0", "1e3", "1e3n", "1.5n", ".5", "3en", "n6", "nn", "n-6x", "n -6x", "5x", "even+1", "odd2", "2n+0x1", "2n+ 1 2", "2n of", "1,2", "2n/**/+1", "ｎ", "٣"} {
		if err := CheckSelector(":nth-child(" + s + ")"); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestSelectorLimits(t *testing.T) {
	for _, c := range []struct {
		of           string
		least, most  int
		before, each string
		after        string
	}{
		{"bytes", 1, maxSelector, "", "a", ""},
		{"alternatives", 1, maxAlts, "a", ",b", ""},
		{"alternatives in :is", 1, maxAlts, ":is(a", ",b", ")"},
		{"alternatives of S", 1, maxAlts, ":nth-child(n of a", ",b", ")"},
		{"compounds", 1, maxCompounds, "a", ">b", ""},
		{"compounds in :has", 1, maxCompounds, ":has(+ a", "~b", ")"},
		{"classes", 0, maxParts, "a", ".b", ""},
		{"pseudo-classes", 0, maxParts, "", ":root", ""},
		{"ids", 0, maxParts, "", "#i", ""},
		{"attributes", 0, maxParts, "", "[a]", ""},
	} {
		// What stands before counts as one where there has to be one.
		if err := CheckSelector(c.before + strings.Repeat(c.each, c.most-min(c.least, len(c.before))) + c.after); err != nil {
			t.Errorf("%d %s: %v", c.most, c.of, err)
		}
		if err := CheckSelector(c.before + strings.Repeat(c.each, c.most+1-min(c.least, len(c.before))) + c.after); err == nil {
			t.Errorf("%d %s were taken", c.most+1, c.of)
		}
	}
	if err := CheckSelector(":is(:not(:where(:nth-child(n of a))), :has(:not(:is(a))))"); err != nil {
		t.Error(err)
	}
	for _, s := range []string{"a\xff", "a\x00", "[a='\x00']"} {
		if got, want := errorText(CheckSelector(s)), "selector has a NUL or is not valid UTF-8"; got != want {
			t.Errorf("%q: %s", s, got)
		}
	}
}

func TestParseCompound(t *testing.T) {
	for s, ok := range map[string]bool{"a": true, " a.b#c[d]:not(e f) ": true, "*": true, "a b": false, "a,b": false, "a>b": false, "": false} {
		if _, err := parseCompound(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestLate(t *testing.T) {
	for s, want := range map[string]bool{
		"a.b#c[d]": false, ":root": false, ":first-child": false, ":nth-child(2 of .a)": false, ":first-of-type": false, ":nth-of-type(2)": false,
		":not(a > b + c)": false, ":is()": false, ":empty": true, ":has(a)": true, ":last-child": true, ":only-child": true, ":nth-last-child(2)": true,
		":last-of-type": true, ":only-of-type": true, ":nth-last-of-type(2)": true, ":not(:empty)": true, ":is(a, b:empty > c)": true,
		":nth-child(2 of :empty)": true, ":where(:not(a, :is(:last-child)))": true,
	} {
		c, err := parseCompound(s)
		if err != nil || c.late() != want {
			t.Errorf("%q: %v, %v", s, c.late(), err)
		}
	}
	for s, want := range map[string]bool{"a b > c": false, "a:empty b": true, "a b:empty": true} {
		list, err := parseSelector(s)
		if err != nil || list[0].late() != want {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// Case: of names it is kept, for XML; of values the flags and HTML's list say.
func TestSelectorCase(t *testing.T) {
	c, err := parseCompound(`sVg[viewBox="A"][Type="B"][TYPE=c S][TyPe=d I][type][data-type=e]:NOT(P)`)
	if err != nil || c.tag != "sVg" || c.pseudos[0].list[0].parts[0].tag != "P" || c.attrs[0].name != "viewBox" {
		t.Fatalf("%+v, %v", c, err)
	}
	var folds []bool
	for i := range c.attrs {
		folds = append(folds, c.attrs[i].foldsInHTML())
	}
	if want := []bool{false, true, false, true, false, false}; !slices.Equal(folds, want) {
		t.Error(folds)
	}
	// ASCII case alone: the Kelvin sign is no k, and É is no é.
	for value, v := range map[string]string{"k": "\u212a", "É": "é", "ſ": "s"} {
		if a := (attrTest{op: '=', value: value, fold: true}); a.ok([]byte(v)) {
			t.Errorf("%q is %q", value, v)
		}
	}
	if a := (attrTest{op: '*', value: "É-aB", fold: true}); !a.ok([]byte("xÉ-Aby")) {
		t.Error("É-aB i")
	}
}

func TestAttrTestAllocatesNothing(t *testing.T) {
	v := []byte(strings.Repeat("the value of an attribute ", 40))
	for _, op := range []byte("=~|^$*") {
		for _, fold := range []bool{false, true} {
			a := attrTest{op: op, value: strings.Repeat("long", 20), fold: fold}
			if n := testing.AllocsPerRun(10, func() { a.ok(v) }); n != 0 {
				t.Errorf("%c= allocates %v times", op, n)
			}
		}
	}
}

// Whatever a selector is, it is refused with a reason, or means the same when written anew; and it
// can be compiled and tried.
func FuzzSelector(f *testing.F) {
	for _, s := range []string{"p", "a > b.c #d, [e='f' ]", `\31 a`, "[a^=\"\\\"\"]", "*", "a b c", "p:not(a)", "[a|=b]", ",", "-", "--", "\\",
		"li:nth-child(2n + 1 of .a, b):not(:is(c ~ d, :where()))", ":has(> a + b)", "[a=b i][c='d's]", ":nth-last-of-type(-n-3)", ":only-child:root:empty", "a:hovr", "a|b", "p::before"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseSelector(s)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "selector ") || !utf8.ValidString(err.Error()) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		g := &selectorWriter{Rand: rand.New(rand.NewPCG(uint64(len(s)), 9))}
		if again := g.write(list); len(again) <= maxSelector {
			if got, err := parseSelector(again); err != nil || !reflect.DeepEqual(got, list) {
				t.Errorf("%q, anew %q: %v\n%+v\n%+v", s, again, err, list, got)
			}
		}
		p, err := Compile([]abi.Edit{edit(abi.OpRemoveClass, s, "never")}, Options{})
		if err != nil {
			return // more than a plan takes
		}
		if got, _ := rewriteAt(t, p, cities); got != cities {
			t.Errorf("%q changed the page", s)
		}
	})
}

var selectors = map[string]string{
	"id":      "#results",
	"typical": "ul.results > li.item[data-lat]",
	"rich":    "#main .list > li:not(.ad):nth-child(2n+1 of .item), [href^='/a' i] + :is(h1, h2):has(> b)",
}

func BenchmarkParseSelector(b *testing.B) {
	for name, s := range selectors {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parseSelector(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSelectorKey(b *testing.B) {
	for name, s := range selectors {
		b.Run(name, func(b *testing.B) {
			list, err := parseSelector(s)
			if err != nil {
				b.Fatal(err)
			}
			var key []byte
			b.ReportAllocs()
			for b.Loop() {
				key = key[:0]
				for i := range list {
					key = list[i].appendKey(key)
				}
			}
		})
	}
}

func quote(s string) string { return strconv.Quote(s) }

func errorText(err error) string {
	if err == nil {
		return "<nil>"
	}
	return err.Error()
}

package rewrite

import (
	"strconv"
	"strings"
	"testing"

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

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"p", "a > b.c #d, [e='f' ]", `\31 a`, "[a^=\"\\\"\"]", "*", "a b c", "p:not(a)", "[a|=b]", ",", "-", "--", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := CheckSelector(s)
		if err == nil {
			p := compile(t, Options{}, edit(abi.OpRemoveClass, s, "never"))
			if got, _ := rewriteAt(t, p, cities); got != cities {
				t.Errorf("%q changed the page", s)
			}
		} else if !strings.HasPrefix(err.Error(), "selector ") {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func quote(s string) string { return strconv.Quote(s) }

func errorText(err error) string {
	if err == nil {
		return "<nil>"
	}
	return err.Error()
}

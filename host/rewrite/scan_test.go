package rewrite

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// A tokenCase is a case of html5lib's tokenizer tests.
type tokenCase struct {
	Description   string
	Input         string
	DoubleEscaped bool
	InitialStates []string
	LastStartTag  string
	Output        [][]any
	Errors        []struct{ Code string }
}

var escapedUnit = regexp.MustCompile(`\\u([0-9a-fA-F]{4})`)

// unescape makes the text of a case that is escaped twice. Halves of surrogate pairs become U+FFFD.
func unescape(s string) string {
	return escapedUnit.ReplaceAllStringFunc(s, func(m string) string {
		n, _ := strconv.ParseUint(m[2:], 16, 32)
		return string(rune(n))
	})
}

func readTokenCases(t testing.TB) map[string][]tokenCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(html5libDir(t), "html5lib-tests/tokenizer/*.test"))
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	all := map[string][]tokenCase{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Tests, XMLViolationTests []tokenCase }
		if err := json.Unmarshal(b, &file); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		list := append(file.Tests, file.XMLViolationTests...)
		if len(list) == 0 {
			t.Fatalf("%s: no cases", f)
		}
		for i := range list {
			if list[i].DoubleEscaped {
				list[i].Input = unescape(list[i].Input)
			}
		}
		all[strings.TrimSuffix(filepath.Base(f), ".test")] = list
	}
	return all
}

// tags are the tags of the expected output, as scanTokens writes them.
func (c *tokenCase) tags() (list []string) {
	for _, token := range c.Output {
		switch token[0] {
		case "StartTag":
			attrs := map[string]string{}
			for k, v := range token[2].(map[string]any) {
				v := v.(string)
				if c.DoubleEscaped {
					k, v = unescape(k), unescape(v)
				}
				attrs[k] = v
			}
			list = append(list, startToken(c.plain(token[1]), attrs, len(token) == 4))
		case "EndTag":
			list = append(list, "/"+c.plain(token[1]))
		}
	}
	return list
}

func (c *tokenCase) plain(s any) string {
	if c.DoubleEscaped {
		return unescape(s.(string))
	}
	return s.(string)
}

func startToken(name string, attrs map[string]string, closed bool) string {
	s := name
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range attrs {
			if !yield(k) {
				return
			}
		}
	}) {
		s += fmt.Sprintf(" %q=%q", k, attrs[k])
	}
	if closed {
		s += " /"
	}
	return s
}

// scanTokens returns the tags that the scanner sees from a state on.
func scanTokens(t testing.TB, state, last, page string, cuts ...int) (list []string) {
	t.Helper()
	r := New(compile(t, Options{}, edit(abi.OpText, "[never]", "x")), io.Discard)
	switch state {
	case "Data state":
	case "PLAINTEXT state":
		r.mode = inPlain
	case "RCDATA state", "RAWTEXT state":
		r.mode, r.raw = inRaw, nameKeyOf(last)
	case "Script data state":
		r.mode, r.sub = inScript, scPlain
	case "CDATA section state":
		r.mode = inCDATA
	default:
		t.Fatalf("state %q", state)
	}
	r.watch = func(b []byte, s, p, end int, tg *tag, _ verdict) {
		if tg == nil {
			list = append(list, "/"+asParsed(b[s+2:p], true))
			return
		}
		attrs := map[string]string{}
		for i, a := range r.text.attrs {
			name := asParsed(b[a.name:a.nameEnd], true)
			if _, ok := attrs[name]; !ok {
				attrs[name] = asParsed(r.text.value(b, i), false)
			}
		}
		list = append(list, startToken(asParsed(tg.name, true), attrs, r.text.slash))
	}
	at := 0
	for _, c := range append(cuts, len(page)) {
		r.Write([]byte(page[at:c]))
		at = c
	}
	r.Close()
	return list
}

// asParsed does what a parser does to names and values beside references: what the rewriter leaves as it is.
func asParsed(b []byte, fold bool) string {
	s := strings.ToValidUTF8(string(b), "\ufffd")
	s = strings.ReplaceAll(s, "\x00", "\ufffd")
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	if fold {
		s = strings.Map(func(c rune) rune {
			if c >= 'A' && c <= 'Z' {
				return c + 32
			}
			return c
		}, s)
	}
	return s
}

func TestHTML5LibTokens(t *testing.T) {
	n, other, inside, outside := 0, 0, 0, 0
	for file, cases := range readTokenCases(t) {
		for _, c := range cases {
			states := c.InitialStates
			if len(states) == 0 {
				states = []string{"Data state"}
			}
			want := c.tags()
			for _, state := range states {
				if state == "Script data state" && c.LastStartTag != "" && c.LastStartTag != "script" {
					other++ // only a script's content is read so
					continue
				}
				n++
				same := func(page string, want []string) {
					for _, cuts := range [][]int{nil, everyByte(page)} {
						if got := scanTokens(t, state, c.LastStartTag, page, cuts...); !slices.Equal(got, want) {
							t.Errorf("%s: %s, %s (%s): %q\nhave %q\nwant %q", file, c.Description, state, c.LastStartTag, page, got, want)
						}
					}
				}
				same(c.Input, want)
				// What comes next tells in which state the case ends.
				switch c.ends(state) {
				case "text":
					outside++
					same(c.Input+" <zz>", append(slices.Clip(want), "zz"))
				case "inside":
					inside++
					same(c.Input+" <zz>", want)
				}
			}
		}
	}
	t.Logf("%d cases, %d followed by a tag, %d inside of something, %d of other scripts", n, outside, inside, other)
	if n != 7031 || outside < 5000 || inside < 170 || other != 5 {
		t.Error("the cases are not those that were there")
	}
}

// ends tells whether a tag that follows the case is a tag ("text"), or not ("inside"); else it is not known.
func (c *tokenCase) ends(state string) string {
	if state != "Data state" {
		return ""
	}
	for _, e := range c.Errors {
		switch e.Code {
		case "eof-in-comment", "eof-in-cdata":
			return "inside"
		}
		if strings.HasPrefix(e.Code, "eof-") {
			return ""
		}
	}
	for _, token := range c.Output {
		if token[0] == "StartTag" {
			return "" // its content may be raw text, or foreign
		}
	}
	if n := len(c.Output); strings.HasSuffix(c.Input, ">") || n > 0 && c.Output[n-1][0] == "Character" {
		return "text"
	}
	return "" // a bogus comment ends with the page
}

// References in attributes, where html5lib has them in text: those that end with ';' mean the same.
func TestHTML5LibReferences(t *testing.T) {
	n := 0
	for file, cases := range readTokenCases(t) {
		for _, c := range cases {
			if len(c.Output) != 1 || c.Output[0][0] != "Character" || len(c.InitialStates) > 0 || !strings.HasPrefix(c.Input, "&") ||
				!strings.HasSuffix(c.Input, ";") || c.Input == "&noti;" { // which is "&not" in text only
				continue
			}
			n++
			want := c.plain(c.Output[0][1])
			if got := string(decodeValue(nil, []byte(c.Input))); got != want {
				t.Errorf("%s: %s: %q is %q, not %q", file, c.Description, c.Input, got, want)
			}
		}
	}
	if n < 2000 {
		t.Errorf("%d cases", n)
	}
}

// A name whose hash is that of a name of HTML is not taken for it.
func TestOwnKey(t *testing.T) {
	for _, name := range []string{"plaintext", "blockquote", "foreignobject", "annotation-xml", "malignmark", "figcaption"} {
		k := nameKeyOf(name)
		if got, _ := nameKey([]byte(strings.ToUpper(name)+">"), 0); got != k {
			t.Errorf("%s has the key %x, not %x", name, got, k)
		}
		// No such name is at hand; the second half of nameKey is asked with the key.
		if got := ownKey(k, []byte("made-up-name")); got == k || tagFlags(got) != 0 || got&longKey == 0 {
			t.Errorf("a name with the hash of %s has its key, or flags", name)
		}
	}
	if k := nameKeyOf("custom-element"); ownKey(k, []byte("custom-element")) != k {
		t.Error("custom-element has another key")
	}
}

package rewrite

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bespoke/modules/abi"
)

// Edits that find nothing, and no edits, change nothing.
func TestJSONIdentity(t *testing.T) {
	var r JSONRewriter
	none := compileJSON(t)
	missing := compileJSON(t, edit(abi.OpText, "/nowhere/0", "x"), edit(abi.OpRemove, strings.Repeat("/*", 30)), edit(abi.OpUnsetAttr, "/*", "nothing"),
		edit(abi.OpOrder, "/*/nowhere", "by=attr\nattr=x"), edit(abi.OpBefore, "", "1"))
	for seed := range uint64(2000) {
		doc := randomJSON(rand.New(rand.NewPCG(seed, 5)))
		for _, p := range []*JSONPlan{none, missing} {
			if out := string(r.Rewrite(nil, p, []byte(doc))); out != doc || r.Report().Stopped != 0 {
				t.Fatalf("seed %d: %q became %q, %v", seed, doc, out, r.Report())
			}
		}
	}
	if out := string(r.Rewrite(nil, none, []byte("no {JSON"))); out != "no {JSON" || r.Report().Stopped != 0 {
		t.Errorf("without edits: %q, %v", out, r.Report())
	}
}

// spansJSON returns where the values are that a pointer leads to, by the
// offsets of encoding/json's tokens. Documents have no twins.
func spansJSON(t *testing.T, doc string, visit func(path []string, from, to int)) {
	d := json.NewDecoder(strings.NewReader(doc))
	var value func(path []string)
	value = func(path []string) {
		from := int(d.InputOffset())
		tok := must(d.Token())
		from += len(doc[from:]) - len(strings.TrimLeft(doc[from:], " \t\r\n,:"))
		if delim, ok := tok.(json.Delim); ok {
			for i := 0; d.More(); i++ {
				name := strconv.Itoa(i)
				if delim == '{' {
					name = must(d.Token()).(string)
				}
				value(append(slices.Clip(path), name))
			}
			must(d.Token())
		}
		visit(path, from, int(d.InputOffset()))
	}
	value(nil)
}

// Text and replace change the bytes of their values and no others.
func TestJSONOnlySpans(t *testing.T) {
	var r JSONRewriter
	changed := 0
	for seed := range uint64(1500) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		doc := strings.TrimPrefix(randomJSON(rnd), "\ufeff")
		type span struct{ from, to int }
		var spans []span
		var edits []abi.Edit
		seen, odd := map[string]bool{}, false
		spansJSON(t, doc, func(path []string, from, to int) {
			for i, s := range path {
				path[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
			}
			target := strings.Join(append([]string{""}, path...), "/")
			odd = odd || seen[target] || strings.Contains(target, "\ufffd") || slices.Contains(path, "*")
			seen[target] = true
			// Values come after those within them: those are taken back.
			if rnd.IntN(4) == 0 {
				for len(spans) > 0 && spans[len(spans)-1].from >= from {
					spans = spans[:len(spans)-1]
				}
				spans = append(spans, span{from, to})
				edits = append(edits, edit(abi.OpReplace, target, "[0]"))
			}
		})
		if odd { // twins, or names that pointers cannot name
			continue
		}
		want, at := "", 0
		for _, s := range spans {
			want += doc[at:s.from] + "[0]"
			at = s.to
		}
		want += doc[at:]
		rnd.Shuffle(len(edits), func(i, j int) { edits[i], edits[j] = edits[j], edits[i] })
		if out := string(r.Rewrite(nil, compileJSON(t, edits...), []byte(doc))); out != want {
			t.Fatalf("seed %d: %q\nedits %v\ngot  %q\nwant %q", seed, doc, edits, out, want)
		}
		if want != doc {
			changed++
		}
	}
	if changed < 400 {
		t.Errorf("only %d documents were changed", changed)
	}
}

// What takes away leaves the rest as it was, byte by byte; what adds too.
func TestJSONSubsequence(t *testing.T) {
	var r JSONRewriter
	for seed := range uint64(10_000) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		doc := randomJSON(rnd)
		var takes, adds []abi.Edit
		for _, e := range randomJSONEdits(rnd, decodeJSON(t, doc), 30) {
			switch e.Op {
			case abi.OpRemove, abi.OpUnsetAttr:
				takes = append(takes, e)
			case abi.OpKeep:
				if !strings.Contains(e.B, "show") {
					takes = append(takes, e)
				}
			case abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend:
				adds = append(adds, e)
			}
		}
		if out := string(r.Rewrite(nil, compileJSON(t, takes...), []byte(doc))); !subsequence(out, doc) {
			t.Fatalf("seed %d: %q\nedits %v\ngot %q", seed, doc, takes, out)
		}
		if out := string(r.Rewrite(nil, compileJSON(t, adds...), []byte(doc))); !subsequence(doc, out) {
			t.Fatalf("seed %d: %q\nedits %v\ngot %q", seed, doc, adds, out)
		}
	}
}

// subsequence tells whether s is what is left of whole when some bytes are left out.
func subsequence(s, whole string) bool {
	for i := 0; i < len(whole) && s != ""; i++ {
		if s[0] == whole[i] {
			s = s[1:]
		}
	}
	return s == ""
}

// Texts that are JSON, and near to it.
var validJSON = []string{
	`0`, `-0`, `1`, `-1`, `10`, `0.0`, `1.5e10`, `1E+5`, `1e-05`, `0e0`, `""`, `"\""`, `"\\"`, `"\/\b\f\n\r\t"`, `"\u0000"`, `"\uD800"`, `"\udc00\ud800"`,
	`"é"`, "\"\x7f\"", "\"\u2028\"", "\"\U0010ffff\"", "\"\ufeff\"", `null`, `true`, `false`, `[]`, `{}`, ` [ ] `, "\t{\r\n}", `[[]]`, `{"":{}}`, `[1,2]`, `{"a":1,"a":2}`,
	`[1e999999999]`, `-123456789012345678901234567890.123456789012345678901234567890`, `"aaaaaaaé"`, `"aaaaaaaaaaaaaaaa\\"`, "\ufeff[]",
}

var invalidJSON = []string{
	``, ` `, `a`, `tru`, `truee`, `True`, `nul`, `nulll`, `fals`, `NaN`, `Infinity`, `-Infinity`, `+1`, `01`, `-01`, `00`, `1.`, `.5`, `-`, `1e`, `1e+`, `1.e1`, `0x10`, `1_000`, `1 2`, `- 1`, `１`,
	`"`, `"a`, `'a'`, `"\a"`, `"\x41"`, `"\u12"`, `"\u12g4"`, `"\`, `"\"`, "\"\n\"", "\"\x00\"", "\"\x1f\"", "\"aaaaaaaa\x1faaaaaaaa\"", "\"\t\"",
	"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\"aaaaaaaa\xffaaaaaaa\"", "\xff", "é", "\u00a0[]", "\x0b[]", "\x0c1", "\x00", "[]\x00",
	`[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1,,2]`, `[1 2]`, `[1;2]`, `[1]]`, `[}`, `{`, `}`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a",1}`, `{"a":1 "b":2}`, `{"a"::1}`,
	`{a:1}`, `{'a':1}`, `{1:1}`, `{"a":1]`, `{"a":1}}`, `{null:1}`, `{"a":}`, `{:1}`, `[1]x`, `[1] []`, `// x` + "\n1", `/* */ 1`, `[1] // x`, `1,`, `,1`, "\ufeff", "\ufeff\ufeff1", "1\ufeff", "\xff\xfe1\x00", "[\ufeff1]",
	`{"a":{"b":[1,{"c":tru}]}}`, `[true,fals]`, `[nul]`, `["\ud800\u"]`, `)]}',` + "\n{}", `{"a": 1}{"a": 2}`, "[\"a\x00a\"]", "{\"\x01\":1}",
}

// plansJSON look at documents in all ways: at none of it, at all of it, at lists.
func plansJSON(t testing.TB) []*JSONPlan {
	return []*JSONPlan{
		compileJSON(t, edit(abi.OpText, "/nowhere", "x")),
		compileJSON(t, edit(abi.OpText, "/*/*/nowhere", "x"), edit(abi.OpText, "/a/b/nowhere", "x")),
		compileJSON(t, edit(abi.OpUnsetAttr, "", "nowhere"), edit(abi.OpUnsetAttr, "/*", "nowhere"), edit(abi.OpUnsetAttr, "/*/*", "nowhere")),
		compileJSON(t, edit(abi.OpKeep, "/*", "first=1000000"), edit(abi.OpOrder, "", "by=attr\nattr=/nowhere/x")),
	}
}

func TestJSONGrammar(t *testing.T) {
	var r JSONRewriter
	edits := append(plansJSON(t), compileJSON(t, edit(abi.OpRemove, "/*")), compileJSON(t, edit(abi.OpReplace, "", "1")))
	for want, docs := range map[Reason][]string{0: validJSON, WhyAmbiguous: invalidJSON} {
		for _, doc := range docs {
			if ok := json.Valid([]byte(strings.TrimPrefix(doc, "\ufeff"))) && utf8.ValidString(doc); ok != (want == 0) {
				t.Errorf("%q stands in the wrong list", doc)
			}
			for i, p := range edits {
				for _, d := range []string{doc, `[` + strings.TrimPrefix(doc, "\ufeff") + `]`, `{"a":` + strings.TrimPrefix(doc, "\ufeff") + `}`} {
					if d != doc && (want == 0) != json.Valid([]byte(d)) {
						continue // such as [,]
					}
					out := string(r.Rewrite(nil, p, []byte(d)))
					if rep := r.Report(); rep.Stopped != want || out != d && (want != 0 || i < 4) {
						t.Errorf("plan %d, %q: %q, %v; want %v", i, d, out, rep, want)
					}
				}
			}
		}
	}
}

// What encoding/json takes for valid is edited, and nothing else.
func TestJSONMutations(t *testing.T) {
	var r JSONRewriter
	plans := plansJSON(t)
	valid := 0
	const tokens = `{}[]:,"\ tfn0-.e+u` + "\x00\x1f\x7f\x80\xc3\xe2\n1a"
	for seed := range uint64(30_000) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		doc := []byte(strings.TrimPrefix(randomJSON(rnd), "\ufeff"))
		for range 1 + rnd.IntN(2) {
			i := rnd.IntN(len(doc))
			switch rnd.IntN(3) {
			case 0:
				doc[i] = tokens[rnd.IntN(len(tokens))]
			case 1:
				doc = slices.Delete(doc, i, i+1)
			default:
				doc = slices.Insert(doc, i, tokens[rnd.IntN(len(tokens))])
			}
			if len(doc) == 0 {
				doc = []byte("0")
			}
		}
		ok := json.Valid(doc) && utf8.Valid(doc)
		if ok {
			valid++
		}
		for i, p := range plans {
			out := r.Rewrite(nil, p, doc)
			if string(out) != string(doc) || (r.Report().Stopped == 0) != ok {
				t.Fatalf("seed %d, plan %d: %q became %q, %v; valid: %v", seed, i, doc, out, r.Report(), ok)
			}
		}
	}
	if valid < 3000 || valid > 27_000 {
		t.Errorf("%d documents were valid", valid)
	}
}

func TestJSONCaps(t *testing.T) {
	nested := func(n int, open, inside, end string) string {
		return strings.Repeat(open, n) + inside + strings.Repeat(end, n)
	}
	stars := func(n int) string { return strings.Repeat("/*", n) }
	flood := make([]abi.Edit, 2000)
	for i := range flood {
		flood[i] = edit(abi.OpAfter, "/*", `"`+strings.Repeat("x", 400)+`"`)
	}
	var paths []abi.Edit
	for i := range 1 << 11 {
		target := ""
		for bit := range 11 {
			target += []string{"/*", "/a"}[i>>bit&1]
		}
		paths = append(paths, edit(abi.OpText, target+"/nothing", "x"))
	}
	for _, c := range []struct {
		name  string
		doc   string
		edits list1
		opt   JSONOptions
		want  Reason
	}{
		{"512 deep", nested(512, `{"a":`, "1", "}"), list1{edit(abi.OpText, "/b", "x")}, JSONOptions{}, 0},
		{"513 deep, aside", nested(513, `[`, "", "]"), list1{edit(abi.OpText, "/b", "x")}, JSONOptions{}, WhyDepth},
		{"513 deep, on the way", nested(513, `{"a":`, "1", "}"), list1{edit(abi.OpText, strings.Repeat("/a", 64), "x")}, JSONOptions{}, WhyDepth},
		{"a target deeper than allowed", nested(9, `[`, "1", "]"), list1{edit(abi.OpText, stars(9), "x")}, JSONOptions{MaxDepth: 8}, WhyDepth},
		{"a target as deep as allowed", nested(8, `[`, "1", "]"), list1{edit(abi.OpText, stars(8), "x")}, JSONOptions{MaxDepth: 8}, 0},
		{"a million deep", nested(1e6, `[`, "", "]"), list1{edit(abi.OpText, "/*", "x")}, JSONOptions{}, WhyDepth},
		{"unclosed", strings.Repeat(`{"a":[`, 200), list1{edit(abi.OpText, "/a/*", "x")}, JSONOptions{}, WhyAmbiguous},
		{"as long as allowed", `["` + strings.Repeat("x", 96) + `"]`, list1{edit(abi.OpText, "/0", "y")}, JSONOptions{MaxBytes: 100}, 0},
		{"too long", `["` + strings.Repeat("x", 97) + `"]`, list1{edit(abi.OpText, "/0", "y")}, JSONOptions{MaxBytes: 100}, WhyBuffer},
		{"output too long", "[1]", list1{edit(abi.OpText, "/0", strings.Repeat("y", 500)), edit(abi.OpAppend, "", "1")}, JSONOptions{MaxBytes: 100}, WhyBuffer},
		{"a flood of output", "[" + strings.Repeat("1,", 1e5) + "1]", flood, JSONOptions{}, WhyBuffer},
		{"a flood of hits", "[" + strings.Repeat("1,", 1000) + "1]", flood, JSONOptions{}, WhyBuffer},
		{"a flood of marks", "[" + strings.Repeat("1,", 1e6) + "1]", list1{edit(abi.OpText, "/*", "x")}, JSONOptions{}, WhyBuffer},
		{"a long list", "[" + strings.Repeat("1,", 1<<16-1) + "1]", list1{edit(abi.OpKeep, "", "first=3")}, JSONOptions{}, 0},
		{"a list too long", "[" + strings.Repeat("1,", 1<<16) + "1]", list1{edit(abi.OpKeep, "", "first=3")}, JSONOptions{}, WhyBuffer},
		{"as long, not a list", "[" + strings.Repeat("1,", 1<<16) + "1]", list1{edit(abi.OpAppend, "", "1")}, JSONOptions{}, 0},
		{"a flood of twins", "{" + strings.Repeat(`"a":1,`, 1e5) + `"a":1}`, list1{edit(abi.OpText, "/a", "x")}, JSONOptions{}, 0},
		{"twins in many objects", "[" + strings.Repeat(`{"a":1,"a":1},`, 290_000) + "1]", list1{edit(abi.OpText, "/*/a/b", "x")}, JSONOptions{}, WhyBuffer},
		{"ways beyond number", nested(11, `{"a":`, "["+strings.Repeat("1,", 1e5)+"1]", "}"), paths, JSONOptions{}, WhyBuffer},
		{"a flood of likes", `[{"a":"` + strings.Repeat("a,", 1e5) + `"}]`, list1{edit(abi.OpOrder, "", "by=affinity\nweight.a=b:1"+strings.Repeat("|b:1", 4000))}, JSONOptions{}, WhyBuffer},
		{"a flood of values", `[{"a":"` + strings.Repeat("a,", 1e5) + `"}]`, list1{edit(abi.OpKeep, "", "attr=a\nnot=b"+strings.Repeat("|b", 4000))}, JSONOptions{}, WhyBuffer},
		{"a long string", `{"a":"` + strings.Repeat("é", 1<<20) + `","b":1}`, list1{edit(abi.OpText, "/b", "x")}, JSONOptions{}, 0},
		{"a long name", `{"` + strings.Repeat(`\u0061`, 1<<19) + `":1,"b":1}`, list1{edit(abi.OpText, "/b", "x")}, JSONOptions{}, 0},
		{"a long number", `[` + strings.Repeat(`9`, 1<<20) + `,1]`, list1{edit(abi.OpText, "/1", "x"), edit(abi.OpKeep, "", "first=3\nattr=a\nmin=1")}, JSONOptions{}, 0},
		{"long whitespace", `[` + strings.Repeat("\n", 1<<20) + `1,1` + strings.Repeat(" ", 1<<20) + "]", list1{edit(abi.OpRemove, "/0"), edit(abi.OpRemove, "/1")}, JSONOptions{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := CompileJSON(c.edits, c.opt)
			if err != nil {
				t.Fatal(err)
			}
			var r JSONRewriter
			start := time.Now()
			out := r.Rewrite([]byte("before"), p, []byte(c.doc))
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			rep := r.Report()
			if rep.Stopped != c.want || c.want != 0 && string(out) != "before"+c.doc {
				t.Errorf("%d bytes, stopped: %v, want %v", len(out), rep.Stopped, c.want)
			}
			if c.want != 0 && (slices.Max(rep.Applied) > 0 || len(rep.NotApplied) > 0) {
				t.Errorf("an edit counts though the document passed as it is")
			}
			if c.want == 0 && !json.Valid(out[len("before"):]) {
				t.Errorf("not valid: %.100q", out)
			}
			if cap(r.marks) > 2*maxJSONMarks || len(r.marks) > maxScratch {
				t.Errorf("%d marks were kept", cap(r.marks))
			}
		})
	}
}

// An edited document means what the oracle says; another passes as it is.
func FuzzJSON(f *testing.F) {
	for i, doc := range slices.Concat(validJSON, invalidJSON, []string{indentedJSON, placesJSON}) {
		f.Add(doc, uint64(i))
	}
	f.Fuzz(func(t *testing.T, doc string, seed uint64) {
		plain := strings.TrimPrefix(doc, "\ufeff")
		rnd := rand.New(rand.NewPCG(seed, 9))
		var r JSONRewriter
		if !json.Valid([]byte(plain)) || !utf8.ValidString(doc) {
			g := &jsonWriter{Rand: rnd, root: &oracleJSON{}}
			p := compileJSON(t, g.edit(), g.edit())
			if out := string(r.Rewrite(nil, p, []byte(doc))); out != doc || r.Report().Stopped == 0 {
				t.Fatalf("%q became %q, %v", doc, out, r.Report())
			}
			return
		}
		// The oracle cannot tell lone surrogates apart, and counts in numbers that number does not read.
		if depth(plain) > 500 || strings.Contains(strings.ToLower(doc), `\ud`) || len(doc) > 10_000 {
			return
		}
		edits := randomJSONEdits(rnd, decodeJSON(t, doc), 1+rnd.IntN(6))
		edits = slices.DeleteFunc(edits, func(e abi.Edit) bool { return e.Op == abi.OpOrder || e.Op == abi.OpKeep })
		jsonOracleAgrees(t, &r, doc, edits)
	})
}

// depth bounds how deep a document is nested.
func depth(doc string) int {
	return strings.Count(doc, "[") + strings.Count(doc, "{")
}

// Whatever is taken for a pointer finds what the oracle finds.
func FuzzJSONPointer(f *testing.F) {
	for _, s := range []string{"", "/", "/a/0", "/*/~0~1", "/~", "/01", "/-", "a", "/a/*/*", "/\xff", "/💩", "//", "/ "} {
		f.Add(s, `{"a":[1,{"x":[2]}],"":{"":3},"~/":4,"01":5,"-":6," ":7}`)
	}
	f.Fuzz(func(t *testing.T, pointer, doc string) {
		got, err := ExtractJSON([]byte(doc), pointer)
		if ok := CheckJSON(edit(abi.OpText, pointer, "")) == abi.Accepted; ok != (err == nil) {
			t.Fatalf("%q: %v; accepted: %v", pointer, err, ok)
		}
		if err != nil || len(doc) > 10_000 || strings.Contains(strings.ToLower(doc), `\ud`) {
			return
		}
		if !json.Valid([]byte(strings.TrimPrefix(doc, "\ufeff"))) || !utf8.ValidString(doc) {
			if got != nil {
				t.Fatalf("%q of %q: %q", pointer, doc, got)
			}
			return
		}
		var want []string
		decodeJSON(t, doc).at(oraclePath(pointer), func(n *oracleJSON) {
			s := n.text
			if n.kind != '"' {
				s = n.raw
			}
			want = append(want, s)
		})
		if strings.Contains(pointer, "*") || depth(doc) > 500 {
			return // twins count there
		}
		if len(got) != len(want) || len(got) > 0 && want[0] != "" && got[0] != want[0] {
			t.Fatalf("%q of %q: %q, want %q", pointer, doc, got, want)
		}
	})
}

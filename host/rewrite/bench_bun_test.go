package rewrite

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"bespoke/modules/abi"

	nethtml "golang.org/x/net/html"
)

// pieceSize is how pages are cut.
const pieceSize = 16 << 10

// benchTail is what the rule sets with a tail add.
const benchTail = "<p><a href=\"/privacy\">Privacy</a></p>\n"

// A bunRule is an edit as bench/bun.js knows it.
type bunRule struct {
	Select string   `json:"select,omitempty"`
	Tail   string   `json:"tail,omitempty"`
	Attr   []string `json:"attr,omitempty"`
	Append *string  `json:"append,omitempty"`
	Text   *string  `json:"text,omitempty"`
}

// plan makes the same of our own.
func plan(b *testing.B, rules []bunRule) *Plan {
	var opt Options
	var edits []abi.Edit
	for _, r := range rules {
		switch {
		case r.Tail != "":
			opt.Tail = []byte(r.Tail)
		case r.Attr != nil:
			edits = append(edits, edit(abi.OpAttr, r.Select, r.Attr...))
		case r.Append != nil:
			edits = append(edits, edit(abi.OpAppend, r.Select, *r.Append))
		default:
			edits = append(edits, edit(abi.OpText, r.Select, *r.Text))
		}
	}
	return compile(b, opt, edits...)
}

// ruleSets are what both sides are measured with; id is one that the page has.
var ruleSets = []struct {
	name  string
	same  bool // the outputs must be equal byte for byte, and not only mean the same
	rules func(id string) []bunRule
}{
	// Nothing to do, and the page is not looked at: what a user without rules pays.
	{"none", true, func(string) []bunRule { return nil }},
	// Nothing to do but at the end, which takes following every tag: the
	// comparison of the scanners alone.
	{"tail", true, func(string) []bunRule { return []bunRule{{Tail: benchTail}} }},
	// Rules that nothing meets, so that the whole page is searched to its end.
	{"class-absent", true, func(string) []bunRule { return []bunRule{{Select: ".never-there", Text: new("x")}} }},
	{"id-absent", true, func(string) []bunRule { return []bunRule{{Select: "#never-there", Text: new("x")}} }},
	// An id is unique, so ours looks for it no more once its element has ended.
	// It begins about half-way down the page.
	{"id", true, func(id string) []bunRule { return []bunRule{{Select: idSelector(id), Append: new("Welcome back")}} }},
	{"mix", false, func(id string) []bunRule {
		return []bunRule{
			{Select: "a[href]", Attr: []string{"rel", "nofollow"}},
			{Select: idSelector(id), Append: new("Welcome back")},
			{Select: "h1", Text: new("A page")},
		}
	}},
}

// idSelector escapes what in an id would mean something else in a selector.
func idSelector(id string) string {
	var s strings.Builder
	s.WriteByte('#')
	for _, c := range []byte(id) {
		if c < 0x80 && byteClass[c]&cAlnum == 0 && c != '-' && c != '_' {
			s.WriteByte('\\')
		}
		s.WriteByte(c)
	}
	return s.String()
}

// A bun is a running bench/bun.js. One goroutine owns it.
type bun struct {
	in  io.Writer
	out *bufio.Reader
}

func startBun(b *testing.B) *bun {
	b.Helper()
	const program = "bench/node_modules/.bin/bun"
	if _, err := exec.LookPath(program); err != nil {
		b.Skipf("%s is not there: npm ci in host/rewrite/bench (make bench does it)", program)
	}
	cmd := exec.Command(program, "bench/bun.js")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	var bad bytes.Buffer
	cmd.Stderr = &bad
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("bun: %v\n%s", err, bad.Bytes())
		}
	})
	return &bun{in, bufio.NewReader(out)}
}

type bunJob struct {
	Page   string    `json:"page"`
	Rules  []bunRule `json:"rules"`
	Way    string    `json:"way"`
	MS     float64   `json:"ms,omitempty"`
	Output bool      `json:"output,omitempty"`
}

type bunAnswer struct {
	NS     float64 `json:"ns"`
	Output []byte  `json:"output"`
}

func (u *bun) do(b *testing.B, job bunJob) bunAnswer {
	b.Helper()
	if job.Rules == nil {
		job.Rules = []bunRule{}
	}
	line, err := json.Marshal(job)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := u.in.Write(append(line, '\n')); err != nil {
		b.Fatalf("bun takes no job: %v", err)
	}
	answer, err := u.out.ReadBytes('\n')
	if err != nil {
		b.Fatalf("bun gives no answer: %v", err)
	}
	var a bunAnswer
	if err := json.Unmarshal(answer, &a); err != nil {
		b.Fatalf("bun answers %q: %v", answer, err)
	}
	return a
}

// pass rewrites the page once, into out.
func pass(r *Rewriter, p *Plan, page []byte, out *bytes.Buffer) {
	out.Reset()
	r.Reset(p, out)
	for i := 0; i < len(page); i += pieceSize {
		r.Write(page[i:min(i+pieceSize, len(page))])
	}
	r.Close()
}

// A race is one page under one rule set, with the least time of each side in ns.
type race struct {
	page      realPage
	rules     []bunRule
	plan      *Plan
	ours, bun float64
}

// batch is how long one side runs before the other has its turn.
const batch = 5 * time.Millisecond

// perRun returns the mean nanoseconds of f over a batch: on the clock, or of a
// core, whichever is less, as another process may have had the core meanwhile.
func perRun(f func()) float64 {
	start, cpu := time.Now(), cpuTime()
	n, took := 0, time.Duration(0)
	for n == 0 || took < batch {
		f()
		n++
		took = time.Since(start)
	}
	if cpu < math.MaxInt64 {
		took = min(took, cpuTime()-cpu)
	}
	return float64(took.Nanoseconds()) / float64(n)
}

// run gives each side a turn. Bun has two ways to take a page, and the faster counts.
func (c *race) run(b *testing.B, u *bun, r *Rewriter, out *bytes.Buffer) {
	c.ours = min(c.ours, perRun(func() { pass(r, c.plan, c.page.text, out) }))
	for _, way := range []string{"stream", "whole"} {
		a := u.do(b, bunJob{Page: c.page.path, Rules: c.rules, Way: way, MS: float64(batch.Milliseconds())})
		c.bun = min(c.bun, a.NS)
	}
}

// BenchmarkBun measures this package against Bun's HTMLRewriter on real pages,
// with the same edits, at pieces of 16 KB, each on one core and in turns. Its
// figures are x-bun, how many times as fast as Bun (geometric mean over the
// pages), and MB/s of each. It fails if the outputs differ, or if
// a page costs an allocation. -v shows each page.
//
// Plans are compiled, and handlers registered, before the clock starts. Both
// sides gather their output in one buffer. Of each side the best batch counts.
func BenchmarkBun(b *testing.B) {
	pages := readPages(b)
	u := startBun(b)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, set := range ruleSets {
		b.Run(set.name, func(b *testing.B) {
			var races []race
			var out bytes.Buffer
			r := new(Rewriter)
			for _, page := range pages {
				c := race{page: page, rules: set.rules(page.id), ours: math.Inf(1), bun: math.Inf(1)}
				c.plan = plan(b, c.rules)
				pass(r, c.plan, page.text, &out)
				theirs := u.do(b, bunJob{Page: page.path, Rules: c.rules, Way: "stream", Output: true}).Output
				compareOutputs(b, page.name, set.same, out.Bytes(), theirs)
				if n := testing.AllocsPerRun(2, func() { pass(r, c.plan, page.text, &out) }); n > 0 {
					b.Errorf("%s: %v allocations a page, want none", page.name, n)
				}
				c.run(b, u, r, &out) // to warm up both
				c.ours, c.bun = math.Inf(1), math.Inf(1)
				races = append(races, c)
			}
			for b.Loop() {
				for i := range races {
					races[i].run(b, u, r, &out)
				}
			}
			reportRaces(b, races)
		})
	}
}

func reportRaces(b *testing.B, races []race) {
	var table strings.Builder
	fmt.Fprintf(&table, "%-16s %8s %10s %10s %8s", "page", "bytes", "ours MB/s", "bun MB/s", "ratio")
	var ours, theirs, ratio float64
	for _, c := range races {
		size := float64(len(c.page.text)) * 1e3 // per ns, to MB/s
		fmt.Fprintf(&table, "\n%-16s %8d %10.0f %10.0f %8.2f", c.page.name, len(c.page.text), size/c.ours, size/c.bun, c.bun/c.ours)
		ours += math.Log(size / c.ours)
		theirs += math.Log(size / c.bun)
		ratio += math.Log(c.bun / c.ours)
	}
	n := float64(len(races))
	if testing.Verbose() {
		b.Log("\n" + table.String())
	}
	b.ReportMetric(0, "ns/op") // a round over all pages; says nothing
	b.ReportMetric(math.Exp(ours/n), "MB/s")
	b.ReportMetric(math.Exp(theirs/n), "bun-MB/s")
	b.ReportMetric(math.Exp(ratio/n), "x-bun")
}

// compareOutputs tells whether both made the same page: of the same bytes, or,
// since both write attributes in their own way, of the same tokens.
func compareOutputs(b *testing.B, name string, same bool, ours, theirs []byte) {
	b.Helper()
	if same {
		if at := firstDifference(ours, theirs); at >= 0 {
			b.Fatalf("%s: outputs differ from byte %d on\nours %.80q\nbun  %.80q", name, at, ours[at:], theirs[at:])
		}
		return
	}
	x, y := nethtml.NewTokenizer(bytes.NewReader(ours)), nethtml.NewTokenizer(bytes.NewReader(theirs))
	for {
		a, c := nextToken(x), nextToken(y)
		if a != c {
			b.Fatalf("%s: outputs differ\nours %.120q\nbun  %.120q", name, a, c)
		}
		if a == "" {
			return
		}
	}
}

func firstDifference(x, y []byte) int {
	if bytes.Equal(x, y) {
		return -1
	}
	n := min(len(x), len(y))
	for i := range n {
		if x[i] != y[i] {
			return i
		}
	}
	return n
}

// nextToken returns the next token with its attributes sorted, "" at the end.
func nextToken(z *nethtml.Tokenizer) string {
	if z.Next() == nethtml.ErrorToken {
		return ""
	}
	t := z.Token()
	slices.SortFunc(t.Attr, func(x, y nethtml.Attribute) int { return strings.Compare(x.Key, y.Key) })
	return fmt.Sprint(t.Type, t.Data, t.Attr)
}

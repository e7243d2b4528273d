package rewrite

import (
	"fmt"
	"html"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"

	nethtml "golang.org/x/net/html"
)

// The oracle edits the tree that x/net/html parses. It shares no code with the
// rewriter: selectors, arguments, order, escaping and what may stand where are
// worked out here once more, over the tree. Its pages leave out what the
// rewriter does not follow, and nothing else: foster parenting, the copies of the
// adoption agency, and elements that a parser makes up.

type oracle struct {
	edits   []abi.Edit
	hits    map[*nethtml.Node][]int // edits that act on the element, in order
	before  map[*nethtml.Node][]*nethtml.Node
	after   map[*nethtml.Node][]*nethtml.Node
	instead map[*nethtml.Node][]*nethtml.Node // what replace puts in its place
	bare    map[*nethtml.Node]bool            // unwrapped
}

// oracleEdit returns the tree of the edited page, and how often each edit aimed at an element that takes it.
func oracleEdit(t testing.TB, page string, edits []abi.Edit) (string, []int) {
	doc := must(nethtml.Parse(strings.NewReader(page)))
	nodes := func() map[*nethtml.Node][]*nethtml.Node { return map[*nethtml.Node][]*nethtml.Node{} }
	o := &oracle{edits, map[*nethtml.Node][]int{}, nodes(), nodes(), nodes(), map[*nethtml.Node]bool{}}
	aimed := make([]int, len(edits))
	gone := map[*nethtml.Node]bool{} // those whose tags go
	for _, e := range edits {
		for _, n := range selectAll(doc, e.Target) {
			if e.Op == abi.OpUnwrap && !refused(n, e, nil) {
				gone[n] = true
			}
		}
	}
	for i, e := range edits {
		for _, n := range selectAll(doc, e.Target) {
			if !refused(n, e, gone) {
				o.hits[n] = append(o.hits[n], i)
				aimed[i]++
			}
		}
	}
	o.element(doc)
	out := &nethtml.Node{Type: nethtml.DocumentNode}
	for c := doc.FirstChild; c != nil; c = c.NextSibling {
		for _, x := range o.resolve(c) {
			out.AppendChild(x)
		}
	}
	return dump(out), aimed
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func inTemplate(n *nethtml.Node) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Data == "template" && p.Namespace == "" {
			return true
		}
	}
	return false
}

// within tells whether the element or one around it has one of the names.
func within(n *nethtml.Node, names string) bool {
	for ; n != nil; n = n.Parent {
		if is(n, names) {
			return true
		}
	}
	return false
}

func is(n *nethtml.Node, names string) bool {
	return n != nil && n.Type == nethtml.ElementNode && slices.Contains(strings.Fields(names), n.Data)
}

// Elements that do not take every edit.
const (
	voidNames    = "br img input hr meta link"
	rawNames     = "script style noscript"
	textNames    = "title textarea"
	bareNames    = "html head table tbody tr"
	specialNames = "p div section article blockquote ul ol li dl dt dd h1 h2 h3 h4 h5 h6 table thead tfoot tbody tr td th select button template body nav header footer main aside address figure form pre search center"
	// Elements that decide how a parser reads what is in them keep their tags.
	wrapNames = bareNames + " body td th caption colgroup option optgroup select object button rb rt rp rtc template svg math form desc foreignObject mi"
)

// inItem tells whether a start tag of an item in n would end an item around it:
// no special element but div and p stands between them.
func inItem(n *nethtml.Node) bool {
	for ; n != nil && (!is(n, specialNames) || is(n, "div p")); n = n.Parent {
		if is(n, "li dd dt") {
			return true
		}
	}
	return is(n, "li dd dt")
}

// empty tells whether the element has no content and cannot be given any. A g
// without children is one that closed itself.
func empty(n *nethtml.Node) bool {
	return is(n, voidNames) || is(n, rawNames) || is(n, "g") && n.FirstChild == nil
}

// refused tells whether an edit is not carried out on an element that it matches.
func refused(n *nethtml.Node, e abi.Edit, gone map[*nethtml.Node]bool) bool {
	root := is(n, "html head body")
	_, pragma := attrOf(n, "http-equiv")
	markup := e.Op == abi.OpHTML || e.B == "html"
	bare := func(n *nethtml.Node) bool { // in parts of a table, other parts can stand
		return is(n, bareNames) && !(markup && is(n, "table tbody tr") && strings.HasPrefix(e.A, "<t"))
	}
	beside := root || bare(n.Parent) || is(n.Parent, rawNames)
	switch e.Op {
	case abi.OpRemove:
		return root || pragma
	case abi.OpReplace, abi.OpBefore, abi.OpAfter:
		return beside || e.Op == abi.OpReplace && pragma || markup && !stands(n.Parent, e.A, true, gone)
	case abi.OpText, abi.OpHTML, abi.OpPrepend, abi.OpAppend:
		return empty(n) || bare(n) || markup && (is(n, textNames) || !stands(n, e.A, e.Op == abi.OpAppend, gone))
	case abi.OpUnwrap:
		return beside || empty(n) || is(n, textNames) || is(n, wrapNames) || is(n, specialNames) && (is(n.Parent, "h1 h2 h3 h4 h5 h6") || !is(n, "div p") && inItem(n.Parent))
	case abi.OpOrder, abi.OpKeep, abi.OpFill:
		return empty(n) || is(n, textNames) || is(n, "html head")
	case abi.OpAttr, abi.OpUnsetAttr:
		return slices.Contains(strings.Fields("href src type charset content"), e.A) && is(n, "script style template meta")
	}
	return false
}

// stands tells whether markup stays at the end of the element as written, with
// the elements around it and without those whose tags go.
func stands(at *nethtml.Node, markup string, appended bool, gone map[*nethtml.Node]bool) bool {
	if parsed(at, markup, appended) == nil {
		return false
	}
	var top, below *nethtml.Node // copies of what is left around it
	some := false
	for x := at; x != nil; x = x.Parent {
		if gone[x] {
			some = true
			continue
		}
		y := &nethtml.Node{Type: x.Type, Data: x.Data, DataAtom: x.DataAtom, Namespace: x.Namespace, Attr: x.Attr}
		if top == nil {
			top = y
		} else {
			below.Parent = y
		}
		below = y
	}
	return !some || parsed(top, markup, appended) != nil
}

// parsed returns the nodes that markup becomes at the end of the element, or
// nil if it would not stay there as written, or change what comes after it: the
// elements around it are written down with it in the innermost, a comment at
// the end of each, and parsed. What comes first in a template decides over the
// rest, so its content is written down as well: before markup to be appended, after other.
func parsed(at *nethtml.Node, markup string, appended bool) []*nethtml.Node {
	page, ends := "", ""
	for x := at; x != nil && x.Type == nethtml.ElementNode; x = x.Parent {
		mark := ""
		if x == at {
			mark = " data-at"
		}
		page = "<" + x.Data + mark + attributes(x) + ">" + page
		if !is(x, "html") {
			ends += "<!--end-->"
		}
		if !is(x, "html body") { // comments after these go elsewhere
			ends += "</" + x.Data + ">"
		}
	}
	if is(at, "table") && strings.HasPrefix(markup, "<tr") {
		ends = "</tbody>" + ends // the one that is made up
	}
	kept := ""
	if is(at, "template") {
		kept = dump(at)
	}
	if appended {
		page += kept + "<!--at-->" + markup + "<!--to-->" + ends
	} else {
		page += "<!--at-->" + markup + "<!--to-->" + kept + ends
	}
	var n *nethtml.Node
	for x := range must(nethtml.Parse(strings.NewReader("<!doctype html>" + page))).Descendants() {
		if _, ok := attrOf(x, "data-at"); ok {
			n = x
		}
	}
	if n == nil {
		return nil
	}
	for x, y := n, at; y != nil; x, y = x.Parent, y.Parent {
		if x == nil || x.Data != y.Data {
			return nil
		}
		if c := x.LastChild; y.Type == nethtml.ElementNode && !is(y, "html") && (c == nil || c.Type != nethtml.CommentNode || c.Data != "end") {
			return nil
		}
	}
	n.RemoveChild(n.LastChild)
	all, now := []*nethtml.Node{}, false
	for n.FirstChild != nil {
		c := n.FirstChild
		n.RemoveChild(c)
		switch {
		case c.Type == nethtml.CommentNode && (c.Data == "at" || c.Data == "to"):
			now = c.Data == "at"
		case now:
			all = append(all, c)
			if is(c, "tbody") && is(at, "table") && c.LastChild.Type == nethtml.CommentNode {
				c.RemoveChild(c.LastChild)
				now = false
			}
		default:
			kept = strings.TrimPrefix(kept, dump(&nethtml.Node{FirstChild: c}))
		}
	}
	elements := 0
	for _, top := range all {
		for x := range (&nethtml.Node{FirstChild: top}).Descendants() {
			if x.Type == nethtml.ElementNode && !(is(x, "tbody") && is(at, "table")) { // which may be made up
				elements++
			}
		}
	}
	if now || kept != "" || elements != strings.Count(markup, "<")-strings.Count(markup, "</")-strings.Count(markup, "<!") {
		return nil
	}
	return all
}

func attributes(n *nethtml.Node) (s string) {
	for _, a := range n.Attr {
		s += " " + a.Key + `="` + html.EscapeString(a.Val) + `"`
	}
	return s
}

// content returns what the edit puts at the end of the element.
func content(at *nethtml.Node, e abi.Edit) []*nethtml.Node {
	if e.Op == abi.OpHTML || e.B == "html" {
		return parsed(at, e.A, e.Op != abi.OpPrepend && e.Op != abi.OpHTML)
	}
	return []*nethtml.Node{{Type: nethtml.TextNode, Data: e.A}}
}

// last returns the last edit of one of the operations that acts on the element, or nil.
func (o *oracle) last(n *nethtml.Node, ops ...abi.Op) *abi.Edit {
	for _, i := range slices.Backward(o.hits[n]) {
		if slices.Contains(ops, o.edits[i].Op) {
			return &o.edits[i]
		}
	}
	return nil
}

// element carries out the edits of an element and of those in it.
func (o *oracle) element(n *nethtml.Node) {
	if o.last(n, abi.OpRemove) != nil {
		n.Parent.RemoveChild(n)
		return
	}
	for _, i := range o.hits[n] {
		switch e := o.edits[i]; e.Op {
		case abi.OpBefore:
			o.before[n] = append(o.before[n], content(n.Parent, e)...)
		case abi.OpAfter:
			o.after[n] = append(content(n.Parent, e), o.after[n]...)
		}
	}
	if e := o.last(n, abi.OpReplace); e != nil {
		o.instead[n] = content(n.Parent, *e)
		return
	}
	for _, i := range o.hits[n] {
		switch e := o.edits[i]; e.Op {
		case abi.OpUnwrap:
			o.bare[n] = true
		case abi.OpAttr:
			set(n, e.A, e.B)
		case abi.OpUnsetAttr:
			unset(n, e.A)
		case abi.OpAddClass, abi.OpRemoveClass:
			class(n, e.A, e.Op == abi.OpAddClass)
		}
	}
	o.inner(n)
}

// inner does so for the content of the element.
func (o *oracle) inner(n *nethtml.Node) {
	if e := o.last(n, abi.OpText, abi.OpHTML); e != nil {
		all := content(n, *e)
		for n.FirstChild != nil {
			n.RemoveChild(n.FirstChild)
		}
		for _, x := range all {
			n.AppendChild(x)
		}
		return
	}
	list := o.list(n)
	for c := n.FirstChild; c != nil; {
		next := c.NextSibling
		o.element(c)
		c = next
	}
	list()
	for _, i := range o.hits[n] {
		switch e := o.edits[i]; e.Op {
		case abi.OpPrepend:
			first := n.FirstChild
			for _, x := range content(n, e) {
				n.InsertBefore(x, first)
			}
		case abi.OpAppend:
			for _, x := range content(n, e) {
				n.AppendChild(x)
			}
		}
	}
}

// resolve returns copies of the nodes that stand for n in the edited page.
func (o *oracle) resolve(n *nethtml.Node) []*nethtml.Node {
	all := append(clones(o.before[n]), clones(o.instead[n])...)
	if _, gone := o.instead[n]; !gone {
		all = append(all, o.itself(n)...)
	}
	return append(all, clones(o.after[n])...)
}

// itself is resolve without what was put beside the node.
func (o *oracle) itself(n *nethtml.Node) []*nethtml.Node {
	c := &nethtml.Node{Type: n.Type, Data: n.Data, DataAtom: n.DataAtom, Namespace: n.Namespace, Attr: slices.Clone(n.Attr)}
	var kids []*nethtml.Node
	for k := n.FirstChild; k != nil; k = k.NextSibling {
		kids = append(kids, o.resolve(k)...)
	}
	if o.bare[n] {
		return kids
	}
	for _, k := range kids {
		c.AppendChild(k)
	}
	return []*nethtml.Node{c}
}

func clones(list []*nethtml.Node) (all []*nethtml.Node) {
	for _, n := range list {
		all = append(all, (&oracle{}).resolve(n)...)
	}
	return all
}

func attrOf(n *nethtml.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func set(n *nethtml.Node, name, value string) {
	for i := range n.Attr {
		if n.Attr[i].Key == name {
			n.Attr[i].Val = value
			return
		}
	}
	n.Attr = append(n.Attr, nethtml.Attribute{Key: name, Val: value})
}

func unset(n *nethtml.Node, name string) {
	n.Attr = slices.DeleteFunc(n.Attr, func(a nethtml.Attribute) bool { return a.Key == name })
}

func class(n *nethtml.Node, name string, add bool) {
	v, ok := attrOf(n, "class")
	list := strings.Fields(v)
	if slices.Contains(list, name) == add {
		return
	}
	if add {
		list = append(list, name)
	} else if !ok {
		return
	} else {
		list = slices.DeleteFunc(list, func(s string) bool { return s == name })
	}
	set(n, "class", strings.Join(list, " "))
}

// dump writes the tree, with attributes in order of name and classes without needless space.
func dump(n *nethtml.Node) string {
	var b strings.Builder
	dumpTo(&b, n)
	return b.String()
}

func dumpTo(b *strings.Builder, n *nethtml.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		switch c.Type {
		case nethtml.TextNode:
			b.WriteString(html.EscapeString(c.Data))
		case nethtml.CommentNode:
			fmt.Fprintf(b, "<!--%s-->", c.Data)
		case nethtml.ElementNode:
			fmt.Fprintf(b, "<%s", c.Data)
			slices.SortFunc(c.Attr, func(x, y nethtml.Attribute) int { return strings.Compare(x.Key, y.Key) })
			last := ""
			for _, a := range c.Attr {
				if a.Key == last {
					continue
				}
				if last = a.Key; a.Key == "class" {
					a.Val = strings.Join(strings.Fields(a.Val), " ")
				}
				fmt.Fprintf(b, " %s=%q", a.Key, a.Val)
			}
			b.WriteString(">")
			dumpTo(b, c)
			fmt.Fprintf(b, "</%s>", c.Data)
		}
	}
}

// Edit-then-parse equals parse-then-edit.
func TestOracle(t *testing.T) {
	rounds := 4000
	if testing.Short() {
		rounds = 500
	}
	var applied [abi.OpFill + 1]int
	marks := map[string]int{"<b>": 0, " km": 0, " mi": 0, "weight.": 0, "as=date": 0, "from=": 0, "in=": 0, "drop=": 0}
	for seed := range rounds {
		rnd := rand.New(rand.NewPCG(uint64(seed), 1))
		page := randomPage(rnd, 200+rnd.IntN(20+seed%3000))
		edits := randomEdits(rnd, 1+rnd.IntN(4))
		out, rep, ok := oracleAgrees(t, page, edits)
		if !ok {
			t.Fatalf("seed %d", seed)
		}
		for i, n := range rep.Applied {
			applied[edits[i].Op] += n
			for m := range marks {
				if n > 0 && (strings.Contains(edits[i].A, m) || m[0] == ' ' && strings.Contains(out, m)) {
					marks[m]++
				}
			}
		}
	}
	if testing.Short() {
		return
	}
	// What hardly happened has not been compared.
	for op := abi.OpText; op <= abi.OpFill; op++ {
		if applied[op] < rounds/20 {
			t.Errorf("%s was applied %d times in %d rounds", op, applied[op], rounds)
		}
	}
	for m, n := range marks {
		if n < rounds/2000+1 {
			t.Errorf("%q was in %d edits that were applied in %d rounds", m, n, rounds)
		}
	}
}

func oracleAgrees(t *testing.T, page string, edits []abi.Edit) (out string, rep Report, ok bool) {
	t.Helper()
	got, rep := rewriteAt(t, compile(t, Options{Charset: UTF8}, edits...), page)
	if rep.Stopped != 0 {
		t.Errorf("stopped: %v\n%s", rep.Stopped, page)
		return got, rep, false
	}
	have := dump(must(nethtml.Parse(strings.NewReader(got))))
	want, _ := oracleEdit(t, page, edits)
	for i, e := range edits {
		if e.Op == abi.OpFill && rep.Applied[i] > 0 { // how the copies are spaced is a matter of taste
			have, want = strings.Join(strings.Fields(have), ""), strings.Join(strings.Fields(want), "")
		}
		if e.Op == abi.OpFill && (slices.Contains(rep.NotApplied, NotApplied{i, WhyAmbiguous}) || slices.Contains(rep.NotApplied, NotApplied{i, WhyPattern})) {
			return got, rep, true // a sample that is not balanced, or does not stay, or is not there
		}
	}
	if have == want {
		return got, rep, true
	}
	i := 0
	for i < len(have) && i < len(want) && have[i] == want[i] {
		i++
	}
	page, got = page[:min(len(page), 8000)], got[:min(len(got), 8000)]
	if len(page) == 8000 {
		page, got = "(long)", "(long)"
	}
	t.Errorf("edits %+v\npage %s\n\nout  %s\n\nhave ...%s\nwant ...%s\n%+v", edits, page, got, have[max(0, i-80):min(len(have), i+200)], want[max(0, i-80):min(len(want), i+200)], rep)
	return got, rep, false
}

// The same with pages and edits that a fuzzer chooses.
func FuzzOracle(f *testing.F) {
	for i := range uint64(30) {
		f.Add(i, i*7, uint16(i*100), uint8(i))
	}
	f.Fuzz(func(t *testing.T, seed, editSeed uint64, size uint16, edits uint8) {
		page := randomPage(rand.New(rand.NewPCG(seed, 6)), 200+int(size)%4000)
		oracleAgrees(t, page, randomEdits(rand.New(rand.NewPCG(editSeed, 6)), 1+int(edits)%6))
	})
}

package rewrite

import (
	"cmp"
	"fmt"
	"html"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bespoke/modules/abi"

	"github.com/andybalholm/cascadia"
	nethtml "golang.org/x/net/html"
)

// The oracle edits the tree that x/net/html parses, with cascadia's selectors.
// It shares no code with the rewriter but the reading of order's and keep's arguments.

type oracle struct {
	edits []*prepared
	hits  map[*nethtml.Node][]int
	beside
}

// beside are the texts put before and after elements, which move with them.
type beside struct{ before, after map[*nethtml.Node][]string }

func oracleEdit(t testing.TB, page string, edits []abi.Edit) string {
	doc, err := nethtml.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	o := &oracle{hits: map[*nethtml.Node][]int{}, beside: beside{map[*nethtml.Node][]string{}, map[*nethtml.Node][]string{}}}
	for i, e := range edits {
		p, bad := new(Compiler).prepare(e, HTML, UTF8)
		if bad != nil {
			t.Fatal(bad)
		}
		o.edits = append(o.edits, p)
		for _, n := range cascadia.QueryAll(doc, must(cascadia.ParseGroup(e.Target))) {
			if !inTemplate(n) {
				o.hits[n] = append(o.hits[n], i)
			}
		}
	}
	o.element(doc, edits)
	var b strings.Builder
	dumpTo(&b, doc, o.beside)
	return b.String()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func inTemplate(n *nethtml.Node) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Data == "template" {
			return true
		}
	}
	return false
}

// empty tells whether the element has no content and cannot be given any. A g
// without children is one that closed itself.
func empty(n *nethtml.Node) bool {
	return is(n, voidNames) || is(n, rawNames) || is(n, bareNames) && n.Namespace == "" || is(n, "g") && n.FirstChild == nil
}

func is(n *nethtml.Node, names string) bool {
	return n != nil && n.Type == nethtml.ElementNode && slices.Contains(strings.Fields(names), n.Data)
}

const (
	voidNames = "br img input hr meta link"
	rawNames  = "script style noscript"
	bareNames = "html head table tbody tr"
)

func (o *oracle) element(n *nethtml.Node, edits []abi.Edit) {
	closed := empty(n)
	var text *string
	var order, keep *prepared
	for _, i := range o.hits[n] {
		e := edits[i]
		inside := !closed
		outside := !is(n, "html head body") && !is(n.Parent, bareNames)
		switch e.Op {
		case abi.OpRemove:
			if is(n, "html head body") {
				continue
			}
			n.Parent.RemoveChild(n)
			return
		case abi.OpText:
			if inside {
				text = &e.A
			}
		case abi.OpAttr:
			set(n, e.A, e.B)
		case abi.OpUnsetAttr:
			unset(n, e.A)
		case abi.OpAddClass, abi.OpRemoveClass:
			class(n, e.A, e.Op == abi.OpAddClass)
		case abi.OpBefore:
			if outside {
				o.before[n] = append(o.before[n], e.A)
			}
		case abi.OpAfter:
			if outside {
				o.after[n] = append([]string{e.A}, o.after[n]...)
			}
		case abi.OpOrder:
			order = o.edits[i]
		case abi.OpKeep:
			keep = o.edits[i]
		}
	}
	if text != nil {
		for n.FirstChild != nil {
			n.RemoveChild(n.FirstChild)
		}
		n.AppendChild(&nethtml.Node{Type: nethtml.TextNode, Data: *text})
	} else {
		// What order reads is what the page said, so it goes before edits within.
		plan := o.plan(n, order, keep)
		for c := n.FirstChild; c != nil; {
			next := c.NextSibling
			o.element(c, edits)
			c = next
		}
		plan()
		for _, i := range o.hits[n] {
			if closed {
				break
			}
			e := edits[i]
			switch x := (&nethtml.Node{Type: nethtml.TextNode, Data: e.A}); e.Op {
			case abi.OpPrepend:
				n.InsertBefore(x, n.FirstChild)
			case abi.OpAppend:
				n.AppendChild(x)
			}
		}
	}
}

// A slot is an element child with the nodes that stand before it.
type slot struct {
	gap []*nethtml.Node
	el  *nethtml.Node
}

// plan works out order and keep from the page as it was, to be done when the
// children have been edited.
func (o *oracle) plan(n *nethtml.Node, order, keep *prepared) func() {
	type facts struct {
		item, kept, has, placed, shown bool
		num, km, away                  float64
		text                           string
		show                           *nethtml.Node
	}
	all := map[*nethtml.Node]*facts{}
	var show *list
	for _, e := range []*prepared{order, keep} {
		if e != nil && show == nil && e.list.show != nil {
			show = e.list
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != nethtml.ElementNode {
			continue
		}
		f := &facts{}
		all[c] = f
		if order != nil && takes(order.list, c) {
			l := order.list
			f.item = true
			switch l.by {
			case byDistance:
				f.num, f.has = far(l, c)
			case byIDs:
				var at int
				if id, ok := attrOf(c, "id"); ok {
					at, f.has = l.ids[id]
				}
				f.num = float64(at)
			case byAttr:
				f.text, f.has = attrOf(c, l.key.attr)
				if l.as == asNumber && f.has {
					var err error
					f.num, err = strconv.ParseFloat(f.text, 64)
					f.has = err == nil
				}
			}
		}
		if keep != nil && takes(keep.list, c) {
			f.kept = true
			f.km, f.placed = far(keep.list, c)
		}
		if show != nil && takes(show, c) {
			if f.away, f.shown = far(show, c); f.shown && !o.listed(c) {
				f.show = o.findShow(c, show)
			}
		}
	}
	return func() {
		if order == nil && keep == nil {
			return
		}
		var slots []slot
		var gap, items []*nethtml.Node
		for n.FirstChild != nil {
			c := n.FirstChild
			n.RemoveChild(c)
			if c.Type != nethtml.ElementNode {
				gap = append(gap, c)
				continue
			}
			slots = append(slots, slot{gap, c})
			gap = nil
			if all[c].item {
				items = append(items, c)
			}
		}
		if order != nil {
			slices.SortStableFunc(items, func(a, b *nethtml.Node) int {
				x, y := all[a], all[b]
				if x.has != y.has {
					if x.has {
						return -1
					}
					return 1
				}
				if !x.has {
					return 0
				}
				c := cmp.Compare(x.num, y.num)
				if order.list.by == byAttr && order.list.as != asNumber {
					c = strings.Compare(x.text, y.text)
				}
				if order.list.desc {
					c = -c
				}
				return c
			})
		}
		first := 0
		for _, s := range slots {
			el := s.el
			if all[el].item {
				el, items = items[0], items[1:]
			}
			f := all[el]
			drop := false
			if f.kept {
				l := keep.list
				drop = l.within >= 0 && (!f.placed || f.km > l.within)
				if !drop && l.first > 0 {
					first++
					drop = first > l.first
				}
			}
			blank := !slices.ContainsFunc(s.gap, func(n *nethtml.Node) bool {
				return n.Type != nethtml.TextNode || strings.Trim(n.Data, " \t\n\f\r") != ""
			})
			if !drop || !blank {
				for _, x := range s.gap {
					n.AppendChild(x)
				}
			}
			if drop {
				continue
			}
			n.AppendChild(el)
			if f.show != nil {
				for f.show.FirstChild != nil {
					f.show.RemoveChild(f.show.FirstChild)
				}
				f.show.AppendChild(&nethtml.Node{Type: nethtml.TextNode, Data: html.UnescapeString(string(show.appendDistance(nil, f.away)))})
			}
		}
		for _, x := range gap {
			n.AppendChild(x)
		}
	}
}

// findShow finds where the distance goes: not in what is removed or replaced, nor in lists that are ordered themselves.
func (o *oracle) findShow(n *nethtml.Node, l *list) *nethtml.Node {
	for _, i := range o.hits[n] {
		if op := o.edits[i].op; op == abi.OpRemove || op == abi.OpText && !empty(n) {
			return nil
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != nethtml.ElementNode {
			continue
		}
		removed := slices.ContainsFunc(o.hits[c], func(i int) bool { return o.edits[i].op == abi.OpRemove })
		if removed || inTemplate(c) {
			continue
		}
		if testMeets(l.show, c) && !empty(c) {
			return c
		}
		if o.listed(c) {
			continue
		}
		if x := o.findShow(c, l); x != nil {
			return x
		}
	}
	return nil
}

// listed tells whether the element's own children are ordered or cut.
func (o *oracle) listed(n *nethtml.Node) bool {
	listed := false
	for _, i := range o.hits[n] {
		switch o.edits[i].op {
		case abi.OpText:
			return false
		case abi.OpOrder, abi.OpKeep:
			listed = true
		}
	}
	return listed && (!empty(n) || is(n, bareNames))
}

func takes(l *list, n *nethtml.Node) bool { return l.items == nil || testMeets(l.items, n) }

// testMeets asks cascadia.
func testMeets(x *test, n *nethtml.Node) bool {
	s := x.tag
	for _, id := range x.ids {
		s += "#" + id
	}
	for _, c := range x.classes {
		s += "." + c
	}
	return must(cascadia.Parse(s)).Match(n)
}

func far(l *list, n *nethtml.Node) (float64, bool) {
	a, ok := attrOf(n, l.lat)
	b, ok2 := attrOf(n, l.lon)
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	if !ok || !ok2 || err != nil || err2 != nil {
		return 0, false
	}
	return abi.Distance(l.at[0], l.at[1], x, y), true
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
	dumpTo(&b, n, beside{})
	return b.String()
}

func dumpTo(b *strings.Builder, n *nethtml.Node, at beside) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		for _, s := range at.before[c] {
			b.WriteString(html.EscapeString(s))
		}
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
			dumpTo(b, c, at)
			fmt.Fprintf(b, "</%s>", c.Data)
		}
		for _, s := range at.after[c] {
			b.WriteString(html.EscapeString(s))
		}
	}
}

// Edit-then-parse equals parse-then-edit.
func TestOracle(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 400
	}
	var applied [abi.OpFill + 1]int
	shown := 0
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
		}
		if strings.Contains(out, " km") || strings.Contains(out, " mi") {
			shown++
		}
	}
	// What hardly happened has not been compared.
	for _, op := range []abi.Op{abi.OpText, abi.OpAttr, abi.OpUnsetAttr, abi.OpAddClass, abi.OpRemoveClass, abi.OpBefore, abi.OpAfter,
		abi.OpPrepend, abi.OpAppend, abi.OpRemove, abi.OpOrder, abi.OpKeep} {
		if applied[op] < rounds/20 {
			t.Errorf("%s was applied %d times in %d rounds", op, applied[op], rounds)
		}
	}
	if shown == 0 {
		t.Error("no distance was shown")
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
	want := oracleEdit(t, page, edits)
	if have == want {
		return got, rep, true
	}
	i := 0
	for i < len(have) && i < len(want) && have[i] == want[i] {
		i++
	}
	t.Errorf("edits %+v\npage %s\n\nout  %s\n\nhave ...%s\nwant ...%s\n%+v", edits, page, got, have[max(0, i-80):min(len(have), i+200)], want[max(0, i-80):min(len(want), i+200)], rep)
	return got, rep, false
}

package rewrite

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"bespoke/modules/abi"

	nethtml "golang.org/x/net/html"
)

// What fill does, by the oracle, as far as its pages go: slots in text and
// attributes, addresses among them.

type filling map[string]string

func itemsOf(a string) (all []filling) {
	for block := range strings.SplitSeq(a, "\n\n") {
		v := filling{}
		for line := range strings.Lines(block) {
			if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
				v[name] = value
			}
		}
		if len(v) > 0 {
			all = append(all, v)
		}
	}
	return all
}

// fill puts copies of the sample in the places of the children, templates aside.
func (o *oracle) fill(n *nethtml.Node, e abi.Edit) {
	items := itemsOf(e.A)
	gaps, kids := slots(n)
	template := func(c *nethtml.Node) bool { return is(c, "template") && o.instead[c] == nil }
	add := func(all []*nethtml.Node) {
		for _, x := range all {
			n.AppendChild(x)
		}
	}
	if len(kids) == 0 {
		add(gaps[0])
		return
	}
	from := max(0, slices.IndexFunc(kids, template))
	tail := from
	for i, c := range kids {
		if !template(c) {
			tail = i
		}
	}
	var sample []*nethtml.Node // what stands beside it is no part of it, and goes
	if o.instead[kids[from]] == nil {
		sample = o.itself(kids[from])
	}
	if template(kids[from]) {
		all := []*nethtml.Node{}
		for c := sample[0].FirstChild; c != nil; c = c.NextSibling {
			all = append(all, c)
		}
		sample = all
	}
	next := func() {
		for _, x := range clones(sample) {
			add(items[0].node(x))
		}
		items = items[1:]
	}
	for i, c := range kids {
		switch {
		case template(c):
			add(append(gaps[i], c))
		case len(items) > 0:
			add(gaps[i])
			next()
		case !blank(gaps[i]):
			add(gaps[i])
		}
		for i == tail && len(items) > 0 {
			next()
		}
	}
	add(gaps[len(kids)])
}

var slotOf = regexp.MustCompile(`\{\{ *([A-Za-z_][A-Za-z0-9_.-]*) *\}\}`)

// text fills the slots of text.
func (v filling) text(s string, escape func(string) string) string {
	return slotOf.ReplaceAllStringFunc(s, func(m string) string { return escape(v[slotOf.FindStringSubmatch(m)[1]]) })
}

// node returns what the item makes of a node of the sample.
func (v filling) node(n *nethtml.Node) []*nethtml.Node {
	same := func(s string) string { return s }
	if n.Type == nethtml.TextNode {
		n.Data = v.text(n.Data, same)
		return []*nethtml.Node{n}
	}
	if n.Type != nethtml.ElementNode {
		return []*nethtml.Node{n}
	}
	if name, ok := attrOf(n, "data-fill-if"); ok && v[name] == "" {
		return nil
	}
	if id, ok := attrOf(n, "id"); ok && n.Namespace == "" && !slotOf.MatchString(id) {
		unset(n, "id")
	}
	for i := range n.Attr {
		a := &n.Attr[i]
		switch at := strings.Index(a.Val, "{{"); {
		case a.Key != "href" || at < 0:
			a.Val = v.text(a.Val, same)
		case at == 0:
			a.Val = safely(v.text(a.Val, same))
		default:
			a.Val = v.text(a.Val, func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") })
		}
	}
	var kids []*nethtml.Node
	for n.FirstChild != nil {
		c := n.FirstChild
		n.RemoveChild(c)
		if !is(n, rawNames) {
			kids = append(kids, v.node(c)...)
		} else {
			kids = append(kids, c)
		}
	}
	if slots, ok := attrOf(n, "data-fill"); ok {
		for _, word := range strings.Fields(slots) {
			name, from, isAttr := strings.Cut(word, "=")
			value, there := v[from]
			switch {
			case !isAttr:
				kids = []*nethtml.Node{{Type: nethtml.TextNode, Data: v[name]}}
			case !there:
				unset(n, name)
			case name == "href":
				set(n, name, safely(value))
			default:
				set(n, name, value)
			}
		}
	}
	for _, c := range kids {
		n.AppendChild(c)
	}
	return []*nethtml.Node{n}
}

// safely is the address, or "#" if its scheme is not one of those that may stand.
func safely(s string) string {
	scheme, _, ok := strings.Cut(strings.ToLower(s), ":")
	if !ok || strings.ContainsAny(scheme, "/?#") || slices.Contains([]string{"http", "https", "mailto", "tel"}, scheme) {
		return s
	}
	return "#"
}

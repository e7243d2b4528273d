package rewrite

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"bespoke/modules/abi"

	nethtml "golang.org/x/net/html"
)

// What order, keep and fill do, by the oracle.

// A wish is the arguments of order or keep.
type wish map[string]string

func wishOf(e *abi.Edit) wish {
	if e == nil {
		return nil
	}
	w := wish{}
	for line := range strings.Lines(e.A + "\n" + e.B) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			w[name] = value
		}
	}
	return w
}

// takes tells whether the child takes part.
func (w wish) takes(n *nethtml.Node) bool {
	return w != nil && (w["items"] == "" || anyMatches(xselector(w["items"]), n))
}

// far is how many kilometres the element is from the place.
func (w wish) far(n *nethtml.Node) (float64, bool) {
	lat, lon, ok := strings.Cut(w["at"], ",")
	a, ok1 := attrOf(n, w["lat"])
	b, ok2 := attrOf(n, w["lon"])
	y, err1 := strconv.ParseFloat(a, 64)
	x, err2 := strconv.ParseFloat(b, 64)
	if !ok || !ok1 || !ok2 || err1 != nil || err2 != nil {
		return 0, false
	}
	return abi.Distance(must(strconv.ParseFloat(lat, 64)), must(strconv.ParseFloat(lon, 64)), y, x), true
}

// A fact is what order and keep go by of one child.
type fact struct {
	item, keeps bool
	kept        []bool // by each keep
	has         bool   // a value to be ordered by
	num         float64
	text        string
	away        string        // the distance, as it is shown
	show        *nethtml.Node // and where
}

// list reads what the lists' edits of the element go by from the page as it
// was, and returns what is to be done when the children have been edited.
func (o *oracle) list(n *nethtml.Node) func() {
	if e := o.last(n, abi.OpFill); e != nil {
		return func() { o.fill(n, *e) }
	}
	order := wishOf(o.last(n, abi.OpOrder))
	var keeps []wish
	for _, i := range o.hits[n] {
		if o.edits[i].Op == abi.OpKeep {
			keeps = append(keeps, wishOf(&o.edits[i]))
		}
	}
	if order == nil && keeps == nil {
		return func() {}
	}
	show := order
	for _, keep := range keeps {
		if show["show"] == "" {
			show = keep
		}
	}
	all := map[*nethtml.Node]*fact{}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type != nethtml.ElementNode {
			continue
		}
		f := &fact{item: order.takes(c), keeps: true}
		all[c] = f
		if f.item {
			order.rank(f, c)
		}
		for _, keep := range keeps {
			f.kept = append(f.kept, keep.takes(c))
			f.keeps = f.keeps && (!keep.takes(c) || keep.wants(c))
		}
		if away, ok := show.far(c); ok && show["show"] != "" && show.takes(c) && !o.listed(c) {
			f.show, f.away = o.findShow(c, show["show"]), show.shown(away)
		}
	}
	return func() { o.arrange(n, order, keeps, all) }
}

// shown is the distance as text.
func (w wish) shown(km float64) string {
	unit := " km"
	if w["unit"] == "mi" {
		km, unit = km/1.609344, " mi"
	}
	if km < 1 {
		return "< 1" + unit
	}
	return strconv.Itoa(int(math.Round(km))) + unit
}

// rank finds what the child is ordered by, as far as its own attributes tell.
func (w wish) rank(f *fact, c *nethtml.Node) {
	switch w["by"] {
	case "distance":
		f.num, f.has = w.far(c)
	case "ids":
		if id, ok := attrOf(c, "id"); ok {
			at := slices.Index(strings.Fields(w["ids"]), id)
			f.num, f.has = float64(at), at >= 0
		}
	case "affinity":
		f.num, f.has = w.affinity(c)
	case "attr":
		if v, ok := attrOf(c, w["attr"]); ok && w["from"] == "" {
			w.value(f, v)
		}
	}
}

// value takes v as what the child is ordered by.
func (w wish) value(f *fact, v string) {
	f.has = true
	var err error
	switch w["as"] {
	case "number":
		f.num, err = strconv.ParseFloat(strings.TrimSpace(v), 64)
	case "date":
		var at time.Time
		layout := "2006-01-02"
		if strings.Contains(v, "T") {
			layout = time.RFC3339
		}
		at, err = time.Parse(layout, strings.TrimSpace(v))
		f.num = float64(at.Unix())
	default:
		f.text = v
	}
	f.has = err == nil
}

// affinity is the decayed sum of the weights that the child's values have, negated.
func (w wish) affinity(c *nethtml.Node) (float64, bool) {
	var ws []float64
	for name, list := range w {
		attr, ok := strings.CutPrefix(name, "weight.")
		v, there := attrOf(c, attr)
		if !ok || !there {
			continue
		}
		for one := range strings.SplitSeq(list, "|") {
			at := strings.LastIndexByte(one, ':')
			if slices.Contains(partsOf(v), strings.ToLower(one[:at])) {
				ws = append(ws, must(strconv.ParseFloat(one[at+1:], 64)))
			}
		}
	}
	slices.SortFunc(ws, func(a, b float64) int { return cmp.Compare(math.Abs(b), math.Abs(a)) })
	sum, share, decay := 0.0, 1.0, 0.5
	if w["decay"] != "" {
		decay = must(strconv.ParseFloat(w["decay"], 64))
	}
	for _, x := range ws {
		sum += x * share
		share *= decay
	}
	return -sum, len(ws) > 0
}

// partsOf is the value, and what stands between its commas.
func partsOf(v string) []string {
	all := append(strings.Split(v, ","), v)
	for i := range all {
		all[i] = strings.ToLower(strings.TrimSpace(all[i]))
	}
	return all
}

// wants tells whether keep wants the child, as far as its own attributes tell.
func (w wish) wants(c *nethtml.Node) bool {
	if within := w["within"]; within != "" {
		if km, ok := w.far(c); !ok || km > must(strconv.ParseFloat(within, 64)) {
			return false
		}
	}
	id, _ := attrOf(c, "id")
	if ids, ok := w["ids"]; ok && !slices.Contains(strings.Fields(ids), id) {
		return false
	}
	if slices.Contains(strings.Fields(w["drop"]), id) {
		return false
	}
	if w["attr"] == "" {
		return true
	}
	v, ok := attrOf(c, w["attr"])
	return w.passes(v, ok)
}

func (w wish) passes(v string, ok bool) bool {
	_, hasIn := w["in"]
	_, hasMin := w["min"]
	_, hasMax := w["max"]
	if !ok {
		return !hasIn && !hasMin && !hasMax
	}
	among := func(list string) bool {
		return slices.ContainsFunc(strings.Split(list, "|"), func(s string) bool { return slices.Contains(partsOf(v), strings.ToLower(s)) })
	}
	if not, has := w["not"]; has && among(not) || hasIn && !among(w["in"]) {
		return false
	}
	num, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if hasMin && (err != nil || num < must(strconv.ParseFloat(w["min"], 64))) {
		return false
	}
	return !hasMax || err == nil && num <= must(strconv.ParseFloat(w["max"], 64))
}

// from finds the value that from= means in the child, as it stands after the edits within it.
func (o *oracle) from(c *nethtml.Node, from string) (string, bool) {
	selector, attr, _ := strings.Cut(from, "@")
	list := xselector(selector)
	top := &nethtml.Node{Type: nethtml.DocumentNode}
	for _, x := range o.resolve(c) {
		top.AppendChild(x)
	}
	for x := range top.Descendants() {
		if x.Type != nethtml.ElementNode || inTemplate(x) || !anyMatches(list, x) {
			continue
		}
		if attr == "" {
			return xtext(x), true
		}
		if v, ok := attrOf(x, attr); ok {
			return v, true
		}
	}
	return "", false
}

// xtext is the text of the element without needless space.
func xtext(x *nethtml.Node) string {
	s := ""
	for y := range x.Descendants() {
		if y.Type == nethtml.TextNode && !is(y.Parent, rawNames) && !within(y, "template") {
			s += y.Data
		}
	}
	return strings.Join(strings.Fields(s), " ")
}

// slots takes the element children of n out, with the nodes that stand before each, and after the last.
func slots(n *nethtml.Node) (gaps [][]*nethtml.Node, kids []*nethtml.Node) {
	gaps = [][]*nethtml.Node{nil}
	for n.FirstChild != nil {
		c := n.FirstChild
		n.RemoveChild(c)
		if c.Type == nethtml.ElementNode {
			kids, gaps = append(kids, c), append(gaps, nil)
		} else {
			gaps[len(kids)] = append(gaps[len(kids)], c)
		}
	}
	return gaps, kids
}

// blank tells whether there is nothing but space.
func blank(gap []*nethtml.Node) bool {
	return !slices.ContainsFunc(gap, func(n *nethtml.Node) bool {
		return n.Type != nethtml.TextNode || strings.Trim(n.Data, " \t\n\f\r") != ""
	})
}

func (o *oracle) arrange(n *nethtml.Node, order wish, keeps []wish, all map[*nethtml.Node]*fact) {
	gaps, kids := slots(n)
	var items []*nethtml.Node
	for _, c := range kids {
		f := all[c]
		if f.item {
			items = append(items, c)
			if v, ok := "", false; order["from"] != "" {
				if v, ok = o.from(c, order["from"]); ok {
					order.value(f, v)
				}
			}
		}
		for k, keep := range keeps {
			if from := keep["from"]; from != "" && f.kept[k] && f.keeps {
				v, ok := o.from(c, from)
				f.keeps = keep.passes(v, ok)
			}
		}
	}
	slices.SortStableFunc(items, func(a, b *nethtml.Node) int {
		x, y := all[a], all[b]
		if !x.has || !y.has {
			return cmp.Compare(btoi(y.has), btoi(x.has))
		}
		c := cmp.Or(cmp.Compare(x.num, y.num), strings.Compare(x.text, y.text))
		if order["dir"] == "desc" {
			c = -c
		}
		return c
	})
	let := make([]int, len(keeps)) // how many each let through
	for i, el := range kids {
		if all[el].item {
			el, items = items[0], items[1:]
		}
		f := all[el]
		drop := !f.keeps
		for k, keep := range keeps {
			if first, err := strconv.Atoi(keep["first"]); err == nil && f.kept[k] {
				drop = drop || let[k] == first
			}
		}
		for k := range keeps {
			if !drop && f.kept[k] {
				let[k]++
			}
		}
		if !drop || !blank(gaps[i]) {
			for _, x := range gaps[i] {
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
			f.show.AppendChild(&nethtml.Node{Type: nethtml.TextNode, Data: f.away})
		}
	}
	for _, x := range gaps[len(kids)] {
		n.AppendChild(x)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// findShow finds where the distance goes: not in what is taken out or
// replaced, nor in lists that are ordered themselves.
func (o *oracle) findShow(n *nethtml.Node, selector string) *nethtml.Node {
	if o.last(n, abi.OpRemove, abi.OpReplace, abi.OpText, abi.OpHTML) != nil {
		return nil
	}
	for _, c := range kids(n) {
		if c.Type != nethtml.ElementNode || o.last(c, abi.OpRemove, abi.OpReplace) != nil {
			continue
		}
		if anyMatches(xselector(selector), c) && !empty(c) && !is(c, bareNames) {
			return c
		}
		if o.listed(c) {
			continue
		}
		if x := o.findShow(c, selector); x != nil {
			return x
		}
	}
	return nil
}

// listed tells whether the element's own children are ordered, cut or filled.
func (o *oracle) listed(n *nethtml.Node) bool {
	return o.last(n, abi.OpText, abi.OpHTML) == nil && o.last(n, abi.OpOrder, abi.OpKeep, abi.OpFill) != nil
}

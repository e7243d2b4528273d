package edge

import (
	"bytes"
	"strings"

	"bespoke/host/control"
	"bespoke/host/profile"
	"bespoke/host/recommend"
	"bespoke/host/rewrite"
	"bespoke/modules/abi"
)

// Events are what visitors do. They come from the pages that pass (findItem), from
// policies (the operation event), and from scripts of the page by the API. Without
// personalize an event changes nothing; without measure it enters no aggregate, and
// neither does it without personalize, as there is no session then that it is of.

// An event is one thing that a visitor did.
type event struct {
	kind string // a key of eventKinds
	item string // the tenant's id
	// lines are name=value: attributes that count as the item's, or were searched for.
	lines string
}

// An eventKind is what a kind of event means.
type eventKind struct {
	ofItem bool           // it is of an item
	counts recommend.Kind // in aggregates; 0: not
}

// eventKinds are those that ABI.md lists.
var eventKinds = map[string]eventKind{
	"view":       {true, recommend.View},
	"click":      {true, recommend.Click},
	"purchase":   {true, recommend.Purchase},
	"hide":       {true, recommend.Hide},
	"search":     {false, recommend.Search},
	"mail-open":  {},
	"mail-click": {},
}

// Bounds of an exchange's events.
const (
	maxEvents     = 32 // of all policies together
	maxEventItem  = 256
	maxEventLines = 1 << 10
	maxEventAttrs = 16
)

// personaAttribute is the attribute of the catalogue whose values are personas: who
// looks at such items seems to be of that kind.
const personaAttribute = "persona"

// checkEvent refuses what is no event. Whether it is used is not told: that depends
// on what the visitor granted.
func (x *exchange) checkEvent(e abi.Edit) abi.Refusal {
	if _, ok := eventKinds[e.Target]; !ok {
		return abi.RefusedTarget
	}
	if len(e.A) > maxEventItem || len(e.B) > maxEventLines {
		return abi.RefusedArgument
	}
	n := 0
	for i := range x.edits {
		if x.edits[i].Op == abi.OpEvent {
			n++
		}
	}
	if n >= maxEvents {
		return abi.RefusedLimit
	}
	return abi.Accepted
}

// findItem finds the item that the page shows. It looks only for whom it may be
// remembered, and before the page is rewritten.
func (x *exchange) findItem() {
	if x.route == nil || x.route.Items.None() || x.tenant.recommender == nil || !x.decision.Grants(abi.Personalize) || !x.opened() {
		return
	}
	items := &x.route.Items
	if items.Path != "" {
		query := func(name string) string { return string(x.ctx.QueryArgs().Peek(name)) }
		if id, ok := items.Item(x.path, query); ok {
			x.item = strings.Clone(id)
			return
		}
	}
	if items.Page && x.body != nil {
		if page, ok := x.body.page(); ok {
			x.item = itemOf(page)
		}
	}
}

// opened reports whether the answer is a page that the visitor opened, and not a
// part of one, a failure, or what a browser fetches in advance.
func (x *exchange) opened() bool {
	if !x.ctx.IsGet() || x.in.StatusCode() < 200 || x.in.StatusCode() > 299 {
		return false
	}
	h := &x.ctx.Request.Header
	switch string(h.PeekCanonical(nameFetchDest)) {
	case "", "document":
	default:
		return false
	}
	for _, name := range [...]string{"Sec-Purpose", "Purpose"} {
		if containsFold(h.Peek(name), "prefetch") {
			return false
		}
	}
	k, _ := kindOf(x.in.Header.ContentType())
	return k == htmlKind
}

var itemAttribute = []byte("data-bespoke-item")

const (
	itemLooks = 8       // times that the word is followed, be it in a script or a comment
	itemTag   = 8 << 10 // bytes that its tag has after it
)

// itemOf returns the id in the first attribute data-bespoke-item of a page, written
// in lower case. The page is read only as far as it stands there.
func itemOf(page []byte) string {
	from := 0
	for range itemLooks {
		i := bytes.Index(page[from:], itemAttribute)
		if i < 0 {
			return ""
		}
		from += i + len(itemAttribute)
		end := bytes.IndexByte(page[from:min(from+itemTag, len(page))], '>')
		if end < 0 {
			return ""
		}
		found, err := rewrite.Extract(page[:from+end+1], rewrite.HTML, "[data-bespoke-item]", "data-bespoke-item")
		if err == nil && len(found) > 0 && len(found[0]) <= maxEventItem {
			return strings.TrimSpace(found[0])
		}
	}
	return ""
}

// follow takes note of the page that the visitor opened, and of what policies say
// that they did.
func (x *exchange) follow() {
	if !x.decision.Grants(abi.Personalize) {
		return
	}
	if x.item != "" {
		x.happened(&event{kind: "view", item: x.item})
	}
	for i := range x.edits {
		if e := &x.edits[i]; e.Op == abi.OpEvent {
			x.happened(&event{kind: e.Target, item: e.A, lines: e.B})
		}
	}
	x.keepInferred(&x.ctx.Response.Header)
}

// followTold takes note of what scripts of the page say that the visitor did.
func (x *exchange) followTold(events []control.Event) {
	for i := range events {
		e := &events[i]
		x.happened(&event{kind: e.Kind, item: e.Item, lines: e.Lines})
	}
}

// happened has an event change the profile and the aggregates, as far as both are
// granted. One of an item that the catalogue does not have changes nothing.
func (x *exchange) happened(e *event) {
	in := x.inferredFor(abi.Personalize)
	if in == nil || in.newer {
		return
	}
	kind := eventKinds[e.kind]
	at := profile.Memory{}.At(x.began)
	before := in.Inferred
	rec := x.tenant.recommender
	var it recommend.Item
	if rec != nil {
		cat := rec.Catalogue()
		ok := false
		if kind.ofItem {
			var number uint32
			if number, ok = cat.Number(e.item); ok {
				it, ok = cat.Item(number)
			}
		}
		if kind.ofItem && !ok {
			return
		}
		var room [maxEventAttrs]uint32
		values := append(attributes(room[:0], cat, e.lines), it.Values...)
		in.learn(e.kind, it.Number, values, at)
		in.seems(cat, values, e.kind, at)
	} else if !kind.ofItem {
		in.learn(e.kind, 0, nil, at)
	}
	in.changed = in.changed || in.Inferred != before
	if rec == nil || kind.counts == 0 || !x.decision.Grants(abi.Measure) {
		return
	}
	in.draw()
	rec.Event(recommend.Event{Kind: kind.counts, Item: it.Number, Session: in.session, Visitor: in.session, Time: x.began})
}

// learn has the profile take up an event.
func (in *inferred) learn(kind string, item uint32, values []uint32, at profile.Moment) {
	switch kind {
	case "view":
		in.View(item, values, at)
	case "click":
		in.Click(item, values, at)
	case "purchase":
		in.Purchase(item, values, at)
	case "search":
		in.Search(values, at)
	case "hide":
		in.Forget(item)
	case "mail-sent":
		in.MailSent(at)
	case "mail-open":
		in.MailOpened(at)
	case "mail-click":
		in.MailClicked(at)
	}
}

// seems adds to the scores of the personas that the values name.
func (in *inferred) seems(cat *recommend.Catalogue, values []uint32, kind string, at profile.Moment) {
	weight := map[string]float64{"view": profile.WeightView, "click": profile.WeightClick, "purchase": profile.WeightPurchase, "search": profile.WeightSearch}[kind]
	if weight == 0 {
		return
	}
	for _, v := range values {
		if name, value, ok := cat.Attribute(v); ok && name == personaAttribute {
			_ = in.Persona(value, weight, at) // a value that names no persona is one of no persona
		}
	}
}

// attributes appends the numbers of the attributes in lines of name=value; what the
// catalogue never had is left out.
func attributes(dst []uint32, cat *recommend.Catalogue, lines string) []uint32 {
	for line := range strings.SplitSeq(lines, "\n") {
		name, value, ok := strings.Cut(line, "=")
		if !ok || len(dst) == maxEventAttrs {
			continue
		}
		if n, ok := cat.Value(name, value); ok {
			dst = append(dst, n)
		}
	}
	return dst
}

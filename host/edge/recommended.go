package edge

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bespoke/host/profile"
	"bespoke/host/recommend"
	"bespoke/modules/abi"
)

// answers are room for answers about items and the profile. It keeps the band that was
// asked for last: a policy reads again what did not fit its memory, and must find
// the same.
type answers struct {
	band   string // the key's
	sifted bool   // by what the visitor declared
	value  []byte // of band
	text   []byte // of any other key
	picks  []recommend.Pick
	query  recommend.Query
	muted  []string
}

var answerRooms = sync.Pool{New: func() any { return new(answers) }}

const toldRoom = 64 << 10 // more is left to the collector

func (t *answers) close() {
	value, text, picks, muted := t.value, t.text, t.picks, t.muted
	if cap(value) > toldRoom || cap(text) > toldRoom {
		value, text = nil, nil
	}
	clear(value[:cap(value)])
	clear(text[:cap(text)])
	clear(picks[:cap(picks)])
	clear(muted[:cap(muted)])
	*t = answers{value: value[:0], text: text[:0], picks: picks[:0], muted: muted[:0]}
	answerRooms.Put(t)
}

func (x *exchange) tell() *answers {
	if x.told == nil {
		x.told = answerRooms.Get().(*answers)
	}
	return x.told
}

// recommended answers recommend.BAND: the items of a band, one a line. Read has seen
// to it that a personal band is asked for only where that is granted. A public one is
// of what many did; of this visitor it depends on nothing but what they declared, which
// is left out: what they hid, and what has a topic that they muted.
func (v *view) recommended(band string) ([]byte, bool) {
	x := v.x
	if x.script != nil {
		return x.script.band(abi.KeyRecommend + band)
	}
	rec := x.tenant.recommender
	if rec == nil {
		return nil, false
	}
	t := x.tell()
	if t.band != band || len(t.value) == 0 {
		t.band, t.value, t.sifted = band, t.value[:0], false
		x.appendBand(t, rec, band)
	}
	if t.sifted {
		v.personal()
	}
	return t.value, len(t.value) > 0
}

// bands are the bands by the name in their key.
var bands = map[string]recommend.Band{
	"recently-viewed": recommend.RecentlyViewed, "for-you": recommend.ForYou, "next": recommend.ViewedNext,
	"best-sellers": recommend.BestSellers, "trending": recommend.Trending, "deals": recommend.Deals,
	"bought-together": recommend.BoughtTogether, "similar": recommend.Similar,
}

// appendBand finds the items of a band, and appends them to t.value.
func (x *exchange) appendBand(t *answers, rec *recommend.Recommender, key string) {
	name, rest, _ := strings.Cut(key, "?")
	band, ok := bands[name]
	if !ok {
		return
	}
	cat, q := rec.Catalogue(), &t.query
	*q = recommend.Query{N: 12}
	if !parameters(q, cat, rest) {
		return
	}
	switch class := abi.Classify(abi.KeyRecommend + name); {
	case class == abi.Inferred:
		in := x.inferredFor(abi.Personalize)
		if in == nil || in.Empty() {
			return // nothing to tell from; what is about nobody has bands of its own
		}
		in.ask(q, x.began)
		q.Exact = band != recommend.ForYou
		if band == recommend.ViewedNext && q.Item == 0 && len(q.Recent) > 0 {
			q.Item = q.Recent[0]
		}
	case class != abi.Public:
		return
	}
	if q.Item == 0 && (band == recommend.Similar || band == recommend.BoughtTogether || band == recommend.ViewedNext) {
		return
	}
	q.Hidden = x.hiddenItems().Items()
	n := q.N
	if t.muted = append(t.muted[:0], x.preferences().Muted...); len(t.muted) > 0 {
		q.N = recommend.MaxN // some of them go
	}
	t.sifted = len(q.Hidden)+len(t.muted) > 0
	t.picks = rec.AppendBand(t.picks[:0], band, q)
	for _, p := range t.picks {
		it, ok := cat.Item(p.Item)
		if !ok || muted(cat, &it, t.muted) {
			continue
		}
		if n--; n < 0 {
			break
		}
		t.value = appendItem(t.value, cat, &it)
	}
	t.value = trimLine(t.value)
}

// ask puts what the profile knows into a query.
func (in *inferred) ask(q *recommend.Query, now time.Time) {
	in.trail, in.recent = in.trail[:0], in.recent[:0]
	for _, it := range in.Recent() {
		in.recent = append(in.recent, it.Number)
		if now.Sub(it.Time()) < visitLength+time.Minute { // it is kept to the minute
			in.trail = append(in.trail, it.Number)
		}
	}
	q.Trail, q.Recent = in.trail, in.recent
}

// parameters reads those of a band's key into q: n and item. It reports whether they
// can be answered: an item that the catalogue does not have has no neighbours.
func parameters(q *recommend.Query, cat *recommend.Catalogue, s string) (ok bool) {
	for s != "" {
		var pair string
		pair, s, _ = strings.Cut(s, "&")
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "n":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return false
			}
			q.N = min(n, recommend.MaxN)
		case "item":
			id, err := url.QueryUnescape(value)
			if err != nil {
				return false
			}
			if q.Item, ok = cat.Number(id); !ok {
				return false
			}
		}
	}
	return true
}

// muted reports whether an attribute of the item is a topic that the visitor muted,
// in whatever case.
func muted(cat *recommend.Catalogue, it *recommend.Item, topics []string) bool {
	for _, v := range it.Values {
		if len(topics) == 0 {
			return false
		}
		_, value, ok := cat.Attribute(v)
		if ok && slices.ContainsFunc(topics, func(s string) bool { return strings.EqualFold(s, value) }) {
			return true
		}
	}
	return false
}

// appendItem appends a line: name=value with tabs between them.
func appendItem(b []byte, cat *recommend.Catalogue, it *recommend.Item) []byte {
	b = appendPair(append(b, "id="...), it.ID)
	for _, p := range [...]struct{ name, value string }{{"\ttitle=", it.Title}, {"\turl=", it.URL}, {"\timage=", it.Image}} {
		if p.value != "" {
			b = appendPair(append(b, p.name...), p.value)
		}
	}
	if it.Price > 0 {
		b = strconv.AppendFloat(append(b, "\tprice="...), it.Price, 'f', -1, 64)
	}
	if it.Was > 0 {
		b = strconv.AppendFloat(append(b, "\twas="...), it.Was, 'f', -1, 64)
	}
	before := ""
	for _, v := range it.Values { // by name
		switch name, value, ok := cat.Attribute(v); {
		case !ok:
		case name == before: // an attribute of several values is one name
			b = appendPair(append(b, ", "...), value)
		default:
			b = appendPair(append(b, "\tattr."...), name)
			b = appendPair(append(b, '='), value)
			before = name
		}
	}
	return append(b, '\n')
}

// appendPair appends text on one line and without tabs.
func appendPair(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f {
			b = append(b, ' ')
		} else {
			b = append(b, c)
		}
	}
	return b
}

// trimLine takes off the last line's end.
func trimLine(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		return b[:n-1]
	}
	return b
}

// inferred answers profile.NAME. Read has seen to it that it is granted.
func (v *view) inferred(k string, needs abi.Purpose) ([]byte, bool) {
	x := v.x
	in := x.inferredFor(needs)
	if in == nil || in.Empty() {
		return nil, false
	}
	var cat *recommend.Catalogue
	if rec := x.tenant.recommender; rec != nil {
		cat = rec.Catalogue()
	}
	t := x.tell()
	b := t.text[:0]
	attribute, affinity := strings.CutPrefix(k, "profile.affinity.")
	switch {
	case k == "profile.persona":
		b = in.appendPersonas(b)
	case k == "profile.engagement":
		b = in.appendEngagement(b)
	case cat == nil:
		return nil, false
	case k == "profile.recent":
		b = appendIDs(b, cat, in.Recent())
	case k == "profile.purchases":
		b = appendIDs(b, cat, in.Purchases())
	case affinity, k == "profile.interests":
		in.weights = in.AppendAffinities(in.weights[:0])
		for _, a := range in.weights {
			if name, value, ok := cat.Attribute(a.Value); ok && (!affinity || name == attribute) {
				b = appendWeighted(b, value, a.Weight)
			}
		}
	}
	t.text = trimLine(b)
	return t.text, len(t.text) > 0
}

func appendIDs(b []byte, cat *recommend.Catalogue, items []profile.Item) []byte {
	for _, i := range items {
		if it, ok := cat.Item(i.Number); ok {
			b = append(appendPair(b, it.ID), '\n')
		}
	}
	return b
}

// appendWeighted appends a line of a value, a tab, and its weight to the hundredth.
func appendWeighted(b []byte, value string, weight float64) []byte {
	b = append(appendPair(b, value), '\t')
	return append(strconv.AppendFloat(b, math.Round(weight*100)/100, 'f', -1, 64), '\n')
}

// A scored is a name and its score.
type scored struct {
	name  string
	score float64
}

func appendScored(b []byte, all []scored) []byte {
	slices.SortStableFunc(all, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	for _, s := range all {
		b = appendWeighted(b, s.name, s.score)
	}
	return b
}

func (in *inferred) appendPersonas(b []byte) []byte {
	var room [profile.MaxPersonas]scored
	all := room[:0]
	for name, score := range in.Personas() {
		all = append(all, scored{name, score})
	}
	return appendScored(b, all)
}

// appendEngagement appends how much of what was sent by a channel is looked at, from
// 0 to 1, as profile.Engagement.Name weighs it; channels that tell nothing are left out.
func (in *inferred) appendEngagement(b []byte) []byte {
	var room [3]scored
	all := room[:0]
	for _, ch := range [...]profile.Channel{profile.Mail, profile.Push, profile.Text} {
		e := in.Engagement(ch)
		if e.Name() == "" {
			continue
		}
		all = append(all, scored{ch.String(), min(1, (e.Opened+3*e.Clicked)/max(e.Sent, e.Opened, e.Clicked))})
	}
	return appendScored(b, all)
}

// hiddenIDs answers preference.hidden.
func (v *view) hiddenIDs() ([]byte, bool) {
	x := v.x
	rec := x.tenant.recommender
	if rec == nil {
		return nil, false
	}
	cat, t := rec.Catalogue(), x.tell()
	b := t.text[:0]
	for _, n := range x.hiddenItems().Items() {
		if it, ok := cat.Item(n); ok {
			b = append(appendPair(b, it.ID), '\n')
		}
	}
	t.text = trimLine(b)
	return t.text, len(t.text) > 0
}

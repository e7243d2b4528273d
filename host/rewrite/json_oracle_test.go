package rewrite

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// An oracleJSON is a value as encoding/json reads it, with members in their
// order. Scalars and names keep their spelling.
type oracleJSON struct {
	kind  byte   // '{', '[', '"', or 0
	raw   string // scalars: as written
	text  string // strings: what they say
	names []oracleName
	kids  []*oracleJSON
	hits  []int // edits that aim at it
}

type oracleName struct{ raw, text string }

// decodeJSON reads a document by the tokens of encoding/json. Of members of
// one name only the last is there.
func decodeJSON(t testing.TB, doc string) *oracleJSON {
	t.Helper()
	doc = strings.TrimPrefix(doc, "\ufeff")
	if !json.Valid([]byte(doc)) {
		t.Fatalf("not valid: %.300q", doc)
	}
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	next := func() (json.Token, string) {
		from := int(d.InputOffset())
		tok := must(d.Token())
		return tok, strings.TrimLeft(doc[from:d.InputOffset()], " \t\r\n,:")
	}
	var value func() *oracleJSON
	value = func() *oracleJSON {
		tok, raw := next()
		n := &oracleJSON{raw: raw}
		switch tok := tok.(type) {
		case json.Delim:
			n.kind, n.raw = byte(tok), ""
			for d.More() {
				if tok == '{' {
					name, raw := next()
					if i := n.find(name.(string)); i >= 0 {
						n.names, n.kids = slices.Delete(n.names, i, i+1), slices.Delete(n.kids, i, i+1)
					}
					n.names = append(n.names, oracleName{raw, name.(string)})
				}
				n.kids = append(n.kids, value())
			}
			next()
		case string:
			n.kind, n.text = '"', tok
		}
		return n
	}
	return value()
}

func (n *oracleJSON) find(name string) int {
	return slices.IndexFunc(n.names, func(x oracleName) bool { return x.text == name })
}

func (n *oracleJSON) String() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *oracleJSON) write(b *strings.Builder) {
	if n.kind != '{' && n.kind != '[' {
		b.WriteString(n.raw)
		return
	}
	b.WriteByte(n.kind)
	for i, k := range n.kids {
		if i > 0 {
			b.WriteByte(',')
		}
		if n.kind == '{' {
			b.WriteString(strconv.Quote(n.names[i].text) + ":")
		}
		k.write(b)
	}
	b.WriteByte(n.kind + 2)
}

// at calls f for every value that the pointer leads to.
func (n *oracleJSON) at(path []string, f func(*oracleJSON)) {
	if len(path) == 0 {
		f(n)
		return
	}
	for i, k := range n.kids {
		if path[0] == "*" || n.kind == '[' && path[0] == strconv.Itoa(i) || n.kind == '{' && path[0] == n.names[i].text {
			k.at(path[1:], f)
		}
	}
}

func oraclePath(pointer string) []string {
	if pointer == "" {
		return nil
	}
	path := strings.Split(pointer[1:], "/")
	for i, name := range path {
		path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	}
	return path
}

// An oracleJSONEditor edits the tree, value by value, from the outside to the inside.
type oracleJSONEditor struct {
	t     testing.TB
	edits []abi.Edit
}

// A setter says what becomes of a value, by an edit that aims at it or at the object it is in.
type setter struct {
	edit  int
	value *oracleJSON // nil: it goes
}

func oracleEditJSON(t testing.TB, doc string, edits []abi.Edit) *oracleJSON {
	root := decodeJSON(t, doc)
	for i, e := range edits {
		root.at(oraclePath(e.Target), func(n *oracleJSON) { n.hits = append(n.hits, i) })
	}
	o := oracleJSONEditor{t, edits}
	return o.value(root, nil)
}

// parse reads a value that an edit brings. What is escaped for pages stands in strings only.
func (o *oracleJSONEditor) parse(s string) *oracleJSON {
	return decodeJSON(o.t, strings.ReplaceAll(s, "<", `\u003c`))
}

func (o *oracleJSONEditor) value(n *oracleJSON, set []setter) *oracleJSON {
	for _, h := range n.hits {
		switch e := o.edits[h]; e.Op {
		case abi.OpRemove:
			return nil
		case abi.OpReplace:
			set = append(set, setter{h, o.parse(e.A)})
		case abi.OpText:
			set = append(set, setter{h, &oracleJSON{kind: '"', raw: string(appendJSON(nil, e.A)), text: e.A}})
		}
	}
	if len(set) > 0 {
		return slices.MaxFunc(set, func(a, b setter) int { return a.edit - b.edit }).value
	}
	switch n.kind {
	case '{':
		return o.object(n, nil)
	case '[':
		return o.array(n)
	}
	return n
}

func (o *oracleJSONEditor) object(n *oracleJSON, extra map[string]setter) *oracleJSON {
	sets := map[string][]setter{}
	for name, s := range extra {
		sets[name] = append(sets[name], s)
	}
	for _, h := range n.hits {
		switch e := o.edits[h]; e.Op {
		case abi.OpAttr:
			sets[e.A] = append(sets[e.A], setter{h, o.parse(e.B)})
		case abi.OpUnsetAttr:
			sets[e.A] = append(sets[e.A], setter{h, nil})
		}
	}
	out := &oracleJSON{kind: '{'}
	for i, k := range n.kids {
		name := n.names[i]
		if v := o.value(k, sets[name.text]); v != nil {
			out.names, out.kids = append(out.names, name), append(out.kids, v)
		}
		delete(sets, name.text)
	}
	type added struct {
		name string
		setter
	}
	var adds []added
	for name, s := range sets {
		if last := slices.MaxFunc(s, func(a, b setter) int { return a.edit - b.edit }); last.value != nil {
			adds = append(adds, added{name, last})
		}
	}
	sort.Slice(adds, func(i, j int) bool { return adds[i].edit < adds[j].edit })
	for _, a := range adds {
		out.names, out.kids = append(out.names, oracleName{text: a.name}), append(out.kids, a.value)
	}
	return out
}

func (o *oracleJSONEditor) array(n *oracleJSON) *oracleJSON {
	var order, fill = -1, -1
	var keeps []int
	var front, back []*oracleJSON
	for _, h := range n.hits {
		switch e := o.edits[h]; e.Op {
		case abi.OpPrepend:
			front = append([]*oracleJSON{o.parse(e.A)}, front...)
		case abi.OpAppend:
			back = append(back, o.parse(e.A))
		case abi.OpOrder:
			order = h
		case abi.OpKeep:
			keeps = append(keeps, h)
		case abi.OpFill:
			fill = h
		}
	}
	out := &oracleJSON{kind: '[', kids: front}
	if fill >= 0 {
		out.kids = append(out.kids, o.parse(o.edits[fill].A).kids...)
	} else {
		out.kids = append(out.kids, o.elements(n, order, keeps)...)
	}
	out.kids = append(out.kids, back...)
	return out
}

// elements returns what becomes of the elements of an array.
func (o *oracleJSONEditor) elements(n *oracleJSON, order int, keeps []int) []*oracleJSON {
	show := -1
	for _, h := range append([]int{order}, keeps...) {
		if h >= 0 && show < 0 && strings.Contains(o.edits[h].B, "show=") {
			show = h
		}
	}
	type element struct {
		is  *oracleJSON // as it was
		out []*oracleJSON
	}
	var list []element
	for _, k := range n.kids {
		var v *oracleJSON
		if km, ok := o.args(show).distance(k); show >= 0 && ok && k.kind == '{' && !o.replaced(k) {
			if o.removed(k) {
				continue
			}
			raw := strconv.FormatFloat(km, 'f', 1, 64)
			v = o.object(k, map[string]setter{o.args(show)["show"]: {show, &oracleJSON{raw: raw}}})
		} else if v = o.value(k, nil); v == nil {
			continue
		}
		e := element{is: k, out: []*oracleJSON{v}}
		for _, h := range k.hits {
			if x := o.edits[h]; x.Op == abi.OpBefore {
				e.out = slices.Insert(e.out, slices.Index(e.out, v), o.parse(x.A))
			} else if x.Op == abi.OpAfter {
				e.out = slices.Insert(e.out, slices.Index(e.out, v)+1, o.parse(x.A))
			}
		}
		list = append(list, e)
	}
	if order >= 0 {
		a := o.args(order)
		sort.SliceStable(list, func(i, j int) bool { return a.less(list[i].is, list[j].is) })
	}
	for _, h := range keeps {
		list = slices.DeleteFunc(list, func(e element) bool { return !o.args(h).keeps(e.is) })
	}
	for _, h := range keeps { // and then they count
		if n, err := strconv.Atoi(o.args(h)["first"]); err == nil && n < len(list) {
			list = list[:n]
		}
	}
	var out []*oracleJSON
	for _, e := range list {
		out = append(out, e.out...)
	}
	return out
}

func (o *oracleJSONEditor) removed(n *oracleJSON) bool {
	return slices.ContainsFunc(n.hits, func(h int) bool { return o.edits[h].Op == abi.OpRemove })
}

func (o *oracleJSONEditor) replaced(n *oracleJSON) bool {
	return slices.ContainsFunc(n.hits, func(h int) bool { return o.edits[h].Op == abi.OpText || o.edits[h].Op == abi.OpReplace })
}

// oracleArgs are the arguments of order or keep.
type oracleArgs map[string]string

func (o *oracleJSONEditor) args(h int) oracleArgs {
	a := oracleArgs{}
	if h < 0 {
		return a
	}
	for _, line := range strings.Split(o.edits[h].A+"\n"+o.edits[h].B, "\n") {
		name, value, _ := strings.Cut(line, "=")
		a[name] = value
	}
	return a
}

// field returns a field of the element, as text.
func (a oracleArgs) field(n *oracleJSON, name string) (string, bool) {
	path := []string{name}
	if strings.HasPrefix(name, "/") {
		path = oraclePath(name)
	}
	for _, name := range path {
		if n.kind != '{' || n.find(name) < 0 {
			return "", false
		}
		n = n.kids[n.find(name)]
	}
	text := func(n *oracleJSON) (string, bool) {
		switch {
		case n.kind == '"':
			return n.text, true
		case n.kind != 0 || n.raw == "null" || n.raw == "":
			return "", false
		}
		return n.raw, true
	}
	if n.kind == '[' {
		var parts []string
		for _, k := range n.kids {
			if s, ok := text(k); ok {
				parts = append(parts, s)
			}
		}
		return strings.Join(parts, ","), true
	}
	return text(n)
}

func (a oracleArgs) number(n *oracleJSON, name string) (float64, bool) {
	s, ok := a.field(n, name)
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return f, ok && err == nil
}

func (a oracleArgs) distance(n *oracleJSON) (float64, bool) {
	lat, okLat := a.number(n, a["lat"])
	lon, okLon := a.number(n, a["lon"])
	var y, x float64
	fmt.Sscanf(a["at"], "%g,%g", &y, &x)
	return abi.Distance(y, x, lat, lon), okLat && okLon && lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180
}

// less tells whether x comes before y.
func (a oracleArgs) less(x, y *oracleJSON) bool {
	switch {
	case a["by"] == "distance":
		d, okX := a.distance(x)
		e, okY := a.distance(y)
		return okX && (!okY || d < e)
	case a["by"] == "ids":
		place := func(n *oracleJSON) (int, bool) {
			id, ok := a.field(n, "id")
			i := slices.Index(strings.Fields(a["ids"]), id)
			return i, ok && i >= 0
		}
		i, okX := place(x)
		j, okY := place(y)
		return okX && (!okY || i < j)
	case a["by"] == "affinity":
		f, okX := a.liking(x)
		g, okY := a.liking(y)
		return okX && (!okY || f > g)
	case a["as"] == "number":
		f, okX := a.number(x, a["attr"])
		g, okY := a.number(y, a["attr"])
		if a["dir"] == "desc" && okX && okY {
			f, g = g, f
		}
		return okX && (!okY || f < g)
	}
	s, okX := a.field(x, a["attr"])
	t, okY := a.field(y, a["attr"])
	if a["dir"] == "desc" && okX && okY {
		s, t = t, s
	}
	return okX && (!okY || s < t)
}

// liking is the decayed sum of the weights that the element's values have.
func (a oracleArgs) liking(n *oracleJSON) (float64, bool) {
	var ws []float64
	for line, weights := range a {
		attr, ok := strings.CutPrefix(line, "weight.")
		v, has := a.field(n, attr)
		if !ok || !has {
			continue
		}
		for part := range strings.SplitSeq(weights, "|") {
			value, weight, _ := strings.Cut(part, ":")
			for s := range strings.SplitSeq(v, ",") {
				if strings.EqualFold(strings.TrimSpace(s), value) {
					ws = append(ws, must(strconv.ParseFloat(weight, 64)))
					break
				}
			}
		}
	}
	sort.Slice(ws, func(i, j int) bool { return math.Abs(ws[i]) > math.Abs(ws[j]) })
	sum, share := 0.0, 1.0
	for _, w := range ws {
		sum, share = sum+w*share, share/2
	}
	return sum, len(ws) > 0
}

func (a oracleArgs) keeps(n *oracleJSON) bool {
	if within, err := strconv.ParseFloat(a["within"], 64); err == nil {
		if km, ok := a.distance(n); !ok || km > within {
			return false
		}
	}
	id, hasID := a.field(n, "id")
	if ids, ok := a["ids"]; ok && (!hasID || !slices.Contains(strings.Fields(ids), id)) {
		return false
	}
	if drop, ok := a["drop"]; ok && hasID && slices.Contains(strings.Fields(drop), id) {
		return false
	}
	if in, ok := a["in"]; ok {
		v, has := a.field(n, a["attr"])
		return has && slices.ContainsFunc(strings.Split(v, ","), func(s string) bool {
			return slices.Contains(strings.Split(in, "|"), strings.ToLower(strings.TrimSpace(s)))
		})
	}
	if least, err := strconv.ParseFloat(a["min"], 64); err == nil {
		f, ok := a.number(n, a["attr"])
		return ok && f >= least
	}
	return true
}

// Editing and then decoding is decoding and then editing.
func TestJSONOracle(t *testing.T) {
	var r JSONRewriter
	acted := 0
	for seed := range uint64(12_000) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		doc := randomJSON(rnd)
		if jsonOracleAgrees(t, &r, doc, randomJSONEdits(rnd, decodeJSON(t, doc), 1+rnd.IntN(6))) {
			acted++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if acted < 7000 {
		t.Errorf("only %d documents were changed", acted)
	}
}

// jsonOracleAgrees tells whether the edits changed anything.
func jsonOracleAgrees(t testing.TB, r *JSONRewriter, doc string, edits []abi.Edit) bool {
	p := compileJSON(t, edits...)
	out := string(r.Rewrite([]byte("before"), p, []byte(doc)))
	rep := r.Report()
	out, ok := strings.CutPrefix(out, "before")
	if rep.Stopped != 0 || !ok {
		t.Errorf("stopped: %v\ndocument %q\nedits %q\noutput %q", rep.Stopped, doc, edits, out)
		return false
	}
	if strings.HasPrefix(doc, "\ufeff") != strings.HasPrefix(out, "\ufeff") {
		t.Errorf("the byte order mark: document %q, output %q", doc, out)
	}
	if !json.Valid([]byte(strings.TrimPrefix(out, "\ufeff"))) {
		t.Errorf("not valid:\ndocument %q\nedits %q\noutput   %q", doc, edits, out)
		return false
	}
	want, got := oracleEditJSON(t, doc, edits).String(), decodeJSON(t, out).String()
	if want != got {
		t.Errorf("document %q\nedits %q\noutput %q\nit means %s\nwant     %s", doc, edits, out, got, want)
	}
	applied := 0
	for _, n := range rep.Applied {
		applied += n
	}
	if applied == 0 && out != doc {
		t.Errorf("no edit was applied to %q:\nedits %q\noutput %q", doc, edits, out)
	}
	return out != doc
}

package rewrite

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"bespoke/modules/abi"
)

// Bounds of JSON.
const (
	DefaultMaxJSON = 4 << 20 // bytes of a document

	maxPointer      = 64      // names in a target
	maxValueDepth   = 64      // of a value that an edit brings
	maxJSONElements = 1 << 16 // of an array that is ordered or cut
	maxJSONMarks    = 1 << 18 // values of a document that edits have to do with
	maxJSONHits     = 1 << 20 // edits of such values
	maxJSONWork     = 1 << 25 // steps of targets, over all members that they are compared with; and 8 bytes of text compared with a value each
	jsonGrowth      = 4       // an edited document has at most this many times MaxBytes
)

// JSONOptions bound what a [JSONRewriter] takes on. Zero stands for a default.
type JSONOptions struct {
	MaxBytes int     // of a document: DefaultMaxJSON, at most 1 GiB
	MaxDepth int     // of nested arrays and objects: DefaultMaxDepth
	Drafts   *Drafts // what checking the edits left; it may be nil, and serves one plan
}

// CheckJSON is [Check] for edits of JSON. A target is a JSON Pointer (RFC
// 6901); the name * stands for every element of an array, or every member of an object.
//
// Text makes a value a string, and replace any value. Attr sets a member of an
// object: in place, or at its end. Before and after put an element beside an element, prepend and
// append first or last into an array; fill takes an array, or lines as in HTML, for its
// elements. Remove takes a member or an element with its comma and the whitespace at it.
//
// Targets mean the document as it came. Of several edits of one value the last text,
// replace, attr or unset-attr of it acts, and none within it or of its members; remove beats all. Fill beats order
// and keep. Those go by what the document says, be it replaced or not; an
// item's id is its member id; what before and after put beside an item moves with it, and what prepend and
// append put into the list does not take part. Where an object has several members of
// one name, the last counts, as in most parsers, and the edits that are aimed through it are reported
// as [WhyAmbiguous]; what takes that member away takes all of them, or an earlier one would come to light.
//
// What is written is as the edit gave it, without whitespace between its tokens,
// and with '<', U+2028 and U+2029 escaped in strings. New members follow the
// whitespace of the first two that are there.
func CheckJSON(e abi.Edit) abi.Refusal {
	var p jsonEdit
	if err := p.prepare(e, nil); err != nil {
		return err.refusal
	}
	return abi.Accepted
}

// A jsonEdit has everything that does not depend on the document.
type jsonEdit struct {
	op      abi.Op
	target  string
	content []byte   // the value that it writes
	name    string   // attr, unset-attr: the member; order, keep: the member that shows the distance
	member  []byte   // that name, quoted
	nameID  int32    // the same number for the same name, within a plan; -1 if it has none
	items   [][]byte // fill
	list    *jsonList
}

// prepare fills in p. What it writes it appends to *room, if that is not nil.
func (p *jsonEdit) prepare(e abi.Edit, room *[]byte) *editError {
	if !e.Op.Known() {
		return &editError{abi.RefusedUnknownOp, fmt.Errorf("operation %d is unknown", e.Op)}
	}
	if room == nil {
		room = new([]byte)
	}
	*p = jsonEdit{op: e.Op, target: e.Target, nameID: -1}
	var bad *editError
	switch e.Op {
	case abi.OpText:
		if !utf8.ValidString(e.A) {
			bad = badArgument("the text is not UTF-8")
		}
		p.content = appendTo(room, e.A, appendJSON)
	case abi.OpReplace, abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend:
		p.content, bad = jsonValue(e.Op, e.A, room)
	case abi.OpAttr:
		if p.content, bad = jsonValue(e.Op, e.B, room); bad == nil {
			bad = p.named(e.A, room)
		}
	case abi.OpUnsetAttr:
		bad = p.named(e.A, room)
	case abi.OpRemove:
		if e.A != "" {
			bad = badArgument("remove takes no argument")
		}
	case abi.OpOrder, abi.OpKeep:
		bad = p.listed(e, room)
	case abi.OpFill:
		p.items, bad = jsonItems(e.A)
	default:
		bad = &editError{abi.RefusedUnsupported, fmt.Errorf("operation %s is not carried out on JSON", e.Op)}
	}
	if bad == nil && e.B != "" && p.list == nil && e.Op != abi.OpAttr {
		bad = badArgument("%s takes no second argument on JSON", e.Op)
	}
	if bad != nil {
		return bad
	}
	err := checkPointer(e.Target)
	if err == nil && e.Target == "" && e.Op == abi.OpRemove {
		err = fmt.Errorf("the root cannot be removed")
	}
	if err != nil {
		return &editError{abi.RefusedTarget, err}
	}
	return nil
}

// appendTo appends s to *room as f does, and returns what was appended.
func appendTo(room *[]byte, s string, f func([]byte, string) []byte) []byte {
	from := len(*room)
	*room = f(*room, s)
	return (*room)[from:len(*room):len(*room)]
}

func (p *jsonEdit) named(name string, room *[]byte) *editError {
	if !utf8.ValidString(name) {
		return badArgument("the name of the member is not UTF-8")
	}
	p.name, p.member = name, appendTo(room, name, appendJSON)
	return nil
}

// jsonValue checks a value that an edit brings, and makes it compact.
func jsonValue(op abi.Op, value string, room *[]byte) ([]byte, *editError) {
	var s jsonScanner
	from := len(*room)
	*room = append(*room, value...)
	s.reset((*room)[from:], maxValueDepth)
	end := s.pass(s.space(0))
	whole := end >= 0 && s.space(end) == len(value)
	*room = (*room)[:from]
	switch {
	case s.fault == WhyDepth:
		return nil, badArgument("the value of %s is nested deeper than %d", op, maxValueDepth)
	case !whole:
		return nil, badArgument("the value of %s: expected one value of JSON, found %.40q", op, value)
	}
	return appendTo(room, value, compactJSON), nil
}

// jsonItems reads the argument of fill: an array, or items in lines.
func jsonItems(a string) ([][]byte, *editError) {
	if !strings.HasPrefix(strings.TrimLeft(a, " \t\r\n"), "[") {
		return jsonLines(a)
	}
	value, bad := jsonValue(abi.OpFill, a, new([]byte))
	if bad != nil {
		return nil, bad
	}
	items := [][]byte{}
	var s jsonScanner
	s.reset(value, maxValueDepth)
	for i := 1; value[i] != ']'; {
		end := s.pass(i)
		items = append(items, value[i:end:end])
		if i = end; value[i] == ',' {
			i++
		}
	}
	return items, nil
}

// jsonLines makes an object of each item, of its values as strings.
func jsonLines(a string) ([][]byte, *editError) {
	list, err := parseItems(a)
	if err != nil {
		return nil, badArgument("fill: %w", err)
	}
	items := make([][]byte, len(list))
	for i := range list {
		b := []byte{'{'}
		for j, f := range list[i].fields {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, f.name)
			b = append(b, ':')
			b = appendJSON(b, f.value)
		}
		items[i] = append(b, '}')
	}
	return items, nil
}

// checkPointer tells whether s is a JSON Pointer (RFC 6901, 3 and 4).
func checkPointer(s string) error {
	if s != "" && s[0] != '/' {
		return fmt.Errorf("pointer %q: expected it to be empty or to begin with /", s)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("pointer %q: not UTF-8", s)
	}
	names := 0
	for i := range len(s) {
		switch s[i] {
		case '/':
			names++
		case '~':
			if i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1' {
				return fmt.Errorf("pointer %q: expected 0 or 1 after ~ in name %d", s, names)
			}
		}
	}
	if names > maxPointer {
		return fmt.Errorf("pointer: expected at most %d names, found %d", maxPointer, names)
	}
	return nil
}

// cutPointer takes the first name off a pointer that is not empty.
func cutPointer(s string) (name, rest string) {
	name = s[1:]
	if i := strings.IndexByte(name, '/'); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	if strings.IndexByte(name, '~') >= 0 {
		// In this order, so that ~01 becomes ~1.
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
	}
	return name, rest
}

// arrayIndex reads a name as the index of an element: digits without a zero in front (RFC 6901, 4).
func arrayIndex(name string) (int32, bool) {
	if name == "" || len(name) > 9 || name[0] == '0' && len(name) > 1 {
		return 0, false
	}
	for i := range len(name) {
		if name[i] < '0' || name[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(name)
	return int32(n), err == nil
}

// A JSONPlan is a compiled list of edits of JSON. It never changes and may be
// used by many [JSONRewriter]s at the same time.
type JSONPlan struct {
	edits    []jsonEdit
	nodes    []jsonNode // nodes[0] is the root
	names    int        // how many names of members the edits have
	maxBytes int
	maxDepth int
}

// A jsonNode is a set of places that some steps of targets lead to: a trie.
//
// A hit is an edit with the part that the value has in it: twice the edit's index if
// the edit aims at the value; and one more if it aims at the object whose member the value is.
type jsonNode struct {
	hits   []int32   // ascending
	reads  []jsonUse // order and keep that look at the value
	names  []jsonStep
	byName map[string]int32 // instead of names, when there are many
	index  []jsonIndex      // those of the names that are indexes, ascending
	star   int32            // what * leads to, or 0
	inner  bool             // it leads further
	box    bool             // edits may change which members or elements it has
}

type jsonStep struct {
	name string
	node int32
}

type jsonIndex struct{ at, node int32 }

// A jsonUse says that the value is field number field of an element, to order or keep.
type jsonUse struct{ edit, field int32 }

// few is how many names are looked through one by one.
const few = 8

// CompileJSON compiles edits of JSON. It fails on the first that [CheckJSON]
// would refuse. Edits are known by their index from then on.
func CompileJSON(edits []abi.Edit, opt JSONOptions) (*JSONPlan, error) {
	if opt.MaxBytes < 0 || opt.MaxBytes > 1<<30 || opt.MaxDepth < 0 || opt.MaxDepth > 1<<16 {
		return nil, fmt.Errorf("compile: a limit out of range in %d bytes, depth %d", opt.MaxBytes, opt.MaxDepth)
	}
	p := newJSONPlan(opt, len(edits))
	var ids map[string]int32
	var room []byte
	next := 0
	for i, e := range edits {
		one := &p.edits[i]
		var d *draft
		if d, next = opt.Drafts.find(e, next); d != nil && d.json != nil {
			*one = *d.json
		} else if err := one.prepare(e, &room); err != nil {
			return nil, fmt.Errorf("edit %d, %s on %q: %w", i, e.Op, e.Target, err)
		}
		if one.member != nil {
			if ids == nil {
				ids = map[string]int32{}
			}
			id, ok := ids[one.name]
			if !ok {
				id = int32(len(ids))
				ids[one.name] = id
			}
			one.nameID = id
		}
		p.add(int32(i))
	}
	p.names = len(ids)
	p.finish()
	return p, nil
}

func newJSONPlan(opt JSONOptions, edits int) *JSONPlan {
	return &JSONPlan{
		edits: make([]jsonEdit, edits), nodes: make([]jsonNode, 1, 2*edits+2),
		maxBytes: or(opt.MaxBytes, DefaultMaxJSON), maxDepth: or(opt.MaxDepth, DefaultMaxDepth),
	}
}

// add puts edit i, which is prepared, into the trie.
func (p *JSONPlan) add(i int32) {
	e := &p.edits[i]
	parent, at := int32(0), int32(0)
	for rest := e.target; rest != ""; {
		var name string
		name, rest = cutPointer(rest)
		parent, at = at, p.step(at, name)
	}
	p.nodes[at].hits = append(p.nodes[at].hits, 2*i)
	switch e.op {
	case abi.OpRemove, abi.OpBefore, abi.OpAfter:
		p.nodes[parent].box = true
	case abi.OpAttr, abi.OpUnsetAttr:
		p.nodes[at].box = true
		p.aim(p.literal(at, e.name), 2*i+1)
	case abi.OpPrepend, abi.OpAppend, abi.OpFill:
		p.nodes[at].box = true
	case abi.OpOrder, abi.OpKeep:
		p.nodes[at].box = true
		p.addList(i, at, e)
	}
}

// addList lets the fields of the elements be found.
func (p *JSONPlan) addList(i, at int32, e *jsonEdit) {
	star := p.step(at, "*")
	for f, path := range e.list.fields {
		to := star
		for _, name := range path {
			to = p.literal(to, name)
		}
		p.nodes[to].reads = append(p.nodes[to].reads, jsonUse{i, int32(f)})
	}
	if e.member != nil {
		p.nodes[star].box = true
		p.aim(p.literal(star, e.name), 2*i+1)
	}
}

func (p *JSONPlan) aim(at, hit int32) { p.nodes[at].hits = append(p.nodes[at].hits, hit) }

// step returns where the name of a target leads from a node.
func (p *JSONPlan) step(at int32, name string) int32 {
	if name != "*" {
		return p.literal(at, name)
	}
	n := &p.nodes[at]
	if n.star == 0 {
		n.star, n.inner = int32(len(p.nodes)), true
		p.nodes = append(p.nodes, jsonNode{})
	}
	return p.nodes[at].star
}

// literal is step for a name that stands for itself.
func (p *JSONPlan) literal(at int32, name string) int32 {
	n := &p.nodes[at]
	to, ok := n.byName[name]
	for i := 0; i < len(n.names) && !ok; i++ {
		to, ok = n.names[i].node, n.names[i].name == name
	}
	if ok {
		return to
	}
	to = int32(len(p.nodes))
	n.inner = true
	if i, ok := arrayIndex(name); ok {
		n.index = append(n.index, jsonIndex{i, to})
	}
	switch {
	case n.byName != nil:
		n.byName[name] = to
	case len(n.names) < few:
		n.names = append(n.names, jsonStep{name, to})
	default:
		n.byName = map[string]int32{name: to}
		for _, x := range n.names {
			n.byName[x.name] = x.node
		}
		n.names = nil
	}
	p.nodes = append(p.nodes, jsonNode{})
	return to
}

// finish makes the plan ready when all edits have been added.
func (p *JSONPlan) finish() {
	for i := range p.nodes {
		if n := &p.nodes[i]; len(n.index) > 1 {
			slices.SortFunc(n.index, func(a, b jsonIndex) int { return int(a.at - b.at) })
		}
	}
}

// child returns the node that a member of that name leads to, apart from *, or 0.
func (n *jsonNode) child(name []byte) int32 {
	for i := range n.names {
		if string(name) == n.names[i].name {
			return n.names[i].node
		}
	}
	if n.byName != nil {
		return n.byName[string(name)]
	}
	return 0
}

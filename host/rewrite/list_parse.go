package rewrite

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"bespoke/modules/abi"
)

func parseOrder(e abi.Edit, k kind) (*list, *editError) {
	l := newList()
	var a args
	err := a.read(e.A)
	if err == nil {
		err = l.order(&a, k)
	}
	if err == nil {
		err = l.choice(e.B, k)
	}
	if err != nil {
		return nil, badArgument("order: %w", err)
	}
	return l, nil
}

func (l *list) order(a *args, k kind) (err error) {
	switch by, _ := a.take("by"); by {
	case "distance":
		l.by = byDistance
		err = l.place(a, k)
	case "attr":
		l.by = byAttr
		err = l.byAttribute(a, k)
	case "ids":
		l.by = byIDs
		l.ids, err = idSet(a, "ids")
		if err == nil && len(l.ids) == 0 {
			err = fmt.Errorf("ids: expected 1 to %d ids, found none", maxIDs)
		}
	case "affinity":
		l.by = byAffinity
		err = l.byAffinities(a, k)
	default:
		err = fmt.Errorf("by: expected distance, attr, ids or affinity, found %q", by)
	}
	if err == nil {
		err = a.rest()
	}
	return err
}

func (l *list) byAttribute(a *args, k kind) (err error) {
	if l.key, err = k.source(a); err != nil {
		return err
	}
	switch as, _ := a.take("as"); as {
	case "number":
		l.as = asNumber
	case "date":
		l.as = asDate
	case "", "text":
	default:
		return fmt.Errorf("as: expected number, text or date, found %q", as)
	}
	switch dir, _ := a.take("dir"); dir {
	case "desc":
		l.desc = true
	case "", "asc":
	default:
		return fmt.Errorf("dir: expected asc or desc, found %q", dir)
	}
	return nil
}

// byAffinities reads lines weight.ATTR=VALUE:WEIGHT|VALUE:WEIGHT.
func (l *list) byAffinities(a *args, k kind) (err error) {
	if d, ok := a.take("decay"); ok {
		if l.decay, ok = number([]byte(d)); !ok || l.decay <= 0 || l.decay > 1 {
			return fmt.Errorf("decay: expected a number above 0, up to 1, found %q", d)
		}
	}
	values := 0
	for i := range a.list[:a.n] {
		x := &a.list[i]
		attr, ok := strings.CutPrefix(x.name, "weight.")
		if !ok {
			continue
		}
		x.taken = true
		one := affinity{}
		if one.attr, ok = k.attr(attr); !ok {
			return fmt.Errorf("%s: %q is no name of an attribute", x.name, attr)
		}
		for part := range strings.SplitSeq(x.value, "|") {
			at := strings.LastIndexByte(part, ':')
			if at < 0 {
				return fmt.Errorf("%s: expected VALUE:WEIGHT, found %q", x.name, part)
			}
			w, ok := number([]byte(part[at+1:]))
			if !ok {
				return fmt.Errorf("%s: expected a number as weight, found %q", x.name, part[at+1:])
			}
			one.values = append(one.values, lowerASCII(strings.TrimSpace(part[:at])))
			one.weight = append(one.weight, w)
			if values++; values > maxIDs {
				return fmt.Errorf("%s: at most %d weights", x.name, maxIDs)
			}
		}
		l.likes = append(l.likes, one)
	}
	if len(l.likes) == 0 || len(l.likes) > maxAffinities {
		return fmt.Errorf("expected 1 to %d lines weight.ATTR=VALUE:WEIGHT|..., found %d", maxAffinities, len(l.likes))
	}
	return nil
}

func parseKeep(e abi.Edit, k kind) (*list, *editError) {
	l := newList()
	var a args
	err := a.read(e.A)
	if err == nil {
		err = l.keep(&a, k)
	}
	if err == nil {
		err = l.choice(e.B, k)
	}
	if err != nil {
		return nil, badArgument("keep: %w", err)
	}
	return l, nil
}

func (l *list) keep(a *args, k kind) (err error) {
	if a.n == 0 {
		return fmt.Errorf("expected first, within, attr, from, ids or drop")
	}
	if s, ok := a.take("first"); ok {
		if l.first, err = strconv.Atoi(s); err != nil || l.first < 1 || l.first > 1<<30 {
			return fmt.Errorf("first: expected a number from 1, found %q", s)
		}
	}
	s, within := a.take("within")
	if within {
		if l.within, err = strconv.ParseFloat(s, 64); err != nil || !(l.within >= 0) || math.IsInf(l.within, 0) {
			return fmt.Errorf("within: expected kilometres, found %q", s)
		}
	}
	if within || a.has("at") {
		if err = l.place(a, k); err != nil {
			return err
		}
	}
	if a.has("attr") || a.has("from") {
		if err = l.byValue(a, k); err != nil {
			return err
		}
	}
	if l.only, err = idSet(a, "ids"); err == nil {
		l.drop, err = idSet(a, "drop")
	}
	if err == nil {
		err = a.rest()
	}
	if err == nil && l.first == 0 && !within && l.filter.none() && l.only == nil && l.drop == nil {
		err = fmt.Errorf("expected first, within, attr, from, ids or drop")
	}
	return err
}

// byValue reads the filter on an attribute.
func (l *list) byValue(a *args, k kind) (err error) {
	if l.filter, err = k.source(a); err != nil {
		return err
	}
	in, hasIn := a.take("in")
	not, hasNot := a.take("not")
	least, hasLeast := a.take("min")
	most, hasMost := a.take("max")
	if !hasIn && !hasNot && !hasLeast && !hasMost {
		return fmt.Errorf("expected in, not, min or max for the attribute")
	}
	if hasIn {
		l.in = values(in)
	}
	if hasNot {
		l.not = values(not)
	}
	if len(l.in) > maxIDs || len(l.not) > maxIDs {
		return fmt.Errorf("at most %d values in in, or in not", maxIDs)
	}
	ok := true
	if hasLeast {
		if l.least, ok = number([]byte(least)); !ok {
			return fmt.Errorf("min: expected a number, found %q", least)
		}
	}
	if hasMost {
		if l.most, ok = number([]byte(most)); !ok {
			return fmt.Errorf("max: expected a number, found %q", most)
		}
	}
	return nil
}

// values splits at bars.
func values(s string) []string {
	out := strings.Split(s, "|")
	for i := range out {
		out[i] = lowerASCII(strings.TrimSpace(out[i]))
	}
	return out
}

// place reads lat, lon and at.
func (l *list) place(a *args, k kind) error {
	lat, _ := a.take("lat")
	lon, _ := a.take("lon")
	var ok bool
	if l.lat, ok = k.attr(lat); !ok {
		return fmt.Errorf("lat: %q is no name of an attribute", lat)
	}
	if l.lon, ok = k.attr(lon); !ok {
		return fmt.Errorf("lon: %q is no name of an attribute", lon)
	}
	at, _ := a.take("at")
	north, east, _ := strings.Cut(at, ",")
	y, okY := degrees([]byte(north), 90)
	x, okX := degrees([]byte(east), 180)
	if !okY || !okX {
		return fmt.Errorf("at: expected LAT,LON in degrees, found %q", at)
	}
	l.at = abi.From(y, x)
	return nil
}

// choice reads the second argument: which children take part and what is shown.
func (l *list) choice(b string, k kind) error {
	if b == "" {
		return nil
	}
	var a args
	if err := a.read(b); err != nil {
		return err
	}
	if s, ok := a.take("items"); ok {
		if k == ofJSON {
			return fmt.Errorf("items: of no use in JSON, where every element takes part")
		}
		c, err := parsePlain(s)
		if err != nil {
			return fmt.Errorf("items: %w", err)
		}
		l.items = bareTest(&c, k == ofXML)
	}
	if s, ok := a.take("show"); ok {
		if l.lat == "" {
			return fmt.Errorf("show: there is no distance to show without lat, lon and at")
		}
		if k == ofJSON {
			if s == "" || s[0] == '/' {
				return fmt.Errorf("show: expected the name of a member, found %q", s)
			}
			l.showName = s
		} else {
			c, err := parsePlain(s)
			if err != nil {
				return fmt.Errorf("show: %w", err)
			}
			l.show = bareTest(&c, k == ofXML)
		}
	}
	switch unit, _ := a.take("unit"); unit {
	case "mi":
		l.miles = true
	case "", "km":
	default:
		return fmt.Errorf("unit: expected km or mi, found %q", unit)
	}
	return a.rest()
}

// parsePlain reads a compound without pseudo-classes: what a start tag alone can answer.
func parsePlain(s string) (compound, error) {
	c, err := parseCompound(s)
	if err == nil && len(c.pseudos) > 0 {
		err = fmt.Errorf("selector %q: expected no pseudo-class here", s)
	}
	return c, err
}

// source reads attr, or from.
func (k kind) source(a *args) (source, error) {
	var s source
	from, ok := a.take("from")
	if !ok {
		name, _ := a.take("attr")
		if s.attr, ok = k.attr(name); !ok {
			return s, fmt.Errorf("attr: %q is no name of an attribute", name)
		}
		return s, nil
	}
	if k == ofJSON {
		return s, fmt.Errorf("from: of no use in JSON: name the member by a pointer in attr")
	}
	// The last @ that is not within brackets or quotes stands before the attribute.
	if at := strings.LastIndexByte(from, '@'); at >= 0 && !strings.ContainsAny(from[at:], `]"')`) {
		if s.attr, ok = k.attr(strings.TrimSpace(from[at+1:])); !ok {
			return s, fmt.Errorf("from: %q is no name of an attribute", from[at+1:])
		}
		from = from[:at]
	}
	c, err := parsePlain(from)
	if err != nil {
		return s, fmt.Errorf("from: %w", err)
	}
	m, err := compileTargets([][]chain{{{parts: []compound{c}, comb: []combinator{descendant}}}}, k == ofXML)
	if err != nil {
		return s, fmt.Errorf("from: %w", err)
	}
	s.from = &Plan{matcher: m, maxBuffer: DefaultMaxBuffer, maxTag: DefaultMaxTag, maxDepth: DefaultMaxDepth, edits: []*prepared{{}}}
	return s, nil
}

// attr reads the name of an attribute, or of what stands for one.
func (k kind) attr(s string) (string, bool) {
	switch k {
	case ofHTML:
		s = lowerASCII(s)
		return s, attrName(s)
	case ofXML:
		return s, attrName(s)
	}
	return s, s != "" && len(s) <= 1024
}

func idSet(a *args, name string) (map[string]int, error) {
	s, ok := a.take(name)
	if !ok {
		return nil, nil
	}
	ids := map[string]int{}
	for _, id := range splitSpace(s) {
		if _, ok := ids[id]; !ok {
			ids[id] = len(ids)
		}
	}
	if len(ids) > maxIDs || len(ids) == 0 && name != "ids" {
		return nil, fmt.Errorf("%s: expected 1 to %d ids, found %d", name, maxIDs, len(ids))
	}
	return ids, nil
}

// args are lines of name=value; each name may stand once.
type args struct {
	list [maxArgs]arg
	n    int
}

type arg struct {
	name, value string
	taken       bool
}

const maxArgs = maxAffinities + 8

func (a *args) read(s string) error {
	if !clean(s) {
		return fmt.Errorf("the argument has a NUL or is not UTF-8")
	}
	for s != "" {
		var line string
		line, s, _ = strings.Cut(s, "\n")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok {
			return fmt.Errorf("expected name=value, found %q", line)
		}
		if a.has(name) {
			return fmt.Errorf("%s stands twice", name)
		}
		if a.n == maxArgs {
			return fmt.Errorf("more than %d lines", maxArgs)
		}
		a.list[a.n] = arg{name: name, value: strings.TrimSpace(value)}
		a.n++
	}
	return nil
}

func (a *args) has(name string) bool {
	for i := range a.list[:a.n] {
		if a.list[i].name == name {
			return true
		}
	}
	return false
}

func (a *args) take(name string) (string, bool) {
	for i := range a.list[:a.n] {
		if x := &a.list[i]; x.name == name {
			x.taken = true
			return x.value, true
		}
	}
	return "", false
}

// rest fails if something was not taken.
func (a *args) rest() error {
	for i := range a.list[:a.n] {
		if !a.list[i].taken {
			return fmt.Errorf("%q is of no use here", a.list[i].name)
		}
	}
	return nil
}

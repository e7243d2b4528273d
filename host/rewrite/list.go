package rewrite

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"bespoke/modules/abi"
)

// What order goes by.
const (
	byNothing = iota
	byDistance
	byAttr
	byIDs
)

// A list is what order or keep wants of the children of an element.
type list struct {
	by           int
	lat, lon     string // attributes; "" if there is no place
	at           [2]float64
	attr         string
	number, desc bool
	ids          map[string]int
	first        int     // 0: all
	within       float64 // kilometres; negative: any
	items, show  *test   // nil: every child; nothing
	miles        bool
}

// maxIDs bounds how many ids by=ids takes.
const maxIDs = 4096

func parseOrder(e abi.Edit) (*list, *editError) {
	l := &list{within: -1}
	args, err := lines(e.A, "by", "lat", "lon", "at", "attr", "as", "dir", "ids")
	if err != nil {
		return nil, badArgument("order: %w", err)
	}
	switch args["by"] {
	case "distance":
		l.by = byDistance
		err = l.place(args)
		if err == nil {
			err = only(args, "by", "lat", "lon", "at")
		}
	case "attr":
		l.by = byAttr
		err = l.byAttribute(args)
	case "ids":
		l.by = byIDs
		l.ids = map[string]int{}
		for _, id := range splitSpace(args["ids"]) {
			if _, ok := l.ids[id]; !ok {
				l.ids[id] = len(l.ids)
			}
		}
		if len(l.ids) == 0 || len(l.ids) > maxIDs {
			err = fmt.Errorf("ids: expected 1 to %d ids, found %d", maxIDs, len(l.ids))
		} else {
			err = only(args, "by", "ids")
		}
	default:
		err = fmt.Errorf("by: expected distance, attr or ids, found %q", args["by"])
	}
	if err == nil {
		err = l.choice(e.B)
	}
	if err != nil {
		return nil, badArgument("order: %w", err)
	}
	return l, nil
}

func (l *list) byAttribute(args map[string]string) error {
	l.attr = lowerASCII(args["attr"])
	if !attrName(l.attr) {
		return fmt.Errorf("attr: %q is no name of an attribute", args["attr"])
	}
	switch args["as"] {
	case "number":
		l.number = true
	case "", "text":
	default:
		return fmt.Errorf("as: expected number or text, found %q", args["as"])
	}
	switch args["dir"] {
	case "desc":
		l.desc = true
	case "", "asc":
	default:
		return fmt.Errorf("dir: expected asc or desc, found %q", args["dir"])
	}
	return only(args, "by", "attr", "as", "dir")
}

func parseKeep(e abi.Edit) (*list, *editError) {
	l := &list{within: -1}
	args, err := lines(e.A, "first", "within", "lat", "lon", "at")
	if err != nil {
		return nil, badArgument("keep: %w", err)
	}
	first, hasFirst := args["first"]
	within, hasWithin := args["within"]
	if hasFirst {
		if l.first, err = strconv.Atoi(first); err != nil || l.first < 1 || l.first > 1<<30 {
			err = fmt.Errorf("first: expected a number from 1, found %q", first)
		}
	}
	if hasWithin && err == nil {
		if l.within, err = strconv.ParseFloat(within, 64); err != nil || !(l.within >= 0) || math.IsInf(l.within, 0) {
			err = fmt.Errorf("within: expected kilometres, found %q", within)
		}
	}
	if _, ok := args["at"]; err == nil && (hasWithin || ok) {
		err = l.place(args)
	} else if err == nil {
		err = only(args, "first", "within")
	}
	if err == nil && !hasFirst && !hasWithin {
		err = fmt.Errorf("expected first or within")
	}
	if err == nil {
		err = l.choice(e.B)
	}
	if err != nil {
		return nil, badArgument("keep: %w", err)
	}
	return l, nil
}

// place reads lat, lon and at.
func (l *list) place(args map[string]string) error {
	l.lat, l.lon = lowerASCII(args["lat"]), lowerASCII(args["lon"])
	if !attrName(l.lat) {
		return fmt.Errorf("lat: %q is no name of an attribute", args["lat"])
	}
	if !attrName(l.lon) {
		return fmt.Errorf("lon: %q is no name of an attribute", args["lon"])
	}
	lat, lon, _ := strings.Cut(args["at"], ",")
	a, okA := degrees([]byte(lat), 90)
	o, okO := degrees([]byte(lon), 180)
	if !okA || !okO {
		return fmt.Errorf("at: expected LAT,LON in degrees, found %q", args["at"])
	}
	l.at = [2]float64{a, o}
	return nil
}

// choice reads the second argument: which children take part and what is shown.
func (l *list) choice(b string) error {
	args, err := lines(b, "items", "show", "unit")
	if err != nil {
		return err
	}
	if s, ok := args["items"]; ok {
		c, err := parseCompound(s)
		if err != nil {
			return fmt.Errorf("items: %w", err)
		}
		t := newTest(c)
		l.items = &t
	}
	if s, ok := args["show"]; ok {
		c, err := parseCompound(s)
		if err != nil {
			return fmt.Errorf("show: %w", err)
		}
		if l.lat == "" {
			return fmt.Errorf("show: there is no distance to show without lat, lon and at")
		}
		t := newTest(c)
		l.show = &t
	}
	switch args["unit"] {
	case "mi":
		l.miles = true
	case "", "km":
	default:
		return fmt.Errorf("unit: expected km or mi, found %q", args["unit"])
	}
	return nil
}

// lines reads lines of name=value; each name may stand once.
func lines(s string, names ...string) (map[string]string, error) {
	args := map[string]string{}
	if !clean(s) {
		return nil, fmt.Errorf("the argument has a NUL or is not UTF-8")
	}
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok {
			return nil, fmt.Errorf("expected name=value, found %q", line)
		}
		if !contains(names, name) {
			return nil, fmt.Errorf("expected one of %s, found %q", strings.Join(names, ", "), name)
		}
		if _, ok := args[name]; ok {
			return nil, fmt.Errorf("%s stands twice", name)
		}
		args[name] = strings.TrimSpace(value)
	}
	return args, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// only fails if args has a name that is of no use here.
func only(args map[string]string, names ...string) error {
	for name := range args {
		if !contains(names, name) {
			return fmt.Errorf("%s is of no use here", name)
		}
	}
	return nil
}

// degrees reads a latitude or longitude: a plain decimal number within limit.
func degrees(v []byte, limit float64) (float64, bool) {
	d, ok := number(v)
	return d, ok && d >= -limit && d <= limit
}

// number reads a decimal number of at most 32 bytes, spaces around it aside.
func number(v []byte) (float64, bool) {
	for len(v) > 0 && byteClass[v[0]]&cSpace != 0 {
		v = v[1:]
	}
	for len(v) > 0 && byteClass[v[len(v)-1]]&cSpace != 0 {
		v = v[:len(v)-1]
	}
	if len(v) == 0 || len(v) > 32 {
		return 0, false
	}
	for _, c := range v {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(v), 64)
	return f, err == nil && !math.IsInf(f, 0)
}

const kmPerMile = 1.609344

// appendDistance appends km kilometres as text: whole units, "&lt; 1" below one.
func (l *list) appendDistance(dst []byte, km float64) []byte {
	unit := " km"
	if l.miles {
		km /= kmPerMile
		unit = " mi"
	}
	if km < 1 {
		dst = append(dst, "&lt; 1"...)
	} else {
		dst = strconv.AppendInt(dst, int64(math.Round(km)), 10)
	}
	return append(dst, unit...)
}

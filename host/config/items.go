package config

import "strings"

// Items says how the pages of a route tell which item of the tenant's catalogue
// they show. Such a page, once sent, is a view of the item. The zero value: they
// show none.
type Items struct {
	// Path is a pattern of paths in which {item} stands for the item's id; see Item.
	Path string
	// Page: an element of the page says it, in the attribute data-bespoke-item;
	// of several, the first.
	Page bool
}

// itemMark stands for the id in a pattern.
const itemMark = "{item}"

// None reports whether the pages show no items.
func (i *Items) None() bool { return i.Path == "" && !i.Page }

// Item returns the id that a path has where Items.Path has {item}. In the pattern
// "*" stands for one whole segment, "**" at its end for any rest; {item} for a
// segment, or for the part of one. Where the id is in the query, the pattern ends
// with "?name={item}", and query gives the value of that name.
//
// It does not allocate, and its time is linear in the length of the path.
func (i *Items) Item(path string, query func(name string) string) (id string, ok bool) {
	pattern, name, inQuery := strings.Cut(i.Path, "?")
	for pattern != "" {
		want, rest := segment(pattern)
		if want == "**" {
			path = ""
			break
		}
		if path == "" {
			return "", false
		}
		got, after := segment(path)
		before, behind, marked := strings.Cut(want, itemMark)
		switch {
		case marked:
			if len(got) <= len(before)+len(behind) || !strings.HasPrefix(got, before) || !strings.HasSuffix(got, behind) {
				return "", false
			}
			id = got[len(before) : len(got)-len(behind)]
		case want != got && (want != "*" || got == ""):
			return "", false
		}
		pattern, path = rest, after
	}
	if path != "" {
		return "", false
	}
	if inQuery {
		id = query(strings.TrimSuffix(name, "="+itemMark))
	}
	return id, id != ""
}

// segment cuts the first segment off a path: what is between its slash and the next.
func segment(path string) (first, rest string) {
	path = path[1:]
	if j := strings.IndexByte(path, '/'); j >= 0 {
		return path[:j], path[j:]
	}
	return path, ""
}

func (d *decoder) items(n *node) (i Items) {
	if n.kind == scalar {
		i.Path = d.itemPattern(n)
		return i
	}
	d.mapping(n, "items", []field{
		{"path", false, func(n *node) { i.Path = d.itemPattern(n) }},
		{"page", false, func(n *node) { i.Page = d.boolean(n, "page") }},
	})
	if n.kind == mapping && len(n.pairs) == 0 {
		d.errorf(n.pos, "items: found nothing, expected path or page")
	}
	return i
}

// itemPattern checks a pattern of Items.Path.
func (d *decoder) itemPattern(n *node) string {
	const want = "a path with {item} in it, such as /product/{item}"
	s, ok := d.text(n, "items", want)
	if !ok {
		return ""
	}
	path, query, inQuery := strings.Cut(s, "?")
	why := ""
	switch {
	case s[0] != '/':
	case len(s) > maxPattern:
		why = "; it is too long"
	case strings.Count(s, itemMark) != 1:
		why = "; {item} stands in it once"
	case inQuery && (strings.Contains(path, itemMark) || !strings.HasSuffix(query, "="+itemMark) || strings.ContainsAny(strings.TrimSuffix(query, "="+itemMark), "=&?#{}") || strings.HasPrefix(query, "=")):
		why = "; a query is a name, \"=\" and {item}"
	case strings.ContainsAny(s, "#\t\n"), strings.Contains(path, "//"):
		why = "; no path is like that"
	case strings.Contains(strings.TrimSuffix(path, "/**"), "**"), starInSegment(path):
		why = "; \"*\" stands for a whole segment, \"**\" for the rest"
	default:
		return s
	}
	d.errorf(n.pos, "items: found %s, expected %s%s", n.describe(), want, why)
	return ""
}

// starInSegment reports whether a star is only a part of a segment.
func starInSegment(path string) bool {
	for s := range strings.SplitSeq(path, "/") {
		if strings.Contains(s, "*") && s != "*" && s != "**" {
			return true
		}
	}
	return false
}

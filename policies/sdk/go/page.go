//go:build wasip1

package bespoke

// A Page takes edits of the response: its body and its headers. Elements are
// named by a CSS selector, and each edit applies to every element that
// matches. Text is escaped by the host. The error is a [Refusal]; an edit
// whose selector matches nothing is no error.
type Page struct {
	headers
	notes
}

// Text makes text the only contents of the elements.
func (*Page) Text(selector, text string) error { return emit(1, selector, text, "") }

// Attr sets an attribute.
func (*Page) Attr(selector, name, value string) error { return emit(3, selector, name, value) }

// UnsetAttr removes an attribute.
func (*Page) UnsetAttr(selector, name string) error { return emit(4, selector, name, "") }

// AddClass adds a class.
func (*Page) AddClass(selector, class string) error { return emit(5, selector, class, "") }

// RemoveClass removes a class.
func (*Page) RemoveClass(selector, class string) error { return emit(6, selector, class, "") }

// Before puts text before the elements.
func (*Page) Before(selector, text string) error { return emit(7, selector, text, "") }

// After puts text after the elements.
func (*Page) After(selector, text string) error { return emit(8, selector, text, "") }

// Prepend puts text at the beginning of the elements.
func (*Page) Prepend(selector, text string) error { return emit(9, selector, text, "") }

// Append puts text at the end of the elements.
func (*Page) Append(selector, text string) error { return emit(10, selector, text, "") }

// Remove removes the elements with all that is in them.
func (*Page) Remove(selector string) error { return emit(12, selector, "", "") }

// Order puts the children of a list in order, by one of [Nearest], [ByText],
// [ByNumber] and [ByIDs]. It does nothing if the place for Nearest is unknown.
func (*Page) Order(list string, options ...Option) error { return emitList(14, list, options) }

// Keep leaves only those children of a list that satisfy [First], [Within] or
// both. A list that is also ordered is ordered first. It does nothing if no
// rule is left because the place for Within is unknown.
func (*Page) Keep(list string, options ...Option) error { return emitList(15, list, options) }

// Fill repeats the pattern in the list, once for each of the items.
func (*Page) Fill(list string, items Blocks) error { return emit(16, list, string(items), "") }

// An Exchange takes edits of the request, before the origin is asked, and of
// the headers of the response to come.
type Exchange struct {
	headers
	notes
}

// Redirect answers with a redirect, instead of asking the origin. status is
// 301, 302, 303, 307 or 308.
func (*Exchange) Redirect(location string, status int) error {
	return emit(35, location, itoa(status), "")
}

// UpstreamHeader sets a header of the request to the origin.
func (*Exchange) UpstreamHeader(name, value string) error { return emit(36, name, value, "") }

// UpstreamPath sets the path of the request to the origin.
func (*Exchange) UpstreamPath(path string) error { return emit(37, "", path, "") }

// headers are the edits of the response's headers, in either phase.
type headers struct{}

// SetHeader sets a header of the response, in place of what is there.
func (headers) SetHeader(name, value string) error { return emit(32, name, value, "") }

// AddHeader adds a header to the response.
func (headers) AddHeader(name, value string) error { return emit(33, name, value, "") }

// RemoveHeader removes a header from the response.
func (headers) RemoveHeader(name string) error { return emit(34, name, "", "") }

// notes are what is told about the visitor, and to them, in either phase.
type notes struct{}

// MaxWhy is how many bytes of a reason the host takes.
const MaxWhy = 200

// Why is the reason, in plain words, for the edits that follow: the visitor
// finds it in the privacy centre. What is too long is cut.
func (notes) Why(reason string) error {
	if len(reason) > MaxWhy {
		end := MaxWhy - len("…")
		for end > 0 && reason[end]&0xc0 == 0x80 { // within a character
			end--
		}
		reason = join(reason[:end], "…")
	}
	return emit(49, "", reason, "")
}

// Event tells what the visitor did, for their profile: kind is "view",
// "purchase", "search", "click", "hide", "mail-open" or "mail-click"; item is an id, or what was
// searched for; attributes are lines of name=value, see [Line]. Without consent the host drops it.
func (notes) Event(kind, item, attributes string) error { return emit(48, kind, item, attributes) }

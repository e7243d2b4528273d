package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"bespoke/host/profile"
)

// What visitors say about single items of the site's catalogue: what they did
// (events), and what they do not want to see (hidden).

// A Catalogue names the items of a site.
type Catalogue interface {
	profile.Names
	Number(id string) (uint32, bool) // false: not offered now
	ID(number uint32) string         // "" for what is not offered now
}

// An Event is something that the visitor did, as a script of the page tells it.
type Event struct {
	Kind  string // one of eventKinds
	Item  string // the tenant's id; "" for none
	Lines string // attributes, lines of name=value
}

// eventKinds are the kinds of events that pages may tell of; true: of an item.
var eventKinds = map[string]bool{"view": true, "click": true, "purchase": true, "hide": true, "search": false, "mail-open": false, "mail-click": false}

// Bounds of what a request tells.
const (
	MaxEvents     = 32
	maxEventItem  = 256 // bytes
	maxQuery      = 256 // bytes
	maxAttributes = 16
	maxAttribute  = 100 // bytes of a name, and of a value
)

type eventIn struct {
	Kind       string            `json:"kind"`
	Item       string            `json:"item"`
	Q          string            `json:"q"` // what was searched for; it is not kept
	Attributes map[string]string `json:"attributes"`
}

func (e *eventIn) check() error {
	ofItem, ok := eventKinds[e.Kind]
	switch {
	case !ok:
		return fmt.Errorf("found kind %.40q, expected %s", e.Kind, strings.Join(slices.Sorted(maps.Keys(eventKinds)), ", "))
	case ofItem && e.Item == "":
		return fmt.Errorf("%s: the item is missing", e.Kind)
	case len(e.Item) > maxEventItem:
		return fmt.Errorf("an item's id has at most %d bytes", maxEventItem)
	case len(e.Q) > maxQuery:
		return fmt.Errorf("q has at most %d bytes", maxQuery)
	case len(e.Attributes) > maxAttributes:
		return fmt.Errorf("an event has at most %d attributes", maxAttributes)
	}
	for name, value := range e.Attributes {
		if len(name) > maxAttribute || len(value) > maxAttribute || strings.ContainsAny(name, "=\n") || strings.Contains(value, "\n") {
			return fmt.Errorf("attributes: names and values have at most %d bytes and no line ends, names no %q", maxAttribute, "=")
		}
	}
	return nil
}

// lines returns the attributes, by name.
func (e *eventIn) lines() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
		b.WriteString(name + "=" + e.Attributes[name] + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// apiEvents takes an event, or a list of them. Whether it changed anything is not
// told: who asks for that asks for what was granted, and there is a resource for it.
func apiEvents(r Request, v Visit) Answer {
	// sendBeacon sends text as text/plain, which any site can; that the browser says
	// who sent it was looked at before.
	mt, _, err := mime.ParseMediaType(r.ContentType)
	switch {
	case err != nil || mt != "application/json" && mt != "text/plain":
		return refused(415, "", "send application/json, or text/plain by sendBeacon; nothing was changed")
	case len(r.Body) > MaxForm:
		return refused(413, "", fmt.Sprintf("a body here has at most %d bytes; nothing was changed", MaxForm))
	}
	list, err := eventsIn(r.Body)
	if err != nil {
		return refused(400, "events", err.Error()+"; nothing was changed")
	}
	a := Answer{Status: 204}
	for i := range list {
		e := &list[i]
		if e.Kind == "hide" {
			if bad := hide(&a, &v, e.Item, false); bad != nil {
				return *bad
			}
			continue
		}
		a.Events = append(a.Events, Event{e.Kind, e.Item, e.lines()})
	}
	return a
}

func eventsIn(body []byte) ([]eventIn, error) {
	list := make([]eventIn, 1)
	to := any(&list[0])
	if body = bytes.TrimSpace(body); len(body) > 0 && body[0] == '[' {
		list, to = nil, &list
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return nil, errors.New("expected an event, or a list of events, each with kind, item, q and attributes in JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more after the JSON")
	}
	if len(list) > MaxEvents {
		return nil, fmt.Errorf("a request has at most %d events", MaxEvents)
	}
	for i := range list {
		if err := list[i].check(); err != nil {
			return nil, fmt.Errorf("event %d: %w", i+1, err)
		}
	}
	return list, nil
}

// hide adds an item to what the visitor hid, in an answer. It returns why that
// cannot be. An unknown item is an error if known is asked for.
func hide(a *Answer, v *Visit, id string, known bool) *Answer {
	if v.Catalogue == nil {
		return nil
	}
	n, ok := v.Catalogue.Number(id)
	switch {
	case !ok && !known:
		return nil
	case !ok:
		return new(refused(404, "item", fmt.Sprintf("the site has no item %.60q; nothing was changed", id)))
	}
	items := hidden(a, v)
	if bad := locked(v); bad != nil {
		return bad
	}
	if err := items.Hide(n); err != nil {
		return new(refused(409, "too-much", fmt.Sprintf("at most %d items can be hidden: show one again first; nothing was changed", profile.MaxHidden)))
	}
	a.Events = append(a.Events, Event{Kind: "hide", Item: id})
	return nil
}

// hidden returns what is to be hidden after the answer, to be changed.
func hidden(a *Answer, v *Visit) *profile.Hidden {
	if a.Hidden == nil {
		a.Hidden = new(profile.Hidden)
		a.Hidden.Merge(&v.Hidden)
	}
	return a.Hidden
}

// locked refuses to change what a later build wrote.
func locked(v *Visit) *Answer {
	if !v.HiddenNewer {
		return nil
	}
	return new(refused(409, "newer", "what is hidden was kept by a later version of this server, and cannot be changed by this one; nothing was changed"))
}

type hiddenJSON struct {
	ID     string `json:"id,omitempty"` // left out: not offered now
	Number uint32 `json:"number"`
	Title  string `json:"title,omitempty"`
}

// hiddenOut lists what would be hidden.
func hiddenOut(h *profile.Hidden, v Visit) map[string]any {
	v.Hidden = *h
	list := v.hidden()
	if list == nil {
		list = []hiddenJSON{}
	}
	return map[string]any{"hidden": list}
}

// apiHidden: PATCH hides and shows items by their ids, DELETE shows all again.
func apiHidden(r Request, v Visit, body map[string]json.RawMessage) Answer {
	if r.Method == "GET" || r.Method == "HEAD" {
		return jsonAnswer(200, hiddenOut(&v.Hidden, v))
	}
	var a Answer
	if bad := locked(&v); bad != nil {
		return *bad
	}
	if r.Method == "DELETE" {
		a = jsonAnswer(200, hiddenOut(new(profile.Hidden), v))
		a.Hidden = new(profile.Hidden)
		return a
	}
	if v.Catalogue == nil {
		return refused(404, "item", "the site has no catalogue; nothing was changed")
	}
	items := hidden(&a, &v)
	for name, value := range body {
		var ids []string
		if err := json.Unmarshal(value, &ids); err != nil || name != "hide" && name != "show" {
			return refused(400, "hidden", `expected {"hide": [ids], "show": [ids]}; nothing was changed`)
		}
		for _, id := range ids {
			if name == "hide" {
				if bad := hide(&a, &v, id, true); bad != nil {
					return *bad
				}
			} else if n, ok := v.Catalogue.Number(id); ok {
				items.Show(n)
			}
		}
	}
	said := jsonAnswer(200, hiddenOut(items, v))
	said.Hidden, said.Events = a.Hidden, a.Events
	return said
}

// itemForm hides the item that a form names, or shows it again: by the tenant's id,
// or, as one that is not offered any more has none, by its number (number).
func itemForm(v Visit, form url.Values, hiding bool) Answer {
	a := Answer{Status: 303, Location: centre("preferences", last(form, "back"))}
	if path := localPath(last(form, "return")); path != "" {
		a.Location = path
	}
	id := last(form, "item")
	if hiding {
		if bad := hide(&a, &v, id, true); bad != nil {
			return plain(bad.Status, "The item cannot be hidden. Nothing was changed.")
		}
		return a
	}
	if locked(&v) != nil {
		return plain(409, "What is hidden cannot be changed now. Nothing was changed.")
	}
	n, err := strconv.ParseUint(last(form, "number"), 10, 32)
	if err != nil && v.Catalogue != nil {
		if number, ok := v.Catalogue.Number(id); ok {
			n, err = uint64(number), nil
		}
	}
	if err != nil {
		return plain(400, "The form does not name an item. Nothing was changed.")
	}
	hidden(&a, &v).Show(uint32(n))
	return a
}

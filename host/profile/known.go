package profile

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names tells what the numbers of a profile stand for. What it does not know is "".
type Names interface {
	Item(number uint32) (title string)
	Value(number uint32) (attribute, value string)
}

// Known is what a site knows about a visitor from what they did there, in a form
// for them to read: as text ([Known.Text]), or as JSON to take along. Times are to
// the minute, in UTC.
type Known struct {
	Since     *time.Time     `json:"since,omitempty"` // the first event; nil where nothing is known
	Recent    []KnownItem    `json:"recently_viewed,omitempty"`
	Purchases []KnownItem    `json:"purchases,omitempty"`
	Interests []KnownValue   `json:"interests,omitempty"` // the strongest first
	Personas  []KnownPersona `json:"personas,omitempty"`  // the strongest first
	Channels  []KnownChannel `json:"messages,omitempty"`
	Hidden    []KnownHidden  `json:"hidden,omitempty"` // declared
}

// A KnownItem is an item and when the visitor met it last.
type KnownItem struct {
	Number uint32    `json:"number"`
	Title  string    `json:"title,omitempty"`
	At     time.Time `json:"at"`
}

// A KnownHidden is an item that the visitor hid.
type KnownHidden struct {
	Number uint32 `json:"number"`
	Title  string `json:"title,omitempty"`
}

// A KnownValue is how much a visitor seems to like something. Strength is the
// weight: a view of such an item counts 1, and half of that a half-life later.
type KnownValue struct {
	Number    uint32  `json:"number"`
	Attribute string  `json:"attribute,omitempty"`
	Value     string  `json:"value,omitempty"`
	Strength  float64 `json:"strength"`
}

// A KnownPersona is how much a visitor seems to be of a kind.
type KnownPersona struct {
	Name  string  `json:"name"`
	Score float64 `json:"score"`
}

// A KnownChannel is what became of a site's messages.
type KnownChannel struct {
	Name    string  `json:"channel"`
	Sent    float64 `json:"sent"`
	Opened  float64 `json:"opened"`
	Clicked float64 `json:"clicked"`
}

// Know returns what p and h hold; h may be nil.
func Know(p *Inferred, h *Hidden, names Names) Known {
	var k Known
	if !p.Empty() {
		since := p.born.time()
		k.Since = &since
	}
	items := func(list []Item) (out []KnownItem) {
		for _, it := range list {
			out = append(out, KnownItem{it.Number, names.Item(it.Number), it.Time()})
		}
		return out
	}
	k.Recent, k.Purchases = items(p.Recent()), items(p.Purchases())
	for _, a := range p.AppendAffinities(nil) {
		attribute, value := names.Value(a.Value)
		k.Interests = append(k.Interests, KnownValue{a.Value, attribute, value, hundredths(a.Weight)})
	}
	for name, score := range p.Personas() {
		k.Personas = append(k.Personas, KnownPersona{name, hundredths(score)})
	}
	slices.SortStableFunc(k.Personas, func(a, b KnownPersona) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	for ch := range numChannels {
		if e := p.Engagement(ch); e != (Engagement{}) {
			k.Channels = append(k.Channels, KnownChannel{ch.String(), hundredths(e.Sent), hundredths(e.Opened), hundredths(e.Clicked)})
		}
	}
	if h != nil {
		for _, n := range h.Items() {
			k.Hidden = append(k.Hidden, KnownHidden{n, names.Item(n)})
		}
	}
	return k
}

func hundredths(w float64) float64 { return math.Round(w*100) / 100 }

// Text returns what is known in plain words, a line for each thing. Names are put
// on one line and else as they are: a page that shows them escapes them.
func (k *Known) Text() string {
	var b strings.Builder
	section := func(title string, n int, line func(i int) string) {
		if n == 0 {
			return
		}
		b.WriteString(title + ":\n")
		for i := range n {
			b.WriteString("  " + line(i) + "\n")
		}
	}
	met := func(list []KnownItem) func(i int) string {
		return func(i int) string { return title(list[i].Title, list[i].Number) + ", " + atText(list[i].At) }
	}
	if k.Since != nil {
		b.WriteString("Since " + atText(*k.Since) + "\n")
	}
	section("You looked at", len(k.Recent), met(k.Recent))
	section("You bought", len(k.Purchases), met(k.Purchases))
	section("What you looked at, searched for or bought suggests that you like", len(k.Interests), func(i int) string {
		v := &k.Interests[i]
		name := oneLine(v.Attribute) + ": " + oneLine(v.Value)
		if v.Value == "" {
			name = "something that is not in the catalogue any more (number " + strconv.FormatUint(uint64(v.Number), 10) + ")"
		}
		return name + " (" + number(v.Strength) + ")"
	})
	section("You seem to be", len(k.Personas), func(i int) string {
		return k.Personas[i].Name + " (" + number(k.Personas[i].Score) + ")"
	})
	section("Messages, older ones counted as less", len(k.Channels), func(i int) string {
		c := &k.Channels[i]
		return c.Name + ": sent " + number(c.Sent) + ", opened " + number(c.Opened) + ", links followed " + number(c.Clicked)
	})
	section("You chose not to see", len(k.Hidden), func(i int) string { return title(k.Hidden[i].Title, k.Hidden[i].Number) })
	return b.String()
}

func title(s string, n uint32) string {
	if s = oneLine(s); s != "" {
		return s
	}
	return "an item that is not in the catalogue any more (number " + strconv.FormatUint(uint64(n), 10) + ")"
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func number(w float64) string { return strconv.FormatFloat(w, 'f', -1, 64) }

func atText(t time.Time) string { return t.Format("2 January 2006, 15:04 UTC") }

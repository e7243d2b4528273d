package profile

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// full declares something of everything.
func full() Preferences {
	return Preferences{
		Name: "Jürgen 田中", Theme: "dark", PageSize: 48, Sort: "price, lowest first",
		Filters: []Filter{{"brand", "Möbel & Co"}, {"size", "XL"}}, Muted: []string{"football", "weather"},
		Contact: "monthly", Place: Place{Mode: PlaceChosen, Name: "Bremen", Located: true, Lat: 53.0793, Lon: 8.8017},
	}
}

func TestPreferencesRoundTrip(t *testing.T) {
	for name, p := range map[string]Preferences{
		"nothing": {}, "full": full(),
		"exact":      {Place: Place{Mode: PlaceExact, Located: true, Lat: -33.8688, Lon: 151.2093}},
		"name alone": {Place: Place{Mode: PlaceChosen, Name: "Paris"}},
		"a point":    {Place: Place{Mode: PlaceChosen, Located: true, Lat: -90, Lon: 180}},
	} {
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, err := ParsePreferences(p.Encode())
		if err != nil || !got.Equal(&p) {
			t.Errorf("%s: came back as %+v, %v", name, got, err)
		}
		if p.Empty() != (name == "nothing") {
			t.Errorf("%s: Empty() = %v", name, p.Empty())
		}
	}
}

func TestOldPreferences(t *testing.T) {
	got, err := ParsePreferences([]byte("\x01Jane"))
	if want := (Preferences{Name: "Jane"}); err != nil || !got.Equal(&want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParsePreferencesRefuses(t *testing.T) {
	p := full()
	good := p.Encode()
	for i := 1; i < len(good); i++ {
		// A cut between two fields leaves fewer preferences, which is in order.
		if q, err := ParsePreferences(good[:i]); err == nil && q.Equal(&p) {
			t.Errorf("the first %d bytes are taken for all %d", i, len(good))
		}
	}
	for name, b := range map[string]string{
		"nothing": "", "a later version": "\x03\x01\x04Jane", "an unknown field": "\x02\x63\x01x",
		"fields in disorder": "\x02\x04\x01a\x01\x01b", "a field twice": "\x02\x01\x01a\x01\x01b",
		"a length beyond the end": "\x02\x01\x05Jane", "a length without end": "\x02\x01" + strings.Repeat("\xff", 12),
		"an unknown theme": "\x02\x02\x01\x09", "a filter without name": "\x02\x05\x02\x00v", "a filter of one part": "\x02\x05\x01v",
		"a huge page": "\x02\x03\x03\xff\xff\x7f", "a place without mode": "\x02\x0a\x02\x00\x00",
		"beyond the pole": "\x02\x08\x00\x0a\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"not UTF-8":       "\x02\x01\x01\xff", "too long": "\x02" + strings.Repeat("\x06\x01a", 400),
	} {
		if p, err := ParsePreferences([]byte(b)); err == nil {
			t.Errorf("%s: read as %+v", name, p)
		}
	}
}

func TestCheck(t *testing.T) {
	many := func(n int, f func(i int) Filter) (out []Filter) {
		for i := range n {
			out = append(out, f(i))
		}
		return out
	}
	tests := []struct {
		p     Preferences
		field string
		err   string // "" for in order
	}{
		{Preferences{Name: "a\u202eb"}, "name", "U+202E"},
		{Preferences{Theme: "purple"}, "theme", "light or dark"},
		{Preferences{PageSize: -1}, "page-size", "1 to 500"},
		{Preferences{PageSize: 501}, "page-size", "1 to 500"},
		{Preferences{Sort: strings.Repeat("s", 41)}, "sort", "at most 40"},
		{Preferences{Sort: strings.Repeat("s", 1<<20)}, "sort", "at most 40"},
		{Preferences{Filters: []Filter{{"", "x"}}}, "filters", "name: value"},
		{Preferences{Filters: []Filter{{"a=b", "x"}}}, "filters", "name: value"},
		{Preferences{Filters: []Filter{{"a", "x"}, {" a ", "y"}}}, "filters", "twice"},
		{Preferences{Filters: many(17, func(i int) Filter { return Filter{string(rune('a' + i)), "x"} })}, "filters", "at most 16"},
		{Preferences{Muted: make([]string, 33)}, "muted", "at most 32"},
		{Preferences{Muted: []string{"a\x00"}}, "muted", "U+0000"},
		{Preferences{Contact: "hourly"}, "contact", "never, monthly"},
		{Preferences{Place: Place{Mode: 9}}, "place", "automatic"},
		{Preferences{Place: Place{Mode: PlaceChosen}}, "place", "say which"},
		{Preferences{Place: Place{Mode: PlaceExact, Name: "Bremen"}}, "place", "latitude"},
		{Preferences{Place: Place{Mode: PlaceExact, Located: true, Lat: math.NaN()}}, "place", "latitude"},
		{Preferences{Place: Place{Mode: PlaceChosen, Located: true, Lon: math.Inf(1)}}, "place", "latitude"},
		{Preferences{Place: Place{Mode: PlaceChosen, Located: true, Lat: 90.1}}, "place", "latitude"},
		{Preferences{Filters: many(16, func(i int) Filter {
			return Filter{strings.Repeat(string(rune('a'+i)), 40), strings.Repeat("x", 40)}
		})}, "", "more than your browser"},
		{Preferences{Name: " a  b ", Filters: []Filter{{"b", "1"}, {"a", "2"}, {"", " "}}, Muted: []string{"z", "", "a", "z"}}, "", ""},
	}
	for i := range tests {
		tt := &tests[i]
		err := tt.p.Check()
		var fe *FieldError
		switch {
		case tt.err == "" && err != nil:
			t.Errorf("%d: %v", i, err)
		case tt.err == "":
		case err == nil || !errors.As(err, &fe) || fe.Field != tt.field || !strings.Contains(err.Error(), tt.err):
			t.Errorf("%d: error %v, want one on %q with %q", i, err, tt.field, tt.err)
		}
	}
	p := tests[len(tests)-1].p
	if p.Name != "a b" || len(p.Filters) != 2 || p.Filters[0].Name != "a" || strings.Join(p.Muted, ",") != "a,z" {
		t.Errorf("not cleaned: %+v", p)
	}
}

// A cookie of preferences has at most 1,500 characters, whatever is in them.
func TestPreferencesFitACookie(t *testing.T) {
	p := Preferences{Name: strings.Repeat("田", 60)}
	for i := range MaxFilters {
		p.Filters = append(p.Filters, Filter{string(rune('a' + i)), strings.Repeat("x", 40)})
	}
	for p.Check() == nil && len(p.Muted) < MaxMuted {
		p.Muted = append(p.Muted, string(rune('a'+len(p.Muted)))+"topic")
	}
	if err := p.Check(); !errors.Is(err, ErrTooMuch) {
		p.Sort = strings.Repeat("s", 40)
	}
	for errors.Is(p.Check(), ErrTooMuch) {
		p.Muted = p.Muted[1:]
	}
	n := len(sealer(t).Seal(p.Encode(), Binding{"preferences", "stores", "stores.localhost"}))
	if n > 1500 || n < 1300 {
		t.Errorf("%d characters, want just under 1500", n)
	}
}

func TestValue(t *testing.T) {
	p := full()
	for name, want := range map[string]string{
		"name": "Jürgen 田中", "theme": "dark", "page-size": "48", "sort": "price, lowest first",
		"filters": "brand=Möbel & Co\nsize=XL", "filter.size": "XL", "muted": "football\nweather",
		"contact": "monthly", "place": "Bremen", "lat": "53.0793", "lon": "8.8017",
		"filter.colour": "", "filter.": "", "": "", "nonsense": "",
	} {
		got, ok := p.Value(name)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v; want %q", name, got, ok, want)
		}
		if got, ok := (&Preferences{}).Value(name); got != "" || ok {
			t.Errorf("%q of nothing: %q, %v", name, got, ok)
		}
	}
	p.Place = Place{Mode: PlaceExact, Located: true, Lat: 53.0793, Lon: 8.8017}
	for _, name := range []string{"place", "lat", "lon"} {
		if got, ok := p.Value(name); ok {
			t.Errorf("%s of an exact place is told without its purpose: %q", name, got)
		}
	}
}

func TestParsePlace(t *testing.T) {
	for in, want := range map[string]Place{
		"Bremen":            {Mode: PlaceChosen, Name: "Bremen"},
		"53.07931, 8.80172": {Mode: PlaceChosen, Located: true, Lat: 53.0793, Lon: 8.8017},
		"Paris, Texas":      {Mode: PlaceChosen, Name: "Paris, Texas"},
	} {
		if got, err := ParsePlace(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "91, 0", "NaN, NaN", "1e400, 2e400, 3", strings.Repeat("a", 61)} {
		if got, err := ParsePlace(in); err == nil && got.Located {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func FuzzPreferences(f *testing.F) {
	p := full()
	f.Add(p.Encode())
	f.Add([]byte("\x01Jane"))
	f.Add((&Preferences{Place: Place{Mode: PlaceExact, Located: true, Lat: 1, Lon: 2}}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePreferences(b)
		if err != nil {
			return
		}
		if err := p.Check(); err != nil {
			t.Fatalf("what was read is refused: %v", err)
		}
		again, err := ParsePreferences(p.Encode())
		if err != nil || !again.Equal(&p) {
			t.Errorf("%+v came back as %+v, %v", p, again, err)
		}
		for _, name := range []string{"name", "filters", "filter.a", "muted", "place", "lat"} {
			p.Value(name)
		}
	})
}

func BenchmarkPreferences(b *testing.B) {
	s, bind := sealer(b), Binding{"preferences", "stores", "stores.localhost"}
	p := full()
	plain := p.Encode()
	token := []byte(s.Seal(plain, bind))
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			ParsePreferences(plain)
		}
	})
	b.Run("open and seal", func(b *testing.B) {
		for b.Loop() {
			plain, _ := s.Open(token, bind)
			s.Seal(plain, bind)
		}
	})
}

package profile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Version 2 is fields: a tag, a length (unsigned LEB128), and as many bytes.
// Tags ascend; those of lists may repeat. What is not declared is left out.
// Version 1 was the name alone.
const (
	preferencesVersion  = 2
	preferencesVersion1 = 1
)

const (
	tagName = iota + 1
	tagTheme
	tagPageSize
	tagSort
	tagFilter // name, a zero byte, value: no text has a zero byte
	tagMuted
	tagContact
	tagPlaceChosen // the name
	tagPlaceExact  // nothing
	tagPlaceAt     // two signed LEB128 numbers: ten-thousandths of a degree
)

// Encode returns the preferences as bytes, to be sealed: at most
// [MaxPreferred] of what passed [Preferences.Check].
func (p *Preferences) Encode() []byte {
	b := append(make([]byte, 0, 64), preferencesVersion)
	b = appendField(b, tagName, p.Name)
	if i := slices.Index(themes[:], p.Theme); i >= 0 {
		b = append(b, tagTheme, 1, byte(i))
	}
	if p.PageSize > 0 {
		b = appendField(b, tagPageSize, string(binary.AppendUvarint(nil, uint64(p.PageSize))))
	}
	b = appendField(b, tagSort, p.Sort)
	for _, f := range p.Filters {
		b = appendField(b, tagFilter, f.Name+"\x00"+f.Value)
	}
	for _, s := range p.Muted {
		b = appendField(b, tagMuted, s)
	}
	if i := slices.Index(frequencies[:], p.Contact); i >= 0 {
		b = append(b, tagContact, 1, byte(i))
	}
	switch p.Place.Mode {
	case PlaceChosen:
		b = binary.AppendUvarint(append(b, tagPlaceChosen), uint64(len(p.Place.Name)))
		b = append(b, p.Place.Name...)
	case PlaceExact:
		b = append(b, tagPlaceExact, 0)
	}
	if p.Place.Located {
		at := binary.AppendVarint(nil, units(p.Place.Lat))
		b = appendField(b, tagPlaceAt, string(binary.AppendVarint(at, units(p.Place.Lon))))
	}
	return b
}

func appendField(b []byte, tag byte, s string) []byte {
	if s == "" {
		return b
	}
	b = binary.AppendUvarint(append(b, tag), uint64(len(s)))
	return append(b, s...)
}

// ParsePreferences reads what Encode wrote, this build's or an earlier one's.
// What Check would refuse is refused.
func ParsePreferences(b []byte) (Preferences, error) {
	if len(b) == 0 {
		return Preferences{}, errors.New("preferences: empty")
	}
	switch b[0] {
	case preferencesVersion1:
		name, err := ParseName(string(b[1:]))
		if err != nil {
			return Preferences{}, fmt.Errorf("preferences: %w", err)
		}
		return Preferences{Name: name}, nil
	case preferencesVersion:
	default:
		return Preferences{}, fmt.Errorf("preferences: version %d, this build reads up to %d", b[0], preferencesVersion)
	}
	if len(b) > MaxPreferred {
		return Preferences{}, fmt.Errorf("preferences: %d bytes, at most %d", len(b), MaxPreferred)
	}
	var p Preferences
	all, last := string(b), byte(0)
	for at := 1; at < len(all); {
		tag := all[at]
		n, size := binary.Uvarint(b[at+1:])
		from := at + 1 + size
		if size <= 0 || n > uint64(len(all)-from) {
			return Preferences{}, fmt.Errorf("preferences: field %d is cut short", tag)
		}
		if tag < last || tag == last && tag != tagFilter && tag != tagMuted {
			return Preferences{}, fmt.Errorf("preferences: field %d after field %d", tag, last)
		}
		if !p.field(tag, all[from:from+int(n)]) {
			return Preferences{}, fmt.Errorf("preferences: field %d cannot be read", tag)
		}
		at, last = from+int(n), tag
	}
	if err := p.checkFields(); err != nil {
		return Preferences{}, fmt.Errorf("preferences: %w", err)
	}
	return p, nil
}

// field takes one field, and reports whether it is one.
func (p *Preferences) field(tag byte, s string) bool {
	switch tag {
	case tagName:
		p.Name = s
	case tagTheme:
		if len(s) != 1 || int(s[0]) >= len(themes) {
			return false
		}
		p.Theme = themes[s[0]]
	case tagPageSize:
		n, size := binary.Uvarint([]byte(s))
		if size != len(s) || n > MaxPageSize {
			return false
		}
		p.PageSize = int(n)
	case tagSort:
		p.Sort = s
	case tagFilter:
		i := 0
		for i < len(s) && s[i] != 0 {
			i++
		}
		if i == len(s) {
			return false
		}
		p.Filters = append(p.Filters, Filter{s[:i], s[i+1:]})
	case tagMuted:
		p.Muted = append(p.Muted, s)
	case tagContact:
		if len(s) != 1 || int(s[0]) >= len(frequencies) {
			return false
		}
		p.Contact = frequencies[s[0]]
	default:
		return p.Place.field(tag, s)
	}
	return true
}

func (p *Place) field(tag byte, s string) bool {
	switch {
	case tag == tagPlaceChosen:
		p.Mode, p.Name = PlaceChosen, s
	case tag == tagPlaceExact && s == "" && p.Mode == PlaceAutomatic:
		p.Mode = PlaceExact
	case tag == tagPlaceAt && p.Mode != PlaceAutomatic:
		lat, n := binary.Varint([]byte(s))
		if n <= 0 {
			return false
		}
		lon, m := binary.Varint([]byte(s[n:]))
		if m <= 0 || n+m != len(s) || lat < -90e4 || lat > 90e4 || lon < -180e4 || lon > 180e4 {
			return false
		}
		p.Located, p.Lat, p.Lon = true, degrees(lat), degrees(lon)
	default:
		return false
	}
	return true
}

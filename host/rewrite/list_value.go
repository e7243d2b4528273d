package rewrite

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

func hasAny(v []byte, of []string) bool {
	for _, want := range of {
		if hasPart(v, want) {
			return true
		}
	}
	return false
}

// hasPart tells whether v, or one of its parts between commas, is want, whatever the case of ASCII letters.
func hasPart(v []byte, want string) bool {
	if foldEqual(trimSpace(v), want) {
		return true
	}
	for {
		i := bytes.IndexByte(v, ',')
		if i < 0 {
			return foldEqual(trimSpace(v), want)
		}
		if foldEqual(trimSpace(v[:i]), want) {
			return true
		}
		v = v[i+1:]
	}
}

func trimSpace(v []byte) []byte {
	for len(v) > 0 && byteClass[v[0]]&cSpace != 0 {
		v = v[1:]
	}
	for len(v) > 0 && byteClass[v[len(v)-1]]&cSpace != 0 {
		v = v[:len(v)-1]
	}
	return v
}

// degrees reads a latitude or longitude: a plain decimal number within limit.
func degrees(v []byte, limit float64) (float64, bool) {
	d, ok := number(v)
	return d, ok && d >= -limit && d <= limit
}

// number reads a decimal number of at most 32 bytes, spaces around it aside.
func number(v []byte) (float64, bool) {
	v = trimSpace(v)
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

// dateLayouts are RFC 3339 (also of HTML's time element and Atom) and RFC 822 with its later years (RSS 2.0).
var dateLayouts = [...]string{
	time.RFC3339, "2006-01-02", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04Z07:00",
	time.RFC1123Z, time.RFC1123, "Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 MST", "2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 MST", "2 Jan 2006",
}

// date reads a date, with or without a time, as seconds since 1970.
func date(v []byte) (float64, bool) {
	v = trimSpace(v)
	if len(v) < 8 || len(v) > 40 {
		return 0, false
	}
	s := string(v)
	for _, layout := range dateLayouts {
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return float64(t.UnixMilli()) / 1000, true
		}
	}
	return 0, false
}

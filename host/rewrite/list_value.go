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
	if f, ok := decimal(v); ok {
		return f, true
	}
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

// decimal reads digits with a sign and a point, as coordinates and prices are
// written; false if there is more to it. With at most 15 digits both parts of the
// fraction, and so its quotient, are exact (IEEE 754, binary64).
func decimal(v []byte) (float64, bool) {
	i, negative := 0, len(v) > 0 && v[0] == '-'
	if negative {
		i = 1
	}
	if len(v)-i > 16 { // 15 digits are below 2^53
		return 0, false
	}
	digits, n, point := int64(0), 0, -1
	for ; i < len(v); i++ {
		switch c := v[i] - '0'; {
		case c <= 9:
			digits = digits*10 + int64(c)
			n++
		case v[i] == '.' && point < 0:
			point = n
		default:
			return 0, false
		}
	}
	if n == 0 || n > 15 || digits == 0 && negative { // nought has a sign
		return 0, false
	}
	f := float64(digits)
	if point >= 0 {
		f /= powersOfTen[n-point]
	}
	if negative {
		f = -f
	}
	return f, true
}

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

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

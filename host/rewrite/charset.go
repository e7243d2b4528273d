package rewrite

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/transform"
)

// A Charset is the character encoding of a page (WHATWG Encoding Standard). The
// zero value is one that nothing is known of except that ASCII is ASCII in it,
// as where a page declares nothing and each reader's locale decides: everything
// else goes into such a page as character references.
//
// Charsets are equal (==) when all that they do is equal.
type Charset struct {
	code uint8 // place in codings
	refs bool  // readers may differ about what is not ASCII, so that goes as references
}

// UTF8 is the charset of most pages.
var UTF8 = Charset{code: codeUTF8}

// Places in codings that are spoken of. Zero is the charset of a page that
// declares nothing.
const (
	codeUnknown     = 1 + iota // a label that no standard knows
	codeUTF8                   // "utf-8"
	codeUTF16LE                // "utf-16le"
	codeUTF16BE                // "utf-16be"
	codeUserDefined            // "x-user-defined"
	codeWindows1252            // "windows-1252"
)

// A coding is an encoding of the standard, by the name that it has there, in
// lower case.
type coding struct {
	name   string
	single *charmap.Charmap      // for those of one byte a character
	multi  transform.Transformer // encoder of those of several; it has no state, so all may use it at once
	closed bool                  // markup in it is not ASCII, or what a byte means depends on those long before it
}

// codings are the encodings of the standard (WHATWG Encoding 4.2). It never
// changes. What x-user-defined means above ASCII only scripts know; ASCII
// itself is safe in it, but no page is in it by intent.
var codings = [...]coding{
	0:               {},
	codeUnknown:     {closed: true},
	codeUTF8:        {name: "utf-8"},
	codeUTF16LE:     {name: "utf-16le", closed: true},
	codeUTF16BE:     {name: "utf-16be", closed: true},
	codeUserDefined: {name: "x-user-defined", closed: true},
	codeWindows1252: {name: "windows-1252", single: charmap.Windows1252},

	7:  {name: "iso-2022-jp", closed: true},
	8:  {name: "replacement", closed: true},
	9:  {name: "ibm866", single: charmap.CodePage866},
	10: {name: "iso-8859-2", single: charmap.ISO8859_2},
	11: {name: "iso-8859-3", single: charmap.ISO8859_3},
	12: {name: "iso-8859-4", single: charmap.ISO8859_4},
	13: {name: "iso-8859-5", single: charmap.ISO8859_5},
	14: {name: "iso-8859-6", single: charmap.ISO8859_6},
	15: {name: "iso-8859-7", single: charmap.ISO8859_7},
	16: {name: "iso-8859-8", single: charmap.ISO8859_8},
	17: {name: "iso-8859-8-i", single: charmap.ISO8859_8},
	18: {name: "iso-8859-10", single: charmap.ISO8859_10},
	19: {name: "iso-8859-13", single: charmap.ISO8859_13},
	20: {name: "iso-8859-14", single: charmap.ISO8859_14},
	21: {name: "iso-8859-15", single: charmap.ISO8859_15},
	22: {name: "iso-8859-16", single: charmap.ISO8859_16},
	23: {name: "koi8-r", single: charmap.KOI8R},
	24: {name: "koi8-u", single: charmap.KOI8U},
	25: {name: "macintosh", single: charmap.Macintosh},
	26: {name: "windows-874", single: charmap.Windows874},
	27: {name: "windows-1250", single: charmap.Windows1250},
	28: {name: "windows-1251", single: charmap.Windows1251},
	29: {name: "windows-1253", single: charmap.Windows1253},
	30: {name: "windows-1254", single: charmap.Windows1254},
	31: {name: "windows-1255", single: charmap.Windows1255},
	32: {name: "windows-1256", single: charmap.Windows1256},
	33: {name: "windows-1257", single: charmap.Windows1257},
	34: {name: "windows-1258", single: charmap.Windows1258},
	35: {name: "x-mac-cyrillic", single: charmap.MacintoshCyrillic},
	36: {name: "gbk", multi: simplifiedchinese.GBK.NewEncoder().Transformer},
	37: {name: "gb18030", multi: simplifiedchinese.GB18030.NewEncoder().Transformer},
	38: {name: "big5", multi: traditionalchinese.Big5.NewEncoder().Transformer},
	39: {name: "euc-jp", multi: japanese.EUCJP.NewEncoder().Transformer},
	40: {name: "shift_jis", multi: japanese.ShiftJIS.NewEncoder().Transformer},
	41: {name: "euc-kr", multi: korean.EUCKR.NewEncoder().Transformer},
}

// maxLabel is longer than the longest label, in bytes.
const maxLabel = 24

// charsetOf gets an encoding from a label (WHATWG Encoding 4.2). Labels that
// are not known give the charset that is not editable.
func charsetOf[T string | []byte](label T) Charset {
	for len(label) > 0 && byteClass[label[0]]&cSpace != 0 {
		label = label[1:]
	}
	for len(label) > 0 && byteClass[label[len(label)-1]]&cSpace != 0 {
		label = label[:len(label)-1]
	}
	var buf [maxLabel]byte
	if len(label) > len(buf) {
		return Charset{code: codeUnknown}
	}
	for i := range len(label) {
		// Only ASCII is folded and trimmed; the index would do more.
		if label[i] <= ' ' || label[i] > '~' {
			return Charset{code: codeUnknown}
		}
		buf[i] = lower[label[i]]
	}
	folded := buf[:len(label)]
	if string(folded) == "utf-8" {
		return UTF8
	}
	e, err := htmlindex.Get(string(folded))
	if err != nil {
		return Charset{code: codeUnknown}
	}
	if name, err := htmlindex.Name(e); err == nil {
		for i := range codings {
			if codings[i].name == name {
				return Charset{code: uint8(i)}
			}
		}
	}
	return Charset{code: codeUnknown}
}

// Name is the standard's name of the encoding in lower case, "" if it is not known.
func (c Charset) Name() string { return codings[c.code].name }

// Editable reports whether pages in the charset can be edited as bytes: markup
// in it is ASCII and it has no state. That is not so in UTF-16, ISO-2022-JP,
// the replacement encoding, x-user-defined and those that the standard does not
// know. A page that declares nothing (the zero value) is editable.
func (c Charset) Editable() bool { return !codings[c.code].closed }

// Append appends the text s, which is UTF-8 and has been escaped already, in
// the encoding. What cannot be encoded goes as decimal character references, so
// s must go where these are understood: not into script, style or comments,
// unless it is ASCII. In UTF-8 the bytes of s are appended as they are.
// Many goroutines may call it at the same time.
func (c Charset) Append(dst []byte, s string) []byte {
	if c == UTF8 {
		return append(dst, s...)
	}
	to := &codings[c.code]
	for {
		i := 0
		for i < len(s) && s[i] < utf8.RuneSelf && (s[i] != 0x1b || c.code != 0) {
			i++
		}
		dst = append(dst, s[:i]...)
		if s = s[i:]; s == "" {
			return dst
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		if r == 0x1b {
			// Browsers guess what a page does not declare. Escapes would make
			// ISO-2022-JP of it, in which '<' and '"' can be made to vanish.
			r = utf8.RuneError
		}
		if !c.refs {
			was := len(dst)
			if dst = to.appendRune(dst, r); len(dst) > was {
				continue
			}
		}
		dst = appendDecimal(dst, r)
	}
}

// appendDecimal appends a decimal character reference to r. References to C1
// controls mean Windows-1252 characters (WHATWG HTML 13.2.5.80), so these
// become U+FFFD.
func appendDecimal(dst []byte, r rune) []byte {
	if r < 0xA0 {
		r = utf8.RuneError
	}
	dst = append(dst, "&#"...)
	dst = strconv.AppendInt(dst, int64(r), 10)
	return append(dst, ';')
}

// appendRune appends r, which is not ASCII, in the encoding, or nothing if r
// has no code in it that everybody reads as r.
func (to *coding) appendRune(dst []byte, r rune) []byte {
	if to.single != nil {
		if b, ok := to.single.EncodeRune(r); ok && b >= utf8.RuneSelf {
			dst = append(dst, b)
		}
		return dst
	}
	// What gb18030 has for private use changed from one edition to the next, and
	// so did this one letter.
	if to.multi == nil || r >= 0xe000 && r <= 0xf8ff || r == 0x1e3f {
		return dst
	}
	// Both sides of the conversion are in dst, since an array here would escape.
	dst = slices.Grow(dst, 2*utf8.UTFMax)
	n := len(dst)
	src := utf8.AppendRune(dst[n+utf8.UTFMax:n+utf8.UTFMax], r)
	k, _, err := to.multi.Transform(dst[n:n+utf8.UTFMax], src, true)
	if err != nil || !safe(dst[n:n+k]) {
		return dst[:n]
	}
	return dst[:n+k]
}

// safe reports whether no byte of an encoded character that is not ASCII can be
// taken for markup by whoever reads bytes. The second byte of some encodings
// may be '`', which old parsers took for a quote.
func safe(b []byte) bool {
	for _, c := range b {
		switch c {
		case '<', '>', '&', '"', '\'', '=', '/', '`', ' ', '\t', '\n', '\f', '\r':
			return false
		}
	}
	return len(b) > 0 && b[0] >= utf8.RuneSelf
}

package rewrite

import (
	"bytes"
	"strings"
)

// maxHead is how many bytes of a page are looked at for its encoding (WHATWG
// HTML 4.2.5.4 requires declarations to lie within 1024 bytes).
const maxHead = 1024

// Sniff tells the encoding of a page from its first bytes (1024 suffice) and
// its Content-Type (WHATWG HTML 13.2.3.2): a byte order mark, else the header's
// charset, else what the page says of itself. A header that names an encoding
// which the standard does not know makes the page one that is not editable,
// although a browser would read on: whoever wrote that meant something by it.
//
// In XML (RFC 7303 3) the declaration's encoding counts, and UTF-8 is the
// default. XML parsers take labels at their word where browsers do not
// (iso-8859-1 is not windows-1252 there), and some believe the declaration
// rather than the header. So in XML that is not UTF-8 all through, what is not
// ASCII goes as references.
func Sniff(head []byte, contentType string, xml bool) Charset {
	c, _ := sniff(head, contentType, xml)
	return c
}

// sniff is Sniff that also reports whether more of the page could change the
// answer: once sure is true, it and the charset stay, whatever follows.
func sniff(head []byte, contentType string, xml bool) (c Charset, sure bool) {
	end := len(head) >= maxHead
	head = head[:min(len(head), maxHead)]
	c, found, more := byteOrderMark(head)
	if found {
		return c, true
	}
	c, sure = declared(head, contentType, xml)
	return c, sure && !more || end
}

// byteOrderMark is the standard's BOM sniff (WHATWG Encoding 6). more reports
// that head is too short to tell.
func byteOrderMark(head []byte) (c Charset, found, more bool) {
	for _, m := range [...]struct {
		mark string
		code uint8
	}{{"\xef\xbb\xbf", codeUTF8}, {"\xfe\xff", codeUTF16BE}, {"\xff\xfe", codeUTF16LE}} {
		n := min(len(head), len(m.mark))
		if string(head[:n]) == m.mark[:n] {
			return Charset{code: m.code}, n == len(m.mark), n < len(m.mark)
		}
	}
	return Charset{}, false, false
}

// declared is the encoding that the header or the page declares.
func declared(head []byte, contentType string, xml bool) (c Charset, sure bool) {
	label, inHeader := charsetParam(contentType)
	if xml {
		return declaredXML(head, label, inHeader)
	}
	if inHeader {
		return charsetOf(label), true
	}
	p := prescan{b: head}
	if c, found := p.run(); found {
		return c, true
	}
	if label, found, _ := xmlLabel(head); found {
		switch c := charsetOf(label); c.code {
		case codeUnknown:
			p.unknown = true
		case codeUTF16LE, codeUTF16BE:
			return UTF8, false
		default:
			return c, false
		}
	}
	// Browsers that guess would guess ISO-2022-JP here.
	if p.unknown || bytes.Contains(head, []byte("\x1b$")) || bytes.Contains(head, []byte("\x1b(")) {
		return Charset{code: codeUnknown}, false
	}
	return Charset{}, false
}

func declaredXML(head []byte, header string, inHeader bool) (c Charset, sure bool) {
	c = UTF8
	if inHeader {
		c = charsetOf(header)
	}
	// XML 1.0 F.1: UTF-16 and UTF-32 without a mark, EBCDIC.
	if n := min(len(head), 2); bytes.IndexByte(head[:n], 0) >= 0 || bytes.HasPrefix(head, []byte("\x4c\x6f\xa7\x94")) {
		return Charset{code: codeUnknown}, true
	}
	label, found, more := xmlLabel(head)
	if found {
		said := charsetOf(label)
		switch {
		case said.code == codeUTF16LE || said.code == codeUTF16BE:
			// It is not, or its declaration could not be read.
			c.refs = true
		case !inHeader:
			c = said
		case said != c:
			c.refs = true
		}
	}
	if c != UTF8 && c.Editable() {
		c.refs = true
	}
	return c, !more && len(head) >= 4
}

// xmlLabel gets an XML encoding (WHATWG HTML 13.2.3.2, "get an XML encoding"):
// the label in the XML declaration that head begins with. more reports that
// the declaration is not over where head is.
func xmlLabel(head []byte) (label []byte, found, more bool) {
	const begin = "<?xml"
	if n := min(len(head), len(begin)); string(head[:n]) != begin[:n] {
		return nil, false, false
	}
	end := bytes.IndexByte(head, '>')
	if end < 0 {
		return nil, false, true
	}
	_, b, ok := bytes.Cut(head[:end], []byte("encoding"))
	if !ok {
		return nil, false, false
	}
	blank := func(b []byte) []byte {
		for len(b) > 0 && b[0] <= ' ' {
			b = b[1:]
		}
		return b
	}
	if b = blank(b); len(b) == 0 || b[0] != '=' {
		return nil, false, false
	}
	if b = blank(b[1:]); len(b) == 0 || b[0] != '"' && b[0] != '\'' {
		return nil, false, false
	}
	n := bytes.IndexByte(b[1:], b[0])
	if n < 0 {
		return nil, false, false
	}
	label = b[1 : 1+n]
	for _, c := range label {
		if c <= ' ' {
			return nil, false, false
		}
	}
	return label, true, false
}

// charsetParam is the charset parameter of a Content-Type, read as browsers do
// (WHATWG MIME Sniffing 4.4): the first one counts, quoted or not. An empty one
// is none.
func charsetParam(contentType string) (value string, ok bool) {
	_, rest, more := strings.Cut(contentType, ";")
	for more {
		rest = strings.TrimLeft(rest, " \t\r\n")
		i := strings.IndexAny(rest, ";=")
		if i < 0 {
			return "", false
		}
		name := rest[:i]
		if rest[i] == ';' {
			rest = rest[i+1:]
			continue
		}
		rest = rest[i+1:]
		quoted := strings.HasPrefix(rest, `"`)
		if quoted {
			value, rest = quotedString(rest[1:])
			_, rest, more = strings.Cut(rest, ";")
		} else {
			value, rest, more = strings.Cut(rest, ";")
			value = strings.TrimRight(value, " \t\r\n")
		}
		if len(name) == len("charset") && foldEqual([]byte(name), "charset") && (quoted || value != "") {
			return value, value != ""
		}
	}
	return "", false
}

// quotedString reads an HTTP quoted string from behind its first quote
// (WHATWG Fetch 2.2).
func quotedString(s string) (value, rest string) {
	i := strings.IndexAny(s, `"\`)
	if i < 0 {
		return s, ""
	}
	if s[i] == '"' {
		return s[:i], s[i+1:]
	}
	var b []byte
	for i = 0; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b), s[min(i+1, len(s)):]
}

package rewrite

import "bytes"

// A prescan goes through the beginning of an HTML page in search of a meta that
// declares its encoding (WHATWG HTML 13.2.3.2, "prescan a byte stream to
// determine its encoding"). Wherever b ends before the algorithm has what it
// waits for, it has found nothing: so what it finds in b, it finds in all that
// begins with b.
type prescan struct {
	b       []byte
	i       int
	unknown bool // a meta was there, but its label is not known
}

// run finds the encoding.
func (p *prescan) run() (c Charset, found bool) {
	// An XML declaration in UTF-16 that has no byte order mark.
	if bytes.HasPrefix(p.b, []byte("<\x00?\x00x\x00")) {
		return Charset{code: codeUTF16LE}, true
	}
	if bytes.HasPrefix(p.b, []byte("\x00<\x00?\x00x")) {
		return Charset{code: codeUTF16BE}, true
	}
	for ; ; p.i++ {
		n := bytes.IndexByte(p.b[min(p.i, len(p.b)):], '<')
		if n < 0 {
			return Charset{}, false
		}
		p.i += n
		rest := p.b[p.i:]
		switch {
		case len(rest) >= 4 && string(rest[:4]) == "<!--":
			// The two hyphens may be those of the end as well.
			p.skip(bytes.Index(rest[2:], []byte("-->")), 2+2)
		case p.atMeta():
			p.i += len("<meta")
			if c, found := p.meta(); found {
				return c, true
			}
		case len(rest) > 1 && byteClass[rest[1]]&cAlpha != 0,
			len(rest) > 2 && rest[1] == '/' && byteClass[rest[2]]&cAlpha != 0:
			for p.i < len(p.b) && byteClass[p.b[p.i]]&cBareEnd == 0 {
				p.i++
			}
			for ok := true; ok; {
				_, _, ok = p.attribute()
			}
		case len(rest) > 1 && (rest[1] == '!' || rest[1] == '/' || rest[1] == '?'):
			p.skip(bytes.IndexByte(rest, '>'), 0)
		}
	}
}

// skip goes n and then more bytes on, to the end if n is negative.
func (p *prescan) skip(n, more int) {
	if n < 0 {
		p.i = len(p.b)
		return
	}
	p.i += n + more
}

// atMeta reports whether the tag meta begins here.
func (p *prescan) atMeta() bool {
	rest := p.b[p.i:]
	return len(rest) > 5 && foldEqual(rest[1:5], "meta") &&
		(byteClass[rest[5]]&cSpace != 0 || rest[5] == '/')
}

// meta reads the attributes of a meta and tells what they declare.
func (p *prescan) meta() (c Charset, found bool) {
	var seenPragma, seenContent, seenCharset bool // of several of one name, the first counts
	var pragma, needPragma, unknown bool
	for {
		name, value, ok := p.attribute()
		if !ok {
			break
		}
		switch {
		case !seenPragma && foldEqual(name, "http-equiv"):
			seenPragma = true
			pragma = foldEqual(value, "content-type")
		case !seenContent && foldEqual(name, "content"):
			seenContent = true
			if label, ok := contentLabel(value); ok && !found {
				if c = charsetOf(label); c.code == codeUnknown {
					unknown = true
				} else {
					found, needPragma = true, true
				}
			}
		case !seenCharset && foldEqual(name, "charset"):
			seenCharset = true
			c, found, needPragma = charsetOf(value), true, false
		}
	}
	if p.i >= len(p.b) {
		return Charset{}, false
	}
	if !found || needPragma && !pragma {
		p.unknown = p.unknown || unknown && pragma
		return Charset{}, false
	}
	switch c.code {
	case codeUnknown:
		p.unknown = true
		return Charset{}, false
	case codeUTF16LE, codeUTF16BE:
		return UTF8, true
	case codeUserDefined:
		return Charset{code: codeWindows1252}, true
	}
	return c, true
}

// attribute gets an attribute (WHATWG HTML 13.2.3.2, "get an attribute"). Its
// name and value are as they stand; the algorithm would have them in lower
// case. ok is false, with p.i at '>' or at the end of b, if there is none. Where
// b ends within an attribute, p.i is at its end, and none is to be believed.
func (p *prescan) attribute() (name, value []byte, ok bool) {
	for p.i < len(p.b) && (byteClass[p.b[p.i]]&cSpace != 0 || p.b[p.i] == '/') {
		p.i++
	}
	if p.i >= len(p.b) || p.b[p.i] == '>' {
		return nil, nil, false
	}
	// A name may begin with '='.
	begin := p.i
	for p.i++; p.i < len(p.b) && byteClass[p.b[p.i]]&cAttrEnd == 0; {
		p.i++
	}
	name = p.b[begin:p.i]
	p.spaces()
	if p.i >= len(p.b) {
		return nil, nil, false
	}
	if p.b[p.i] != '=' {
		return name, nil, true
	}
	p.i++
	p.spaces()
	if p.i >= len(p.b) {
		return nil, nil, false
	}
	if q := p.b[p.i]; q == '"' || q == '\'' {
		n := bytes.IndexByte(p.b[p.i+1:], q)
		if n < 0 {
			p.i = len(p.b)
			return nil, nil, false
		}
		value = p.b[p.i+1 : p.i+1+n]
		p.i += n + 2
		return name, value, true
	}
	begin = p.i
	for p.i < len(p.b) && byteClass[p.b[p.i]]&cBareEnd == 0 {
		p.i++
	}
	return name, p.b[begin:p.i], true
}

func (p *prescan) spaces() {
	for p.i < len(p.b) && byteClass[p.b[p.i]]&cSpace != 0 {
		p.i++
	}
}

// contentLabel extracts the label from the content of a meta (WHATWG HTML
// 2.5.4, "extracting a character encoding from a meta element").
func contentLabel(s []byte) (label []byte, ok bool) {
	space := func() {
		for len(s) > 0 && byteClass[s[0]]&cSpace != 0 {
			s = s[1:]
		}
	}
	const word = "charset"
	for {
		for len(s) >= len(word) && !foldEqual(s[:len(word)], word) {
			s = s[1:]
		}
		if len(s) < len(word) {
			return nil, false
		}
		s = s[len(word):]
		space()
		if len(s) > 0 && s[0] == '=' {
			break
		}
	}
	s = s[1:]
	space()
	if len(s) == 0 {
		return nil, false
	}
	if s[0] == '"' || s[0] == '\'' {
		n := bytes.IndexByte(s[1:], s[0])
		if n < 0 {
			return nil, false
		}
		return s[1 : 1+n], true
	}
	n := 0
	for n < len(s) && byteClass[s[n]]&cSpace == 0 && s[n] != ';' {
		n++
	}
	return s[:n], true
}

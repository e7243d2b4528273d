package rewrite

import "bytes"

// quirksDoctype tells whether a doctype (what follows that word, without '>')
// puts the page in quirks mode (WHATWG 13.2.5.53 to 68 and 13.2.6.4.1). The only thing that hangs
// on it here is whether a table ends a paragraph.
func quirksDoctype(d []byte) bool {
	name, rest := cutToken(d)
	if !foldEqual(name, "html") {
		return true
	}
	rest = skipSpace(rest)
	if len(rest) == 0 {
		return false
	}
	var public, system []byte
	ok, hasSystem := false, false
	switch {
	case foldPrefix(rest, "public"):
		if public, rest, ok = cutQuoted(rest[6:]); !ok {
			return true
		}
		if rest = skipSpace(rest); len(rest) > 0 {
			if system, _, hasSystem = cutQuoted(rest); !hasSystem {
				return true
			}
		}
	case foldPrefix(rest, "system"):
		if system, _, ok = cutQuoted(rest[6:]); !ok {
			return true
		}
	default:
		return true
	}
	if foldEqual(system, "http://www.ibm.com/data/dtd/v11/ibmxhtml1-transitional.dtd") {
		return true
	}
	for _, id := range quirksEqual {
		if foldEqual(public, id) {
			return true
		}
	}
	for _, prefix := range quirksPrefix {
		if foldPrefix(public, prefix) {
			return true
		}
	}
	return !hasSystem && (foldPrefix(public, "-//w3c//dtd html 4.01 frameset//") || foldPrefix(public, "-//w3c//dtd html 4.01 transitional//"))
}

// Public identifiers of quirks mode, as the standard lists them.
var (
	quirksEqual  = [...]string{"-//w3o//dtd w3 html strict 3.0//en//", "-/w3c/dtd html 4.0 transitional/en", "html"}
	quirksPrefix = [...]string{
		"+//silmaril//dtd html pro v0r11 19970101//",
		"-//as//dtd html 3.0 aswedit + extensions//", "-//advasoft ltd//dtd html 3.0 aswedit + extensions//",
		"-//ietf//dtd html 2.0 level 1//", "-//ietf//dtd html 2.0 level 2//", "-//ietf//dtd html 2.0 strict level 1//",
		"-//ietf//dtd html 2.0 strict level 2//", "-//ietf//dtd html 2.0 strict//", "-//ietf//dtd html 2.0//",
		"-//ietf//dtd html 2.1e//", "-//ietf//dtd html 3.0//", "-//ietf//dtd html 3.2 final//", "-//ietf//dtd html 3.2//",
		"-//ietf//dtd html 3//", "-//ietf//dtd html level 0//", "-//ietf//dtd html level 1//", "-//ietf//dtd html level 2//",
		"-//ietf//dtd html level 3//", "-//ietf//dtd html strict level 0//", "-//ietf//dtd html strict level 1//",
		"-//ietf//dtd html strict level 2//", "-//ietf//dtd html strict level 3//", "-//ietf//dtd html strict//", "-//ietf//dtd html//",
		"-//metrius//dtd metrius presentational//",
		"-//microsoft//dtd internet explorer 2.0 html strict//", "-//microsoft//dtd internet explorer 2.0 html//",
		"-//microsoft//dtd internet explorer 2.0 tables//", "-//microsoft//dtd internet explorer 3.0 html strict//",
		"-//microsoft//dtd internet explorer 3.0 html//", "-//microsoft//dtd internet explorer 3.0 tables//",
		"-//netscape comm. corp.//dtd html//", "-//netscape comm. corp.//dtd strict html//",
		"-//o'reilly and associates//dtd html 2.0//", "-//o'reilly and associates//dtd html extended 1.0//",
		"-//o'reilly and associates//dtd html extended relaxed 1.0//",
		"-//sq//dtd html 2.0 hotmetal + extensions//",
		"-//softquad software//dtd hotmetal pro 6.0::19990601::extensions to html 4.0//",
		"-//softquad//dtd hotmetal pro 4.0::19971010::extensions to html 4.0//",
		"-//spyglass//dtd html 2.0 extended//",
		"-//sun microsystems corp.//dtd hotjava html//", "-//sun microsystems corp.//dtd hotjava strict html//",
		"-//w3c//dtd html 3 1995-03-24//", "-//w3c//dtd html 3.2 draft//", "-//w3c//dtd html 3.2 final//", "-//w3c//dtd html 3.2//",
		"-//w3c//dtd html 3.2s draft//", "-//w3c//dtd html 4.0 frameset//", "-//w3c//dtd html 4.0 transitional//",
		"-//w3c//dtd html experimental 19960712//", "-//w3c//dtd html experimental 970421//", "-//w3c//dtd w3 html//",
		"-//w3o//dtd w3 html 3.0//", "-//webtechs//dtd mozilla html 2.0//", "-//webtechs//dtd mozilla html//",
	}
)

func foldPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && foldEqual(b[:len(prefix)], prefix)
}

func skipSpace(d []byte) []byte {
	for len(d) > 0 && byteClass[d[0]]&cSpace != 0 {
		d = d[1:]
	}
	return d
}

// cutQuoted splits a quoted identifier off d; not ok, if there is none, or it does not end.
func cutQuoted(d []byte) (text, rest []byte, ok bool) {
	d = skipSpace(d)
	if len(d) == 0 || d[0] != '"' && d[0] != '\'' {
		return nil, nil, false
	}
	j := bytes.IndexByte(d[1:], d[0])
	if j < 0 {
		return nil, nil, false
	}
	return d[1 : 1+j], d[j+2:], true
}

package rewrite

import "bytes"

// quirksDoctype tells whether a doctype (what follows that word, without '>')
// puts the page in quirks mode (WHATWG 13.2.6.4.1). The only thing that hangs
// on it here is whether a table ends a paragraph.
func quirksDoctype(d []byte) bool {
	name, rest := cutToken(d)
	if !foldEqual(name, "html") {
		return true
	}
	word, rest := cutToken(rest)
	if !foldEqual(word, "public") {
		return false
	}
	public, rest := cutQuoted(rest)
	system, _ := cutQuoted(rest)
	for _, prefix := range [...]string{
		"-//w3c//dtd html 4.01 frameset//", "-//w3c//dtd html 4.01 transitional//",
	} {
		if len(system) == 0 && foldPrefix(public, prefix) {
			return true
		}
	}
	for _, prefix := range [...]string{
		"+//silmaril//", "-//as//dtd html", "-//advasoft ltd//", "-//ietf//dtd html", "-//metrius//",
		"-//microsoft//dtd internet explorer", "-//netscape comm. corp.//", "-//o'reilly and associates//",
		"-//sq//dtd html", "-//softquad", "-//spyglass//", "-//sun microsystems corp.//dtd hotjava",
		"-//w3c//dtd html 3", "-//w3c//dtd html 4.0 frameset//", "-//w3c//dtd html 4.0 transitional//",
		"-//w3c//dtd html experimental", "-//w3c//dtd w3 html", "-//w3o//dtd w3 html", "-//webtechs//", "html",
		"-/w3c/dtd html 4.0 transitional/en", "-//w3o//dtd w3 html strict 3.0//en//",
	} {
		if foldPrefix(public, prefix) {
			return true
		}
	}
	return foldEqual(system, "http://www.ibm.com/data/dtd/v11/ibmxhtml1-transitional.dtd")
}

func foldPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && foldEqual(b[:len(prefix)], prefix)
}

func cutQuoted(d []byte) (text, rest []byte) {
	i := 0
	for i < len(d) && byteClass[d[i]]&cSpace != 0 {
		i++
	}
	if i == len(d) || d[i] != '"' && d[i] != '\'' {
		return nil, nil
	}
	j := bytes.IndexByte(d[i+1:], d[i])
	if j < 0 {
		return d[i+1:], nil
	}
	return d[i+1 : i+1+j], d[i+j+2:]
}

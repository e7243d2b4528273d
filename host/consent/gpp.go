package consent

// Sections of a GPP string that are read here (IAB Tech Lab, Global Privacy
// Platform, "Section Information").
const (
	sectionEU         = 2  // TCF of Europe, version 2
	sectionCanada     = 5  // TCF of Canada
	sectionUSPrivacy  = 6  // US Privacy string
	sectionUSNational = 7  // the first of the US
	sectionUSLast     = 27 // Rhode Island
)

// A sectionSet is a set of sections, by number, 0 to 31.
type sectionSet uint32

func (s sectionSet) has(id int) bool { return s&(1<<id) != 0 }

// knownSections are those that are read here.
const knownSections sectionSet = 1<<sectionEU | 1<<sectionCanada | 1<<sectionUSPrivacy | usSections

// A gpp is what a GPP string says that we act on or record. What its header
// names is in sections; those of them that cannot be read are in unreadable,
// and say nothing anywhere else but gpc. The zero value names no section.
type gpp struct {
	sections   sectionSet
	unreadable sectionSet
	unknown    bool // the header names sections beyond those that are read here

	faults [sectionUSLast + 1]fault // why a section is unreadable

	eu, canada tcf
	usPrivacy  usPrivacy
	us         usSignals
}

// maxSections is the most sections that a header may name. The platform has 27.
const maxSections = 32

// parseGPP reads a GPP string into g. The error, a fault, is about the string
// as a whole, and then g is zero; a section that cannot be read leaves the
// others as they are.
//
// Source: IAB Tech Lab, "Global Privacy Platform String", version 1,
// "GPP String Format"; the documents of the sections.
func parseGPP(s []byte, g *gpp) error {
	*g = gpp{}
	if len(s) > maxSignal {
		return errLong
	}
	header, rest, more := cut(s, '~')
	if len(header) == 0 {
		return errEmpty
	}
	var ids [maxSections]int
	n, f := parseGPPHeader(header, &ids)
	if f != 0 {
		return f
	}
	for _, id := range ids[:n] {
		if !more { // fewer sections than the header names
			*g = gpp{}
			return errHeader
		}
		var section []byte
		section, rest, more = cut(rest, '~')
		g.section(id, section)
	}
	if more { // more sections than the header names
		*g = gpp{}
		return errHeader
	}
	return nil
}

// parseGPPHeader reads the header: type 3, version 1, and the sections in
// ascending order, each as its distance from the one before; of a group, its
// first, and the distance from that to its last (data type "Range
// (Fibonacci)"). It returns how many there are.
func parseGPPHeader(s []byte, ids *[maxSections]int) (n int, f fault) {
	r := bitReader{s: s}
	if r.bits(6) != 3 {
		r.fail(errHeader)
	}
	if r.bits(6) != 1 {
		r.fail(errVersion)
	}
	id := 0
	for items := r.bits(12); items > 0 && r.fault == 0; items-- {
		group := r.bit()
		id += r.fibonacci()
		last := id
		if group {
			last += r.fibonacci()
		}
		if r.fault != 0 {
			break
		}
		if last-id >= maxSections-n {
			r.fail(errRange)
			break
		}
		for ; id <= last; id++ {
			ids[n] = id
			n++
		}
		id = last
	}
	return n, r.end()
}

func (g *gpp) section(id int, s []byte) {
	if id > sectionUSLast || !knownSections.has(id) {
		g.unknown = true
		return
	}
	g.sections |= 1 << id
	var err error
	switch id {
	case sectionEU:
		err = parseTCF(s, &g.eu)
	case sectionCanada:
		err = parseTCFCanada(s, &g.canada)
	case sectionUSPrivacy:
		g.usPrivacy, err = parseUSPrivacy(s)
	default:
		err = g.us.parse(id, s)
	}
	if f, _ := err.(fault); f != 0 {
		g.unreadable |= 1 << id
		g.faults[id] = f
	}
}

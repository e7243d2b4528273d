package consent

// A usSignals is what the sections of the US in a GPP string say, as the sets
// of the sections that say it. A section that cannot be read is in none of
// them but gpc.
type usSignals struct {
	sale     sectionSet // the visitor opted out of the sale of their data,
	sharing  sectionSet // of its sharing,
	targeted sectionSet // of its use for targeted advertising

	// The visitor is said to have declined an opt-out that, as the same section
	// says, was not offered: "0 Not Applicable. SaleOptOutNotice value was not
	// applicable or no notice was provided". A contradiction.
	unoffered sectionSet

	sensitive sectionSet // no consent to, or opted out of, some sensitive data
	child     sectionSet // the visitor is known to be a child, with consent or without

	// The browser sent a GPC signal to whoever made the string. Read wherever
	// it is well formed, even beside a core that is not.
	gpc sectionSet
}

// usSections are the US national section and those of the states.
const usSections sectionSet = (1<<(sectionUSLast+1) - 1) &^ (1<<sectionUSNational - 1)

// A layout lists the fields of a core after its version, two bits each:
//
//	s h t   notice of the opportunity to opt out: of sale, of sharing, of targeted advertising
//	S H T   opted out of it
//	d       consent to, or opt-out of, one kind of sensitive data
//	k       consent for a known child
//	.       another field; nothing that we act on
//
// In all of them 3 is no value. Notices: 1 given, 2 not given. Opt-outs: 1
// opted out, 2 did not. Sensitive data: 1 is the refusal (texts of some states
// had 1 and 2 of consents the other way round; of opt-outs they never had).
type layout string

// usLayouts are the cores of the sections in version 1. Source: the documents
// "Privacy Technical Specification" of each state under Sections/US-States in
// github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform; national:
// "US National Technical Specification", 1.0, and 2.0 for usNational2.
var usLayouts = [sectionUSLast + 1]layout{
	7:  "." + "sht" + ".." + "SHT" + "dddddddddddd" + "kk" + "." + "...", // national
	8:  "sh" + "." + "SH" + "ddddddddd" + "kk" + "." + "...",             // California
	9:  "." + "st" + "ST" + "dddddddd" + "k" + "...",                     // Virginia
	10: "." + "st" + "ST" + "ddddddd" + "k" + "...",                      // Colorado
	11: "." + "st" + "." + "ST" + "dddddddd" + "k" + "...",               // Utah
	12: "." + "st" + "ST" + "dddddddd" + "kkk" + "...",                   // Connecticut
	13: "." + "st" + "ST" + "dddddddd" + "kkk" + "." + "...",             // Florida
	14: "." + "st" + "ST" + "dddddddd" + "kkk" + "." + "...",             // Montana
	15: "." + "st" + "ST" + "ddddddddddd" + "kkk" + "." + "...",          // Oregon
	16: "." + "st" + "ST" + "dddddddd" + "k" + "." + "...",               // Texas
	17: "." + "st" + "ST" + "ddddddddd" + "kkkkk" + "." + "...",          // Delaware
	18: "." + "st" + "." + "ST" + "dddddddd" + "k" + "...",               // Iowa
	19: "." + "st" + "ST" + "dddddddd" + "k" + "." + "...",               // Nebraska
	20: "." + "st" + "ST" + "dddddddd" + "kkk" + "." + "...",             // New Hampshire
	21: "." + "st" + "ST" + "dddddddddd" + "kkkkk" + "." + "...",         // New Jersey
	22: "." + "st" + "ST" + "dddddddd" + "k" + "." + "...",               // Tennessee
	23: "." + "st" + "ST" + "dddddddd" + "k" + "." + "...",               // Minnesota
	24: ".." + "." + "st" + "ST" + ".",                                   // Maryland
	25: ".." + "." + "st" + "ST" + "k" + ".",                             // Indiana
	26: ".." + "." + "st" + "ST" + "k" + ".",                             // Kentucky
	27: ".." + "." + "st" + "ST" + "k" + ".",                             // Rhode Island
}

// usNational2 is version 2 of the national core: four kinds of sensitive data
// and one age of children more.
const usNational2 layout = "." + "sht" + ".." + "SHT" + "dddddddddddddddd" + "kkk" + "." + "..."

const (
	// From Maryland on the first six bits are the version of the MSPA, the
	// agreement behind the platform, and no version of the encoding.
	sectionMaryland = 24
	// From Indiana on a second segment lists sensitive data, and none is GPC.
	sectionIndiana = 25

	sensitiveSegment layout = "dddddddd"
)

// parse reads the US section id. The error is a fault.
func (u *usSignals) parse(id int, s []byte) error {
	core, rest, more := cut(s, '.')
	var v usSection
	f := v.core(id, core)
	for more {
		var segment []byte
		segment, rest, more = cut(rest, '.')
		sf := errSegment
		switch {
		case id < sectionIndiana:
			sf = v.gpcSegment(segment)
		case !v.second:
			v.second = true
			r := bitReader{s: segment}
			v.fields(&r, sensitiveSegment)
			sf = r.end()
		}
		if f == 0 {
			f = sf
		}
	}
	if v.gpc {
		u.gpc |= 1 << id
	}
	if f == 0 {
		u.add(&v, 1<<id)
	}
	return f.err()
}

func (u *usSignals) add(v *usSection, section sectionSet) {
	for i, set := range [...]*sectionSet{&u.sale, &u.sharing, &u.targeted} {
		if v.optOuts[i] == 1 {
			*set |= section
		}
		if v.optOuts[i] == 2 && v.notices[i] != 1 {
			u.unoffered |= section
		}
	}
	if v.sensitive {
		u.sensitive |= section
	}
	if v.child {
		u.child |= section
	}
}

// A usSection is one section while it is read.
type usSection struct {
	notices, optOuts [3]uint64 // sale, sharing, targeted advertising
	sensitive, child bool
	gpc, second      bool
}

func (v *usSection) core(id int, s []byte) fault {
	if len(s) == 0 {
		return errEmpty
	}
	r := bitReader{s: s}
	version, fields := r.bits(6), usLayouts[id]
	switch {
	case id >= sectionMaryland:
		// The published text of these sections begins them with their own
		// number, a version, and a list of segments whose first is 0, which
		// Fibonacci code cannot write. The IAB's libraries leave that out; what
		// has it is not understood, and no version of the MSPA is near 24.
		if version >= sectionMaryland {
			return errVersion
		}
	case version == 1:
	case version == 2 && id == sectionUSNational:
		fields = usNational2
	default:
		r.fail(errVersion)
	}
	start := r
	v.fields(&r, fields)
	f := r.end()
	if f == errPadding && id == sectionUSNational && version == 1 {
		// The IAB's library for JavaScript, from 3.1.3 until 3.2, wrote version 2
		// under the number 1 (iabgpp-es, issues 75, 81 and 90). Its field
		// MspaCoveredTransaction, never 0, then stands where version 1 has long
		// ended, so neither can be taken for the other.
		r, *v = start, usSection{}
		v.fields(&r, usNational2)
		f = r.end()
	}
	return f
}

// fields reads two bits for each field of the layout.
func (v *usSection) fields(r *bitReader, fields layout) {
	for i := range len(fields) {
		value := r.bits(2)
		if value == 3 {
			r.fail(errValue)
		}
		switch fields[i] {
		case 's':
			v.notices[0] = value
		case 'h':
			v.notices[1] = value
		case 't':
			v.notices[2] = value
		case 'S':
			v.optOuts[0] = value
		case 'H':
			v.optOuts[1] = value
		case 'T':
			v.optOuts[2] = value
		case 'd':
			v.sensitive = v.sensitive || value == 1
		case 'k':
			v.child = v.child || value != 0
		}
	}
}

// gpcSegment reads the one kind of segment that these sections have besides
// their core: type 1, and whether the browser sent GPC.
func (v *usSection) gpcSegment(s []byte) fault {
	if len(s) == 0 {
		return errEmpty
	}
	r := bitReader{s: s}
	kind, gpc := r.bits(2), r.bit()
	if kind != 1 {
		r.fail(errSegment)
	}
	f := r.end()
	if f == 0 && gpc {
		v.gpc = true
	}
	return f
}

package consent

import "math/bits"

// A tcf is what a TC string of the IAB's Transparency and Consent Framework
// says that we act on or record. The zero value grants nothing.
//
// Sources: IAB Tech Lab, "Transparency and Consent String with Global Vendor &
// CMP List Formats", version 2.3, "TC String Format" (Europe); IAB Canada, "TCF
// Technical Specification" 1.1 (section 5 of a GPP string).
type tcf struct {
	created, updated int64 // Unix seconds

	cmp, cmpVersion uint16 // who made the string
	screen          uint16
	vendorList      uint16 // version of the Global Vendor List
	policyVersion   uint16
	language        [2]byte // of the dialogue, ISO 639-1 in capitals

	// Bit i-1 speaks of purpose i, 1 to 24. In Canada consents are express
	// and interests are implied consent.
	consents, interests uint32
	features            uint16 // special features opted into; bit i-1 is feature i

	serviceSpecific     bool    // always, in a valid European string
	purposeOneTreatment bool    // purpose 1 was not shown at all
	publisherCC         [2]byte // country whose law it follows, ISO 3166-1 in capitals

	disclosed bool // there is a list of the vendors that were shown

	hasPublisher                          bool   // what follows was said about the site itself
	publisherConsents, publisherInterests uint32 // by purpose, as above
}

// interestPurposes are the purposes that may rest on legitimate interest at
// all. Purpose 1 never could; 3 to 6 no longer can since TCF 2.2, which wants
// their bits to be zero. A bit there means nothing, so it is not passed on.
const interestPurposes = (1<<24 - 1) &^ 0b111101

// disclosedDue is when a string without the list of disclosed vendors stopped
// being valid: TCF 2.3 allows it in strings made up to 28 February 2026, UTC.
const disclosedDue = 1772323200 // 2026-03-01T00:00:00Z

// parseTCF reads a European TC string into t: the core, and of the further
// segments the disclosed vendors and what was said to the publisher. Vendors
// are checked for form and not kept. If the string cannot be relied on, t is
// zero and the error is a fault.
func parseTCF(s []byte, t *tcf) error {
	f := t.read(s, false)
	if f == 0 {
		f = t.valid()
	}
	if f != 0 {
		*t = tcf{}
	}
	return f.err()
}

// parseTCFCanada reads the section of IAB Canada's framework, as parseTCF does.
// That framework has policies of its own, and no versions of them to refuse.
func parseTCFCanada(s []byte, t *tcf) error {
	f := t.read(s, true)
	if f != 0 {
		*t = tcf{}
	}
	return f.err()
}

// read reads the core and the segments after it. These "may appear in any
// order", each has its type, and none comes twice.
func (t *tcf) read(s []byte, canada bool) fault {
	*t = tcf{}
	if len(s) > maxSignal {
		return errLong
	}
	part, rest, more := cut(s, '.')
	if len(part) == 0 {
		return errEmpty
	}
	r := bitReader{s: part}
	if canada {
		t.coreCanada(&r)
	} else {
		t.core(&r)
	}
	if f := r.end(); f != 0 {
		return f
	}
	for seen := uint(1); more; { // type 0 is the core
		part, rest, more = cut(rest, '.')
		if len(part) == 0 {
			return errEmpty
		}
		r := bitReader{s: part}
		kind := r.bits(3)
		if r.fault == 0 && seen&(1<<kind) != 0 {
			return errSegment
		}
		seen |= 1 << kind
		t.segment(kind, &r, canada)
		if f := r.end(); f != 0 {
			return f
		}
	}
	return 0
}

// valid applies what the framework demands of a string that is well formed.
func (t *tcf) valid() fault {
	switch {
	case t.policyVersion < 4:
		// "Post 30 September 2023 a TC String created with a policy version set
		// to smaller than 4 will be deemed invalid" (Managing conflicting
		// string versions).
		return errPolicyVersion
	case !t.serviceSpecific:
		// "When a Vendor encounters a TC String with IsServiceSpecific=0 then
		// it is considered invalid."
		return errScope
	case !t.disclosed && max(t.created, t.updated) >= disclosedDue:
		// Both times are to be the day of the last change. Where they differ
		// the later one counts: whoever made that change had to add the list.
		return errDisclosed
	}
	return 0
}

// head reads what both frameworks begin with, up to the policy version.
func (t *tcf) head(r *bitReader, version uint64) {
	if r.bits(6) != version {
		r.fail(errVersion)
	}
	t.created = int64(r.bits(36) / 10)
	t.updated = int64(r.bits(36) / 10)
	t.cmp = uint16(r.bits(12))
	t.cmpVersion = uint16(r.bits(12))
	t.screen = uint16(r.bits(6))
	t.language = r.letters()
	t.vendorList = uint16(r.bits(12))
	t.policyVersion = uint16(r.bits(6))
}

func (t *tcf) core(r *bitReader) {
	t.head(r, 2)
	t.serviceSpecific = r.bit()
	r.bit() // texts that are not the standard ones
	t.features = uint16(flags(r, 12))
	t.consents = flags(r, 24)
	t.interests = flags(r, 24) & interestPurposes
	t.purposeOneTreatment = r.bit()
	t.publisherCC = r.letters()
	vendors(r) // with consent
	vendors(r) // with legitimate interest
	// Publisher restrictions: for each a purpose (6), a type (2) and vendors.
	for n := r.bits(12); n > 0 && r.fault == 0; n-- {
		r.bits(8)
		ranges(r, 1<<16-1)
	}
}

func (t *tcf) segment(kind uint64, r *bitReader, canada bool) {
	switch {
	case kind == 1 && canada:
		t.disclosed = true
		vendorsCanada(r)
	case kind == 1:
		t.disclosed = true
		vendors(r)
	case kind == 2 && !canada: // allowed vendors: without meaning since global scope ended
		vendors(r)
	case kind == 3:
		t.publisher(r)
		if !canada {
			t.publisherInterests &= interestPurposes
		}
	default:
		r.fail(errSegment)
	}
}

// publisher reads what was said about the site's own use; its custom purposes
// are the site's to know.
func (t *tcf) publisher(r *bitReader) {
	t.hasPublisher = true
	t.publisherConsents = flags(r, 24)
	t.publisherInterests = flags(r, 24)
	custom := uint(r.bits(6))
	r.skip(2 * custom)
}

func (t *tcf) coreCanada(r *bitReader) {
	t.head(r, 1)
	r.bit() // stacks that are not the standard ones
	t.features = uint16(flags(r, 12))
	t.consents = flags(r, 24)
	t.interests = flags(r, 24)
	vendorsCanada(r)
}

// vendorsCanada passes over lists of vendors, which end their segment. Their
// form is not checked: encoders in use write three (the specification's, and
// two of the IAB's own library), and none changes what we act on.
func vendorsCanada(r *bitReader) {
	if r.fault == 0 && !isBase64(r.s) {
		r.fail(errBase64)
	}
	if r.fault == 0 {
		r.s, r.n = nil, 0
	}
}

// flags reads n bits, of which the first becomes the lowest.
func flags(r *bitReader, n uint) uint32 {
	return bits.Reverse32(uint32(r.bits(n))) >> (32 - n)
}

// vendors passes over a list of vendors, as bits or as ranges.
func vendors(r *bitReader) {
	last := uint(r.bits(16))
	if r.bit() {
		ranges(r, last)
	} else {
		r.skip(last)
	}
}

// ranges passes over ranges of vendors in ascending order, last the greatest.
func ranges(r *bitReader, last uint) {
	before := uint(0)
	for n := r.bits(12); n > 0; n-- {
		isRange := r.bit()
		start := uint(r.bits(16))
		end := start
		if isRange {
			end = uint(r.bits(16))
		}
		if r.fault != 0 {
			return
		}
		if start <= before || end < start || end > last {
			r.fail(errRange)
			return
		}
		before = end
	}
}

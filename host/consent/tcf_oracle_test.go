package consent

import "strings"

// oracleTCF reads a TC string as the specification tells it, slowly: a row of
// bits, lists of vendors written out. It panics with refuse for a string that
// is not valid.
func oracleTCF(s string, canada bool) (t tcf) {
	demand(len(s) <= 16384)
	segments := strings.Split(s, ".")
	if canada {
		oracleCoreCanada(rowOf(segments[0]), &t)
	} else {
		oracleCore(rowOf(segments[0]), &t)
	}
	seen := map[uint64]bool{}
	for _, segment := range segments[1:] {
		b := rowOf(segment)
		kind := b.number(3)
		demand(!seen[kind])
		seen[kind] = true
		switch kind {
		case 1, 2:
			demand(kind == 1 || !canada)
			t.disclosed = seen[1]
			if !canada {
				oracleVendors(&b)
				b.end()
			}
		case 3:
			t.hasPublisher = true
			t.publisherConsents = b.flags(24)
			t.publisherInterests = b.flags(24)
			n := int(b.number(6))
			b.take(n)
			b.take(n)
			b.end()
		default:
			demand(false)
		}
	}
	if canada {
		return t
	}
	const march2026 = 20513 * 86400
	demand(t.policyVersion >= 4)
	demand(t.serviceSpecific)
	demand(seen[1] || t.created < march2026 && t.updated < march2026)
	for _, purpose := range []int{1, 3, 4, 5, 6} { // by consent only
		t.interests &^= 1 << (purpose - 1)
		t.publisherInterests &^= 1 << (purpose - 1)
	}
	return t
}

func oracleHead(b *bitText, t *tcf) {
	t.created = int64(b.number(36)) / 10
	t.updated = int64(b.number(36)) / 10
	t.cmp = uint16(b.number(12))
	t.cmpVersion = uint16(b.number(12))
	t.screen = uint16(b.number(6))
	t.language = b.letters()
	t.vendorList = uint16(b.number(12))
	t.policyVersion = uint16(b.number(6))
}

func oracleCore(b bitText, t *tcf) {
	demand(b.number(6) == 2)
	oracleHead(&b, t)
	t.serviceSpecific = b.take(1) == "1"
	b.take(1)
	t.features = uint16(b.flags(12))
	t.consents = b.flags(24)
	t.interests = b.flags(24)
	t.purposeOneTreatment = b.take(1) == "1"
	t.publisherCC = b.letters()
	oracleVendors(&b)
	oracleVendors(&b)
	for range b.number(12) {
		b.number(6)
		b.number(2)
		oracleRanges(&b, 65535)
	}
	b.end()
}

func oracleCoreCanada(b bitText, t *tcf) {
	demand(b.number(6) == 1)
	oracleHead(&b, t)
	b.take(1)
	t.features = uint16(b.flags(12))
	t.consents = b.flags(24)
	t.interests = b.flags(24)
}

// oracleVendors returns the vendors of a list.
func oracleVendors(b *bitText) map[uint64]bool {
	last := b.number(16)
	if b.take(1) == "1" {
		return oracleRanges(b, last)
	}
	vendors := map[uint64]bool{}
	for id := uint64(1); id <= last; id++ {
		if b.take(1) == "1" {
			vendors[id] = true
		}
	}
	return vendors
}

func oracleRanges(b *bitText, last uint64) map[uint64]bool {
	vendors := map[uint64]bool{}
	top := uint64(0)
	for range b.number(12) {
		group := b.take(1) == "1"
		start := b.number(16)
		end := start
		if group {
			end = b.number(16)
		}
		demand(0 < start && start <= end && end <= last && start > top)
		top = end
		vendors[start], vendors[end] = true, true
	}
	return vendors
}

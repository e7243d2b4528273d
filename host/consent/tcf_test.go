package consent

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// A tcfText is a European TC string to be written.
type tcfText struct {
	tcf
	version            uint64
	vendors, interests []vendorRange
	asRanges           bool
	restrictions       [][]vendorRange
	order              string // segments after the core: 1, 2, 3
	custom             int    // custom purposes of the publisher
	unit               int    // filled up to this many bits
}

type vendorRange struct{ start, end int }

// someTCF is valid, says something in each field, and has no further segments.
func someTCF() tcfText {
	day := time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC).Unix()
	return tcfText{
		tcf: tcf{
			created: day, updated: day, cmp: 880, cmpVersion: 7, screen: 2, vendorList: 174,
			policyVersion: 4, language: [2]byte{'E', 'N'}, consents: 0b11111111111, interests: 0b11111000010,
			features: 1, serviceSpecific: true, publisherCC: [2]byte{'A', 'T'},
		},
		version: 2,
		vendors: []vendorRange{{1, 4}, {7, 7}, {9, 30}},
		unit:    24,
	}
}

func (c *tcfText) String() string {
	var b bitText
	b.write(c.version, 6)
	b.write(uint64(c.created*10), 36)
	b.write(uint64(c.updated*10), 36)
	b.write(uint64(c.cmp), 12)
	b.write(uint64(c.cmpVersion), 12)
	b.write(uint64(c.screen), 6)
	b.writeLetters(string(c.language[:]))
	b.write(uint64(c.vendorList), 12)
	b.write(uint64(c.policyVersion), 6)
	b.writeFlag(c.serviceSpecific)
	b.writeFlag(true)
	b.writeFlags(uint32(c.features), 12)
	b.writeFlags(c.consents, 24)
	b.writeFlags(c.tcf.interests, 24)
	b.writeFlag(c.purposeOneTreatment)
	b.writeLetters(string(c.publisherCC[:]))
	b.writeVendors(c.vendors, c.asRanges)
	b.writeVendors(c.interests, c.asRanges)
	b.write(uint64(len(c.restrictions)), 12)
	for i, r := range c.restrictions {
		b.write(uint64(2+i%9), 6)
		b.write(uint64(i%3), 2)
		b.writeRanges(r)
	}
	out := b.text(c.unit)
	for _, kind := range c.order {
		var b bitText
		b.write(uint64(kind-'0'), 3)
		if kind == '3' {
			b.writeFlags(c.publisherConsents, 24)
			b.writeFlags(c.publisherInterests, 24)
			b.write(uint64(c.custom), 6)
			for range c.custom {
				b += "10"
			}
		} else {
			b.writeVendors(c.vendors, c.asRanges)
		}
		out += "." + b.text(c.unit)
	}
	return out
}

func (b *bitText) writeVendors(list []vendorRange, asRanges bool) {
	last := 0
	for _, v := range list {
		last = max(last, v.end)
	}
	b.write(uint64(last), 16)
	b.writeFlag(asRanges)
	if asRanges {
		b.writeRanges(list)
		return
	}
	row := []byte(strings.Repeat("0", last))
	for _, v := range list {
		for id := v.start; id <= v.end; id++ {
			row[id-1] = '1'
		}
	}
	*b += bitText(row)
}

func (b *bitText) writeRanges(list []vendorRange) {
	b.write(uint64(len(list)), 12)
	for _, v := range list {
		b.writeFlag(v.end > v.start)
		b.write(uint64(v.start), 16)
		if v.end > v.start {
			b.write(uint64(v.end), 16)
		}
	}
}

func someRanges(rng *rand.Rand, n int) (list []vendorRange) {
	id := 0
	for range rng.IntN(n + 1) {
		v := vendorRange{start: id + 1 + rng.IntN(9)}
		v.end = v.start + rng.IntN(9)*rng.IntN(2)
		id = v.end
		list = append(list, v)
	}
	return list
}

// randomTCF is a valid string and what is to be read from it.
func randomTCF(rng *rand.Rand) (text tcfText, want tcf) {
	text = someTCF()
	text.created = rng.Int64N(4e9)
	text.updated = rng.Int64N(4e9)
	text.cmp = uint16(rng.IntN(1 << 12))
	text.cmpVersion = uint16(rng.IntN(1 << 12))
	text.screen = uint16(rng.IntN(1 << 6))
	text.vendorList = uint16(rng.IntN(1 << 12))
	text.policyVersion = uint16(4 + rng.IntN(60))
	text.language = [2]byte{byte('A' + rng.IntN(26)), byte('A' + rng.IntN(26))}
	text.publisherCC = [2]byte{byte('A' + rng.IntN(26)), byte('A' + rng.IntN(26))}
	text.consents = uint32(rng.IntN(1 << 24))
	text.tcf.interests = uint32(rng.IntN(1 << 24))
	text.features = uint16(rng.IntN(1 << 12))
	text.purposeOneTreatment = rng.IntN(2) == 0
	text.vendors = someRanges(rng, 60)
	text.interests = someRanges(rng, 60)
	text.asRanges = rng.IntN(2) == 0
	for range rng.IntN(4) {
		text.restrictions = append(text.restrictions, someRanges(rng, 5))
	}
	text.order = [...]string{"1", "13", "31", "123", "321", "12"}[rng.IntN(6)]
	text.disclosed = true
	if max(text.created, text.updated) < disclosedDue && rng.IntN(2) == 0 {
		text.order = strings.ReplaceAll(text.order, "1", "")
		text.disclosed = false
	}
	if strings.Contains(text.order, "3") {
		text.hasPublisher = true
		text.publisherConsents = uint32(rng.IntN(1 << 24))
		text.publisherInterests = uint32(rng.IntN(1 << 24))
		text.custom = rng.IntN(64)
	}
	text.unit = [...]int{1, 8, 24}[rng.IntN(3)]
	want = text.tcf
	want.interests &= interestPurposes
	want.publisherInterests &= interestPurposes
	return text, want
}

func TestTCFRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		text, want := randomTCF(rng)
		s := text.String()
		var got tcf
		if err := parseTCF([]byte(s), &got); err != nil || got != want {
			t.Fatalf("%s\nread  %+v, %v\nwrote %+v", s, got, err, want)
		}
	}
}

func TestTCFFaults(t *testing.T) {
	// TCF 2.3: "TC strings created after February 28, 2026" need the list.
	due := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Unix()
	for _, c := range []struct {
		name   string
		change func(*tcfText)
		want   fault
	}{
		{"as it is", func(c *tcfText) {}, 0},
		{"encoding version 1", func(c *tcfText) { c.version = 1 }, errVersion},
		{"encoding version 3", func(c *tcfText) { c.version = 3 }, errVersion},
		{"policy version 2", func(c *tcfText) { c.policyVersion = 2 }, errPolicyVersion},
		{"policy version 3", func(c *tcfText) { c.policyVersion = 3 }, errPolicyVersion},
		{"policy version 5", func(c *tcfText) { c.policyVersion = 5 }, 0},
		{"global", func(c *tcfText) { c.serviceSpecific = false }, errScope},
		{"made on the last day without vendors", func(c *tcfText) {
			c.created, c.updated = due-1, due-1
		}, 0},
		{"made a second later", func(c *tcfText) { c.created, c.updated = due, due }, errDisclosed},
		{"made before, changed after", func(c *tcfText) { c.updated = due }, errDisclosed},
		{"changed before it was made, after the day", func(c *tcfText) { c.created = due }, errDisclosed},
		{"made after, with vendors", func(c *tcfText) {
			c.created, c.updated, c.order = due, due, "1"
		}, 0},
		{"made after, with allowed vendors only", func(c *tcfText) {
			c.created, c.updated, c.order = due, due, "2"
		}, errDisclosed},
		{"vendors last", func(c *tcfText) { c.order = "31" }, 0},
		{"vendors twice", func(c *tcfText) { c.order = "11" }, errSegment},
		{"publisher twice", func(c *tcfText) { c.order = "313" }, errSegment},
		{"a core as a segment", func(c *tcfText) { c.order = "0" }, errSegment},
		{"segment of type 4", func(c *tcfText) { c.order = "4" }, errSegment},
		{"segment of type 7", func(c *tcfText) { c.order = "17" }, errSegment},
		{"no letter in the language", func(c *tcfText) { c.language = [2]byte{'E', 'A' + 26} }, errValue},
		{"no letter in the country", func(c *tcfText) { c.publisherCC = [2]byte{'a', 'T'} }, errValue},
		{"ranges", func(c *tcfText) { c.asRanges = true }, 0},
		{"the last vendor there is", func(c *tcfText) {
			c.asRanges, c.vendors = true, []vendorRange{{1, 2}, {65535, 65535}}
		}, 0},
		{"vendor 0", func(c *tcfText) { c.asRanges, c.vendors = true, []vendorRange{{0, 2}} }, errRange},
		{"ranges descend", func(c *tcfText) { c.asRanges, c.vendors = true, []vendorRange{{8, 9}, {1, 2}} }, errRange},
		{"ranges touch", func(c *tcfText) { c.asRanges, c.vendors = true, []vendorRange{{1, 5}, {6, 9}} }, 0},
		{"ranges overlap", func(c *tcfText) { c.asRanges, c.vendors = true, []vendorRange{{1, 5}, {5, 9}} }, errRange},
		{"restriction overlaps", func(c *tcfText) { c.restrictions = [][]vendorRange{{{1, 5}}, {{3, 3}, {3, 4}}} }, errRange},
		{"restrictions", func(c *tcfText) { c.restrictions = [][]vendorRange{{{1, 5}}, {}, {{3, 3}, {4, 65535}}} }, 0},
	} {
		text := someTCF()
		c.change(&text)
		s := text.String()
		var got tcf
		err := parseTCF([]byte(s), &got)
		if c.want != 0 && (!errors.Is(err, c.want) || got != tcf{}) || c.want == 0 && err != nil {
			t.Errorf("%s: %v, want %v; read %+v\n%s", c.name, err, c.want, got, s)
		}
	}
}

// TestTCFRangeEnds: ends that the writer above cannot write.
func TestTCFRangeEnds(t *testing.T) {
	for _, c := range []struct {
		name             string
		last, start, end uint64
		want             fault
	}{
		{"as the list says", 9, 3, 9, 0},
		{"one vendor as a range", 9, 3, 3, 0},
		{"end before start", 9, 3, 2, errRange},
		{"beyond the last vendor", 9, 3, 10, errRange},
		{"all beyond", 9, 10, 11, errRange},
	} {
		var b bitText
		b.write(c.last, 16)
		b += "1"
		b.write(1, 12)
		b += "1"
		b.write(c.start, 16)
		b.write(c.end, 16)
		r := bitReader{s: []byte(b.text(24))}
		vendors(&r)
		if f := r.end(); f != c.want {
			t.Errorf("%s: %v, want %v", c.name, f, c.want)
		}
	}
}

// TestTCFPublished reads strings that others made and published. Most are
// older than policy version 4, which is found out last: the fault says that
// all of the string was read.
func TestTCFPublished(t *testing.T) {
	day := func(y int, m time.Month, d int) int64 { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() }
	for _, c := range []struct {
		name, text string
		want       tcf
		err        error
	}{
		{"GPP text, string example 1", "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", tcf{}, errPolicyVersion},
		{"TCF text, URL of a service",
			"COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw",
			tcf{}, errPolicyVersion},
		{"TCF 1.1", "BOPnWgIOPnWgIAAABAENAI4AAAAA0ABA", tcf{}, errVersion},
		{"TCF text, four segments, made up", "BObdrPUOevsguAfDqFENCNAAAAAmeAAA.PVAfDObdrA.DqFENCAmeAENCDA.OevsguAfDq", tcf{}, errVersion},
		{"iabgpp-es, decode defaults", "CAAAAAAAAAAAAAAAAAENAACAAAAAAAAAAAAAAAAAAAAA.QAAA.IAAA", tcf{}, errPolicyVersion},
		{"iabgpp-es, decode",
			"CPcqBNJPcqBNJNwAAAENAwCAAAAAAAAAAAAAAAAAAAAA.YAAAAAAAAAA.QGLtV_T9fb2vj-_Z99_tkeYwf95y3p-wzhheMs-8NyZeH_B4Wv2MyvBX4JiQKGRgksjLBAQdtHGlcTQgBwIlViTLMYk2MjzNKJrJEilsbO2dYGD9Pn8HT3ZCY70-vv__7v3ff_3g.IGLtV_T9fb2vj-_Z99_tkeYwf95y3p-wzhheMs-8NyZeH_B4Wv2MyvBX4JiQKGRgksjLBAQdtHGlcTQgBwIlViTLMYk2MjzNKJrJEilsbO2dYGD9Pn8HT3ZCY70-vv__7v3ff_3g",
			tcf{}, errPolicyVersion},
		{"iabgpp-es, decode 3",
			"CPgA5EAPgA5EAAOACBENCuCoAP_AAEfAACiQI0Nd_H__bX9n-f7_6Pt0cY1f9_r3ruQzDhfFk-8F3L_W3LwX32E7NF36pq4KmR4ku1LBIQFtHMnUDUmxaokVrzHsak2cpyNKI7BkknsZe2dYGF9Pm5lD-QKZ7_5_d3f52T_9_9v-39z339V3v3d93-_12PjdV599H_v9fR_b8_Kf9_5-_4v8___4IQAAAAQQ_AJMNW4gC7EscCbQMIoAQIwrCQqAUAEFAMLRAYAODgpmVgEusIEACAUARgRAhxBRgQCAAACAJCIAJAiwQAIAiAQAAgARAIQAEDAIKACwMAgABANAxACgAECQgyICIpTAgIgSCAlsqEEoKpDTCAKssAKARGwUACIAABSAAICwcAwRICViwQJMUbwAw0AGAAIJHCIAMAAQSOFQAYAAgkcA",
			tcf{}, errPolicyVersion},
		{"iabgpp-es, decode 4: a publisher segment twice as long as its fields",
			"COv_eg6Ov_eg6AOADBENAaCgAP_AAH_AACiQAVEUQQoAIQAqIoghAAQgAA.YAAAAAAAAAAAAAAAAAA", tcf{}, errPolicyVersion},
		{"written with @iabgpp/cmpapi 3.2.0", "CQTDIIAQTDIIANwAAAENAAFgALAgAAAAAAAAAAAAAAAA.IAAA.YAAAAAAAAAAA", tcf{
			created: day(2025, 6, 15), updated: day(2025, 6, 15), cmp: 880, language: [2]byte{'E', 'N'}, policyVersion: 5,
			consents: 0b10000001101, serviceSpecific: true, publisherCC: [2]byte{'A', 'A'}, disclosed: true, hasPublisher: true,
		}, nil},
	} {
		var got tcf
		err := parseTCF([]byte(c.text), &got)
		if !errors.Is(err, c.err) || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, got, err, c.want, c.err)
		}
	}
}

// TestTCFMutations: whatever is done to a string, it says no more than the bits
// that are left say, which is what the oracle reads; or it says nothing.
func TestTCFMutations(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var texts []string
	for range 8 {
		text, _ := randomTCF(rng)
		text.vendors = text.vendors[:min(4, len(text.vendors))]
		texts = append(texts, text.String())
	}
	tried, valid := 0, 0
	check := func(s string) {
		tried++
		if sameTCF(t, s, false) {
			valid++
		}
	}
	for _, s := range texts {
		mutations(s, texts[rng.IntN(len(texts))], rng, check)
	}
	if t.Logf("%d strings, %d of them valid", tried, valid); valid < tried/20 || valid > tried*19/20 {
		t.Error("too few on one side to tell anything")
	}
}

// mutations calls check with s cut everywhere, each character exchanged, bits
// turned, pieces doubled, removed, and taken from another string.
func mutations(s, other string, rng *rand.Rand, check func(string)) {
	for i := range len(s) {
		check(s[:i])
		check(s[i:])
		check(s[:i] + s[i+1:])
		check(s[:i] + s[i:i+1] + s[i:])
		check(s[:i] + "." + s[i:])
		check(s[:i] + "~" + s[i:])
		check(s[:i] + string(byte(rng.IntN(256))) + s[i+1:])
		for range 4 {
			check(s[:i] + base64url[rng.IntN(64):][:1] + s[i+1:])
		}
		if c := strings.IndexByte(base64url, s[i]); c >= 0 {
			for bit := range 6 {
				check(s[:i] + base64url[c^1<<bit:][:1] + s[i+1:])
			}
		}
		j := rng.IntN(len(other))
		check(s[:i] + other[j:])
	}
}

// sameTCF checks a string against the oracle and reports whether it is valid.
func sameTCF(t *testing.T, s string, canada bool) bool {
	t.Helper()
	want, ok := oracle(func() tcf { return oracleTCF(s, canada) })
	got := tcf{created: 1, consents: 1<<24 - 1} // as if used before
	parse := parseTCF
	if canada {
		parse = parseTCFCanada
	}
	err := parse([]byte(s), &got)
	if (err == nil) != ok || got != want {
		t.Fatalf("%q\nread   %+v, %v\noracle %+v, %v", s, got, err, want, ok)
	}
	if _, isFault := err.(fault); err != nil && !isFault {
		t.Fatalf("%q: %v is no fault", s, err)
	}
	return ok
}

func TestTCFCanada(t *testing.T) {
	// iabgpp-es, TcfCaV1, "should encode to CPSG_8A...": its number of the
	// encoding was 2 then, and is 1 in the specification and since.
	const published = "PSG_8APSG_8AAyACAENGdCgf_gfgAfgfgBgABABAAABAB4AACAC.fHHHA4444ao"
	day := time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	want := tcf{
		created: day, updated: day, cmp: 50, cmpVersion: 2, language: [2]byte{'E', 'N'}, vendorList: 413, policyVersion: 2,
		features: 0b111111000000, consents: 0b111111000000111111, interests: 0b111111000000111111000000,
		hasPublisher: true, publisherConsents: 0b000111000111000111000111, publisherInterests: 0b111000111000111000111000,
	}
	var got tcf
	if err := parseTCFCanada([]byte("B"+published), &got); err != nil || got != want {
		t.Errorf("read %+v, %v\nwant %+v", got, err, want)
	}
	if err := parseTCFCanada([]byte("C"+published), &got); !errors.Is(err, errVersion) || got != (tcf{}) {
		t.Errorf("version 2: %v, %+v", err, got)
	}
	for segment, want := range map[string]fault{
		"IAA": 0, "QAAA": errSegment, "gAAA": errSegment, "fHHHA4444ao": errSegment, "": errEmpty, "IA=": errBase64,
	} {
		if err := parseTCFCanada([]byte("B"+published+"."+segment), &got); want == 0 && err != nil || want != 0 && !errors.Is(err, want) {
			t.Errorf("with the segment %q: %v, want %v", segment, err, want)
		}
	}
	rng := rand.New(rand.NewPCG(7, 8))
	mutations("B"+published+".IAA", "B"+published, rng, func(s string) { sameTCF(t, s, true) })
}

func FuzzTCF(f *testing.F) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 20 {
		text, _ := randomTCF(rng)
		text.vendors = text.vendors[:min(4, len(text.vendors))]
		f.Add([]byte(text.String()))
	}
	f.Add([]byte("CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"))
	f.Add([]byte("BPSG_8APSG_8AAyACAENGdCgf_gfgAfgfgBgABABAAABAB4AACAC.fHHHA4444ao"))
	f.Fuzz(func(t *testing.T, s []byte) {
		sameTCF(t, string(s), false)
		sameTCF(t, string(s), true)
	})
}

// benchTCF is of the size that sites have: consent for some 250 vendors as
// bits, legitimate interest for some as ranges, 250 disclosed, a publisher.
func benchTCF() []byte {
	text := someTCF()
	text.order = "13"
	text.vendors = []vendorRange{{250, 250}}
	for id := 1; id < 250; id += 3 {
		text.vendors = append(text.vendors, vendorRange{id, id + id%2})
	}
	text.restrictions = [][]vendorRange{{{3, 9}, {12, 12}}, {{20, 21}, {40, 90}}}
	return []byte(text.String())
}

func BenchmarkTCF(b *testing.B) {
	s := benchTCF()
	var t tcf
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		if err := parseTCF(s, &t); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTCFLength(t *testing.T) {
	text := someTCF()
	s := text.String()
	for n, want := range map[int]fault{0: errEmpty, maxSignal: 0, maxSignal + 1: errLong, 10 * maxSignal: errLong} {
		var got tcf
		long := (s + strings.Repeat("A", 10*maxSignal))[:n]
		if f, _ := parseTCF([]byte(long), &got).(fault); f != want || (want == 0) != (got == text.tcf) {
			t.Errorf("%d bytes: %v, want %v; read %+v", n, f, want, got)
		}
	}
}

func TestTCFAllocations(t *testing.T) {
	s := benchTCF()
	var v tcf
	for _, s := range [][]byte{s, s[:len(s)/2], []byte("C"), nil} {
		if n := testing.AllocsPerRun(100, func() { _ = parseTCF(s, &v) }); n != 0 {
			t.Errorf("%.0f allocations for %.20q", n, s)
		}
	}
}

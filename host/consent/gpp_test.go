package consent

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestGPPVectors reads what the IAB's encoder wrote, for every section.
func TestGPPVectors(t *testing.T) {
	var all sectionSet
	for _, v := range readVectors(t) {
		want := v.want()
		all |= want.sections
		got := gpp{unknown: true, unreadable: 4} // as if used before
		if err := parseGPP([]byte(v.text), &got); err != nil || got != want {
			t.Errorf("%s\nread %+v, %v\nwant %+v", v.text, got, err, want)
		}
	}
	if all != knownSections {
		t.Errorf("the vectors have the sections %b, want %b", all, knownSections)
	}
}

// TestGPPPublished reads strings of the specification, of the IAB's tests and
// of reports about them.
func TestGPPPublished(t *testing.T) {
	type want struct {
		sections, unreadable    sectionSet
		sale, sharing, targeted sectionSet
		unoffered, sensitive    sectionSet
		child, gpc              sectionSet
		usPrivacy               string
		fault                   fault // of the first section that is unreadable
		err                     error
	}
	for _, c := range []struct {
		name, text string
		want       want
	}{
		// Consent String Specification, "GPP String Examples". The TC string in
		// them was made under policy version 2, and is none of Canada.
		{"example 1", "DBABM~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA",
			want{sections: 1 << 2, unreadable: 1 << 2, fault: errPolicyVersion}},
		{"example 2", "DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN",
			want{sections: 1<<2 | 1<<6, unreadable: 1 << 2, fault: errPolicyVersion, usPrivacy: "YNN"}},
		{"example 3", "DBABjw~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN",
			want{sections: 1<<5 | 1<<6, unreadable: 1 << 5, fault: errVersion, usPrivacy: "YNN"}},
		{"example 1, header in bytes", "DBABMA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA",
			want{sections: 1 << 2, unreadable: 1 << 2, fault: errPolicyVersion}},
		{"in a URL", "DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN",
			want{sections: 1<<2 | 1<<6, unreadable: 1 << 2, fault: errPolicyVersion, usPrivacy: "YNN"}},
		{"no section", "DBAA", want{}},

		// US national, version 2 under the number 1: iabgpp-es, issue 81, issue
		// 90, UsNat.test.ts. The comments are the fields that matter, in order.
		{"issue 81", "DBABLA~BVAoAAAAAABk.QA", // notices 1,1,0: opt-outs 2,2,0
			want{sections: 1 << 7}},
		{"issue 90", "DBABLA~BVQVAAAAAAGA.YA", // notices 1,1,1: opt-outs 1,1,1
			want{sections: 1 << 7, sale: 1 << 7, sharing: 1 << 7, targeted: 1 << 7, gpc: 1 << 7}},
		{"all fields set", "DBABLA~BVVVkkkkkpFY.YA",
			want{sections: 1 << 7, sale: 1 << 7, sharing: 1 << 7, targeted: 1 << 7, sensitive: 1 << 7, child: 1 << 7, gpc: 1 << 7}},
		{"default", "DBABLA~BAAAAAAAAABA.QA", want{sections: 1 << 7}},
		{"version 1, no opt-out", "DBABLA~BVQqAAAACg", // notices 1,1,1: opt-outs 2,2,2
			want{sections: 1 << 7}},

		// iabgpp-es and -java, UsMd: both write a core without a header.
		{"Maryland", "DBABEYA~BVVU.Y", want{sections: 1 << 24, sale: 1 << 24, targeted: 1 << 24, gpc: 1 << 24}},
		{"Maryland, bytes", "DBABEYA~BVVU.YA", want{sections: 1 << 24, sale: 1 << 24, targeted: 1 << 24, gpc: 1 << 24}},
		{"Maryland, default", "DBABEYA~BQAA.QA", want{sections: 1 << 24}},
		{"Indiana", "DBABUYA~BVVV.kkk",
			want{sections: 1 << 25, sale: 1 << 25, targeted: 1 << 25, sensitive: 1 << 25, child: 1 << 25}},
	} {
		var g gpp
		err := parseGPP([]byte(c.text), &g)
		got := want{
			sections: g.sections, unreadable: g.unreadable,
			sale: g.us.sale, sharing: g.us.sharing, targeted: g.us.targeted, unoffered: g.us.unoffered,
			sensitive: g.us.sensitive, child: g.us.child, gpc: g.us.gpc, err: err,
		}
		if g.usPrivacy != (usPrivacy{}) {
			got.usPrivacy = string([]byte{g.usPrivacy.notice, g.usPrivacy.saleOptOut, g.usPrivacy.lspa})
		}
		for id := range g.faults {
			if g.unreadable.has(id) != (g.faults[id] != 0) {
				t.Errorf("%s: section %d: fault %v, unreadable %b", c.name, id, g.faults[id], g.unreadable)
			}
			if got.fault == 0 {
				got.fault = g.faults[id]
			}
		}
		if got != c.want {
			t.Errorf("%s: %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

// A gppText is a GPP string to be written.
type gppText struct {
	ids      []int
	grouped  bool // neighbours in one item of the header
	sections []string
}

func (c *gppText) String() string {
	return strings.Join(append([]string{c.header().text(1)}, c.sections...), "~")
}

func (c *gppText) header() bitText {
	var items bitText
	n, last := 0, 0
	for i := 0; i < len(c.ids); n++ {
		j := i
		for c.grouped && j+1 < len(c.ids) && c.ids[j+1] == c.ids[j]+1 {
			j++
		}
		items.writeFlag(j > i)
		items.writeFibonacci(c.ids[i] - last)
		if j > i {
			items.writeFibonacci(c.ids[j] - c.ids[i])
		}
		last = c.ids[j]
		i = j + 1
	}
	var b bitText
	b.write(3, 6)
	b.write(1, 6)
	b.write(uint64(n), 12)
	return b + items
}

// randomUS writes section id with random values and adds them to u.
func (l oracleLayout) randomUS(rng *rand.Rand, id int, u *usSignals) string {
	version, number := 1, 1
	switch {
	case id == 7:
		version = 1 + rng.IntN(2)
		number = 1 + rng.IntN(version) // version 2 may say that it is 1
	case id >= 24:
		version, number = 0, rng.IntN(24)
	}
	var b bitText
	b.write(uint64(number), 6)
	values := usValues{}
	for _, f := range l[id][version] {
		for range f.n {
			v := rng.IntN(3)
			if f.name == "MspaCoveredTransaction" {
				v = 1 + rng.IntN(2)
			}
			values[f.name] = append(values[f.name], v)
			b.write(uint64(v), 2)
		}
	}
	unit := [...]int{1, 8, 24}[rng.IntN(3)]
	text := b.text(unit)
	if rng.IntN(2) == 0 {
		b = ""
		if id >= 25 {
			for range 8 {
				v := rng.IntN(3)
				values["SensitiveDataProcessing"] = append(values["SensitiveDataProcessing"], v)
				b.write(uint64(v), 2)
			}
		} else {
			gpc := rng.IntN(2)
			b.write(uint64(2+gpc), 3)
			u.gpc |= sectionSet(gpc) << id
		}
		text += "." + b.text(unit)
	}
	values.into(u, id)
	return text
}

// randomGPP is a string whose sections are all readable, and what to read.
func (l oracleLayout) randomGPP(rng *rand.Rand) (text gppText, want gpp) {
	text.grouped = rng.IntN(2) == 0
	for id := 1; id < 40; id++ {
		if rng.IntN(4) > 0 {
			continue
		}
		if id > 27 || slices.Contains([]int{1, 3, 4}, id) {
			want.unknown = true
			text.ids = append(text.ids, id)
			text.sections = append(text.sections, [...]string{"", "AA", "?.?"}[rng.IntN(3)])
			continue
		}
		section := ""
		switch id {
		case 2:
			var t tcfText
			t, want.eu = randomTCF(rng)
			section = t.String()
		case 5:
			const published = "BPSG_8APSG_8AAyACAENGdCgf_gfgAfgfgBgABABAAABAB4AACAC.fHHHA4444ao"
			want.canada = oracleTCF(published, true)
			section = published
		case 6:
			section = [...]string{"1YNN", "1---", "1-Y-"}[rng.IntN(3)]
			want.usPrivacy = usPrivacy{section[1], section[2], section[3]}
		default:
			section = l.randomUS(rng, id, &want.us)
		}
		want.sections |= 1 << id
		text.ids = append(text.ids, id)
		text.sections = append(text.sections, section)
	}
	return text, want
}

func TestGPPRoundTrip(t *testing.T) {
	l := learnLayouts(t)
	rng := rand.New(rand.NewPCG(11, 12))
	for range 3000 {
		text, want := l.randomGPP(rng)
		s := text.String()
		var got gpp
		if err := parseGPP([]byte(s), &got); err != nil || got != want {
			t.Fatalf("%s\nread  %+v, %v\nwrote %+v", s, got, err, want)
		}
	}
}

func TestGPPHeaderFaults(t *testing.T) {
	header := func(kind, version, items int, rest bitText) string {
		var b bitText
		b.write(uint64(kind), 6)
		b.write(uint64(version), 6)
		b.write(uint64(items), 12)
		return (b + rest).text(1)
	}
	many := func(n int) string {
		text := gppText{grouped: true}
		for id := range n {
			text.ids = append(text.ids, id+28)
			text.sections = append(text.sections, "")
		}
		return text.String()
	}
	for _, c := range []struct {
		name, text string
		want       fault
	}{
		{"empty", "", errEmpty},
		{"no header", "~1YNN", errEmpty},
		{"a TC string", "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", errHeader},
		{"another type", header(4, 1, 0, ""), errHeader},
		{"version 0", header(3, 0, 0, ""), errVersion},
		{"version 2", header(3, 2, 0, ""), errVersion},
		{"cut in its items", "DBA", errTruncated},
		{"cut in a number", header(3, 1, 1, "0001"), errTruncated},
		{"fewer items than it says", "DBACM~1YNN", errTruncated},
		{"more items than it says", header(3, 1, 0, "0011"), errPadding},
		{"padded", "DBAAAAAAAA", 0},
		{"base64 with =", "DBABM=~1YNN", errBase64},
		{"base64 with +", "DB+BM~1YNN", errBase64},
		{"a section missing", "DBACNYA~1YNN", errHeader},
		{"all sections missing", "DBABM", errHeader},
		{"a section too many", "DBABM~1YNN~1YNN", errHeader},
		{"a tilde at the end", "DBABM~1YNN~", errHeader},
		{"only a tilde", "DBAA~", errHeader},
		{"32 sections", many(32), 0},
		{"33 sections", many(33), errRange},
		{"a group of 60,000", header(3, 1, 1, func() (b bitText) {
			b = "1"
			b.writeFibonacci(2)
			b.writeFibonacci(60000)
			return b
		}()) + "~1YNN", errRange},
		{"a number without end", header(3, 1, 1, "0"+bitText(strings.Repeat("0", 90))) + "~1YNN", errRange},
		{"4,095 items", header(3, 1, 4095, bitText(strings.Repeat("011", 4095))), errRange},
		{"as long as may be", "DBAA" + strings.Repeat("A", maxSignal-4), 0},
		{"longer", "DBAA" + strings.Repeat("A", maxSignal-3), errLong},
	} {
		g := gpp{sections: 4, unknown: true}
		err := parseGPP([]byte(c.text), &g)
		f, _ := err.(fault)
		if f != c.want || c.want != 0 && g != (gpp{}) {
			t.Errorf("%s: %v, want %v; read %+v", c.name, err, c.want, g)
		}
	}
}

// usCore writes a core of the US, its values a digit each.
func usCore(version int, values string) string {
	var b bitText
	b.write(uint64(version), 6)
	for _, v := range values {
		b.write(uint64(v-'0'), 2)
	}
	return b.text(1)
}

// TestGPPSectionFaults: a section that cannot be read says nothing, with a
// reason, and the section beside it is as it was.
func TestGPPSectionFaults(t *testing.T) {
	const (
		california = "11" + "0" + "12" + "000000000" + "00" + "0" + "200" // sale opted out
		national1  = "0111" + "00" + "122" + "000000000000" + "00" + "0" + "200"
		maryland   = "20" + "1" + "11" + "12" + "0"
	)
	for _, c := range []struct {
		name string
		id   int
		text string
		want fault
		gpc  bool
	}{
		{"California", 8, usCore(1, california), 0, false},
		{"with GPC", 8, usCore(1, california) + ".YA", 0, true},
		{"with GPC off", 8, usCore(1, california) + ".QA", 0, false},
		{"GPC twice, off and on", 8, usCore(1, california) + ".QA.YA", 0, true},
		{"version 0", 8, usCore(0, california), errVersion, false},
		{"version 2", 8, usCore(2, california), errVersion, false},
		{"version 2, GPC", 8, usCore(2, california) + ".YA", errVersion, true},
		{"a value of 3", 8, usCore(1, strings.Replace(california, "2", "3", 1)), errValue, false},
		{"cut", 8, usCore(1, california[:17]), errTruncated, false},
		{"cut, GPC", 8, "BV.Y", errTruncated, true},
		{"empty", 8, "", errEmpty, false},
		{"empty, GPC", 8, ".YA", errEmpty, true},
		{"more fields", 8, usCore(1, california+"1"), errPadding, false},
		{"zeros after its fields", 8, usCore(1, california+"000"), 0, false},
		{"a segment of type 0", 8, usCore(1, california) + ".AA", errSegment, false},
		{"a segment of type 2", 8, usCore(1, california) + ".gA", errSegment, false},
		{"a segment of type 3", 8, usCore(1, california) + ".4A", errSegment, false},
		{"an empty segment", 8, usCore(1, california) + ".", errEmpty, false},
		{"GPC with something behind", 8, usCore(1, california) + ".YB", errPadding, false},
		{"a character of another alphabet", 8, usCore(1, california) + "=", errBase64, false},
		{"national 1", 7, usCore(1, national1), 0, false},
		{"national 3", 7, usCore(3, national1), errVersion, false},
		{"national, as planned for 2026", 7, "HB" + usCore(1, national1), errVersion, false},
		{"national 1 with 3 more fields, 2 fewer than 2 has", 7, usCore(1, national1+"001"), errTruncated, false},
		{"national 1 with 5 more fields, which makes it 2", 7, usCore(1, national1+"00001"), 0, false},
		{"national 2, cut to the length of 1", 7, usCore(2, national1), errTruncated, false},
		{"Maryland", 24, usCore(1, maryland) + ".Y", 0, true},
		{"Maryland, MSPA 0", 24, usCore(0, maryland), 0, false},
		{"Maryland, MSPA 5", 24, usCore(5, maryland), 0, false},
		{"Maryland with a section header", 24, usCore(24, "0010020") + "." + usCore(1, maryland) + ".Y", errVersion, true},
		{"Indiana, GPC is not its second segment", 25, usCore(1, "201111200") + ".Y", errTruncated, false},
		{"Indiana, a third segment", 25, usCore(1, "201111200") + ".AAA.AAA", errSegment, false},
	} {
		text := gppText{ids: []int{6, c.id}, sections: []string{"1YNN", c.text}}
		var g gpp
		if err := parseGPP([]byte(text.String()), &g); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if g.faults[c.id] != c.want || g.unreadable.has(c.id) != (c.want != 0) || g.sections != 1<<6|1<<c.id {
			t.Errorf("%s: %v, want %v; %+v", c.name, g.faults[c.id], c.want, g)
		}
		if g.us.gpc.has(c.id) != c.gpc {
			t.Errorf("%s: GPC %v, want %v", c.name, g.us.gpc.has(c.id), c.gpc)
		}
		said := g.us
		said.gpc = 0
		if c.want != 0 && said != (usSignals{}) {
			t.Errorf("%s: cannot be read, and says %+v", c.name, said)
		}
		if g.usPrivacy != (usPrivacy{'Y', 'N', 'N'}) {
			t.Errorf("%s: the section beside it: %v", c.name, g.usPrivacy)
		}
	}
}

// sameGPP checks a string against the oracle and reports whether it is valid,
// with all of its sections.
func (l oracleLayout) sameGPP(t *testing.T, s string) bool {
	t.Helper()
	want, ok := oracle(func() gpp { return l.oracleGPP(s) })
	got := gpp{unknown: true, us: usSignals{sale: 4}} // as if used before
	err := parseGPP([]byte(s), &got)
	read := got
	for id := range read.faults {
		read.faults[id] = min(read.faults[id], 1)
	}
	if (err == nil) != ok || read != want {
		t.Fatalf("%q\nread   %+v, %v\noracle %+v, %v", s, got, err, want, ok)
	}
	return ok && got.unreadable == 0
}

func TestGPPMutations(t *testing.T) {
	l := learnLayouts(t)
	rng := rand.New(rand.NewPCG(13, 14))
	var texts []string
	for _, v := range readVectors(t) {
		if len(v.text) < 60 {
			texts = append(texts, v.text)
		}
	}
	for len(texts) < 150 {
		if text, _ := l.randomGPP(rng); len(text.String()) < 150 {
			texts = append(texts, text.String())
		}
	}
	tried, valid := 0, 0
	for _, s := range texts {
		mutations(s, texts[rng.IntN(len(texts))], rng, func(s string) {
			tried++
			if l.sameGPP(t, s) {
				valid++
			}
		})
	}
	if t.Logf("%d strings, %d of them valid", tried, valid); valid < tried/20 || valid > tried*19/20 {
		t.Error("too few on one side to tell anything")
	}
}

func FuzzGPP(f *testing.F) {
	l := learnLayouts(f)
	for i, v := range readVectors(f) {
		if i%5 == 0 || len(v.sections) > 1 {
			f.Add([]byte(v.text))
		}
	}
	f.Add([]byte("DBABLA~BVAoAAAAAABk.QA"))
	f.Add([]byte("DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN"))
	f.Fuzz(func(t *testing.T, s []byte) { l.sameGPP(t, string(s)) })
}

// benchGPP is what a site in the US sends: the national section and one state.
func benchGPP() string {
	text := gppText{ids: []int{7, 8}, sections: []string{
		usCore(2, "1111"+"00"+"122"+"0000000000000000"+"000"+"0"+"122") + ".YA",
		usCore(1, "11"+"0"+"12"+"000000000"+"00"+"0"+"122") + ".YA",
	}}
	return text.String()
}

func BenchmarkGPP(b *testing.B) {
	tc := string(benchTCF())
	for _, c := range []struct{ name, text string }{
		{"us", benchGPP()},
		{"us+tcf", (&gppText{ids: []int{2, 7}, sections: []string{tc, usCore(2, "1111"+"00"+"122"+"0000000000000000"+"000"+"0"+"122") + ".YA"}}).String()},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := []byte(c.text)
			var g gpp
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				if err := parseGPP(s, &g); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestGPPAllocations(t *testing.T) {
	var g gpp
	texts := []string{benchGPP(), "DBAA~", "D", ""}
	for _, v := range readVectors(t) {
		texts = append(texts, v.text, v.text[:len(v.text)/2])
	}
	for _, s := range texts {
		s := []byte(s)
		if n := testing.AllocsPerRun(10, func() { _ = parseGPP(s, &g) }); n != 0 {
			t.Errorf("%.0f allocations for %.60q", n, s)
		}
	}
	if err := parseGPP([]byte(benchGPP()), &g); err != nil || g.unreadable != 0 || g.us.sale != 1<<7|1<<8 {
		t.Errorf("the benchmark reads %+v, %v", g, err)
	}
	if err := parseGPP([]byte("?"), &g); !errors.Is(err, errBase64) {
		t.Error(err)
	}
}

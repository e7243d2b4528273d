package consent

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// usNames are the sections of the US by number, from 7 (GPP, "Section
// Information").
var usNames = strings.Fields(`usnat usca usva usco usut usct usfl usmt usor ustx usde usia usne usnh usnj ustn
	usmn usmd usin usky usri`)

// sectionID returns the number of a section by its name in the client API.
func sectionID(name string) int {
	for i, us := range usNames {
		if us == name {
			return 7 + i
		}
	}
	return map[string]int{"tcfeuv2": 2, "tcfcav1": 5, "uspv1": 6}[name]
}

// A vectorField is a field of a section as the IAB's encoder has it: numbers
// (a list has several), or flags, text, a time.
type vectorField struct {
	name string
	raw  json.RawMessage
}

// numbers returns the values of a field of the US.
func (f vectorField) numbers() (list []int) {
	var v any
	if err := json.Unmarshal(f.raw, &v); err != nil {
		panic(err)
	}
	switch v := v.(type) {
	case float64:
		return []int{int(v)}
	case bool:
		return []int{map[bool]int{true: 1}[v]}
	case []any:
		for _, e := range v {
			list = append(list, int(e.(float64)))
		}
	}
	return list
}

func (f vectorField) String() (s string) {
	if err := json.Unmarshal(f.raw, &s); err != nil {
		panic(err)
	}
	return s
}

// A vectorSection is a section with its fields in the order of the encoding.
type vectorSection struct {
	id     int
	fields []vectorField
}

func (s vectorSection) field(name string) vectorField {
	for _, f := range s.fields {
		if f.name == name {
			return f
		}
	}
	return vectorField{name: name, raw: json.RawMessage("null")}
}

type vector struct {
	text     string
	sections []vectorSection
}

// readVectors reads testdata/vectors.txt.
func readVectors(t testing.TB) (list []vector) {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		text, sections, _ := strings.Cut(line, "\t")
		v := vector{text: text}
		for _, f := range orderedObject(t, []byte(sections)) {
			v.sections = append(v.sections, vectorSection{sectionID(f.name), orderedObject(t, f.raw)})
		}
		list = append(list, v)
	}
	return list
}

func orderedObject(t testing.TB, data []byte) (fields []vectorField) {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		f := vectorField{name: name.(string)}
		if err := d.Decode(&f.raw); err != nil {
			t.Fatal(err)
		}
		fields = append(fields, f)
	}
	return fields
}

// An oracleField is a field of a core after its version: so many values of two bits.
type oracleField struct {
	name string
	n    int
}

// An oracleLayout is what the oracle knows of a section: learned from the
// vectors, not from the table that is tested.
type oracleLayout [sectionUSLast + 1]map[int][]oracleField // by version; of the MSPA: 0

func learnLayouts(t testing.TB) (l oracleLayout) {
	for _, v := range readVectors(t) {
		for _, s := range v.sections {
			if s.id < 7 || s.id > sectionUSLast {
				continue
			}
			version := 0
			var fields []oracleField
			for _, f := range s.fields {
				switch {
				case f.name == "Version":
					version = f.numbers()[0]
				case f.name == "MspaVersion":
				case strings.HasPrefix(f.name, "Gpc"):
				case f.name == "SensitiveDataProcessing" && s.id >= 25: // a segment of its own
				default:
					fields = append(fields, oracleField{f.name, len(f.numbers())})
				}
			}
			if l[s.id] == nil {
				l[s.id] = map[int][]oracleField{}
			}
			l[s.id][version] = fields
		}
	}
	return l
}

// A usValues holds the values of a section of the US by name.
type usValues map[string][]int

func (v usValues) has(name string, value int) bool {
	for _, x := range v[name] {
		if x == value {
			return true
		}
	}
	return false
}

// into adds what the values say to the sets.
func (v usValues) into(u *usSignals, id int) {
	set := func(s *sectionSet, on bool) {
		if on {
			*s |= 1 << id
		}
	}
	set(&u.sale, v.has("SaleOptOut", 1))
	set(&u.sharing, v.has("SharingOptOut", 1))
	set(&u.targeted, v.has("TargetedAdvertisingOptOut", 1))
	for _, name := range []string{"SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut"} {
		set(&u.unoffered, v.has(name, 2) && !v.has(name+"Notice", 1))
	}
	set(&u.sensitive, v.has("SensitiveDataProcessing", 1))
	set(&u.child, v.has("KnownChildSensitiveDataConsents", 1) || v.has("KnownChildSensitiveDataConsents", 2))
}

// oracleGPP reads a GPP string as the specification tells it. Of faults it
// knows one.
func (l oracleLayout) oracleGPP(s string) (g gpp) {
	demand(len(s) <= 16384)
	parts := strings.Split(s, "~")
	ids := oracleHeader(parts[0])
	demand(len(ids) == len(parts)-1)
	for i, id := range ids {
		part, ok := parts[i+1], false
		switch {
		case id == 2:
			g.eu, ok = oracle(func() tcf { return oracleTCF(part, false) })
		case id == 5:
			g.canada, ok = oracle(func() tcf { return oracleTCF(part, true) })
		case id == 6:
			var err error
			g.usPrivacy, err = parseUSPrivacy([]byte(part)) // has a test of its own
			ok = err == nil
		case 7 <= id && id <= 27:
			ok = l.oracleUS(&g.us, id, part)
		default:
			g.unknown = true
			continue
		}
		g.sections |= 1 << id
		if !ok {
			g.unreadable |= 1 << id
			g.faults[id] = 1
		}
	}
	return g
}

func oracleHeader(s string) (ids []int) {
	b := rowOf(s)
	demand(b.number(6) == 3)
	demand(b.number(6) == 1)
	id := 0
	for range b.number(12) {
		group := b.take(1) == "1"
		id += b.fibonacci()
		last := id
		if group {
			last += b.fibonacci()
		}
		demand(last-id < 32)
		for ; id <= last; id++ {
			ids = append(ids, id)
		}
		id = last
		demand(len(ids) <= 32)
	}
	b.end()
	return ids
}

func (l oracleLayout) oracleUS(u *usSignals, id int, s string) bool {
	segments := strings.Split(s, ".")
	values, ok := oracle(func() usValues { return l.oracleCore(id, segments[0]) })
	for i, segment := range segments[1:] {
		if id >= 25 {
			sensitive, fine := oracle(func() []int {
				b := rowOf(segment)
				v := oracleValues(&b, 8)
				b.end()
				return v
			})
			ok = ok && fine && i == 0
			if ok {
				values["SensitiveDataProcessing"] = sensitive
			}
			continue
		}
		gpc, fine := oracle(func() bool {
			b := rowOf(segment)
			demand(b.take(2) == "01")
			gpc := b.take(1) == "1"
			b.end()
			return gpc
		})
		ok = ok && fine
		if gpc {
			u.gpc |= 1 << id
		}
	}
	if ok {
		values.into(u, id)
	}
	return ok
}

func (l oracleLayout) oracleCore(id int, s string) usValues {
	b := rowOf(s)
	version := int(b.number(6))
	if id >= 24 {
		demand(version < 24)
		version = 0
	}
	fields, known := l[id][version]
	demand(known)
	after := b
	values := oracleFields(&b, fields)
	if id == 7 && version == 1 && strings.Contains(string(b), "1") {
		b = after
		values = oracleFields(&b, l[7][2])
	}
	b.end()
	return values
}

func oracleFields(b *bitText, fields []oracleField) usValues {
	values := usValues{}
	for _, f := range fields {
		values[f.name] = oracleValues(b, f.n)
	}
	return values
}

func oracleValues(b *bitText, n int) (values []int) {
	for range n {
		v := int(b.number(2))
		demand(v != 3)
		values = append(values, v)
	}
	return values
}

// want returns what is to be read from the vector.
func (v vector) want() (g gpp) {
	for _, s := range v.sections {
		g.sections |= 1 << s.id
		switch s.id {
		case 2:
			g.eu = s.wantTCF("PolicyVersion", "SpecialFeatureOptins", "PurposeConsents", "PurposeLegitimateInterests",
				"PublisherConsents", "PublisherLegitimateInterests")
			g.eu.serviceSpecific = true
			g.eu.disclosed = true
			g.eu.purposeOneTreatment = string(s.field("PurposeOneTreatment").raw) == "true"
			g.eu.publisherCC = [2]byte([]byte(s.field("PublisherCountryCode").String()))
			g.eu.publisherInterests &^= 0b111101
		case 5:
			g.canada = s.wantTCF("TcfPolicyVersion", "SpecialFeatureExpressConsent", "PurposesExpressConsent",
				"PurposesImpliedConsent", "PubPurposesExpressConsent", "PubPurposesImpliedConsent")
			g.canada.disclosed = strings.Contains(v.text, ".I")
		case 6:
			g.usPrivacy = usPrivacy{s.field("Notice").String()[0], s.field("OptOutSale").String()[0], s.field("LspaCovered").String()[0]}
		default:
			values := usValues{}
			for _, f := range s.fields {
				values[f.name] = f.numbers()
			}
			values.into(&g.us, s.id)
			if values.has("Gpc", 1) {
				g.us.gpc |= 1 << s.id
			}
		}
	}
	return g
}

func (s vectorSection) wantTCF(policy, features, consents, interests, publisher, publisherInterests string) tcf {
	number := func(name string) uint16 { return uint16(s.field(name).numbers()[0]) }
	flags := func(name string) uint32 { b := bitText(s.field(name).String()); return b.flags(len(b)) }
	seconds := func(name string) int64 {
		at, err := time.Parse(time.RFC3339, s.field(name).String())
		if err != nil {
			panic(err)
		}
		return at.Unix()
	}
	return tcf{
		created: seconds("Created"), updated: seconds("LastUpdated"),
		cmp: number("CmpId"), cmpVersion: number("CmpVersion"), screen: number("ConsentScreen"),
		vendorList: number("VendorListVersion"), policyVersion: number(policy),
		language: [2]byte([]byte(s.field("ConsentLanguage").String())),
		features: uint16(flags(features)), consents: flags(consents), interests: flags(interests),
		hasPublisher: true, publisherConsents: flags(publisher), publisherInterests: flags(publisherInterests),
	}
}

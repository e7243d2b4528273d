package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestExchangeJSON(t *testing.T) {
	x := &Exchange{
		Time: time.Date(2026, 3, 1, 12, 30, 5, 7_000_000, time.FixedZone("", 3600)), Tenant: "stores", Route: "/**", Served: "origin", Status: 200,
		Decision: &Decision{Facts: "optin choice", Purposes: []PurposeDecision{
			{"localize", true, "choice", "choice"}, {"locate", false, "withdrawal", "choice"}, {"personalize", true, "choice", "choice"},
		}},
		Policies: []Policy{
			{Name: "nearby", Digest: [16]byte{1}, Outcome: "ran", Edits: 2, Reads: Reads{Given: []string{"geo.lat", "config.*"}, Withheld: []string{"profile.recent"}}},
			{Name: "greet", Digest: [16]byte{1}, Outcome: Ran},
			{Name: "mine\n\"\xff", Outcome: "failed fuel", Reads: Reads{Undeclared: []string{"inferred"}}},
			{Name: "other", Outcome: "missing"},
		},
		Edits: 2, Applied: 3, Pseudonym: [8]byte{0xab}, Sealed: true,
	}
	const want = `{"kind":"exchange","time":"2026-03-01T11:30:05.007Z","tenant":"stores","route":"/**","served":"origin","status":200,` +
		`"decision":{"facts":"optin choice","granted":["localize","personalize"],"by":{"localize":"choice/choice","locate":"withdrawal/choice","personalize":"choice/choice"}},` +
		`"policies":[{"policy":"nearby","digest":"01000000000000000000000000000000","edits":2,"given":["geo.lat","config.*"],"withheld":["profile.recent"]},{"policy":"greet"},` +
		`{"policy":"mine\u000a\"` + "\ufffd" + `","digest":"","outcome":"failed fuel","undeclared":["inferred"]},{"policy":"other","outcome":"missing"}],` +
		`"edits":2,"applied":3,"pseudonym":"ab00000000000000","sealed":true}`
	got := string(x.AppendJSON(nil))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not JSON")
	}
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { x.AppendJSON(buf) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestEncodedAsOthersWould compares with encoding/json and encoding/hex on strings and bytes of all kinds.
func TestEncodedAsOthersWould(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	alphabet := []string{"a", "b", "Z", " ", "~", "\"", "\\", "\n", "\x00", "\x1f", "\x7f", "\x80", "\xff", "\xc3", "é", "€", "😀", "/", "[", "]"}
	hardOnes := 0
	for i := range 200_000 {
		s := ""
		for range r.IntN(20) {
			k := r.IntN(len(alphabet))
			if i%2 == 0 {
				k = k % 5 // plain ones only, but for one perhaps
			}
			s += alphabet[k]
		}
		if i%4 == 0 && len(s) > 0 {
			at := r.IntN(len(s))
			s = s[:at] + string(rune(r.IntN(256))) + s[at:]
		}
		// With and without room behind it, at any place of a buffer whose bytes are anything.
		b := bytes.Repeat([]byte{byte(r.Uint32())}, 64)[:r.IntN(16)]
		if i%3 == 0 {
			b = append(make([]byte, 0, len(b)+len(s)), b...)
		}
		got := appendQuoted(b, s)[len(b):]
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != strings.ToValidUTF8(s, "") && !strings.ContainsRune(back, 0xfffd) {
			t.Fatalf("%q becomes %s: %v", s, got, err)
		}
		want := s
		if !utf8.ValidString(s) {
			want = string([]rune(s)) // each bad byte becomes U+FFFD
		}
		if back != want {
			t.Fatalf("%q becomes %q", s, back)
		}
		if len(got) > len(s)+2 {
			hardOnes++
		}
		raw := make([]byte, 4*r.IntN(9))
		for j := range raw {
			raw[j] = byte(r.Uint32())
		}
		if got, want := string(appendHex(nil, "", raw)), hex.EncodeToString(raw)+"\""; len(raw) > 0 && got != want {
			t.Fatalf("%x becomes %s", raw, got)
		}
		at := time.UnixMilli(r.Int64N(253402300800000))
		if got, want := string(appendTime(nil, at)), at.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Fatalf("%v becomes %s", want, got)
		}
	}
	if hardOnes < 1000 {
		t.Errorf("%d strings needed more than copying: the test shows little", hardOnes)
	}
}

package tck

import (
	"fmt"
	"slices"
	"strings"

	"bespoke/modules/abi"
)

// keyCases try every key there is, and some that there are not.
func keyCases(Config) []Case {
	var cases []Case
	for _, k := range []struct{ key, value string }{
		{"request.method", "GET"},
		{"request.path", "/a"},
		{"request.query.q", "x & y"},
		{"request.query.a.b*c", "dots"},
		{"request.header.accept", "text/html"},
		{"request.header.accept-language", "de, en;q=0.8"},
		{"request.header.content-type", "text/plain"},
		{"request.header.sec-gpc", "1"},
		{"time.hour", "17"},
		{"time.weekday", "monday"},
		{"time.date", "2024-02-29"},
		{"time.now", "2024-02-29T17:00:00+01:00"},
		{"page.#results > li", "one\ntwo"},
		{"page.h1@class", "big"},
		{"recommend.best-sellers", "id=a\ttitle=A\nid=b"},
		{"recommend.trending", "id=a"},
		{"recommend.deals?n=8", "id=c"},
		{"recommend.bought-together?item=7", "id=d"},
		{"recommend.similar?item=7&n=8", "id=e"},
		{"preference.name", "Jane"},
		{"preference.theme", "dark"},
		{"preference.hidden", "a\nb"},
		{"geo.continent", "EU"},
		{"geo.country", "DE"},
		{"geo.region", "DE-BE"},
		{"geo.timezone", "Europe/Berlin"},
		{"geo.city", "Berlin"},
		{"geo.lat", "52.5"},
		{"geo.lon", "13.4"},
		{"geo.fences", "harbour\nold town"},
		{"profile.recent", "a\nb"},
		{"profile.purchases", "b"},
		{"profile.affinity.colour", "red\t0.5\nblue\t0.25"},
		{"profile.persona", "browser\t2"},
		{"profile.engagement", "mail\t0.5"},
		{"recommend.for-you", "id=a\nid=b"},
		{"recommend.recently-viewed?n=8", "id=a"},
		{"recommend.next?item=7", "id=b"},
		{"experiment.button", "green"},
		{"profile.interests", "sailing\t1.5"},
	} {
		cases = append(cases, Case{secKeys, "keys/" + k.key, givesKey(k.key, k.value)})
	}
	cases = append(cases, configCases()...)
	for _, p := range allPurposes() {
		cases = append(cases, Case{secKeys, "keys/consent." + p.String(), tellsConsent(p)})
	}
	// All of these there would be a value for, and all are declared.
	for _, k := range []string{
		"request.header.cookie", "request.header.authorization", "request.header.user-agent", "request.header.x-forwarded-for",
		"request.header.host", "request.header.Accept", "request.header.", "request.query.", "request.cookie", "request.body",
		"preference.", "page.", "experiment.", "profile.affinity.", "profile.everything", "consent.everything", "consent.",
		"geo.", "geo.postcode", "geo.address", "GEO.COUNTRY", "geo.country ", " geo.country", "geo.country\x00", "geo.country.name",
		"time.", "time.zone", "recommend.", "recommend.secret", "recommend.secret?for-you", "recommend.?item=7", "geo.fences?n=1", "config.", "session.id",
	} {
		cases = append(cases, Case{secKeys, fmt.Sprintf("keys/no such key %q", k), noKey(k)})
	}
	return append(cases,
		Case{secKeys, "keys/value that is no UTF-8", plays(reading("request.query.q", 16), step{
			phase: abi.OnResponse, in: Exchange{Values: map[string]string{"request.query.q": "a\xffb"}},
			log: []string{"1 5", "1 a\uFFFDb..........."}})},
		Case{secKeys, "keys/withheld looks like absent", withheldLooksAbsent()})
}

// tells is a policy that says what read returns for each key, and the value.
func tells(declare func(g *guest), keys ...string) []byte {
	g := newGuest()
	var body code
	for _, k := range keys {
		body = append(body, seq(fill(buffer, ' ', 64), g.say(g.reads(k, buffer, 64), teeLocal(1)),
			local(1), i64(0), code{0x55}, when(i32(1), i32(buffer), local(1), wrap, call(g.log)))...) // gt_s
	}
	g.on(abi.OnResponse, body)
	declare(g)
	return g.binary()
}

// told is what such a policy says of a value.
func told(value string) []string {
	out := []string{fmt.Sprint("1 ", len(value))}
	for l := range strings.Lines(value) {
		out = append(out, "1 "+strings.TrimSuffix(l, "\n"))
	}
	return out
}

func declare(keys ...string) func(g *guest) { return func(g *guest) { g.declares(nil, keys...) } }

// givesKey reads a key under every decision that matters: all purposes
// granted, none, the needed one alone, and all but that one.
func givesKey(key, value string) func(*trial) error {
	purpose, needs := abi.Classify(key).Needs()
	all := allPurposes()
	others := slices.DeleteFunc(allPurposes(), func(p abi.Purpose) bool { return needs && p == purpose })
	values := map[string]string{key: value}
	declared, undeclared := tells(declare(key), key), tells(declare("request.query.other", "geo.c*", "preference.nam*"), key)
	if strings.HasPrefix(key, "geo.c") || key == "preference.name" {
		undeclared = tells(declare("request.query.other"), key)
	}
	read := func(t *trial, p Policy, granted []abi.Purpose, want []string) error {
		err := t.do(p, step{phase: abi.OnResponse, in: Exchange{Values: values, Granted: granted}, log: want})
		if err != nil {
			return fmt.Errorf("%s with %v granted: %w", key, granted, err)
		}
		return nil
	}
	absent := []string{"1 -1"}
	return func(t *trial) error {
		p, err := t.load(declared)
		if err != nil {
			return err
		}
		lacks, err := t.lacks(p, Exchange{Values: values, Granted: all})
		if err != nil {
			return err
		}
		given, without := told(value), told(value)
		if needs {
			without = absent
		}
		if lacks {
			given, without = absent, absent
		}
		alone := []abi.Purpose{}
		if needs {
			alone = append(alone, purpose)
		}
		for _, c := range []struct {
			granted []abi.Purpose
			want    []string
		}{{all, given}, {nil, without}, {alone, given}, {others, without}, {all, given}} {
			if err := read(t, p, c.granted, c.want); err != nil {
				return err
			}
		}
		if p, err = t.load(undeclared); err != nil {
			return err
		}
		if err := read(t, p, all, absent); err != nil {
			return fmt.Errorf("not declared: %w", err)
		}
		if lacks {
			return ErrLacking
		}
		return nil
	}
}

// lacks reports whether the policy, which reads one key, finds it absent.
func (t *trial) lacks(p Policy, x Exchange) (bool, error) {
	o, failed, err := t.run(p, abi.OnResponse, x)
	if err == nil {
		err = failed
	}
	return slices.Equal(lines(o), []string{"1 -1"}), err
}

// configCases are the keys that need no manifest.
func configCases() []Case {
	x := Exchange{Values: map[string]string{"config.list": "#results", "request.path": "/", "geo.country": "DE"}, Granted: allPurposes()}
	without := tells(func(*guest) {}, "config.list", "config.none", "consent.localize", "request.path", "geo.country")
	want := slices.Concat(told("#results"), []string{"1 -1"}, told("granted"), []string{"1 -1", "1 -1"})
	return []Case{
		{secKeys, "keys/config.NAME", plays(tells(declare(), "config.list", "config.none"),
			step{phase: abi.OnResponse, in: x, log: append(told("#results"), "1 -1")})},
		{secKeys, "keys/config.policy", plays(tells(declare(), "config.policy"),
			step{phase: abi.OnResponse, in: x, log: told(policyName)})},
		{secManifest, "keys/without a manifest", plays(without, step{phase: abi.OnResponse, in: x, log: want})},
	}
}

// tellsConsent reads consent.PURPOSE with the purpose granted, alone and among
// others, and not. It needs no declaration.
func tellsConsent(p abi.Purpose) func(*trial) error {
	others := slices.DeleteFunc(allPurposes(), func(o abi.Purpose) bool { return o == p })
	m := tells(declare(), "consent."+p.String())
	granted, denied := told("granted"), told("denied")
	at := func(g []abi.Purpose, want []string) step {
		return step{phase: abi.OnResponse, in: Exchange{Granted: g}, log: want}
	}
	return plays(m, at(nil, denied), at([]abi.Purpose{p}, granted), at(others, denied), at(allPurposes(), granted))
}

// noKey wants a key to be absent that is none, though a wildcard covers it.
func noKey(key string) func(*trial) error {
	wild := declare("request.query.*", "request.header.*", "page.*", "preference.*", "recommend.*", "experiment.*",
		"profile.affinity.*", "geo.*", "time.*")
	s := step{phase: abi.OnResponse, in: Exchange{Values: map[string]string{key: "value"}, Granted: allPurposes()}, log: []string{"1 -1"}}
	return plays(tells(wild, key), s)
}

// withheldLooksAbsent wants a policy to find the same whether the visitor's
// data is withheld or was never there.
func withheldLooksAbsent() func(*trial) error {
	keys := []string{"geo.country", "geo.city", "profile.recent", "recommend.for-you", "experiment.a", "profile.interests"}
	values := map[string]string{}
	for _, k := range keys {
		values[k] = "value"
	}
	s := step{phase: abi.OnResponse, log: slices.Repeat([]string{"1 -1"}, len(keys))}
	there := s
	there.in.Values = values
	return plays(tells(declare(keys...), keys...), s, there)
}

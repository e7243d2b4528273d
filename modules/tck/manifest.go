package tck

import (
	"fmt"
	"slices"
	"strings"

	"bespoke/modules/abi"
)

func manifestCases(Config) []Case {
	says := func(manifest string) []byte { return phases(manifest, abi.OnRequest, abi.OnResponse) }
	good := func(name, manifest string) Case {
		return Case{secManifest, "manifest/" + name, runsOnly(says(manifest), policyName, abi.OnRequest, abi.OnResponse)}
	}
	bad := func(name, manifest string) Case {
		return Case{secManifest, "manifest/" + name, refused(says(manifest))}
	}
	field := func(more string) string { return `{"name":"tck","version":"1.0.0",` + more + `}` }
	const plain = `{"name":"tck","version":"1.0.0"}`
	long := field(`"about":"` + strings.Repeat("x", 64<<10) + `"`)
	edge := field(`"about":"` + strings.Repeat("x", 64<<10-len(field(`"about":""`))) + `"`)
	request, response := []abi.Phase{abi.OnRequest}, []abi.Phase{abi.OnResponse}
	both := []abi.Phase{abi.OnRequest, abi.OnResponse}
	cases := []Case{
		good("name and version", plain),
		good("name alone", `{"name":"tck"}`),
		good("all fields", field(`"about":"Tests.","reads":{"geo.country":"why"},"rights":["html"],"on":["request","response"],`+
			`"with":{"a":{"type":"selector","required":true,"about":"b"},"c":{"type":"one-of","values":["d"]},"e":{"type":"text"},`+
			`"f":{"type":"number"},"g":{"type":"integer"},"h":{"type":"boolean"},"i":{"type":"name"},"j":{"type":"target"}}`)),
		good("space around it", "\n "+plain+"\n"),
		good("a list of one", "["+plain+"]"),
		good("as long as allowed", edge),
		bad("too long", long),
		bad("no JSON", "name: tck"),
		bad("nothing", " "),
		bad("a text", `"tck"`),
		bad("null", `null`),
		bad("cut off", plain[:20]),
		bad("text after it", plain+" x"),
		bad("two objects", plain+plain),
		bad("an empty list", "[]"),
		bad("a list with a number", "["+plain+",1]"),
		bad("no UTF-8", field(`"about":"`+"\xff"+`"`)),
		bad("no name", `{"version":"1.0.0"}`),
		bad("empty name", `{"name":""}`),
		bad("name with a capital", `{"name":"Tck"}`),
		bad("name that begins with a digit", `{"name":"1tck"}`),
		bad("name with a line's end", `{"name":"tck\n"}`),
		bad("name of 65 letters", `{"name":"`+strings.Repeat("a", 65)+`"}`),
		bad("name that is a number", `{"name":1}`),
		bad("version that is a number", `{"name":"tck","version":1}`),
		bad("unknown field", field(`"secret":1`)),
		bad("unknown field of an option", field(`"with":{"a":{"type":"text","secret":1}}`)),
		bad("field in capitals", field(`"READS":{}`)),
		bad("reads that is a list", field(`"reads":["geo.country"]`)),
		bad("reason that is a number", field(`"reads":{"geo.country":1}`)),
		bad("right that there is not", field(`"rights":["script"]`)),
		bad("phase that there is not", field(`"on":["body"]`)),
		bad("option without a type", field(`"with":{"a":{}}`)),
		bad("option of an unknown type", field(`"with":{"a":{"type":"color"}}`)),
		bad("one-of without values", field(`"with":{"a":{"type":"one-of"}}`)),
		bad("one name twice", "["+plain+","+plain+"]"),
		{secManifest, "manifest/on the request", runsOnly(says(field(`"on":["request"]`)), policyName, request...)},
		{secManifest, "manifest/on the response", runsOnly(says(field(`"on":["response"]`)), policyName, response...)},
		{secManifest, "manifest/on neither in particular", runsOnly(says(field(`"on":[]`)), policyName, both...)},
		{secManifest, "manifest/at the beginning", runsFirst(plain)},
		{secManifest, "manifest/twice", refused(quiet(func(g *guest) {
			g.manifest(plain)
			g.manifest(plain)
		}))},
		{secManifest, "manifest/another section beside it", runsOnly(otherSection(plain), policyName, response...)},
		{secManifest, "manifest/wildcards", wildcards()},
		{secManifest, "manifest/several policies", severalPolicies()},
	}
	for _, k := range []string{
		"weather", "geo.postcode", "", "weather.*", "request.cookie", "request.header.cookie", "request.query.",
		"consent.everything", "geo.*.name", "GEO.COUNTRY",
	} {
		cases = append(cases, bad(fmt.Sprintf("reads %q", k), field(`"reads":{"`+k+`":"why"}`)))
	}
	for _, k := range []string{
		"request.method", "request.query.*", "request.query.utm*", "request.header.accept", "geo.*", "geo.lat", "page.*", "preference.*",
		"profile.affinity.colour", "recommend.similar?item=*", "experiment.*", "time.*", "config.list", "consent.localize",
	} {
		cases = append(cases, good(fmt.Sprintf("reads %q", k), field(`"reads":{"`+k+`":"why"}`)))
	}
	return cases
}

// runsFirst has the manifest stand before all else in the module.
func runsFirst(manifest string) func(*trial) error {
	g := newGuest()
	g.on(abi.OnResponse, g.logs(1, "response"))
	g.first = []custom{{abi.ManifestSection, manifest}}
	return runsOnly(g.binary(), policyName, abi.OnResponse)
}

// otherSection has sections beside the manifest that mean nothing to the host.
func otherSection(manifest string) []byte {
	g := newGuest()
	g.on(abi.OnResponse, g.logs(1, "response"))
	g.first = []custom{{"bespoke-manifest", "{"}, {"producers", "\x00"}, {"", ""}}
	g.manifest(manifest)
	g.last = append(g.last, custom{"producers", "again"})
	return g.binary()
}

// wildcards declares prefixes, and reads what they cover and what they do not.
func wildcards() func(*trial) error {
	covered := []string{"request.query.q", "request.query.other", "geo.country", "preference.theme"}
	not := []string{"request.path", "geo.lat", "preference.name", "time.hour"}
	values := map[string]string{}
	var want []string
	for _, k := range covered {
		values[k] = "v"
		want = append(want, told("v")...)
	}
	for _, k := range not {
		values[k] = "v"
		want = append(want, "1 -1")
	}
	m := tells(declare("request.query.*", "geo.co*", "preference.t*"), slices.Concat(covered, not)...)
	return plays(m, step{phase: abi.OnResponse, in: Exchange{Values: values, Granted: allPurposes()}, log: want})
}

// severalPolicies has a module that carries three, of which each reads what it
// declares itself, runs in its phases and has its rights.
func severalPolicies() func(*trial) error {
	markup := abi.Edit{Op: abi.OpHTML, Target: "#t", A: "<b>x</b>"}
	g := newGuest()
	tell := func(key string) code {
		return seq(fill(buffer, ' ', 64), g.reads(key, buffer, 64), wrap, teeLocal(0),
			i32(0), code{0x4a}, when(i32(1), i32(buffer), local(0), call(g.log))) // gt_s
	}
	body := g.function("", "", "iI", tell("config.policy"), tell("geo.country"), tell("request.path"),
		g.edits(markup), i32(int32(abi.RefusedRight)), equal, when(g.logs(1, "no right")))
	for _, p := range []abi.Phase{abi.OnRequest, abi.OnResponse} {
		g.on(p, call(body))
	}
	g.manifest(`[{"name":"by-country","reads":{"geo.country":"why"},"rights":["html"],"on":["response"]},` +
		`{"name":"by-path","reads":{"request.path":"why"},"rights":["html"]},{"name":"by-nothing"}]`)
	values := map[string]string{"geo.country": "DE", "request.path": "/"}
	at := func(name string, want ...string) step {
		return step{phase: abi.OnResponse, in: Exchange{Policy: name, Values: values, Granted: allPurposes()}, check: func(o Outcome) error {
			got := lines(o)
			if name == "by-nothing" { // a host without markup may say 7 instead
				got = slices.DeleteFunc(got, func(l string) bool { return l == "1 no right" })
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("the policy %s found %s, want %s", name, show(got), show(want))
			}
			return nil
		}}
	}
	all := plays(g.binary(),
		at("by-country", "1 by-country", "1 DE"), at("by-path", "1 by-path", "1 /"), at("by-nothing", "1 by-nothing"),
		at("by-country", "1 by-country", "1 DE"))
	return func(t *trial) error {
		if err := all(t); err != nil {
			return err
		}
		for name, want := range map[string]bool{"by-country": false, "by-path": true} {
			runs, _, err := within(t, "runs", func() (bool, error) { return t.loaded[0].Runs(name, abi.OnRequest), nil })
			if err == nil && runs != want {
				err = fmt.Errorf("whether the host runs %s in phase request: %v, want %v", name, runs, want)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

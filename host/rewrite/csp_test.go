package rewrite

import (
	"bytes"
	"strings"
	"testing"
)

func TestCSP(t *testing.T) {
	const hash = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
	none, script, style, attrs := csp{}, csp{scriptHashes: true}, csp{styleHashes: true}, csp{styleAttrs: true}
	for _, tt := range []struct {
		policy string
		want   csp
	}{
		{"", none},
		{";;, ;", none},
		{"default-src 'self'; script-src 'self' 'nonce-abc' 'strict-dynamic' 'unsafe-inline'", none},
		{"script-src " + hash, script},
		{"script-src 'self' https://a.example " + hash + " 'unsafe-inline'", script},
		{"style-src " + hash, style},
		{"default-src " + hash, csp{scriptHashes: true, styleHashes: true}},
		{"default-src " + hash + " 'unsafe-hashes'", csp{true, true, true}},

		// The element's directive speaks, then script-src, then default-src.
		{"default-src " + hash + "; script-src 'self'", style},
		{"default-src " + hash + "; style-src", script},
		{"script-src " + hash + "; script-src-elem 'self'", none},
		{"script-src 'self'; script-src-elem " + hash, script},
		{"script-src-elem 'self'; default-src " + hash, style},
		{"style-src " + hash + "; style-src-elem 'self'", none},
		{"style-src 'self'; style-src-elem " + hash, style},
		{"img-src " + hash + "; object-src " + hash + "; script-source " + hash, none},

		// Hashes are about attributes where unsafe-hashes says so.
		{"script-src-attr " + hash, none},
		{"script-src-attr " + hash + " 'unsafe-hashes'", script},
		{"script-src-elem 'self'; script-src 'unsafe-hashes' " + hash, script},
		{"script-src-elem 'self'; script-src-attr 'none'; script-src 'unsafe-hashes' " + hash, none},
		{"style-src-attr " + hash, none},
		{"style-src-attr 'UNSAFE-hashes' " + hash, attrs},
		{"style-src 'unsafe-hashes' " + hash, csp{styleHashes: true, styleAttrs: true}},
		{"style-src 'unsafe-hashes' " + hash + "; style-src-attr 'unsafe-inline'", style},
		{"style-src-elem 'self'; style-src 'unsafe-hashes' " + hash, attrs},

		// Of several of one name the first counts; what is not ASCII does not.
		{"script-src 'self'; script-src " + hash, none},
		{"script-src " + hash + "; script-src 'self'", script},
		{"script-src; script-src " + hash, none},
		{"script-src é; script-src " + hash, script},
		{"script-src é " + hash, none},

		// Spelling.
		{"\t\n\f\r ScRiPt-SrC\t\n\f\r'SHA512-abc=='", script},
		{"script-src 'sha384-abc_-'", script},
		{"script-src sha256-abc", none},
		{"script-src 'sha1-abc'", none},
		{"script-src 'sha256'", none},
		{"script-src 'md5-abc' 'nonce-sha256-abc'", none},
		{"script-src='sha256-abc'", none},
		{"script-src\u000b'sha256-abc'", none},

		// All policies are in force.
		{"script-src 'self', script-src " + hash, script},
		{"script-src " + hash + ", script-src 'self'", script},
		{"default-src 'none';, style-src 'self', style-src-attr 'unsafe-hashes' " + hash + ",", attrs},
		// A meta is one policy: here is a list of two sources, with a comma too many.
		{"script-src 'self', " + hash, script},
	} {
		var got csp
		got.add([]byte(tt.policy))
		if got != tt.want {
			t.Errorf("%s\n got %+v\nwant %+v", tt.policy, got, tt.want)
		}
	}

	// One after the other is like divided by commas.
	var c csp
	c.add([]byte("script-src 'self'"))
	c.add([]byte("style-src " + hash))
	c.add([]byte("script-src " + hash))
	if want := (csp{scriptHashes: true, styleHashes: true}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestCSPAllocs(t *testing.T) {
	policy := []byte("default-src 'self'; script-src 'self' 'unsafe-hashes' 'sha256-abc='; style-src 'sha256-abc=', img-src *")
	if n := testing.AllocsPerRun(100, func() {
		var c csp
		c.add(policy)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// plainCSP reads a policy as the standard tells it (CSP 2.2.1, 6.8.3, 2.3.1),
// apart from the rule that a comma is read both ways.
func plainCSP(policies ...string) (c csp) {
	for _, policy := range policies {
		directives := map[string][]string{}
		for _, token := range strings.Split(policy, ";") {
			words := strings.FieldsFunc(token, func(r rune) bool { return strings.ContainsRune("\t\n\f\r ", r) })
			if len(words) == 0 || strings.ContainsFunc(token, func(r rune) bool { return r >= 0x80 }) {
				continue
			}
			for i := range words {
				words[i] = strings.ToLower(words[i])
			}
			if _, ok := directives[words[0]]; !ok {
				directives[words[0]] = words[1:]
			}
		}
		hashes := func(names ...string) (hash, unsafe bool) {
			for _, name := range names {
				list, ok := directives[name]
				if !ok {
					continue
				}
				for _, w := range list {
					for _, alg := range []string{"'sha256-", "'sha384-", "'sha512-"} {
						hash = hash || strings.HasPrefix(w, alg)
					}
					unsafe = unsafe || w == "'unsafe-hashes'"
				}
				break
			}
			return hash, unsafe
		}
		hash, _ := hashes("script-src-elem", "script-src", "default-src")
		c.scriptHashes = c.scriptHashes || hash
		hash, unsafe := hashes("script-src-attr", "script-src", "default-src")
		c.scriptHashes = c.scriptHashes || hash && unsafe
		hash, _ = hashes("style-src-elem", "style-src", "default-src")
		c.styleHashes = c.styleHashes || hash
		hash, unsafe = hashes("style-src-attr", "style-src", "default-src")
		c.styleAttrs = c.styleAttrs || hash && unsafe
	}
	return c
}

// What the standard finds in a policy is found, divided at commas or not, and
// nothing else.
func FuzzCSP(f *testing.F) {
	for _, s := range []string{
		"default-src 'self'; script-src 'sha256-abc=' 'unsafe-hashes'; style-src-elem 'sha512-x'",
		"script-src 'self', script-src-elem 'SHA384-abc', style-src-attr 'unsafe-hashes' 'sha256-x'; style-src",
		"\x80;script-src\xff 'sha256-;default-src\v'sha256-", "İ", "script-ſrc 'sha256-a'",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, policy []byte) {
		was := bytes.Clone(policy)
		var got csp
		got.add(policy)
		want := plainCSP(append(strings.Split(string(policy), ","), string(policy))...)
		if got != want {
			t.Errorf("%q\n got %+v\nwant %+v", policy, got, want)
		}
		if !bytes.Equal(policy, was) {
			t.Error("the policy was changed")
		}
	})
}

package ledger

import (
	"fmt"
	"strings"

	"bespoke/modules/abi"
)

// ruleDefault is the one rule whose outcome depends on the visitor's place, as
// host/consent names it: only then may a record say where the visitor is.
const ruleDefault = "jurisdiction"

// purposes is a set of purposes, a bit each.
type purposes uint8

func (s purposes) has(p abi.Purpose) bool { return s>>p&1 != 0 }

// grants returns what a decision grants; without a decision that is nothing.
func grants(d *Decision) (granted purposes) {
	if d == nil {
		return 0
	}
	for i := range d.Purposes {
		if p, ok := abi.ParsePurpose(d.Purposes[i].Purpose); ok && d.Purposes[i].Granted {
			granted |= 1 << p
		}
	}
	return granted
}

// patternKeys are what a declared prefix can stand for, where it is shorter
// than the name of a family: one key of each class that the family has.
var patternKeys = [...]string{
	"request.method", "request.query.x", "config.x", "consent.localize", "time.hour", "page.x",
	"recommend.deals", "recommend.for-you", "preference.x", "geo.country", "geo.city",
	"profile.recent", "profile.affinity.x", "profile.interests", "experiment.x",
}

// A need is what a key, or a prefix that a manifest declares, takes to be given.
type need struct {
	any      purposes // one of these is enough
	free     bool     // some key it stands for needs no purpose
	personal bool     // every key it stands for is about the visitor
	class    string   // of every key it stands for; "mixed": of several
}

func (n *need) add(c abi.Class) {
	if c == abi.Unknown {
		return
	}
	if n.class == "" || n.class == c.String() {
		n.class = c.String()
	} else {
		n.class = "mixed"
	}
	p, needs := c.Needs()
	if needs {
		n.any |= 1 << p
	} else {
		n.free = true
	}
	n.personal = n.personal && (needs || c == abi.Declared)
}

// needOf says what a key takes. A name that no version of the contract knows
// can be met by no grant, so given it is a violation.
func needOf(key string) need {
	n := need{personal: true}
	n.of(key)
	if n.class == "" {
		n.class = abi.Unknown.String()
	}
	return n
}

func (n *need) of(key string) {
	prefix, star := strings.CutSuffix(key, "*")
	if !star {
		n.add(abi.Classify(key))
		return
	}
	if strings.HasPrefix(prefix, abi.KeyRequestHeader) { // any part of an allowed name
		n.add(abi.Public)
		return
	}
	for _, k := range patternKeys {
		if strings.HasPrefix(k, prefix) {
			n.add(abi.Classify(k))
		}
	}
	if n.any == 0 && !n.free { // longer than its family's name: all it stands for are of that class
		for _, k := range patternKeys {
			family := k[:strings.LastIndexByte(k, '.')+1]
			if strings.HasPrefix(prefix, family) && family != "recommend." {
				n.add(abi.Classify(prefix + "x"))
				break
			}
		}
	}
	if n.any == 0 && !n.free && strings.HasPrefix(prefix, abi.KeyRecommend) {
		n.add(abi.Classify(strings.TrimRight(prefix, "?"))) // "recommend.similar?*"
		name, _, _ := strings.Cut(prefix, "?")
		n.add(abi.Classify(name))
		for _, k := range [...]string{"best-sellers", "trending", "deals", "bought-together", "similar", "recently-viewed", "for-you", "next"} {
			if full := abi.KeyRecommend + k; strings.HasPrefix(full, prefix) {
				n.add(abi.Classify(full))
			}
		}
	}
}

// met reports whether what is granted lets the key be read.
func (n need) met(granted purposes) bool { return n.free || n.any&granted != 0 }

// needs remembers what keys need. The zero value is ready for use, by one goroutine.
type needs struct {
	known map[string]need
	words map[string]string
}

// word is s in memory of its own. A map that is assigned to under a key that it has
// keeps the new key, so a view into a line must not be one.
func (m *needs) word(s string) string {
	if w, ok := m.words[s]; ok {
		return w
	}
	w := strings.Clone(s)
	if m.words == nil {
		m.words = make(map[string]string)
	}
	if len(m.words) < maxNeeds {
		m.words[w] = w
	}
	return w
}

// maxNeeds bounds the memory, as a ledger that was tampered with can hold any names.
const maxNeeds = 4096

func (m *needs) of(key string) need {
	if n, ok := m.known[key]; ok {
		return n
	}
	n := needOf(key)
	if m.known == nil {
		m.known = make(map[string]need)
	}
	if len(m.known) < maxNeeds {
		m.known[strings.Clone(key)] = n
	}
	return n
}

// broken says how an exchange breaks the promise, "" if it keeps it: a key given
// whose class needs a purpose that is not granted, a pseudonym without
// personalize, a digest that personal data could be tried out on, a place in
// a decision that did not depend on it, the name of a key that a policy made up.
func (m *needs) broken(x *Exchange) string {
	granted := grants(x.Decision)
	said, personal := "", false
	for i := range x.Policies {
		for _, key := range x.Policies[i].Given {
			n := m.of(key)
			personal = personal || n.personal
			if !n.met(granted) {
				said += fmt.Sprintf("; policy %q was given %q, which needs %s", x.Policies[i].Name, key, n.names())
			}
		}
	}
	for i := range x.Policies {
		for _, class := range x.Policies[i].Undeclared {
			if !isClass(class) { // not quoted: it may be what was hidden in it
				said += fmt.Sprintf("; policy %q read an undeclared key that is recorded by more than its class", x.Policies[i].Name)
				break
			}
		}
	}
	if x.Pseudonym != [8]byte{} && !granted.has(abi.Personalize) {
		said += "; it has a pseudonym without personalize"
	}
	if personal && !x.Sealed && (x.Plan != [16]byte{} || x.In != [32]byte{} || x.Out != [32]byte{}) {
		said += "; its digests are not keyed, though a policy was given personal data"
	}
	if d := x.Decision; d != nil && d.Jurisdiction != "" {
		byDefault := false
		for i := range d.Purposes {
			byDefault = byDefault || d.Purposes[i].Rule == ruleDefault
		}
		if !byDefault {
			said += "; it names a jurisdiction, though no purpose was settled by its default"
		}
	}
	return strings.TrimPrefix(said, "; ")
}

// isClass reports whether a word is the name of a class of keys.
func isClass(word string) bool {
	for c := abi.Unknown; c <= abi.Interests; c++ {
		if c.String() == word {
			return true
		}
	}
	return false
}

func (n need) names() string {
	var list []string
	for p := range abi.Purpose(abi.Purposes) {
		if n.any.has(p) {
			list = append(list, p.String())
		}
	}
	if list == nil {
		return "what no purpose grants: no such key is known"
	}
	return strings.Join(list, " or ")
}

// Broken says how the record breaks the promise, "" if it keeps it; see [Verify].
func (r *Record) Broken() string {
	if r.Exchange == nil {
		return ""
	}
	var m needs
	return m.broken(r.Exchange)
}

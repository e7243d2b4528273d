package probe

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultIgnored are header fields that tell about the moment and the connection,
// not about the answer (RFC 9110, 6.6.1; RFC 9111, 5.1; Server Timing, 3).
func DefaultIgnored() []string { return []string{"Age", "Date", "Keep-Alive", "Server-Timing"} }

// A part is one thing that two answers may differ in: the status, a header field,
// a cookie. The body is apart.
type part struct{ name, value string }

// parts lists an answer's parts by name, without the ignored.
func parts(r *Response, ignored map[string]bool) []part {
	list := []part{{"status", strconv.Itoa(r.Status)}}
	if r.Broken != "" {
		list = append(list, part{"end of the body", r.Broken})
	}
	if r.Cut {
		list = append(list, part{"length", "more than is read"})
	}
	for _, name := range names(r.Header) {
		if ignored[name] {
			continue
		}
		if name != "Set-Cookie" {
			list = append(list, part{name, strings.Join(r.Header[name], "\n")})
			continue
		}
		for _, line := range r.Header[name] {
			pair, attributes, _ := strings.Cut(line, ";")
			cookie, value, _ := strings.Cut(pair, "=")
			cookie = "Set-Cookie " + strings.TrimSpace(cookie)
			list = append(list, part{cookie, value}, part{cookie + ", attributes", attributes})
		}
	}
	return list
}

// httpDate is a date of the form that header fields have (RFC 9110, 5.6.7; in
// cookies with hyphens too).
var httpDate = regexp.MustCompile(httpDatePattern)

// httpDatePattern is understood by Go and by POSIX tools.
const httpDatePattern = "[A-Z][a-z]{2}, [0-9]{2}[ -][A-Z][a-z]{2}[ -][0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"

// clockSlack is how far apart two dates may be, counted from the moment of each
// answer, and be the same: both are whole seconds.
const clockSlack = 2 * time.Second

// sameValue reports whether two values say the same. Dates that are equally far from
// their answers' own moments do.
func sameValue(a, b string, atA, atB time.Time) bool {
	if a == b {
		return true
	}
	da, db := httpDate.FindString(a), httpDate.FindString(b)
	if da == "" || db == "" || strings.Replace(a, da, "", 1) != strings.Replace(b, db, "", 1) {
		return false
	}
	ta, errA := http.ParseTime(strings.ReplaceAll(da, "-", " "))
	tb, errB := http.ParseTime(strings.ReplaceAll(db, "-", " "))
	return errA == nil && errB == nil && (ta.Sub(atA)-tb.Sub(atB)).Abs() <= clockSlack
}

// moment is when an answer was made, by its own word.
func moment(r *Response) time.Time {
	t, _ := http.ParseTime(r.Header.Get("Date"))
	return t
}

// A Difference is one part in which two answers differ. Offset is the first
// differing byte of the body, -1 for what is no body; A and B are the values, of a
// body what is around that byte.
type Difference struct {
	Part   string `json:"part"`
	Offset int    `json:"offset"`
	Line   int    `json:"line,omitempty"` // of the body, from 1
	A      string `json:"a"`
	B      string `json:"b"`
}

const absent = "(absent)"

// partsDiffer lists the parts in which two answers differ.
func partsDiffer(a, b *Response, ignored map[string]bool) (out []Difference) {
	pa, pb := parts(a, ignored), parts(b, ignored)
	atA, atB := moment(a), moment(b)
	left := map[string][]int{} // of b, by name: a site may send very many
	for j := range pb {
		left[pb[j].name] = append(left[pb[j].name], j)
	}
	for _, p := range pa {
		at := left[p.name]
		if len(at) == 0 {
			out = append(out, Difference{Part: p.name, Offset: -1, A: p.value, B: absent})
			continue
		}
		left[p.name] = at[1:]
		if q := &pb[at[0]]; !sameValue(p.value, q.value, atA, atB) {
			out = append(out, Difference{Part: p.name, Offset: -1, A: p.value, B: q.value})
		}
	}
	for j, q := range pb {
		if slices.Contains(left[q.name], j) {
			out = append(out, Difference{Part: q.name, Offset: -1, A: absent, B: q.value})
			left[q.name] = left[q.name][1:]
		}
	}
	return out
}

// shown is how much of a body is shown around its first difference, in bytes.
const shown = 60

// bodiesDiffer describes the first difference of two bodies at or after a byte.
func bodiesDiffer(a, b []byte, at int) Difference {
	around := func(s []byte) string {
		from, to := min(max(at-shown, 0), len(s)), min(at+shown, len(s))
		return string(bytes.ToValidUTF8(s[from:to], []byte("\uFFFD")))
	}
	return Difference{Part: "body", Offset: at, Line: 1 + bytes.Count(a[:min(at, len(a))], []byte{'\n'}), A: around(a), B: around(b)}
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// maxTokens is how many tokens a body has at most; what is beyond is one more.
const maxTokens = 1 << 18

// tokens cuts a body into words and single other bytes.
func tokens(b []byte) [][]byte {
	list := make([][]byte, 0, min(len(b)/3, maxTokens)+1)
	for i := 0; i < len(b); {
		if len(list) == maxTokens {
			return append(list, b[i:])
		}
		j := i + 1
		if word(b[i]) {
			for j < len(b) && word(b[j]) {
				j++
			}
		}
		list = append(list, b[i:j])
		i = j
	}
	return list
}

func word(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// A mask is what varies by itself in the answers of one page to visitors of one
// kind, learned from pairs of identical visitors.
type mask struct {
	parts map[string]bool
	body  []bool // by token; nil: no token varies
	count int    // tokens of every body that was learned from
	seen  bool   // count was set
	// shapeless says that bodies of identical visitors have different numbers of
	// tokens, or that bodies vary and have not the same number in all pairs: then a
	// token's place does not name it, and nothing of the body can be masked.
	shapeless bool
	noise     map[bigram]bool // bigrams that one of two identical visitors had, and the other not
}

// learn takes up a pair of identical visitors.
func (m *mask) learn(a, b *Response, ignored map[string]bool) {
	for _, d := range partsDiffer(a, b, ignored) {
		if m.parts == nil {
			m.parts = map[string]bool{}
		}
		m.parts[d.Part] = true
	}
	da, db := a.decoded(), b.decoded()
	ta := tokens(da)
	if m.shapeless {
		if !bytes.Equal(da, db) {
			m.hear(ta, tokens(db))
		}
		return
	}
	if m.seen && len(ta) != m.count {
		m.count = -1 // whether that matters depends on whether anything varies
	} else if !m.seen {
		m.count, m.seen = len(ta), true
	}
	if bytes.Equal(da, db) {
		m.shapeless = m.count < 0 && m.body != nil
		return
	}
	tb := tokens(db)
	m.hear(ta, tb)
	if len(tb) != len(ta) || m.count < 0 {
		m.shapeless, m.body = true, nil
		return
	}
	if m.body == nil {
		m.body = make([]bool, len(ta))
	}
	for i := range ta {
		m.body[i] = m.body[i] || !bytes.Equal(ta[i], tb[i])
	}
}

// varies reports whether anything does.
func (m *mask) varies() bool { return len(m.parts) > 0 || m.body != nil || m.shapeless }

// hides returns how many tokens of how many are masked.
func (m *mask) hides() (n, of int) {
	for _, h := range m.body {
		if h {
			n++
		}
	}
	return n, len(m.body)
}

// A comparison is of two answers.
type comparison struct {
	differs  []Difference // outside of the mask
	distance int          // in all, the mask notwithstanding
	a, b     [32]byte     // digests of what is outside of the mask
}

func (c *comparison) equal() bool { return len(c.differs) == 0 }

// compare compares two answers.
func (m *mask) compare(a, b *Response, ignored map[string]bool) (c comparison) {
	c.a, c.b = m.digest(a, ignored), m.digest(b, ignored)
	all := partsDiffer(a, b, ignored)
	c.distance = len(all)
	for _, d := range all {
		if !m.parts[d.Part] {
			c.differs = append(c.differs, d)
			c.distance += 1 << rareShift
		}
	}
	if bytes.Equal(a.Body, b.Body) {
		return c
	}
	da, db := a.decoded(), b.decoded()
	if bytes.Equal(da, db) { // the coding differs alone
		c.distance++
		c.differs = append(c.differs, bodiesDiffer(a.Body, b.Body, firstDifference(a.Body, b.Body)))
		return c
	}
	ta, tb := tokens(da), tokens(db)
	c.distance += m.far(ta, tb)
	at := firstDifference(da, db)
	if m.body != nil && len(ta) == len(m.body) && len(tb) == len(ta) {
		at = -1
		off := 0
		for i := range ta {
			if !m.body[i] && !bytes.Equal(ta[i], tb[i]) {
				at = off + firstDifference(ta[i], tb[i])
				break
			}
			off += len(ta[i])
		}
		if at < 0 {
			return c
		}
		c.differs = append(c.differs, offsetDiffer(da, db, at, off, ta, tb))
		return c
	}
	c.differs = append(c.differs, bodiesDiffer(da, db, at))
	return c
}

// offsetDiffer shows a difference at a byte of the first body, where masked tokens
// before it may have had other lengths in the second.
func offsetDiffer(a, b []byte, at, off int, ta, tb [][]byte) Difference {
	d := bodiesDiffer(a, a, at)
	other, seen := 0, 0
	for i := range ta {
		if seen == off {
			break
		}
		seen += len(ta[i])
		other += len(tb[i])
	}
	d.B = bodiesDiffer(b, b, other+at-off).A
	return d
}

// A bigram is a hash of two neighbouring tokens.
type bigram uint64

// bigrams calls each with the bigrams of a body.
func bigrams(list [][]byte, each func(bigram)) {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	for i := range list {
		h := uint64(offset)
		for _, t := range list[i:min(i+2, len(list))] {
			for _, c := range t {
				h = (h ^ uint64(c)) * prime
			}
			h *= prime // an end, so that "ab" "c" is not "a" "bc"
		}
		each(bigram(h))
	}
}

// apart counts the bigrams that one body has more often than the other.
func apart(a, b [][]byte) map[bigram]int {
	count := map[bigram]int{}
	bigrams(a, func(g bigram) { count[g]++ })
	bigrams(b, func(g bigram) {
		if count[g]--; count[g] == 0 {
			delete(count, g)
		}
	})
	return count
}

// far is how far two bodies are from one another: in how many bigrams that were
// never seen to vary by themselves, and among pairs that are equal in that, in how many
// at all. Bigrams know no order beyond neighbours, and so tell what was moved, at
// any length.
func (m *mask) far(a, b [][]byte) int {
	rare, all := 0, 0
	for g, n := range apart(a, b) {
		n = max(n, -n)
		all += n
		if !m.noise[g] {
			rare += n
		}
	}
	return rare<<rareShift + max(all, 1)
}

// rareShift puts rare bigrams above all that a whole body and header can add up to.
const rareShift = 24

// maxNoise is how many bigrams a mask remembers.
const maxNoise = 1 << 16

func (m *mask) hear(a, b [][]byte) {
	if m.noise == nil {
		m.noise = map[bigram]bool{}
	}
	for g := range apart(a, b) {
		if len(m.noise) == maxNoise {
			return
		}
		m.noise[g] = true
	}
}

// digest is of an answer without what is masked and without dates.
func (m *mask) digest(r *Response, ignored map[string]bool) (sum [32]byte) {
	h := sha256.New()
	for _, p := range parts(r, ignored) {
		if !m.parts[p.name] {
			h.Write([]byte(p.name + "\x00" + httpDate.ReplaceAllString(p.value, "") + "\x00"))
		}
	}
	if m.body == nil {
		h.Write(r.Body)
	} else if list := tokens(r.decoded()); len(list) != len(m.body) {
		h.Write(r.Body)
	} else {
		for i, t := range list {
			if !m.body[i] {
				h.Write(t)
			}
			h.Write([]byte{0})
		}
	}
	h.Sum(sum[:0])
	return sum
}

// ignoring returns the set of header names, in their canonical form.
func ignoring(lists ...[]string) map[string]bool {
	set := map[string]bool{}
	for _, name := range slices.Concat(lists...) {
		set[http.CanonicalHeaderKey(name)] = true
	}
	return set
}

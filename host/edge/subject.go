package edge

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"time"

	"bespoke/host/consent"
	"bespoke/host/state"
)

// nameSubject is the header by which an origin names the visitor whom it knows:
// 1 to 256 visible ASCII characters, "-" for nobody (any more). The visitor
// never sees it, and what they send under that name goes nowhere.
var nameSubject = []byte("Bespoke-Subject")

const maxSubject = 256

// A subject is whom the tenant knows the visitor as.
type subject struct {
	opened bool
	named  bool      // the origin named somebody; key "" then: nobody can tell whom
	key    state.Key // in the store; "": nobody
	issued time.Time // when the browser was told to keep the cookie

	standing standing
	choice   *consent.Choice // what they chose on any device; nil: nothing
}

// tag returns what marks a choice as made by this subject.
func (s *subject) tag() (t subjectTag) {
	if n := len(s.key) - len(t); n >= 0 {
		copy(t[:], s.key[n:]) // of the HMAC
	}
	return t
}

// The cookie of a subject is a version, the second in which it was issued, and
// the key. An empty key stands for a subject whom nobody can tell.
const (
	subjectCookie     = 1
	subjectCookieHead = 1 + 4
)

func encodeSubject(key state.Key, issued time.Time) []byte {
	b := make([]byte, 0, 96)
	b = append(b, subjectCookie)
	b = binary.BigEndian.AppendUint32(b, uint32(issued.Unix()))
	return append(b, key...)
}

// openSubject opens the cookie. Where it cannot be read, or is doubled, the
// visitor is a subject whom nobody can tell.
func (x *exchange) openSubject() {
	s, c := &x.subject, &x.cookies.subject
	if s.opened {
		return
	}
	if s.opened = true; c.n == 0 || x.edge.subjects == nil {
		return
	}
	s.standing = subjectUnknown
	plain, err := x.edge.sealer.Open(c.token, x.binding(useSubject))
	if c.n > 1 || err != nil || len(plain) < subjectCookieHead || plain[0] != subjectCookie {
		return
	}
	s.named = true
	s.issued = time.Unix(int64(binary.BigEndian.Uint32(plain[1:])), 0)
	s.key = string(plain[subjectCookieHead:])
}

// lookUpSubject finds what the subject chose.
func (x *exchange) lookUpSubject() {
	x.openSubject()
	s := &x.subject
	if s.key == "" {
		return
	}
	s.choice, s.standing = x.edge.subjects.choice(s.key)
	c := x.kept.choice
	if s.standing != subjectKept || c == nil || x.kept.as != s.tag() || c.Granted == consent.All {
		return
	}
	// Chosen as this subject, and refused, but not kept: an edge ended before its
	// store could take it. The visitor's own cookie makes it good.
	if both := consent.Merge(s.choice, c); s.choice == nil || both.Granted != s.choice.Granted && both.Granted&^s.choice.Granted == 0 {
		x.edge.subjects.later(s.key, waiting{choice: c})
	}
}

// comparable returns the choice of the visitor's browser as it compares with the
// subject's. Their epochs count the same choices only if it was made as this
// subject. If not, neither may pass for newer, so that what either refuses is
// refused.
func (x *exchange) comparable() *consent.Choice {
	c, s := x.kept.choice, &x.subject
	if c == nil || s.choice == nil || x.kept.as == s.tag() || c.Epoch == s.choice.Epoch {
		return c
	}
	same := *c
	same.Epoch = s.choice.Epoch
	return &same
}

// latest returns the choice that the visitor's next one follows: of their
// browser and of the subject that they are.
func (x *exchange) latest() *consent.Choice {
	both := consent.Merge(x.comparable(), x.subject.choice)
	if c := x.kept.choice; c != nil && both.Epoch < c.Epoch {
		next := *both
		next.Epoch = c.Epoch
		return &next
	}
	return both
}

// takeSubject takes off the answer whom the origin names, and has the visitor's
// browser remember it.
func (x *exchange) takeSubject() {
	h := &x.in.Header
	lines := h.PeekAll("Bespoke-Subject")
	if len(lines) == 0 {
		return
	}
	var name []byte
	ok := true
	for _, line := range lines {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0: // says nothing
		case name == nil:
			name = line
		default:
			ok = ok && bytes.Equal(name, line)
		}
	}
	name = bytes.Clone(name)
	h.DelBytes(nameSubject)
	if name == nil || x.edge.subjects == nil {
		return
	}
	x.openSubject()
	s := &x.subject
	if ok && string(name) == "-" {
		if x.cookies.subject.n > 0 {
			x.setCookie(h, useSubject, nil)
			keepPrivate(h)
		}
		return
	}
	var key state.Key
	if ok && validSubject(name) {
		key = x.edge.subjects.namer.Subject(x.tenant.name, string(name))
		x.edge.subjects.start() // so that it is open when they come back
	} else {
		x.edge.log.LogAttrs(x.edge.ctx, slog.LevelWarn, "the origin named a subject that cannot be one; the visitor counts as having refused",
			slog.String("tenant", x.tenant.name), slog.String("want", "one header Bespoke-Subject of 1 to 256 visible ASCII characters"))
	}
	if s.named && s.key == key && x.began.Sub(s.issued) < renewAfter {
		return
	}
	if key != "" && s.key != key {
		x.bringChoice(key)
	}
	x.setCookie(h, useSubject, encodeSubject(key, x.began))
	keepPrivate(h)
}

func validSubject(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(name) <= maxSubject
}

// bringChoice has what the visitor refused in this browser, before the site knew
// them, hold for the subject, unless the subject chose later than that. What was
// chosen as somebody else is theirs, and holds for this one in this browser alone.
func (x *exchange) bringChoice(key state.Key) {
	x.openChoice()
	if c := x.kept.choice; c != nil && x.kept.as == (subjectTag{}) {
		x.edge.subjects.later(key, waiting{c, true})
		if c.Granted != consent.All {
			x.tellChoice(c, "subject")
		}
	}
}

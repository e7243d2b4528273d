package edge

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/host/consent"
	"bespoke/host/control"
	"bespoke/host/profile"
	"bespoke/host/recommend"
	"bespoke/modules/abi"
)

// An inferred is what the site worked out about the visitor, as their browser
// brought it. It is opened when somebody asks for it, and only where that is granted.
type inferred struct {
	profile.Inferred
	session uint64 // names the visitor in aggregates, for a day; 0: not yet
	newer   bool   // a later build wrote the cookie: it is left as it is
	changed bool
	trail   []uint32 // room for items
	recent  []uint32
	weights []profile.Affinity
	plain   []byte
}

var inferreds = sync.Pool{New: func() any { return new(inferred) }}

// The cookie of a profile is a version, the epoch of the catalogue's numbers, the
// second in which it was written, the session, whom the visitor was known as, and the
// profile.
const (
	inferredCookie     = 1
	inferredCookieHead = 1 + 4 + 4 + 8 + len(ownerTag{})
)

// An ownerTag tells subjects apart who use one browser, in few bytes: two of 65,536
// may pass for one another. Zero is nobody.
type ownerTag [2]byte

// owner returns the tag of whom the visitor is known as.
func (x *exchange) owner() (o ownerTag) {
	tag := x.subject.tag()
	copy(o[:], tag[:])
	if x.subject.key != "" && o == (ownerTag{}) {
		o[0] = 1
	}
	return o
}

// visitLength is how long a visit lasts without an event, as for the aggregates.
const (
	visitLength  = 30 * time.Minute
	secondsOfDay = 24 * 60 * 60
)

// inferredFor returns the inferred profile, nil unless the decision grants the
// purpose. It is the one way to it.
func (x *exchange) inferredFor(p abi.Purpose) *inferred {
	if !x.decision.Grants(p) {
		return nil
	}
	if x.inferred == nil {
		x.openInferred()
	}
	return x.inferred
}

// openInferred finds what is known: what the browser brought, and of a subject what
// is kept for all of their devices.
func (x *exchange) openInferred() {
	in := inferreds.Get().(*inferred)
	x.inferred = in
	x.openBrought(in)
	x.joinStored(in)
}

// openBrought opens the cookie. What cannot be read, is there twice, or was gathered
// under another choice than the one that stands, is as if nothing were known.
func (x *exchange) openBrought(in *inferred) {
	c := &x.cookies.inferred
	if c.n != 1 {
		return
	}
	plain, err := x.edge.sealer.AppendOpen(in.plain[:0], c.token, x.binding(useInferred))
	in.plain = plain
	switch {
	case errors.Is(err, profile.ErrNewer), err == nil && len(plain) > 0 && plain[0] > inferredCookie:
		in.newer = true
		return
	case err != nil || len(plain) < inferredCookieHead || plain[0] != inferredCookie:
		return
	}
	written := binary.BigEndian.Uint32(plain[5:])
	if written < x.standsSince() {
		return
	}
	// What they did before the site knew them is theirs once it does. What somebody
	// did whom it knew is not for others who use the browser.
	if o := ownerTag(plain[17:]); o != (ownerTag{}) && o != x.owner() {
		return
	}
	if err := in.Parse(plain[inferredCookieHead:]); err != nil {
		in.newer = errors.Is(err, profile.ErrNewer)
		return
	}
	in.session = binary.BigEndian.Uint64(plain[9:])
	last := time.Unix(int64(written), 0)
	if x.began.Sub(last) >= visitLength && last.Unix()/secondsOfDay != x.began.Unix()/secondsOfDay {
		in.session = 0 // nothing follows the visitor in aggregates for longer
	}
	if rec := x.tenant.recommender; rec == nil || binary.BigEndian.Uint32(plain[1:]) != rec.Catalogue().Epoch() {
		in.forgetNumbers()
	}
	in.Decay(profile.Memory{}.At(x.began))
}

// standsSince returns the second from which the visitor's choice stands, 0 if they
// have made none. What was written before, or by an answer that was under way while
// they chose, was gathered under another choice: it was to be erased, or may have been.
func (x *exchange) standsSince() (s uint32) {
	for _, c := range [...]*consent.Choice{x.kept.choice, x.subject.choice} {
		if c != nil {
			s = max(s, uint32(c.At.Unix()))
		}
	}
	return s
}

// forgetNumbers drops what is known by numbers of a catalogue that mean nothing any more.
func (in *inferred) forgetNumbers() {
	for len(in.Recent()) > 0 {
		in.Forget(in.Recent()[0].Number)
	}
	for len(in.Purchases()) > 0 {
		in.Forget(in.Purchases()[0].Number)
	}
	for _, a := range in.AppendAffinities(nil) {
		in.ForgetValue(a.Value)
	}
}

// encode returns the cookie of somebody's profile written at a time, in seconds.
func (in *inferred) encode(epoch, written uint32, owner ownerTag) []byte {
	b := append(in.plain[:0], inferredCookie)
	b = binary.BigEndian.AppendUint32(b, epoch)
	b = binary.BigEndian.AppendUint32(b, written)
	b = binary.BigEndian.AppendUint64(b, in.session)
	in.plain = in.AppendEncode(append(b, owner[:]...))
	return in.plain
}

// close gives in back to the pool, without what it held.
func (in *inferred) close() {
	trail, recent, weights, plain := in.trail, in.recent, in.weights, in.plain
	clear(trail)
	clear(recent)
	clear(weights)
	clear(plain[:cap(plain)])
	*in = inferred{trail: trail[:0], recent: recent[:0], weights: weights[:0], plain: plain[:0]}
	inferreds.Put(in)
}

// draw gives the visitor a session for the aggregates, if they have none.
func (in *inferred) draw() {
	for in.session == 0 {
		var b [8]byte
		rand.Read(b[:]) // never fails
		in.session, in.changed = binary.BigEndian.Uint64(b[:]), true
	}
}

// epoch names the numbers that profiles are written in.
func (t *tenant) epoch() uint32 {
	if t.recommender == nil {
		return 0
	}
	return t.recommender.Catalogue().Epoch()
}

// keepInferred has the browser keep the profile, if something changed it.
func (x *exchange) keepInferred(h *fasthttp.ResponseHeader) {
	in := x.inferred
	if in == nil || !in.changed || in.newer || !x.decision.Grants(abi.Personalize) {
		return
	}
	in.changed = false
	written := max(uint32(x.began.Unix()), x.standsSince())
	x.keepForSubject(in, written)
	x.setCookie(h, useInferred, in.encode(x.tenant.epoch(), written, x.owner()))
	keepPrivate(h)
}

// choseInferred does with the profile what a new choice asks for: what is not
// granted any more is erased, and enters no aggregate.
func (x *exchange) choseInferred(h *fasthttp.ResponseHeader, a *control.Answer) {
	stays := a.Choice.Granted.Has(abi.Personalize) && !a.EraseAll
	in := x.inferredFor(abi.Personalize)
	if rec := x.tenant.recommender; rec != nil && in != nil && in.session != 0 && (!stays || !a.Choice.Granted.Has(abi.Measure)) {
		rec.CloseSession(in.session, true)
	}
	switch {
	case stays && in != nil && !in.Empty() && !in.newer:
		if !a.Choice.Granted.Has(abi.Measure) {
			in.session = 0
		}
		in.changed = false
		written := max(uint32(x.began.Unix()), uint32(a.Choice.At.Unix()))
		x.keepForSubject(in, written)
		x.setCookie(h, useInferred, in.encode(x.tenant.epoch(), written, x.owner()))
	case x.cookies.inferred.n > 0:
		x.setCookie(h, useInferred, nil)
	}
}

// catalogueNames are what the catalogue calls its numbers, for people.
type catalogueNames struct{ *recommend.Catalogue }

// Item implements profile.Names.
func (n catalogueNames) Item(number uint32) string {
	it, _ := n.Catalogue.Item(number)
	return it.Title
}

// Value implements profile.Names.
func (n catalogueNames) Value(number uint32) (attribute, value string) {
	attribute, value, _ = n.Attribute(number)
	return attribute, value
}

// ID returns the tenant's id of an item, "" if it is not offered now.
func (n catalogueNames) ID(number uint32) string {
	it, _ := n.Catalogue.Item(number)
	return it.ID
}

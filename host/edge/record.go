package edge

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"

	"bespoke/host/consent"
	"bespoke/host/ledger"
	"bespoke/modules/abi"
)

// A Ledger is where an Edge records what it did; [ledger.Ledger] is one. It is
// safe for concurrent use.
type Ledger interface {
	// Reserve makes room for the record of one exchange. Where it reports false,
	// nothing may be done in the exchange that would have to be recorded.
	Reserve() bool
	// Exchange takes a record. It keeps nothing of x: that is the caller's again
	// when it returns, and so are the bytes of its strings.
	Exchange(x *ledger.Exchange, reserved bool)
	Event(ledger.Event)
	// Pseudonym hides who is meant, under a key that is destroyed on schedule.
	Pseudonym(dst *[8]byte, tenant string, id []byte)
	// SealDigest keys a digest with that key, so that nobody can try out of what it is.
	SealDigest(sum [32]byte) [32]byte
}

// SampleEvery is of how many exchanges one has the digests of its bodies
// recorded, unless Config says otherwise.
const SampleEvery = 64

// A recording is what is noted of an exchange on the way, and room for its record.
// It stays with its exchange from one use to the next.
type recording struct {
	reserved bool     // there is room for the record
	personal bool     // some policy was given what the visitor set, or what is known of them
	did      []done   // by the route's policies, once their versions are chosen
	bits     []uint64 // of did: see done
	in, out  tap      // of the bodies, where they are sampled

	record   ledger.Exchange
	policies []ledger.Policy
	id       []byte
	plan     hash.Hash
	text     []byte // goes into plan
}

// reset readies r for the next exchange.
func (r *recording) reset() {
	r.reserved, r.personal = false, false
	r.did, r.bits = r.did[:0], r.bits[:0]
	r.in.reset()
	r.out.reset()
}

// begin makes room for what the policies do whose versions were chosen.
func (r *recording) begin(picks []pick) {
	for i := range picks {
		words := picks[i].reads.words()
		r.did = append(r.did, done{reads: len(r.bits), words: words})
		for range words * readUndeclared {
			r.bits = append(r.bits, 0)
		}
	}
}

// sampled reports whether the digests of this exchange's bodies are recorded. It
// is a matter of their number alone, and of nobody who asks.
func (e *Edge) sampled() bool {
	return e.ledger != nil && e.sample > 0 && e.counted.Add(1)%uint64(e.sample) == 0
}

// reserve makes sure that what is done for the visitor can be recorded. If not,
// they are taken to have refused.
func (x *exchange) reserve() {
	if l := x.edge.ledger; l != nil {
		x.rec.reserved = l.Reserve()
		x.unrecorded = !x.rec.reserved
	}
}

// record has the ledger record the exchange, and the log tell of it.
func (x *exchange) record(f fault) {
	if f == noFault {
		f = x.late
	}
	exhibit, in, out := x.endExhibit(f)
	x.count(f)
	x.logLine(f)
	l := x.edge.ledger
	if l == nil {
		return
	}
	r, e := x.rec, x.compose(f)
	if r.in.whole && r.out.whole {
		r.in.sum(&e.In)
		r.out.sum(&e.Out)
	}
	if exhibit != "" {
		e.Exhibit, e.In, e.Out = exhibit, in, out
	}
	if r.personal {
		e.Sealed = true
		seal(l, e)
	}
	x.pseudonym(&e.Pseudonym)
	l.Exchange(e, r.reserved)
	r.reserved = false
}

// compose writes the record, but for digests of bodies and what needs the ledger. A
// replay must come to the same.
func (x *exchange) compose(f fault) *ledger.Exchange {
	r := x.rec
	r.record = ledger.Exchange{Time: x.began, Served: servedNames[x.tally.served], Status: x.ctx.Response.StatusCode(), Fault: f.String()}
	e := &r.record
	if x.tenant != nil {
		e.Tenant = x.tenant.name
	}
	if x.route != nil {
		e.Route = x.route.Path
		e.Policies = x.recordPolicies()
	}
	if x.tally.decided {
		e.Decision = x.edge.decided(&x.decision)
	}
	x.recordEdits(e)
	return e
}

// seal keys the digests of a record.
func seal(l Ledger, e *ledger.Exchange) {
	if e.Plan != [16]byte{} {
		var sum [32]byte
		copy(sum[:], e.Plan[:])
		sum = l.SealDigest(sum)
		copy(e.Plan[:], sum[:])
	}
	if e.In != [32]byte{} {
		e.In, e.Out = l.SealDigest(e.In), l.SealDigest(e.Out)
	}
}

// decided writes down a decision. There are few that differ, so their text is kept.
func (e *Edge) decided(d *consent.Decision) *ledger.Decision {
	return e.decisions.of(d.Settled(), func() ledger.Decision { return writeDecision(d) })
}

// writeDecision writes down a decision. Where the visitor is shows only where their place
// settled something.
func writeDecision(d *consent.Decision) ledger.Decision {
	w := ledger.Decision{Facts: string(d.Facts().AppendText(nil)), Purposes: make([]ledger.PurposeDecision, abi.Purposes)}
	for p := range abi.Purpose(abi.Purposes) {
		w.Purposes[p] = ledger.PurposeDecision{Purpose: p.String(), Granted: d.Grants(p), Rule: d.Rule(p).String(), Signal: d.Signal(p).String()}
		if d.Rule(p) == consent.ByJurisdiction {
			w.Jurisdiction = d.Jurisdiction.ID
		}
	}
	w.Encode()
	return w
}

// recordPolicies writes down what the route's policies did.
func (x *exchange) recordPolicies() []ledger.Policy {
	r := x.rec
	r.policies = r.policies[:0]
	for i := range x.route.policies {
		p := &x.route.policies[i]
		one := ledger.Policy{Name: p.name, Outcome: outcomeIdle}
		pk := &p.fixed
		if i < len(x.picks) {
			pk = &x.picks[i]
			if pk.module == nil {
				one.Outcome = outcomeMissing
			}
		}
		one.Digest, one.Version = pk.digest, pk.version
		if i < len(r.did) {
			d := &r.did[i]
			switch {
			case d.failed != "":
				one.Outcome = d.failed
			case d.ran:
				one.Outcome = outcomeRan
			}
			one.Edits = d.edits
			one.Reads = pk.reads.list(r.bits[d.reads:], d)
		}
		r.policies = append(r.policies, one)
	}
	return r.policies
}

// recordEdits writes down what policies emitted, and what became of it.
func (x *exchange) recordEdits(e *ledger.Exchange) {
	if e.Edits = len(x.edits); e.Edits > 0 {
		e.Plan = x.rec.planDigest(x.edits)
	}
	e.Untouched = x.untouched.String()
	if x.body == nil {
		return
	}
	report := x.body.report()
	for _, n := range report.Applied {
		if e.Applied += n; n == 0 {
			e.NotApplied++
		}
	}
	if report.Stopped != 0 {
		e.Stopped = report.Stopped.String()
	}
}

// planDigest is the first half of the SHA-256 of edits: for each its number (a
// byte), and its target and two arguments, each after its length as an unsigned
// LEB128 number.
func (r *recording) planDigest(edits []abi.Edit) (d [16]byte) {
	if r.plan == nil {
		r.plan = sha256.New()
	}
	r.plan.Reset()
	r.text = r.text[:0]
	for i := range edits {
		e := &edits[i]
		r.text = append(r.text, byte(e.Op))
		for _, s := range [...]string{e.Target, e.A, e.B} {
			r.text = append(binary.AppendUvarint(r.text, uint64(len(s))), s...)
		}
		if len(r.text) > planText {
			r.plan.Write(r.text)
			r.text = r.text[:0]
		}
	}
	r.plan.Write(r.text)
	r.text = r.plan.Sum(r.text[:0])
	copy(d[:], r.text)
	if clear(r.text[:cap(r.text)]); cap(r.text) > 4*planText {
		r.text = nil
	}
	return d
}

// planText is how much of a plan's text is gathered before it is digested.
const planText = 16 << 10

// pseudonym tells the visitor from others, where they may be known. It is of what
// the site knows them by already, and of nothing that was made for the record: the
// subject, else the session of their profile, if somebody opened it. Otherwise it
// stays zero.
func (x *exchange) pseudonym(dst *[8]byte) {
	if !x.tally.decided || !x.decision.Grants(abi.Personalize) {
		return
	}
	r := x.rec
	switch {
	case x.subject.key != "":
		r.id = append(r.id[:0], x.subject.key...)
	case x.inferred != nil && x.inferred.session != 0:
		r.id = binary.BigEndian.AppendUint64(r.id[:0], x.inferred.session)
	default:
		return
	}
	x.edge.ledger.Pseudonym(dst, x.tenant.name, r.id)
	clear(r.id)
}

// recordRefused records a request that never became an exchange.
func (e *Edge) recordRefused(f fault) {
	if e.ledger != nil {
		e.ledger.Exchange(&ledger.Exchange{Time: e.now(), Served: servedNames[servedEdge], Status: faults[f].status, Fault: f.String()}, false)
	}
}

// A tap digests a body that passes. The zero value is closed.
type tap struct {
	open  bool
	whole bool // the body ended as it should
	hash  hash.Hash
	src   io.Reader
	room  [sha256.Size]byte
}

func (t *tap) reset() { t.open, t.whole, t.src = false, false, nil }

func (t *tap) start() {
	if t.hash == nil {
		t.hash = sha256.New()
	}
	t.hash.Reset()
	t.open = true
}

// add takes a part of the body.
func (t *tap) add(b []byte) {
	if t.open {
		t.hash.Write(b)
	}
}

// end says that the body was whole.
func (t *tap) end() { t.whole = t.open }

func (t *tap) sum(dst *[sha256.Size]byte) {
	t.hash.Sum(t.room[:0])
	*dst = t.room
}

// Read passes on what src has.
func (t *tap) Read(b []byte) (int, error) {
	n, err := t.src.Read(b)
	t.add(b[:n])
	if err == io.EOF {
		t.end()
	}
	return n, err
}

// sample begins to digest the bodies, if the exchange is one of the sample.
func (x *exchange) sample() {
	if x.edge.sampled() {
		x.rec.in.start()
		x.rec.out.start()
	}
}

// originBody is the origin's body, digested on its way if it is sampled, and kept if
// it may be exhibited.
func (x *exchange) originBody() io.Reader {
	src := x.in.BodyStream()
	if x.exhibit != nil && x.exhibit.why == "" {
		src = io.TeeReader(src, &x.exhibit.body)
	}
	if t := &x.rec.in; t.open {
		t.src = src
		return t
	}
	return src
}

package edge

import (
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/geo"
	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/host/rewrite"
	"bespoke/modules/abi"
)

// An exchange is one request of a visitor and its response. It is owned by the
// goroutine that handles the request; a streamed body is written by the same
// goroutine after the handler returns.
type exchange struct {
	edge  *Edge
	ctx   *fasthttp.RequestCtx // the visitor's side, and what goes to the origin
	snap  *snapshot
	began time.Time

	host      []byte // lower case, no port; valid while the request is
	local     bool   // the host is this machine, as in development
	path      string // decoded and normalized, for routes and policies
	unchunked bool   // the visitor speaks HTTP/1.0, and knows no chunks
	tenant    *tenant
	route     *route
	seen      visible // what policies may see of the request

	peer       netip.Addr // who the connection is from
	trusted    bool       // the peer is a trusted proxy
	place      geo.Place  // as far as the decision grants; the rest is gone
	decision   consent.Decision
	unrecorded bool        // what is done cannot be recorded, so nothing is granted
	stands     consent.Set // what would be granted if it could be recorded
	stricter   bool        // the site asks where the rules of the place would not
	cookies    ownCookies  // of ours, that came
	kept       keptChoice
	subject    subject
	declared   profile.Preferences
	hidden     hiddenItems
	inferred   *inferred // nil: nobody asked, or it is not granted
	item       string    // of the catalogue, that the page shows
	told       *answers  // answers to policies about items; nil: none

	in          *fasthttp.Response // the origin's answer
	kind        kind               // of its body, if that may be edited
	contentType string
	picks       []pick         // which version of each policy runs
	pickBuf     [4]pick        // holds picks
	view        view           // of the run that is under way
	witness     witness        // of runs; nil: none
	script      *script        // of an exchange that is run again; nil: it is served
	exhibit     *capture       // what is kept of this exchange; nil: nothing
	edits       []abi.Edit     // what policies emitted, in order
	own         []abi.Edit     // of bodyEdits
	drafts      rewrite.Drafts // what checking edits of the body left for the plan
	failed      int            // policies whose run failed
	located     bool           // some policy was given a place
	body        *body          // how the body is rewritten; nil: it passes
	late        fault          // why a body did not go out whole
	uploading   int64          // bytes of the upload budget that it holds
	untouched   untouched      // why the body's edits were not even tried
	streamed    bool           // the body is written after the handler returns
	stream      *stream        // which, if it is one
	passing     *[]byte        // of buffers: a body that passes as it is
	parcel      parcel         // what is sent of a body that is whole in memory
	scratch     []byte         // for values of headers
	tally       tally          // for the figures
	rec         *recording     // what is noted of it
}

var exchanges = sync.Pool{New: func() any { return &exchange{rec: new(recording)} }}

// handle is the life of a response.
func (e *Edge) handle(ctx *fasthttp.RequestCtx) {
	snap := e.acquire()
	if snap == nil {
		stopping.answer(ctx)
		e.recordRefused(stopping)
		return
	}
	x := exchanges.Get().(*exchange)
	x.edge, x.ctx, x.snap, x.began = e, ctx, snap, e.now()
	x.tally.open(e, x.began)
	x.sample()
	f := x.runSafely()
	if f != noFault {
		f.answer(ctx)
		x.tally.served = servedEdge
	}
	x.tally.answered = e.tick()
	if x.exhibit != nil {
		x.exhibit.ready()
	}
	if e.draining.Load() {
		ctx.SetConnectionClose()
	}
	if !x.streamed { // else it ends with its body
		x.record(f)
		x.end()
	}
}

// runSafely turns a panic, which would end the process for every site, into a
// fault. What it says may quote a visitor, so only where it happened is logged.
func (x *exchange) runSafely() (f fault) {
	defer func() {
		if r := recover(); r != nil {
			x.edge.log.LogAttrs(x.edge.ctx, slog.LevelError, "panic", slog.String("at", string(debug.Stack())))
			x.streamed, x.body = false, nil // it may be broken
			x.parcel.x = nil
			if x.stream != nil {
				x.stream.x = nil // closing it does not end the exchange: handle does
			}
			f = internal
		}
	}()
	return x.run()
}

// end gives back all that the exchange held. Nothing of it may be used after.
func (x *exchange) end() {
	if x.in != nil && x.in != &x.ctx.Response {
		fasthttp.ReleaseResponse(x.in)
	}
	x.endExhibit(internal) // unless record did
	x.snap.release()
	x.edge.uploads.Add(-x.uploading)
	if b := x.body; b != nil {
		b.close()
	}
	if x.inferred != nil {
		x.inferred.close()
	}
	if x.told != nil {
		x.told.close()
	}
	if x.passing != nil {
		buffers.Put(x.passing)
	}
	edits, own := x.edits, x.own
	clear(edits[:cap(edits)]) // they hold what a policy made of this visitor's data
	clear(own[:cap(own)])
	x.cookies.reset()
	x.drafts.Reset()
	x.rec.reset()
	*x = exchange{rec: x.rec, edits: edits[:0], own: own[:0], scratch: x.scratch[:0], cookies: x.cookies, drafts: x.drafts, tally: tally{shard: x.tally.shard}}
	exchanges.Put(x)
}

// run is every phase, in order. Each phase says beside itself what it leaves in
// the exchange; a fault ends it.
func (x *exchange) run() fault {
	// 1. Which site is this?
	if f := x.findTenant(); f != noFault {
		return f
	}
	x.beginTrace()
	if f := x.takeBody(); f != noFault {
		return f
	}

	// What is between the visitor and the edge stays here.
	x.keepCookies()
	x.ctx.Request.Header.DelBytes(nameSubject)

	// Where nothing can be tailored, nothing is asked about the visitor.
	if x.tailors() {
		// 2. Where is the visitor? No later phase looks at the address.
		whole := x.findPlace()

		// 3. What did the visitor grant? What they did not is dropped here, and so is
		// all of it where it could not be recorded.
		x.reserve()
		x.decide(whole)

		// 4. What did the visitor tell us themselves? It is opened when a policy
		// wants to know (preferences), whatever was decided. What the site worked out
		// about them is opened then, too, but only as far as the decision grants.
	}
	if x.ownPage() {
		x.tally.served = servedCentre
		return noFault
	}

	x.beginExhibit()

	// 5. What do policies want of the request?
	if x.route != nil && x.route.request {
		x.runPolicies(abi.OnRequest)
		if x.redirected() {
			x.tally.served = servedPolicy
			x.follow()
			return noFault
		}
	}

	// 6. What does the origin say?
	if f := x.askOrigin(); f != noFault {
		return f
	}

	// What it says to the edge alone.
	x.takeSubject()
	x.renewChoice()

	// 7. What do policies want of the response?
	if x.rewritable() {
		x.openBody()
		if x.route.response {
			x.runPolicies(abi.OnResponse)
		}
		x.findItem()
		// 8. The body goes through their edits.
		x.rewrite()
	} else {
		x.findItem()
		x.passOn()
	}

	// 9. Headers that are true to what was done, and what the visitor did.
	x.finishHeader()
	x.keepWhy()
	x.follow()

	// 10. One record, and the end: in handle, or when a streamed body is sent.
	return noFault
}

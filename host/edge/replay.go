package edge

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/host/audit/exhibit"
	"bespoke/host/config"
	"bespoke/host/consent"
	"bespoke/host/ledger"
	"bespoke/host/profile"
	"bespoke/host/rewrite"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// A Replayer runs exhibits again, in an edge that knows nothing else: its world is
// what the exhibit says. It is for one goroutine.
type Replayer struct {
	dir     string
	cache   string // folder of compiled code; "": none, as who writes there runs code here
	edge    *Edge
	engines map[exhibit.Limits]*Modules
}

// NewReplayer returns a Replayer of the exhibits in dir, whose modules it takes from
// there, too. The caller closes it.
func NewReplayer(ctx context.Context, dir string) (*Replayer, error) {
	var key profile.Key
	if _, err := rand.Read(key[:]); err != nil { // it seals nothing that anybody keeps
		return nil, err
	}
	sealer, err := profile.NewSealer(key)
	if err != nil {
		return nil, err
	}
	modules, err := NewModules(ctx, engine.Config{})
	if err != nil {
		return nil, err
	}
	e, err := New(Config{Site: &config.Config{Limits: config.DefaultLimits()}, Modules: modules, Sealer: sealer})
	if err != nil {
		return nil, errors.Join(err, modules.Close())
	}
	return &Replayer{dir: dir, edge: e, engines: map[exhibit.Limits]*Modules{}}, nil
}

// Close frees what the Replayer holds.
func (r *Replayer) Close() (err error) {
	for _, m := range r.engines {
		err = errors.Join(err, m.Close())
	}
	return errors.Join(err, r.edge.current.Load().modules.Close())
}

// Bounds of the work that a replay takes upon itself for what an exhibit says.
const (
	maxReplayPages  = 16384 // 1 GiB
	maxReplayMillis = 60_000
	maxDifferences  = 8
)

// Replay runs an exhibit's policies on its inputs, and its page through their edits,
// as the exchange was run. It returns what came out otherwise, nothing if all was
// equal to the byte. An error says that the exhibit cannot be run.
//
// With recorded, what the ledger would be told must be that, too.
func (r *Replayer) Replay(e *exhibit.Exhibit, recorded *ledger.Exchange) (differences []string, err error) {
	facts, err := consent.ParseFacts(e.Facts)
	if err != nil {
		return nil, fmt.Errorf("exhibit: %w", err)
	}
	snap, err := r.world(e)
	if err != nil {
		return nil, fmt.Errorf("exhibit: %w", err)
	}
	alone := r.edge.current.Swap(snap)
	defer r.edge.current.Store(alone)

	var ctx fasthttp.RequestCtx
	ctx.Init(requestOf(e), nil, nil)
	snap.refs.Add(1)
	x := exchanges.Get().(*exchange)
	w := &rerun{x: x, e: e, at: -1}
	x.edge, x.ctx, x.snap, x.began, x.witness = r.edge, &ctx, snap, e.Time, w
	x.script = &script{decision: facts.Decide(), origin: e.Origin, band: w.band}
	x.script.decision.Ask = e.Asks
	defer x.end()
	f := x.runSafely()
	if f != noFault {
		w.differ("the exchange ends with the fault %s/%s", faults[f].source, faults[f].name)
		return w.differences, nil
	}
	if granted := grantedNames(x); !slices.Equal(granted, e.Granted) {
		w.differ("the decision from the facts %q grants %v, the exhibit says %v", e.Facts, granted, e.Granted)
	}
	if n := w.at + 1; n < len(e.Runs) {
		w.differ("%d runs, the exhibit has %d", n, len(e.Runs))
	}
	w.compareAnswer()
	if recorded != nil {
		w.compareRecord(recorded)
	}
	return w.differences, nil
}

// requestOf returns the request as far as the exhibit has it.
func requestOf(e *exhibit.Exhibit) *fasthttp.Request {
	req := new(fasthttp.Request)
	h := &req.Header
	h.SetMethod(e.Request.Method)
	h.SetRequestURI(string(e.Request.Target))
	h.SetHost(e.Request.Host)
	for _, f := range e.Request.Header {
		h.Add(f.Name, string(f.Value))
	}
	if e.Request.Secure {
		h.SetCanonical(nameForwardedProto, []byte("https"))
	}
	return req
}

// world returns a configuration of one site, as it was.
func (r *Replayer) world(e *exhibit.Exhibit) (*snapshot, error) {
	zone, err := time.LoadLocation(e.Zone)
	if err != nil {
		return nil, err
	}
	scheme, host, ok := strings.Cut(e.Site, "://")
	if !ok {
		return nil, fmt.Errorf("site %.100q: want a scheme and a host", e.Site)
	}
	t := &tenant{name: e.Tenant, origin: &origin{scheme: scheme, host: host}, zone: zone, compiler: rewrite.NewCompiler(rememberedTargets)}
	rt := route{Route: config.Route{Path: e.Route}, request: true, response: true, headers: true}
	for i := range e.Policies {
		p, err := r.policy(&e.Policies[i])
		if err != nil {
			return nil, err
		}
		rt.policies = append(rt.policies, p)
	}
	t.routes = []route{rt}
	site := config.Config{Limits: config.DefaultLimits(), Tenants: []config.Tenant{{Name: e.Tenant}}}
	s := &snapshot{site: &site, modules: r.edge.current.Load().modules, exact: map[string]*tenant{}}
	s.trusted = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 32)} // whom a request without a connection is from
	s.exact[string(hostname(nil, []byte(e.Request.Host)))] = t
	s.count(r.edge.meters)
	s.refs.Store(1)
	return s, nil
}

// policy returns a use of a module, compiled under the limits that it ran under.
func (r *Replayer) policy(p *exhibit.Policy) (policy, error) {
	out := policy{name: p.Name, ref: config.Ref{Kind: config.File, Name: p.Name}}
	for _, s := range p.With {
		out.with = append(out.with, config.Setting{Name: s.Name, Value: string(s.Value)})
	}
	if p.Module == "" {
		return out, nil
	}
	l := abi.Limits(p.Limits)
	if l.MemoryPages > maxReplayPages || l.RunMillis > maxReplayMillis || l.InitMillis > maxReplayMillis {
		return out, fmt.Errorf("policy %.100q: limits of %d pages, %d ms and %d ms are beyond what a replay allows", p.Name, l.MemoryPages, l.RunMillis, l.InitMillis)
	}
	m := r.engines[p.Limits]
	if m == nil {
		var err error
		if m, err = NewModules(context.Background(), engine.Config{CacheDir: r.cache, Limits: l}); err != nil {
			return out, err
		}
		r.engines[p.Limits] = m
	}
	mod, err := m.load(p.Module, func() ([]byte, error) { return exhibit.Module(r.dir, p.Module) })
	if err != nil {
		return out, err
	}
	manifest, ok := mod.Manifest(p.Entry)
	switch {
	case ok:
	case len(mod.Manifests()) == 0: // runs, and reads nothing
		manifest = &abi.Manifest{Name: p.Entry}
	default:
		return out, fmt.Errorf("policy %.100q: the module %s has no policy %.100q", p.Name, p.Module, p.Entry)
	}
	out.fixed = pick{module: mod, manifest: manifest, reads: newReadable(manifest), digest: shortDigest(mod.Digest()), page: readsFamily(manifest, abi.KeyPage), version: p.Version}
	return out, nil
}

// A script stands for what an exchange would ask, of the visitor and of the origin.
type script struct {
	decision consent.Decision
	origin   *exhibit.Answer                 // nil: it was not asked
	band     func(key string) ([]byte, bool) // the items of a band
}

func (s *script) answer(in *fasthttp.Response) fault {
	if s.origin == nil {
		return originDown
	}
	in.SetStatusCode(s.origin.Status)
	in.Header.SetNoDefaultContentType(true)
	for _, f := range s.origin.Header {
		in.Header.Add(f.Name, string(f.Value))
	}
	if s.origin.Status != 204 && s.origin.Status != 304 {
		in.SetBodyStream(bytes.NewReader(s.origin.Body), s.origin.Length)
	}
	return noFault
}

// A rerun compares the runs of an exchange with those of an exhibit. It is the
// [witness] of a replay.
type rerun struct {
	x           *exchange
	e           *exhibit.Exhibit
	at          int // the run that is under way
	reads       int // of it, so far
	edits       int
	differences []string
}

func (w *rerun) differ(format string, args ...any) {
	if len(w.differences) < maxDifferences {
		w.differences = append(w.differences, fmt.Sprintf(format, args...))
	}
}

// run returns what the exhibit has of the run under way, nil for nothing.
func (w *rerun) run() *exhibit.Run {
	if w.at >= len(w.e.Runs) {
		return nil
	}
	return &w.e.Runs[w.at]
}

// name names the run under way.
func (w *rerun) name() string {
	r := w.run()
	return fmt.Sprintf("run %d (%s, %s)", w.at+1, w.e.Policies[r.Policy].Name, r.Phase)
}

func (w *rerun) begins(p *policy, _ *pick, ph abi.Phase) {
	w.at++
	w.reads, w.edits = 0, 0
	r := w.run()
	if r == nil {
		w.differ("run %d (%s, %s): the exhibit has no more", w.at+1, p.name, phaseName(ph))
		return
	}
	if p != &w.x.route.policies[r.Policy] || r.Phase != phaseName(ph) {
		w.differ("%s: it is of %s, %s", w.name(), p.name, phaseName(ph))
		w.at = len(w.e.Runs) // nothing after it can be compared
	}
}

// next returns what the exhibit has of the read under way, nil for nothing.
func (w *rerun) next() *exhibit.Read {
	if r := w.run(); r != nil && w.reads < len(r.Reads) {
		return &r.Reads[w.reads]
	}
	return nil
}

// band answers for the items of a band that is about nobody: they are of a catalogue
// that may have changed since, and so only the exhibit has them.
func (w *rerun) band(key string) ([]byte, bool) {
	r := w.next()
	if r == nil || r.Key != key || r.Value == nil || abi.Classify(key) != abi.Public {
		return nil, false
	}
	return []byte(*r.Value), true
}

// read answers from the exhibit. Its other parts (the request, the settings, the
// clock, the decision, the page) must have led to the same.
func (w *rerun) read(key, value []byte, ok bool) ([]byte, bool) {
	r := w.run()
	if r == nil {
		return value, ok
	}
	k := string(key)
	if w.reads >= len(r.Reads) {
		w.differ("%s, read %d: it is of %q, the exhibit has no more", w.name(), w.reads+1, k)
		return value, ok
	}
	want := &r.Reads[w.reads]
	w.reads++
	if want.Key != k {
		w.differ("%s, read %d: it is of %q, in the exhibit of %q", w.name(), w.reads, k, want.Key)
		return value, ok
	}
	if ok != (want.Value != nil) || ok && string(value) != string(*want.Value) {
		w.differ("%s, read %d: %q is %s, in the exhibit %s", w.name(), w.reads, k, quoteValue(value, ok), quoteRead(want))
	}
	if want.Value == nil {
		return nil, false
	}
	return []byte(*want.Value), true
}

func quoteRead(r *exhibit.Read) string {
	if r.Value == nil {
		return quoteValue(nil, false)
	}
	return quoteValue([]byte(*r.Value), true)
}

func quoteValue(value []byte, ok bool) string {
	if !ok {
		return "absent"
	}
	return fmt.Sprintf("%.80q", value)
}

func (w *rerun) emitted(e abi.Edit, refused abi.Refusal) {
	r := w.run()
	if r == nil {
		return
	}
	got := exhibit.Edit{Op: uint32(e.Op), Target: e.Target, A: e.A, B: e.B, Refused: int32(refused)}
	if w.edits >= len(r.Edits) {
		w.differ("%s, edit %d: it is %.200q, the exhibit has no more", w.name(), w.edits+1, fmt.Sprint(got))
		return
	}
	if want := r.Edits[w.edits]; want != got {
		w.differ("%s, edit %d: it is %.200q, in the exhibit %.200q", w.name(), w.edits+1, fmt.Sprint(got), fmt.Sprint(want))
	}
	w.edits++
}

func (w *rerun) logged(abi.Level, []byte) {}

func (w *rerun) ended(fault error) {
	r := w.run()
	if fault != nil {
		w.differ("run %d fails: %.200s", w.at+1, fault)
	}
	if r == nil || fault != nil {
		return
	}
	if w.reads < len(r.Reads) {
		w.differ("%s: %d reads, the exhibit has %d", w.name(), w.reads, len(r.Reads))
	}
	if w.edits < len(r.Edits) {
		w.differ("%s: %d edits, the exhibit has %d", w.name(), w.edits, len(r.Edits))
	}
}

// compareAnswer compares what would be sent with what was.
func (w *rerun) compareAnswer() {
	out, sent := &w.x.ctx.Response, &w.e.Sent
	if s := out.StatusCode(); s != sent.Status {
		w.differ("the status is %d, %d was sent", s, sent.Status)
	}
	w.compareHeader(sentHeader(w.x), sent.Header)
	streamed := w.x.streamed && w.x.parcel.x == nil
	if n := out.Header.ContentLength(); n != sent.Length || streamed != w.e.Streamed {
		w.differ("the body's length is announced as %d, as %d when it was sent", n, sent.Length)
	}
	body, err := w.x.replayedBody()
	if err != nil {
		w.differ("the body breaks off: %v", err)
		return
	}
	coded := codingOf(out.Header.ContentEncoding())
	if streamed && coded != identity {
		w.compareCoded(body, sent.Body, coded)
		return
	}
	w.compareBody("the body", "was sent", body, sent.Body)
}

func (w *rerun) compareHeader(got, want []exhibit.Field) {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			w.differ("header: %s: %.200q was sent", want[i].Name, string(want[i].Value))
		case i >= len(want):
			w.differ("header: %s: %.200q was not sent", got[i].Name, string(got[i].Value))
		case got[i] != want[i]:
			w.differ("header: %s: %.200q, %s: %.200q was sent", got[i].Name, string(got[i].Value), want[i].Name, string(want[i].Value))
		}
	}
}

// compareCoded compares the texts of bodies that were coded piece by piece.
func (w *rerun) compareCoded(got, want []byte, coded coding) {
	a, err := decoded(got, coded)
	b, err2 := decoded(want, coded)
	if err = errors.Join(err, err2); err != nil {
		w.differ("the body cannot be decoded: %v", err)
		return
	}
	w.compareBody("the decoded body", "was sent", a, b)
}

// decoded returns the text of a coded body.
func decoded(coded []byte, by coding) ([]byte, error) {
	b := bodies.Get().(*body)
	defer b.close()
	b.open(bytes.NewReader(coded), by, 16*exhibit.MaxBody)
	if !b.all(16 * exhibit.MaxBody) {
		if b.late != nil && b.late != io.EOF {
			return nil, b.late
		}
		return nil, errTooLarge
	}
	return bytes.Clone(b.head), nil
}

// compareRecord compares the record that the replay would leave with the ledger's.
func (w *rerun) compareRecord(recorded *ledger.Exchange) {
	got := w.x.compose(noFault)
	// These the exhibit does not have, or is checked against in another way: the name is
	// of its hash.
	got.Exhibit, got.Out = recorded.Exhibit, sha256.Sum256(w.e.Sent.Body)
	if w.e.Origin != nil {
		got.In = sha256.Sum256(w.e.Origin.Body)
	}
	if d := got.Decision; d != nil && recorded.Decision != nil {
		got.Decision = &ledger.Decision{Jurisdiction: recorded.Decision.Jurisdiction, Facts: d.Facts, Purposes: d.Purposes}
	}
	w.compareBody("the record", "is in the ledger", got.AppendJSON(nil), recorded.AppendJSON(nil))
}

// compareBody tells the first byte that differs.
func (w *rerun) compareBody(what, is string, got, want []byte) {
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	w.differ("%s differs from byte %d on: %q, %q %s (%d bytes, and %d)", what, at, around(got, at), around(want, at), is, len(got), len(want))
}

// around returns the bytes about one.
func around(b []byte, at int) []byte { return b[min(max(at-24, 0), len(b)):min(at+40, len(b))] }

// replayedBody returns the body that would be sent.
func (x *exchange) replayedBody() (b []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	if !x.streamed {
		return x.ctx.Response.Body(), nil
	}
	if x.parcel.x != nil {
		return x.parcel.take(x), nil
	}
	var out bytes.Buffer
	_, err = x.ctx.Response.BodyStream().(io.WriterTo).WriteTo(&out)
	return out.Bytes(), err
}

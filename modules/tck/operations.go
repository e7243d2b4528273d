package tck

import (
	"errors"
	"fmt"
	"slices"

	"bespoke/modules/abi"
)

// An attempt is an edit that is refused: with want, or with or if that is not zero.
type attempt struct {
	edit abi.Edit
	want abi.Refusal
	or   abi.Refusal
}

// An operation is what there is to try of one.
type operation struct {
	section string
	phases  []abi.Phase // in which it may be emitted
	right   string      // needed by good
	good    []abi.Edit  // the first is the simplest: a host that carries out the operation takes it
	bad     []attempt   // by their target or arguments
}

const order = "by=distance\nlat=data-lat\nlon=data-lon\nat=52.5,13.4"

func operations() []operation {
	response, request := []abi.Phase{abi.OnResponse}, []abi.Phase{abi.OnRequest}
	either := []abi.Phase{abi.OnRequest, abi.OnResponse}
	body := func(op abi.Op, a, b string, bad ...attempt) operation {
		o := operation{section: secBody, phases: response, good: []abi.Edit{
			{Op: op, Target: "#t", A: a, B: b}, {Op: op, Target: "ul > li.new", A: a, B: b},
		}}
		for i := range bad {
			bad[i].edit.Op, bad[i].edit.Target = op, "#t"
		}
		for _, target := range []string{"[", "", "#t >", "}"} {
			bad = append(bad, attempt{abi.Edit{Op: op, Target: target, A: a, B: b}, abi.RefusedTarget, 0})
		}
		o.bad = bad
		return o
	}
	arg := func(a, b string) attempt { return attempt{abi.Edit{A: a, B: b}, abi.RefusedArgument, 0} }
	html := body(abi.OpHTML, "<b>x</b>", "")
	html.right = abi.RightHTML
	all := []operation{
		body(abi.OpText, "a < b", ""), html,
		body(abi.OpAttr, "title", "a \"b\"", arg("", "x"), arg("a b", "x"), arg("a=b", "x"), arg("a>", "x"),
			arg("onclick", "x"), arg("ONCLICK", "x"), arg("style", "x"), arg("srcdoc", "x"),
			arg("href", "javascript:x"), arg("HREF", "JavaScript:x"), arg("src", "data:text/html,x"), arg("href", "java\nscript:x"), arg("href", " javascript:x")),
		body(abi.OpUnsetAttr, "title", "", arg("", ""), arg("a b", "")),
		body(abi.OpAddClass, "new", "", arg("", ""), arg("a b", ""), arg("a\tb", "")),
		body(abi.OpRemoveClass, "new", "", arg("", ""), arg("a b", "")),
	}
	for op := abi.OpBefore; op <= abi.OpReplace; op++ {
		all = append(all, body(op, "text", "", arg("text", "xml")))
	}
	all = append(all, body(abi.OpRemove, "", ""), body(abi.OpUnwrap, "", ""), orders(body, arg), keeps(body, arg), fills(body, arg))
	return append(all, exchangeOperations(request, either)...)
}

// orders adds to the forms of order those that body does not know.
func orders(body func(abi.Op, string, string, ...attempt) operation, arg func(a, b string) attempt) operation {
	o := body(abi.OpOrder, order, "",
		arg("", ""), arg("by=luck", ""), arg("distance", ""), arg(order+"\nby=distance", ""), arg("by=attr", ""),
		arg("by=distance\nlat=a\nlon=b", ""), arg("by=distance\nlat=a\nlon=b\nat=91,0", ""), arg("by=distance\nlat=a\nlon=b\nat=here", ""),
		arg("by=distance\nlon=b\nat=1,1", ""), arg("by=attr\nattr=a\nas=luck", ""), arg("by=attr\nattr=a\ndir=up", ""),
		arg("by=affinity", ""), arg("by=affinity\nweight.a=red", ""), arg("by=affinity\nweight.a=red:much", ""), arg("by=affinity\nweight.a b=red:1", ""),
		arg("by=affinity\nweight.a=red:1\ndecay=0", ""), arg("by=affinity\nweight.a=red:1\ndecay=2", ""), arg("by=ids\nids=", ""),
		arg(order, "unit=furlong"), arg(order, "items=["), arg(order, "items=a b"), arg(order, "show=p > b"), arg(order, "items"))
	for _, ab := range [][2]string{
		{"at=52.5,13.4\nlon=data-lon\nlat=data-lat\nby=distance\n", "unit=mi\nshow=.far\nitems=li.shop"},
		{"by=attr\nattr=data-price", ""},
		{"by=attr\nattr=data-price\nas=number\ndir=desc", ""},
		{"by=attr\nattr=data-price\nas=text\ndir=asc", "items=li"},
		{"by=attr\nattr=data-day\nas=date\ndir=desc", ""},
		{"by=ids\nids=a b c", ""},
		{"by=affinity\nweight.data-colour=black:3|brushed nickel:1.5\nweight.data-room=bath:1\ndecay=0.25", "items=li"},
		{"by=affinity\nweight.data-colour=black:1", ""},
	} {
		o.good = append(o.good, abi.Edit{Op: abi.OpOrder, Target: "#t", A: ab[0], B: ab[1]})
	}
	return o
}

func keeps(body func(abi.Op, string, string, ...attempt) operation, arg func(a, b string) attempt) operation {
	const place = "\nlat=a\nlon=b\nat=1.5,-1"
	o := body(abi.OpKeep, "first=3", "",
		arg("", ""), arg("first=0", ""), arg("first=-1", ""), arg("first=1.5", ""), arg("first=many", ""), arg("first=1\nfirst=2", ""),
		arg("within=1", ""), arg("within=far"+place, ""), arg("first=1", "unit=furlong"), arg("last=1", ""),
		arg("attr=a", ""), arg("attr=a b\nin=c", ""), arg("in=c", ""), arg("attr=a\nmin=few", ""), arg("attr=a\nmax=", ""), arg("attr=a\nfrom=p\nin=b", ""))
	for _, ab := range [][2]string{
		{"within=10" + place, ""}, {"within=2.5\nfirst=3" + place, "items=li\nshow=.far\nunit=km"},
		{"attr=data-kind\nin=shop|cafe", ""}, {"attr=data-kind\nnot=bar\nfirst=5", ""}, {"attr=data-price\nmin=1\nmax=2.5", ""},
		{"from=.price\nmax=20", ""}, {"from=a.kind@title\nin=shop", ""}, {"ids=a b", ""}, {"drop=c d\nfirst=2", "items=li"},
	} {
		o.good = append(o.good, abi.Edit{Op: abi.OpKeep, Target: "#t", A: ab[0], B: ab[1]})
	}
	return o
}

func fills(body func(abi.Op, string, string, ...attempt) operation, arg func(a, b string) attempt) operation {
	o := body(abi.OpFill, "title=Black\nurl=/black", "",
		arg("title", ""), arg("=Black", ""), arg("a b=c", ""), arg("title=a\ntitle=b", ""), arg("title=a", "html"))
	for _, a := range []string{"", "title=a\n\ntitle=b\nurl=/b?x=y\n", "title="} {
		o.good = append(o.good, abi.Edit{Op: abi.OpFill, Target: "#t", A: a})
	}
	return o
}

// exchangeOperations are those that are not of the body.
func exchangeOperations(request, either []abi.Phase) []operation {
	header := func(op abi.Op, phases []abi.Phase, own ...string) operation {
		o := operation{section: secExchange, phases: phases, good: []abi.Edit{{Op: op, Target: "x-tck", A: "a, b"}}}
		for _, target := range append(own, "", "a b", "a:b", "a\r\nb", "é") {
			o.bad = append(o.bad, attempt{abi.Edit{Op: op, Target: target, A: "v"}, abi.RefusedTarget, 0})
		}
		if op == abi.OpRemoveHeader {
			o.good[0].A = ""
			for i := range o.bad {
				o.bad[i].edit.A = ""
			}
			return o
		}
		for _, value := range []string{"a\nb", "a\r\nset-cookie: b", "a\x00"} {
			o.bad = append(o.bad, attempt{abi.Edit{Op: op, Target: "x-tck", A: value}, abi.RefusedArgument, 0})
		}
		return o
	}
	own := []string{"content-length", "Content-Length", "transfer-encoding", "connection", "set-cookie", "cache-control"}
	redirect := operation{section: secExchange, phases: request, good: []abi.Edit{{Op: abi.OpRedirect, Target: "/there"}}}
	for _, status := range []string{"301", "302", "303", "307", "308"} {
		redirect.good = append(redirect.good, abi.Edit{Op: abi.OpRedirect, Target: "/there", A: status})
	}
	for _, status := range []string{"200", "300", "304", "404", "0302", "see other", " 302"} {
		redirect.bad = append(redirect.bad, attempt{abi.Edit{Op: abi.OpRedirect, Target: "/", A: status}, abi.RefusedArgument, 0})
	}
	for _, location := range []string{"", "/a\r\nset-cookie: b", "javascript:x"} {
		redirect.bad = append(redirect.bad, attempt{abi.Edit{Op: abi.OpRedirect, Target: location}, abi.RefusedTarget, 0})
	}
	path := operation{section: secExchange, phases: request, good: []abi.Edit{{Op: abi.OpUpstreamPath, A: "/a/b"}}}
	for _, p := range []string{"", "a", "http://elsewhere/", "/a\r\nb"} {
		path.bad = append(path.bad, attempt{abi.Edit{Op: abi.OpUpstreamPath, A: p}, abi.RefusedArgument, 0})
	}
	return []operation{
		header(abi.OpSetHeader, either, own...), header(abi.OpAddHeader, either, own...), header(abi.OpRemoveHeader, either, own...),
		redirect, header(abi.OpUpstreamHeader, request, "content-length", "transfer-encoding", "connection", "cookie"), path,
		{section: secVisitor, phases: either, good: []abi.Edit{{Op: abi.OpEvent, Target: "view", A: "shoes"}}},
		{section: secVisitor, phases: either, good: []abi.Edit{{Op: abi.OpWhy, A: "near you"}}},
	}
}

func operationCases(Config) []Case {
	var cases []Case
	for _, o := range operations() {
		op := o.good[0].Op
		named := func(what string) string { return fmt.Sprintf("op %d %v/%s", op, op, what) }
		rights := []string(nil)
		if o.right != "" {
			rights = []string{o.right}
		}
		cases = append(cases, Case{o.section, named("taken"), takes(o.phases, rights, o.good)})
		for _, p := range []abi.Phase{abi.OnRequest, abi.OnResponse} {
			if !slices.Contains(o.phases, p) {
				cases = append(cases, Case{o.section, named("not in phase " + p.String()), refusesPhase(p, o.phases[0], rights, o.good[0])})
			}
		}
		if len(o.bad) > 0 {
			cases = append(cases, Case{o.section, named("bad targets and arguments"), refuses(o.phases[0], rights, o.good[0], o.bad)})
		}
		if op == abi.OpHTML {
			cases = append(cases, Case{o.section, named("without the right"), needsRight(o.good[0])})
		}
		if op >= abi.OpBefore && op <= abi.OpReplace {
			markup := abi.Edit{Op: op, Target: "#t", A: "<b>x</b>", B: abi.RightHTML}
			cases = append(cases,
				Case{o.section, named("markup taken"), takes(o.phases, []string{abi.RightHTML}, []abi.Edit{markup})},
				Case{o.section, named("markup without the right"), needsRight(markup)})
		}
	}
	return append(cases,
		Case{secVisitor, "op 48 event/dropped without consent", eventNeedsConsent()})
}

// tries is a policy that emits edits in a phase and says what emit returned.
func tries(p abi.Phase, rights []string, edits ...abi.Edit) []byte {
	g := newGuest()
	var body code
	for _, e := range edits {
		body = append(body, g.say32(g.edits(e))...)
	}
	g.on(p, body)
	g.declares(rights)
	return g.binary()
}

// outcomes runs such a policy, with every purpose granted, and returns what
// emit returned for each edit.
func (t *trial) outcomes(p abi.Phase, rights []string, edits ...abi.Edit) ([]abi.Refusal, Outcome, error) {
	policy, err := t.load(tries(p, rights, edits...))
	if err != nil {
		return nil, Outcome{}, err
	}
	o, failed, err := t.run(policy, p, Exchange{Granted: allPurposes()})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, o, err
	}
	if len(o.Log) != len(edits) {
		return nil, o, fmt.Errorf("the log is %s, want the outcomes of %d edits", show(lines(o)), len(edits))
	}
	var got []abi.Refusal
	for _, l := range o.Log {
		var n abi.Refusal
		if _, err := fmt.Sscan(l.Text, &n); err != nil {
			return nil, o, fmt.Errorf("the log is %s, want the outcomes of edits: %w", show(lines(o)), err)
		}
		got = append(got, n)
	}
	return got, o, nil
}

// takes wants good edits to be taken, or the operation not to be supported,
// the first as little as the others. Beyond the first a host may lack forms.
func takes(phases []abi.Phase, rights []string, edits []abi.Edit) func(*trial) error {
	return func(t *trial) error {
		for _, p := range phases {
			got, o, err := t.outcomes(p, rights, edits...)
			if err != nil {
				return err
			}
			var want []abi.Edit
			for i, r := range got {
				switch r {
				case abi.Accepted:
					want = append(want, edits[i])
				case abi.RefusedUnsupported:
				default:
					return fmt.Errorf("phase %v: emit of %+q returned %d, %v; want 0, or 7 from a host that does not carry it out", p, edits[i], r, r)
				}
			}
			if err := sameEdits(o, want); err != nil {
				return fmt.Errorf("phase %v: %w", p, err)
			}
			if got[0] == abi.RefusedUnsupported {
				return ErrLacking
			}
		}
		return nil
	}
}

// refuses wants each attempt to be refused for its reason, by a host that
// takes the good edit.
func refuses(p abi.Phase, rights []string, good abi.Edit, bad []attempt) func(*trial) error {
	return func(t *trial) error {
		edits := []abi.Edit{good}
		for _, a := range bad {
			edits = append(edits, a.edit)
		}
		got, o, err := t.outcomes(p, rights, edits...)
		if err != nil {
			return err
		}
		if got[0] == abi.RefusedUnsupported {
			return ErrLacking
		}
		if got[0] != abi.Accepted {
			return fmt.Errorf("emit of %+q returned %d, %v; want 0", good, got[0], got[0])
		}
		for i, a := range bad {
			if r := got[i+1]; r != a.want && (r != a.or || a.or == 0) {
				err = errors.Join(err, fmt.Errorf("emit of %+q returned %d, %v; want %d, %v", a.edit, r, r, a.want, a.want))
			}
		}
		if err != nil {
			return err
		}
		return sameEdits(o, edits[:1])
	}
}

// refusesPhase wants an edit to be refused in a phase by a host that takes it
// in the other one.
func refusesPhase(wrong, right abi.Phase, rights []string, e abi.Edit) func(*trial) error {
	return func(t *trial) error {
		got, _, err := t.outcomes(right, rights, e)
		if err != nil {
			return err
		}
		supported := got[0] == abi.Accepted
		got, o, err := t.outcomes(wrong, rights, e)
		if err != nil {
			return err
		}
		if r := got[0]; r != abi.RefusedPhase && (supported || r != abi.RefusedUnsupported) {
			return fmt.Errorf("emit of %v in phase %v returned %d, %v; want 6", e.Op, wrong, r, r)
		}
		return sameEdits(o, nil)
	}
}

// needsRight wants markup to be refused to a policy that did not ask for the right.
func needsRight(e abi.Edit) func(*trial) error {
	return func(t *trial) error {
		got, _, err := t.outcomes(abi.OnResponse, []string{abi.RightHTML}, e)
		if err != nil {
			return err
		}
		supported := got[0] == abi.Accepted
		got, o, err := t.outcomes(abi.OnResponse, nil, e)
		if err != nil {
			return err
		}
		if r := got[0]; r != abi.RefusedRight && (supported || r != abi.RefusedUnsupported) {
			return fmt.Errorf("emit of markup by %v without the right returned %d, %v; want 4", e.Op, r, r)
		}
		return sameEdits(o, nil)
	}
}

// eventNeedsConsent emits an event for a visitor who granted nothing. The
// policy cannot tell: it is taken as it would be with consent.
func eventNeedsConsent() func(*trial) error {
	e := abi.Edit{Op: abi.OpEvent, Target: "view", A: "shoes"}
	m := tries(abi.OnResponse, nil, e)
	return func(t *trial) error {
		p, err := t.load(m)
		if err != nil {
			return err
		}
		o, failed, err := t.run(p, abi.OnResponse, Exchange{})
		if err == nil {
			err = failed
		}
		if err == nil {
			err = sameEdits(o, nil)
		}
		if err != nil {
			return err
		}
		switch got := lines(o); {
		case slices.Equal(got, []string{"1 7"}):
			return ErrLacking
		case !slices.Equal(got, []string{"1 0"}):
			return fmt.Errorf("emit of an event without consent returned %s, want 0", show(got))
		}
		return nil
	}
}

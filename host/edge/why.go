package edge

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"bespoke/host/consent"
	"bespoke/modules/abi"
)

// What policies say of their edits (the operation why) is for the privacy
// centre, which the visitor opens later. Nothing about them is kept here, so it
// goes with their browser, in a sealed cookie that ends with the session. Those
// of whom nothing is used have nothing to be told, and get none.
const (
	maxWhy   = 200 // bytes of one reason
	maxWhys  = 8   // of a page
	whyBytes = 800 // of all of a page's reasons
)

// checkWhy refuses what is no line of text.
func checkWhy(s string) abi.Refusal {
	if strings.TrimSpace(s) == "" || len(s) > maxWhy || !utf8.ValidString(s) {
		return abi.RefusedArgument
	}
	for _, r := range s {
		if r != ' ' && !unicode.IsGraphic(r) && r != '\u200c' && r != '\u200d' { // as in names: joiners are needed to write some languages
			return abi.RefusedArgument
		}
	}
	return abi.Accepted
}

// whys returns the reasons of the page's edits, a line each: of those that an
// edit follows, each once.
func (x *exchange) whys() string {
	var b strings.Builder
	var seen [maxWhys]string
	n := 0
	for i := range x.edits {
		e := &x.edits[i]
		if e.Op != abi.OpWhy || i+1 == len(x.edits) || x.edits[i+1].Op == abi.OpWhy {
			continue
		}
		again := false
		for _, s := range seen[:n] {
			again = again || s == e.A
		}
		if again || n == maxWhys || b.Len()+len(e.A) >= whyBytes {
			continue
		}
		if n > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.A)
		seen[n] = e.A
		n++
	}
	return b.String()
}

// tells reports whether anything may be used that there is to tell about: not
// where counting is all that was granted, as of those whose browser sends the
// Global Privacy Control signal.
func (x *exchange) tells() bool { return x.decision.Granted()&^consent.Set(0).With(abi.Measure) != 0 }

// keepWhy gives the browser the reasons of the page that it opened.
func (x *exchange) keepWhy() {
	if x.body == nil || x.kind != htmlKind || !x.tells() {
		return
	}
	switch string(x.ctx.Request.Header.PeekCanonical(nameFetchDest)) {
	case "", "document":
	default:
		return // a part of a page
	}
	h := &x.ctx.Response.Header
	if whys := x.whys(); whys != "" {
		x.setCookie(h, useWhy, append([]byte{byte(x.decision.Granted())}, whys...))
	} else if x.cookies.why.n > 0 {
		x.setCookie(h, useWhy, nil)
	} else {
		return
	}
	keepPrivate(h)
}

// toldWhy returns what keepWhy kept of the last page, unless something that was
// granted then is not any more: the page may have come after the withdrawal, and
// its reasons tell of what was withdrawn.
func (x *exchange) toldWhy() []string {
	c := &x.cookies.why
	if c.n != 1 || !x.tells() {
		return nil
	}
	plain, err := x.edge.sealer.Open(c.token, x.binding(useWhy))
	if err != nil || len(plain) < 2 || consent.Set(plain[0])&^x.decision.Granted() != 0 {
		return nil
	}
	return strings.Split(string(plain[1:]), "\n")
}

// dropWhy drops it.
func (x *exchange) dropWhy(h *fasthttp.ResponseHeader) {
	if x.cookies.why.n > 0 {
		x.setCookie(h, useWhy, nil)
	}
}

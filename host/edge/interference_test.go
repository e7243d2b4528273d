package edge

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// Non-interference, the promise: for a visitor who has not granted a purpose, nothing
// that the edge does depends on any datum that needs it. Pairs of visitors who differ in
// such data alone, made at random, ask for the same through a real edge, before a real
// origin; all that can be seen must be the same, byte for byte. What is not compared is
// the time that an answer takes.
//
// BESPOKE_PAIRS is the number of pairs, BESPOKE_SEED repeats a run, and with BESPOKE_PAIR
// only the pair of that number is tried.
const usualPairs = 100_000

// figuresEvery is of how many pairs the figures of two are compared: reading them all
// takes longer than an exchange.
const figuresEvery = 128

// An answered is all that can be seen of an exchange.
type answered struct {
	status, header string
	cookies        string // opened: each seal is another
	body           []byte
	upstream       string
	logs           string
	record         string // of the ledger
	events         string // that were recorded with it
	figures        string // by how much they grew; "": nobody looked
}

// ask has a visitor ask for a page, and returns all that comes of it.
func (s *pairSite) ask(page *pairPage, both string, v *pairVisitor) (a *answered, err error) {
	before := s.figures(nil)
	if s.conn == nil {
		if s.conn, err = net.Dial("tcp", s.addr); err != nil {
			return nil, err
		}
		s.r = bufio.NewReaderSize(s.conn, 32<<10)
	}
	method := page.method
	if method == "" {
		method = "GET"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: %s\r\nUser-Agent: %s\r\n", method, page.path, page.host, v.address, v.agent)
	for _, h := range v.header {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("Cookie: " + strings.Join(v.cookies, "; ") + "\r\n" + both)
	if page.body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(page.body))
	}
	b.WriteString("\r\n" + page.body)
	s.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := s.conn.Write(b.Bytes()); err != nil {
		return nil, err
	}
	a = new(answered)
	if err := s.read(a, method, page.host); err != nil {
		s.conn.Close()
		s.conn = nil
		return nil, err
	}
	a.upstream = string(s.origin.take(nil))
	// The last thing that an exchange does is to say so. To look again and again would
	// take longer than an exchange: a sleep lasts a millisecond where nothing else is to do.
	until := time.NewTimer(2 * time.Second)
	defer until.Stop()
	for late := false; ; {
		a.logs += s.logs.take()
		for line := range strings.Lines(s.ledger.take()) {
			if strings.HasPrefix(line, `{"kind":"exchange"`) {
				a.record += line
			} else {
				a.events += line
			}
		}
		if late || strings.Contains(a.logs, "msg=exchange ") && a.record != "" {
			break
		}
		select {
		case <-s.told:
		case <-until.C:
			late = true
		}
	}
	a.figures = grown(before, s.figures(before))
	return a, nil
}

// A pairLog is a log that tells of lines about exchanges.
type pairLog struct {
	syncBuffer
	told chan<- struct{}
}

func (l *pairLog) Write(p []byte) (int, error) {
	n, err := l.syncBuffer.Write(p)
	if bytes.Contains(p, []byte("msg=exchange ")) {
		tell(l.told)
	}
	return n, err
}

// tell has whoever waits look again.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // told already
	}
}

func (s *syncBuffer) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.b.String()
	s.b.Reset()
	return text
}

// read reads an answer (RFC 9112).
func (s *pairSite) read(a *answered, method, host string) error {
	line := func() (string, error) {
		l, err := s.r.ReadString('\n')
		return strings.TrimSuffix(l, "\r\n"), err
	}
	var err error
	if a.status, err = line(); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	length, closes := 0, false
	var header, cookies strings.Builder
	for {
		l, err := line()
		if err != nil {
			return fmt.Errorf("header: %w", err)
		}
		if l == "" {
			break
		}
		name, value, _ := strings.Cut(l, ": ")
		switch name {
		case "Date":
			continue
		case "Set-Cookie":
			cookies.WriteString(s.opened(value, host) + "\n")
			continue
		case "Content-Length":
			if length, err = strconv.Atoi(value); err != nil {
				return err
			}
		case "Transfer-Encoding":
			length = -1
		case "Connection":
			closes = value == "close"
		}
		header.WriteString(l + "\n")
	}
	a.header, a.cookies = header.String(), cookies.String()
	for chunked := length < 0; ; {
		if chunked {
			l, err := line()
			if err != nil {
				return fmt.Errorf("chunk: %w", err)
			}
			n, err := strconv.ParseInt(l, 16, 32)
			if err != nil {
				return fmt.Errorf("chunk: %w", err)
			}
			length = int(n)
		}
		if method == "HEAD" {
			break
		}
		at := len(a.body)
		a.body = append(a.body, make([]byte, length)...)
		if _, err := io.ReadFull(s.r, a.body[at:]); err != nil {
			return fmt.Errorf("body: %w", err)
		}
		if !chunked {
			break
		}
		if _, err := line(); err != nil {
			return fmt.Errorf("chunk: %w", err)
		}
		if length == 0 {
			break
		}
	}
	if closes {
		s.conn.Close()
		s.conn = nil
	}
	if s.r.Buffered() > 0 {
		return fmt.Errorf("%d bytes after the answer", s.r.Buffered())
	}
	return nil
}

// opened returns a Set-Cookie with what is sealed in it, as each seal is another.
func (s *pairSite) opened(line, host string) string {
	pair, attributes, _ := strings.Cut(line, ";")
	name, token, _ := strings.Cut(pair, "=")
	u, ours := strings.CutPrefix(name, "bespoke-")
	plain, err := s.edge.sealer.Open([]byte(token), profile.Binding{Use: u, Tenant: tenantOf[host], Host: host})
	if !ours || token == "" || err != nil {
		return line
	}
	return fmt.Sprintf("%s=(%d bytes sealed) %x;%s", name, len(token), plain, attributes)
}

// upstream returns what the origin saw, without what it is sent as the visitor sent
// it: the way of the request and the browser's name. Each is there exactly as
// expected, or it stays.
func (p *pair) upstream(v *pairVisitor, seen string) string {
	way := v.address
	if p.page.host == strictHost && !p.granted.Has(abi.Personalize) {
		way = way[:strings.LastIndexByte(way, '.')] + ".0"
	}
	seen = strings.Replace(seen, "\r\nX-Forwarded-For: "+way+", 127.0.0.1\r\n", "\r\nX-Forwarded-For: (the way)\r\n", 1)
	return strings.Replace(seen, "\r\nUser-Agent: "+v.agent+"\r\n", "\r\nUser-Agent: (the browser)\r\n", 1)
}

// differ returns the first thing in which two answers differ, "" for none.
func (p *pair) differ(a, b *answered) string {
	for _, part := range []struct{ name, a, b string }{
		{"status", a.status, b.status},
		{"header", a.header, b.header},
		{"cookies", a.cookies, b.cookies},
		{"body", string(a.body), string(b.body)},
		{"upstream request", p.upstream(&p.a, a.upstream), p.upstream(&p.b, b.upstream)},
		{"logs", a.logs, b.logs},
		{"record", a.record, b.record},
		{"figures", a.figures, b.figures},
	} {
		if p.unlike && (part.name == "logs" || part.name == "record" || part.name == "figures") {
			continue
		}
		if part.a != part.b {
			return part.name + firstDifference(part.a, part.b)
		}
	}
	return ""
}

func firstDifference(a, b string) string {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	from := max(0, at-120)
	cut := func(s string) string { return s[from:min(len(s), at+200)] }
	return fmt.Sprintf(", byte %d:\n  %q\n  %q", at, cut(a), cut(b))
}

// broken returns what is wrong with an answer whomever it is for, "" for nothing.
func (p *pair) broken(a *answered) string {
	switch {
	case strings.Count(a.record, "\n") != 1:
		return "the ledger has not one record of the exchange:\n" + a.record
	case strings.Contains(a.events, `"jurisdiction"`) && !p.willed.will.byPlace:
		return "an event names the rules of a place that settled nothing:\n" + a.events
	case a.events != "" && p.page.path != "/named": // where what is refused comes to hold for the subject
		return "more than the exchange is recorded:\n" + a.events
	case !strings.Contains(a.record, p.recorded()) && strings.Contains(a.record, `"decision"`) && !p.unlike:
		return "the record tells of another decision; want " + p.recorded() + " in\n" + a.record
	case p.hides != "" && bytes.Contains(a.body, []byte(p.page.lists+`="`+p.hides+`"`)):
		return "the page shows an item that the visitor hid: " + p.hides
	case madeUp(a.record) != "":
		return "the record has a name that a policy made up: " + madeUp(a.record)
	case strings.Contains(strings.ToLower(a.header+a.upstream), "bespoke-subject"):
		return "whom the origin knows is told, or what a visitor says of that:\n" + a.header + a.upstream
	case p.granted&(1<<abi.Personalize) == 0 && strings.Contains(a.record, `"pseudonym"`):
		return "the record has a pseudonym of who granted none:\n" + a.record
	case strings.Contains(a.upstream, "bespoke-"):
		return "the origin is sent what is between the visitor and the edge:\n" + a.upstream
	case p.page.method == "" && !p.page.own && strings.Contains(a.status, " 200 ") && !strings.Contains(p.page.path, "plain") &&
		(!strings.Contains(a.header, "Cache-Control: private, no-store\n") || strings.Contains(a.header, "Etag: ") || strings.Contains(a.header, "Last-Modified: ") || strings.Count(a.header, "Cache-Control") > 1):
		return "who stores it could give it to others:\n" + a.header
	}
	if p.granted&^justMeasure == 0 {
		for line := range strings.Lines(a.cookies) {
			if strings.HasPrefix(line, "bespoke-") && !strings.HasPrefix(line, "bespoke-choice=") && !strings.HasPrefix(line, "bespoke-subject=") && !strings.Contains(line, "=;") {
				return "a visitor who refused is given a cookie:\n" + line
			}
		}
	}
	return ""
}

// madeUp returns what a record tells of undeclared keys besides their classes.
func madeUp(record string) string {
	for rest := record; ; {
		_, after, ok := strings.Cut(rest, `"undeclared":[`)
		if !ok {
			return ""
		}
		list, after, _ := strings.Cut(after, "]")
		for word := range strings.SplitSeq(list, ",") {
			if word = strings.Trim(word, `"`); !slices.ContainsFunc(classes[:], func(c abi.Class) bool { return c.String() == word }) {
				return word
			}
		}
		rest = after
	}
}

var classes = [...]abi.Class{abi.Unknown, abi.Public, abi.Declared, abi.PlaceCoarse, abi.PlaceCell, abi.Inferred, abi.Interests}

// recorded is how the record has what the pair granted.
func (p *pair) recorded() string {
	var names []string
	for i := range abi.Purpose(abi.Purposes) {
		if p.granted.Has(i) {
			names = append(names, `"`+i.String()+`"`)
		}
	}
	return `"granted":[` + strings.Join(names, ",") + `],`
}

func (p *pair) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s, will: %s", p.page.method, p.page.host, p.page.path, p.willed.will.name)
	for i := range abi.Purpose(abi.Purposes) {
		if p.granted.Has(i) {
			b.WriteString(", " + i.String() + " granted")
		}
	}
	fmt.Fprintf(&b, "\nboth send %q", p.both)
	for _, v := range []*pairVisitor{&p.a, &p.b} {
		fmt.Fprintf(&b, "\n  %s %v\n", v.address, v.header)
		for _, c := range v.cookies {
			fmt.Fprintf(&b, "    %.100s\n", c)
		}
	}
	return b.String()
}

// compare tries one pair, and returns what is wrong.
func (s *pairSite) compare(p *pair) (wrong string, err error) {
	var got [2]*answered
	for i, v := range []*pairVisitor{&p.a, &p.b} {
		if p.before[i] != nil {
			if _, err := s.ask(p.page, "", p.before[i]); err != nil {
				return "", err
			}
		}
		if got[i], err = s.ask(p.page, p.both, v); err != nil {
			return "", err
		}
		if wrong := p.broken(got[i]); wrong != "" {
			return wrong, nil
		}
	}
	return p.differ(got[0], got[1]), nil
}

func fromEnv(t testing.TB, name string, usual uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func TestNonInterference(t *testing.T) {
	pairs, seed := fromEnv(t, "BESPOKE_PAIRS", usualPairs), fromEnv(t, "BESPOKE_SEED", rand.Uint64())
	one := fromEnv(t, "BESPOKE_PAIR", pairs)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // an eighth less work
	const workers = 2
	pages := pairPages()
	var sites [workers]*pairSite
	for w := range sites {
		sites[w] = newPairSite(t, []slog.Level{slog.LevelDebug, LevelLines}[w]) // one of them tells all that policies say
	}
	began := time.Now()
	var all sync.WaitGroup
	var failed atomic.Bool
	var tried atomic.Uint64
	for w := range uint64(workers) {
		s := sites[w]
		all.Go(func() {
			for i := w; i < pairs && !failed.Load(); i += workers {
				if one < pairs && i != one {
					continue
				}
				s.counts = i%figuresEvery < 2 // both workers
				p := s.arrange(pages, rand.New(rand.NewPCG(seed, i)))
				wrong, err := s.compare(p)
				tried.Add(1)
				if err != nil {
					wrong = err.Error()
				}
				if wrong != "" && !failed.Swap(true) {
					t.Errorf("pair %d of seed %d (BESPOKE_SEED=%[2]d BESPOKE_PAIR=%[1]d)\n%[3]s\ndiffers in %[4]s", i, seed, p, wrong)
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	t.Logf("%d pairs in %v, %v each on %d connections; seed %d", tried.Load(), took.Round(time.Millisecond), (took / time.Duration(max(1, tried.Load()))).Round(time.Microsecond), workers, seed)
}

// The comparison can fail: the same visitors, who granted all, get different answers
// where a policy may use what they differ in; and so do those who declared different
// things. least is the share of pairs of each page that must differ.
func TestNonInterferenceHasPower(t *testing.T) {
	const tries, least = 60, 0.2
	s := newPairSite(t, slog.LevelDebug)
	pages := pairPages()
	rng := rand.New(rand.NewPCG(fromEnv(t, "BESPOKE_SEED", rand.Uint64()), 0))
	share := func(page *pairPage, arrange func() (a, b pairVisitor)) float64 {
		different := 0
		for range tries {
			p := &pair{page: page, granted: ^justMeasure & usesAll}
			p.a, p.b = arrange()
			wrong, err := s.compare(p)
			if err != nil {
				t.Fatal(err)
			}
			if wrong != "" {
				different++
			}
		}
		return float64(different) / tries
	}
	for i := range pages {
		page := &pages[i]
		if page.personal {
			got := share(page, func() (a, b pairVisitor) {
				return s.granting(page, rng, false, profile.Preferences{}), s.granting(page, rng, false, profile.Preferences{})
			})
			if t.Logf("%-14s %3.0f %% of pairs with different data differ", page.path, 100*got); got < least {
				t.Errorf("%s: the harness would notice little", page.path)
			}
		}
		if page.declared {
			got := share(page, func() (a, b pairVisitor) {
				a = s.granting(page, rng, false, declares(rng))
				b = a
				b.cookies = append(a.cookies[:2:2], s.seal(page.host, usePreferences, []byte("none")))
				if d := declares(rng); !d.Empty() {
					b.cookies[2] = s.seal(page.host, usePreferences, d.Encode())
				}
				return a, b
			})
			if t.Logf("%-14s %3.0f %% of pairs who declared different things differ", page.path, 100*got); got < least {
				t.Errorf("%s: what visitors declare shows too seldom", page.path)
			}
		}
	}
}

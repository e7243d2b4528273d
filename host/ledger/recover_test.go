package ledger

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// damaged makes a ledger of a few segments and returns its parts.
func damaged(t *testing.T) (Config, folder) {
	t.Helper()
	l, c := newLedger(t, func(c *Config) { c.Now = func() time.Time { return noon } }) // one file
	for range 3 {
		l.Exchange(&Exchange{Tenant: "a", Status: 200}, false)
		mustFlush(t, l)
	}
	mustClose(t, l)
	f, err := readFolder(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return c, f
}

// TestDamageIsNotRepaired changes, cuts and takes away each file. Opening must
// say so and leave everything as it is.
func TestDamageIsNotRepaired(t *testing.T) {
	c, whole := damaged(t)
	segment := ""
	for name := range whole {
		if strings.HasPrefix(name, "segments/") {
			segment = name
		}
	}
	refused := func(what, name string, data []byte) {
		t.Helper()
		path := filepath.Join(c.Dir, name)
		var err error
		if data == nil {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		before, _ := readFolder(c.Dir)
		l, err := Open(c)
		if err == nil {
			l.Close()
			t.Fatalf("%s %s: opened", what, name)
		}
		t.Logf("%s %s: %v", what, name, strings.ReplaceAll(err.Error(), c.Dir, "DIR"))
		if after, _ := readFolder(c.Dir); !reflect.DeepEqual(before, after) {
			t.Errorf("%s %s: the folder was changed", what, name)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, whole[name], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range whole {
		refused("missing", name, nil)
		refused("empty", name, []byte{})
		flipped := bytes.Clone(data)
		flipped[len(data)-2] ^= 1
		refused("changed", name, flipped)
		refused("cut", name, data[:len(data)-1])
	}
	if len(whole) != 5 || segment == "" {
		t.Errorf("%d files", len(whole))
	}
	// An older checkpoint in the place of the newest.
	tree, err := openCheckpoint(whole[checkpointName], mustOpenClosed(t, c).key)
	if err != nil || tree.N != 5 {
		t.Fatal(tree, err)
	}
	now, err := readFolder(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	whole[checkpointName], now[checkpointName] = now[checkpointName], whole[checkpointName]
	refused("older", checkpointName, now[checkpointName])
}

// mustOpenClosed opens and closes a ledger.
func mustOpenClosed(t *testing.T, c Config) *Ledger {
	t.Helper()
	l := mustOpen(t, c)
	mustClose(t, l)
	return l
}

// TestTornSegment adds to the file of segments what a crash may leave.
func TestTornSegment(t *testing.T) {
	c, whole := damaged(t)
	var name string
	for n := range whole {
		if strings.HasPrefix(n, "segments/") {
			name = filepath.Join(c.Dir, n)
		}
	}
	frame, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	ct, err := checkFolder(whole, true)
	if err != nil {
		t.Fatal(err)
	}
	first := ct.statements[0]
	frame = frame[:first.Bytes]
	// Of the marks' length nothing was written, and the marks were: sectors of a disk have no order.
	headless := bytes.Clone(frame)
	clear(headless[len(frame)-markSize*int(first.Records)-4:][:4])
	if whole, rest := frames(headless); whole != 1 || rest == 0 {
		t.Fatalf("%d segments and %d bytes", whole, rest)
	}
	tails := [][]byte{{0}, bytes.Repeat([]byte{0}, 4096), frame[:20], frame[:len(frame)-1], headless, frame}
	for i, tail := range tails {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(tail)
		f.Close()
		if v, err := Verify(c.Dir, VerifyOptions{}); err != nil || !v.Intact() {
			t.Errorf("tail %d is damage: %v %+v", i, err, v)
		}
		mustOpenClosed(t, c)
		opens := events[openEvent](t, mustVerify(t, c.Dir), KindOpen)
		o := opens[len(opens)-1]
		if o.CutBytes != int64(len(tail)) || (i > 2) != (o.CutRecords > 0) {
			t.Errorf("tail %d: %+v", i, o)
		}
	}
}

// removedOf gives the statements whose content is gone.
func removedOf(t *testing.T, m *memFS, c Config) (gone []Statement) {
	t.Helper()
	f := m.folder(c.Dir)
	ct, err := checkFolder(f, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range ct.statements {
		if _, there := f["segments/"+s.File]; !there {
			gone = append(gone, s)
		}
	}
	return gone
}

func TestRetention(t *testing.T) {
	m := newMemWithState()
	ck := &clock{noon}
	c := memConfig(ck)
	c.Keep, c.PseudonymPeriod = 3*time.Hour, 24*time.Hour
	l, err := open(c, m)
	if err != nil {
		t.Fatal(err)
	}
	for range 36 {
		for range 10 {
			l.Exchange(&Exchange{Time: ck.t, Tenant: "a"}, false)
			mustFlush(t, l)
		}
		ck.t = ck.t.Add(20 * time.Minute)
		mustFlush(t, l) // looks, records the retention,
		mustFlush(t, l) // and then does it
		for _, s := range removedOf(t, m, c) {
			if s.To.After(ck.t.Add(-c.Keep)) {
				t.Fatalf("segment %d of %v went too early at %v", s.Segment, s.To, ck.t)
			}
		}
	}
	mustFlush(t, l) // records the retention
	mustFlush(t, l) // and then does it
	mustClose(t, l)
	f := m.folder(c.Dir)
	ct, err := checkFolder(f, true)
	if err != nil {
		t.Fatal(err)
	}
	told := events[retentionEvent](t, ct, KindRetention)
	if len(told) == 0 {
		t.Fatal("no retention")
	}
	last := told[len(told)-1]
	kept := 0
	for _, s := range ct.statements {
		_, there := f["segments/"+s.File]
		if there {
			kept++
		}
		if there == (s.Segment <= last.Last) {
			t.Errorf("segment %d of %v: there %v, and segments up to %d went", s.Segment, s.From, there, last.Last)
		}
		if old := s.To.Before(ck.t.Add(-c.Keep - 2*time.Hour - time.Minute)); old && there {
			t.Errorf("segment %d of %v is kept for too long at %v", s.Segment, s.To, ck.t)
		}
		if !there && s.To.After(ck.t.Add(-c.Keep)) {
			t.Errorf("segment %d of %v went too early at %v", s.Segment, s.To, ck.t)
		}
	}
	if s := ct.statements[last.Last]; last.Records != s.First+s.Records || last.First != 0 || last.KeepS != 3*3600 || last.File != s.File {
		t.Errorf("%+v, and the last segment is %+v", last, s)
	}
	t.Logf("%d segments, %d kept, %d records of retention", len(ct.statements), kept, len(told))
	if l, err = open(c, m.crash(false, nil)); err != nil {
		t.Fatalf("open after retention: %v", err)
	}
	mustClose(t, l)
}

func TestPseudonymKeys(t *testing.T) {
	m := newMemWithState()
	ck := &clock{noon}
	c := memConfig(ck) // an hour's use, and an hour more
	l, err := open(c, m)
	if err != nil {
		t.Fatal(err)
	}
	var a, b, other [8]byte
	l.Pseudonym(&a, "shop", []byte("jane"))
	l.Pseudonym(&b, "shop", []byte("jane"))
	l.Pseudonym(&other, "shopj", []byte("ane"))
	if a != b || a == other || a == [8]byte{} {
		t.Errorf("pseudonyms %x %x %x", a, b, other)
	}
	digest := l.SealDigest([32]byte{1})
	mustClose(t, l)
	// The same after a restart in the same period.
	m = m.crash(true, nil)
	if l, err = open(c, m); err != nil {
		t.Fatal(err)
	}
	l.Pseudonym(&b, "shop", []byte("jane"))
	if a != b || l.SealDigest([32]byte{1}) != digest {
		t.Error("other pseudonyms after a restart in the period")
	}
	secret := m.folder("/state/keys")[periodFile(noon.Truncate(time.Hour))]
	if len(secret) != 65 {
		t.Fatalf("key %q", secret)
	}
	// Another period, another key. The old one lives on for its time.
	ck.t = noon.Truncate(time.Hour).Add(time.Hour)
	mustFlush(t, l)
	l.Pseudonym(&b, "shop", []byte("jane"))
	if a == b {
		t.Error("the same pseudonym in another period")
	}
	// Its file is overwritten in place before it is removed.
	_, node, _, err := m.walk(filepath.Join(c.Keys, periodFile(noon.Truncate(time.Hour))))
	if err != nil || node == nil || !bytes.Equal(node.data, secret) {
		t.Fatalf("the key of the last period: %v, %v", node, err)
	}
	ck.t = noon.Truncate(time.Hour).Add(2 * time.Hour)
	mustFlush(t, l)
	if string(node.synced) != zeroKey {
		t.Errorf("the key is not overwritten: %q", node.synced)
	}
	// A crash here must not forget to tell: the zeros say that a record may be owed.
	crashed := m.crash(true, nil)
	mustFlush(t, l)
	mustClose(t, l)
	for name, m := range map[string]*memFS{"in order": m, "after a crash": crashed} {
		if l, err = open(c, m); err != nil {
			t.Fatal(err)
		}
		mustFlush(t, l)
		mustClose(t, l)
		for file := range m.folder("/state/keys") {
			if file == periodFile(noon.Truncate(time.Hour)) {
				t.Errorf("%s: the destroyed key's file is there", name)
			}
		}
		ct, err := checkFolder(m.folder(c.Dir), true)
		if err != nil {
			t.Fatal(err)
		}
		destroyed := 0
		for _, e := range events[keyEvent](t, ct, KindKey) {
			if e.Action == "destroyed" && e.Period.Equal(noon.Truncate(time.Hour)) {
				destroyed++
			}
		}
		if destroyed == 0 || name == "in order" && destroyed != 1 {
			t.Errorf("%s: %d records say that the key was destroyed", name, destroyed)
		}
	}
}

// A place is an HTTP server that keeps what was put, or fails.
type place struct {
	content atomic.Pointer[[]byte]
	broken  atomic.Bool
}

func (p *place) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch b := p.content.Load(); {
	case p.broken.Load():
		w.WriteHeader(http.StatusInternalServerError)
	case r.Method == http.MethodPut:
		b, _ := io.ReadAll(r.Body)
		p.content.Store(&b)
	case b == nil:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Write(*b)
	}
}

func TestWitnesses(t *testing.T) {
	p := new(place)
	s := httptest.NewServer(p)
	defer s.Close()
	second := t.TempDir()
	add := func(c *Config) { c.Witnesses = []Witness{FileWitness{second + "/a/b"}, HTTPWitness{URL: s.URL}} }
	l, c := newLedger(t, add)
	l.Exchange(&Exchange{}, false)
	mustFlush(t, l)
	mustClose(t, l)
	early, err := readFolder(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	same := func() {
		t.Helper()
		want, _ := os.ReadFile(c.Dir + "/checkpoint")
		if got, _ := os.ReadFile(second + "/a/b/checkpoint"); !bytes.Equal(got, want) {
			t.Errorf("the folder has %q, want %q", got, want)
		}
		if got := *p.content.Load(); !bytes.Equal(got, want) {
			t.Errorf("the server has %q, want %q", got, want)
		}
	}
	same()
	// One that fails holds up nothing, and is counted.
	p.broken.Store(true)
	l = mustOpen(t, c)
	l.Exchange(&Exchange{}, false)
	mustFlush(t, l)
	if n := l.Status().WitnessFailures; n == 0 {
		t.Error("no failure of a witness was counted")
	}
	p.broken.Store(false)
	mustClose(t, l)
	same()

	// The folder as it was earlier: cut.
	put := func(f folder) {
		t.Helper()
		if err := os.RemoveAll(c.Dir); err != nil {
			t.Fatal(err)
		}
		for name, data := range f {
			path := filepath.Join(c.Dir, name)
			os.MkdirAll(filepath.Dir(path), 0o755)
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused := func(want string) {
		t.Helper()
		if l, err := Open(c); err == nil {
			l.Close()
			t.Error("opened")
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	late, _ := readFolder(c.Dir)
	put(early)
	refused("was cut")
	// And with another end: a fork.
	witnesses := c.Witnesses
	c.Witnesses = nil
	for range 4 {
		l = mustOpen(t, c)
		l.Exchange(&Exchange{Tenant: "other"}, false)
		mustClose(t, l)
	}
	c.Witnesses = witnesses
	refused("was rewritten")
	// Cut while the witness was away: it is asked before it is given anything, and keeps what it knows.
	put(early)
	c.Witnesses = witnesses[1:]
	known := *p.content.Load()
	p.broken.Store(true)
	l = mustOpen(t, c)
	p.broken.Store(false)
	mustFlush(t, l)
	mustClose(t, l)
	if got := *p.content.Load(); !bytes.Equal(got, known) {
		t.Errorf("the witness of a ledger that was cut now has %q", got)
	}
	// And away, with nothing wrong: it is given the newest as soon as it answers.
	put(late)
	p.broken.Store(true)
	l = mustOpen(t, c)
	p.broken.Store(false)
	mustFlush(t, l)
	mustClose(t, l)
	c.Witnesses = witnesses
	if got := *p.content.Load(); bytes.Equal(got, known) {
		t.Error("a witness that was away at the start got nothing")
	}
	mustOpenClosed(t, c)
	// Another ledger.
	if err := os.RemoveAll(c.Keys); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(c.Dir)
	refused("not of this ledger")
}

// stuck is a witness that answers nothing until it is told to stop; with deaf it does not listen to that
// either.
type stuck struct {
	deaf  chan struct{}
	calls *atomic.Int64
}

func (s stuck) wait(ctx context.Context) error {
	s.calls.Add(1)
	if s.deaf != nil {
		<-s.deaf
		return errors.New("deaf")
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s stuck) Put(ctx context.Context, _ []byte) error    { return s.wait(ctx) }
func (s stuck) Latest(ctx context.Context) ([]byte, error) { return nil, s.wait(ctx) }

// TestStuckWitness has witnesses that hang. All of them together take askTime of the start and lastTime of
// the end, and nothing of what is between.
func TestStuckWitness(t *testing.T) {
	deaf := make(chan struct{})
	defer close(deaf)
	var calls [3]atomic.Int64
	begin := time.Now()
	within := func(what string, limit time.Duration) {
		t.Helper()
		if d := time.Since(begin); d > limit {
			t.Errorf("%s took %v", what, d)
		}
		begin = time.Now()
	}
	l, _ := newLedger(t, func(c *Config) {
		c.Witnesses = []Witness{stuck{deaf, &calls[0]}, stuck{nil, &calls[1]}, stuck{deaf, &calls[2]}}
	})
	within("the start", askTime+3*time.Second)
	for range 50 {
		l.Exchange(&Exchange{}, false)
		mustFlush(t, l)
	}
	within("50 seals", witnessTime/2)
	if s := l.Status(); s.Segments != 51 || s.Blocked != "" || s.WitnessFailures < 3 {
		t.Errorf("%+v", s)
	}
	mustClose(t, l)
	within("the end", lastTime+3*time.Second)
	// One that does not listen is asked nothing more, or what waits for it would pile up.
	if a, b, c := calls[0].Load(), calls[1].Load(), calls[2].Load(); a != 1 || b < 2 || c != 1 {
		t.Errorf("%d, %d and %d calls", a, b, c)
	}
}

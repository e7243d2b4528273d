package ledger

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

func TestVerifyIntact(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 256, 300} {
		for _, partials := range []bool{false, true} {
			p := newPlain(t)
			p.partials = partials
			p.fill(n, 3)
			v := p.verify(VerifyOptions{})
			if !v.OK() || len(v.Notes) > 0 || v.Size != int64(n) || v.Records != p.records || v.Checked != p.records || !v.Closed || len(v.Gaps) > 0 {
				t.Errorf("%d segments: %+v\n%s\n%s", n, v, said(v.Damage), said(v.Notes))
			}
			if n > 1 {
				for _, since := range []int64{0, 1, int64(n) - 1, int64(n)} {
					if v := p.verify(VerifyOptions{Key: []byte(p.pub), Since: p.signed(since)}); !v.OK() || len(v.Notes) > 0 || v.Since != since {
						t.Errorf("since %d of %d: %s", since, n, said(v.Damage))
					}
				}
			}
		}
	}
}

func TestVerifyTellsViolations(t *testing.T) {
	at := plainStart
	refused := &Decision{Facts: "f", Purposes: []PurposeDecision{{"localize", true, "choice", "choice"}, {"personalize", false, "gpc", "sec-gpc"}}}
	for _, c := range []struct {
		x    Exchange
		want string
	}{
		{Exchange{Decision: refused, Policies: []Policy{{Reads: Reads{Given: []string{"geo.city", "config.*", "recommend.similar?item=1", "request.header.*", "geo.*", "time.hour", "page.h1"}}}}}, ""},
		{Exchange{Policies: []Policy{{Reads: Reads{Given: []string{"preference.theme"}}}}}, ""},
		{Exchange{Decision: refused, Policies: []Policy{{}, {Name: "p", Reads: Reads{Given: []string{"profile.affinity.*"}}}}}, `policy "p" was given "profile.affinity.*", which needs personalize`},
		{Exchange{Decision: refused, Policies: []Policy{{Reads: Reads{Given: []string{"profile.affinity.co*"}}}}}, `needs personalize`},
		{Exchange{Decision: refused, Policies: []Policy{{Reads: Reads{Given: []string{"recommend.for-you"}}}}}, `needs personalize`},
		{Exchange{Decision: refused, Policies: []Policy{{Reads: Reads{Given: []string{"recommend.for*"}}}}}, `needs personalize`},
		{Exchange{Decision: refused, Policies: []Policy{{Reads: Reads{Given: []string{"experiment.*"}}}}}, `needs personalize`},
		{Exchange{Decision: refused, Policies: []Policy{{Reads: Reads{Given: []string{"profile.interests"}}}}}, `needs advertise`},
		{Exchange{Policies: []Policy{{Reads: Reads{Given: []string{"geo.country"}}}}}, `needs localize`},
		{Exchange{Policies: []Policy{{Reads: Reads{Given: []string{"geo.*"}}}}}, `needs localize`},
		{Exchange{Decision: refused, Policies: []Policy{{Reads: Reads{Given: []string{"cookie.session"}}}}}, `no such key`},
		{Exchange{Decision: refused, Policies: []Policy{{Name: "p", Reads: Reads{Undeclared: []string{"unknown", "inferred"}}}}}, ""},
		{Exchange{Decision: refused, Policies: []Policy{{Name: "p", Reads: Reads{Undeclared: []string{"inferred", "config.Berlin"}}}}}, `recorded by more than its class`},
		{Exchange{Decision: refused, Pseudonym: [8]byte{1}}, `a pseudonym without personalize`},
		{Exchange{Decision: refused, Plan: [16]byte{1}, Policies: []Policy{{Reads: Reads{Given: []string{"preference.name"}}}}}, `not keyed`},
		{Exchange{Decision: refused, Plan: [16]byte{1}, Sealed: true, Policies: []Policy{{Reads: Reads{Given: []string{"preference.name"}}}}}, ""},
		{Exchange{Decision: refused, Plan: [16]byte{1}, Policies: []Policy{{Reads: Reads{Given: []string{"page.h1"}}}}}, ""},
		{Exchange{Decision: &Decision{Jurisdiction: "eea", Purposes: refused.Purposes}}, `names a jurisdiction`},
		{Exchange{Decision: &Decision{Jurisdiction: "eea", Purposes: []PurposeDecision{{"measure", false, "jurisdiction", "none"}}}}, ""},
	} {
		p := newPlain(t)
		c.x.Time = at
		p.seal(at, p.event(KindOpen, at, nil), c.x.AppendJSON(nil))
		v := p.verify(VerifyOptions{})
		if !v.Intact() || c.want == "" != v.OK() || !strings.Contains(said(v.Violations), c.want) {
			t.Errorf("%s\n\twant %q, got damage %q, violations %q", c.x.AppendJSON(nil), c.want, said(v.Damage), said(v.Violations))
		}
		if c.want != "" && (v.Violations[0].Record != 1 || v.Violations[0].Segment != 0) {
			t.Errorf("names %s", &v.Violations[0])
		}
	}
}

func TestVerifyTellsGaps(t *testing.T) {
	p := newPlain(t)
	hour := func(h int) time.Time { return plainStart.Add(time.Duration(h) * time.Hour) }
	p.seal(hour(0), p.event(KindOpen, hour(0), nil), busyExchange(hour(0), 1).AppendJSON(nil))
	p.seal(hour(2), p.event(KindOpen, hour(2), map[string]any{"ended": "crash", "last": hour(0).Add(time.Second), "cut_bytes": 7}))
	p.seal(hour(3), p.event(KindUnrecorded, hour(3), map[string]any{"exchanges": 12, "from": hour(2), "to": hour(3), "why": "disk full"}))
	v := p.verify(VerifyOptions{})
	if !v.OK() || v.Closed || len(v.Gaps) != 2 {
		t.Fatalf("%+v", v)
	}
	if g := v.Gaps[0]; g.Record != 2 || g.Kind != "crash" || !g.From.Equal(hour(0).Add(time.Second)) || !g.To.Equal(hour(2)) || !strings.Contains(g.Text, "7 bytes") {
		t.Errorf("%+v", g)
	}
	if g := v.Gaps[1]; g.Record != 3 || g.Kind != "unrecorded" || !strings.Contains(g.Text, "12 exchanges") || !strings.Contains(g.Text, "disk full") {
		t.Errorf("%+v", g)
	}
	// An open that hides the crash is told by the missing close.
	p = newPlain(t)
	p.seal(hour(0), p.event(KindOpen, hour(0), nil), busyExchange(hour(0), 1).AppendJSON(nil))
	p.seal(hour(2), p.event(KindOpen, hour(2), map[string]any{"ended": "close"}), p.event(KindClose, hour(2), nil))
	if v := p.verify(VerifyOptions{}); len(v.Gaps) != 1 || v.Gaps[0].Kind != "crash" || !v.Closed {
		t.Errorf("%+v", v)
	}
}

func TestVerifyRetention(t *testing.T) {
	p := newPlain(t)
	hour := func(h int) time.Time { return plainStart.Add(time.Duration(h) * time.Hour) }
	for i := range 4 {
		p.seal(hour(i), busyExchange(hour(i), i).AppendJSON(nil), busyExchange(hour(i), i).AppendJSON(nil))
	}
	gone := filepath.Join(p.dir, segmentsName, segmentFile(hour(0)))
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	if v := p.verify(VerifyOptions{}); v.Intact() || v.Damage[0].Segment != 0 || v.Damage[0].Record != 0 || v.Damage[0].Records != 2 || !strings.Contains(said(v.Damage), "is missing") {
		t.Errorf("a file is gone: %s", said(v.Damage))
	}
	p.seal(hour(5), p.event(KindRetention, hour(5), map[string]any{"first": 0, "last": 0, "records": 2, "file": segmentFile(hour(0)), "keep_s": 3600}))
	if v := p.verify(VerifyOptions{}); !v.OK() || v.Removed != 2 || v.Checked != 7 {
		t.Errorf("removed on schedule: %+v %s", v, said(v.Damage))
	}
	// The record of retention may lie outside of the period.
	if v := p.verify(VerifyOptions{From: hour(0), To: hour(1)}); !v.OK() || v.Removed != 2 || v.Checked != 3 {
		t.Errorf("removed on schedule, in a period: %+v %s", v, said(v.Damage))
	}
	if err := os.Remove(filepath.Join(p.dir, segmentsName, segmentFile(hour(1)))); err != nil {
		t.Fatal(err)
	}
	if v := p.verify(VerifyOptions{}); v.DamageCount != 1 || v.Damage[0].Segment != 1 {
		t.Errorf("more is gone than retention took: %s", said(v.Damage))
	}
}

// Every single byte of a small ledger, flipped: each is detected, and the
// finding names the file, or the segment that it belongs to.
func TestEveryByteFlipped(t *testing.T) {
	p := newPlain(t)
	p.partials = true
	small := func(i int) []byte {
		x := Exchange{Time: plainStart, Tenant: "stores", Status: 200 + i}
		return x.AppendJSON(nil)
	}
	p.seal(plainStart, small(0), small(1))
	p.seal(plainStart, small(2))
	p.seal(plainStart, small(3), small(4), small(5))
	flipAll(t, p)
}

func flipAll(t *testing.T, p *plainLedger) {
	t.Helper()
	var starts []int64 // of the frames: all are in one file
	for i := range p.entries {
		st, err := parseStatement(p.entries[i])
		if err != nil {
			t.Fatal(err)
		}
		starts = append(starts, st.Offset)
	}
	n := 0
	for name, b := range p.contents() {
		masks := []byte{0x01}
		if name == keyName || name == checkpointName { // text, of which some has several spellings
			masks = []byte{0x01, 0x02, 0x20, 0xff}
		}
		for at := range b {
			for _, mask := range masks {
				b[at] ^= mask
				p.write(name, b)
				v := p.verify(VerifyOptions{})
				b[at] ^= mask
				n++
				if v.Intact() {
					t.Errorf("%s, byte %d of %d, flipped by %#x: not detected", name, at, len(b), mask)
					continue
				}
				segment := int64(-1)
				if strings.HasPrefix(name, segmentsName) {
					for i, s := range starts {
						if int64(at) >= s {
							segment = int64(i)
						}
					}
				}
				if !names(v.Damage, name, segment) {
					t.Errorf("%s, byte %d of %d, flipped by %#x: %s", name, at, len(b), mask, said(v.Damage))
				}
			}
		}
		p.write(name, b)
	}
	if v := p.verify(VerifyOptions{}); !v.OK() || n < 1000 {
		t.Errorf("%d flips, then %s", n, said(v.Damage))
	}
}

// names reports whether some finding names the file, and the segment if it is one's,
// with its records. A flipped key is seen at the checkpoint, and the other way round.
func names(list []Finding, file string, segment int64) bool {
	for _, f := range list {
		key := (f.File == keyName || f.File == checkpointName) && (file == keyName || file == checkpointName)
		if (f.File == file || key) && (segment < 0 || f.Segment == segment && f.Record >= 0 && f.Records >= 1) {
			return true
		}
	}
	return false
}

// The higher tiles exist only beyond 256 segments; flip every byte of one of each kind.
func TestEveryByteOfHigherTilesFlipped(t *testing.T) {
	p := newPlain(t)
	p.fill(259, 1)
	for _, name := range []string{tilePath(0, 0, tileWidth), tilePath(1, 0, 1), tilePath(0, 1, 3), tilePath(entriesLevel, 1, 3), tilePath(entriesLevel, 0, tileWidth)} {
		b, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(b)/24)
		for at := 0; at < len(b); at += step {
			b[at] ^= 1
			p.write(name, b)
			v := p.verify(VerifyOptions{To: plainStart.Add(-time.Hour)}) // the tree alone
			b[at] ^= 1
			if v.Intact() || !names(v.Damage, name, -1) {
				t.Errorf("%s, byte %d: %s", name, at, said(v.Damage))
			}
			if strings.HasPrefix(name, "tile/0/") {
				first, _ := strconvTile(name)
				if want := first + int64(at/tlog.HashSize); v.Damage[0].Segment != want {
					t.Errorf("%s, byte %d: names segment %d, want %d", name, at, v.Damage[0].Segment, want)
				}
			}
		}
		p.write(name, b)
		for _, cut := range [][]byte{nil, b[:len(b)-1], b[:len(b)/2], append(b[:len(b):len(b)], 0)} {
			p.write(name, cut)
			if v := p.verify(VerifyOptions{}); v.Intact() || !names(v.Damage, name, -1) {
				t.Errorf("%s of %d bytes instead of %d: %s", name, len(cut), len(b), said(v.Damage))
			}
		}
		os.Remove(filepath.Join(p.dir, name))
		if v := p.verify(VerifyOptions{}); v.Intact() || !names(v.Damage, name, -1) {
			t.Errorf("%s is gone: %s", name, said(v.Damage))
		}
		p.write(name, b)
	}
}

func strconvTile(name string) (int64, bool) {
	at, _, ok := parseTilePath(name)
	return at.n * tileWidth, ok
}

func TestFilesDeletedAndPutIn(t *testing.T) {
	p := newPlain(t)
	p.fill(5, 2)
	for name, b := range p.contents() {
		os.Remove(filepath.Join(p.dir, name))
		v, err := Verify(p.dir, VerifyOptions{})
		if err != nil || v.Intact() || !names(v.Damage, name, -1) {
			t.Errorf("%s is gone: %v %s", name, err, said(v.Damage))
		}
		for _, c := range [][]byte{{}, b[:len(b)/2], b[:len(b)-1]} {
			p.write(name, c)
			if v := p.verify(VerifyOptions{}); (v.Intact() || !names(v.Damage, name, -1)) && !(name == keyName && len(c) == len(b)-1) { // a line's end
				t.Errorf("%s cut to %d of %d: %s", name, len(c), len(b), said(v.Damage))
			}
		}
		p.write(name, b)
	}
	for name, want := range map[string]string{
		"segments/2026-11-22T04.jsonl.zst": Damage, "segments/x": Damage, "segments/a/2026-11-22T04.jsonl.zst": Damage,
		"tile/0/000.p/x": Damage, "tile/0/999": Damage, "tile/8/0/000": Damage, "tile/1/000": Damage, "tile/entries/001": Damage,
		"notes.txt": Note, "segments/2026-11-22T06.jsonl.zst": Note, nextName: Note,
	} {
		p.write(name, []byte("put in"))
		v := p.verify(VerifyOptions{})
		list := v.Damage
		if want == Note {
			list = v.Notes
			if !v.Intact() {
				t.Errorf("%s: %s", name, said(v.Damage))
			}
		}
		top := name
		if i := strings.Index(name, "/a/"); i > 0 {
			top = name
		}
		if !strings.Contains(said(list), top) && !strings.Contains(said(list), checkpointName) {
			t.Errorf("%s was put in: %s\n%s", name, said(v.Damage), said(v.Notes))
		}
		os.RemoveAll(filepath.Join(p.dir, name))
	}
	os.RemoveAll(filepath.Join(p.dir, "segments/a"))
	os.RemoveAll(filepath.Join(p.dir, "tile/8"))
	if v := p.verify(VerifyOptions{}); !v.OK() {
		t.Errorf("put back: %s", said(v.Damage))
	}
}

// A crash leaves a part of a segment, or its tiles: notes, no damage. Two of them
// are no crash.
func TestWhatACrashLeaves(t *testing.T) {
	p := newPlain(t)
	p.partials = true
	p.fill(3, 2)
	three, data := p.signed(3), p.contents()
	p.seal(plainStart.Add(3*time.Second), busyExchange(plainStart, 1).AppendJSON(nil))
	file := segmentsName + "/" + segmentFile(plainStart)
	whole := p.contents()[file]
	p.write(checkpointName, three)
	v := p.verify(VerifyOptions{})
	if !v.Intact() || !strings.Contains(said(v.Notes), "bytes ") || !strings.Contains(said(v.Notes), "a segment was being written") {
		t.Errorf("crash before the checkpoint: %s\n%s", said(v.Damage), said(v.Notes))
	}
	for _, cut := range []int{1, 5, 20} {
		p.write(file, whole[:len(data[file])+cut])
		if v := p.verify(VerifyOptions{}); !v.Intact() || !strings.Contains(said(v.Notes), file) {
			t.Errorf("torn after %d bytes: %s\n%s", cut, said(v.Damage), said(v.Notes))
		}
	}
	p.write(file, whole)
	p.write(nextName, p.signed(4))
	if v := p.verify(VerifyOptions{}); !v.Intact() || !strings.Contains(said(v.Notes), nextName) {
		t.Errorf("crash before the rename: %s\n%s", said(v.Damage), said(v.Notes))
	}
	other := &plainLedger{t: t, dir: t.TempDir(), key: p.key, pub: p.pub, ends: map[string]int64{}}
	other.fill(3, 1)
	p.write(nextName, other.signed(3))
	if v := p.verify(VerifyOptions{}); !strings.Contains(said(v.Damage), nextName+": forked") {
		t.Errorf("another tree is signed: %s\n%s", said(v.Damage), said(v.Notes))
	}
	os.Remove(filepath.Join(p.dir, nextName))
	p.seal(plainStart.Add(4*time.Second), busyExchange(plainStart, 1).AppendJSON(nil))
	p.write(checkpointName, three)
	if v := p.verify(VerifyOptions{}); v.Intact() || strings.Count(said(v.Damage), "an older one") != 2 {
		t.Errorf("an old checkpoint: %s\n%s", said(v.Damage), said(v.Notes))
	}
}

// A replayed old folder is intact, and seen with the newer checkpoint only.
func TestTruncationAndFork(t *testing.T) {
	p := newPlain(t)
	p.fill(6, 2)
	newest := p.signed(6)
	q := &plainLedger{t: t, dir: t.TempDir(), key: p.key, pub: p.pub, ends: map[string]int64{}}
	q.write(keyName, []byte(p.pub))
	q.fill(4, 2)
	if v := q.verify(VerifyOptions{}); !v.Intact() {
		t.Fatal(said(v.Damage))
	}
	v := q.verify(VerifyOptions{Since: newest})
	if !strings.Contains(said(v.Damage), "segments 4 to 5 are gone") {
		t.Errorf("truncated: %s", said(v.Damage))
	}
	q.fill(2, 1) // goes on otherwise
	if v := q.verify(VerifyOptions{Since: newest}); !strings.Contains(said(v.Damage), "forked") {
		t.Errorf("forked, of the same size: %s", said(v.Damage))
	}
	q.fill(1, 1)
	if v := q.verify(VerifyOptions{Since: newest}); !strings.Contains(said(v.Damage), "forked: the first 6 segments") {
		t.Errorf("forked, and longer: %s", said(v.Damage))
	}
	if v := q.verify(VerifyOptions{Since: p.signed(3)}); strings.Contains(said(v.Damage), "forked") {
		t.Errorf("what they share is no fork: %s", said(v.Damage))
	}
	other := newPlain(t)
	if v := p.verify(VerifyOptions{Since: other.signed(0)}); !strings.Contains(said(v.Damage), "the earlier checkpoint that was given") {
		t.Errorf("a checkpoint of another ledger: %s", said(v.Damage))
	}
	if v := p.verify(VerifyOptions{Key: []byte(other.pub)}); !strings.Contains(said(v.Damage), keyName) || !strings.Contains(said(v.Damage), checkpointName) {
		t.Errorf("another key: %s", said(v.Damage))
	}
}

// Whoever rewrites a segment and all hashes above it needs the private key.
func TestReorderedAndRewritten(t *testing.T) {
	at := plainStart
	line := func(i int) []byte { return busyExchange(at, i).AppendJSON(nil) }
	p := newPlain(t)
	p.seal(at, line(0), line(1), line(2))
	p.seal(at, line(3), line(4), line(5))
	p.seal(at, line(6), line(7), line(8))
	signed := p.signed(3)
	for what, build := range map[string]func(q *plainLedger){
		"records reordered": func(q *plainLedger) {
			q.seal(at, line(0), line(2), line(1))
			q.seal(at, line(3), line(4), line(5))
			q.seal(at, line(6), line(7), line(8))
		},
		"a record left out": func(q *plainLedger) {
			q.seal(at, line(0), line(2))
			q.seal(at, line(3), line(4), line(5))
			q.seal(at, line(6), line(7), line(8))
		},
		"a record put in": func(q *plainLedger) {
			q.seal(at, line(0), line(1), line(2), line(9))
			q.seal(at, line(3), line(4), line(5))
			q.seal(at, line(6), line(7), line(8))
		},
		"segments reordered": func(q *plainLedger) {
			q.seal(at, line(3), line(4), line(5))
			q.seal(at, line(0), line(1), line(2))
			q.seal(at, line(6), line(7), line(8))
		},
	} {
		q := &plainLedger{t: t, dir: t.TempDir(), key: p.key, pub: p.pub, ends: map[string]int64{}}
		q.write(keyName, []byte(p.pub))
		build(q)
		q.write(checkpointName, signed)
		if v := q.verify(VerifyOptions{}); !strings.Contains(said(v.Damage), "not the one that the checkpoint signs") {
			t.Errorf("%s, everything rewritten: %s", what, said(v.Damage))
		}
		// The segments alone, under the true tree.
		for name, b := range p.contents() {
			if !strings.HasPrefix(name, segmentsName) {
				q.write(name, b)
			}
		}
		os.RemoveAll(filepath.Join(q.dir, "tile"))
		for name, b := range p.contents() {
			if strings.HasPrefix(name, "tile") {
				q.write(name, b)
			}
		}
		v := q.verify(VerifyOptions{})
		if v.Intact() || v.Damage[0].Segment != 0 || v.Damage[0].Record != 0 || v.Damage[0].Records != 3 {
			t.Errorf("%s, the segments alone: %s", what, said(v.Damage))
		}
	}
}

// Statements that the key signed, and that say what is not so: the writer's fault, found all the same.
func TestStatementsThatAreWrong(t *testing.T) {
	for want, change := range map[string]func(*Statement){
		"says that it is segment":  func(s *Statement) { s.Segment++ },
		"its first record is":      func(s *Statement) { s.First++ },
		"its statement says":       func(s *Statement) { s.Records++ },
		"not those that its":       func(s *Statement) { s.Root[0]++ },
		"not those that were":      func(s *Statement) { s.SHA256[0]++ },
		"it begins at byte":        func(s *Statement) { s.Offset++ },
		"not in order":             func(s *Statement) { s.To = s.From.Add(-time.Second) },
		"comes before that of":     func(s *Statement) { s.File = segmentFile(plainStart.Add(-time.Hour)) },
		"the file ends":            func(s *Statement) { s.Bytes += 10 },
		"not as this ledger write": func(s *Statement) { s.Records = 0 },
	} {
		p := newPlain(t)
		p.seal(plainStart, busyExchange(plainStart, 0).AppendJSON(nil))
		p.change = change
		p.seal(plainStart, busyExchange(plainStart, 1).AppendJSON(nil))
		v := p.verify(VerifyOptions{})
		if !strings.Contains(said(v.Damage), want) || v.Damage[0].Segment != 1 {
			t.Errorf("want %q, got %s", want, said(v.Damage))
		}
	}
	p := newPlain(t)
	p.seal(plainStart, busyExchange(plainStart, 0).AppendJSON(nil), []byte(`{"kind":"exchange","time":"2026-11-22T05:10:11.000Z","route":"/","tenant":"b"}`))
	if v := p.verify(VerifyOptions{}); v.DamageCount != 1 || v.Damage[0].Record != 1 || v.Damage[0].Records != 1 {
		t.Errorf("a record of another form: %s", said(v.Damage))
	}
}

func TestVerifiedAsJSON(t *testing.T) {
	p := newPlain(t)
	p.fill(1, 1)
	b, err := json.Marshal(p.verify(VerifyOptions{}))
	if err != nil || !strings.Contains(string(b), `"damage":[]`) || !strings.Contains(string(b), fmt.Sprintf(`"records":%d`, p.records)) {
		t.Errorf("%s %v", b, err)
	}
}

// A whole statement behind those that a bundle's name speaks of.
func TestStatementPutIn(t *testing.T) {
	p := newPlain(t)
	p.fill(3, 1)
	name := tilePath(entriesLevel, 0, 3)
	p.write(name, appendEntry(p.contents()[name], p.entries[0]))
	if v := p.verify(VerifyOptions{}); !strings.Contains(said(v.Damage), name+", segment 3: the bundle has 4 statements, expected 3") {
		t.Errorf("%s", said(v.Damage))
	}
}

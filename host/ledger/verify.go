package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// VerifyOptions say against what a ledger is verified. The zero value takes the
// folder's own key, and reads everything.
type VerifyOptions struct {
	Key   []byte // public key that was got elsewhere; nil: the folder's key.pub
	Since []byte // an earlier checkpoint of the ledger, signed; nil: none
	// From and To bound what is read of the segments' content, by the time of their
	// windows; zero: everything. The tree is always checked as a whole, and the last
	// segment read, as it says whether recording was closed.
	From, To time.Time
	Progress func(records, of int64) // called now and then; nil: not
	// Each is called with every record that could be read, in order. The record
	// is valid during the call only.
	Each func(*Record)
}

// Verify checks a ledger with nothing but its folder and a public key. What is
// wrong is in the answer; an error means that nothing could be checked.
//
// It proves that the records are those that were sealed, in their order, none
// changed, left out or put in, up to the checkpoint. It cannot prove that the edge
// recorded what it did, nor, without an earlier checkpoint that was kept
// elsewhere, that nothing was cut off at the end.
func Verify(dir string, o VerifyOptions) (*Verified, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	v := &verifier{f: archive{dir: dir}, o: o, out: &Verified{Since: -1, Damage: []Finding{}, Violations: []Finding{}, Notes: []Finding{}, Gaps: []Gap{}}}
	ok, err := v.open()
	if err != nil || !ok {
		return v.out, err
	}
	if v.files, err = listTiles(dir); err != nil {
		return nil, err
	}
	if v.segments, err = newSegmentReader(dir); err != nil {
		return nil, err
	}
	defer v.segments.close()
	v.survey()
	v.walk()
	v.leftovers()
	v.settleMissing()
	return v.out, nil
}

// A verifier does the work of one Verify.
type verifier struct {
	f        archive
	o        VerifyOptions
	out      *Verified
	files    map[tileName][]int // widths that are there
	segments *segmentReader
	scan     scanner
	needs    needs

	since     tlog.Tree
	total     int64 // records, as the last statement has it
	truth     truth
	leaves    leaves // of the bundle that was read last
	levels    []level
	ends      map[string]int64 // file of segments -> where its last segment ends
	shift     map[string]int64 // file of segments -> by how many bytes what was found last lies elsewhere
	last      *Statement       // the statement before; nil: it could not be read
	missing   []Statement      // of which the file is gone
	retained  int64            // segments up to here were removed on schedule
	lastFile  string
	before    string // kind of the record before; "": unknown
	beforeEnd time.Time
}

// truth says which of two witnesses of a leaf's hash agree with the checkpoint.
type truth uint8

const (
	neither truth = iota
	entriesAgree
	tilesAgree
)

// open reads key and checkpoint. Without a checkpoint that can be read there is
// nothing to check the rest against.
func (v *verifier) open() (ok bool, err error) {
	own, ownErr := readSmall(filepath.Join(v.f.dir, keyName), maxSmall)
	text := v.o.Key
	if v.o.Key == nil {
		v.out.FromDir = true
		if errors.Is(ownErr, fs.ErrNotExist) {
			if _, err := os.Stat(filepath.Join(v.f.dir, checkpointName)); err != nil {
				return false, fmt.Errorf("%s is no ledger: it has neither %s nor %s", v.f.dir, keyName, checkpointName)
			}
			v.out.damage(keyName, -1, "the public key is missing")
			return false, nil
		}
		text = own
	}
	if v.f.key, err = ParseKey(text); err != nil {
		if v.o.Key != nil {
			return false, err
		}
		v.out.damage(keyName, -1, "%v", err)
		return false, nil
	}
	v.out.Key = fmt.Sprintf("%s+%08x", v.f.key.Name(), v.f.key.KeyHash())
	if v.o.Key != nil {
		v.ownKey(own, ownErr)
	}
	return v.checkpoint() && v.earlier(), nil
}

// ownKey compares the folder's key with the one that was got elsewhere.
func (v *verifier) ownKey(own []byte, err error) {
	if err != nil {
		v.out.note(keyName, -1, "%v", err)
		return
	}
	if key, err := ParseKey(own); err != nil || string(own) != string(v.o.Key) && !sameKey(own, v.o.Key) {
		v.out.damage(keyName, -1, "is not the public key that was given (%v)", keyOr(key, err))
	}
}

func sameKey(a, b []byte) bool {
	trim := func(k []byte) string {
		if n := len(k); n > 0 && k[n-1] == '\n' {
			k = k[:n-1]
		}
		return string(k)
	}
	return trim(a) == trim(b)
}

func keyOr(key note.Verifier, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s+%08x", key.Name(), key.KeyHash())
}

func (v *verifier) checkpoint() bool {
	var err error
	if v.f.text, err = readSmall(filepath.Join(v.f.dir, checkpointName), maxSmall); err != nil {
		v.out.damage(checkpointName, -1, "the signed checkpoint: %v", err)
		return false
	}
	if v.f.tree, err = openSigned(v.f.text, v.f.key); err != nil {
		v.out.damage(checkpointName, -1, "the signed checkpoint: %v", err)
		return false
	}
	v.out.Size, v.out.Root = v.f.tree.N, v.f.tree.Hash.String()
	return true
}

// earlier reads the earlier checkpoint, and says if the ledger is shorter by now.
func (v *verifier) earlier() bool {
	if v.o.Since == nil {
		return true
	}
	var err error
	if v.since, err = openSigned(v.o.Since, v.f.key); err != nil {
		v.out.damage(checkpointName, -1, "the earlier checkpoint that was given: %v", err)
		return true
	}
	v.out.Since = v.since.N
	switch {
	case v.since.N > v.f.tree.N:
		v.out.damage(checkpointName, v.f.tree.N, "truncated: the earlier checkpoint covers %d segments, this one %d; segments %d to %d are gone",
			v.since.N, v.f.tree.N, v.f.tree.N, v.since.N-1)
	case v.since.N == v.f.tree.N && v.since.Hash != v.f.tree.Hash:
		v.forked()
	}
	return true
}

func (v *verifier) forked() {
	v.out.damage(checkpointName, -1, "forked: the first %d segments are not those of the earlier checkpoint, which the same key signed", v.since.N)
}

// leaves are the hashes of one bundle's segments, from both witnesses.
type leaves struct {
	entries           []*Statement // nil: not to be read
	entry, tile       []tlog.Hash
	entryOK, tileOK   []bool
	entryFile         string
	tileFile          string
	entryErr, tileErr error
}

func (v *verifier) readLeaves(n int64) *leaves {
	w := width(v.f.tree.N, 0, n)
	l := &v.leaves
	*l = leaves{
		entries: make([]*Statement, w), entry: make([]tlog.Hash, w), tile: make([]tlog.Hash, w),
		entryOK: make([]bool, w), tileOK: make([]bool, w),
	}
	var b []byte
	if b, l.tileFile, l.tileErr = v.f.read(0, n, w); l.tileErr == nil {
		for i := range l.tile {
			if (i+1)*tlog.HashSize <= len(b) {
				copy(l.tile[i][:], b[i*tlog.HashSize:])
				l.tileOK[i] = true
			}
		}
	}
	if b, l.entryFile, l.entryErr = v.f.read(entriesLevel, n, w); l.entryErr == nil {
		var list [][]byte
		list, l.entryErr = splitEntries(b)
		for i := range min(w, len(list)) {
			l.entry[i], l.entryOK[i] = tlog.RecordHash(list[i]), true
			if st, err := parseStatement(list[i]); err == nil {
				l.entries[i] = &st
			}
		}
	}
	return l
}

// leaf is the hash that counts for segment i of the bundle.
func (l *leaves) leaf(i int, t truth) (tlog.Hash, bool) {
	if t == tilesAgree && l.tileOK[i] || !l.entryOK[i] {
		return l.tile[i], l.tileOK[i]
	}
	return l.entry[i], true
}

// survey finds out, before anything is blamed, which of entries and tiles agree
// with the checkpoint; and compares with the earlier checkpoint.
func (v *verifier) survey() {
	var byEntries, byTiles treeHead
	whole := true
	var then [2]tlog.Hash
	for n := int64(0); n*tileWidth < v.f.tree.N; n++ {
		l := v.readLeaves(n)
		for i := range l.entry {
			e, ok := l.leaf(i, entriesAgree)
			t, _ := l.leaf(i, tilesAgree)
			whole = whole && ok
			if st := l.entries[i]; st != nil {
				v.total = st.First + st.Records
			}
			byEntries.add(e)
			byTiles.add(t)
			if byEntries.n == v.since.N {
				then = [2]tlog.Hash{byEntries.hash(), byTiles.hash()}
			}
		}
	}
	switch {
	case byEntries.hash() == v.f.tree.Hash:
		v.truth = entriesAgree
	case byTiles.hash() == v.f.tree.Hash:
		v.truth = tilesAgree
	case whole:
		v.out.damage(checkpointName, -1, "the tree of the %d segments is not the one that the checkpoint signs (%v)", v.f.tree.N, v.f.tree.Hash)
	default:
		v.out.damage(checkpointName, -1, "the tree of the checkpoint cannot be rebuilt, as parts are missing")
	}
	if v.since.N > 0 && v.since.N < v.f.tree.N {
		if now := then[0]; now != v.since.Hash && (v.truth != tilesAgree || then[1] != v.since.Hash) {
			v.forked()
		}
	}
}

// walk reads everything in order: statements, their segments, the tiles above.
func (v *verifier) walk() {
	v.ends, v.shift = map[string]int64{}, map[string]int64{}
	v.levels = nil
	for n := int64(0); n*tileWidth < v.f.tree.N; n++ {
		l := v.readLeaves(n)
		v.copies(l, n)
		for i := range l.entry {
			at := n*tileWidth + int64(i)
			h, ok := l.leaf(i, v.truth)
			sound := v.agree(l, i, at, h, ok)
			v.push(0, h, ok)
			st := l.entries[i]
			if !sound || st == nil {
				if sound {
					v.out.damage(l.entryFile, at, "the statement is not as this ledger writes statements")
				}
				v.last, v.before = nil, ""
				continue
			}
			v.statement(l, st, at)
			v.content(st)
			v.last = st
		}
	}
	for i := range v.levels {
		v.tile(i)
	}
	if v.last != nil {
		v.out.Records, v.out.To = v.last.First+v.last.Records, v.last.To
	}
	v.out.Closed = v.before == KindClose || v.f.tree.N == 0
}

// agree says if the entry of segment at is what the tree has, and what is not.
func (v *verifier) agree(l *leaves, i int, at int64, h tlog.Hash, known bool) bool {
	switch {
	case !known:
		v.out.damage(l.entryFile, at, "neither the statement nor its hash is there: %v", firstOf(l.entryErr, l.tileErr, errEntry))
		return false
	case !l.entryOK[i]:
		v.out.damage(l.entryFile, at, "the statement is missing: %v", firstOf(l.entryErr, errEntry))
		return false
	case l.entry[i] != h:
		v.out.damage(l.entryFile, at, "the statement is not the one of the tree")
		return false
	case !l.tileOK[i]:
		v.out.damage(l.tileFile, at, "the segment's hash is missing: %v", firstOf(l.tileErr, errEntry))
	case l.tile[i] != h && v.truth == entriesAgree:
		v.out.damage(l.tileFile, at, "the segment's hash is not the one of the tree")
	case l.tile[i] != h:
		v.out.damage(l.tileFile, at, "the segment's hash is not that of its statement in %s", l.entryFile)
	}
	return true
}

var errEntry = errors.New("the file is too short")

func firstOf(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// statement checks what a statement says against the one before.
func (v *verifier) statement(l *leaves, st *Statement, at int64) {
	if st.Segment != at {
		v.out.damage(l.entryFile, at, "the statement says that it is segment %d", st.Segment)
	}
	if at == 0 || v.out.From.IsZero() {
		v.out.From = st.From
	}
	if at == 0 && st.First != 0 || v.last != nil && st.First != v.last.First+v.last.Records {
		v.out.damage(l.entryFile, at, "its first record is %d: not the one after the segment before", st.First)
	}
	if end, known := v.ends[st.File]; (known || v.last != nil || at == 0) && st.Offset != end {
		v.out.damage(segmentsName+"/"+st.File, at, "it begins at byte %d, but the segment before ends at %d", st.Offset, end)
	}
	v.ends[st.File] = max(v.ends[st.File], st.Offset+st.Bytes)
	if st.File < v.lastFile {
		v.out.damage(l.entryFile, at, "its file %s comes before that of the segment before, %s", st.File, v.lastFile)
	}
	v.lastFile = max(v.lastFile, st.File)
	if st.To.Before(st.From) || v.last != nil && st.From.Before(v.last.From) {
		v.out.damage(l.entryFile, at, "its times, %v to %v, are not in order", st.From, st.To)
	}
}

func (v *verifier) event(r *Record) {
	data, _ := r.Event.Data.(json.RawMessage)
	switch r.Event.Kind {
	case KindOpen, KindUnrecorded:
		crashed := r.Event.Kind == KindOpen && v.before != KindClose && v.before != "" && r.Number > 0
		if g, ok := gapOf(r, crashed, v.beforeEnd); ok && len(v.out.Gaps) < maxFindings {
			v.out.Gaps = append(v.out.Gaps, g)
		}
	case KindRetention:
		var told struct{ Last int64 }
		if json.Unmarshal(data, &told) == nil {
			v.retained = max(v.retained, told.Last+1)
		}
	}
}

// gapOf says of which time an event tells that records are lost. Unclosed: the
// record before is no close; end is then when its window was closed.
func gapOf(r *Record, unclosed bool, end time.Time) (Gap, bool) {
	var told struct {
		Ended      string
		Last       time.Time
		CutRecords int64 `json:"cut_records"`
		CutBytes   int64 `json:"cut_bytes"`
		Exchanges  int64
		Events     int64
		From, To   time.Time
		Why        string
	}
	data, _ := r.Event.Data.(json.RawMessage)
	if err := json.Unmarshal(data, &told); len(data) > 0 && err != nil {
		told.Why = "what it tells cannot be read"
	}
	g := Gap{Record: r.Number, From: told.From.UTC(), To: told.To.UTC()}
	switch {
	case r.Event.Kind == KindUnrecorded:
		g.Kind = "unrecorded"
		g.Text = fmt.Sprintf("%d exchanges have no record; they were not personalized", told.Exchanges)
		if told.Events > 0 {
			g.Text = fmt.Sprintf("%d events have no record, and %s", told.Events, g.Text)
		}
		if told.Why != "" {
			g.Text += ": " + told.Why
		}
		return g, true
	case told.Ended == "crash" || unclosed:
		g.Kind, g.From, g.To = "crash", told.Last.UTC(), r.Event.Time
		if told.Last.IsZero() {
			g.From = end
		}
		g.Text = "recording ended without a close; what was not sealed is lost"
		if told.CutBytes > 0 {
			g.Text += fmt.Sprintf("; %d bytes that nobody had signed were cut off", told.CutBytes)
		}
		return g, true
	}
	return g, false
}

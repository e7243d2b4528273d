package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"
)

// openEvent is the data of [KindOpen].
type openEvent struct {
	Origin string `json:"origin"`
	// Ended says how the last run did: "first" (there was none), "close", or "crash".
	Ended string `json:"ended"`
	// Last is when the last sealed window was closed: after a crash, what came since
	// is lost.
	Last     *time.Time `json:"last,omitempty"`
	Segments int64      `json:"segments"`
	Records  int64      `json:"records"`
	// What was on disk and not signed, and cut off.
	CutBytes   int64 `json:"cut_bytes,omitempty"`
	CutRecords int64 `json:"cut_records,omitempty"`
}

// An ending is how the last run ended, and what it left to be done.
type ending struct {
	open   openEvent
	finish bool   // its newest checkpoint waits to be renamed
	cuts   []tail // what was not signed
}

// inspect finds where the last run ended, and changes nothing. An error is of what no crash leaves.
func (l *Ledger) inspect() (*ending, error) {
	e := &ending{open: openEvent{Origin: l.key.Name(), Ended: "first"}}
	tree, finish, err := l.signedTree()
	if err != nil {
		return nil, err
	}
	e.finish = finish
	last, frame, err := l.loadTip(tree)
	if err != nil {
		return nil, err
	}
	if !l.begun {
		e.open.Ended = "crash"
	}
	if last != nil {
		if bytes.HasPrefix(lastLine(frame), []byte(`{"kind":"`+KindClose+`"`)) {
			e.open.Ended = "close"
		}
		e.open.Last, e.open.Segments, e.open.Records = &l.tip.to, l.tip.size, l.tip.records
	}
	if err := l.noTilesBeyond(); err != nil {
		return nil, err
	}
	e.cuts, err = l.findUnsigned()
	return e, err
}

// mend leaves the folder as if the last run had ended in order.
func (l *Ledger) mend(e *ending) error {
	// A crash amid what follows leaves less to do for the next start.
	name, next := filepath.Join(l.Dir, checkpointName), filepath.Join(l.Dir, nextName)
	var err error
	if e.finish {
		err = l.fsys.Rename(next, name)
	} else {
		// What is not signed must not come back when another segment has its number.
		err = removeFile(l.fsys, next)
	}
	if err == nil {
		err = l.fsys.SyncDir(l.Dir)
	}
	for i := 0; err == nil && i < len(e.cuts); i++ {
		e.open.CutBytes += e.cuts[i].bytes
		e.open.CutRecords += e.cuts[i].records
		err = l.cutOff(e.cuts[i])
	}
	if err == nil {
		err = l.sweepTiles()
	}
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return nil
}

// signedTree is the newest tree that was signed. finish says that its checkpoint
// waits to be renamed.
func (l *Ledger) signedTree() (tree tlog.Tree, finish bool, err error) {
	read := func(name string) (tree tlog.Tree, there bool, err error) {
		msg, err := l.fsys.ReadFile(filepath.Join(l.Dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return tree, false, nil
		}
		if err == nil {
			tree, err = openCheckpoint(msg, l.key)
		}
		return tree, true, err
	}
	tree, there, err := read(checkpointName)
	if err != nil {
		return tree, false, fmt.Errorf("%s: %w: %w", checkpointName, err, errDamage)
	}
	next, nextThere, nextErr := read(nextName)
	if nextErr != nil && errors.As(nextErr, new(*fs.PathError)) {
		return tree, false, nextErr // not readable is not the same as torn
	}
	if !there {
		return tree, false, fmt.Errorf("%s is missing: %w", checkpointName, errDamage)
	}
	if !nextThere || nextErr != nil || next.N <= tree.N {
		return tree, false, nil // none, torn, or from before
	}
	if next.N > tree.N+1 {
		return tree, false, fmt.Errorf("%s is of %d segments, and %s of %d: no crash leaves that; an older checkpoint was put in its place", nextName, next.N, checkpointName, tree.N)
	}
	return next, true, nil
}

// errDamage ends the errors about a tree that does not fit.
var errDamage = errors.New("no crash leaves that; restore the folder (`ledger verify` says what is wrong), or move it away to begin anew")

// loadTip reads the edge of a tree and its last segment, and checks that they
// are what was signed. last is nil for an empty tree.
func (l *Ledger) loadTip(tree tlog.Tree) (last *Statement, lines []byte, err error) {
	e := &edge{size: tree.N}
	l.tip = tip{edge: e}
	for level := 0; tree.N>>(tileHeight*level) > 0; level++ {
		var data []byte
		if w := e.width(level); w > 0 {
			if data, err = l.readTile(level, e.number(level), w); err != nil {
				return nil, nil, err
			}
		}
		e.levels = append(e.levels, data)
	}
	got, err := e.tree()
	if err != nil {
		return nil, nil, err
	}
	if got != tree {
		return nil, nil, fmt.Errorf("the tiles at the tree's edge have the hash %v, and the checkpoint of %d segments says %v: %w", got.Hash, tree.N, tree.Hash, errDamage)
	}
	if tree.N == 0 {
		return nil, nil, nil
	}
	// The bundle at the edge, or the last full one.
	entry, bundle, err := readEntry(l.fsys, l.Dir, tree.N-1, tree.N)
	if err != nil {
		return nil, nil, err
	}
	if e.width(0) > 0 {
		e.entries = bundle
	}
	s, err := parseStatement(entry)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", err, errDamage)
	}
	leaf, err := l.leaf(tree.N - 1)
	if err != nil {
		return nil, nil, err
	}
	if tlog.RecordHash(entry) != leaf || s.Segment != tree.N-1 {
		return nil, nil, fmt.Errorf("the statement of segment %d is not what the tree says: %w", tree.N-1, errDamage)
	}
	lines, err = l.readSegment(&s)
	if err != nil {
		return nil, nil, fmt.Errorf("segment %d: %w: %w", s.Segment, err, errDamage)
	}
	l.tip = tip{edge: e, records: s.First + s.Records, file: s.File, end: s.Offset + s.Bytes, to: s.To}
	return &s, lines, nil
}

func (l *Ledger) readTile(level int, n int64, w int) ([]byte, error) {
	path := tilePath(level, n, w)
	data, err := l.fsys.ReadFile(filepath.Join(l.Dir, filepath.FromSlash(path)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: %w", path, errDamage)
	}
	if err == nil && len(data) != w*tlog.HashSize {
		err = fmt.Errorf("%s has %d bytes, want %d: %w", path, len(data), w*tlog.HashSize, errDamage)
	}
	return data, err
}

// leaf is the hash of entry i, from its tile, which need not be at the edge.
func (l *Ledger) leaf(i int64) (tlog.Hash, error) {
	n := i / tileWidth
	w := int(min(l.tip.size-n*tileWidth, tileWidth))
	data, err := l.readTile(0, n, w)
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.Hash(data[i%tileWidth*tlog.HashSize:][:tlog.HashSize]), nil
}

// readEntry reads entry i of a tree of the given size, and the bundle that it is in.
func readEntry(fsys files, dir string, i, size int64) (entry, bundle []byte, err error) {
	n := i / tileWidth
	path := tilePath(entriesLevel, n, int(min(size-n*tileWidth, tileWidth)))
	bundle, err = fsys.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s is missing: %w", path, errDamage)
	}
	if err != nil {
		return nil, nil, err
	}
	entries, err := splitEntries(bundle)
	if err == nil && len(entries) != int(min(size-n*tileWidth, tileWidth)) {
		err = fmt.Errorf("%d entries, want %d", len(entries), min(size-n*tileWidth, tileWidth))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", path, err, errDamage)
	}
	return entries[i%tileWidth], bundle, nil
}

// readSegment reads a segment's records and checks them.
func (l *Ledger) readSegment(s *Statement) ([]byte, error) {
	f, err := l.fsys.Open(filepath.Join(l.Dir, segmentsName, s.File), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size < s.Offset+s.Bytes || s.Bytes > maxSegment {
		return nil, fmt.Errorf("%s has %d bytes, want %d", s.File, size, s.Offset+s.Bytes)
	}
	frame := make([]byte, s.Bytes)
	if _, err := f.ReadAt(frame, s.Offset); err != nil {
		return nil, err
	}
	if tlog.Hash(sha256.Sum256(frame)) != s.SHA256 {
		return nil, fmt.Errorf("%s was changed between %d and %d", s.File, s.Offset, s.Offset+s.Bytes)
	}
	lines, err := unpack(frame)
	if err != nil {
		return nil, err
	}
	var root rootHasher
	var marks []byte
	for line := range bytes.Lines(lines) {
		leaf := tlog.RecordHash(bytes.TrimSuffix(line, []byte("\n")))
		root.add(leaf)
		marks = append(marks, leaf[:markSize]...)
	}
	if root.n != s.Records || root.root() != s.Root {
		return nil, fmt.Errorf("%d records are not those of its statement", root.n)
	}
	return lines, checkMarks(frame, s, marks)
}

func unpack(frames []byte) ([]byte, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSegment))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	return dec.DecodeAll(frames, nil)
}

// lastLine is the last line, without its end.
func lastLine(lines []byte) []byte {
	lines = bytes.TrimSuffix(lines, []byte("\n"))
	return lines[bytes.LastIndexByte(lines, '\n')+1:]
}

// A tail is what is in a file of segments beyond what was signed.
type tail struct {
	file           string
	from           int64 // 0 and the file is of no signed segment: all of it
	bytes, records int64
}

// findUnsigned finds what is in files of segments and was not signed: at most the one
// segment that was being written. More of it was signed once, under a newer checkpoint than
// the one that is there, and is not ours to take away.
func (l *Ledger) findUnsigned() ([]tail, error) {
	names, err := l.fsys.ReadDir(filepath.Join(l.Dir, segmentsName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var cuts []tail
	for _, name := range names {
		if _, err := fileHour(name); err != nil || name < l.tip.file {
			continue // not ours; or of the past, which verifying looks at
		}
		t, err := l.tailOf(name)
		if err != nil {
			return nil, err
		}
		if t.bytes == 0 && t.from > 0 {
			continue
		}
		cuts = append(cuts, t)
	}
	if len(cuts) > 1 {
		return nil, fmt.Errorf("%s and %s hold segments that were not signed: %w", cuts[0].file, cuts[1].file, errDamage)
	}
	return cuts, nil
}

// tailOf says what of a file was not signed.
func (l *Ledger) tailOf(name string) (tail, error) {
	t := tail{file: name}
	if name == l.tip.file {
		t.from = l.tip.end
	}
	f, err := l.fsys.Open(filepath.Join(l.Dir, segmentsName, name), os.O_RDONLY, 0)
	if err != nil {
		return t, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return t, err
	}
	if t.bytes = size - t.from; t.bytes <= 0 {
		return t, nil
	}
	b := make([]byte, min(t.bytes, maxSegment))
	if _, err := f.ReadAt(b, t.from); err != nil {
		return t, err
	}
	if t.bytes > maxSegment || !leftByCrash(b) {
		return t, fmt.Errorf("%s holds more than one segment behind byte %d, where the checkpoint's tree of %d segments ends: an older checkpoint was put in the place of a newer one: %w", name, t.from, l.tip.size, errDamage)
	}
	lines, err := unpack(b)
	if err != nil { // torn, maybe behind the records only
		lines, err = unpack(b[:frameLength(b)])
	}
	if err == nil {
		t.records = int64(bytes.Count(lines, []byte("\n")))
	}
	return t, nil
}

// leftByCrash reports whether bytes behind the last signed segment can be what a crash leaves: a segment or a
// part of one. Of the one that is being written nothing is behind its marks.
func leftByCrash(b []byte) bool {
	whole, rest := frames(b)
	if whole != 1 || rest == 0 {
		return whole < 2
	}
	// Where the power went between the bytes of the marks' length, it is too small, and the rest are marks.
	n := frameLength(b)
	lines, err := unpack(b[:n])
	return err == nil && len(b)-rest-n-marksHead < markSize*bytes.Count(lines, []byte("\n"))
}

// noTilesBeyond checks that tiles and bundles hold at most the one segment that was being written: wider ones
// were made for segments that were signed.
func (l *Ledger) noTilesBeyond() error {
	check := func(path string, end int64) error {
		if end > l.tip.size+1 {
			return fmt.Errorf("%s is of %d segments, and the checkpoint of %d: an older checkpoint was put in the place of a newer one: %w", path, end, l.tip.size, errDamage)
		}
		return nil
	}
	for _, level := range []int{0, entriesLevel} {
		for _, n := range []int64{l.tip.number(0), l.tip.number(0) + 1} {
			path := tilePath(level, n, tileWidth)
			full := filepath.Join(l.Dir, filepath.FromSlash(path))
			has, err := hasName(l.fsys, filepath.Dir(full), filepath.Base(full))
			if err == nil && has {
				err = check(path, (n+1)*tileWidth)
			}
			if err != nil {
				return err
			}
			names, err := l.fsys.ReadDir(full + ".p")
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			for _, name := range names {
				path := path + ".p/" + name
				if at, w, ok := parseTilePath(path); ok {
					if err := check(path, at.n*tileWidth+int64(w)); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func (l *Ledger) cutOff(t tail) error {
	l.Log.Warn("ledger: cut off what was not signed", "file", t.file, "offset", t.from, "bytes", t.bytes, "records", t.records)
	name := filepath.Join(l.Dir, segmentsName, t.file)
	if t.from == 0 {
		if err := l.fsys.Remove(name); err != nil {
			return err
		}
		return l.fsys.SyncDir(filepath.Dir(name))
	}
	f, err := l.fsys.Open(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(t.from)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// sweepTiles removes tiles at the edge that are narrower or wider than the tree's.
// That is for tidiness only, and need not be durable: nobody looks at them.
func (l *Ledger) sweepTiles() error {
	sweep := func(level, at int) error {
		n, w := l.tip.number(at), l.tip.width(at)
		// The tile at the edge, the one before (its partial ones may be left), and the one after.
		for _, k := range []int64{n - 1, n, n + 1} {
			if k < 0 {
				continue
			}
			full := filepath.Join(l.Dir, filepath.FromSlash(tilePath(level, k, tileWidth)))
			if k >= n {
				if err := removeFile(l.fsys, full); err != nil {
					return err
				}
			}
			names, err := l.fsys.ReadDir(full + ".p")
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			for _, name := range names {
				if k == n && name == strconv.Itoa(w) || strings.Trim(name, "0123456789") != "" {
					continue
				}
				if err := removeFile(l.fsys, filepath.Join(full+".p", name)); err != nil {
					return err
				}
			}
			if !(k == n && w > 0) && !slices.ContainsFunc(names, func(s string) bool { return strings.Trim(s, "0123456789") != "" }) {
				if err := removeFile(l.fsys, full+".p"); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for level := range len(l.tip.levels) + 1 {
		if err := sweep(level, level); err != nil {
			return err
		}
	}
	return sweep(entriesLevel, 0)
}

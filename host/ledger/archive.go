package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Limits of what a reader takes from a folder that anybody may have written.
const (
	maxSmall   = 64 << 10  // a key, a checkpoint
	maxSegment = 256 << 20 // a segment's frame, and its records
)

// maxEntries is the most bytes of a bundle: 256 entries with their lengths.
const maxEntries = tileWidth * (2 + 1<<16 - 1)

// readSmall reads a file that should be small.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return b, nil
}

// ParseKey reads a public key, a verifier line of golang.org/x/mod/sumdb/note,
// with or without a line's end. Of several spellings of one key it takes only the usual.
func ParseKey(text []byte) (note.Verifier, error) {
	line := strings.TrimSuffix(string(text), "\n")
	key, err := note.NewVerifier(line)
	if err != nil {
		return nil, fmt.Errorf("public key %.100q: %w", line, err)
	}
	if !strings.HasPrefix(line, fmt.Sprintf("%s+%08x+", key.Name(), key.KeyHash())) {
		return nil, fmt.Errorf("public key %.100q: not as keys are written", line)
	}
	return key, nil
}

// openSigned is openCheckpoint, and refuses a second spelling of the same
// signature: base64 has some, and no byte of the file should be free.
func openSigned(msg []byte, key note.Verifier) (tlog.Tree, error) {
	tree, err := openCheckpoint(msg, key)
	if err != nil {
		return tlog.Tree{}, err
	}
	n, err := note.Open(msg, note.VerifierList(key))
	if err != nil {
		return tlog.Tree{}, err
	}
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return tlog.Tree{}, errors.New("expected one signature")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("signature: %w", err)
	}
	again := formatCheckpoint(key.Name(), tree) + "\n— " + key.Name() + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
	if again != string(msg) {
		return tlog.Tree{}, errors.New("not as checkpoints are written")
	}
	return tree, nil
}

// An archive is a ledger's folder, opened for reading.
type archive struct {
	dir  string
	key  note.Verifier
	tree tlog.Tree // of the signed checkpoint
	text []byte    // the signed checkpoint
}

// openArchive opens a ledger whose checkpoint has to be in order. The key "" is
// that of the folder.
func openArchive(dir, key string) (*archive, error) {
	f := &archive{dir: dir}
	var err error
	keyText := []byte(key)
	if key == "" {
		if keyText, err = readSmall(filepath.Join(dir, keyName), maxSmall); err != nil {
			return nil, fmt.Errorf("no ledger: %w", err)
		}
	}
	if f.key, err = ParseKey(keyText); err != nil {
		return nil, err
	}
	if f.text, err = readSmall(filepath.Join(dir, checkpointName), maxSmall); err != nil {
		return nil, fmt.Errorf("no ledger: %w", err)
	}
	if f.tree, err = openSigned(f.text, f.key); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, checkpointName), err)
	}
	return f, nil
}

// width is how many hashes or entries the tree of n has in a tile of that
// level (0 for bundles) and number.
func width(size int64, level int, n int64) int {
	return int(max(0, min(tileWidth, size>>(tileHeight*level)-n*tileWidth)))
}

// read returns a tile or bundle that holds at least w, and its name. While the
// ledger is written, the one of exactly that width may be gone and a wider one there.
func (f *archive) read(level int, n int64, w int) ([]byte, string, error) {
	limit := int64(tileWidth * tlog.HashSize)
	if level == entriesLevel {
		limit = maxEntries
	}
	name := tilePath(level, n, w)
	b, err := readSmall(filepath.Join(f.dir, name), limit)
	if !errors.Is(err, fs.ErrNotExist) || w == tileWidth {
		return b, name, err
	}
	full := tilePath(level, n, tileWidth)
	if b, err := readSmall(filepath.Join(f.dir, full), limit); err == nil && whole(level, b, tileWidth) {
		return b, full, nil
	}
	var widths []int
	list, _ := os.ReadDir(filepath.Join(f.dir, full+".p"))
	for _, e := range list {
		if have, err := strconv.Atoi(e.Name()); err == nil && have > w && have < tileWidth && strconv.Itoa(have) == e.Name() {
			widths = append(widths, have)
		}
	}
	slices.Sort(widths) // the widest may be half written
	for _, have := range widths {
		wider := tilePath(level, n, have)
		if b, err := readSmall(filepath.Join(f.dir, wider), limit); err == nil && whole(level, b, have) {
			return b, wider, nil
		}
	}
	return nil, name, err
}

// whole reports whether a tile or bundle is as long as its name says.
func whole(level int, b []byte, w int) bool {
	if level != entriesLevel {
		return len(b) == w*tlog.HashSize
	}
	entries, err := splitEntries(b)
	return err == nil && len(entries) == w
}

// bundle returns the statements of bundle n, unchecked against the tree.
func (f *archive) bundle(n int64) ([]Statement, error) {
	w := width(f.tree.N, 0, n)
	b, name, err := f.read(entriesLevel, n, w)
	if err != nil {
		return nil, err
	}
	entries, err := splitEntries(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(entries) < w {
		return nil, fmt.Errorf("%s: %d entries, expected %d", name, len(entries), w)
	}
	list := make([]Statement, w)
	for i := range list {
		if list[i], err = parseStatement(entries[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if at := n*tileWidth + int64(i); list[i].Segment != at {
			return nil, fmt.Errorf("%s: segment %d, expected %d", name, list[i].Segment, at)
		}
	}
	return list, nil
}

// statement returns the statement of one segment, unchecked against the tree,
// and its hash.
func (f *archive) statement(at int64) (Statement, tlog.Hash, error) {
	n := at / tileWidth
	b, name, err := f.read(entriesLevel, n, width(f.tree.N, 0, n))
	if err != nil {
		return Statement{}, tlog.Hash{}, err
	}
	entries, err := splitEntries(b)
	if err != nil || at%tileWidth >= int64(len(entries)) {
		return Statement{}, tlog.Hash{}, fmt.Errorf("%s: %w", name, firstOf(err, errEntry))
	}
	line := entries[at%tileWidth]
	st, err := parseStatement(line)
	if err == nil && st.Segment != at {
		err = fmt.Errorf("segment %d, expected %d", st.Segment, at)
	}
	if err != nil {
		return Statement{}, tlog.Hash{}, fmt.Errorf("%s: %w", name, err)
	}
	return st, tlog.RecordHash(line), nil
}

// search returns the first segment whose statement is so, as long as it is so
// for all that follow; the tree's size for none.
func (f *archive) search(is func(*Statement) bool) (int64, error) {
	var fault error
	at := sort.Search(int(f.tree.N), func(i int) bool {
		st, _, err := f.statement(int64(i))
		if err != nil {
			fault = firstOf(fault, err)
			return true
		}
		return is(&st)
	})
	return int64(at), fault
}

// from returns the first segment that was sealed at that time or later.
func (f *archive) from(t time.Time) (int64, error) {
	if t.IsZero() {
		return 0, nil
	}
	return f.search(func(st *Statement) bool { return !st.To.Before(t) })
}

// ReadHashes answers tlog's questions from the tiles.
func (f *archive) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		t := tlog.TileForIndex(tileHeight, index)
		t.W = width(f.tree.N, t.L, t.N)
		b, name, err := f.read(t.L, t.N, t.W)
		if err != nil {
			return nil, err
		}
		if out[i], err = tlog.HashFromTile(t, b, index); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}

// A treeHead is the hash of a tree of which leaves are told one by one (RFC
// 6962, 2.1): the complete subtrees from the left, the largest first.
type treeHead struct {
	n     int64
	stack []tlog.Hash
}

func (t *treeHead) add(h tlog.Hash) {
	for n := t.n; n&1 != 0; n >>= 1 {
		h = tlog.NodeHash(t.stack[len(t.stack)-1], h)
		t.stack = t.stack[:len(t.stack)-1]
	}
	t.stack = append(t.stack, h)
	t.n++
}

func (t *treeHead) reset() { t.n, t.stack = 0, t.stack[:0] }

func (t *treeHead) hash() tlog.Hash {
	if t.n == 0 {
		h, _ := tlog.TreeHash(0, nil) // of nothing; asks for no hash
		return h
	}
	h := t.stack[len(t.stack)-1]
	for i := len(t.stack) - 2; i >= 0; i-- {
		h = tlog.NodeHash(t.stack[i], h)
	}
	return h
}

package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// merkle is RFC 6962, 2.1, as it is written there.
func merkle(leaves []tlog.Hash) tlog.Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	l, r := merkle(leaves[:k]), merkle(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

// once remembers what f said of a text: tests look at the same lines thousands of times.
func once[T any](memo *sync.Map, text string, f func() (T, error)) (T, error) {
	if v, ok := memo.Load(text); ok {
		return v.(T), nil
	}
	v, err := f()
	if err == nil {
		memo.Store(text, v)
	}
	return v, err
}

var statementMemo, frameMemo, checkpointMemo sync.Map

// A content is all that a ledger's folder says, checked.
type content struct {
	tree       tlog.Tree
	statements []Statement
	records    [][]byte // lines
}

// events are the records of a kind, decoded into E.
func events[E any](t *testing.T, c *content, kind string) []E {
	t.Helper()
	var list []E
	for _, line := range c.records {
		if !bytes.HasPrefix(line, []byte(`{"kind":"`+kind+`"`)) {
			continue
		}
		var e struct{ Data E }
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		list = append(list, e.Data)
	}
	return list
}

// folder gives the files of a ledger by their names with slashes.
type folder map[string][]byte

func readFolder(dir string) (folder, error) {
	f := make(folder)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil {
			f[filepath.ToSlash(name)], err = os.ReadFile(path)
		}
		return err
	})
	return f, err
}

// checkFolder reads a ledger from its files alone, by other means than the
// writer's. Segments of files that are gone are left out of records if gone allows it.
func checkFolder(f folder, gone bool) (*content, error) {
	key, err := note.NewVerifier(strings.TrimSpace(string(f[keyName])))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyName, err)
	}
	n, err := note.Open(f[checkpointName], note.VerifierList(key))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", checkpointName, err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != key.Name() {
		return nil, fmt.Errorf("checkpoint %q", n.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return nil, err
	}
	c := &content{tree: tlog.Tree{N: size}}
	if c.tree.Hash, err = tlog.ParseHash(lines[2]); err != nil {
		return nil, err
	}
	var leaves []tlog.Hash
	for i := int64(0); i < size; i += 256 {
		name := fmt.Sprintf("tile/entries/%03d", i/256)
		if size-i < 256 {
			name += fmt.Sprintf(".p/%d", size-i)
		}
		bundle, ok := f[name]
		if !ok {
			return nil, fmt.Errorf("%s is missing", name)
		}
		for len(bundle) > 0 {
			k := int(bundle[0])<<8 | int(bundle[1])
			leaves = append(leaves, sha256.Sum256(append([]byte{0}, bundle[2:2+k]...)))
			var s Statement
			line := bytes.Clone(bundle[2 : 2+k])
			if s, err = once(&statementMemo, string(line), func() (Statement, error) { return parseStatement(line) }); err != nil {
				return nil, err
			}
			c.statements = append(c.statements, s)
			bundle = bundle[2+k:]
		}
	}
	if int64(len(leaves)) != size || merkle(leaves) != c.tree.Hash {
		return nil, fmt.Errorf("%d statements have the hash %v, and the checkpoint says %v", len(leaves), merkle(leaves), c.tree.Hash)
	}
	for level, hashes := 0, leaves; len(hashes) > 0; level++ {
		var above []tlog.Hash
		for i := 0; i < len(hashes); i += 256 {
			part := hashes[i:min(i+256, len(hashes))]
			name := fmt.Sprintf("tile/%d/%03d", level, i/256)
			if len(part) < 256 {
				name += fmt.Sprintf(".p/%d", len(part))
			} else {
				above = append(above, merkle(part))
			}
			var want []byte
			for _, h := range part {
				want = append(want, h[:]...)
			}
			if !bytes.Equal(f[name], want) {
				return nil, fmt.Errorf("%s is not what the statements give", name)
			}
		}
		hashes = above
	}
	return c, c.readSegments(f, gone)
}

func (c *content) readSegments(f folder, gone bool) error {
	var records int64
	missing := int64(-1)
	ends := make(map[string]int64)
	for i, s := range c.statements {
		if s.Segment != int64(i) || s.First != records || s.Offset != ends[s.File] {
			return fmt.Errorf("segment %d: statement %+v, want record %d at %d", i, s, records, ends[s.File])
		}
		if i > 0 && (s.From.Before(c.statements[i-1].To) || s.File < c.statements[i-1].File) || s.To.Before(s.From) {
			return fmt.Errorf("segment %d: time goes back", i)
		}
		records += s.Records
		ends[s.File] += s.Bytes
		file, ok := f["segments/"+s.File]
		if !ok && gone {
			missing = s.Segment
			continue
		}
		if int64(len(file)) < s.Offset+s.Bytes {
			return fmt.Errorf("segment %d: %s has %d bytes", i, s.File, len(file))
		}
		frame := file[s.Offset : s.Offset+s.Bytes]
		lines, err := once(&frameMemo, string(frame)+s.Root.String(), func() ([][]byte, error) { return checkFrame(frame, &s) })
		if err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
		c.records = append(c.records, lines...)
	}
	told := int64(-1)
	for _, line := range c.records {
		var e struct{ Data retentionEvent }
		if bytes.HasPrefix(line, []byte(`{"kind":"`+KindRetention+`"`)) && json.Unmarshal(line, &e) == nil {
			told = max(told, e.Data.Last)
		}
	}
	if missing > told {
		return fmt.Errorf("the content of segment %d is missing, and retention speaks of segments up to %d", missing, told)
	}
	for name, end := range ends {
		if file, ok := f["segments/"+name]; ok && int64(len(file)) != end {
			return fmt.Errorf("%s has %d bytes, and %d are sealed", name, len(file), end)
		}
	}
	return nil
}

func checkFrame(frame []byte, s *Statement) ([][]byte, error) {
	text, err := unpack(frame)
	if err != nil {
		return nil, err
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		return nil, errors.New("no end of line")
	}
	lines := bytes.Split(text[:len(text)-1], []byte("\n"))
	var leaves []tlog.Hash
	var marks []byte
	for _, line := range lines {
		if !json.Valid(line) {
			return nil, fmt.Errorf("%q is no JSON", line)
		}
		leaf := tlog.RecordHash(line)
		leaves, marks = append(leaves, leaf), append(marks, leaf[:4]...)
	}
	if int64(len(leaves)) != s.Records || merkle(leaves) != s.Root || sha256.Sum256(frame) != s.SHA256 {
		return nil, errors.New("the records are not those of its statement")
	}
	skipped := binary.LittleEndian.AppendUint32([]byte{0x5b, 0x2a, 0x4d, 0x18}, uint32(len(marks)))
	if !bytes.HasSuffix(frame, append(skipped, marks...)) || sha256.Sum256(marks) != s.Marks {
		return nil, errors.New("the marks are not those of the records")
	}
	return lines, nil
}

// mustCheck reads and checks a folder on disk.
func mustCheck(t *testing.T, dir string) *content {
	t.Helper()
	f, err := readFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := checkFolder(f, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A plainLedger writes ledgers as FORMAT.md describes them, with none of the
// writer's code but the names and statements: what a test wants sealed, is.
type plainLedger struct {
	t        testing.TB
	dir      string
	key      string // private
	pub      string
	hashes   []tlog.Hash // as tlog stores them
	entries  [][]byte
	records  int64
	ends     map[string]int64
	partials bool // keep the partial tiles of every checkpoint
	change   func(*Statement)
	reframe  func(frame []byte, s *Statement) // changes the bytes before their hash is taken
}

var plainStart = time.Date(2026, 11, 22, 5, 10, 11, 0, time.UTC)

func newPlain(t testing.TB) *plainLedger {
	t.Helper()
	key, pub, err := note.GenerateKey(rand.Reader, "bespoke/test")
	if _, fuzzing := t.(*testing.F); fuzzing {
		// What a fuzzing worker is given was signed in another process.
		seed := make([]byte, ed25519.SeedSize)
		pub, err = note.NewEd25519VerifierKey("bespoke/test", ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
		key = "PRIVATE+KEY+" + pub[:len("bespoke/test+01234567+")] + base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &plainLedger{t: t, dir: t.TempDir(), key: key, pub: pub, ends: map[string]int64{}}
	p.write(keyName, []byte(pub+"\n"))
	p.sign()
	return p
}

func (p *plainLedger) write(name string, b []byte) {
	p.t.Helper()
	path := filepath.Join(p.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// hash is the tree's, with n segments.
func (p *plainLedger) hash(n int64) tlog.Tree {
	p.t.Helper()
	h, err := tlog.TreeHash(n, tlog.HashReaderFunc(p.stored))
	if err != nil {
		p.t.Fatal(err)
	}
	return tlog.Tree{N: n, Hash: h}
}

func (p *plainLedger) stored(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, p.hashes[i])
	}
	return out, nil
}

// signed is a checkpoint of the first n segments.
func (p *plainLedger) signed(n int64) []byte {
	p.t.Helper()
	signer, err := note.NewSigner(p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	msg, err := note.Sign(&note.Note{Text: formatCheckpoint(signer.Name(), p.hash(n))}, signer)
	if err != nil {
		p.t.Fatal(err)
	}
	return msg
}

func (p *plainLedger) sign() { p.write(checkpointName, p.signed(int64(len(p.entries)))) }

// seal adds a segment of these lines, whose window began at from.
func (p *plainLedger) seal(from time.Time, lines ...[]byte) {
	p.t.Helper()
	var text []byte
	var tree treeHead
	var marks []byte
	for _, l := range lines {
		text = append(append(text, l...), '\n')
		leaf := tlog.RecordHash(l)
		tree.add(leaf)
		marks = append(marks, leaf[:4]...)
	}
	var buf bytes.Buffer
	enc, err := zstd.NewWriter(&buf, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		p.t.Fatal(err)
	}
	enc.Write(text)
	enc.Close()
	buf.Write(binary.LittleEndian.AppendUint32([]byte{0x5b, 0x2a, 0x4d, 0x18}, uint32(len(marks))))
	buf.Write(marks)
	file := segmentFile(from)
	st := Statement{
		Segment: int64(len(p.entries)), First: p.records, Records: int64(len(lines)), Root: tree.hash(),
		File: file, Offset: p.ends[file], Bytes: int64(buf.Len()), SHA256: sha256.Sum256(buf.Bytes()), Marks: sha256.Sum256(marks), From: from, To: from.Add(time.Second),
	}
	if p.reframe != nil {
		p.reframe(buf.Bytes(), &st)
		st.SHA256 = sum(buf.Bytes())
	}
	if p.change != nil {
		p.change(&st)
	}
	name := filepath.Join(p.dir, segmentsName, file)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		p.t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	f.Write(buf.Bytes())
	f.Close()
	p.ends[file] += int64(buf.Len())
	p.records += int64(len(lines))
	old := int64(len(p.entries))
	entry := st.append(nil)
	hashes, err := tlog.StoredHashes(old, entry, tlog.HashReaderFunc(p.stored))
	if err != nil {
		p.t.Fatal(err)
	}
	p.hashes = append(p.hashes, hashes...)
	p.entries = append(p.entries, entry)
	p.tiles(old)
	p.sign()
}

func (p *plainLedger) tiles(old int64) {
	size := old + 1
	for _, tile := range tlog.NewTiles(tileHeight, old, size) {
		b, err := tlog.ReadTileData(tile, tlog.HashReaderFunc(p.stored))
		if err != nil {
			p.t.Fatal(err)
		}
		p.write(tilePath(tile.L, tile.N, tile.W), b)
		if tile.L == 0 {
			b = nil
			for _, e := range p.entries[tile.N*tileWidth : tile.N*tileWidth+int64(tile.W)] {
				b = appendEntry(b, e)
			}
			p.write(tilePath(entriesLevel, tile.N, tile.W), b)
		}
		if p.partials || tile.W == 1 {
			continue
		}
		for _, level := range []int{tile.L, entriesLevel} {
			if level == entriesLevel && tile.L > 0 {
				continue
			}
			before := filepath.Join(p.dir, tilePath(level, tile.N, tile.W-1))
			os.Remove(before)
			os.Remove(filepath.Dir(before)) // if it is empty
		}
	}
}

// fill seals n segments of exchanges, a second each, between an open and a close.
func (p *plainLedger) fill(n, each int) {
	p.t.Helper()
	number := 0
	for i := range n {
		from := plainStart.Add(time.Duration(i) * time.Second)
		var lines [][]byte
		if i == 0 {
			lines = append(lines, p.event(KindOpen, from, map[string]any{"ended": "first"}))
		}
		for range each {
			lines = append(lines, busyExchange(from.Add(time.Duration(number%1000)*time.Millisecond), number).AppendJSON(nil))
			number++
		}
		if i == n-1 {
			lines = append(lines, p.event(KindClose, from, nil))
		}
		p.seal(from, lines...)
	}
}

func (p *plainLedger) event(kind string, at time.Time, data any) []byte {
	p.t.Helper()
	e := Event{Kind: kind, Time: at, Data: data}
	line, err := e.AppendJSON(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return line
}

func (p *plainLedger) verify(o VerifyOptions) *Verified {
	p.t.Helper()
	v, err := Verify(p.dir, o)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// contents is every file of the folder.
func (p *plainLedger) contents() map[string][]byte {
	p.t.Helper()
	all := map[string][]byte{}
	if err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(p.dir, path)
		all[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	}); err != nil {
		p.t.Fatal(err)
	}
	return all
}

func sum(b []byte) tlog.Hash { return sha256.Sum256(b) }

// said is all findings of a class, a line each.
func said(list []Finding) string {
	var lines []string
	for i := range list {
		lines = append(lines, list[i].String())
	}
	return strings.Join(lines, "\n")
}

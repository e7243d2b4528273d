package ledger

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestProve(t *testing.T) {
	for _, n := range []int{1, 2, 5, 257} {
		p := newPlain(t)
		p.fill(n, 3)
		for number := int64(0); number < p.records; number += max(1, p.records/40) {
			proof, err := Prove(p.dir, number)
			if err != nil {
				t.Fatal(err)
			}
			file, err := proof.Encode()
			if err != nil {
				t.Fatal(err)
			}
			proven, err := VerifyProof(file, []byte(p.pub))
			if err != nil || proven.Record.Number != number || proven.Segments != int64(n) {
				t.Fatalf("record %d: %+v %v", number, proven, err)
			}
			if r, err := At(p.dir, number); err != nil || !bytes.Equal(r.Line, proven.Record.Line) {
				t.Fatalf("record %d: %s", number, proven.Record.Line)
			}
		}
		for _, none := range []int64{-1, p.records} {
			if _, err := Prove(p.dir, none); err == nil {
				t.Errorf("proof of record %d", none)
			}
		}
	}
}

func TestProofEveryByteFlipped(t *testing.T) {
	p := newPlain(t)
	p.fill(5, 3)
	proof, err := Prove(p.dir, 7)
	if err != nil {
		t.Fatal(err)
	}
	file, err := proof.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range file {
		for _, mask := range []byte{1, 0x20, 0xff} {
			file[i] ^= mask
			if proven, err := VerifyProof(file, []byte(p.pub)); err == nil {
				t.Errorf("byte %d flipped by %#x: %s", i, mask, proven.Record.Line)
			}
			file[i] ^= mask
		}
	}
	for i := range file {
		if _, err := VerifyProof(file[:i], []byte(p.pub)); err == nil {
			t.Errorf("cut to %d bytes", i)
		}
	}
	if _, err := VerifyProof(file, []byte(newPlain(t).pub)); err == nil {
		t.Error("with another key")
	}
	if _, err := VerifyProof(append(file, '\n'), []byte(p.pub)); err == nil {
		t.Error("with something behind")
	}
	// Another record under the same path, another number for the same record.
	for what, change := range map[string]func(*Proof){
		"line":   func(q *Proof) { q.Line = string(busyExchange(plainStart, 99).AppendJSON(nil)) },
		"number": func(q *Proof) { q.Number++ },
		"index":  func(q *Proof) { q.Index++; q.Number++ },
		"far":    func(q *Proof) { q.Index += 1 << 40; q.Number += 1 << 40 },
		"path":   func(q *Proof) { q.InTree = nil },
		"long":   func(q *Proof) { q.InSegment = append(q.InSegment, q.InSegment...) },
	} {
		q := *proof
		change(&q)
		b, err := q.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyProof(b, []byte(p.pub)); err == nil {
			t.Errorf("another %s: taken", what)
		}
	}
	// Of a damaged ledger no proof is made.
	if err := os.Truncate(filepath.Join(p.dir, segmentsName, segmentFile(plainStart)), 100); err != nil {
		t.Fatal(err)
	}
	if _, err := Prove(p.dir, 7); err == nil {
		t.Error("proof of a damaged segment")
	}
}

func FuzzProof(f *testing.F) {
	p := newPlain(f)
	p.fill(3, 2)
	proof, err := Prove(p.dir, 3)
	if err != nil {
		f.Fatal(err)
	}
	file, err := proof.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	lines := map[string]bool{}
	for r, err := range Read(p.dir, Filter{}) {
		if err != nil {
			f.Fatal(err)
		}
		lines[string(r.Line)] = true
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if proven, err := VerifyProof(file, []byte(p.pub)); err == nil && !lines[string(proven.Record.Line)] {
			t.Errorf("proves %s", proven.Record.Line)
		}
	})
}

func FuzzStatement(f *testing.F) {
	p := newPlain(f)
	p.fill(2, 1)
	f.Add(p.entries[0])
	f.Add(p.entries[1])
	f.Fuzz(func(t *testing.T, line []byte) {
		if st, err := parseStatement(line); err == nil && !bytes.Equal(st.append(nil), line) {
			t.Errorf("%q", line)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	p := newPlain(f)
	p.fill(2, 1)
	key, err := ParseKey([]byte(p.pub))
	if err != nil {
		f.Fatal(err)
	}
	var known [][]byte
	for n := range int64(3) {
		known = append(known, p.signed(n))
		f.Add(known[n])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tree, err := openSigned(text, key)
		if err == nil && (tree.N > 2 || !bytes.Equal(known[tree.N], text)) {
			t.Errorf("takes %q", text)
		}
	})
}

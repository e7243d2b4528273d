package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// proofFormat is the first field of a proof, so that a later one can differ.
const proofFormat = "bespoke-ledger-proof/1"

// maxProof is the most bytes of a proof: a record, twice 60 hashes, a checkpoint.
const maxProof = 2 << 20

// A Proof shows that one record is in a ledger, to whoever has the ledger's
// public key, without the ledger. As JSON it is one file.
type Proof struct {
	Format    string `json:"format"`
	Number    int64  `json:"record"`    // in the whole ledger
	Line      string `json:"line"`      // the record
	Index     int64  `json:"index"`     // of the record in its segment
	Statement string `json:"statement"` // of the segment
	// The audit paths (RFC 6962, 2.1.1), from the leaf upwards: of the record in its segment's
	// tree, and of the statement in the checkpoint's.
	InSegment  tlog.RecordProof `json:"in_segment"`
	InTree     tlog.RecordProof `json:"in_tree"`
	Checkpoint string           `json:"checkpoint"` // signed
}

// Prove makes the proof of one record.
func Prove(dir string, number int64) (*Proof, error) {
	f, err := openArchive(dir, "")
	if err != nil {
		return nil, err
	}
	st, err := f.find(number)
	if err != nil {
		return nil, err
	}
	p := &Proof{Format: proofFormat, Number: number, Index: number - st.First, Statement: string(st.append(nil)), Checkpoint: string(f.text)}
	r, err := newSegmentReader(dir)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.load(st); err != nil {
		if errors.Is(err, fs.ErrNotExist) && f.removed(st) {
			return nil, fmt.Errorf("record %d, of segment %d: %w", number, st.Segment, ErrRemoved)
		}
		return nil, fmt.Errorf("%s/%s, segment %d: %w", segmentsName, st.File, st.Segment, err)
	}
	if p.InSegment, err = r.prove(p); err != nil {
		return nil, fmt.Errorf("%s/%s, segment %d: %w", segmentsName, st.File, st.Segment, err)
	}
	if p.InTree, err = tlog.ProveRecord(f.tree.N, st.Segment, f); err != nil {
		return nil, fmt.Errorf("segment %d: %w", st.Segment, err)
	}
	// Who gets the proof should not be the first to try it.
	if _, err := p.check(f.key); err != nil {
		return nil, fmt.Errorf("record %d cannot be proven, verify the ledger: %w", number, err)
	}
	return p, nil
}

// prove fills in the record's line, and returns its path in the segment's tree.
func (r *segmentReader) prove(p *Proof) (tlog.RecordProof, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			out[i] = stored[index]
		}
		return out, nil
	})
	var failed error
	n, _, err := r.lines(func(i int64, line []byte) {
		if i == p.Index {
			p.Line = string(line)
		}
		hashes, err := tlog.StoredHashes(i, line, reader)
		failed = firstOf(failed, err)
		stored = append(stored, hashes...)
	})
	if err := firstOf(err, failed); err != nil {
		return nil, err
	}
	return tlog.ProveRecord(n, p.Index, reader)
}

// Encode returns the proof as a file.
func (p *Proof) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Proven is what a proof shows.
type Proven struct {
	Record    Record
	Statement Statement
	Key       string // name and hash of the key that signed
	Segments  int64  // that the checkpoint covers
}

// VerifyProof checks the file of a proof with nothing but the public key, which
// has to come from elsewhere than the proof. It takes only files as Encode writes them.
func VerifyProof(file, key []byte) (*Proven, error) {
	verifier, err := ParseKey(key)
	if err != nil {
		return nil, err
	}
	if len(file) > maxProof {
		return nil, fmt.Errorf("proof of %d bytes: expected at most %d", len(file), maxProof)
	}
	var p Proof
	dec := json.NewDecoder(bytes.NewReader(file))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	if p.Format != proofFormat {
		return nil, fmt.Errorf("proof: format %.40q, expected %q", p.Format, proofFormat)
	}
	if again, err := p.Encode(); err != nil || !bytes.Equal(again, file) {
		return nil, errors.New("proof: not as proofs are written")
	}
	return p.check(verifier)
}

func (p *Proof) check(key note.Verifier) (*Proven, error) {
	tree, err := openSigned([]byte(p.Checkpoint), key)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	st, err := parseStatement([]byte(p.Statement))
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(p.InTree, tree.N, tree.Hash, st.Segment, tlog.RecordHash([]byte(p.Statement))); err != nil {
		return nil, fmt.Errorf("segment %d is not in the tree of the checkpoint: %w", st.Segment, err)
	}
	if p.Number != st.First+p.Index || p.Index < 0 || p.Index >= st.Records {
		return nil, fmt.Errorf("record %d, index %d: segment %d has records %d to %d", p.Number, p.Index, st.Segment, st.First, st.First+st.Records-1)
	}
	if err := tlog.CheckRecord(p.InSegment, st.Records, st.Root, p.Index, tlog.RecordHash([]byte(p.Line))); err != nil {
		return nil, fmt.Errorf("record %d is not in segment %d: %w", p.Number, st.Segment, err)
	}
	r, err := ParseRecord([]byte(p.Line))
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", p.Number, err)
	}
	r.Number, r.Segment = p.Number, st.Segment
	return &Proven{Record: r, Statement: st, Key: fmt.Sprintf("%s+%08x", key.Name(), key.KeyHash()), Segments: tree.N}, nil
}

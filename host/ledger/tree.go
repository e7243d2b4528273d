package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// What both the writer and the verifier know of the folder: names, statements,
// bundles and checkpoints, as FORMAT.md describes them.

// tileHeight and tileWidth are those of C2SP tlog-tiles.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// entriesLevel is the level of [tilePath] that names bundles of entries.
const entriesLevel = -1

// Names in the ledger's folder. nextName is a signed checkpoint that is about
// to become the checkpoint.
const (
	keyName        = "key.pub"
	checkpointName = "checkpoint"
	nextName       = "checkpoint.next"
	segmentsName   = "segments"
	segmentSuffix  = ".jsonl.zst"
	segmentHour    = "2006-01-02T15"
)

// tilePath is the name of tile n of a level (or of a bundle, with
// entriesLevel) that holds w hashes (or entries), with slashes.
func tilePath(level int, n int64, w int) string {
	p := tlog.Tile{H: tileHeight, L: level, N: n, W: w}.Path()
	// tlog names the height too, and calls the entries "data".
	p = strings.TrimPrefix(p, "tile/"+strconv.Itoa(tileHeight)+"/")
	if level == entriesLevel {
		p = "entries" + strings.TrimPrefix(p, "data")
	}
	return "tile/" + p
}

// segmentFile is the name of the file of an hour, in the folder "segments".
func segmentFile(hour time.Time) string {
	return hour.UTC().Format(segmentHour) + segmentSuffix
}

// fileHour is the hour that a file of segments begins with; an error for any
// other name.
func fileHour(name string) (time.Time, error) {
	hour, ok := strings.CutSuffix(name, segmentSuffix)
	t, err := time.Parse(segmentHour, hour)
	if !ok || err != nil {
		return time.Time{}, fmt.Errorf("%q is no name of a file of segments, like %q", name, segmentFile(time.Unix(0, 0)))
	}
	return t, nil
}

// A Statement is one entry of the tree: it says what one segment is.
type Statement struct {
	Segment int64     // index in the tree, from 0
	First   int64     // number of its first record in the whole ledger, from 0
	Records int64     // how many
	Root    tlog.Hash // RFC 6962 hash over the records' lines without their ends
	File    string    // in the folder "segments"
	Offset  int64     // where its bytes begin
	Bytes   int64     // how many they are: a zstd frame of the records, and one of their marks
	SHA256  tlog.Hash // of the bytes
	Marks   tlog.Hash // SHA-256 of the marks alone
	From    time.Time // the window: when its first record came,
	To      time.Time // and when it was closed; UTC, milliseconds
}

// append appends the statement as the line of JSON that is hashed.
func (s *Statement) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"segment":`...), s.Segment, 10)
	b = strconv.AppendInt(append(b, `,"first":`...), s.First, 10)
	b = strconv.AppendInt(append(b, `,"records":`...), s.Records, 10)
	b = base64.StdEncoding.AppendEncode(append(b, `,"root":"`...), s.Root[:])
	b = append(append(b, `","file":"`...), s.File...)
	b = strconv.AppendInt(append(b, `","offset":`...), s.Offset, 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), s.Bytes, 10)
	b = base64.StdEncoding.AppendEncode(append(b, `,"sha256":"`...), s.SHA256[:])
	b = base64.StdEncoding.AppendEncode(append(b, `","marks":"`...), s.Marks[:])
	b = appendTime(append(b, `","from":"`...), s.From)
	b = appendTime(append(b, `","to":"`...), s.To)
	return append(b, '"', '}')
}

// parseStatement is the reverse of append. It takes nothing else than what append
// writes, byte by byte.
func parseStatement(line []byte) (Statement, error) {
	var f struct {
		Segment, First, Records int64
		Root                    tlog.Hash
		File                    string
		Offset, Bytes           int64
		SHA256                  tlog.Hash
		Marks                   tlog.Hash
		From, To                time.Time
	}
	if err := json.Unmarshal(line, &f); err != nil {
		return Statement{}, fmt.Errorf("statement %.200q: %w", line, err)
	}
	s := Statement(f)
	if !bytes.Equal(s.append(nil), line) {
		return Statement{}, fmt.Errorf("statement %.200q: not as this ledger writes statements", line)
	}
	if _, err := fileHour(s.File); err != nil {
		return Statement{}, fmt.Errorf("statement of segment %d: %w", s.Segment, err)
	}
	if s.Segment < 0 || s.First < 0 || s.Records < 1 || s.Offset < 0 || s.Bytes <= marksHead ||
		s.Records > (s.Bytes-marksHead)/markSize || s.Offset > 1<<60 || s.Bytes > 1<<60 {
		return Statement{}, fmt.Errorf("statement %.200q: a number is out of range", line)
	}
	return s, nil
}

// appendEntry appends an entry to a bundle: its length in two bytes, big
// endian, and itself (tlog-tiles, "Log entries").
func appendEntry(bundle, entry []byte) []byte {
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
	return append(bundle, entry...)
}

// splitEntries cuts a bundle into its entries.
func splitEntries(bundle []byte) ([][]byte, error) {
	var entries [][]byte
	for len(bundle) > 0 {
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			return nil, fmt.Errorf("bundle of entries: entry %d is cut off", len(entries))
		}
		n := 2 + int(binary.BigEndian.Uint16(bundle))
		entries = append(entries, bundle[2:n])
		bundle = bundle[n:]
	}
	return entries, nil
}

// formatCheckpoint is the text of a checkpoint, before it is signed.
func formatCheckpoint(origin string, tree tlog.Tree) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, tree.N, tree.Hash)
}

// openCheckpoint checks a signed checkpoint and returns its tree. The origin is
// the name of the key. Lines of extension are not used by this ledger.
func openCheckpoint(msg []byte, key note.Verifier) (tlog.Tree, error) {
	n, err := note.Open(msg, note.VerifierList(key))
	if err != nil {
		if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
			return tlog.Tree{}, fmt.Errorf("not signed by the key %s+%08x", key.Name(), key.KeyHash())
		}
		return tlog.Tree{}, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("%d lines, want origin, size and hash", len(lines)-1)
	}
	if lines[0] != key.Name() {
		return tlog.Tree{}, fmt.Errorf("origin %q, want %q", lines[0], key.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, fmt.Errorf("size %q", lines[1])
	}
	hash, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("hash %q: %w", lines[2], err)
	}
	return tlog.Tree{N: size, Hash: hash}, nil
}

package ledger

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"
)

// lined gives a ledger of three segments of n records each.
func lined(t *testing.T, n int) (p *plainLedger, statements []Statement, lines [][]byte) {
	t.Helper()
	p = newPlain(t)
	for i := range 3 {
		at := plainStart.Add(time.Duration(i) * time.Second)
		var own [][]byte
		for k := range n {
			own = append(own, busyExchange(at, i*n+k).AppendJSON(nil))
		}
		p.seal(at, own...)
		lines = append(lines, own...)
		st, err := parseStatement(p.entries[i])
		if err != nil {
			t.Fatal(err)
		}
		statements = append(statements, st)
	}
	return p, statements, lines
}

// compressed is what an intruder would put in the place of records.
func compressed(t *testing.T, lines ...[]byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, l := range lines {
		text = append(append(text, l...), '\n')
	}
	return enc.EncodeAll(text, nil)
}

// Whoever compresses a segment's records anew, as they like them, and leaves the rest as it is:
// the message says which of them, and whatever is behind counts as it was sealed.
func TestRecordsNamed(t *testing.T) {
	const n = 40
	other := func(i int) []byte { return busyExchange(plainStart.Add(time.Hour), i).AppendJSON(nil) }
	for _, c := range []struct {
		what   string
		change func(own [][]byte) [][]byte
		want   string // of segment 1: records 40 to 79
	}{
		{"one changed", func(l [][]byte) [][]byte { l[7] = other(1); return l }, "record 47: was changed"},
		{"the first changed", func(l [][]byte) [][]byte { l[0] = other(1); return l }, "record 40: was changed"},
		{"the last changed", func(l [][]byte) [][]byte { l[n-1] = other(1); return l }, "record 79: was changed"},
		{"two changed", func(l [][]byte) [][]byte { l[7], l[20] = other(1), other(2); return l }, "record 47: was changed|record 60: was changed"},
		{"one deleted", func(l [][]byte) [][]byte { return slices.Delete(l, 7, 8) }, "record 47: is missing"},
		{"the last deleted", func(l [][]byte) [][]byte { return l[:n-1] }, "record 79: is missing"},
		{"some deleted", func(l [][]byte) [][]byte { return slices.Delete(slices.Delete(l, 20, 21), 7, 10) }, "records 47 to 49: are missing|record 60: is missing"},
		{"all deleted", func(l [][]byte) [][]byte { return nil }, "records 40 to 79: are missing"},
		{"one inserted", func(l [][]byte) [][]byte { return slices.Insert(l, 8, other(1)) }, "record 47: behind it, a record was put in"},
		{"two in front", func(l [][]byte) [][]byte { return slices.Insert(l, 0, other(1), other(2)) }, "record 40: in front of it, 2 records were put in"},
		{"one twice", func(l [][]byte) [][]byte { return slices.Insert(l, 7, l[7]) }, "record 47: behind it, a record was put in"},
		{"two swapped", func(l [][]byte) [][]byte { l[7], l[20] = l[20], l[7]; return l }, "record 47: changed places with record 60"},
		{"neighbours swapped", func(l [][]byte) [][]byte { l[7], l[8] = l[8], l[7]; return l }, "record 47: changed places with record 48"},
		{"one moved", func(l [][]byte) [][]byte { x := l[7]; return slices.Insert(slices.Delete(l, 7, 8), 20, x) }, "record 47: was moved: it stands behind record 60 now"},
		{"two moved", func(l [][]byte) [][]byte {
			x := slices.Clone(l[20:22])
			return slices.Insert(slices.Delete(l, 20, 22), 0, x...)
		}, "records 60 to 61: were moved: they stand at the segment's beginning now"},
		{"deleted, inserted, changed", func(l [][]byte) [][]byte {
			l[30] = other(3)
			return slices.Insert(slices.Delete(l, 7, 8), 20, other(1))
		},
			"record 47: is missing|record 60: behind it, a record was put in|record 70: was changed"},
		{"two for one", func(l [][]byte) [][]byte { return slices.Insert(slices.Delete(l, 7, 8), 7, other(1), other(2)) }, "record 47: changed or missing; 2 others stand in the place of these 1"},
		{"all replaced", func(l [][]byte) [][]byte {
			for i := range l {
				l[i] = other(i)
			}
			return l
		}, "records 40 to 79: were changed"},
		{"other bytes, the same records", func(l [][]byte) [][]byte { return l }, "records 40 to 79: the bytes are not those that were sealed, though the records are as they were"},
	} {
		p, st, lines := lined(t, n)
		name := segmentsName + "/" + st[1].File
		file := p.contents()[name]
		own := c.change(slices.Clone(lines[n : 2*n]))
		marks := file[st[2].Offset-marksHead-n*markSize : st[2].Offset]
		frame := compressed(t, own...)
		shifted := len(frame)+len(marks) != int(st[1].Bytes)
		p.write(name, slices.Concat(file[:st[1].Offset], frame, marks, file[st[2].Offset:]))
		v := p.verify(VerifyOptions{})
		var want []string
		for _, w := range strings.Split(c.want, "|") {
			want = append(want, name+", segment 1, "+w)
		}
		if got := said(v.Damage); !slices.EqualFunc(strings.Split(got, "\n"), want, strings.HasPrefix) || v.Checked != 2*n || strings.Contains(said(v.Notes), "segment 1: what is behind it") != shifted {
			t.Errorf("%s: %d records checked, want %d, and\n%s\nwant\n%s", c.what, v.Checked, 2*n, got, strings.Join(want, "\n"))
		}
	}
}

// A line without its end, at a segment's end.
func TestLastLineEndGone(t *testing.T) {
	p, st, lines := lined(t, 5)
	name := segmentsName + "/" + st[1].File
	file := p.contents()[name]
	enc, _ := zstd.NewWriter(nil)
	for cut, want := range map[int]string{1: "records 10 to 14: the bytes", 2: "record 14: was changed"} {
		text := append(bytes.Join(lines[10:], []byte("\n")), '\n')
		p.write(name, slices.Concat(file[:st[2].Offset], enc.EncodeAll(text[:len(text)-cut], nil), file[len(file)-marksHead-5*markSize:]))
		if v := p.verify(VerifyOptions{}); v.DamageCount != 1 || !strings.HasPrefix(v.Damage[0].String(), name+", segment 2, "+want) {
			t.Errorf("%d bytes less: %s", cut, said(v.Damage))
		}
	}
}

// Every byte of a segment, flipped: whatever cannot be read any more as it was is named, and if
// nothing breaks off, nothing else is.
func TestFlipsNameRecords(t *testing.T) {
	const n = 300 // more than two blocks of zstd
	p, st, lines := lined(t, n)
	lines = lines[n : 2*n]
	name := segmentsName + "/" + st[1].File
	file := p.contents()[name]
	plain, err := zstd.NewReader(nil, zstd.IgnoreChecksum(true), zstd.WithDecoderMaxMemory(1<<24))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	marks := int(st[1].Bytes) - marksHead - n*markSize
	exact, cut, later := 0, 0, 0
	for at := 0; at < int(st[1].Bytes); at += 17 {
		file[int(st[1].Offset)+at] ^= 0x10
		p.write(name, file)
		v := p.verify(VerifyOptions{})
		named := make([]bool, n)
		off := false
		for _, f := range v.Damage {
			if f.Segment != 1 || f.Record < n || f.Record+f.Records > 2*n || f.Records < 1 {
				t.Fatalf("byte %d: %s", at, &f)
			}
			for i := range f.Records {
				named[f.Record-n+i] = true
			}
			off = off || strings.Contains(f.Text, "unreadable")
		}
		text, err := plain.DecodeAll(file[st[1].Offset:int(st[1].Offset)+marks], nil)
		file[int(st[1].Offset)+at] ^= 0x10
		got := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
		wrong := make([]bool, n)
		for i := range n {
			wrong[i] = i >= len(got) || !bytes.Equal(got[i], lines[i])
			if wrong[i] && !named[i] && !slices.ContainsFunc(got, func(l []byte) bool { return bytes.Equal(l, lines[i]) }) {
				t.Fatalf("byte %d: record %d is not as it was, and not named: %s", at, n+i, said(v.Damage))
			}
		}
		switch all := !slices.Contains(wrong, true); {
		case v.DamageCount == 0:
			t.Fatalf("byte %d: not detected", at)
		case at < marks && err == nil && len(got) == n && !all && !off:
			if exact++; trues(named) > trues(wrong) && v.DamageCount <= maxNamed {
				t.Fatalf("byte %d: more is named than is wrong: %s", at, said(v.Damage))
			}
		case off:
			cut++
			if !named[0] {
				later++
			}
		}
	}
	if exact < 10 || cut < 10 || later < 10 {
		t.Errorf("%d exact, %d cut, %d of them later than at the beginning: the test shows little", exact, cut, later)
	}
	p.write(name, file)
	if v := p.verify(VerifyOptions{}); !v.OK() || v.Checked != 3*n {
		t.Error(said(v.Damage))
	}
}

func trues(list []bool) (n int) {
	for _, b := range list {
		if b {
			n++
		}
	}
	return n
}

// Without marks the range is all that can be told, and that they are damaged is told too.
func TestMarksDamaged(t *testing.T) {
	const n = 20
	p, st, _ := lined(t, n)
	name := segmentsName + "/" + st[1].File
	file := p.contents()[name]
	flip := func(at int64) { file[at] ^= 1; p.write(name, file) }
	end := st[2].Offset
	flip(end - 3)
	if v := p.verify(VerifyOptions{}); v.DamageCount != 1 || !strings.Contains(said(v.Damage), "segment 1, records 20 to 39: the bytes are not those that were sealed: the records are, the marks are damaged") {
		t.Errorf("a mark: %s", said(v.Damage))
	}
	flip(st[1].Offset + 300)
	if v := p.verify(VerifyOptions{}); !strings.Contains(said(v.Damage), "which records is not known, as the marks are damaged too") || v.Damage[0].Segment != 1 {
		t.Errorf("a mark and a record: %s", said(v.Damage))
	}
	flip(st[1].Offset + 300)
	flip(end - 3)
	flip(end - n*markSize - marksHead) // the frame of marks: zstd would stop there
	if v := p.verify(VerifyOptions{}); v.DamageCount != 1 || !strings.Contains(said(v.Damage), "though the records are as they were") {
		t.Errorf("the frame of marks: %s", said(v.Damage))
	}
	// Many that look like it do not take the verifier long, and are no marks.
	p.write(name, slices.Concat(file[:st[1].Offset], bytes.Repeat(marksHeader(n*markSize), 100_000)))
	if v := p.verify(VerifyOptions{}); v.DamageCount != 2 || v.Damage[0].Records != n {
		t.Errorf("headers only: %s", said(v.Damage))
	}
}

// A segment whose marks the writer got wrong, and signed.
func TestMarksSealedWrong(t *testing.T) {
	for what, change := range map[string]func(frame []byte, s *Statement){
		"the hash":   func(_ []byte, s *Statement) { s.Marks[0]++ },
		"a mark":     func(b []byte, s *Statement) { b[len(b)-1]++; s.Marks = tlog.Hash(sum(b[len(b)-2*markSize:])) },
		"the length": func(b []byte, s *Statement) { b[len(b)-2*markSize-2]++ },
		"the magic":  func(b []byte, s *Statement) { b[len(b)-2*markSize-marksHead]++ },
	} {
		p := newPlain(t)
		line := func(i int) []byte { return busyExchange(plainStart, i).AppendJSON(nil) }
		p.seal(plainStart, line(0), line(1))
		p.reframe = change
		p.seal(plainStart, line(2), line(3))
		v := p.verify(VerifyOptions{})
		if v.DamageCount != 1 || v.Damage[0].Segment != 1 || v.Damage[0].Record != 2 || !strings.Contains(v.Damage[0].Text, "marks") && !strings.Contains(v.Damage[0].Text, "zstd") {
			t.Errorf("%s: %s", what, said(v.Damage))
		}
	}
}

// A segment that is gone from the middle of a file, and two that changed places.
func TestSegmentsMoved(t *testing.T) {
	p, st, _ := lined(t, 5)
	name := segmentsName + "/" + st[1].File
	file := p.contents()[name]
	a, b, c := file[:st[1].Offset], file[st[1].Offset:st[2].Offset], file[st[2].Offset:]
	for what, x := range map[string]struct {
		file []byte
		want []int64 // segments that are named
	}{
		"gone":     {slices.Concat(a, c), []int64{1, 2}},
		"swapped":  {slices.Concat(a, c, b), []int64{1, 2}},
		"put in":   {slices.Concat(a, b, b, c), []int64{2}},
		"cut off":  {slices.Concat(a, b), []int64{2}},
		"in front": {slices.Concat([]byte("{}\n"), a, b, c), []int64{0}},
	} {
		p.write(name, x.file)
		v := p.verify(VerifyOptions{})
		var got []int64
		for _, f := range v.Damage {
			got = append(got, f.Segment)
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: segments %v, want %v: %s", what, got, x.want, said(v.Damage))
		}
	}
}

// Whatever was done to many records, the answer adds up.
func TestCompareMarks(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 20_000 {
		size := 1 + r.IntN(30)
		values := []int{2, 8, 1 << 30}[round%3] // with many equal marks, some, none
		var sealed []uint32
		for range size {
			sealed = append(sealed, uint32(r.IntN(values)))
		}
		found := slices.Clone(sealed)
		for range r.IntN(5) {
			i := r.IntN(len(found) + 1)
			switch k := r.IntN(4); {
			case k == 0 || len(found) == 0:
				found = slices.Insert(found, i, uint32(r.IntN(values)))
			case k == 1:
				found = slices.Delete(found, max(0, i-1), i)
			case k == 2:
				found[i%len(found)] = uint32(r.IntN(values))
			default:
				j := r.IntN(len(found))
				i %= len(found)
				found[i], found[j] = found[j], found[i]
			}
		}
		cut := round%5 == 0
		list := compareMarks(packed(sealed), packed(found), cut)
		if equal := slices.Equal(sealed, found); equal != (len(list) == 0) && !(cut && len(list) == 0) {
			t.Fatalf("%v\n%v: %v", sealed, found, list)
		}
		for i, m := range sealed {
			if !slices.Contains(found, m) && !slices.ContainsFunc(list, func(c change) bool {
				return c.kind != inserted && c.at <= i && i < c.at+c.n || c.kind == swapped && c.other == i
			}) {
				t.Fatalf("record %d is not told of: %v\n%v\n%v", i, list, sealed, found)
			}
		}
		n := len(sealed)
		open := false
		for _, c := range list {
			if c.at < -1 || c.n < 1 || c.kind != inserted && (c.at < 0 || c.at+c.n > len(sealed)) || c.at >= len(sealed) {
				t.Fatalf("%v\n%v: %v", sealed, found, list)
			}
			switch c.kind {
			case missing:
				n -= c.n
			case inserted:
				n += c.n
			case replaced, unreadable:
				open = true
			}
		}
		if n != len(found) && !open && !cut {
			t.Fatalf("%d records become %d by %v\n%v\n%v", len(sealed), len(found), list, sealed, found)
		}
	}
	many := make([]byte, 4*(maxCompared+10))
	if list := compareMarks(many, many[:4], false); len(list) != 1 || list[0].n != maxCompared+9 {
		t.Errorf("%v", list)
	}
}

func packed(marks []uint32) (b []byte) {
	for _, m := range marks {
		b = binary.BigEndian.AppendUint32(b, m)
	}
	return b
}

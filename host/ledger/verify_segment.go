package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"
)

// content reads the records of a segment.
func (v *verifier) content(st *Statement) {
	outside := !v.o.From.IsZero() && st.To.Before(v.o.From) || !v.o.To.IsZero() && st.From.After(v.o.To)
	if outside && st.Segment != v.f.tree.N-1 {
		v.before = ""
		return
	}
	err := v.load(st)
	if errors.Is(err, fs.ErrNotExist) {
		v.missing = append(v.missing, *st)
		v.before = ""
		return
	}
	if err != nil && !v.rescue(st, err) {
		v.before = ""
		return
	}
	n, root, err := v.segments.lines(func(i int64, line []byte) { v.record(st, i, line, true) })
	switch {
	case err != nil:
		v.out.damaged(st, "%v", err)
	case n != st.Records:
		v.out.damaged(st, "it has %d records, its statement says %d", n, st.Records)
	case root != st.Root:
		v.out.damaged(st, "the records are not those that its statement names")
	default:
		if err := checkMarks(v.segments.frame, st, v.segments.marks); err != nil {
			v.out.damaged(st, "%v", err)
		}
	}
	v.out.Checked += n
	v.beforeEnd = st.To
	if v.o.Progress != nil {
		v.o.Progress(st.First+n, v.total)
	}
}

// load reads a segment where its statement says that it is, or as far from there as the one
// before in its file.
func (v *verifier) load(st *Statement) error {
	if shift := v.shift[st.File]; shift != 0 && v.segments.loadAt(st, st.Offset+shift) == nil {
		return nil
	}
	err := v.segments.load(st)
	if err == nil {
		delete(v.shift, st.File)
	}
	return err
}

// rescue tells of a segment that could not be loaded what is wrong with it, by record if its
// marks are there. It returns true if the segment is whole, elsewhere in its file, and loaded.
func (v *verifier) rescue(st *Statement, cause error) bool {
	if !errors.Is(cause, errFrame) && !errors.Is(cause, errShort) && !errors.Is(cause, errZstd) {
		v.out.damaged(st, "%v", cause)
		return false
	}
	p, ok := v.segments.locate(st, v.shift[st.File])
	if !ok {
		v.unmarked(st, cause)
		return false
	}
	before := v.shift[st.File]
	v.shift[st.File] = p.shift
	if !p.whole && p.shift != before {
		v.out.note(segmentsName+"/"+st.File, st.Segment, "what is behind it in the file lies %+d bytes from where it was sealed, and is read there", p.shift)
	}
	if !p.whole {
		v.compare(st, p, cause)
		return false
	}
	if err := v.segments.unpack(v.segments.frame); err != nil {
		v.compare(st, p, err)
		return false
	}
	if p.shift != before {
		// Those behind it are moved as far, which need not be told of each.
		v.out.damaged(st, "moved as a whole: they begin at byte %d of the file, their statement says %d; segments behind them may be moved as far",
			st.Offset+p.shift, st.Offset)
	}
	return true
}

// unmarked tells of a segment without its marks what can be told: its range, and
// records that break off or have no form.
func (v *verifier) unmarked(st *Statement, cause error) {
	const also = "which records is not known, as the marks are damaged too"
	if !errors.Is(cause, errFrame) {
		v.out.damaged(st, "%v; %s", cause, also)
		return
	}
	_ = v.segments.unpack(v.segments.frame) // what there is of it
	before := v.out.DamageCount
	n, root, err := v.segments.lines(func(i int64, line []byte) { v.record(st, i, line, false) })
	switch {
	case root == st.Root && n == st.Records && err == nil:
		v.out.damaged(st, "%v: the records are, the marks are damaged", errFrame)
	case v.out.DamageCount > before:
		v.out.damaged(st, "%v; %s", errFrame, also)
	case err != nil:
		v.out.damaged(st, "%v; readable up to record %d; %s", errFrame, st.First+n, also)
	default:
		v.out.damaged(st, "%v, nor are the records; %s", errFrame, also)
	}
}

// compare tells what became of the records of a segment, by its marks.
func (v *verifier) compare(st *Statement, p spot, cause error) {
	r := v.segments
	err := r.unpack(p.data)
	// A wrong checksum of zstd's says nothing that the marks do not say better, unless there is
	// more behind: then the end that was found is not the end.
	cut := err != nil && !(errors.Is(err, zstd.ErrCRCMismatch) && frameLength(p.data) == len(p.data))
	n, root, lineErr := r.lines(nil)
	switch {
	case lineErr == nil && n == st.Records && root == st.Root:
		v.out.damaged(st, "%v, though the records are as they were", cause)
		return
	case lineErr != nil && !cut:
		leaf := tlog.RecordHash(r.text[bytes.LastIndexByte(r.text, '\n')+1:])
		if n == 0 {
			leaf = tlog.RecordHash(r.text[1:])
		}
		r.marks = append(r.marks, leaf[:markSize]...)
	}
	list := compareMarks(p.marks, r.marks, cut)
	if len(list) == 0 {
		v.out.damaged(st, "%v, nor are the records; by their marks, all are as they were", errFrame)
	}
	for i := range list {
		if i == maxNamed {
			last := list[len(list)-1]
			at := list[i].at
			v.out.add(Finding{Damage, segmentsName + "/" + st.File, st.Segment, st.First + int64(at), int64(max(1, last.at+last.n-at)), "among these are more that were changed"})
			break
		}
		f := list[i].finding(st, err)
		f.Class, f.File, f.Segment = Damage, segmentsName+"/"+st.File, st.Segment
		v.out.add(f)
	}
}

// maxNamed bounds the findings of one segment.
const maxNamed = 100

// finding says what happened to which records of a segment. err is why they break off.
func (c *change) finding(st *Statement, err error) Finding {
	at, other := st.First+int64(c.at), st.First+int64(c.other)
	f := Finding{Record: at, Records: int64(c.n)}
	one := func(single, many string) string {
		if c.n == 1 {
			return single
		}
		return many
	}
	switch c.kind {
	case changed:
		f.Text = one("was changed", "were changed")
	case missing:
		f.Text = one("is missing", "are missing")
	case inserted:
		f.Records, f.Text = 1, "behind it, "+one("a record was put in", fmt.Sprintf("%d records were put in", c.n))
		if c.at < 0 {
			f.Record, f.Text = st.First, "in front of"+strings.TrimPrefix(f.Text, "behind")
		}
	case swapped:
		f.Text = fmt.Sprintf("changed places with record %d", other)
	case moved:
		f.Text = one("was moved: it stands", "were moved: they stand") + fmt.Sprintf(" behind record %d now", other)
		if c.other < 0 {
			f.Text = one("was moved: it stands", "were moved: they stand") + " at the segment's beginning now"
		}
	case replaced:
		f.Text = fmt.Sprintf("changed or missing; %d others stand in the place of these %d", c.other, c.n)
	case unreadable:
		f.Text = fmt.Sprintf("from record %d on unreadable: %v", at, err)
	}
	return f
}

// record checks one record. What was not sealed is read only to say where it breaks.
func (v *verifier) record(st *Statement, i int64, line []byte, sealed bool) {
	number := st.First + i
	r, err := v.scan.record(line)
	if err != nil {
		v.out.add(Finding{Damage, segmentsName + "/" + st.File, st.Segment, number, 1, err.Error()})
		v.before = ""
		return
	}
	if !sealed {
		return
	}
	r.Number, r.Segment, r.window = number, st.Segment, st.From
	if r.Exchange != nil {
		if said := v.needs.broken(r.Exchange); said != "" {
			v.out.add(Finding{Violation, segmentsName + "/" + st.File, st.Segment, number, 1, said})
		}
	} else {
		v.event(r)
	}
	if v.before = KindExchange; r.Exchange == nil {
		v.before = strings.Clone(r.Event.Kind) // the memory of the line is used again
	}
	if v.o.Each != nil {
		v.o.Each(r)
	}
}

// slack is how many bytes from its place a segment's marks are looked for.
const slack = 1 << 20

// A spot is where the marks of a damaged segment were found.
type spot struct {
	shift int64  // by how much its end lies behind the one that the statement names
	marks []byte // as they were sealed
	data  []byte // what is in front of them, from where the segment should begin
	whole bool   // the bytes are as they were sealed, and in frame
}

// locate looks for a segment's marks, which their hash in the statement tells from any
// others: where they should be, there but for the shift of the segment before, and
// around that. What it returns is valid until the next call.
func (r *segmentReader) locate(st *Statement, shift int64) (p spot, ok bool) {
	start := max(0, st.Offset+shift)
	low := max(0, start-slack)
	size := start - low + st.Bytes + slack
	if info, err := r.file.Stat(); err == nil {
		size = max(0, min(size, info.Size()-low))
	}
	if int64(cap(r.wide)) < size {
		r.wide = make([]byte, size)
	}
	k, _ := r.file.ReadAt(r.wide[:size], low)
	b := r.wide[:k]
	n := int(st.Records) * markSize
	end := r.findMarks(b, st, start-low+st.Bytes, st.Offset-low+st.Bytes)
	if end < 0 {
		return p, false
	}
	p = spot{shift: low + int64(end) - (st.Offset + st.Bytes), marks: b[end-n : end]}
	if from := end - int(st.Bytes); from >= 0 && sha256.Sum256(b[from:end]) == st.SHA256 {
		p.whole = true
		r.frame = append(r.frame[:0], b[from:end]...)
		start = low + int64(from)
	}
	if from, to := int(start-low), end-n-marksHead; from < to {
		p.data = b[from:to]
	}
	return p, true
}

// findMarks returns where a statement's marks end in b, -1 if they are nowhere. They are looked for
// at the given ends, whatever became of their frame, and then by what their frame begins with.
func (r *segmentReader) findMarks(b []byte, st *Statement, ends ...int64) int {
	n := int(st.Records) * markSize
	for _, end := range ends {
		if end >= int64(n) && end <= int64(len(b)) && sha256.Sum256(b[end-int64(n):end]) == st.Marks {
			return int(end)
		}
	}
	header := marksHeader(n)
	const tries = 32 // whoever puts in more of them only hides what was changed, not that it was
	for at, try := 0, 0; try < tries; try++ {
		next := bytes.Index(b[at:], header)
		if next < 0 {
			break
		}
		at += next + marksHead
		if len(b)-at >= n && sha256.Sum256(b[at:at+n]) == st.Marks {
			return at + n
		}
	}
	return -1
}

package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bespoke/modules/abi"
)

// A Filter says which records are wanted; what is zero does not matter. A record
// has to meet all of it.
type Filter struct {
	From, To time.Time // by the record's time: From on, before To
	Kind     string    // one of the Kind constants
	Tenant   string
	Route    string // of exchanges only, as all that follow
	Policy   string // as the configuration names it, or the start of its digest in hexadecimal, 8 digits at least
	Outcome  string // of a policy: "ran", "failed fuel", or the first word of it
	Key      string // some policy asked for it: as the manifest declares it, or a class for undeclared ones
	// Granted and Denied are purposes that the exchange's decision grants or denies.
	// An exchange without a decision grants nothing, and denies nothing.
	Granted, Denied string
	Rule            string // that settled one of the purposes (the one of Granted or Denied if given)
	Fault           bool   // only exchanges at which something went wrong
	Violation       bool   // only exchanges that break the promise
	Personal        bool   // only exchanges in which a policy was given personal data
}

// Check says what no record can meet.
func (f *Filter) Check() error {
	for _, name := range []string{f.Granted, f.Denied} {
		if _, ok := abi.ParsePurpose(name); name != "" && !ok {
			return fmt.Errorf("%q is no purpose", name)
		}
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return fmt.Errorf("the period from %v to %v has no time in it", f.From.Format(time.RFC3339), f.To.Format(time.RFC3339))
	}
	return nil
}

// match reports whether a record is wanted.
func (f *Filter) match(r *Record, m *needs) bool {
	at := r.Time()
	if !f.From.IsZero() && at.Before(f.From) || !f.To.IsZero() && !at.Before(f.To) ||
		f.Kind != "" && r.Kind() != f.Kind || f.Tenant != "" && r.Tenant() != f.Tenant {
		return false
	}
	x := r.Exchange
	if x == nil {
		return f.Route == "" && f.Policy == "" && f.Outcome == "" && f.Key == "" && f.Granted == "" && f.Denied == "" && f.Rule == "" &&
			!f.Fault && !f.Violation && !f.Personal
	}
	return (f.Route == "" || x.Route == f.Route) && (!f.Fault || x.Fault != "") &&
		f.matchDecision(x.Decision) && f.matchPolicies(x) &&
		(!f.Violation || m.broken(x) != "") && (!f.Personal || m.personal(x))
}

func (f *Filter) matchDecision(d *Decision) bool {
	if f.Granted == "" && f.Denied == "" && f.Rule == "" {
		return true
	}
	if d == nil {
		return false
	}
	granted, denied, rule := f.Granted == "", f.Denied == "", f.Rule == ""
	for i := range d.Purposes {
		p := &d.Purposes[i]
		granted = granted || p.Granted && p.Purpose == f.Granted
		denied = denied || !p.Granted && p.Purpose == f.Denied
		rule = rule || p.Rule == f.Rule && (f.Granted == "" && f.Denied == "" || p.Purpose == f.Granted || p.Purpose == f.Denied)
	}
	return granted && denied && rule
}

func (f *Filter) matchPolicies(x *Exchange) bool {
	if f.Policy == "" && f.Outcome == "" && f.Key == "" {
		return true
	}
	for i := range x.Policies {
		p := &x.Policies[i]
		if (f.Policy == "" || p.Name == f.Policy || f.digestOf(p)) && (f.Outcome == "" || p.Outcome == f.Outcome || strings.HasPrefix(p.Outcome, f.Outcome+" ")) &&
			(f.Key == "" || has(p.Given, f.Key) || has(p.Withheld, f.Key) || has(p.Absent, f.Key) || has(p.Undeclared, f.Key)) {
			return true
		}
	}
	return false
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (f *Filter) digestOf(p *Policy) bool {
	return len(f.Policy) >= 8 && strings.HasPrefix(fmt.Sprintf("%x", p.Digest), f.Policy)
}

// personal reports whether a policy was given personal data.
func (m *needs) personal(x *Exchange) bool {
	for i := range x.Policies {
		for _, key := range x.Policies[i].Given {
			if n := m.of(key); n.personal {
				return true
			}
		}
	}
	return false
}

// lag is how much later than its time a record may be sealed, when Read looks
// for segments: an exchange's time is that of its request. Exchanges that
// take longer are found by asking for a longer period.
const lag = 10 * time.Minute

// Read yields the records of a ledger that meet the filter, in their order. It
// checks that the segments are what was sealed, against statements that it
// takes on trust: [Verify] checks those. A record may be kept.
//
// Segments whose files are gone as retention takes them, from the oldest, are passed over. At the first other
// error it yields the error, and ends.
func Read(dir string, f Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := f.Check(); err != nil {
			yield(Record{}, err)
			return
		}
		var m needs
		err := eachRecord(dir, f.From, f.To, func(r *Record) bool {
			if !f.match(r, &m) {
				return true
			}
			own, err := ParseRecord(bytes.Clone(r.Line))
			own.Number, own.Segment = r.Number, r.Segment
			return yield(own, err)
		})
		if err != nil {
			yield(Record{}, err)
		}
	}
}

// Why [At] has no record, though nothing is wrong.
var (
	ErrNoRecord = errors.New("there is no such record")
	ErrRemoved  = errors.New("its content is gone with the oldest, as it goes on schedule; verifying says whether it was that")
)

// At returns the record of that number. Errors are [ErrNoRecord] and [ErrRemoved],
// those of reading files, and else say that what is there is not what was sealed.
func At(dir string, number int64) (Record, error) {
	f, err := openArchive(dir, "")
	if err != nil {
		return Record{}, err
	}
	st, err := f.find(number)
	if err != nil {
		return Record{}, err
	}
	var out Record
	err = eachOf(dir, st, func(r *Record) bool {
		if r.Number == number {
			if out, err = ParseRecord(bytes.Clone(r.Line)); err == nil {
				out.Number, out.Segment = number, st.Segment
			}
			return false
		}
		return true
	})
	if errors.Is(err, fs.ErrNotExist) && f.removed(st) {
		return Record{}, fmt.Errorf("record %d: %w", number, ErrRemoved)
	}
	if err == nil && out.Line == nil {
		err = fmt.Errorf("record %d: not in segment %d", number, st.Segment)
	}
	return out, err
}

// find returns the statement of the segment that holds a record.
func (f *archive) find(number int64) (*Statement, error) {
	at, err := f.search(func(st *Statement) bool { return st.First > number })
	if err != nil {
		return nil, err
	}
	if at > 0 && number >= 0 {
		st, _, err := f.statement(at - 1)
		if err != nil {
			return nil, err
		}
		if number-st.First < st.Records {
			return &st, nil
		}
	}
	return nil, fmt.Errorf("record %d: %w", number, ErrNoRecord)
}

// statements calls do with those whose windows meet the period, in order, until it returns false.
func (f *archive) statements(from, to time.Time, do func(*Statement) (bool, error)) error {
	at, err := f.from(from)
	if err != nil {
		return err
	}
	for n := at / tileWidth; n*tileWidth < f.tree.N; n++ {
		list, err := f.bundle(n)
		if err != nil {
			return err
		}
		for i := range list {
			st := &list[i]
			if st.Segment < at {
				continue
			}
			if !to.IsZero() && st.From.After(to.Add(lag)) {
				return nil
			}
			if more, err := do(st); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// eachRecord calls do with the records of the segments that meet the period. A
// record is valid during the call only.
func eachRecord(dir string, from, to time.Time, do func(*Record) bool) error {
	f, err := openArchive(dir, "")
	if err != nil {
		return err
	}
	r, err := newSegmentReader(dir)
	if err != nil {
		return err
	}
	defer r.close()
	return f.statements(from, to, func(st *Statement) (bool, error) {
		more, err := r.each(st, do)
		if errors.Is(err, fs.ErrNotExist) && f.removed(st) {
			return true, nil
		}
		return more, err
	})
}

// removed reports whether retention may have taken a segment's file: it does so from the
// oldest, so then none before it is left. Somebody else may have, too. To find the record that says so takes reading
// the newest segments: that is for Verify, and until then nobody may say that it was on schedule.
func (f *archive) removed(st *Statement) bool {
	list, err := os.ReadDir(filepath.Join(f.dir, segmentsName))
	return err != nil || len(list) == 0 || list[0].Name() > st.File
}

func eachOf(dir string, st *Statement, do func(*Record) bool) error {
	r, err := newSegmentReader(dir)
	if err != nil {
		return err
	}
	defer r.close()
	_, err = r.each(st, do)
	return err
}

// each reads one segment. It returns false if do did.
func (r *segmentReader) each(st *Statement, do func(*Record) bool) (more bool, err error) {
	fail := func(err error) error {
		return fmt.Errorf("%s/%s, segment %d: %w", segmentsName, st.File, st.Segment, err)
	}
	if err := r.load(st); err != nil {
		return false, fail(err)
	}
	var scan scanner
	more = true
	_, _, lineErr := r.lines(func(i int64, line []byte) {
		if !more || err != nil {
			return
		}
		var rec *Record
		if rec, err = scan.record(line); err != nil {
			err = fail(fmt.Errorf("record %d: %w", st.First+i, err))
			return
		}
		rec.Number, rec.Segment, rec.window = st.First+i, st.Segment, st.From
		more = do(rec)
	})
	if err == nil && lineErr != nil {
		err = fail(lineErr)
	}
	return more, err
}

// Export writes the records that meet the filter as JSON lines, each with its
// number in front: {"record":7,"kind":"exchange",...}. It returns how many.
func Export(w io.Writer, dir string, f Filter) (n int64, err error) {
	if err := f.Check(); err != nil {
		return 0, err
	}
	var m needs
	var buf []byte
	var failed error
	err = eachRecord(dir, f.From, f.To, func(r *Record) bool {
		if f.match(r, &m) {
			buf = fmt.Appendf(buf[:0], `{"record":%d,`, r.Number)
			buf = append(append(buf, r.Line[1:]...), '\n')
			if _, failed = w.Write(buf); failed != nil {
				return false
			}
			n++
		}
		return true
	})
	return n, errors.Join(err, failed)
}

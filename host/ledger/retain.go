package ledger

import (
	"path/filepath"
	"sort"
	"time"
)

// retentionEvent is the data of [KindRetention]. It speaks of everything that was ever removed, so that
// the newest one is enough: older ones go with their segments.
type retentionEvent struct {
	First   int64  `json:"first"`   // always 0
	Last    int64  `json:"last"`    // segment
	Records int64  `json:"records"` // in all of them
	File    string `json:"file"`    // the last of the files that go
	KeepS   int64  `json:"keep_s"`  // Config.Keep in seconds
}

// A retention is the removal that is under way.
type retention struct {
	next  time.Time // when to look again
	files []string  // to be removed, which is recorded; and sealed when retain is called again
}

// retain removes the content of segments that is older than Keep, by whole files. It is
// called after all that was recorded before is sealed. The tree stays, so whoever has kept a file
// can still prove what was in it.
func (l *Ledger) retain() {
	r := &l.retention
	// The record is sealed. A crash before leaves content that a record says is
	// gone, and the next round removes it; content is never gone without a record.
	for _, name := range r.files {
		if err := removeFile(l.fsys, filepath.Join(l.Dir, segmentsName, name)); err != nil {
			l.Log.Error("ledger: retention", "file", name, "error", err)
		}
	}
	r.files = nil
	now := l.Now()
	if l.Keep == 0 || now.Before(r.next) {
		return
	}
	r.next = now.Add(time.Minute)
	files, err := l.expired(now)
	if err == nil && len(files) > 0 {
		err = l.tellRetention(files[len(files)-1])
	}
	if err != nil {
		l.Log.Error("ledger: retention", "error", err)
		return
	}
	r.files = files
}

// expired lists the files of which every record is older than Keep, in order.
// The newest file stays: Open looks at its end.
func (l *Ledger) expired(now time.Time) ([]string, error) {
	names, err := l.fsys.ReadDir(filepath.Join(l.Dir, segmentsName))
	if err != nil {
		return nil, err
	}
	var old []string
	for _, name := range names {
		hour, err := fileHour(name)
		// A file takes windows that begin in its hour. A window is late by no more than an hour, or it
		// is kept for longer than it needs to.
		if err == nil && name < l.tip.file && hour.Add(time.Hour+l.Window+l.Keep).Before(now) {
			old = append(old, name)
		}
	}
	return old, nil
}

// tellRetention records that all files up to last go.
func (l *Ledger) tellRetention(last string) error {
	// Files of statements never go back, so the first segment behind can be searched for.
	var err error
	n := sort.Search(int(l.tip.size), func(i int) bool {
		s, serr := l.statement(int64(i))
		if serr != nil {
			err = serr
		}
		return s.File > last
	})
	if err != nil || n == 0 {
		return err
	}
	s, err := l.statement(int64(n - 1))
	if err != nil {
		return err
	}
	l.Event(Event{Kind: KindRetention, Data: retentionEvent{
		Last: s.Segment, Records: s.First + s.Records, File: last, KeepS: int64(l.Keep / time.Second),
	}})
	return nil
}

// statement reads one statement from its bundle.
func (l *Ledger) statement(i int64) (Statement, error) {
	entry, _, err := readEntry(l.fsys, l.Dir, i, l.tip.size)
	if err != nil {
		return Statement{}, err
	}
	return parseStatement(entry)
}

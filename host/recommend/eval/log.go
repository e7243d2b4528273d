// Package eval measures how well "for you" guesses what a visitor looks at next, on
// a log of sessions, by the protocol that the field uses (Ludewig and Jannach,
// "Evaluation of session-based recommendation algorithms", UMUAI 28, 2018): the last day is the test, what was before
// is learned; from each prefix of a test session the next item is to be guessed.
//
// Read a log first, then Run. Nothing here is used while pages are served.
package eval

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// An event is a line of a log.
type event struct {
	session, item uint32
	ms            int64 // Unix milliseconds
}

// A Log is a read file.
type Log struct {
	events   []event
	items    []string // by number
	sessions int
}

// Bounds of a log.
const (
	maxEvents = 200_000_000
	maxLine   = 4096
	maxName   = 128 // of a session or an item: what a catalogue's id may have
)

// Events is how many lines said something.
func (l *Log) Events() int { return len(l.events) }

// Read reads lines of session, item and time with tabs between them. A time is Unix
// seconds or milliseconds, or RFC 3339. A first line whose time is no time is a
// header. More columns are not read. An error names its line. progress may be nil;
// it is told every 100,000 lines how many there were.
func Read(r io.Reader, progress func(lines int)) (*Log, error) {
	l := &Log{}
	sessions, items := map[string]uint32{}, map[string]uint32{}
	in := bufio.NewReaderSize(r, maxLine)
	for line := 1; ; line++ {
		text, err := in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return nil, fmt.Errorf("line %d: longer than %d bytes", line, maxLine)
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		if text = bytes.TrimRight(text, "\r\n"); len(text) > 0 {
			if perr := l.line(text, sessions, items); perr != nil && !(line == 1 && errors.Is(perr, errTime)) {
				return nil, fmt.Errorf("line %d: %w", line, perr)
			}
		}
		if progress != nil && line%100_000 == 0 {
			progress(line)
		}
		if err == io.EOF {
			break
		}
	}
	if len(l.events) == 0 {
		return nil, errors.New("the log has no events")
	}
	l.sessions = len(sessions)
	l.items = make([]string, len(items))
	for name, i := range items {
		l.items[i] = name
	}
	return l, nil
}

func (l *Log) line(text []byte, sessions, items map[string]uint32) error {
	session, rest, ok := bytes.Cut(text, []byte{'\t'})
	item, when, ok2 := bytes.Cut(rest, []byte{'\t'})
	if !ok || !ok2 {
		return errors.New("not three columns: session, item and time, with tabs between them")
	}
	if when, _, ok = bytes.Cut(when, []byte{'\t'}); ok {
		// A fourth column, such as a category: not ours.
		_ = ok
	}
	ms, err := parseTime(string(bytes.TrimSpace(when)))
	if err != nil {
		return err
	}
	if len(session) == 0 || len(session) > maxName || len(item) == 0 || len(item) > maxName {
		return fmt.Errorf("a session or an item without a name, or one longer than %d bytes", maxName)
	}
	if len(l.events) == maxEvents {
		return fmt.Errorf("more than %d events", maxEvents)
	}
	l.events = append(l.events, event{number(sessions, session), number(items, item), ms})
	return nil
}

func number(m map[string]uint32, name []byte) uint32 {
	n, ok := m[string(name)]
	if !ok {
		n = uint32(len(m))
		m[string(name)] = n
	}
	return n
}

var errTime = errors.New("neither Unix seconds or milliseconds nor RFC 3339")

// parseTime gives Unix milliseconds. A number of 100,000,000,000 and more is
// milliseconds: as seconds it would be in the year 5138.
func parseTime(s string) (int64, error) {
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		switch {
		case !(v >= 0 && v < 1e14):
			return 0, fmt.Errorf("time %.40q: %w", s, errTime)
		case v < 1e11:
			v *= 1000
		}
		return int64(math.Round(v)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1970 || t.Year() > 5000 {
		return 0, fmt.Errorf("time %.40q: %w", s, errTime)
	}
	return t.UnixMilli(), nil
}

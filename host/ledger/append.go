package ledger

import (
	"fmt"
	"slices"
	"time"
)

// stopped is added to Ledger.waiting while nothing may be personalized: then
// one atomic operation says whether there is room.
const stopped = 1 << 40

// Sizes of the queue's memory, in bytes. A chunk fits a core's second cache, so that hashing
// and compressing find it there.
const (
	chunkSize  = 256 << 10
	spareCount = 16      // chunks that are kept for the next window
	maxLine    = 1 << 20 // of an event; longer ones lose their data
	maxEvents  = 1 << 20 // events that may wait

	// maxWindow is about how many bytes of records a segment may have. After a disk was full for long
	// more may wait; readers hold a segment in memory, and take at most maxSegment.
	maxWindow = 64 << 20
)

// A chunk is a piece of the queue: whole records, each with its line's end. The first byte is spare, see
// builder.add.
type chunk struct {
	buf    []byte
	began  time.Time // when the first came
	n      int64     // records
	events int64     // how many of them are events
}

// A queue is what waits to be hashed and compressed.
type queue struct {
	cur    *chunk   // takes records, nil: none yet
	full   []*chunk // in order
	spare  []*chunk
	since  time.Time // when the oldest record came that is not on disk; zero: none
	n      int64     // records that are not on disk
	events int64     // those of them that are events
}

// missed is what went without a record and is not yet told.
type missed struct {
	exchanges, events int64
	from, to          time.Time
	why               string
}

// Reserve makes room for one record. Where it says no, the exchange must not be personalized. A
// reservation ends with [Ledger.Exchange] or [Ledger.Unreserve].
func (l *Ledger) Reserve() bool {
	if l.waiting.Add(1) <= int64(l.Queue) {
		return true
	}
	l.waiting.Add(-1)
	return false
}

// Unreserve gives a reservation back.
func (l *Ledger) Unreserve() { l.waiting.Add(-1) }

// reserved is how many reservations are not used and not given back.
func (l *Ledger) reserved() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.Load()%stopped - l.queue.n
}

// Exchange records an exchange, and uses x no more when it returns. Without a reservation the record
// is made if there is room, even while personalization is stopped; otherwise the exchange is counted, and
// told by a record of [KindUnrecorded] later.
func (l *Ledger) Exchange(x *Exchange, reserved bool) {
	if !reserved && l.waiting.Add(1)%stopped > int64(l.Queue) {
		l.waiting.Add(-1)
		l.miss(1, 0, "no room")
		return
	}
	// Encoded outside of the lock, in memory that is used again.
	b := l.lines.Get().(*[]byte)
	*b = append(x.AppendJSON((*b)[:0]), '\n')
	if !l.put(*b, 0) {
		l.waiting.Add(-1)
		l.miss(1, 0, "closed")
	}
	l.lines.Put(b)
}

// Event records what happened. It is kept in memory until it is sealed, however
// long that takes; only beyond a million of them they are counted instead. A zero time is now.
func (l *Ledger) Event(e Event) {
	if e.Time.IsZero() {
		e.Time = l.Now()
	}
	b, err := e.AppendJSON(nil)
	if err == nil && len(b) > maxLine {
		err = fmt.Errorf("%d bytes, at most %d", len(b), maxLine)
	}
	if err != nil {
		// That it happened is recorded in any case.
		l.Log.Error("ledger: an event lost its data", "kind", e.Kind, "error", err)
		e.Data = nil
		b, _ = e.AppendJSON(nil)
	}
	l.waiting.Add(1)
	if !l.put(append(b, '\n'), 1) {
		l.waiting.Add(-1)
		l.miss(0, 1, "too many events")
	}
}

// put copies a record into the queue.
func (l *Ledger) put(line []byte, events int64) bool {
	l.mu.Lock()
	q := &l.queue
	if l.closed || q.events+events > maxEvents {
		l.mu.Unlock()
		return false
	}
	q.events += events
	q.n++
	wake := q.crowded(l.Queue)
	c := q.cur
	if c == nil || len(c.buf)+len(line) > cap(c.buf) {
		if c != nil && c.n > 0 {
			q.full = append(q.full, c)
			wake = true
		}
		c = q.next(1 + len(line))
		c.began = l.Now() // one look at the clock for a chunk, not for a record
		if q.since.IsZero() {
			q.since = c.began
		}
		q.cur = c
	}
	c.buf = append(c.buf, line...)
	c.n++
	c.events += events
	l.mu.Unlock()
	if wake {
		select {
		case l.wake <- struct{}{}:
		default: // it is awake
		}
	}
	return true
}

// crowded says that half of the room is used: then a window ends early.
func (q *queue) crowded(room int) bool { return 2*q.n >= int64(room) }

// next is an empty chunk with room for size bytes.
func (q *queue) next(size int) *chunk {
	if n := len(q.spare); n > 0 && size <= chunkSize {
		c := q.spare[n-1]
		q.spare = q.spare[:n-1]
		return c
	}
	return &chunk{buf: make([]byte, 1, max(size, chunkSize))}
}

// take takes the full chunks, and with all also the one that is being filled, until they
// have room bytes or a little more. more says that some were left for that.
func (l *Ledger) take(all bool, room int, into []*chunk) (_ []*chunk, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := &l.queue
	n := 0
	for ; n < len(q.full) && room > 0; n++ {
		room -= len(q.full[n].buf)
	}
	into = append(into, q.full[:n]...)
	q.full = slices.Delete(q.full, 0, n)
	if len(q.full) > 0 || room <= 0 {
		return into, len(q.full) > 0 || q.cur != nil && q.cur.n > 0
	}
	if all && q.cur != nil && q.cur.n > 0 {
		into = append(into, q.cur)
		q.cur = nil
	}
	return into, false
}

// give returns chunks that are not needed any more.
func (l *Ledger) give(chunks []*chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range chunks {
		if cap(c.buf) == chunkSize && len(l.queue.spare) < spareCount {
			c.buf, c.n, c.events = c.buf[:1], 0, 0
			l.queue.spare = append(l.queue.spare, c)
		}
	}
}

// miss counts what went without a record.
func (l *Ledger) miss(exchanges, events int64, why string) {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.missed
	if m.exchanges+m.events == 0 {
		m.from, m.why = now, why
		if l.status.Blocked != "" {
			m.why += ": " + l.status.Blocked
		}
	}
	m.to = now
	m.exchanges += exchanges
	m.events += events
	l.status.Unrecorded += exchanges
}

// unrecordedEvent is the data of [KindUnrecorded].
type unrecordedEvent struct {
	Exchanges int64     `json:"exchanges"`
	Events    int64     `json:"events"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Why       string    `json:"why"`
}

// tellMissed records what went without a record, when records can be sealed again.
func (l *Ledger) tellMissed() {
	l.mu.Lock()
	m := l.missed
	l.missed = missed{}
	l.mu.Unlock()
	if m.exchanges+m.events > 0 {
		l.Event(Event{Kind: KindUnrecorded, Data: unrecordedEvent{m.exchanges, m.events, milli(m.from), milli(m.to), m.why}})
	}
}

// milli is a time as records write it: UTC, milliseconds.
func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

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

// Why exchanges have no record. The record says it in these words alone: an error may name a folder of
// this machine, and a record stays. The log and [Status] have the error.
const (
	whyNoRoom = "no room"         // the queue is full
	whyDisk   = "disk"            // records cannot be written
	whyLate   = "late"            // the disk does not answer
	whyEvents = "too many events" // wait to be sealed
	whyClosed = "closed"          // it ended while the ledger was being closed
)

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

// Exchange records an exchange, and uses x no more when it returns. Without a reservation the record
// is made if there is room, even while personalization is stopped; otherwise the exchange is counted, and
// told by a record of [KindUnrecorded] later.
func (l *Ledger) Exchange(x *Exchange, reserved bool) {
	if !reserved && l.waiting.Add(1)%stopped > int64(l.Queue) {
		l.waiting.Add(-1)
		l.miss(1, 0, whyNoRoom)
		return
	}
	// Encoded outside of the lock, in memory that is used again.
	b := l.lines.Get().(*[]byte)
	*b = append(x.AppendJSON((*b)[:0]), '\n')
	if !l.put(*b, 0, false) {
		l.waiting.Add(-1)
		if !reserved { // or Close has told of it: it was personalized, which no record of what was missed may say
			l.miss(1, 0, whyClosed)
		}
	}
	l.lines.Put(b)
}

// Event records what happened. It is kept in memory until it is sealed, however
// long that takes; only beyond a million of them they are counted instead. A zero time is now.
func (l *Ledger) Event(e Event) { l.event(e, false) }

// event records an event, with last even when the ledger is closed to others.
func (l *Ledger) event(e Event, last bool) {
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
	if !l.put(append(b, '\n'), 1, last) {
		l.waiting.Add(-1)
		l.miss(0, 1, whyEvents)
	}
}

// put copies a record into the queue, with last even when the ledger is closed to others.
func (l *Ledger) put(line []byte, events int64, last bool) bool {
	l.mu.Lock()
	q := &l.queue
	if l.closed && !last || q.events+events > maxEvents {
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

// miss counts what went without a record. That the ledger is closed or stopped is the better reason.
func (l *Ledger) miss(exchanges, events int64, why string) {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.missed
	if m.exchanges+m.events == 0 {
		m.from, m.why = now, why
		if l.closed {
			m.why = whyClosed
			l.Log.Warn("ledger: exchanges or events end after the ledger was closed, and are not recorded")
		} else if l.blocked != "" {
			m.why = l.blocked
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

// tellMissed records what went without a record, when records can be sealed again; with last even when the ledger
// is closed to others. It returns false if there was nothing to tell.
func (l *Ledger) tellMissed(last bool) bool {
	l.mu.Lock()
	m := l.missed
	l.missed = missed{}
	l.mu.Unlock()
	if m.exchanges+m.events == 0 {
		return false
	}
	l.event(Event{Kind: KindUnrecorded, Data: unrecordedEvent{m.exchanges, m.events, milli(m.from), milli(m.to), m.why}}, last)
	return true
}

// milli is a time as records write it: UTC, milliseconds.
func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

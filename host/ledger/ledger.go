// Package ledger is the record of what the edge did, which cannot be changed
// unnoticed: records in sealed segments, under a Merkle tree with signed
// checkpoints. FORMAT.md describes the folder.
//
// Who records calls [Open], and for each exchange [Ledger.Reserve] before anything
// is personalized and [Ledger.Exchange] when the response is known. Where Reserve
// says no, the exchange must go out as for a visitor who refused everything:
// so nothing personalized ever goes unrecorded, and no exchange waits for a disk.
// [Ledger.Event] is for everything else that happens. [Ledger.Close] seals the rest.
//
// What it never does: hold a value that was read of a visitor; change what it
// signed; repair what no crash explains, or sign what it did not write itself; make
// an exchange wait for the disk, a witness or another exchange's seal.
//
// Of ours it imports modules/abi alone, the contract that says which key needs which
// purpose, so that who audits it needs to read no more.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// A Config says where and how to record. Dir and Keys are needed.
type Config struct {
	Dir  string // the ledger's folder; made where it is missing
	Keys string // folder of secrets, outside of Dir: the signer's key, keys of pseudonyms

	// Origin is the first line of checkpoints and the name of the key, such as
	// "bespoke/shop.example"; no space, no '+'. It is for ever: "" takes that of an existing ledger, and a
	// random one for a new ledger.
	Origin string

	Window time.Duration // how often records are sealed; 0: a second
	Queue  int           // records that may wait to be sealed; 0: 65,536
	Keep   time.Duration // how long the content of segments is kept, by whole hours; 0: for ever

	PseudonymPeriod time.Duration // how long a key of pseudonyms is used; 0: 24 h
	PseudonymLife   time.Duration // how long it exists after its use; 0: 30 days

	Witnesses []Witness

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: no log
}

func (c *Config) defaults() error {
	if c.Dir == "" || c.Keys == "" {
		return errors.New("ledger: a folder and a folder of keys are needed")
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"window", &c.Window, time.Second},
		{"keep", &c.Keep, 0},
		{"period of pseudonyms", &c.PseudonymPeriod, 24 * time.Hour},
		{"life of pseudonyms", &c.PseudonymLife, 30 * 24 * time.Hour},
	} {
		if *d.value < 0 {
			return fmt.Errorf("ledger: %s of %v, want 0 or more", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if strings.ContainsFunc(c.Origin, func(r rune) bool { return unicode.IsSpace(r) || r == '+' || r == utf8.RuneError }) {
		return fmt.Errorf("ledger: origin %q: want no space and no '+'", c.Origin)
	}
	if c.Queue < 0 {
		return fmt.Errorf("ledger: queue of %d records, want 0 or more", c.Queue)
	}
	if c.Queue == 0 {
		c.Queue = 65536
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	keys, err := filepath.Abs(c.Keys)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	// The folder is what is handed to auditors.
	if rel, err := filepath.Rel(dir, keys); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("ledger: the folder of keys %s is inside of the ledger %s", keys, dir)
	}
	c.Dir, c.Keys = dir, keys
	return nil
}

// A Ledger records. All methods may be called at once from many goroutines.
type Ledger struct {
	Config
	fsys   files
	signer note.Signer
	key    note.Verifier
	locked *os.File

	verifier string // key as a line of text
	begun    bool   // a new ledger, by this Open

	// waiting is how many records are reserved or not yet sealed, plus stopped while
	// personalization is.
	waiting atomic.Int64
	lines   sync.Pool // of *[]byte: records being encoded

	mu     sync.Mutex // for the queue, held for a copy and no more
	queue  queue
	status Status
	missed missed
	// blocked is why personalization is stopped, in the words of a record; "": it is not.
	blocked string
	closing bool // Close was called
	closed  bool // and takes no records any more

	// The rest is the sealer's own, see run.
	builder builder
	pending *segment // built and not yet on disk, or not known to be
	tip     tip
	out     file // of the hour that outName says, nil: not open
	outName string
	dirs    map[string]bool // folders that are known to be durable
	wake    chan struct{}   // a chunk is full
	flushes chan chan error // who waits for a seal
	life    context.Context // until Close
	end     context.CancelFunc
	done    sync.WaitGroup

	pseudonyms pseudonyms
	retention  retention
	witnesses  []*watcher
}

// A tip is where the ledger goes on.
type tip struct {
	*edge
	records int64     // in the whole ledger
	file    string    // of the last segment, "" before the first
	end     int64     // of the last segment's frame in it
	to      time.Time // when its window was closed
}

// A Status is how recording goes.
type Status struct {
	Segments, Records int64     // sealed, in the whole ledger
	Bytes             int64     // compressed, sealed since Open
	Waiting           int64     // records that are reserved or not yet sealed
	Unrecorded        int64     // exchanges without a record, since Open
	Sealed            time.Time // when the last segment was; zero: none since Open
	Failures          int64     // attempts to seal that failed, since Open
	Blocked           string    // why Reserve says no; "": it does not
	Err               error     // of the last attempt to seal, nil if it went well
	WitnessFailures   int64     // checkpoints that a witness did not take, since Open
}

// Status reports how recording goes.
func (l *Ledger) Status() Status {
	l.mu.Lock()
	s := l.status
	l.mu.Unlock()
	s.Waiting = l.waiting.Load() % stopped
	for _, w := range l.witnesses {
		s.WitnessFailures += w.failures.Load()
	}
	return s
}

// Open begins to record, or goes on after the last run, however that ended. The
// first record says how. It makes folders and keys where there are none.
//
// An error says that the folder is in use, is not as any crash could have left it, or lacks what a
// witness knows; nothing of a ledger that was there is changed then. A full disk is no error for a
// ledger that exists: nothing is personalized until there is room.
func Open(c Config) (*Ledger, error) { return open(c, disk{}) }

func open(c Config, fsys files) (*Ledger, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	l := &Ledger{Config: c, fsys: fsys, dirs: make(map[string]bool), wake: make(chan struct{}, 1), flushes: make(chan chan error)}
	l.life, l.end = context.WithCancel(context.Background())
	l.lines.New = func() any { b := make([]byte, 0, 4096); return &b }
	if err := l.prepare(); err != nil {
		l.release()
		return nil, fmt.Errorf("ledger %s: %w", c.Dir, err)
	}
	l.start()
	return l, nil
}

// prepare does all of opening that can fail.
func (l *Ledger) prepare() error {
	if err := makeDir(l.fsys, l.Dir, 0o755); err != nil {
		return err
	}
	if _, real := l.fsys.(disk); real {
		var err error
		if l.locked, err = lock(l.Dir); err != nil {
			return err
		}
	}
	if err := l.loadSigner(); err != nil {
		return err
	}
	last, err := l.inspect()
	if err != nil {
		return err
	}
	// What a witness knows may be what is about to be cut off: it is asked while all is still there.
	if err := l.checkWitnesses(); err != nil {
		return err
	}
	if err := l.mend(last); err != nil {
		return err
	}
	if err := l.builder.open(); err != nil {
		return err
	}
	l.status.Segments, l.status.Records = l.tip.size, l.tip.records
	now := l.Now()
	l.Event(Event{Kind: KindOpen, Time: now, Data: last.open})
	if last.open.Ended == "first" {
		l.Event(Event{Kind: KindKey, Time: now, Data: keyEvent{Key: "signer", Action: "made"}})
	}
	l.pseudonyms.load(l, now)
	return nil
}

// start seals what opening recorded, so that a crash soon after is known to
// follow an opening, and begins the work of the background.
func (l *Ledger) start() {
	for _, w := range l.witnesses {
		l.done.Go(func() { w.run(l) })
	}
	if err := l.seal(); err != nil {
		l.Log.Error("ledger: nothing is personalized until records can be sealed", "error", err)
	}
	l.done.Go(l.run)
	l.done.Go(l.watch)
}

// Flush seals what was recorded so far, and returns when it is on disk or that
// failed. What failed is tried again with the next window.
func (l *Ledger) Flush() error {
	reply := make(chan error, 1)
	select {
	case l.flushes <- reply:
		return <-reply
	case <-l.life.Done():
		return errClosed
	}
}

var errClosed = errors.New("ledger: closed")

// Close seals the rest and ends recording in order. The error says what could
// not be sealed, which is lost then. Exchanges should have ended before. Those that
// have a reservation still are lost, and so recording does not end in order; others that end before Close
// returns are told by a last record of [KindUnrecorded], and it does not end in order either. Of those that end later
// nothing can be recorded: [Status] counts them, and the log tells that there are some.
func (l *Ledger) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return errClosed
	}
	l.closing = true
	l.mu.Unlock()
	l.waiting.Add(stopped) // a second time, if it was stopped before: for ever
	l.end()
	l.done.Wait() // from here on this goroutine is the sealer
	err := l.sealEnd()
	l.mu.Lock()
	if l.status.Waiting = l.waiting.Load() % stopped; err != nil {
		err = fmt.Errorf("ledger %s: the last %d records are lost: %w", l.Dir, l.status.Waiting, err)
	}
	l.mu.Unlock()
	var last sync.WaitGroup
	for _, w := range l.witnesses {
		last.Go(func() { w.last(l) })
	}
	last.Wait()
	l.release()
	return err
}

// sealEnd records how recording ended, and seals all that is left.
func (l *Ledger) sealEnd() error {
	l.mu.Lock()
	l.closed = true
	// Who has a reservation personalizes, and is too late to be recorded. The end is not in order
	// then, and must not be told as if it were: the next opening tells of a crash.
	reserved := l.waiting.Load()%stopped - l.queue.n
	l.status.Unrecorded += reserved
	l.mu.Unlock()
	l.tellMissed(true)
	if reserved > 0 {
		l.Log.Error("ledger: closed while exchanges had not ended, which are not recorded", "exchanges", reserved)
	} else {
		l.event(Event{Kind: KindClose, Time: l.Now()}, true)
	}
	err := l.seal()
	// What was missed meanwhile comes behind the close, so that this is not the last word.
	if err == nil && l.tellMissed(true) {
		err = l.seal()
	}
	return err
}

// release gives back what opening took.
func (l *Ledger) release() {
	l.end()
	l.builder.close()
	for _, w := range l.Witnesses {
		if c, ok := w.(io.Closer); ok {
			c.Close() // of what it took it answered for
		}
	}
	if l.out != nil {
		l.out.Close()
	}
	if l.locked != nil {
		unlock(l.locked)
	}
}

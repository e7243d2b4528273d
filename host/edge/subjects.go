package edge

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"bespoke/host/consent"
	"bespoke/host/state"
	"bespoke/modules/abi"
)

// Subjects keep the choices of visitors whom a tenant's origin names, so that
// they hold on all of their devices. The store behind them is opened when the
// first subject appears, or at once if there have been some before; without any
// it is never touched. It is safe for concurrent use; Close it after the Edge.
//
// A request reads what is in memory and waits for nothing. While it is not
// known what a subject chose, they count as having refused everything.
type Subjects struct {
	dir   string
	opt   state.Options
	log   *slog.Logger
	namer *state.Namer
	retry time.Duration // between attempts at what failed

	life  context.Context // ends with Close
	end   context.CancelFunc
	begin sync.Once
	begun atomic.Bool
	work  sync.WaitGroup // of run
	tried chan struct{}  // closed when the store was first opened, or could not be
	wake  chan struct{}  // something is waiting; holds one

	store atomic.Pointer[state.Store] // nil until it is open; set by run
	view  atomic.Pointer[state.View]  // the same

	// What the store has not taken yet, as it failed or is not open. It counts
	// here already, and is tried until it is taken.
	mu      sync.Mutex // owns waiting
	waiting map[state.Key]waiting
	waits   atomic.Int64 // len(waiting), for a look without the lock

	profiles subjectProfiles
}

// A waiting choice is one that the store has not taken yet.
type waiting struct {
	choice *consent.Choice
	// brought: it was made before the site knew the visitor as this subject.
	brought bool
}

// into returns what stands when w is added to what was there; nil is nothing.
func (w waiting) into(old *consent.Choice) *consent.Choice {
	if old == nil || !w.brought {
		return consent.Merge(old, w.choice)
	}
	if old.At.After(w.choice.At) {
		return old
	}
	c := *w.choice
	c.Epoch = old.Epoch // it counts other choices: neither knows of the other
	return consent.Merge(old, &c)
}

// and returns what waits when both do.
func (w waiting) and(v waiting) waiting {
	if w.choice == nil || w.brought && !v.brought {
		w, v = v, w
	}
	if v.choice == nil {
		return w
	}
	return waiting{v.into(w.choice), w.brought}
}

// SubjectsConfig is what Subjects need.
type SubjectsConfig struct {
	Dir string       // the store's own folder; made with the first subject
	Key [32]byte     // hides who they are, and seals what they chose; not zero
	Log *slog.Logger // nil: nothing is logged

	Retry time.Duration // between attempts at what failed; 0: a second
}

const (
	choicesBucket = "choices"
	choicesBytes  = 256 << 20 // some 250 bytes a subject

	// keepTime is how long a visitor waits for their choice to be durable before
	// they are told that it is not.
	keepTime = 3 * time.Second
	// maxWaiting bounds what is held for a store that is away.
	maxWaiting = 100_000
)

// errNotOpen is why nothing can be kept before the store is open.
var errNotOpen = errors.New("the store of subjects is not open")

// errKeptUnreadable is returned for a value that this build cannot read.
var errKeptUnreadable = errors.New("what is kept cannot be read, and only a refusal of everything replaces it")

// NewSubjects returns Subjects. It does no more with the folder than to look
// whether it is there.
func NewSubjects(c SubjectsConfig) (*Subjects, error) {
	namer, err := state.NewNamer(c.Key)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Retry == 0 {
		c.Retry = time.Second
	}
	s := &Subjects{
		dir: c.Dir, opt: state.Options{Key: c.Key, MaxBytes: choicesBytes, Log: c.Log}, log: c.Log, namer: namer, retry: c.Retry,
		tried: make(chan struct{}), wake: make(chan struct{}, 1), waiting: map[state.Key]waiting{},
	}
	s.profiles.changes = map[state.Key][]byte{}
	s.life, s.end = context.WithCancel(context.Background())
	if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		s.start()
	}
	return s, nil
}

// Close ends the work and closes the store. What it has not taken is lost; the
// visitors were told so.
func (s *Subjects) Close() error {
	s.end()
	s.work.Wait()
	if st := s.store.Load(); st != nil {
		ctx, cancel := context.WithTimeout(context.Background(), keepTime)
		defer cancel()
		s.flushProfiles(ctx, true)
		return st.Close()
	}
	return nil
}

// start has the store opened, if it is not yet.
func (s *Subjects) start() {
	if s.begun.Load() {
		return
	}
	s.begin.Do(func() {
		s.begun.Store(true)
		if s.life.Err() == nil {
			s.work.Go(s.run)
		}
	})
}

// run opens the store and has it take what waits, until Close.
func (s *Subjects) run() {
	said := ""
	tick := time.NewTicker(profileEvery)
	defer tick.Stop()
	all := false // profiles that changed, too, and not those alone that are to be erased
	for first := true; ; first = false {
		err := s.open()
		if first {
			close(s.tried)
		}
		if err == nil {
			err = s.flush()
			s.flushProfiles(s.life, all)
		}
		all = false
		switch {
		case s.life.Err() != nil:
			return
		case err != nil && err.Error() != said:
			said = err.Error()
			s.log.LogAttrs(s.life, slog.LevelError, "choices of subjects cannot be kept for all of their devices; tried again until they can", slog.String("error", said))
		case err == nil && said != "":
			said = ""
			s.log.LogAttrs(s.life, slog.LevelInfo, "choices of subjects are kept again")
		}
		var again <-chan time.Time
		if err != nil {
			again = time.After(s.retry)
		}
		wake := s.wake
		if err != nil {
			wake = nil // what waits does not hurry a store that is away
		}
		select {
		case <-s.life.Done():
			return
		case <-wake:
		case <-again:
		case <-tick.C:
			all = true
		}
	}
}

func (s *Subjects) open() error {
	if s.store.Load() != nil {
		return nil
	}
	st, err := state.Open(s.dir, s.opt)
	if err != nil {
		return err
	}
	s.store.Store(st)
	s.profiles.view.Store(st.View(profilesBucket))
	s.view.Store(st.View(choicesBucket))
	return nil
}

// flush has the store take what waits. It returns why something still does.
func (s *Subjects) flush() (failed error) {
	if s.waits.Load() == 0 {
		return nil
	}
	s.mu.Lock()
	all := maps.Clone(s.waiting)
	s.mu.Unlock()
	for key, w := range all {
		switch err := s.put(s.life, key, w); {
		case errors.Is(err, state.ErrFull), errors.Is(err, state.ErrConflict):
			failed = err // others may fit
			continue
		case errors.Is(err, errKeptUnreadable), errors.Is(err, state.ErrUnreadable):
			// It counts as a refusal of everything, which is no less than what waits.
		case err != nil:
			return err
		}
		s.mu.Lock()
		if s.waiting[key] == w { // else there is something newer
			delete(s.waiting, key)
			s.waits.Store(int64(len(s.waiting)))
		}
		s.mu.Unlock()
	}
	return failed
}

// put adds a choice to what the store has for a subject. When it returns nil,
// the result is durable, and read by every request that begins after.
func (s *Subjects) put(ctx context.Context, key state.Key, w waiting) error {
	st := s.store.Load()
	if st == nil {
		return errNotOpen
	}
	replaces := w.choice.Granted == 0 && !w.brought // what is unreadable counts as just that
	add := func(old []byte) ([]byte, error) {
		var before *consent.Choice
		if old != nil {
			var err error
			if before, err = consent.ParseChoice(old); err != nil && !replaces {
				return nil, errKeptUnreadable
			}
		}
		return w.into(before).Encode(), nil
	}
	err := st.Update(ctx, choicesBucket, key, add)
	if errors.Is(err, state.ErrUnreadable) && replaces {
		// Between the two a request would find nothing where it found something
		// unreadable. So the refusal counts from before.
		s.later(key, w)
		if err = st.Delete(ctx, choicesBucket, key); err == nil {
			err = st.Update(ctx, choicesBucket, key, add)
		}
	}
	if !w.choice.Granted.Has(abi.Personalize) {
		s.dropProfile(key)
	}
	return err
}

// keep makes a subject's choice durable. If it reports false, the choice holds
// on the visitor's device alone; what it refuses is tried again until it is kept.
func (s *Subjects) keep(key state.Key, c *consent.Choice) bool {
	s.start()
	ctx, cancel := context.WithTimeout(s.life, keepTime)
	defer cancel()
	select {
	case <-s.tried:
	case <-ctx.Done():
	}
	err := s.put(ctx, key, waiting{choice: c})
	if err == nil {
		return true
	}
	s.log.LogAttrs(s.life, slog.LevelWarn, "a choice could not be kept for all devices of its subject", slog.String("error", err.Error()))
	s.later(key, waiting{choice: c})
	return false
}

// later has a choice kept when the store can. From now on it counts here. What
// refuses nothing is not worth it: without it less is granted, not more.
func (s *Subjects) later(key state.Key, w waiting) {
	if w.choice.Granted == consent.All {
		return
	}
	s.mu.Lock()
	before, ok := s.waiting[key]
	if ok || len(s.waiting) < maxWaiting {
		s.waiting[key] = before.and(w)
		s.waits.Store(int64(len(s.waiting)))
	}
	s.mu.Unlock()
	s.start()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// A standing is what is known of a subject's choice.
type standing uint8

const (
	noSubject      standing = iota
	subjectUnknown          // it cannot be told now whether there is a choice, or which
	subjectKept             // what there is, is durable
	subjectWaiting          // something is not durable yet
)

// choice returns what a subject chose, from memory; nil if they have not.
func (s *Subjects) choice(key state.Key) (*consent.Choice, standing) {
	v := s.view.Load()
	if v == nil {
		s.start()
		return nil, subjectUnknown
	}
	// In this order: a view that is fed now has been ready before.
	if v.Stale() != nil || !v.Ready() {
		return nil, subjectUnknown
	}
	// What waits before what is kept: it goes from there to here.
	var w waiting
	if s.waits.Load() > 0 {
		s.mu.Lock()
		w = s.waiting[key]
		s.mu.Unlock()
	}
	var c *consent.Choice
	if value, ok := v.Get(key); ok {
		var err error
		if c, err = consent.ParseChoice(value); err != nil {
			return nil, subjectUnknown
		}
	}
	if w.choice != nil {
		return w.into(c), subjectWaiting
	}
	return c, subjectKept
}

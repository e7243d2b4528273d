package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lateWindows is how old the oldest record may become, in windows, before nothing
// is personalized any more; and lateLeast is what it may always be, as a busy machine's disk
// takes that long now and then.
const (
	lateWindows = 5
	lateLeast   = 2 * time.Second
)

// run is the sealer: the only goroutine that hashes, compresses and writes.
func (l *Ledger) run() {
	tick := time.NewTicker(l.Window)
	defer tick.Stop()
	for {
		select {
		case <-l.wake:
			l.absorb(false)
			if l.crowded() {
				l.round()
			}
		case <-tick.C:
			l.round()
		case reply := <-l.flushes:
			reply <- l.round()
		case <-l.life.Done():
			return
		}
	}
}

// crowded says that the window must not be waited for. After an error it must, or a full disk
// would be asked again for every record.
func (l *Ledger) crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.Err == nil && l.queue.crowded(l.Queue)
}

// round is what happens once a window.
func (l *Ledger) round() error {
	err := l.seal()
	if err == nil {
		l.tellMissed(false)
		l.retain()
	}
	l.pseudonyms.turn(l, l.Now(), err == nil)
	return err
}

// watch stops personalization when the sealer itself hangs, on a disk that does not answer.
func (l *Ledger) watch() {
	tick := time.NewTicker(l.Window)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.checkLate()
		case <-l.life.Done():
			return
		}
	}
}

func (l *Ledger) checkLate() {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := l.queue.since; !since.IsZero() && now.Sub(since) > max(lateWindows*l.Window, lateLeast) {
		l.block(whyLate, "records wait too long to be sealed")
	}
}

// block stops personalization, for one of the reasons that a record may have, and as operators read it. l.mu
// is held.
func (l *Ledger) block(why, text string) {
	if l.blocked == "" {
		l.waiting.Add(stopped)
	}
	l.blocked, l.status.Blocked = why, text
}

// absorb moves the queue into the builder: the full chunks, or everything, as far as a
// segment may be long. more says that it was too much.
func (l *Ledger) absorb(all bool) (more bool, err error) {
	b := &l.builder
	b.chunks, more = l.take(all, maxWindow-b.size, b.chunks[:0])
	for _, c := range b.chunks {
		if err := b.add(c); err != nil {
			// The encoder writes to memory and knows no error of its own.
			l.Log.Error("ledger: compress", "error", err)
			return more, err
		}
	}
	l.give(b.chunks)
	clear(b.chunks)
	return more, nil
}

// seal writes what failed before, and then all that waits. An error leaves
// everything in memory for the next attempt.
func (l *Ledger) seal() error {
	if l.pending != nil {
		if err := l.commit(); err != nil {
			return err
		}
	}
	for {
		more, err := l.absorb(true)
		if err != nil {
			return l.failed(err)
		}
		if l.builder.records == 0 {
			return nil // a window without records writes nothing
		}
		s, err := l.build()
		if err != nil {
			return l.failed(err)
		}
		l.pending = s
		l.builder.reset(nil)
		if err := l.commit(); err != nil || !more {
			return err
		}
	}
}

// commit writes the pending segment, and says how that went.
func (l *Ledger) commit() error {
	s := l.pending
	if err := l.write(s); err != nil {
		if !s.durable {
			l.cut(s)
		}
		return l.failed(fmt.Errorf("segment %d: %w", s.Segment, err))
	}
	old := l.tip
	l.pending = nil
	l.tip = tip{edge: s.after, records: s.First + s.Records, file: s.File, end: s.Offset + s.Bytes, to: s.To}
	l.removePartial(old.edge)
	if l.builder.records == 0 && cap(s.frame) <= 16<<20 {
		l.builder.reset(s.frame) // its memory is free again
	}

	l.mu.Lock()
	l.waiting.Add(-s.Records)
	l.queue.n -= s.Records
	l.queue.events -= s.events
	l.queue.since = time.Time{}
	if len(l.queue.full) > 0 {
		l.queue.since = l.queue.full[0].began
	} else if l.queue.cur != nil {
		l.queue.since = l.queue.cur.began
	}
	if l.blocked != "" {
		l.Log.Info("ledger: records are sealed again", "segment", s.Segment)
		l.blocked, l.status.Blocked = "", ""
		l.waiting.Add(-stopped)
	}
	l.status.Err = nil
	l.status.Sealed = l.Now()
	l.status.Segments, l.status.Records = l.tip.size, l.tip.records
	l.status.Bytes += s.Bytes
	l.mu.Unlock()
	for _, w := range l.witnesses {
		w.offer(s.signed)
	}
	return nil
}

// failed stops personalization until a seal succeeds.
func (l *Ledger) failed(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status.Err == nil {
		l.Log.Error("ledger: records cannot be sealed, nothing is personalized until they are", "error", err)
	}
	l.status.Failures++
	l.status.Err = err
	l.block(whyDisk, "records cannot be sealed: "+err.Error())
	return err
}

// write makes a segment part of the ledger. It may be called again for the same
// segment after any error.
func (l *Ledger) write(s *segment) error {
	if !s.durable {
		// A crash up to here loses the window, of which nothing is on disk.
		if err := l.writeFrame(s); err != nil {
			return err
		}
		// A crash here leaves a frame, whole or torn, of which no tree knows. The next
		// start cuts it off: what is not signed could be anybody's. The window is lost.
		if err := l.writeTiles(s.tiles); err != nil {
			return err
		}
		// A crash here leaves tiles besides that are wider than the checkpoint's tree.
		// Nobody looks at them, and the next start removes them.
		s.durable = true
	}
	// A crash while this is written leaves a torn note, which no key has signed: the
	// window is lost, as above. From the sync on the segment is part of
	// the ledger: the next start finds a signature, everything that it speaks of, and renames it
	// as we would. So whoever has seen this checkpoint, however briefly, never meets a ledger
	// that does not contain it.
	next, name := filepath.Join(l.Dir, nextName), filepath.Join(l.Dir, checkpointName)
	if err := writeFile(l.fsys, next, s.signed, 0o644); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := l.fsys.SyncDir(l.Dir); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := l.fsys.Rename(next, name); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	// A crash here finds the one name or the other, and the same note under either.
	if err := l.fsys.SyncDir(l.Dir); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// writeFrame appends the frame to the file of its hour, durably.
func (l *Ledger) writeFrame(s *segment) error {
	if l.out == nil || l.outName != s.File {
		if err := l.openOut(s.File); err != nil {
			return err
		}
	}
	size, err := l.out.Size()
	if err != nil {
		return err
	}
	if size < s.Offset {
		return fmt.Errorf("%s has %d bytes, and the tree knows of %d: somebody cut it", s.File, size, s.Offset)
	}
	if size > s.Offset { // an attempt that failed
		if err := l.out.Truncate(s.Offset); err != nil {
			return err
		}
	}
	if _, err := l.out.WriteAt(s.frame, s.Offset); err != nil {
		return err
	}
	if err := l.out.Sync(); err != nil {
		return err
	}
	if s.Offset == 0 {
		return l.fsys.SyncDir(filepath.Join(l.Dir, segmentsName))
	}
	return nil
}

func (l *Ledger) openOut(name string) error {
	if l.out != nil {
		l.out.Close() // all of it is synced
		l.out = nil
	}
	dir := filepath.Join(l.Dir, segmentsName)
	if err := l.ensureDir(dir); err != nil {
		return err
	}
	f, err := l.fsys.Open(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	l.out, l.outName = f, name
	return nil
}

// cut takes back a frame that no checkpoint speaks of, after an error: a full disk
// gets its room back, and nothing is half-written. Where that fails too, the next attempt does it.
func (l *Ledger) cut(s *segment) {
	if l.out == nil {
		return
	}
	if l.outName == s.File {
		if size, err := l.out.Size(); err == nil && size > s.Offset {
			if err := errors.Join(l.out.Truncate(s.Offset), l.out.Sync()); err != nil {
				l.Log.Warn("ledger: cut off an unsealed segment", "file", s.File, "error", err)
			}
		}
	}
	// After a failed sync a file's pages count as written. A new file is sure
	// to have forgotten nothing.
	l.out.Close()
	l.out = nil
}

// ensureDir makes a folder of the ledger durable, once in the life of this process: that it
// is there says nothing, it may be from an attempt that failed before the sync.
func (l *Ledger) ensureDir(dir string) error {
	if dir == l.Dir || l.dirs[dir] {
		return nil
	}
	if err := l.ensureDir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := makeDir(l.fsys, dir, 0o755); err != nil {
		return err
	}
	l.dirs[dir] = true
	return nil
}

// writeTiles writes tiles and the bundle under their names of this width, which
// no checkpoint before speaks of.
func (l *Ledger) writeTiles(tiles []tileFile) error {
	for _, t := range tiles {
		name := filepath.Join(l.Dir, filepath.FromSlash(t.path))
		dir := filepath.Dir(name)
		err := l.ensureDir(dir)
		if err == nil {
			err = writeFile(l.fsys, name, t.data, 0o644)
		}
		if err == nil {
			err = l.fsys.SyncDir(dir)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.path, err)
		}
	}
	return nil
}

// removePartial removes the tiles and the bundle of a tree's edge, for which there are wider
// ones now. A crash before or amid leaves some that nobody needs.
func (l *Ledger) removePartial(old *edge) {
	levels := []int{entriesLevel}
	for level := range old.levels {
		levels = append(levels, level)
	}
	for _, level := range levels {
		at := max(level, 0)
		w := old.width(at)
		if w == 0 || l.tip.number(at) == old.number(at) && l.tip.width(at) == w {
			continue // nothing there, or as it was
		}
		name := filepath.Join(l.Dir, filepath.FromSlash(tilePath(level, old.number(at), w)))
		err := removeFile(l.fsys, name)
		if err == nil && l.tip.number(at) > old.number(at) {
			err = removeFile(l.fsys, filepath.Dir(name)) // the tile is full: its folder of partial ones
			delete(l.dirs, filepath.Dir(name))
		}
		if err != nil {
			l.Log.Warn("ledger: remove a partial tile", "tile", name, "error", err)
		}
	}
}

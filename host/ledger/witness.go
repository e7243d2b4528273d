package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A Witness keeps the newest checkpoint in a second place, out of reach of whoever could
// change the ledger's folder. With it, cutting the ledger and rewriting its end become evident.
// One that is an io.Closer is closed with the ledger, also if that does not open.
type Witness interface {
	// Put keeps a checkpoint, instead of the one before.
	Put(ctx context.Context, checkpoint []byte) error
	// Latest returns what is kept, nil for nothing yet.
	Latest(ctx context.Context) ([]byte, error)
}

// Times that a witness has.
const (
	witnessTime = 10 * time.Second // for a checkpoint
	askTime     = 5 * time.Second  // to answer when a ledger is opened
	lastTime    = 2 * time.Second  // for the checkpoint of the end
)

// maxCheckpoint bounds what is read from a witness, in bytes.
const maxCheckpoint = 64 << 10

// checkWitnesses asks each witness for what it knows. A checkpoint that the ledger's tree does not contain is an error:
// somebody cut or rewrote it. A witness that does not answer is logged.
func (l *Ledger) checkWitnesses() error {
	type answer struct {
		msg []byte
		err error
	}
	answers := make([]answer, len(l.Witnesses))
	var all sync.WaitGroup
	for i, w := range l.Witnesses {
		l.witnesses = append(l.witnesses, &watcher{to: w, signal: make(chan struct{}, 1)})
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), askTime)
			defer cancel()
			answers[i].msg, answers[i].err = w.Latest(ctx)
		})
	}
	all.Wait()
	for i, w := range l.witnesses {
		if err := answers[i].err; err != nil {
			w.failed(l, fmt.Errorf("what is the latest checkpoint: %w", err))
			continue
		}
		if err := l.contains(answers[i].msg); err != nil {
			return fmt.Errorf("witness %s: %w", w, err)
		}
	}
	return nil
}

// contains checks that the ledger's tree begins with the tree of a checkpoint.
func (l *Ledger) contains(msg []byte) error {
	if len(msg) == 0 {
		return nil
	}
	tree, err := openCheckpoint(msg, l.key)
	if err != nil {
		return fmt.Errorf("its checkpoint is not of this ledger: %w", err)
	}
	if tree.N > l.tip.size {
		return fmt.Errorf("it knows %d segments, and the ledger has %d: the ledger was cut, or an older copy was put in its place", tree.N, l.tip.size)
	}
	got, err := tlog.TreeHash(tree.N, tlog.HashReaderFunc(l.readHashes))
	if err != nil {
		return err
	}
	if got != tree.Hash {
		return fmt.Errorf("it knows another tree of %d segments: the ledger was rewritten", tree.N)
	}
	return nil
}

// readHashes reads hashes of the tree from its tiles on disk.
func (l *Ledger) readHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		t := tlog.TileForIndex(tileHeight, index)
		t.W = int(min(l.tip.size>>(tileHeight*t.L)-t.N*tileWidth, tileWidth)) // the tile as wide as it is
		data, err := l.readTile(t.L, t.N, t.W)
		if err != nil {
			return nil, err
		}
		if hashes[i], err = tlog.HashFromTile(t, data, index); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// A watcher brings checkpoints to one witness, the newest only, and never
// holds up the sealer.
type watcher struct {
	to       Witness
	newest   atomic.Pointer[[]byte]
	signal   chan struct{}
	failures atomic.Int64
	failing  atomic.Bool
}

func (w *watcher) String() string {
	if s, ok := w.to.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", w.to)
}

// offer leaves a checkpoint to be brought.
func (w *watcher) offer(checkpoint []byte) {
	w.newest.Store(&checkpoint)
	select {
	case w.signal <- struct{}{}:
	default: // it has not brought the one before, and will take this one
	}
}

// run brings checkpoints until the ledger is closed.
func (w *watcher) run(l *Ledger) {
	for {
		select {
		case <-w.signal:
			if !w.bring(l.life, l, witnessTime) {
				// The next checkpoint tries again, or this one after a while.
				time.AfterFunc(witnessTime, func() {
					select {
					case w.signal <- struct{}{}:
					default:
					}
				})
			}
		case <-l.life.Done():
			return
		}
	}
}

// last brings the checkpoint of the end.
func (w *watcher) last(l *Ledger) { w.bring(context.Background(), l, lastTime) }

func (w *watcher) bring(ctx context.Context, l *Ledger, limit time.Duration) bool {
	checkpoint := w.newest.Swap(nil)
	if checkpoint == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := w.to.Put(ctx, *checkpoint); err != nil {
		w.newest.CompareAndSwap(nil, checkpoint) // unless there is a newer one
		w.failed(l, err)
		return false
	}
	if w.failing.Swap(false) {
		l.Log.Info("ledger: a witness takes checkpoints again", "witness", w.String())
	}
	return true
}

// failed counts, and logs the first failure of a row.
func (w *watcher) failed(l *Ledger, err error) {
	w.failures.Add(1)
	if !w.failing.Swap(true) {
		l.Log.Warn("ledger: a witness does not answer", "witness", w.String(), "error", err)
	}
}

// FileWitness keeps the checkpoint in another folder, which had better be of another
// machine or owner.
type FileWitness struct {
	Dir string
}

func (w FileWitness) String() string { return w.Dir }

// Put implements [Witness].
func (w FileWitness) Put(_ context.Context, checkpoint []byte) error {
	if err := makeDir(disk{}, w.Dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(w.Dir, checkpointName)
	return replaceFile(disk{}, name, name+".next", checkpoint, 0o644)
}

// Latest implements [Witness].
func (w FileWitness) Latest(context.Context) ([]byte, error) {
	f, err := os.Open(filepath.Join(w.Dir, checkpointName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxCheckpoint))
}

// HTTPWitness keeps the checkpoint under a URL: PUT (or Method) writes it, GET reads it, and 404 or 204 is nothing yet.
type HTTPWitness struct {
	URL    string
	Method string       // "": PUT
	Header http.Header  // for both, such as Authorization
	Client *http.Client // nil: http.DefaultClient
}

func (w HTTPWitness) String() string { return w.URL }

// Put implements [Witness].
func (w HTTPWitness) Put(ctx context.Context, checkpoint []byte) error {
	method := w.Method
	if method == "" {
		method = http.MethodPut
	}
	_, err := w.do(ctx, method, checkpoint)
	return err
}

// Latest implements [Witness].
func (w HTTPWitness) Latest(ctx context.Context) ([]byte, error) {
	return w.do(ctx, http.MethodGet, nil)
}

func (w HTTPWitness) do(ctx context.Context, method string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range w.Header {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	client := w.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxCheckpoint))
	switch {
	case err != nil:
		return nil, err
	case body == nil && (res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusNoContent):
		return nil, nil
	case res.StatusCode < 200 || res.StatusCode > 299:
		return nil, fmt.Errorf("%s %s: %s", method, w.URL, res.Status)
	}
	return answer, nil
}

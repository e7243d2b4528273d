package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
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
			continue // it is asked again before anything is brought
		}
		if err := l.contains(answers[i].msg, l.tip.size); err != nil {
			return fmt.Errorf("witness %s: %w", w, err)
		}
		w.asked = true
	}
	return nil
}

// contains checks that the ledger's tree of a size begins with the tree of a checkpoint.
func (l *Ledger) contains(msg []byte, size int64) error {
	if len(msg) == 0 {
		return nil
	}
	tree, err := openCheckpoint(msg, l.key)
	if err != nil {
		return fmt.Errorf("%w: its checkpoint is not of this ledger: %w", errForked, err)
	}
	if tree.N > size {
		return fmt.Errorf("%w: it knows %d segments, and the ledger has %d: the ledger was cut, or an older copy was put in its place", errForked, tree.N, size)
	}
	got, err := tlog.TreeHash(tree.N, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) { return l.readHashes(indexes, size) }))
	if err != nil {
		return err
	}
	if got != tree.Hash {
		return fmt.Errorf("%w: it knows another tree of %d segments: the ledger was rewritten", errForked, tree.N)
	}
	return nil
}

// errForked says that what a witness knows is not in the ledger.
var errForked = errors.New("it contradicts the ledger")

// readHashes reads hashes of the tree of a size from its tiles on disk.
func (l *Ledger) readHashes(indexes []int64, size int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		t := tlog.TileForIndex(tileHeight, index)
		t.W = int(min(size>>(tileHeight*t.L)-t.N*tileWidth, tileWidth)) // the tile as wide as it is
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

	// asked says that what the witness knew before is in the ledger. Until then nothing
	// is brought, as that would replace what shows that the ledger was cut. Open's, then run's.
	asked bool
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
	err := w.ask(ctx, l, *checkpoint)
	if err == nil {
		err = w.to.Put(ctx, *checkpoint)
	}
	if err != nil {
		w.newest.CompareAndSwap(nil, checkpoint) // unless there is a newer one
		w.failed(l, err)
		return false
	}
	if w.failing.Swap(false) {
		l.Log.Info("ledger: a witness takes checkpoints again", "witness", w.String())
	}
	return true
}

// ask finds out, of a witness that was away when the ledger was opened, whether what it
// knows is in the tree of a checkpoint of ours.
func (w *watcher) ask(ctx context.Context, l *Ledger, checkpoint []byte) error {
	if w.asked {
		return nil
	}
	msg, err := w.to.Latest(ctx)
	if err != nil {
		return fmt.Errorf("what is the latest checkpoint: %w", err)
	}
	tree, err := openCheckpoint(checkpoint, l.key)
	if err != nil {
		return err
	}
	// Where tiles are replaced by wider ones meanwhile this fails, and is tried again.
	if err := l.contains(msg, tree.N); err != nil {
		return err
	}
	w.asked = true
	return nil
}

// failed counts, and logs the first failure of a row. What contradicts the ledger is
// logged every time: somebody has to look.
func (w *watcher) failed(l *Ledger, err error) {
	w.failures.Add(1)
	if errors.Is(err, errForked) {
		l.Log.Error("ledger: a witness knows another ledger, and keeps what it knows", "witness", w.String(), "error", err)
		return
	}
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

// String is the URL without its password.
func (w HTTPWitness) String() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return "HTTP"
	}
	return u.Redacted()
}

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
		return nil, fmt.Errorf("%s %s: %s", method, w, res.Status)
	}
	return answer, nil
}

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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A Witness keeps the newest checkpoint in a second place, out of reach of whoever could
// change the ledger's folder. With it, cutting the ledger and rewriting its end become evident.
// One that is an io.Closer is closed with the ledger, also if that does not open. It is asked one thing at a
// time. Where it goes on beyond the end of ctx, as on a mount that hangs, nobody waits for it, and it is asked
// nothing else until that has ended.
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

// checkWitnesses asks each witness for what it knows, all at once, and waits for at most askTime. A checkpoint that the ledger's tree does not contain is an error:
// somebody cut or rewrote it. A witness that does not answer is logged.
func (l *Ledger) checkWitnesses() error {
	type answer struct {
		msg []byte
		err error
	}
	answers := make([]answer, len(l.Witnesses))
	var all sync.WaitGroup
	for i, w := range l.Witnesses {
		watch := &watcher{to: w, signal: make(chan struct{}, 1), busy: make(chan struct{}, 1)}
		l.witnesses = append(l.witnesses, watch)
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), askTime)
			defer cancel()
			answers[i].msg, answers[i].err = watch.latest(ctx)
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
	busy     chan struct{} // has one while the witness does something
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

// latest has the witness say what it knows, within ctx.
func (w *watcher) latest(ctx context.Context) ([]byte, error) {
	return w.within(ctx, func() ([]byte, error) { return w.to.Latest(ctx) })
}

// put has the witness keep a checkpoint, within ctx. After an error it may or may not.
func (w *watcher) put(ctx context.Context, checkpoint []byte) error {
	_, err := w.within(ctx, func() ([]byte, error) { return nil, w.to.Put(ctx, checkpoint) })
	return err
}

// within waits for what the witness does no longer than ctx, whether that looks at ctx or not: a call to a mount
// that hangs cannot. It ends when the mount answers, which may be never, so there is one of it at most.
func (w *watcher) within(ctx context.Context, do func() ([]byte, error)) ([]byte, error) {
	select {
	case w.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("it does not end what it began before: %w", ctx.Err())
	}
	var msg []byte
	var err error
	done := make(chan struct{})
	go func() {
		msg, err = do()
		close(done)
		<-w.busy
	}()
	select {
	case <-done:
		return msg, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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
		err = w.put(ctx, *checkpoint)
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
	msg, err := w.latest(ctx)
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
// machine or owner. The file system is asked whatever ctx says; see [Witness].
type FileWitness struct {
	Dir string
}

func (w FileWitness) String() string { return w.Dir }

// Put implements [Witness].
func (w FileWitness) Put(ctx context.Context, checkpoint []byte) error {
	if err := makeDir(disk{}, w.Dir, 0o755); err != nil {
		return err
	}
	if ctx.Err() != nil { // it took so long that there may be a newer one
		return ctx.Err()
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

// HTTPWitness keeps the checkpoint under a URL: PUT writes it, GET reads it, and 404 or 204 is nothing yet. Redirects are
// errors: a PUT that is led elsewhere may arrive there as a GET.
type HTTPWitness struct {
	URL string
	// TokenFile holds a token of at most 4 KiB that is sent with both (RFC 6750, 2.1). It is read for each request, so
	// that it can be replaced. "": none is sent.
	TokenFile string
}

const maxToken = 4 << 10

// String is the URL without what may be secret: user, password and query.
func (w HTTPWitness) String() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return "HTTP"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Put implements [Witness].
func (w HTTPWitness) Put(ctx context.Context, checkpoint []byte) error {
	_, err := w.do(ctx, http.MethodPut, checkpoint)
	return err
}

// Latest implements [Witness].
func (w HTTPWitness) Latest(ctx context.Context) ([]byte, error) {
	return w.do(ctx, http.MethodGet, nil)
}

func (w HTTPWitness) do(ctx context.Context, method string, body []byte) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err // the rest of it is the whole URL
		}
		return nil, fmt.Errorf("%s %s: %w", method, w, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, w.URL, bytes.NewReader(body))
	if err != nil {
		return fail(err)
	}
	if w.TokenFile != "" {
		token, err := w.token()
		if err != nil {
			return fail(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxCheckpoint))
	switch {
	case err != nil:
		return fail(err)
	case body == nil && (res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusNoContent):
		return nil, nil
	case res.StatusCode < 200 || res.StatusCode > 299:
		return fail(errors.New(res.Status))
	}
	return answer, nil
}

// token reads the token. What is wrong is told without it.
func (w HTTPWitness) token() (string, error) {
	f, err := os.Open(w.TokenFile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if token == "" || len(b) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fmt.Errorf("%s: want a token of at most %d bytes, on one line", w.TokenFile, maxToken)
	}
	return token, nil
}

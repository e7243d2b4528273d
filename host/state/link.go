package state

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A link is one unbroken way to the data. Nothing about it heals: when anything
// goes wrong that is not the caller's doing, it goes down for good, and after
// [retryTime] the store makes another. An embedded server is a part of its link,
// as JetStream does not go on after a failed write (it keeps the error) and what
// it has in memory may then differ from the disk.
type link struct {
	nc *nats.Conn
	js jetstream.JetStream
	// For an embedded server only:
	ns     *server.Server
	folder *folder

	ctx  context.Context // ends when the link goes down; its cause says why
	down context.CancelCauseFunc

	once    sync.Once     // of close
	stopped chan struct{} // closed when it has ended

	mu      sync.Mutex // owns what follows
	ended   time.Time
	buckets map[string]*bucketLink
}

// A bucketLink is a bucket as a link sees it.
type bucketLink struct {
	name   string
	kv     jetstream.KeyValue
	link   *link
	room   int64  // bytes that new keys may fill, see hasRoom
	most   int64  // bytes that values may grow to
	marker bool   // whether deletion marks may expire
	folder string // where an embedded server keeps its records
}

func newLink() *link {
	l := &link{buckets: make(map[string]*bucketLink), stopped: make(chan struct{})}
	l.ctx, l.down = context.WithCancelCause(context.Background())
	return l
}

// fail takes the link down; the first cause counts.
func (l *link) fail(cause error) {
	l.mu.Lock()
	if l.ended.IsZero() {
		l.ended = time.Now()
	}
	l.mu.Unlock()
	l.down(cause)
}

// close takes the link down and begins to end what belongs to it. The channel is
// closed when nothing of it is left.
func (l *link) close(cause error) <-chan struct{} {
	l.fail(cause)
	l.once.Do(func() {
		go func() {
			if l.nc != nil {
				l.nc.Close()
			}
			if l.ns != nil {
				l.ns.Shutdown()
				l.ns.WaitForShutdown()
			}
			close(l.stopped)
		}()
	})
	return l.stopped
}

// rest returns how long it is until a next link may be made, after d.
func (l *link) rest(d time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return d - time.Since(l.ended)
}

// options are those of every connection. It does not reconnect by itself: what a
// view missed meanwhile is then not known, and a link that is made anew loads
// everything again. Every asynchronous error (a lost heartbeat, a full buffer) may
// mean a gap too.
func (l *link) options() []nats.Option {
	return []nats.Option{
		nats.Name("bespoke state"),
		nats.NoReconnect(),
		nats.Timeout(dialTime),
		nats.PingInterval(opTime),
		nats.MaxPingsOutstanding(2),
		nats.ClosedHandler(func(nc *nats.Conn) {
			err := nc.LastError()
			if err == nil {
				err = errors.New("the connection was closed")
			}
			l.fail(err)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.fail(err) }),
	}
}

// connect makes a link to a cluster.
func connect(ctx context.Context, url string) (*link, error) {
	l := newLink()
	d := &dialer{ctx: ctx}
	nc, err := nats.Connect(url, append(l.options(), nats.SetCustomDialer(d))...)
	d.done()
	if err != nil {
		return nil, withoutURL(err, url)
	}
	if err := l.use(ctx, nc); err != nil {
		l.close(err)
		return nil, err
	}
	return l, nil
}

// A dialer gives up when its context ends, also on servers that have accepted and
// say nothing, so that Close does not wait for them.
type dialer struct {
	ctx   context.Context
	stops []func() bool
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: dialTime}).DialContext(d.ctx, network, address)
	if err == nil {
		d.stops = append(d.stops, context.AfterFunc(d.ctx, func() { c.Close() }))
	}
	return c, err
}

// done leaves the connections to others.
func (d *dialer) done() {
	for _, stop := range d.stops {
		stop()
	}
}

// withoutURL takes the addresses, which may hold a password, out of an error.
func withoutURL(err error, url string) error {
	text := err.Error()
	for _, u := range strings.Split(url, ",") {
		if strings.Contains(text, u) {
			return errors.New("an address that NATS does not understand: want nats://host:port, or several divided by commas")
		}
	}
	return err
}

// use takes a connection into use and sees that JetStream answers.
func (l *link) use(ctx context.Context, nc *nats.Conn) (err error) {
	l.nc = nc
	if l.js, err = jetstream.New(nc); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	if _, err := l.js.AccountInfo(ctx); err != nil {
		return fmt.Errorf("ask for JetStream: %w", err)
	}
	return nil
}

// live returns a link that was up a moment ago, a new one if need be.
func (s *Store) live(ctx context.Context) (*link, error) {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.life.Done():
		return nil, ErrClosed
	}
	if s.life.Err() != nil {
		return nil, ErrClosed
	}
	if s.link != nil {
		if s.link.ctx.Err() == nil {
			return s.link, nil
		}
		if s.link.rest(s.retry) > 0 {
			return nil, unavailable(context.Cause(s.link.ctx))
		}
	}
	if s.cause != nil && time.Since(s.failed) < s.retry {
		return nil, s.cause
	}
	if s.link != nil {
		// Two servers must not write one folder.
		select {
		case <-s.link.close(nil):
			s.link = nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	// Not under ctx: the link outlives the call that happened to need it.
	l, err := s.dial(s.life)
	if err != nil {
		s.failed, s.cause = time.Now(), unavailable(err)
		return nil, s.cause
	}
	s.link, s.cause = l, nil
	return l, nil
}

// unavailable says that the store cannot work now, and why. Damage does not pass.
func unavailable(cause error) error {
	if errors.Is(cause, ErrCorrupt) || errors.Is(cause, ErrUnavailable) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, cause)
}

// A final error is an answer, not a fault of the link.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// do runs f on a bucket and says of an error what was tried.
func (s *Store) do(ctx context.Context, bucket string, key Key, what string, f func(context.Context, *bucketLink) error) error {
	err := errors.Join(checkBucket(bucket), checkKey(key))
	if err == nil {
		err = s.try(ctx, bucket, f)
	}
	if err != nil {
		return fmt.Errorf("%s bucket %s: %w", what, bucket, err)
	}
	return nil
}

func (s *Store) try(ctx context.Context, bucket string, f func(context.Context, *bucketLink) error) error {
	l, err := s.live(ctx)
	if err != nil {
		return err
	}
	in, cancel := l.during(ctx)
	defer cancel()
	b, err := l.bucket(in, s, bucket)
	if err == nil {
		err = f(in, b)
	}
	var answer final
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		return answer.error
	case ctx.Err() != nil:
		return ctx.Err()
	case l.ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		l.fail(fmt.Errorf("no answer within %v", opTime))
	default:
		l.fail(err) // the first cause counts
	}
	return unavailable(context.Cause(l.ctx))
}

// during returns a context for one operation: the caller's, but no longer than
// opTime, nor than the link.
func (l *link) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// keyMark is the metadata of a bucket that says with which key it was made.
const keyMark = "bespoke-key"

// bucket returns a bucket, which it makes if there is none.
func (l *link) bucket(ctx context.Context, s *Store, name string) (*bucketLink, error) {
	l.mu.Lock()
	b := l.buckets[name]
	l.mu.Unlock()
	if b != nil {
		return b, nil
	}
	kv, err := l.js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		if l.folder != nil {
			if err := l.folder.room(); err != nil {
				return nil, fmt.Errorf("make the bucket: %w", err)
			}
		}
		kv, err = l.js.CreateKeyValue(ctx, s.config(name))
		if errors.Is(err, jetstream.ErrBucketExists) { // somebody was first
			kv, err = l.js.KeyValue(ctx, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the bucket: %w", err)
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the bucket: %w", err)
	}
	config := status.Config()
	if made := config.Metadata[keyMark]; made != "" && made != s.seal.fingerprint {
		return nil, final{ErrOtherKey}
	}
	// A bucket of a cluster stays as its operators made it.
	if want := s.config(name); l.ns != nil && config.MaxBytes != want.MaxBytes {
		if kv, err = l.js.UpdateKeyValue(ctx, want); err != nil {
			return nil, fmt.Errorf("change the bucket's size: %w", err)
		}
		config = want
	}
	b = &bucketLink{name: name, kv: kv, link: l, marker: config.LimitMarkerTTL > 0}
	b.room, b.most = s.opt.MaxBytes, s.opt.MaxBytes+s.opt.MaxBytes/4
	if hard := config.MaxBytes; hard > 0 {
		b.room, b.most = min(b.room, hard-hard/5), hard-hard/16
	}
	if l.folder != nil {
		b.folder = l.folder.records(streamName(name))
		// It and those that it is in may have been made just now.
		for dir := b.folder; ; dir = filepath.Dir(dir) {
			if err := syncFolder(dir); err != nil {
				return nil, fmt.Errorf("open the bucket: %w", err)
			}
			if dir == l.folder.dir {
				break
			}
		}
	}
	l.mu.Lock()
	l.buckets[name] = b
	l.mu.Unlock()
	return b, nil
}

// streamName is what JetStream calls a bucket.
func streamName(bucket string) string { return "KV_" + bucket }

// config is what a bucket is made as. It gets a fourth more than new keys may
// fill, see hasRoom.
func (s *Store) config(name string) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:         name,
		Description:    "Bespoke: sealed values",
		History:        1,
		MaxBytes:       s.opt.MaxBytes + s.opt.MaxBytes/4,
		MaxValueSize:   MaxValue + sealExtra + 1<<10, // with headers
		Storage:        jetstream.FileStorage,
		Replicas:       max(s.opt.Replicas, 1),
		LimitMarkerTTL: s.marker,
		Metadata:       map[string]string{keyMark: s.seal.fingerprint},
	}
}

// Package otlp sends traces to a collector by the OpenTelemetry Protocol, over
// HTTP, in protobuf (https://opentelemetry.io/docs/specs/otlp/, 1.0).
//
// Make an [Exporter] with [New], ask [Exporter.Begin] whether an exchange is
// traced, give what came of it to [Exporter.Take], and end with
// [Exporter.Close]. What a collector does not take is dropped and counted: no
// exchange ever waits for one.
package otlp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"bespoke/host/watch"
)

// Config is what New needs.
type Config struct {
	// Endpoint is the collector's address, such as http://127.0.0.1:4318; without a
	// path, /v1/traces is meant.
	Endpoint *url.URL
	Sample   float64 // the part of exchanges that is traced, from 0 to 1
	Version  string  // of this build
	Log      *slog.Logger
	Wait     time.Duration // until what is not a full batch is sent; 0: 2 s
	Retry    time.Duration // before a batch is sent again, at first; 0: 1 s
}

// Bounds on what waits.
const (
	maxWaiting = 2048             // traces
	maxBatch   = 256              // traces of one request
	maxTries   = 4                // requests with one batch
	sendTime   = 10 * time.Second // of one request
	maxWait    = 30 * time.Second // between two tries
)

// An Exporter sends traces. It is safe for concurrent use.
type Exporter struct {
	config Config
	url    string
	client http.Client
	queue  chan *watch.Trace
	pool   sync.Pool
	stop   context.CancelFunc // ends waiting and sending
	closed chan struct{}      // closed by Close
	once   sync.Once
	ended  chan struct{} // closed when the last batch is sent, or given up

	sent, dropped atomic.Uint64 // traces
	failing       bool          // the last batch was given up; of the sender
}

// New returns an Exporter that sends nothing yet.
func New(c Config) (*Exporter, error) {
	if c.Endpoint == nil || c.Endpoint.Scheme != "http" && c.Endpoint.Scheme != "https" || c.Endpoint.Host == "" {
		return nil, errors.New("traces: the endpoint is no HTTP URL")
	}
	u := *c.Endpoint
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	c.Wait, c.Retry = cmp.Or(c.Wait, 2*time.Second), cmp.Or(c.Retry, time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Exporter{
		config: c, url: u.String(), queue: make(chan *watch.Trace, maxWaiting), stop: stop,
		closed: make(chan struct{}), ended: make(chan struct{}),
		client: http.Client{Timeout: sendTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	e.pool.New = func() any { return &watch.Trace{Spans: make([]watch.Span, 0, 8)} }
	go e.run(ctx) // ends with Close
	return e, nil
}

// Begin returns a trace for an exchange that is to be traced, or nil. Who has a
// parent is traced as the parent is.
func (e *Exporter) Begin(parent watch.Parent) *watch.Trace {
	if parent.Known() && !parent.Sampled || !parent.Known() && rand.Float64() >= e.config.Sample {
		return nil
	}
	t := e.pool.Get().(*watch.Trace)
	*t = watch.Trace{ID: parent.Trace, Parent: parent.Span, Spans: t.Spans[:0]}
	if !parent.Known() {
		binary.LittleEndian.PutUint64(t.ID[:], rand.Uint64())
		binary.LittleEndian.PutUint64(t.ID[8:], rand.Uint64()|1) // zero is no ID
	}
	newID(&t.Root)
	newID(&t.Origin)
	return t
}

func newID(id *[8]byte) { binary.LittleEndian.PutUint64(id[:], rand.Uint64()|1) }

// Take takes a trace of Begin, which is not the caller's any more.
func (e *Exporter) Take(t *watch.Trace) {
	select {
	case e.queue <- t:
	default:
		e.dropped.Add(1)
		e.pool.Put(t)
	}
}

// Close sends what waits, until ctx ends. Nothing may be given to Take any more.
func (e *Exporter) Close(ctx context.Context) error {
	e.once.Do(func() { close(e.closed) })
	select {
	case <-e.ended:
		e.stop()
		return nil
	case <-ctx.Done():
		e.stop()
		<-e.ended
		return fmt.Errorf("send the last traces: %w", ctx.Err())
	}
}

// Families tells how sending goes.
func (e *Exporter) Families() []watch.Family {
	return []watch.Family{
		watch.One("bespoke_traces_sent_total", "Traces that the collector took.", watch.Counter, func() float64 { return float64(e.sent.Load()) }),
		watch.One("bespoke_traces_dropped_total", "Traces that were given up: too many waited, or the collector did not take them.", watch.Counter, func() float64 { return float64(e.dropped.Load()) }),
	}
}

func (e *Exporter) run(ctx context.Context) {
	defer close(e.ended)
	tick := time.NewTicker(e.config.Wait)
	defer tick.Stop()
	var batch []*watch.Trace
	flush := func() {
		if len(batch) > 0 {
			e.deliver(ctx, batch)
		}
		batch = batch[:0]
	}
	for {
		select {
		case t := <-e.queue:
			if batch = append(batch, t); len(batch) == maxBatch {
				flush()
			}
		case <-tick.C:
			flush()
		case <-e.closed:
			for {
				select {
				case t := <-e.queue:
					if batch = append(batch, t); len(batch) == maxBatch {
						flush()
					}
				default:
					flush()
					return
				}
			}
		}
	}
}

// deliver sends a batch, again if it is worth it, and gives its traces back.
func (e *Exporter) deliver(ctx context.Context, batch []*watch.Trace) {
	body := appendRequest(nil, e.config.Version, batch)
	wait := e.config.Retry
	var err error
	for try := range maxTries {
		if try > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		var again bool
		var after time.Duration
		if again, after, err = e.post(ctx, body); err == nil || !again || ctx.Err() != nil {
			break
		}
		wait = min(max(2*wait, after), maxWait)
	}
	n := uint64(len(batch))
	if err == nil {
		e.sent.Add(n)
	} else {
		e.dropped.Add(n)
	}
	if failing := err != nil; failing != e.failing { // told once, and not for every batch
		e.failing = failing
		if failing {
			e.config.Log.LogAttrs(ctx, slog.LevelWarn, "traces are not taken, and dropped until they are", slog.String("error", err.Error()))
		} else {
			e.config.Log.LogAttrs(ctx, slog.LevelInfo, "traces are taken again")
		}
	}
	for i, t := range batch {
		e.pool.Put(t)
		batch[i] = nil
	}
}

// post sends one request. It says whether to try again, and not before when
// (OTLP, "Failures" and "Retryable response codes").
func (e *Exporter) post(ctx context.Context, body []byte) (again bool, after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return false, 0, err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "bespoke/"+e.config.Version)
	resp, err := e.client.Do(req)
	if err != nil {
		return true, 0, err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is kept
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return false, 0, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		after = time.Duration(min(s, 3600)) * time.Second
	}
	return again, after, fmt.Errorf("the collector answered with status %d", resp.StatusCode)
}

package state

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Slot keeps one small public value on an external cluster, for others to read with
// tools of their own, such as "nats kv get". Unlike a [Store] it seals nothing, and needs no cluster
// to be made: it connects when it is used, and again after a failure. It is safe
// for concurrent use.
type Slot struct {
	server, bucket, key string

	turn chan struct{} // holds one token: who has it owns link
	link *link         // nil: not connected; may be down
}

const (
	// slotKey is where the value is, if the address names no key.
	slotKey = "checkpoint"
	// slotHistory is how many values a bucket that is made here has of a key, the newest of all
	// among them: the most that JetStream offers.
	slotHistory = 64
)

// NewSlot returns the slot of an address: nats://host:port/BUCKET or .../BUCKET/KEY,
// or the same with tls, with credentials before the host. The error holds none of them.
func NewSlot(address string) (*Slot, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("an address of another form: want nats://host:port/BUCKET or nats://host:port/BUCKET/KEY")
	}
	s := &Slot{key: slotKey, turn: make(chan struct{}, 1)}
	bucket, key, named := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if s.bucket = bucket; named {
		s.key = key
	}
	if err := errors.Join(checkBucket(s.bucket), checkKey(s.key)); err != nil {
		return nil, err
	}
	s.server = (&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}).String()
	s.turn <- struct{}{}
	return s, nil
}

// String names the slot without credentials.
func (s *Slot) String() string {
	u, err := url.Parse(s.server)
	if err != nil {
		return s.bucket + "/" + s.key
	}
	return u.Scheme + "://" + u.Host + "/" + s.bucket + "/" + s.key
}

// Put replaces the value, at most [MaxValue] bytes, and returns when the cluster has it, within
// some seconds or when ctx ends. After an error it may be there or not.
func (s *Slot) Put(ctx context.Context, value []byte) error {
	if len(value) == 0 || len(value) > MaxValue {
		return fmt.Errorf("put %s: a value of %d bytes: want 1 to %d", s, len(value), MaxValue)
	}
	return s.do(ctx, "put", func(ctx context.Context, kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, s.key, value)
		return err
	})
}

// Latest returns the value, nil if there is none.
func (s *Slot) Latest(ctx context.Context) (value []byte, err error) {
	err = s.do(ctx, "get", func(ctx context.Context, kv jetstream.KeyValue) error {
		e, err := kv.Get(ctx, s.key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound): // also where it was deleted
			return nil
		case err != nil:
			return err
		case len(e.Value()) > MaxValue:
			return final{fmt.Errorf("a value of %d bytes: want at most %d", len(e.Value()), MaxValue)}
		}
		value = e.Value()
		return nil
	})
	return value, err
}

// Close ends the connection, if there is one. A later use makes another.
func (s *Slot) Close() error {
	<-s.turn // soon: every use is bounded
	defer func() { s.turn <- struct{}{} }()
	if s.link == nil {
		return nil
	}
	t := time.NewTimer(closeTime)
	defer t.Stop()
	select {
	case <-s.drop(ErrClosed):
		return nil
	case <-t.C:
		return fmt.Errorf("close %s: the connection has not ended within %v", s, closeTime)
	}
}

// drop ends the connection. Nobody needs to wait for that: links share nothing.
func (s *Slot) drop(cause error) <-chan struct{} {
	l := s.link
	s.link = nil
	return l.close(cause)
}

// do runs f on the bucket. What fails ends the connection, but for an answer.
func (s *Slot) do(ctx context.Context, what string, f func(context.Context, jetstream.KeyValue) error) error {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("%s %s: %w", what, s, ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	err := s.try(ctx, f)
	var answer final
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		err = answer.error
	default:
		if s.link != nil {
			s.drop(err)
		}
		err = unavailable(err)
	}
	return fmt.Errorf("%s %s: %w", what, s, err)
}

func (s *Slot) try(ctx context.Context, f func(context.Context, jetstream.KeyValue) error) error {
	if s.link != nil && s.link.ctx.Err() != nil {
		s.drop(nil) // it ended by itself, while nobody used it
	}
	if s.link == nil {
		l, err := connect(ctx, s.server)
		if err != nil {
			return err
		}
		s.link = l
	}
	ctx, cancel := s.link.during(ctx)
	defer cancel()
	kv, err := s.link.js.KeyValue(ctx, s.bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = s.link.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: s.bucket, Description: "Bespoke: public values", History: slotHistory, MaxValueSize: MaxValue, Storage: jetstream.FileStorage,
		})
		if errors.Is(err, jetstream.ErrBucketExists) { // somebody was first
			kv, err = s.link.js.KeyValue(ctx, s.bucket)
		}
	}
	if err == nil {
		err = f(ctx, kv)
	}
	return err
}

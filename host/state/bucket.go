package state

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errLost means that somebody else changed the value first.
var errLost = errors.New("changed meanwhile")

// get returns the value of a key, nil if there is none.
func (s *Store) get(ctx context.Context, b *bucketLink, key Key) (value []byte, rev uint64, err error) {
	e, err := b.kv.Get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	}
	value, err = s.seal.open(b.name, key, e.Value())
	if err != nil {
		return nil, 0, final{err}
	}
	return value, e.Revision(), nil
}

// put writes a value in place of the one of revision rev, 0 for none. JetStream
// acknowledges after fsync; a crash before leaves the old value, one after it the
// new value, whether or not the acknowledgement arrived.
func (s *Store) put(ctx context.Context, b *bucketLink, key Key, value, old []byte, rev uint64) (uint64, error) {
	sealed := s.seal.seal(b.name, key, value)
	var err error
	switch {
	case rev == 0:
		if err := b.hasRoom(ctx, len(b.subject(key))+len(sealed)+recordExtra, b.room); err != nil {
			return 0, err
		}
		rev, err = b.kv.Create(ctx, key, sealed)
	case len(value) > len(old):
		if err := b.hasRoom(ctx, len(value)-len(old), b.most); err != nil {
			return 0, err
		}
		fallthrough
	default:
		rev, err = b.kv.Update(ctx, key, sealed, rev)
	}
	if err == nil {
		err = b.settle()
	}
	return rev, answer(err)
}

// settle makes last what the server does not: it syncs the file that it wrote to,
// but not the folder, where that file may be new. A loss of power would take the
// file away with all that is in it.
func (b *bucketLink) settle() error {
	if b.folder == "" {
		return nil
	}
	return syncFolder(b.folder)
}

// recordExtra is what JetStream needs for a record beside subject and value: its
// header, length of headers, checksum, and the header with the expected revision.
const recordExtra = 22 + 4 + 8 + 64

// hasRoom says whether the bucket may grow by some bytes, to at most most.
// JetStream refuses all that goes beyond its own limit, also a subject's
// withdrawal, and in a cluster also an erasure. So keys may be added below the
// first of three limits, values may grow below the second, and the rest is for
// changes that need no room but while they are made.
func (b *bucketLink) hasRoom(ctx context.Context, need int, most int64) error {
	status, err := b.kv.Status(ctx)
	if err != nil {
		return err
	}
	if used := int64(status.Bytes()); used+int64(need) > most {
		return final{fmt.Errorf("%w: %d of %d bytes", ErrFull, used, most)}
	}
	return nil
}

func (b *bucketLink) subject(key Key) string { return "$KV." + b.name + "." + key }

// erase puts a mark in place of whatever a key has, and returns the mark's
// revision. Where nobody else can be waiting for it and there is nothing, it does
// nothing, so that erasing strangers does not fill the store.
func (s *Store) erase(ctx context.Context, b *bucketLink, key Key) (uint64, error) {
	if b.link.ns != nil {
		if _, err := b.kv.Get(ctx, key); errors.Is(err, jetstream.ErrKeyNotFound) {
			return 0, nil
		} else if err != nil {
			return 0, err
		}
	}
	// The mark of NATS key-value buckets: a record without a value that rolls up
	// (removes) all that the key had. It is shorter than any record with one.
	m := nats.NewMsg(b.subject(key))
	m.Header.Set("KV-Operation", "PURGE")
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	var opts []jetstream.PublishOpt
	if b.marker {
		opts = append(opts, jetstream.WithMsgTTL(s.marker))
	}
	ack, err := b.link.js.PublishMsg(ctx, m, opts...)
	if err != nil {
		return 0, answer(err)
	}
	if err := b.settle(); err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// Error codes of JetStream's API (server/errors.json).
const (
	codeWrongSequence   = 10071
	codeWrongSequenceR  = 10164 // the same, of a replicated stream
	codeStoreFailed     = 10077
	codeStorageExceeded = 10047
	codeAccountExceeded = 10002
)

// answer tells answers of JetStream from faults.
func answer(err error) error {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode {
	case codeWrongSequence, codeWrongSequenceR:
		return errLost
	case codeStoreFailed, codeStorageExceeded, codeAccountExceeded:
		return final{fmt.Errorf("%w: %s", ErrFull, api.Description)}
	}
	return err
}

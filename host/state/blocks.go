package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/minio/highwayhash"
)

// JetStream's record, all little-endian (nats-server 2.15, server/filestore.go,
// writeMsgRecordLocked):
//
//	length 4 (with all of this; top bit: there are headers) | sequence 8 | time 8 |
//	subject's length 2 | subject | [headers' length 4 | headers] | message | hash 8
//
// The hash is HighwayHash-64 under SHA-256("STREAM-BLOCK") over sequence, time,
// subject, headers and message. If the server's format changes, TestCheckBlock
// and TestCheckIndex fail.
const (
	recordHeader = 22
	recordHash   = 8
	headersBit   = 1 << 31
	// flagBits of a sequence: erased, and a mark for what was removed.
	flagBits = 1<<63 | 1<<62
)

// checkBlock reads a block of a stream as the server will, and returns the highest
// sequence in it. From the first record that is not right, the server cuts the
// block off, with a warning at most; that is how it takes back a write which a
// crash interrupted. But after a fault of the disk in the middle, everything
// acknowledged since would be gone, and a visitor's withdrawal with it. So what
// may be cut off is only what an interrupted write leaves: the beginning of one
// last record, or zeros, where the file had grown and the data had not arrived; and
// that only at the end of the newest block, which is the one that is written to.
func checkBlock(stream string, index int, newest bool, b []byte) (last uint64, err error) {
	hash, err := newHash(fmt.Sprint(stream, "-", index))
	if err != nil {
		return 0, err
	}
	if len(b) == 0 && !newest {
		return 0, errors.New("it is empty") // such a file the server removes
	}
	for at := 0; at < len(b); {
		rest := b[at:]
		n, err := recordLength(rest)
		if err == nil && n <= len(rest) {
			if err = checkRecord(hash, rest[:n]); err == nil {
				last = max(last, binary.LittleEndian.Uint64(rest[4:])&^flagBits)
				at += n
				continue
			}
		}
		if newest && (err == nil && !holdsRecord(hash, rest) || len(bytes.Trim(rest, "\x00")) == 0) {
			return last, nil // the write that was interrupted
		}
		if err == nil {
			err = errors.New("it is cut short, and is not the write that came last")
		}
		return 0, fmt.Errorf("the record at byte %d of %d: %w", at, len(b), err)
	}
	return last, nil
}

// newHash returns the hash that JetStream uses for something of this name.
func newHash(name string) (*highwayhash.Digest64, error) {
	key := sha256.Sum256([]byte(name))
	return highwayhash.NewDigest64(key[:])
}

// checkIndex returns the last sequence that the index of a stream knows of. The
// server writes it every two minutes and at its end, and makes it anew if it is
// missing or damaged; ok is false then. Whatever it knows has been acknowledged:
//
//	magic 1 | version 1 | messages, bytes, first sequence (uvarint) | first time
//	(varint) | last sequence (uvarint) | ... | hash 8, under SHA-256("STREAM")
func checkIndex(stream string, b []byte) (last uint64, ok bool) {
	if len(b) < 2+recordHash || b[0] != 11 || b[1] < 1 || b[1] > 4 {
		return 0, false
	}
	hash, err := newHash(stream)
	if err != nil {
		return 0, false
	}
	b, sum := b[:len(b)-recordHash], b[len(b)-recordHash:]
	hash.Write(b)
	if !bytes.Equal(hash.Sum(nil), sum) {
		return 0, false
	}
	b = b[2:]
	for range 4 { // a varint is as long as a uvarint of the same bytes
		_, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, false
		}
		b = b[n:]
	}
	last, n := binary.Uvarint(b)
	return last, n > 0
}

// recordLength returns how long the record at the start of b says to be. It may
// be more than there is.
func recordLength(b []byte) (int, error) {
	if len(b) < recordHeader {
		return recordHeader, nil
	}
	n := int(binary.LittleEndian.Uint32(b) &^ headersBit)
	least := recordHeader + int(binary.LittleEndian.Uint16(b[20:])) + recordHash
	if binary.LittleEndian.Uint32(b)&headersBit != 0 {
		least += 4
	}
	const most = recordHeader + 1<<16 + MaxValue + 1<<13
	if n < least || n > most {
		return 0, fmt.Errorf("a length of %d: want %d to %d", n, least, most)
	}
	return n, nil
}

// holdsRecord says whether b, which claims to be the beginning of a record, has
// all of one: itself, with a wrong length (which the hash does not cover), or
// another after it.
func holdsRecord(hash *highwayhash.Digest64, b []byte) bool {
	if whole(hash, b) {
		return true
	}
	for at := 1; at < len(b); at++ {
		if n, err := recordLength(b[at:]); err == nil && n <= len(b)-at && whole(hash, b[at:at+n]) {
			return true
		}
	}
	return false
}

func whole(hash *highwayhash.Digest64, b []byte) bool {
	return len(b) >= recordHeader+recordHash && checkRecord(hash, b) == nil
}

func checkRecord(hash *highwayhash.Digest64, b []byte) error {
	subject := int(binary.LittleEndian.Uint16(b[20:]))
	data := b[recordHeader : len(b)-recordHash]
	if subject > len(data) {
		return fmt.Errorf("a subject of %d bytes in %d", subject, len(data))
	}
	hash.Reset()
	hash.Write(b[4:20])
	hash.Write(data[:subject])
	data = data[subject:]
	if binary.LittleEndian.Uint32(b)&headersBit != 0 {
		if len(data) < 4 || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-4) {
			return fmt.Errorf("headers that do not fit into %d bytes", len(data))
		}
		// The hash does not cover where the headers end; they do.
		headers := data[4 : 4+binary.LittleEndian.Uint32(data)]
		if !bytes.HasPrefix(headers, []byte("NATS/1.0\r\n")) || !bytes.HasSuffix(headers, []byte("\r\n\r\n")) {
			return errors.New("headers that do not begin or end as such")
		}
		data = data[4:]
	}
	hash.Write(data)
	var sum [recordHash]byte
	if !bytes.Equal(hash.Sum(sum[:0]), b[len(b)-recordHash:]) {
		return errors.New("its checksum does not match")
	}
	return nil
}

package profile

import (
	"errors"
	"fmt"
	"slices"
)

// Hidden are the items of the catalogue that the visitor does not want to see. To
// hide is a choice: it is customization, needs no consent, is honoured whatever
// was inferred, and tells nothing about the visitor to anything but what leaves
// the items out. It is kept beside the preferences and not in them, as it is of
// numbers of a catalogue and they are of words. The zero value hides nothing.
type Hidden struct{ items []uint32 } // ascending

const (
	// MaxHidden is how many items can be hidden.
	MaxHidden = 200
	// MaxHiddenBytes is the most bytes of a Hidden, encoded: of each item at most
	// 30.2 bits, see MaxInferred. Items up to a million take 360 bytes.
	MaxHiddenBytes = 758

	hiddenVersion = 1
)

var errHidden = errors.New("hidden items: not what was encoded")

// Hide hides an item. What is hidden stays so: where there is no room, the error
// is [ErrTooMuch], and the visitor is to be told, as an older choice of theirs
// would have to be broken.
func (h *Hidden) Hide(item uint32) error {
	i, ok := slices.BinarySearch(h.items, item)
	switch {
	case ok:
		return nil
	case len(h.items) >= MaxHidden:
		return ErrTooMuch
	}
	h.items = slices.Insert(h.items, i, item)
	return nil
}

// Show takes back Hide.
func (h *Hidden) Show(item uint32) {
	if i, ok := slices.BinarySearch(h.items, item); ok {
		h.items = slices.Delete(h.items, i, i+1)
	}
}

// Has reports whether an item is hidden.
func (h *Hidden) Has(item uint32) bool {
	_, ok := slices.BinarySearch(h.items, item)
	return ok
}

// Empty reports whether nothing is hidden.
func (h *Hidden) Empty() bool { return len(h.items) == 0 }

// Items returns what is hidden, ascending. It is valid until h changes.
func (h *Hidden) Items() []uint32 { return slices.Clip(h.items) }

// Merge hides what o hides too, as when a visitor says who they are, and returns
// how many items of o there was no room for.
func (h *Hidden) Merge(o *Hidden) (left int) {
	for _, item := range o.items {
		if h.Hide(item) != nil {
			left++
		}
	}
	return left
}

// AppendEncode appends the items as bytes, to be sealed, to dst: a version, their
// number (8 bits), and if it is not 0 the k of a Rice code (5 bits) and with it
// each item less the one before it and 1.
func (h *Hidden) AppendEncode(dst []byte) []byte {
	w := bitWriter{b: append(dst, hiddenVersion)}
	n := len(h.items)
	w.put(uint32(n), 8)
	if n > 0 {
		k := riceFor(n, h.items[n-1])
		w.put(uint32(k), 5)
		next := uint32(0)
		for _, item := range h.items {
			w.rice(item-next, k)
			next = item + 1
		}
	}
	return w.end()
}

// Parse reads what AppendEncode wrote into h, whose former content is dropped and
// whose memory is used. With an error h hides nothing. The error is [ErrNewer] if
// a later build wrote it.
func (h *Hidden) Parse(b []byte) error {
	h.items = h.items[:0]
	switch {
	case len(b) == 0 || b[0] == 0 || len(b) > MaxHiddenBytes && b[0] == hiddenVersion:
		return errHidden
	case b[0] > hiddenVersion:
		return fmt.Errorf("hidden items: version %d, this build reads up to %d: %w", b[0], hiddenVersion, ErrNewer)
	}
	r := bitReader{b: b[1:]}
	n := r.take(8)
	if n > MaxHidden {
		return errHidden
	}
	if n > 0 {
		k, next := uint(r.take(5)), uint64(0)
		for range n {
			item := next + uint64(r.rice(k))
			if r.bad || item > 1<<32-1 {
				h.items = h.items[:0]
				return errHidden
			}
			h.items = append(h.items, uint32(item))
			next = item + 1
		}
	}
	if !r.atEnd() {
		h.items = h.items[:0]
		return errHidden
	}
	return nil
}

//go:build wasip1

package bespoke

import (
	"strconv"
	"unsafe"
)

// arena holds what a run reads and builds. Every run starts from the same
// memory, so it is empty then, and nothing in it has to be freed. Go's
// allocator would find its caches cold in every run, and cost more than the rest.
var arena = make([]byte, 0, 16<<10)

// Go's allocator fetches memory for a size when it is first asked for it, which
// costs as much as all else that a small policy does, in every run anew. So it
// is asked for the sizes of short texts and small values beforehand.
var warm struct {
	text  []byte
	value []*byte
}

func init() {
	for n := 8; n <= 256; n += 8 {
		warm.text = make([]byte, n)
	}
	for n := 1; n <= 16; n++ {
		warm.value = make([]*byte, n)
	}
	warm.text, warm.value = nil, nil
}

// room makes sure that n bytes fit at the end of the arena.
func room(n int) {
	if cap(arena)-len(arena) < n {
		arena = make([]byte, 0, max(n, cap(arena))) // what the old one holds stays where it is
	}
}

// since returns what was appended to the arena from an offset on.
func since(from int) string { return unsafe.String(unsafe.SliceData(arena[from:]), len(arena)-from) }

// join returns the parts as one string.
func join(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	room(n)
	from := len(arena)
	for _, p := range parts {
		arena = append(arena, p...)
	}
	return since(from)
}

func ftoa(f float64) string {
	if n := int(f); float64(n) == f && n > -1<<53 && n < 1<<53 {
		return itoa(n) // digits are found sooner
	}
	room(32)
	from := len(arena)
	arena = strconv.AppendFloat(arena, f, 'f', -1, 64)
	return since(from)
}

func itoa(n int) string {
	room(20)
	from := len(arena)
	arena = strconv.AppendInt(arena, int64(n), 10)
	return since(from)
}

// line is one line of an argument. A value cannot begin another line.
func line(name, value string) string {
	room(len(name) + len(value) + 2)
	from := len(arena)
	b := append(append(arena[from:], name...), '=')
	at := len(b)
	b = append(append(b, value...), '\n')
	for i, c := range b[at : len(b)-1] {
		if c == '\n' || c == '\r' {
			b[at+i] = ' '
		}
	}
	arena = arena[:from+len(b)]
	return since(from)
}

// read returns the value of a key.
func read(key string) (value string, ok bool) {
	size := 256
	for {
		room(size)
		from := len(arena)
		n := hostRead(key, unsafe.Pointer(unsafe.SliceData(arena[from:cap(arena)])), uint32(cap(arena)-from))
		if n < 0 {
			return "", false
		}
		if n <= int64(cap(arena)-from) {
			arena = arena[:from+int(n)]
			return since(from), true
		}
		size = int(n)
	}
}

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

package engine

import "github.com/tetratelabs/wazero/experimental"

// A pager makes memories that are restored page by page: what a run did not
// touch costs nothing. Where the system cannot tell which pages were touched
// there is none, and memories are restored by copying all of them.
type pager interface {
	reserve(most uint64) pagedMemory
	image(content []byte) (image, error)
	close() error
}

// An image is what a memory is restored to. It is shared by all instances of a module.
type image interface {
	close() error
}

// A pagedMemory is an instance's memory. Free may be called more than once.
type pagedMemory interface {
	experimental.LinearMemory
	err() error // why Reallocate gave nothing
	attach(image) error
	restore()
}

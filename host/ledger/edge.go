package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// An edge is the right edge of the tree: of each level the last tile, as far as it is
// not full, and the last bundle. It is all that appending needs.
type edge struct {
	size    int64
	levels  [][]byte // hashes of 32 bytes, fewer than tileWidth of them
	entries []byte   // the bundle that belongs to levels[0]
}

// A tileFile is a tile or bundle that is to be written.
type tileFile struct {
	path string // as tilePath makes it
	data []byte
}

// number is the number of the level's last tile.
func (e *edge) number(level int) int64 { return e.size >> (tileHeight * level) >> tileHeight }

// width is how many hashes the level's last tile has, 0 to 255.
func (e *edge) width(level int) int { return int(e.size >> (tileHeight * level) % tileWidth) }

// ReadHashes implements [tlog.HashReader] for what appending and the tree's hash ask
// for, all of which is at the edge.
func (e *edge) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		t := tlog.TileForIndex(tileHeight, index)
		if t.L >= len(e.levels) || t.N != e.number(t.L) {
			return nil, fmt.Errorf("hash %d is not at the edge of a tree of size %d", index, e.size)
		}
		var err error
		if hashes[i], err = tlog.HashFromTile(t, e.levels[t.L], index); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// tree is the tree's size and hash.
func (e *edge) tree() (tlog.Tree, error) {
	hash, err := tlog.TreeHash(e.size, e)
	return tlog.Tree{N: e.size, Hash: hash}, err
}

// add returns the edge with one more entry, and the tiles and the bundle that
// the larger tree has and the smaller one had not. e stays as it is.
func (e *edge) add(entry []byte) (*edge, []tileFile, error) {
	hashes, err := tlog.StoredHashesForRecordHash(e.size, tlog.RecordHash(entry), e)
	if err != nil {
		return nil, nil, err
	}
	next := &edge{size: e.size + 1, levels: append([][]byte(nil), e.levels...)}
	// A bundle has fewer bytes than its tile number times the longest statement.
	bundle := appendEntry(append(make([]byte, 0, len(e.entries)+2+len(entry)), e.entries...), entry)
	w := e.width(0) + 1
	tiles := []tileFile{{tilePath(entriesLevel, e.number(0), w), bundle}}
	next.entries = bundle
	if w == tileWidth {
		next.entries = nil
	}
	// hashes are of the levels of the binary tree; every eighth is in a tile.
	for level := 0; level*tileHeight < len(hashes); level++ {
		if level == len(next.levels) {
			next.levels = append(next.levels, nil)
		}
		old := next.levels[level]
		h := &hashes[level*tileHeight]
		data := append(append(make([]byte, 0, len(old)+tlog.HashSize), old...), h[:]...)
		w := len(data) / tlog.HashSize
		tiles = append(tiles, tileFile{tilePath(level, e.number(level), w), data})
		if next.levels[level] = data; w == tileWidth {
			next.levels[level] = nil
		}
	}
	return next, tiles, nil
}

// A rootHasher computes the RFC 6962 hash over records as they come. It keeps one
// hash for each bit of their number.
type rootHasher struct {
	n     int64
	stack []tlog.Hash // of whole subtrees, larger ones first
}

func (r *rootHasher) add(leaf tlog.Hash) {
	r.stack = append(r.stack, leaf)
	for n := r.n; n&1 == 1; n >>= 1 { // each trailing one is a subtree that this leaf completes
		i := len(r.stack) - 2
		r.stack[i] = tlog.NodeHash(r.stack[i], r.stack[i+1])
		r.stack = r.stack[:i+1]
	}
	r.n++
}

// root is the hash over what was added, of which there must be something.
func (r *rootHasher) root() tlog.Hash {
	h := r.stack[len(r.stack)-1]
	for i := len(r.stack) - 2; i >= 0; i-- {
		h = tlog.NodeHash(r.stack[i], h)
	}
	return h
}

func (r *rootHasher) reset() { r.n, r.stack = 0, r.stack[:0] }

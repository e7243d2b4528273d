package ledger

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// A tileName is the place of a tile, or of a bundle with entriesLevel.
type tileName struct {
	level int
	n     int64
}

// listTiles returns the widths of all tiles that the folder has. Files of other names
// are left out: strangers tells of them.
func listTiles(dir string) (map[tileName][]int, error) {
	files := map[tileName][]int{}
	err := filepath.WalkDir(filepath.Join(dir, "tile"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if errors.Is(err, fs.ErrNotExist) { // none yet, or removed since
				return nil
			}
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if at, w, ok := parseTilePath(filepath.ToSlash(name)); ok {
			files[at] = append(files[at], w)
		}
		return nil
	})
	return files, err
}

// parseTilePath is the reverse of tilePath.
func parseTilePath(name string) (at tileName, w int, ok bool) {
	rest, ok := strings.CutPrefix(name, "tile/")
	if !ok {
		return at, 0, false
	}
	if e, entries := strings.CutPrefix(rest, "entries/"); entries {
		rest = "data/" + e
	}
	t, err := tlog.ParseTilePath("tile/" + strconv.Itoa(tileHeight) + "/" + rest)
	if err != nil || tilePath(t.L, t.N, t.W) != name {
		return at, 0, false
	}
	return tileName{t.L, t.N}, t.W, true
}

// A level is what is known of a level of tiles: the hashes of the tile that is
// being filled.
type level struct {
	n      int64 // number of the tile
	hashes []byte
	broken bool // some hash is not known, so neither are those above
}

// push adds the next hash of a level; full tiles are checked, and make one hash
// of the level above.
func (v *verifier) push(at int, h tlog.Hash, known bool) {
	if at == len(v.levels) {
		v.levels = append(v.levels, level{})
	}
	l := &v.levels[at]
	l.hashes = append(l.hashes, h[:]...)
	l.broken = l.broken || !known
	if len(l.hashes) < tileWidth*tlog.HashSize {
		return
	}
	v.tile(at)
	l = &v.levels[at]
	var sub treeHead
	for i := 0; i < len(l.hashes); i += tlog.HashSize {
		sub.add(tlog.Hash(l.hashes[i : i+tlog.HashSize]))
	}
	broken := l.broken
	l.n, l.hashes, l.broken = l.n+1, l.hashes[:0], false
	v.push(at+1, sub.hash(), !broken)
}

// tile compares the files of the tile that a level holds with it.
func (v *verifier) tile(at int) {
	l := &v.levels[at]
	w := len(l.hashes) / tlog.HashSize
	if w == 0 || l.broken {
		return
	}
	name := tilePath(at, l.n, w)
	found := false
	for _, have := range v.files[tileName{at, l.n}] {
		file := tilePath(at, l.n, have)
		found = found || have >= w
		if at == 0 && have == w {
			continue // told segment by segment
		}
		if have > w {
			continue // see beyond
		}
		b, err := readSmall(filepath.Join(v.f.dir, file), tileWidth*tlog.HashSize)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed since
		case err != nil:
			v.out.damage(file, -1, "%v", err)
		case len(b) != have*tlog.HashSize:
			v.out.damage(file, -1, "the tile has %d bytes, expected %d", len(b), have*tlog.HashSize)
		default:
			v.sameHashes(file, at, l, b)
		}
	}
	if !found && at > 0 {
		if _, _, err := v.f.read(at, l.n, w); err == nil { // written since the files were listed
			return
		}
		v.out.damage(name, -1, "the tile is missing: hashes of segments %d to %d", l.n<<(tileHeight*(at+1)), min(v.f.tree.N, (l.n+1)<<(tileHeight*(at+1)))-1)
	}
}

// sameHashes compares what both a file and the level have.
func (v *verifier) sameHashes(file string, at int, l *level, b []byte) {
	for i := 0; i < min(len(b), len(l.hashes)); i += tlog.HashSize {
		if string(b[i:i+tlog.HashSize]) == string(l.hashes[i:i+tlog.HashSize]) {
			continue
		}
		from := (l.n*tileWidth + int64(i/tlog.HashSize)) << (tileHeight * at)
		to := from + 1<<(tileHeight*at) - 1
		v.out.damage(file, from, "the hash of segments %d to %d is not the one of the tree", from, to)
	}
}

// copies checks every other file that holds entries or hashes of bundle n, and
// the length of the ones that were read.
func (v *verifier) copies(l *leaves, n int64) {
	for _, w := range v.files[tileName{entriesLevel, n}] {
		file := tilePath(entriesLevel, n, w)
		if w > len(l.entry) && file != l.entryFile {
			continue // see beyond
		}
		b, err := readSmall(filepath.Join(v.f.dir, file), maxEntries)
		if errors.Is(err, fs.ErrNotExist) { // removed since
			continue
		}
		var list [][]byte
		if err == nil {
			list, err = splitEntries(b)
		}
		if err != nil {
			if file != l.entryFile {
				v.out.damage(file, -1, "%v", err)
			}
			continue
		}
		if len(list) != w {
			v.out.damage(file, n*tileWidth+int64(min(len(list), w)), "the bundle has %d statements, expected %d", len(list), w)
		}
		for i := range min(len(list), len(l.entry)) {
			if h, ok := l.leaf(i, v.truth); file != l.entryFile && ok && tlog.RecordHash(list[i]) != h {
				v.out.damage(file, n*tileWidth+int64(i), "the statement is not the one of the tree")
			}
		}
	}
	w := len(l.entry)
	if l.tileErr == nil && l.tileFile == tilePath(0, n, w) {
		if b, err := readSmall(filepath.Join(v.f.dir, l.tileFile), tileWidth*tlog.HashSize); err == nil && len(b) > w*tlog.HashSize {
			v.out.damage(l.tileFile, -1, "the tile has %d bytes, expected %d", len(b), w*tlog.HashSize)
		}
	}
}

// leftovers looks for what the tree does not claim: tiles and bytes beyond it,
// files of other names.
func (v *verifier) leftovers() {
	if next, err := readSmall(filepath.Join(v.f.dir, nextName), maxSmall); err == nil {
		v.next(next)
	}
	v.beyond()
	v.strangers()
	v.tails()
}

// size is how many segments the checkpoint covers now: while the rest was read, the
// edge may have gone on. Asked after something was seen that is beyond the
// checkpoint, it says if that is all there is to it.
func (v *verifier) size() int64 {
	text, err := readSmall(filepath.Join(v.f.dir, checkpointName), maxSmall)
	if err != nil {
		return v.f.tree.N
	}
	now, err := openSigned(text, v.f.key)
	if err != nil {
		return v.f.tree.N
	}
	return max(now.N, v.f.tree.N)
}

// next checks a signed checkpoint that was about to become the checkpoint.
func (v *verifier) next(text []byte) {
	tree, err := openSigned(text, v.f.key)
	switch {
	case err != nil:
		// Nobody signed it, as what a crash leaves half-written.
		v.out.note(nextName, -1, "a checkpoint that was being written: %v", err)
	case tree.N > v.size()+1:
		v.out.damage(nextName, -1, "it covers %d segments, the checkpoint %d: the checkpoint is an older one", tree.N, v.f.tree.N)
	case tree.N == v.f.tree.N && tree.Hash != v.f.tree.Hash:
		v.out.damage(nextName, -1, "forked: it signs another tree of %d segments than the checkpoint", tree.N)
	case tree.N > v.f.tree.N:
		v.out.note(nextName, v.f.tree.N, "a segment was signed and not finished; opening the ledger finishes it")
	}
}

// beyond tells of tiles further than the checkpoint. One segment may be: the one
// that is being written, or was when the edge crashed. What they hold nobody
// has signed, and it may be torn.
func (v *verifier) beyond() {
	most := int64(0)
	file := ""
	for at, widths := range v.files {
		for _, w := range widths {
			if at.level > 0 {
				// Such a tile stands for complete ones below.
				if end := (at.n*tileWidth + int64(w)) << (tileHeight * at.level); end > most {
					most, file = end, tilePath(at.level, at.n, w)
				}
			} else if end := at.n*tileWidth + int64(w); end > most {
				most, file = end, tilePath(at.level, at.n, w)
			}
		}
	}
	if most <= v.f.tree.N {
		return
	}
	switch limit := v.size(); {
	case most > limit+1:
		v.out.damage(checkpointName, v.f.tree.N, "the checkpoint is an older one: it covers %d segments, and %s holds up to %d", v.f.tree.N, file, most)
	case most > limit:
		v.out.note(file, v.f.tree.N, "a segment was being written that the checkpoint does not cover")
	}
}

// strangers are files of names that a ledger has not. In tile and segments they
// could be taken for parts of it.
func (v *verifier) strangers() {
	_ = filepath.WalkDir(v.f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == v.f.dir {
			return nil
		}
		rel, err := filepath.Rel(v.f.dir, path)
		if err != nil {
			return nil
		}
		name := filepath.ToSlash(rel)
		top, rest, inside := strings.Cut(name, "/")
		known := slices.Contains([]string{keyName, checkpointName, nextName, segmentsName, "tile"}, top)
		switch {
		case !known:
			v.out.note(name, -1, "no part of a ledger")
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.IsDir():
		case top == "tile":
			if _, _, ok := parseTilePath(name); !ok {
				v.out.damage(name, -1, "no part of a ledger")
			}
		case top == segmentsName && inside:
			if _, err := fileHour(rest); err != nil {
				v.out.damage(name, -1, "no part of a ledger")
			}
		case top == segmentsName || inside:
			v.out.damage(name, -1, "no part of a ledger")
		}
		return nil
	})
}

// tails tells of bytes in files of segments that no statement claims.
func (v *verifier) tails() {
	list, _ := os.ReadDir(filepath.Join(v.f.dir, segmentsName))
	first := "" // the file of a tail
	for _, e := range list {
		if _, err := fileHour(e.Name()); err != nil || e.IsDir() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		end := v.ends[e.Name()]
		file := segmentsName + "/" + e.Name()
		switch {
		case info.Size() <= end || e.Name() >= v.lastFile && v.size() > v.f.tree.N:
		case v.last == nil && v.f.tree.N > 0 && e.Name() >= v.lastFile:
			v.out.note(file, -1, "bytes from %d on: as the last statement cannot be read, nothing says what they are", end)
		case e.Name() < v.lastFile:
			v.out.damage(file, -1, "no statement claims the bytes from %d to %d", end, info.Size())
		case first != "":
			v.out.damage(file, v.f.tree.N, "it and %s hold segments that the checkpoint does not cover: the checkpoint is an older one, or they were put in", first)
		default:
			first = file
			v.tail(file, e.Name(), end, info.Size())
		}
	}
}

// tail judges bytes behind the last segment: one segment, or a part of one, is what
// a crash leaves.
func (v *verifier) tail(file, name string, end, size int64) {
	f, err := os.Open(filepath.Join(v.f.dir, segmentsName, name))
	if err != nil {
		return
	}
	defer f.Close()
	b := make([]byte, min(size-end, maxSegment))
	if n, _ := f.ReadAt(b, end); n < len(b) {
		b = b[:n]
	}
	if size-end > maxSegment || !leftByCrash(b) {
		v.out.damage(file, v.f.tree.N, "bytes %d to %d hold more than one segment that the checkpoint does not cover: the checkpoint is an older one, or they were put in", end, size)
		return
	}
	v.out.note(file, v.f.tree.N, "bytes %d to %d: a segment that was being written, which no checkpoint covers", end, size)
}

// settleMissing judges missing files, once all retention records are known.
func (v *verifier) settleMissing() {
	if n := len(v.missing); n > 0 && v.missing[n-1].Segment >= v.retained && !(v.o.From.IsZero() && v.o.To.IsZero()) {
		v.findRetention()
	}
	for i := range v.missing {
		st := &v.missing[i]
		if st.Segment < v.retained {
			v.out.Removed += st.Records
			continue
		}
		v.out.damaged(st, "the file is missing, and no record of retention says that it was removed")
	}
}

// findRetention looks for the newest record of retention where the period's limit
// kept the walk from reading, from the end, as the newest one speaks for all.
func (v *verifier) findRetention() {
	for n := (v.f.tree.N - 1) / tileWidth; n >= 0; n-- {
		list, err := v.f.bundle(n)
		if err != nil {
			return // told already
		}
		for i := range slices.Backward(list) {
			if v.segments.load(&list[i]) != nil {
				continue
			}
			found := false
			_, _, _ = v.segments.lines(func(_ int64, line []byte) {
				if bytes.HasPrefix(line, []byte(`{"kind":"`+KindRetention+`"`)) {
					if r, err := v.scan.record(line); err == nil {
						v.event(r)
						found = true
					}
				}
			})
			if found {
				return
			}
		}
	}
}

package state

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hold opens a store, says so and waits to be killed.
func hold(dir string) error {
	if _, err := Open(dir, testOptions()); err != nil {
		return err
	}
	fmt.Println("open")
	select {}
}

func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	cmd, out := startChild(t, "hold", dir)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatal(line, err)
	}
	_, err := Open(dir, testOptions())
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint("process ", cmd.Process.Pid)) {
		t.Fatalf("open beside process %d: %v", cmd.Process.Pid, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	s, err := Open(dir, testOptions())
	if err != nil {
		t.Fatalf("after the other was killed: %v", err)
	}
	defer s.Close()
	if _, err := Open(dir, testOptions()); !errors.Is(err, ErrInUse) {
		t.Fatalf("open twice in one process: %v", err)
	}
}

func TestForeignFolder(t *testing.T) {
	for name, file := range map[string]struct{ name, text string }{
		"a file of others":     {"notes.txt", "mine"},
		"a NATS store":         {"jetstream/$G/streams/x/meta.inf", "{}"},
		"another format":       {"format", "bespoke state 99\n"},
		"an empty format":      {"format", ""},
		"a long format":        {"format", strings.Repeat("x", 1<<20)},
		"a format with a tail": {"format", formatText + "0123456789abcdef\nmore\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, file.name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(file.text), 0o600)); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, testOptions())
			if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), dir) {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != file.text {
				t.Error("the file was changed")
			}
			if file.name == "notes.txt" {
				if entries, _ := os.ReadDir(dir); len(entries) != 1 {
					t.Errorf("something was put beside it: %v", entries)
				}
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	for _, dir := range []string{file, file + "/below"} {
		if _, err := Open(dir, testOptions()); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("open %s: %v", dir, err)
		}
	}
}

func TestInterruptedBeginning(t *testing.T) {
	for _, names := range [][]string{{}, {lockName}, {lockName, formatName + ".new"}} {
		dir := t.TempDir()
		for _, name := range names {
			os.WriteFile(filepath.Join(dir, name), []byte("bespo"), 0o600)
		}
		s := open(t, dir, testOptions())
		mustSet(t, s, "t.k", "x")
	}
}

func TestOtherKey(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, testOptions())
	mustSet(t, s, "t.k", "x")
	s.Close()
	if _, err := Open(dir, Options{Key: [32]byte{9}}); !errors.Is(err, ErrOtherKey) {
		t.Fatal(err)
	}
	s = open(t, dir, testOptions())
	mustGet(t, s, "t.k", "x")
	// In a cluster there is no folder; the bucket itself says it.
	ns := cluster(t, t.TempDir(), -1)
	a, err := OpenURL(ns.ClientURL(), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	mustSet(t, a, "t.k", "x")
	b, err := OpenURL(ns.ClientURL(), Options{Key: [32]byte{9}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := set(b, "t.k", "y"); !errors.Is(err, ErrOtherKey) {
		t.Error(err)
	}
	if _, _, _, err := b.Get(t.Context(), "b", "t.k"); !errors.Is(err, ErrOtherKey) {
		t.Error(err)
	}
	v := b.View("b")
	eventually(t, "the view says why it is not ready", func() bool { return errors.Is(v.Stale(), ErrOtherKey) })
	if v.Ready() {
		t.Error("the view is ready")
	}
	mustGet(t, a, "t.k", "x")
}

// damagedStore makes a store with what a fault of a disk can hit, closed.
func damagedStore(t *testing.T) (dir string, opt Options, values map[Key]string) {
	t.Helper()
	dir, opt, values = t.TempDir(), Options{Key: testKey, MaxBytes: 96 << 10}, make(map[Key]string)
	s, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 150 {
		key := fmt.Sprint("t.", i%120)
		values[key] = fmt.Sprintf("%d:%s", i, strings.Repeat("v", i*31%500))
		mustSet(t, s, key, values[key])
		if i%9 == 0 {
			delete(values, key)
			if err := s.Delete(context.Background(), "b", key); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, opt, values
}

func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// whole says whether the store has all the values, or why it did not open.
func holdsAll(t *testing.T, dir string, opt Options, values map[Key]string) (bool, error) {
	t.Helper()
	s, err := Open(dir, opt)
	if err != nil {
		return false, err
	}
	defer s.Close()
	v := s.View("b")
	if err := v.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for key, want := range values {
		b, _ := v.Get(key)
		got, _, _, err := s.Get(t.Context(), "b", key)
		if err != nil || string(b) != want || string(got) != want {
			return false, nil
		}
		n++
	}
	return n == len(values), nil
}

// TestDamage flips a bit in, cuts, empties and removes each file of a store. It
// must then hold all that was acknowledged, or not open and say so.
func TestDamage(t *testing.T) {
	dir, opt, values := damagedStore(t)
	if ok, err := holdsAll(t, copyFolder(t, dir), opt, values); !ok {
		t.Fatalf("undamaged: %v", err)
	}
	var files []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, rel)
		}
		return err
	})
	if len(files) < 6 {
		t.Fatalf("files %v: want several blocks", files)
	}
	outcomes := make(map[string]int)
	try := func(what, file string, change func(path string, b []byte) error) {
		t.Helper()
		to := copyFolder(t, dir)
		path := filepath.Join(to, file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(path, b); err != nil {
			t.Fatal(err)
		}
		ok, err := holdsAll(t, to, opt, values)
		switch {
		case ok:
			outcomes["held"]++
			// What makes a bucket is not made up by the server in silence.
			if strings.HasPrefix(filepath.Base(file), "meta.") {
				t.Errorf("%s: %s: nothing said", what, file)
			}
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrForeign), errors.Is(err, ErrOtherKey):
			outcomes["said so"]++
			if !strings.Contains(err.Error(), to) {
				t.Errorf("%s: %s: the error does not say where: %v", what, file, err)
			}
		default:
			t.Errorf("%s: %s: lost without a word (%v)", what, file, err)
		}
	}
	for _, file := range files {
		for part := range 7 {
			try(fmt.Sprintf("flip a bit at %d/7", part), file, func(path string, b []byte) error {
				if len(b) > 0 {
					b[len(b)*part/7] ^= 1 << part
				}
				return os.WriteFile(path, b, 0o600)
			})
		}
		try("zero 64 bytes", file, func(path string, b []byte) error {
			at := len(b) / 3
			clear(b[at:min(at+64, len(b))])
			return os.WriteFile(path, b, 0o600)
		})
		try("cut in half", file, func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)/2], 0o600) })
		try("empty", file, func(path string, b []byte) error { return os.WriteFile(path, nil, 0o600) })
		if filepath.Base(file) != "1.blk" { // which, in a longer store, may be missing for good reason
			try("remove", file, func(path string, b []byte) error { return os.Remove(path) })
		}
	}
	t.Logf("%d files: %v", len(files), outcomes)
	if outcomes["said so"] < len(files) {
		t.Error("few damages were seen: the test shows little")
	}
}

// TestCutShort takes bytes from the end of the last block, as a crash in the
// middle of a write does: all but the last record must be there.
func TestCutShort(t *testing.T) {
	dir, opt, values := damagedStore(t)
	s := open(t, dir, opt)
	mustSet(t, s, "t.last", strings.Repeat("l", 200))
	s.Close()
	blocks, _ := filepath.Glob(filepath.Join(dir, serverName, "$G", "streams", "KV_b", "msgs", "*.blk"))
	var last string
	for _, b := range blocks { // by number, not by name
		if len(b) > len(last) || len(b) == len(last) && b > last {
			last = b
		}
	}
	rel, _ := filepath.Rel(dir, last)
	whole, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	end := 0 // where the last record begins
	for {
		n, err := recordLength(whole[end:])
		if err != nil {
			t.Fatal(err)
		}
		if end+n == len(whole) {
			break
		}
		end += n
	}
	for _, c := range []struct {
		what string
		to   int
		tail []byte
	}{
		{"one byte", len(whole) - 1, nil},
		{"the hash", len(whole) - recordHash, nil},
		{"half", (end + len(whole)) / 2, nil},
		{"most of its header", end + 5, nil},
		{"all but a byte", end + 1, nil},
		{"all", end, nil},
		{"all, and zeros are there", end, make([]byte, 4096)},
	} {
		to := copyFolder(t, dir)
		path := filepath.Join(to, rel)
		// As after a crash: the index is older.
		if err := errors.Join(os.WriteFile(path, append(whole[:c.to:c.to], c.tail...), 0o600), os.Remove(filepath.Join(filepath.Dir(path), "index.db"))); err != nil {
			t.Fatal(err)
		}
		if ok, err := holdsAll(t, to, opt, values); !ok {
			t.Errorf("cut off: %s: %v", c.what, err)
		}
		if ok, err := holdsAll(t, to, opt, values); !ok {
			t.Errorf("cut off: %s: opened again: %v", c.what, err)
		}
	}
}

// realBlocks returns the blocks of a store by index.
func realBlocks(t testing.TB, dir string) map[int][]byte {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, serverName, "$G", "streams", "KV_b", "msgs", "*.blk"))
	blocks := make(map[int][]byte)
	for _, name := range names {
		var index int
		if _, err := fmt.Sscanf(filepath.Base(name), "%d.blk", &index); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		blocks[index] = b
	}
	return blocks
}

// TestCheckBlock flips every bit of a block. If it fails after an update of NATS,
// its format has changed.
func TestCheckBlock(t *testing.T) {
	dir, _, _ := damagedStore(t)
	blocks := realBlocks(t, dir)
	if len(blocks) < 2 {
		t.Fatalf("%d blocks, want several", len(blocks))
	}
	highest := uint64(0)
	for index, b := range blocks {
		last, err := checkBlock("KV_b", index, false, b)
		if err != nil {
			t.Fatalf("block %d: %v", index, err)
		}
		highest = max(highest, last)
		if _, err := checkBlock("KV_b", index+1, true, b); err == nil {
			t.Fatalf("block %d is right as %d", index, index+1)
		}
		if _, err := checkBlock("KV_c", index, true, b); err == nil {
			t.Fatalf("block %d is right in another bucket", index)
		}
		for cut := range min(len(b), 2000) {
			if _, err := checkBlock("KV_b", index, true, b[:cut]); err != nil {
				t.Fatalf("block %d, the first %d bytes: %v", index, cut, err)
			}
		}
	}
	index, err := os.ReadFile(filepath.Join(dir, serverName, "$G", "streams", "KV_b", "msgs", "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	if last, ok := checkIndex("KV_b", index); !ok || last != highest || last < 150 {
		t.Errorf("the index ends with %d, %v; the blocks with %d", last, ok, highest)
	}
	if _, ok := checkIndex("KV_c", index); ok {
		t.Error("the index is right in another bucket")
	}

	// To whole records, so that a flip is never in one that is cut short.
	b, end := blocks[1], 0
	for end < 3000 {
		n, err := recordLength(b[end:])
		if err != nil {
			t.Fatal(err)
		}
		end += n
	}
	b = bytes.Clone(b[:end])
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, err := checkBlock("KV_b", 1, true, b); err == nil {
				t.Errorf("bit %d of byte %d flipped: nothing said", bit, i)
			}
			b[i] ^= 1 << bit
		}
	}
}

func FuzzCheckBlock(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	f.Add([]byte("\x1e\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x22\x00\x00\x80\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"))
	f.Add(fuzzRecord(1, "$KV.b.t.k", "NATS/1.0\r\n\r\n", "value"))
	f.Add(append(fuzzRecord(1, "$KV.b.t.k", "", "value"), fuzzRecord(2, "", "", "")...))
	f.Fuzz(func(t *testing.T, b []byte) {
		last, err := checkBlock("KV_b", 1, true, b)
		if err != nil {
			return
		}
		// What is right stays right with a record after it, unless it was cut
		// short; and then nothing may follow.
		more := fuzzRecord(last+1, "$KV.b.t.l", "NATS/1.0\r\nh: v\r\n\r\n", "v")
		after, err := checkBlock("KV_b", 1, true, append(b[:len(b):len(b)], more...))
		if _, strict := checkBlock("KV_b", 1, false, b); strict == nil && (err != nil || after != last+1) {
			t.Fatalf("%d then %d, %v", last, after, err)
		} else if strict != nil && len(b) > 0 && err == nil {
			t.Fatal("a record after one that is cut short")
		}
	})
}

// fuzzRecord writes a record of block 1 of bucket b as the server does.
func fuzzRecord(seq uint64, subject, headers, message string) []byte {
	hash, err := newHash("KV_b-1")
	if err != nil {
		panic(err)
	}
	n := recordHeader + len(subject) + len(headers) + len(message) + recordHash
	if headers != "" {
		n = n + 4 | headersBit
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(n))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, 1234567890)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(subject)))
	hash.Write(b[4:20])
	b = append(b, subject...)
	if headers != "" {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(headers)))
	}
	b = append(append(b, headers...), message...)
	hash.Write([]byte(subject + headers + message))
	return hash.Sum(b)
}

package exhibit

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func sample(body string) *Exhibit {
	v := Text("a\xffb")
	return &Exhibit{
		Build: "abc", Time: noon, Tenant: "shop", Route: "/**", Zone: "UTC", Site: "http://127.0.0.1:1", Facts: "gpc", Granted: []string{},
		Request:  Request{Method: "GET", Target: "/a?b=\xfe", Host: "shop.localhost", Header: []Field{{"accept", "<*>"}}},
		Policies: []Policy{{Name: "greet", Entry: "greet", Module: strings.Repeat("ab", 32), With: []Field{{"slot", "#a"}}}},
		Runs:     []Run{{Policy: 0, Phase: "response", Reads: []Read{{"page.h1", &v}, {"geo.city", nil}}, Edits: []Edit{{Op: 1, Target: "#a", A: "\u2028"}}}},
		Origin:   &Answer{Status: 200, Length: -1, Header: []Field{{"X", "\x80"}}, Body: []byte("\n\x00" + body)},
		Sent:     Answer{Status: 200, Length: 3, Header: []Field{}, Body: []byte(body + "\n")},
	}
}

func TestEncodeParse(t *testing.T) {
	for _, e := range []*Exhibit{sample(""), sample("body"), {Time: noon, Granted: []string{}, Policies: []Policy{}, Runs: []Run{}, Request: Request{Header: []Field{}}, Sent: Answer{Header: []Field{}, Body: []byte{}}}} {
		text, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, e) {
			t.Errorf("got  %+v\nwant %+v", got, e)
		}
	}
	if _, err := (&Exhibit{Sent: Answer{Body: make([]byte, MaxBody+1)}}).Encode(); err == nil {
		t.Error("a body that is too large was taken")
	}
}

func FuzzParse(f *testing.F) {
	text, _ := sample("body").Encode()
	f.Add(text)
	f.Add([]byte("bespoke exhibit 1 2 0 0\n{}\n\n"))
	f.Add([]byte("bespoke exhibit 1 -2 0 99999999999\n{}\n\n"))
	f.Add([]byte("bespoke exhibit 1 9 1 0\n{\"a\":[{}]\nx\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Parse(text)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil {
			return // JSON may become longer where it is written with escapes
		}
		if e2, err := Parse(again); err != nil || !bytes.Equal(e2.Sent.Body, e.Sent.Body) || len(e2.Runs) != len(e.Runs) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// What is in the folder may be anything: it is read within bounds, and never panics.
func FuzzLoad(f *testing.F) {
	z, _ := zstd.NewWriter(nil)
	text, _ := sample("body").Encode()
	f.Add(z.EncodeAll(text, nil))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		name := Name(text, noon)
		if err := os.WriteFile(filepath.Join(dir, name+suffix), b, 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := Load(dir, name)
		if err == nil && e.Tenant != "shop" {
			t.Errorf("%+v", e)
		}
	})
}

func TestLoadNames(t *testing.T) {
	dir := t.TempDir()
	text, err := sample("x").Encode()
	if err != nil {
		t.Fatal(err)
	}
	name := Name(text, noon)
	for _, bad := range []string{"", "../" + name, strings.ToUpper(name), name[:len(name)-1], strings.Replace(name, "2026", "20x6", 1), name + "0"} {
		if _, err := Load(dir, bad); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := Load(dir, name); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, bad := range []string{"", "../../etc/passwd", strings.Repeat("zz", 32), strings.Repeat("ab", 31)} {
		if _, err := Module(dir, bad); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("module %q: %v", bad, err)
		}
	}
	// The right text under another time is another's.
	s := Open(Config{Dir: dir, Now: func() time.Time { return noon }})
	s.Reserve()
	later := Name(text, noon.Add(time.Second))
	s.Put(later, text, nil)
	s.Close()
	if _, err := Load(dir, later); !errors.Is(err, ErrName) {
		t.Error(err)
	}
}

// A clock is set by tests.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time       { return noon.Add(time.Duration(c.at.Load())) }
func (c *clock) add(by time.Duration) { c.at.Add(int64(by)) }

// put keeps n exhibits, a second apart, each with a module.
func put(t *testing.T, s *Store, now *clock, n int, size int, code func(i int) []byte) (names []string) {
	t.Helper()
	for i := range n {
		e := sample(strings.Repeat(fmt.Sprint(i), size))
		e.Time = now.now()
		text, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for !s.Reserve() {
			time.Sleep(time.Millisecond)
		}
		name := Name(text, e.Time)
		c := code(i)
		s.Put(name, text, []Code{{sha256.Sum256(c), func() ([]byte, error) { return c, nil }}})
		for s.Waiting() > 0 {
			time.Sleep(time.Millisecond)
		}
		names = append(names, name)
		now.add(time.Second)
	}
	return names
}

func same(int) []byte { return []byte("module") }

func TestStoreBounds(t *testing.T) {
	t.Run("count", func(t *testing.T) {
		dir, now := t.TempDir(), new(clock)
		s := Open(Config{Dir: dir, Count: 3, Now: now.now})
		names := put(t, s, now, 7, 1, same)
		s.Close()
		if got, err := List(dir); err != nil || !reflect.DeepEqual(got, names[4:]) {
			t.Errorf("%v, %v, want %v", got, err, names[4:])
		}
		sum := sha256.Sum256([]byte("module"))
		if c, err := Module(dir, hex.EncodeToString(sum[:])); err != nil || string(c) != "module" {
			t.Errorf("%q, %v", c, err)
		}
	})
	t.Run("age", func(t *testing.T) {
		dir, now := t.TempDir(), new(clock)
		s := Open(Config{Dir: dir, Keep: time.Hour, Now: now.now})
		put(t, s, now, 2, 1, func(int) []byte { return []byte("old") })
		now.add(30 * time.Minute)
		names := put(t, s, now, 1, 1, same)
		now.add(45 * time.Minute)
		s.Close()
		s = Open(Config{Dir: dir, Keep: time.Hour, Now: now.now})
		s.Close()
		if got, err := List(dir); err != nil || !reflect.DeepEqual(got, names) {
			t.Errorf("%v, %v, want %v", got, err, names)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, modules, "*")); len(left) != 1 {
			t.Errorf("modules %v: want the one that is needed", left)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		dir, now := t.TempDir(), new(clock)
		s := Open(Config{Dir: dir, Bytes: 4000, Now: now.now})
		put(t, s, now, 20, 1, same)
		s.Close()
		size := int64(0)
		list, _ := filepath.Glob(filepath.Join(dir, "*"+suffix))
		for _, name := range list {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
		if size > 4000 || len(list) < 2 {
			t.Errorf("%d exhibits of %d bytes", len(list), size)
		}
	})
	t.Run("bytes of modules", func(t *testing.T) {
		dir, now, log := t.TempDir(), new(clock), new(bytes.Buffer)
		s := Open(Config{Dir: dir, Bytes: 500, Log: slog.New(slog.NewTextHandler(log, nil)), Now: now.now})
		put(t, s, now, 10, 1, func(i int) []byte { sum := sha512.Sum512([]byte{byte(i)}); return sum[:] })
		s.Close()
		if !strings.Contains(log.String(), "bytes of modules are kept") {
			t.Errorf("log: %s", log)
		}
	})
}

// A crash leaves no half exhibit: what was being written is removed.
func TestStoreAfterCrash(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, temporary+"1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "not mine.zst"), []byte("x"), 0o600)
	Open(Config{Dir: dir}).Close()
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if names, err := List(dir); len(names) != 0 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "not mine.zst")); err != nil {
		t.Error("somebody's file was removed")
	}
}

// A module whose bytes are not to be had leaves no exhibit that cannot be run.
func TestStoreWithoutModule(t *testing.T) {
	dir, log := t.TempDir(), new(bytes.Buffer)
	s := Open(Config{Dir: dir, Log: slog.New(slog.NewTextHandler(log, nil))})
	s.Reserve()
	text, _ := sample("x").Encode()
	s.Put(Name(text, time.Now()), text, []Code{{[32]byte{1}, func() ([]byte, error) { return nil, errors.New("it is gone") }}})
	s.Close()
	if names, _ := List(dir); len(names) != 0 || !strings.Contains(log.String(), "it is gone") {
		t.Errorf("%v, %s", names, log)
	}
	s.Reserve()
	s.Put(Name(text, time.Now()), text, nil) // after the end: nothing happens
	if s.Waiting() != 0 {
		t.Error("room is lost")
	}
	s.Close()
}

// Nobody waits for a disk that does not take anything.
func TestStoreNeverBlocks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	s := Open(Config{Dir: file, Log: slog.New(slog.NewTextHandler(log, nil))}) // no folder, and cannot be one
	stuck := make(chan struct{})
	text, _ := sample("x").Encode()
	taken := 0
	for range 100 {
		if s.Reserve() {
			taken++
			s.Put(Name(text, time.Now()), text, []Code{{[32]byte{1}, func() ([]byte, error) { <-stuck; return nil, errors.New("no") }}})
		}
	}
	if taken > waiting+1 {
		t.Errorf("%d wait", taken)
	}
	close(stuck)
	s.Close()
	if n := strings.Count(log.String(), "was not kept"); n != 1 {
		t.Errorf("%d lines, want one a minute: %s", n, log)
	}
}

// What an exchange of the sample pays before its record can be written.
func BenchmarkEncode(b *testing.B) {
	e := sample(strings.Repeat("<li>an item of the list</li>\n", 1000))
	for b.Loop() {
		text, err := e.Encode()
		if err != nil {
			b.Fatal(err)
		}
		Name(text, e.Time)
	}
}

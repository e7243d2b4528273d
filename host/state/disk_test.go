//go:build unix

package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fill writes until the disk is full, makes room with free, and goes on. It
// returns what is wrong.
func fill(s *Store, full error, free func() error, logf func(string, ...any)) error {
	s.retry = 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	v := s.View("b")
	if err := v.Wait(ctx); err != nil {
		return err
	}
	value := func(i int) string { return fmt.Sprintf("%d:%s", i, strings.Repeat("v", 3000)) }
	key := func(i int) Key { return fmt.Sprint("t.", i) }
	check := func(what string, n int) error {
		for i := range n {
			b, _, ok, err := s.Get(ctx, "b", key(i))
			if err != nil || !ok || string(b) != value(i) {
				return fmt.Errorf("%s: %d of %d is %.20q, %v, %v", what, i, n, b, ok, err)
			}
			if b, ok := v.Get(key(i)); !ok || string(b) != value(i) {
				return fmt.Errorf("%s: the view has %.20q, %v for %d of %d", what, b, ok, i, n)
			}
		}
		return nil
	}
	n := 0
	for ; n < 10_000; n++ {
		begin := time.Now()
		if err := set(s, key(n), value(n)); err != nil {
			if !errors.Is(err, ErrUnavailable) || !errors.Is(err, full) {
				return fmt.Errorf("the error of a full disk: %w", err)
			}
			if d := time.Since(begin); d > 2*time.Second {
				return fmt.Errorf("the error of a full disk took %v", d)
			}
			logf("full after %d values, within %v: %v", n, time.Since(begin).Round(time.Millisecond), err)
			break
		}
	}
	if n < 10 || n == 10_000 {
		return fmt.Errorf("full after %d values: the test shows nothing", n)
	}
	// Memory answers all the time, and does not know what was not acknowledged.
	if _, ok := v.Get(key(n)); ok {
		return errors.New("the view has what was refused")
	}
	// Reading goes on, with a new server: the one that met the fault has ended.
	for {
		if _, _, _, err := s.Get(ctx, "b", key(0)); err == nil {
			break
		} else if ctx.Err() != nil {
			return fmt.Errorf("read while the disk is full: %w", err)
		}
		time.Sleep(s.retry)
	}
	if err := check("while the disk is full", n); err != nil {
		return err
	}
	for range 3 {
		if err := set(s, key(n), value(n)); err == nil {
			break // there was a little room left, as a smaller write may find
		} else if !errors.Is(err, ErrUnavailable) {
			return fmt.Errorf("a second error of a full disk: %w", err)
		}
		time.Sleep(s.retry)
	}
	if err := free(); err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(s.retry) {
		if err := set(s, key(n), value(n)); err == nil {
			break
		} else if time.Now().After(end) {
			return fmt.Errorf("10 s after there is room: %w", err)
		}
	}
	for ; n%50 != 0; n++ {
		if err := set(s, key(n), value(n)); err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
	}
	if err := v.Wait(ctx); err != nil {
		return err
	}
	return check("with room again", n)
}

// TestDiskFull fills a file system of 4 MB.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("fills a small file system, which only root may mount: sudo has it run")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("fills a small file system, which cannot be mounted here (a container needs CAP_SYS_ADMIN): %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	where := filepath.Join(dir, "state")
	s, err := Open(where, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(s, syscall.ENOSPC, func() error { return os.Remove(ballast) }, t.Logf); err != nil {
		t.Error(err)
	}
	// Full again, and then closed and opened: what is there can be read.
	for i := 0; set(s, fmt.Sprint("more.", i), strings.Repeat("m", 3000)) == nil; i++ {
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s, err = Open(where, testOptions())
	if err != nil {
		t.Fatalf("open on a full disk: %v", err)
	}
	defer s.Close()
	v := s.View("b")
	if err := v.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustGet(t, s, "t.0", "0:"+strings.Repeat("v", 3000))
}

// TestDiskFullFromTheStart lets the disk fill up at every point of a store's
// beginning. It must say so, and go on from there when there is room.
func TestDiskFullFromTheStart(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("fills a small file system, which only root may mount: sudo has it run")
	}
	faults := make(map[string]bool)
	for pages := range 24 {
		dir := t.TempDir()
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", dir).CombinedOutput(); err != nil {
			t.Skipf("fills a small file system, which cannot be mounted here (a container needs CAP_SYS_ADMIN): %v: %s", err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
				t.Errorf("umount: %v: %s", err, out)
			}
		})
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 256<<10-pages*4096), 0o600); err != nil {
			t.Fatal(err)
		}
		where := filepath.Join(dir, "state")
		begin := time.Now()
		s, err := Open(where, testOptions())
		if err == nil {
			err = set(s, "t.k", strings.Repeat("x", 9000))
			s.Close()
		}
		if d := time.Since(begin); d > 4*time.Second {
			t.Errorf("%d pages free: took %v", pages, d)
		}
		if err != nil {
			faults[strings.ReplaceAll(err.Error(), where, "")] = true
			if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, ErrUnavailable) {
				t.Errorf("%d pages free: %v", pages, err)
			}
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		s, err = Open(where, testOptions())
		if err != nil {
			t.Fatalf("%d pages free, then room: %v", pages, err)
		}
		if b, _, ok, err := s.Get(t.Context(), "b", "t.k"); err != nil || ok && len(b) != 9000 {
			t.Errorf("%d pages free, then room: %d bytes, %v", pages, len(b), err)
		}
		mustSet(t, s, "t.k", "y")
		mustGet(t, s, "t.k", "y")
		s.Close()
	}
	if len(faults) < 2 {
		t.Errorf("faults: %v: the test shows little", faults)
	}
	for f := range faults {
		t.Log(f)
	}
}

// TestFileLimit does the same with a limit on a file's size, which lets the
// beginning of a record through: the write is cut short.
func TestFileLimit(t *testing.T) {
	cmd, out := startChild(t, "limit", t.TempDir())
	b := make([]byte, 1<<10)
	n, _ := out.Read(b)
	t.Logf("%s", b[:n])
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func fillLimited(dir string) error {
	signal.Ignore(syscall.SIGXFSZ) // which would end the process
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	free := func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit) }
	small := limit
	small.Cur = 500_123
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		return err
	}
	s, err := Open(dir, testOptions())
	if err != nil {
		return err
	}
	if err := fill(s, syscall.EFBIG, free, func(f string, v ...any) { fmt.Printf(f+"\n", v...) }); err != nil {
		return err
	}
	return s.Close()
}

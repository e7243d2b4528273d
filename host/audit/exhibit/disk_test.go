//go:build unix

package exhibit

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// On a disk that takes only the beginning of each file, as a full one does, what is
// kept is whole or not there. (A limit of the process stands for the disk.)
func TestStoreFullDisk(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var whole syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &whole); err != nil {
		t.Fatal(err)
	}
	full := whole
	full.Cur = 2000
	dir, now, log := t.TempDir(), new(clock), new(bytes.Buffer)
	s := Open(Config{Dir: dir, Log: slog.New(slog.NewTextHandler(log, nil)), Now: now.now})
	noise := make([]byte, 4000)
	rand.Read(noise)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	small := put(t, s, now, 1, 1, same)
	e := sample(hex.EncodeToString(noise))
	e.Time = now.now()
	text, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.Reserve()
		s.Put(Name(text, e.Time), text, nil)
	}
	s.Close()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &whole); err != nil {
		t.Fatal(err)
	}
	names, err := List(dir)
	if err != nil || len(names) != 1 || names[0] != small[0] || !strings.Contains(log.String(), "was not kept") {
		t.Errorf("%v, %v, want %v\n%s", names, err, small, log)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, temporary+"*")); len(left) != 0 {
		t.Errorf("half written: %v", left)
	}
	s = Open(Config{Dir: dir, Now: now.now})
	s.Reserve()
	s.Put(Name(text, e.Time), text, nil)
	s.Close()
	if _, err := Load(dir, Name(text, e.Time)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

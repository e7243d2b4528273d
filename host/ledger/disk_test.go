//go:build unix

package ledger

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// full records until sealing fails with want, makes room, and checks that it goes on
// with nothing lost. It returns how many exchanges had a reservation and how many not.
func full(t *testing.T, l *Ledger, want error, room func()) (reserved, not int) {
	t.Helper()
	x := newTypical()
	record := func() {
		ok := l.Reserve()
		if ok {
			reserved++
		} else {
			not++
		}
		x.Status = 1000 + reserved + not
		for i := range x.Plan { // what does not compress
			x.Plan[i] = byte(x.Status * (i + 7) * 2654435761 >> 13)
			x.In[i], x.Out[i] = x.Plan[i]^3, x.Plan[i]*5
		}
		l.Exchange(x, ok)
	}
	var err error
	for range 20_000 {
		for range 20 {
			record()
		}
		if err = l.Flush(); err != nil {
			break
		}
	}
	if !errors.Is(err, want) {
		t.Fatalf("the disk does not fill up: %v", err)
	}
	sealed := l.Status().Records
	for range 100 {
		record()
	}
	if not != 100 {
		t.Errorf("%d of 100 exchanges are personalized on a full disk", 100-not)
	}
	if err := l.Flush(); !errors.Is(err, want) {
		t.Errorf("a second attempt: %v", err)
	}
	s := l.Status()
	if s.Blocked == "" || s.Err == nil || s.Records != sealed || s.Failures < 2 {
		t.Errorf("status on a full disk: %+v", s)
	}
	room()
	mustFlush(t, l)
	if s := l.Status(); s.Blocked != "" || s.Err != nil || s.Waiting != 0 {
		t.Errorf("status with room again: %+v", s)
	}
	if record(); not != 100 {
		t.Error("not personalized with room again")
	}
	mustFlush(t, l)
	return reserved, not
}

func countExchanges(c *content) (n int) {
	for _, line := range c.records {
		if strings.HasPrefix(string(line), `{"kind":"exchange"`) {
			n++
		}
	}
	return n
}

// TestDiskFull fills a small file system.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("fills a small file system, which only root may mount: sudo has it run")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("fills a small file system, which cannot be mounted here (a container needs CAP_SYS_ADMIN): %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 512<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Dir: dir + "/ledger", Keys: dir + "/keys", Window: time.Hour}
	l := mustOpen(t, c)
	reserved, not := full(t, l, syscall.ENOSPC, func() { os.Remove(ballast) })
	mustClose(t, l)
	ct := mustVerify(t, c.Dir)
	if n := countExchanges(ct); n != reserved+not {
		t.Errorf("%d records of %d and %d", n, reserved, not)
	}
	// Opening on a full disk: nothing is personalized until there is room.
	fill, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 4096); err == nil; {
		_, err = fill.Write(b)
	}
	fill.Close()
	l = mustOpen(t, c)
	if l.Reserve() {
		t.Error("personalized on a disk that is full from the start")
	}
	l.Exchange(&Exchange{Status: 1}, false)
	os.Remove(ballast)
	mustFlush(t, l)
	if !l.Reserve() {
		t.Error("not personalized with room")
	}
	l.Unreserve()
	mustClose(t, l)
	if n := countExchanges(mustVerify(t, c.Dir)); n != reserved+not+1 {
		t.Errorf("%d records, want %d", n, reserved+not+1)
	}
}

// TestDiskFullAnywhere lets the disk fill up after every number of bytes that some seals need.
func TestDiskFullAnywhere(t *testing.T) {
	seed := newMemWithState()
	ck := &clock{noon}
	l, err := open(memConfig(ck), seed)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	blocked, whole := 0, 0
	for room := 0; room < 4000; room += 53 {
		m := seed.crash(false, nil)
		m.limit, m.room = true, room
		l, err := open(memConfig(ck), m)
		if err != nil {
			// A full disk is no error of a ledger that exists.
			t.Fatalf("%d bytes: %v", room, err)
		}
		sent := 0
		for range 3 {
			ok := l.Reserve()
			l.Exchange(&Exchange{Tenant: "t"}, ok)
			sent++
			if err := l.Flush(); err != nil {
				if !errors.Is(err, errFull) || l.Reserve() {
					t.Fatalf("%d bytes: %v", room, err)
				}
				blocked++
				// Nothing is half-written: what is sealed is whole, and behind it is nothing, or the whole frame
				// that only its checkpoint had no room for.
				files := m.folder("/state/ledger")
				name := "segments/" + l.tip.file
				if tail := files[name][l.tip.end:]; len(tail) > 0 {
					if _, err := unpack(tail); err != nil {
						t.Fatalf("%d bytes: half a frame of %d bytes: %v", room, len(tail), err)
					}
					files[name] = files[name][:l.tip.end]
					whole++
				}
				if c, err := checkFolder(files, true); err != nil {
					t.Fatalf("%d bytes: while it is full: %v", room, err)
				} else if countExchanges(c) >= sent {
					t.Fatalf("%d bytes: failed, and recorded", room)
				}
			}
		}
		m.limit = false
		mustFlush(t, l)
		mustClose(t, l)
		c, err := checkFolder(m.folder("/state/ledger"), true)
		if err != nil {
			t.Fatalf("%d bytes: %v", room, err)
		}
		if n := countExchanges(c); n != sent {
			t.Fatalf("%d bytes: %d records of %d", room, n, sent)
		}
	}
	if blocked < 20 || whole == 0 || whole == blocked {
		t.Errorf("%d seals failed, %d at the checkpoint: the test shows little", blocked, whole)
	}
}

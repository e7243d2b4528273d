package registry

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// roleSwitch names the state folder in which a child process of the test
// switches versions until it is killed.
const roleSwitch = "REGISTRY_TEST_SWITCH_IN"

// switchForever prints the epoch and the version of each acknowledged switch.
func switchForever(dir string) {
	r, err := Open(dir, config())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var epoch uint64
	r.Subscribe(func(c Change) { epoch = c.Epoch })
	was, _ := r.Active("stores", "welcome")
	for n := was.Number; ; {
		n = 3 - n
		if _, err := r.Activate("stores", "welcome", n); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		// One write, so that a line is there whole or not at all.
		fmt.Fprintf(os.Stdout, "%d %d\n", epoch, n)
	}
}

// TestKilled kills a process that switches versions, again and again.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	r := mustOpen(t, dir, config())
	up := must[Version](t)
	up(r.Upload("stores", "welcome", binary("1"), ""))
	up(r.Upload("stores", "welcome", binary("2"), ""))
	up(r.Activate("stores", "welcome", 1))
	r.Close()
	total := 0
	for round := range 20 {
		epoch, version, lines := killOne(t, dir)
		total += lines
		r, err := Open(dir, config())
		if err != nil {
			t.Fatal(err)
		}
		if f := r.Faults(); len(f) > 0 {
			t.Fatalf("round %d: faults: %v", round, f)
		}
		_, now, _ := r.List("stores")
		v, ok := r.Active("stores", "welcome")
		switch {
		case !ok:
			t.Fatalf("round %d: no version is active", round)
		case now == epoch && v.Number == version: // the last one that was told
		case now == epoch+1 && v.Number == 3-version: // the next one, which was not
		default:
			t.Fatalf("round %d: told epoch %d with version %d, found epoch %d with version %d", round, epoch, version, now, v.Number)
		}
		if _, err := r.Binary(v.Digest); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		left, err := filepath.Glob(filepath.Join(dir, "policies", "*", temporary+"*"))
		if err != nil || len(left) > 0 {
			t.Errorf("round %d: Open left %v, %v", round, left, err)
		}
		r.Close()
	}
	t.Logf("%d switches were acknowledged", total)
}

// killOne runs one child, kills it some time after its first line, and returns
// what its last line said and how many there were.
func killOne(t *testing.T, dir string) (epoch uint64, version, lines int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), roleSwitch+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		if lines == 0 {
			time.AfterFunc(time.Duration(rand.IntN(30_000))*time.Microsecond, func() { child.Process.Kill() })
		}
		lines++
		if _, err := fmt.Sscanf(scan.Text(), "%d %d", &epoch, &version); err != nil {
			t.Fatalf("line %q: %v", scan.Text(), err)
		}
	}
	child.Wait() // it was killed: the error says so
	if lines == 0 {
		t.Fatal("the child acknowledged nothing")
	}
	return epoch, version, lines
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, config())
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), roleSwitch+"="+dir)
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), ErrInUse.Error()) {
		t.Errorf("a second process: %v, %s", err, out)
	}
}

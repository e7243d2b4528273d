package state

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// child is what this binary does when a test starts it as another process.
func child(task, dir string) {
	err := fmt.Errorf("task %q: want one of those in child", task)
	switch task {
	case "write":
		err = writeForever(dir)
	case "hold":
		err = hold(dir)
	case "limit":
		err = fillLimited(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// startChild starts this binary on a task. Its standard output can be read.
func startChild(t *testing.T, task, dir string) (*exec.Cmd, io.ReadCloser) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STATE_TEST_TASK="+task, "STATE_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, out
}

const crashWriters = 4

// crashOptions make blocks of 32 kB, so that they are also begun, emptied and
// written anew while the process is killed.
func crashOptions() Options { return Options{Key: testKey, MaxBytes: 96 << 10} }

func crashKey(i int) Key { return fmt.Sprint("t.", i) }

// crashValue is the nth value of a writer, "" for deleted.
func crashValue(n int) string {
	if n%5 == 0 {
		return ""
	}
	return fmt.Sprintf("%d:%s", n, strings.Repeat("v", n*37%900))
}

// writeForever writes the values of each writer in order, beginning after the last
// one that is there, and says "writer n" for each that was acknowledged.
func writeForever(dir string) error {
	s, err := Open(dir, crashOptions())
	if err != nil {
		return err
	}
	ctx := context.Background()
	start, err := strconv.Atoi(os.Getenv("STATE_TEST_START"))
	if err != nil {
		return err
	}
	fail := make(chan error)
	for i := range crashWriters {
		go func() {
			for n := start; ; n++ {
				var err error
				if value := crashValue(n); value == "" {
					err = s.Delete(ctx, "b", crashKey(i))
				} else {
					err = s.Update(ctx, "b", crashKey(i), func([]byte) ([]byte, error) { return []byte(value), nil })
				}
				if err != nil {
					fail <- err
					return
				}
				// One call, one write to the pipe: whole or not at all.
				os.Stdout.WriteString(fmt.Sprintf("%d %d\n", i, n))
			}
		}()
	}
	return <-fail
}

// TestKilled kills a process that writes, at random moments, and sees that all
// that it had acknowledged is there, and of the rest at most what was under way.
func TestKilled(t *testing.T) {
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	dir := t.TempDir()
	start, total, early := 1, 0, 0
	for round := range rounds {
		t.Setenv("STATE_TEST_START", strconv.Itoa(start))
		cmd, out := startChild(t, "write", dir)
		var once sync.Once
		kill := func() { once.Do(func() { cmd.Process.Kill() }) }
		// Now and then while it is opening; else some time after the first
		// acknowledgement.
		if round%6 == 5 {
			time.AfterFunc(rand.N(30*time.Millisecond), kill)
		}
		acked := make([]int, crashWriters)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 0 {
				time.AfterFunc(rand.N(200*time.Millisecond), kill)
			}
			var i, k int
			if _, err := fmt.Sscanf(lines.Text(), "%d %d", &i, &k); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
			acked[i] = k
			total++
		}
		cmd.Wait()
		if cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("round %d: the child ended by itself: %v", round, cmd.ProcessState)
		}
		s, err := Open(dir, crashOptions())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		v := s.View("b")
		if err := v.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		next := start
		for i, k := range acked {
			b, _, _, err := s.Get(t.Context(), "b", crashKey(i))
			if err != nil {
				t.Fatal(err)
			}
			seen, _ := v.Get(crashKey(i))
			if string(seen) != string(b) {
				t.Fatalf("round %d: the view has %.20q, the store %.20q", round, seen, b)
			}
			if k == 0 { // nothing acknowledged in this round
				early++
				continue
			}
			switch string(b) {
			case crashValue(k), crashValue(k + 1):
			default:
				t.Fatalf("round %d, writer %d: %d was acknowledged, found %.20q", round, i, k, b)
			}
			next = max(next, k+2)
		}
		start = next
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rounds, %d acknowledgements, %d writers killed before their first", rounds, total, early)
	if total < rounds*10 {
		t.Errorf("%d acknowledgements in %d rounds: the test shows little", total, rounds)
	}
}

//go:build unix

package ledger

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const killEnv = "LEDGER_KILL_DIR"

// TestKillChild is no test: it is the process that TestKill kills. It records batches, and says on
// standard output what it begins to record ("sent N") and what is sealed ("sealed N").
func TestKillChild(t *testing.T) {
	dir := os.Getenv(killEnv)
	if dir == "" {
		t.Skip("checks nothing: it is the process that TestKill starts, and kills")
	}
	fmt.Println("begin")
	l, err := Open(Config{Dir: dir + "/ledger", Keys: dir + "/keys", Window: time.Hour})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("open")
	var b [8]byte
	for n := 0; ; {
		batch := 1 + n%37
		fmt.Println("sent", n+batch)
		for range batch {
			n++
			if !l.Reserve() {
				fmt.Println("error no room")
				os.Exit(1)
			}
			l.Pseudonym(&b, "t", []byte{byte(n)})
			l.Exchange(&Exchange{Tenant: fmt.Sprint("t", n), Pseudonym: b, Status: 200}, true)
		}
		if err := l.Flush(); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("sealed", n)
	}
}

// TestKill kills a process that records, at random points, and opens what it left.
func TestKill(t *testing.T) {
	if os.Getenv(killEnv) != "" {
		t.Skip("this is the process that TestKill started: it is not to start more")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 200
	t.Run("rounds", func(t *testing.T) {
		for part := range 10 {
			t.Run(fmt.Sprint(part), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(7, uint64(part)))
				dir := t.TempDir()
				var k killed
				for i := range rounds / 10 {
					if err := k.round(exe, dir, r); err != nil {
						t.Fatalf("round %d: %v", i, err)
					}
				}
				v, err := Verify(dir+"/ledger", VerifyOptions{})
				if err != nil || !v.Intact() || len(v.Gaps) == 0 {
					t.Errorf("verify: %+v, %v", v, err)
				}
				t.Logf("%d records sealed, %d lost, %d frames cut, %d killed before they were open", k.sealed, k.lost, k.cut, k.early)
				if k.sealed == 0 {
					t.Error("nothing was sealed: the test shows nothing")
				}
			})
		}
	})
}

// killed is what the rounds on one folder have seen.
type killed struct {
	sealed, lost, cut, early int
}

// round starts a process, kills it, and checks what it left.
func (k *killed) round(exe, dir string, r *rand.Rand) error {
	cmd := exec.Command(exe, "-test.run=^TestKillChild$", "-test.v=false")
	cmd.Env = append(os.Environ(), killEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	in := bufio.NewReader(out)
	for { // wait until it begins, which takes as long as the machine is busy
		line, err := in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("the process ended: %w", err)
		}
		if line == "begin\n" {
			break
		}
	}
	time.Sleep(time.Duration(r.Int64N(int64(120 * time.Millisecond))))
	cmd.Process.Kill()
	said, err := io.ReadAll(in)
	cmd.Wait()
	if err != nil {
		return err
	}
	opened, sent, sealed := false, 0, 0
	for line := range strings.Lines(string(said)) {
		switch {
		case line == "open\n":
			opened = true
		case strings.HasPrefix(line, "sent ") && strings.HasSuffix(line, "\n"):
			fmt.Sscan(line[5:], &sent)
		case strings.HasPrefix(line, "sealed ") && strings.HasSuffix(line, "\n"):
			fmt.Sscan(line[7:], &sealed)
		case strings.HasPrefix(line, "error"):
			return fmt.Errorf("the process says %s", line)
		}
	}
	return k.check(dir, opened, sent, sealed)
}

// check opens what a killed process left.
func (k *killed) check(dir string, opened bool, sent, sealed int) error {
	l, err := Open(Config{Dir: dir + "/ledger", Keys: dir + "/keys", Window: time.Hour})
	if err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	f, err := readFolder(dir + "/ledger")
	if err != nil {
		return err
	}
	c, err := checkFolder(f, false)
	if err != nil {
		return err
	}
	// The records of the killed run are between the last two openings but one.
	i := c.lastOpen(len(c.records))
	how := c.records[i]
	run := c.records[max(c.lastOpen(i), 0):i]
	got := 0
	for _, line := range run {
		if bytes.Contains(line, []byte(`"kind":"exchange"`)) {
			got++
			if want := fmt.Sprintf(`"tenant":"t%d"`, got); !bytes.Contains(line, []byte(want)) {
				return fmt.Errorf("record %s, want %s", line, want)
			}
		}
	}
	if !opened {
		k.early++
		return nil
	}
	// Up to the last seal everything is there, and only whole windows: a batch is one.
	if got != sealed && got != sent {
		return fmt.Errorf("%d records, sealed %d, sent %d", got, sealed, sent)
	}
	last := c.statements[0]
	for _, s := range c.statements {
		if s.First+s.Records <= int64(i) {
			last = s
		}
	}
	if want := `"ended":"crash","last":"` + string(appendTime(nil, last.To)[:19]); !bytes.Contains(how, []byte(want)) {
		return fmt.Errorf("the start says %s, want %s", how, want)
	}
	k.sealed += got
	k.lost += sent - got
	if bytes.Contains(how, []byte("cut_bytes")) {
		k.cut++
	}
	return nil
}

// lastOpen is the last opening before record i, -1 for none.
func (c *content) lastOpen(i int) int {
	for i--; i >= 0 && !bytes.HasPrefix(c.records[i], []byte(`{"kind":"open"`)); i-- {
	}
	return i
}

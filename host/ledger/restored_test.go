package ledger

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// putFolder makes dir hold files and nothing else.
func putFolder(t *testing.T, dir string, files folder) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func mustFolder(t *testing.T, dir string) folder {
	t.Helper()
	f, err := readFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestOlderCheckpoint puts parts of an older copy back. What was signed since must neither be cut off
// nor have its numbers used again: opening refuses it and changes nothing, and verifying calls it damage.
func TestOlderCheckpoint(t *testing.T) {
	at := noon
	l, c := newLedger(t, func(c *Config) { c.Now = func() time.Time { return at } })
	seal := func(n int) {
		for range n {
			l.Exchange(&Exchange{Tenant: "a", Status: 200}, false)
			mustFlush(t, l)
		}
	}
	copies := []folder{mustFolder(t, c.Dir)} // of 1 segment and so on
	for range 3 {
		seal(1)
		copies = append(copies, mustFolder(t, c.Dir))
	}
	at = at.Add(time.Hour) // another file
	seal(2)
	last := mustFolder(t, c.Dir)
	mustClose(t, l)
	// mix is the older copy with the newer one's parts of a prefix.
	mix := func(older, newer folder, prefix string) folder {
		f := maps.Clone(older)
		for name, data := range newer {
			if strings.HasPrefix(name, prefix) {
				f[name] = data
			}
		}
		return f
	}
	torn := mix(copies[1], copies[3], "segments/")
	for name := range torn {
		if strings.HasPrefix(name, "segments/") {
			torn[name] = torn[name][:len(torn[name])-30] // one whole segment and a part of one
		}
	}
	oneEach := mix(copies[2], last, "segments/") // a segment of this hour, and one of the next
	for name, data := range oneEach {
		if strings.HasPrefix(name, "segments/") && copies[3][name] == nil {
			ct, err := checkFolder(last, true)
			if err != nil {
				t.Fatal(err)
			}
			oneEach[name] = data[:ct.statements[4].Bytes]
		}
	}
	for name, f := range map[string]folder{
		"two whole segments":         mix(copies[1], copies[3], "segments/"),
		"one and a part":             torn,
		"two in the file of an hour": mix(copies[3], last, "segments/"),
		"one in each of two files":   oneEach,
		"tiles of two segments":      mix(copies[1], copies[3], "tile/"),
		"statements of two segments": mix(copies[1], copies[3], "tile/entries/"),
	} {
		putFolder(t, c.Dir, f)
		if v, err := Verify(c.Dir, VerifyOptions{}); err != nil || v.Intact() {
			t.Errorf("%s: verify finds nothing: %v", name, err)
		}
		if l, err := Open(c); err == nil {
			l.Close()
			t.Errorf("%s: opened", name)
		} else {
			t.Logf("%s: %v", name, strings.ReplaceAll(err.Error(), c.Dir, "DIR"))
		}
		if after := mustFolder(t, c.Dir); !reflect.DeepEqual(f, after) {
			t.Errorf("%s: the folder was changed", name)
		}
	}
	// One segment without a signature is what a crash leaves; that an older copy may look like it only a
	// witness can tell.
	putFolder(t, c.Dir, mix(copies[1], copies[2], "segments/"))
	mustOpenClosed(t, c)
}

// TestWitnessIsAskedFirst has an older copy that looks like what a crash leaves. The witness knows better, and
// what shows it is still there then.
func TestWitnessIsAskedFirst(t *testing.T) {
	l, c := newLedger(t, func(c *Config) {
		c.Now = func() time.Time { return noon } // one file
		c.Witnesses = []Witness{FileWitness{t.TempDir()}}
	})
	older := mustFolder(t, c.Dir)
	l.Exchange(&Exchange{Tenant: "a", Status: 200}, false)
	mustFlush(t, l)
	mustClose(t, l)
	newer := mustFolder(t, c.Dir)
	ct, err := checkFolder(newer, true)
	if err != nil || len(ct.statements) != 3 {
		t.Fatal(err, len(ct.statements))
	}
	s := ct.statements[1]
	older["segments/"+s.File] = newer["segments/"+s.File][:s.Offset+s.Bytes]
	older[nextName] = []byte("torn")
	putFolder(t, c.Dir, older)
	if l, err := Open(c); err == nil {
		l.Close()
		t.Error("opened")
	} else if !strings.Contains(err.Error(), "was cut") {
		t.Error(err)
	}
	if after := mustFolder(t, c.Dir); !reflect.DeepEqual(older, after) {
		t.Error("the folder was changed")
	}
	c.Witnesses = nil
	mustOpenClosed(t, c)
}

// TestBeginAnew does as operators do who replace the key that signs: both ledgers can be verified, each with its own key.
func TestBeginAnew(t *testing.T) {
	second := t.TempDir()
	l, c := newLedger(t, func(c *Config) { c.Witnesses = []Witness{FileWitness{second}} })
	l.Exchange(&Exchange{Tenant: "old"}, false)
	mustClose(t, l)
	old := t.TempDir()
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want string) {
		t.Helper()
		if l, err := Open(c); err == nil {
			l.Close()
			t.Errorf("opened, want %q", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	key := filepath.Join(c.Keys, signerName)
	move(key, old+"/key")
	refused(signerName + " is missing")
	move(old+"/key", key)
	move(c.Dir, old+"/ledger")
	refused(keyName + " is missing")
	move(key, old+"/key")
	c.Witnesses = []Witness{FileWitness{t.TempDir()}}
	l = mustOpen(t, c)
	l.Exchange(&Exchange{Tenant: "new"}, false)
	mustClose(t, l)
	if o := events[openEvent](t, mustVerify(t, c.Dir), KindOpen); len(o) != 1 || o[0].Ended != "first" {
		t.Errorf("%+v", o)
	}
	mustVerify(t, old+"/ledger")
	a, b := mustFolder(t, old+"/ledger")[keyName], mustFolder(t, c.Dir)[keyName]
	if string(a) == string(b) {
		t.Error("the key is the same")
	}
}

// TestRemovedByHand takes the oldest file away. Who reads is not told that it went on schedule, and who verifies is told that
// it did not.
func TestRemovedByHand(t *testing.T) {
	at := noon
	l, c := newLedger(t, func(c *Config) { c.Now = func() time.Time { return at } })
	for range 2 {
		l.Exchange(&Exchange{Tenant: "a", Time: at}, false)
		mustFlush(t, l)
		at = at.Add(time.Hour)
	}
	mustClose(t, l)
	ct := mustVerify(t, c.Dir)
	if err := os.Remove(filepath.Join(c.Dir, segmentsName, ct.statements[0].File)); err != nil {
		t.Fatal(err)
	}
	_, err := At(c.Dir, 0)
	_, proveErr := Prove(c.Dir, 0)
	for _, err := range []error{err, proveErr} {
		if !errors.Is(err, ErrRemoved) || !strings.Contains(err.Error(), "verifying says whether") {
			t.Error(err)
		}
	}
	if v, err := Verify(c.Dir, VerifyOptions{}); err != nil || v.Intact() || v.Removed != 0 {
		t.Errorf("%v %+v", err, v)
	}
}

package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// ownDemo starts a demo with an admin API, and sets the environment by which
// the commands reach it, as it printed it.
func ownDemo(t *testing.T) (port string) {
	t.Helper()
	port, _ = ownDemoAt(t, t.TempDir())
	return port
}

// ownDemoAt is ownDemo with its state in a folder.
func ownDemoAt(t *testing.T, state string) (port, printed string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	ln.Close()
	shareCompiled(t, state)
	ctx, cancel := context.WithCancel(context.Background())
	var out lockedBuffer
	ended := make(chan error, 1)
	go func() {
		cmd := root()
		cmd.SetArgs([]string{"demo", "--listen", "127.0.0.1:" + port, "--admin", "127.0.0.1:0", "--state", state})
		cmd.SetOut(&out)
		cmd.SetErr(os.Stderr)
		ended <- cmd.ExecuteContext(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("demo: %v", err)
		}
		if left := command(t, 0, "token", "list", "--state", state); !strings.HasPrefix(left, "no tokens") {
			t.Errorf("the demo ended, and left\n%s", left)
		}
	})
	out.await(t, "policy list --tenant stores\n")
	said := regexp.MustCompile(`export BESPOKE_ADMIN=(\S+) BESPOKE_TOKEN=(\S+)\n`).FindStringSubmatch(out.String())
	if said == nil {
		t.Fatalf("the demo does not say how to reach its admin API:\n%s", out.String())
	}
	t.Setenv("BESPOKE_ADMIN", said[1])
	t.Setenv("BESPOKE_TOKEN", said[2])
	return port, out.String()
}

// command runs bespoke, and returns what it printed.
func command(t *testing.T, want int, a ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if got := run(a, &out, &errOut); got != want {
		t.Fatalf("bespoke %s: exit status %d, want %d\n%s%s", strings.Join(a, " "), got, want, &out, &errOut)
	}
	return out.String()
}

// buildOwn makes the cafés' own policy as their README does, but for npm: the
// compiler is the one that is installed for the SDK.
func buildOwn(t *testing.T) (dir string) {
	t.Helper()
	modules, err := filepath.Abs("../../../policies/sdk/assemblyscript/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "opening")
	command(t, 0, "policy", "new", "opening", "--dir", dir, "--lang", "assemblyscript")
	if err := os.RemoveAll(filepath.Join(dir, "fixtures")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"manifest.json", "assembly/policy.ts"} { // CopyFS does not overwrite
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS("../../../examples/stores/policy")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	command(t, 0, "policy", "build", dir)
	command(t, 0, "policy", "check", filepath.Join(dir, "opening.wasm"))
	if said := command(t, 0, "policy", "test", dir); strings.Count(said, "ok ") < 6 {
		t.Fatalf("few fixtures:\n%s", said)
	}
	return dir
}

var nowText = regexp.MustCompile(` · (open until|opens at|closed|today) ?`)

// opening returns the cities of the cafés that say whether they are open, and
// how many are marked as open.
func opening(t *testing.T, g *guest) (cities []string, open int) {
	t.Helper()
	doc := g.page("/")
	cafes := cascadia.QueryAll(doc, cascadia.MustCompile("#results > li"))
	if len(cafes) != 56 {
		t.Fatalf("%d cafés", len(cafes))
	}
	for _, li := range cafes {
		says := nowText.MatchString(textOf(cascadia.Query(li, cascadia.MustCompile(".hours"))))
		if says {
			cities = append(cities, textOf(cascadia.Query(li, cascadia.MustCompile(".city"))))
		}
		if isOpen := cascadia.MustCompile(".open").Match(li); isOpen {
			open++
			if !strings.Contains(textOf(li), " · open until ") {
				t.Errorf("marked as open, and says %q", textOf(li))
			}
		}
	}
	return cities, open
}

func textOf(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		b.WriteString(textOf(c))
	}
	return b.String()
}

// The cafés write a policy of their own, upload it while the edge runs, and take
// it back: by the commands of their README.
func TestTenantsOwnPolicy(t *testing.T) {
	dir := buildOwn(t)
	port := ownDemo(t)
	nobody := func(when string, visitors ...*guest) {
		t.Helper()
		for i, g := range visitors {
			if cities, open := opening(t, g); len(cities)+open > 0 {
				t.Errorf("%s, visitor %d: cafés in %v say whether they are open", when, i, cities)
			}
		}
	}
	allows, refuses := visit(t, port, "stores", fromBerlin), visit(t, port, "stores", fromBerlin)
	allows.agree()
	refuses.say("action", "refuse-all")
	signal := visit(t, port, "stores", fromSanFrancisco) // where it is used until they refuse
	signal.gpc = true
	elsewhere := visit(t, port, "stores", fromBerlin) // looks for cafés in Tokyo, where the time is another
	elsewhere.agree()
	elsewhere.say("action", "prefer", "place-mode", "chosen", "place", "Tokyo")
	everybody := refuses.ask("GET", "/", nil)

	nobody("before the upload", allows, refuses, signal)
	command(t, 0, "policy", "push", filepath.Join(dir, "opening.wasm"), "--tenant", "stores", "--name", "opening")
	nobody("before it is active", allows)
	command(t, 0, "policy", "activate", "opening@1", "--tenant", "stores")

	same := func(want string, g *guest) {
		t.Helper()
		if cities, _ := opening(t, g); !slices.Equal(cities, slices.Repeat([]string{want}, 4)) {
			t.Errorf("cafés in %q say whether they are open, want the four in %s", cities, want)
		}
	}
	same("Berlin", allows)
	same("San Francisco", visit(t, port, "stores", fromSanFrancisco))
	if why := allows.ask("GET", "/_bespoke/privacy", nil); !strings.Contains(why, "cafés in your city say whether they are open") {
		t.Error("the privacy page does not say why")
	}
	nobody("active", refuses, signal, elsewhere)
	if refuses.ask("GET", "/", nil) != everybody {
		t.Error("the page of a visitor who refuses changed with the upload")
	}
	allows.say("action", "refuse-all")
	nobody("refused after all", allows)
	allows.agree()
	same("Berlin", allows)

	// A token of the cafés is for the cafés.
	command(t, 1, "policy", "push", filepath.Join(dir, "opening.wasm"), "--tenant", "department", "--name", "opening")
}

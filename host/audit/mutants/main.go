// Command mutants tests the audit: it builds the edge with one planted leak at a
// time, lets it serve, and sees which of the audit's instruments notice. Each leak
// must be caught by one, and an edge without a leak by none.
//
// Run it in the repository's root. mutants.txt has the leaks; nothing of them is in
// a build that is shipped, as they are laid over the source for a build of their own
// (go build -overlay). A leak that no longer fits the source is an error.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

//go:embed mutants.txt
var leaks string

// unplanted is the row of the edge without a leak.
const unplanted = "none"

// A row is what became of one leak.
type row struct {
	Name, What string
	Caught     map[string]string // by instrument: what it said; "": it noticed nothing
	Took       time.Duration
}

var instruments = [...]string{"probe", "verify", "replay", "outputs", "harness"}

func main() {
	only := flag.String("run", "", "plant only leaks whose names match this regular expression ("+unplanted+": the edge without one)")
	doc := flag.String("o", "", "write the table to this file")
	kept := flag.String("results", "", "keep rows in this file, and do not try again what it has")
	check := flag.Bool("check", false, "only see that every leak builds")
	pairs := flag.Int("pairs", 2000, "pairs of visitors that the harness tries")
	with := flag.String("with", "", "let only one part look: \"site\" (probe, verify, replay, outputs) or \"harness\"; what -results has of the other stays")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *doc, *kept, *with, *pairs, *check); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only, doc, kept, with string, pairs int, check bool) error {
	name, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	all, err := parse(leaks)
	if err != nil {
		return err
	}
	for i := range all { // before anything is built
		if _, err := all[i].files("."); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "bespoke-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if check {
		return builds(ctx, dir, all, name)
	}
	b := &bench{dir: dir, pairs: pairs, serves: with != "harness", harnesses: with != "site", clean: filepath.Join(dir, "bespoke")}
	if err := build(ctx, "", "build", "-o", b.clean, "./host/cmd/bespoke"); err != nil {
		return err
	}
	if err := hostile(ctx, dir); err != nil {
		return err
	}
	done, err := load(kept)
	if err != nil {
		return err
	}
	all = append([]mutant{{name: unplanted, what: "nothing is planted"}}, all...)
	var rows []row
	var broken []error
	for i := range all {
		m := &all[i]
		if !name.MatchString(m.name) {
			continue
		}
		r := done[m.name]
		if r.Caught == nil {
			r = row{Name: m.name, What: m.what, Caught: map[string]string{}}
		}
		if !b.looked(&r) {
			began := time.Now()
			if err = b.try(ctx, m, &r); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				fmt.Printf("%3d/%d  %s: %v\n", i+1, len(all), m.name, err)
				broken = append(broken, fmt.Errorf("%s: %w", m.name, err))
				continue
			}
			r.Took += time.Since(began).Round(time.Second)
			if err := save(kept, r); err != nil {
				return err
			}
		}
		rows = append(rows, r)
		fmt.Printf("%3d/%d  %s\n", i+1, len(all), r.line())
	}
	if doc != "" {
		if err := os.WriteFile(doc, []byte(table(rows)), 0o644); err != nil {
			return err
		}
	}
	return errors.Join(append(broken, judge(rows))...)
}

// builds reports the leaks that do not build.
func builds(ctx context.Context, dir string, all []mutant, name *regexp.Regexp) error {
	var errs []error
	for i := range all {
		m := &all[i]
		if !name.MatchString(m.name) {
			continue
		}
		overlay, err := m.overlay(dir)
		if err == nil {
			err = build(ctx, overlay, "build", "./host/edge")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
		}
		fmt.Printf("%3d/%d  %-20s builds: %v\n", i+1, len(all), m.name, err == nil)
	}
	return errors.Join(errs...)
}

// judge says what is wrong with the audit.
func judge(rows []row) error {
	var errs []error
	for _, r := range rows {
		n, outside := 0, 0
		for in, said := range r.Caught {
			if said == "" {
				continue
			}
			if n++; in != "harness" {
				outside++
			}
		}
		_, outsiders := r.Caught["probe"]
		switch {
		case r.Name == unplanted && n > 0:
			errs = append(errs, errors.New("an instrument sees a leak where none is planted"))
		case r.Name != unplanted && n > 0 && outside == 0 && outsiders:
			errs = append(errs, fmt.Errorf("%s is caught by the harness alone", r.Name))
		case r.Name != unplanted && n == 0:
			errs = append(errs, fmt.Errorf("%s is caught by nothing", r.Name))
		}
	}
	return errors.Join(errs...)
}

func (r *row) line() string {
	s := fmt.Sprintf("%-20s", r.Name)
	for _, in := range instruments {
		mark := "."
		if r.Caught[in] != "" {
			mark = "X"
		}
		s += fmt.Sprintf(" %s:%s", in, mark)
	}
	return s + fmt.Sprintf("  %s", r.Took)
}

// A bench is where leaks are tried.
type bench struct {
	dir               string
	clean             string // the command without a leak
	pairs             int
	serves, harnesses bool // which instruments look
}

// looked reports whether every instrument that is to look did.
func (b *bench) looked(r *row) bool {
	for _, in := range instruments {
		if _, did := r.Caught[in]; !did && (in == "harness" && b.harnesses || in != "harness" && b.serves) {
			return false
		}
	}
	return true
}

// try builds one mutant and lets the instruments look at it that did not yet.
func (b *bench) try(ctx context.Context, m *mutant, r *row) error {
	dir, err := os.MkdirTemp(b.dir, m.name)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(dir)
	if err != nil {
		return err
	}
	_, did := r.Caught["harness"]
	if b.harnesses && !did {
		test := filepath.Join(dir, "edge.test")
		if err := build(ctx, overlay, "test", "-c", "-o", test, "./host/edge"); err != nil {
			return err
		}
		r.Caught["harness"] = b.harness(ctx, test)
	}
	_, did = r.Caught["outputs"]
	if b.serves && !did {
		edge := filepath.Join(dir, "bespoke")
		if err := build(ctx, overlay, "build", "-o", edge, "./host/cmd/bespoke"); err != nil {
			return err
		}
		err = b.serve(ctx, edge, filepath.Join(dir, "state"), r)
	}
	return errors.Join(err, ctx.Err())
}

// hostile has the edge's tests write their hostile policies into a folder.
func hostile(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "^TestHostileGuest$", "./host/edge")
	cmd.Env = append(os.Environ(), "BESPOKE_HOSTILE="+dir)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("write the hostile policies: %w\n%s", err, text)
	}
	return nil
}

// build runs the go command with files laid over the source.
func build(ctx context.Context, overlay, verb string, args ...string) error {
	all := []string{verb, "-ldflags", "-s -w"} // which links sooner
	if overlay != "" {
		all = append(all, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(all, args...)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, text)
	}
	return nil
}

// harness runs the pairs of TestNonInterference in the mutated edge, and returns what
// it found.
func (b *bench) harness(ctx context.Context, test string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, test, "-test.run", "^TestNonInterference$")
	cmd.Dir = "host/edge"
	cmd.Env = append(os.Environ(), fmt.Sprintf("BESPOKE_PAIRS=%d", b.pairs), "BESPOKE_SEED=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "differs in "); ok {
			what, _, _ := strings.Cut(rest, ":")
			what, _, _ = strings.Cut(what, ", byte")
			return what
		}
	}
	return "it failed: " + lastLine(out)
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

func load(name string) (map[string]row, error) {
	rows := map[string]row{}
	if name == "" {
		return rows, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return rows, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var r row
		if err := d.Decode(&r); err == io.EOF {
			return rows, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		rows[r.Name] = r
	}
}

func save(name string, r row) error {
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(r), f.Close())
}

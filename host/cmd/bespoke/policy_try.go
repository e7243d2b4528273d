package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bespoke/geo"
	"bespoke/geo/demodb"
	"bespoke/host/edge"
	"bespoke/host/policytest"
	"bespoke/host/profile"
	"bespoke/modules/engine"
	"bespoke/policies/scaffold"
)

func policyTestCommand() *cobra.Command {
	var t trial
	cmd := &cobra.Command{
		Use:   "test [DIR|FIXTURE...]",
		Short: "Try a policy on fixtures, without a server",
		Long: `Try a policy on its fixtures: the files DIR/fixtures/*.txtar of its folder (the
current one if none is named), or the files that are named. Each is an exchange
and what is expected of it; the exchange goes through the same code as in an
edge. What differs is shown, and the exit status is then 1.

The module is NAME.wasm in the policy's folder, which "policy build" makes.

A fixture's sections: request, place, decision, preferences, with, time, page,
then edits or want or both.`,
		Example: "  bespoke policy test ./welcome\n  bespoke policy test --update welcome/fixtures/berlin.txtar",
		RunE: func(cmd *cobra.Command, a []string) error {
			t.ctx, t.out, t.err = cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return t.run(a)
		},
	}
	cmd.Flags().BoolVar(&t.update, "update", false, "write what came of the exchange into the fixtures, in place of what they expect")
	cmd.Flags().StringVar(&t.module, "module", "", "try this module `FILE.wasm`, instead of the one in the policy's folder")
	cmd.Flags().BoolVarP(&t.verbose, "verbose", "v", false, "show what the policy read and logged")
	cmd.Flags().BoolVar(&t.json, "json", false, "print a JSON object a line")
	return cmd
}

// A trial is one call of the command.
type trial struct {
	ctx                   context.Context
	out, err              io.Writer
	update, verbose, json bool
	module                string

	modules *edge.Modules
	sealer  *profile.Sealer
	places  *geo.DB // opened when a fixture names an address
}

// verdict is what is printed for one fixture.
type verdict struct {
	File    string   `json:"file"`
	OK      bool     `json:"ok"`
	Updated bool     `json:"updated,omitempty"`
	Error   string   `json:"error,omitempty"`
	Diff    string   `json:"diff,omitempty"`
	Edits   []string `json:"edits"`
	Reads   []string `json:"reads"`
	Log     []string `json:"log"`
	Notes   []string `json:"notes,omitempty"`
}

func (t *trial) run(a []string) (err error) {
	fixtures, module, err := t.find(a)
	if err != nil {
		return err
	}
	// A policy that fails on one fixture is still tried on the next.
	t.modules, err = edge.NewModules(t.ctx, engine.Config{Suspension: engine.Suspension{Failures: 1 << 30}})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, t.modules.Close())
		if t.places != nil {
			err = errors.Join(err, t.places.Close())
		}
	}()
	var key profile.Key
	rand.Read(key[:])
	if t.sealer, err = profile.NewSealer(key); err != nil {
		return err
	}
	failed := 0
	for _, f := range fixtures {
		v := t.try(f, module)
		if !v.OK {
			failed++
		}
		if err := t.print(&v); err != nil {
			return err
		}
	}
	if failed > 0 {
		if !t.json {
			fmt.Fprintf(t.out, "%d of %s failed\n", failed, count(len(fixtures), "fixture"))
		}
		return errAnswered
	}
	return nil
}

// maxFixtures is how many fixtures one call tries.
const maxFixtures = 10_000

// find returns the fixtures that the arguments stand for, and the module.
func (t *trial) find(a []string) (fixtures []string, module string, err error) {
	dir := ""
	if len(a) == 0 {
		a = []string{"."}
	}
	for _, arg := range a {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, "", err
		}
		of := arg
		if info.IsDir() {
			entries, err := os.ReadDir(filepath.Join(arg, "fixtures"))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, "", err
			}
			for _, e := range entries {
				if strings.HasSuffix(e.Name(), ".txtar") {
					fixtures = append(fixtures, filepath.Join(arg, "fixtures", e.Name()))
				}
			}
		} else {
			fixtures = append(fixtures, arg)
			of = filepath.Dir(arg)
			if _, err := os.Stat(filepath.Join(of, "manifest.json")); err != nil {
				of = filepath.Dir(of) // of the folder fixtures
			}
		}
		if of = filepath.Clean(of); dir != "" && dir != of && t.module == "" {
			return nil, "", fmt.Errorf("fixtures of two policies, in %s and %s: test one at a time, or name a module with --module", dir, of)
		}
		dir = of
	}
	if len(fixtures) == 0 {
		return nil, "", fmt.Errorf("there are no fixtures in %s: they are files fixtures/*.txtar", strings.Join(a, ", "))
	}
	if len(fixtures) > maxFixtures {
		return nil, "", fmt.Errorf("there are %d fixtures, at most %d are tried", len(fixtures), maxFixtures)
	}
	if module = t.module; module == "" {
		if module, err = t.built(dir); err != nil {
			return nil, "", err
		}
	}
	module, err = filepath.Abs(module)
	return slices.Compact(fixtures), module, err
}

// built returns the module in a policy's folder.
func (t *trial) built(dir string) (string, error) {
	_, name, err := scaffold.Manifest(dir)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, name+".wasm")
	info, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s is not built yet: bespoke policy build %s", file, dir)
	}
	if err != nil {
		return "", err
	}
	if newer, err := scaffold.NewerThan(dir, info.ModTime()); err == nil && newer != "" {
		fmt.Fprintf(t.err, "note: %s is older than %s; bespoke policy build %s\n", file, newer, dir)
	}
	return file, nil
}

// try tries one fixture. Whatever is wrong is in the verdict.
func (t *trial) try(file, module string) verdict {
	v := verdict{File: file, Edits: []string{}, Reads: []string{}, Log: []string{}}
	if err := t.tryInto(&v, module); err != nil {
		v.OK, v.Error = false, err.Error()
	}
	return v
}

func (t *trial) tryInto(v *verdict, module string) error {
	data, err := readUpTo(v.File, policytest.MaxFixture)
	if err != nil {
		return err
	}
	f, err := policytest.Parse(v.File, data)
	if err != nil {
		return err
	}
	result, err := t.exchange(f, module)
	if err != nil {
		return err
	}
	outcome := policytest.Outcome{Page: result.Body}
	if result.Status >= 300 && result.Status < 400 {
		outcome.Page = nil // the edits say where to
	}
	var faults []error
	for i := range result.Runs {
		faults = append(faults, v.add(&result.Runs[i], &outcome))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if t.update {
		return v.update(f, outcome, data)
	}
	if v.Diff, err = f.Compare(outcome); err != nil {
		return err
	}
	v.OK = v.Diff == ""
	return nil
}

// exchange has an edge try a fixture's exchange.
func (t *trial) exchange(f *policytest.Fixture, module string) (edge.DryResult, error) {
	site, err := f.Site(module, t.modules)
	if err != nil {
		return edge.DryResult{}, err
	}
	e, err := edge.New(edge.Config{Site: site, Modules: t.modules, Sealer: t.sealer, Now: func() time.Time { return f.Now }})
	if err != nil {
		return edge.DryResult{}, err
	}
	place := f.Place
	if f.Address.IsValid() {
		if err := t.openPlaces(); err != nil {
			return edge.DryResult{}, err
		}
		place = t.places.Lookup(f.Address)
	}
	header := f.Header
	if !slices.ContainsFunc(header, func(h [2]string) bool { return strings.EqualFold(h[0], "Sec-Fetch-Dest") }) {
		// The link to the privacy centre is no business of a policy's: so it is
		// asked for as a piece of a page, which gets none.
		header = append(header, [2]string{"Sec-Fetch-Dest", "empty"})
	}
	return e.Dry(edge.DryInput{
		Method: f.Method, Host: policytest.Host, Target: f.Target, Header: header, GPC: f.GPC,
		Place: place, Choice: f.Choice, Preferences: f.Preferences, Page: f.Page, ContentType: f.ContentType,
	})
}

// openPlaces opens the demo's database.
func (t *trial) openPlaces() error {
	if t.places != nil {
		return nil
	}
	var db bytes.Buffer
	if err := demodb.Build(&db); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bespoke-places-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo's places: %w", err)
	}
	defer os.RemoveAll(dir) // it is read as a whole
	file := filepath.Join(dir, "places.mmdb")
	if err := os.WriteFile(file, db.Bytes(), 0o600); err != nil {
		return err
	}
	t.places, err = geo.Open(file)
	return err
}

// add takes a run into the verdict and the outcome. It returns the run's fault.
func (v *verdict) add(r *edge.DryRun, o *policytest.Outcome) error {
	for _, e := range r.Edits {
		edit := policytest.Edit{Edit: e.Edit, Refused: e.Refused}
		v.Edits = append(v.Edits, edit.String())
		o.Edits = append(o.Edits, edit)
	}
	seen := map[string]bool{}
	for _, read := range r.Reads {
		line := read.Key + ": absent"
		if read.Present {
			line = fmt.Sprintf("%s: %q", read.Key, read.Value)
		}
		v.Reads = append(v.Reads, line)
		if !read.Declared && !seen[read.Key] {
			seen[read.Key] = true
			v.Notes = append(v.Notes, fmt.Sprintf("it reads %s, which its manifest does not declare", read.Key))
		}
	}
	for _, l := range r.Log {
		v.Log = append(v.Log, l.Level.String()+": "+l.Text)
	}
	if r.Fault != nil {
		return fmt.Errorf("on the %s: %w", r.Phase, r.Fault)
	}
	return nil
}

// update writes the fixture's file anew if it changes.
func (v *verdict) update(f *policytest.Fixture, o policytest.Outcome, old []byte) error {
	text, err := f.Update(o)
	if err != nil {
		return err
	}
	v.OK = true
	if bytes.Equal(text, old) {
		return nil
	}
	v.Updated = true
	return os.WriteFile(v.File, text, 0o666)
}

func (t *trial) print(v *verdict) error {
	if t.json {
		return json.NewEncoder(t.out).Encode(v)
	}
	what := "ok     "
	switch {
	case !v.OK:
		what = "FAIL   "
	case v.Updated:
		what = "updated"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", what, v.File)
	if v.Error != "" {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(v.Error, "\n", "\n  "))
	}
	for _, n := range v.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	if t.verbose {
		for _, r := range v.Reads {
			fmt.Fprintf(&b, "  read %s\n", r)
		}
		for _, e := range v.Edits {
			fmt.Fprintf(&b, "  edit %s\n", e)
		}
	}
	if t.verbose || !v.OK {
		for _, l := range v.Log {
			fmt.Fprintf(&b, "  log %s\n", l)
		}
	}
	b.WriteString(v.Diff)
	_, err := io.WriteString(t.out, b.String())
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bespoke/host/config"
	"bespoke/host/control"
	"bespoke/host/recommend"
)

func catalogueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalogue",
		Short: "Tell an edge what a site offers",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(catalogueLoadCommand(), catalogueShowCommand())
	return cmd
}

func catalogueLoadCommand() *cobra.Command {
	var r remote
	var check bool
	cmd := &cobra.Command{
		Use:   "load FILE",
		Short: "Put a file in place of a tenant's catalogue",
		Long: `Put a file in place of a tenant's catalogue: JSON Lines (an object a line), or
CSV with a header row; docs/recommend.md has the fields. The file is checked here
first. What is wrong in it is printed with its line, and then nothing is sent.
The edge takes all of it, or nothing; pages see the new one at once.` + adminHelp,
		Example: `  bespoke catalogue load --check items.jsonl
  bespoke catalogue load items.csv --tenant stores`,
		Args: args(cobra.ExactArgs(1)),
	}
	upload := r.run(func(ctx context.Context, a []string) error { return r.loadCatalogue(ctx, a[0]) })
	cmd.RunE = func(cmd *cobra.Command, a []string) error {
		if !check {
			return upload(cmd, a)
		}
		r.out, r.errOut = cmd.OutOrStdout(), cmd.ErrOrStderr()
		found, err := r.checkCatalogue(a[0])
		switch {
		case err != nil:
			return err
		case r.asJSON:
			return r.print(map[string]any{"file": a[0], "items": found.items})
		}
		_, err = fmt.Fprintf(r.out, "%s: right; %s\n", plain(a[0]), count(found.items, "item"))
		return err
	}
	r.add(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "only check the file, without an edge")
	return cmd
}

func catalogueShowCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show how a tenant's catalogue fares",
		Long:    "Show how a tenant's catalogue fares: items, memory, what was learned from\nsessions, and how many items of each band have enough visitors behind them." + adminHelp,
		Example: "  bespoke catalogue show --tenant stores",
		Args:    args(cobra.NoArgs),
	}
	cmd.RunE = r.run(func(ctx context.Context, _ []string) error {
		var f control.CatalogueFigures
		if err := r.ask(ctx, request{method: "GET", under: "catalogue"}, &f); err != nil {
			return err
		}
		if r.asJSON {
			return r.print(f)
		}
		fmt.Fprintf(r.out, "%s, %d in stock, about %s of memory\n", count(f.Items, "item"), f.InStock, bytesText(f.MemoryBytes))
		fmt.Fprintf(r.out, "%d events, %d of unknown items; %d sessions learned from, %d open\n", f.Events, f.UnknownItems, f.Sessions, f.OpenSessions)
		var bands []string
		for _, b := range []recommend.Band{recommend.BestSellers, recommend.Trending, recommend.Deals} {
			bands = append(bands, fmt.Sprintf("%s %d", b, f.Bands[b.String()]))
		}
		fmt.Fprintf(r.out, "items with %d visitors behind them (at most 100): %s\n", f.Support, strings.Join(bands, ", "))
		if f.Damaged > 0 {
			fmt.Fprintf(r.out, "%s could not be read at the start; the edge's log says which\n", count(f.Damaged, "file"))
		}
		if f.Last != nil {
			fmt.Fprintf(r.out, "last taken %s (%s): %s\n", f.Last.At.Format(time.DateTime), f.Last.From, changes(*f.Last))
		}
		return nil
	})
	r.add(cmd)
	return cmd
}

func changes(l control.CatalogueLoad) string {
	return fmt.Sprintf("%s; %d added, %d removed, %d changed", count(l.Items, "item"), l.Added, l.Removed, l.Changed)
}

// loadCatalogue checks a file and sends it.
func (r *remote) loadCatalogue(ctx context.Context, file string) error {
	found, err := r.checkCatalogue(file)
	if err != nil {
		return err
	}
	// Asked first, so that a token that will not do is told before the file is on its way.
	var before control.CatalogueFigures
	if err := r.ask(ctx, request{method: "GET", under: "catalogue"}, &before); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	body := &counted{Reader: io.LimitReader(f, info.Size())}
	stop := r.progress(body, info.Size())
	defer stop()
	var done control.CatalogueLoad
	err = r.ask(ctx, request{method: "PUT", under: "catalogue", media: found.media, body: body, length: info.Size(), long: true}, &done)
	if err != nil {
		return err
	}
	if r.asJSON {
		return r.print(done)
	}
	_, err = fmt.Fprintf(r.out, "%s\n", changes(done))
	return err
}

// A checkedFile is a catalogue with nothing wrong in it.
type checkedFile struct {
	media string
	items int
}

// checkCatalogue reads a file as the edge would. What is wrong in it is printed,
// a line each; the error then only ends the command.
func (r *remote) checkCatalogue(file string) (checkedFile, error) {
	last := time.Now()
	items, media, err := readCatalogue(file, 0, func(items int) {
		if now := time.Now(); now.Sub(last) >= time.Second {
			last = now
			fmt.Fprintf(r.errOut, "checking: %d items\n", items)
		}
	})
	var wrong recommend.Problems
	switch {
	case !errors.As(err, &wrong):
		return checkedFile{media, items}, err
	case r.asJSON:
		list := make([]control.LineProblem, len(wrong))
		for i, w := range wrong {
			list[i] = control.LineProblem{Line: w.Line, What: w.What}
		}
		if err := r.print(map[string]any{"file": file, "problems": list}); err != nil {
			return checkedFile{}, err
		}
	default:
		printProblems(r.errOut, file, wrong)
	}
	return checkedFile{}, errAnswered
}

func printProblems(w io.Writer, file string, wrong recommend.Problems) {
	for _, p := range wrong {
		at := plain(file)
		if p.Line > 0 {
			at = fmt.Sprintf("%s:%d", at, p.Line)
		}
		fmt.Fprintf(w, "%s: %s\n", at, plain(p.What))
	}
}

// readCatalogue reads a file as the edge would, and keeps nothing of it. most is
// how many items it may have, 0 for as many as there can be. progress may be nil.
func readCatalogue(file string, most int, progress func(int)) (items int, media string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return 0, "", err
	case !info.Mode().IsRegular():
		return 0, "", fmt.Errorf("%s is no regular file", file)
	case info.Size() > control.MaxCatalogueBytes:
		return 0, "", fmt.Errorf("%s has %d bytes, the edge takes at most %d", file, info.Size(), control.MaxCatalogueBytes)
	}
	rec, err := recommend.Open("", recommend.Options{Manual: true, KeptSessions: 1, MaxItems: most})
	if err != nil {
		return 0, "", err
	}
	defer rec.Close()
	kind := &firstByte{Reader: f}
	if err := rec.Load(kind, progress); err != nil {
		return 0, "", err
	}
	media = control.MediaCSV
	if kind.first == '{' || kind.first == '[' {
		media = control.MediaJSONLines
	}
	return rec.Catalogue().Len(), media, nil
}

// A firstByte keeps the first byte that is no space, by which the kinds of
// catalogues are told apart.
type firstByte struct {
	io.Reader
	first byte
}

func (f *firstByte) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if f.first == 0 {
		if text := strings.TrimLeft(strings.TrimPrefix(string(p[:n]), "\ufeff"), " \t\r\n"); text != "" {
			f.first = text[0]
		}
	}
	return n, err
}

// checkCatalogues reads the files that a configuration names as catalogues, and
// prints what is wrong in them.
func checkCatalogues(w io.Writer, site *config.Config) error {
	bad := false
	for i := range site.Tenants {
		c := site.Tenants[i].Catalogue
		if c == nil || c.File == "" {
			continue
		}
		_, _, err := readCatalogue(c.File, c.MaxItems, nil)
		var wrong recommend.Problems
		switch {
		case errors.As(err, &wrong):
			printProblems(w, filepath.Clean(c.File), wrong)
			bad = true
		case err != nil:
			return fmt.Errorf("catalogue of the tenant %s: %w", site.Tenants[i].Name, err)
		}
	}
	if bad {
		return errAnswered
	}
	return nil
}

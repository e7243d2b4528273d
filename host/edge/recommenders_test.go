package edge

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bespoke/host/config"
	"bespoke/host/control"
	"bespoke/host/recommend"
	"bespoke/modules/abi"
)

func siteOf(tenants ...config.Tenant) *config.Config { return &config.Config{Tenants: tenants} }

func withCatalogue(name, file string) config.Tenant {
	return config.Tenant{Name: name, Catalogue: &config.Catalogue{File: file}}
}

// catalogueOf makes n items whose titles begin with a word.
func catalogueOf(word string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":"item-%d","title":"%s %d","price":1,"was":2}`+"\n", i, word, i)
	}
	return b.String()
}

// What is learned outlives configurations and the process, and each tenant's is its own.
func TestRecommenders(t *testing.T) {
	dir := t.TempDir()
	one := siteOf(withCatalogue("a", ""), config.Tenant{Name: "plain"})
	rs, err := OpenRecommenders(dir, one, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rs.LoadCatalogue("plain", strings.NewReader("id\nx\n")); !errors.Is(err, control.ErrNoCatalogue) {
		t.Errorf("a tenant without a catalogue: %v", err)
	}
	l, err := rs.LoadCatalogue("a", strings.NewReader(catalogueOf("old", 5)))
	if err != nil || l.Items != 5 || l.Added != 5 || l.From != "upload" {
		t.Fatalf("%+v, %v", l, err)
	}
	if l, err = rs.LoadCatalogue("a", strings.NewReader(catalogueOf("old", 2)+`{"id":"item-2","title":"new"}`+"\n"+`{"id":"other"}`)); err != nil || l.Items != 4 || l.Added != 1 || l.Removed != 2 || l.Changed != 1 {
		t.Errorf("%+v, %v", l, err)
	}
	var wrong recommend.Problems
	if _, err = rs.LoadCatalogue("a", strings.NewReader("id\nx\nx\n")); !errors.As(err, &wrong) || wrong[0].Line != 3 {
		t.Errorf("%v", err)
	}
	if _, err = rs.LoadCatalogue("a", io.MultiReader(strings.NewReader("id\nx\n"), breaking{})); err == nil {
		t.Error("what broke off was taken")
	}
	first := rs.of(&one.Tenants[0])
	if first == nil || rs.of(&one.Tenants[1]) != nil || first.Catalogue().Len() != 4 {
		t.Fatal("not the catalogue of a")
	}
	// A second configuration, and a third.
	two := siteOf(withCatalogue("a", ""), withCatalogue("b", ""))
	if fixed, err := rs.Prepare(two); err != nil || len(fixed) != 0 {
		t.Errorf("%v, %v", fixed, err)
	}
	rs.Retain(two)
	if rs.of(&two.Tenants[0]) != first || rs.of(&two.Tenants[1]) == nil {
		t.Error("the recommender of a is another one, or b has none")
	}
	three := siteOf(withCatalogue("b", ""))
	three.Tenants[0].Catalogue.Support = 3
	if fixed, err := rs.Prepare(three); err != nil || len(fixed) != 1 || !strings.Contains(fixed[0], "tenant b") {
		t.Errorf("%v, %v", fixed, err)
	}
	rs.Retain(three)
	if _, ok := rs.Catalogue("a"); ok {
		t.Error("a is still there")
	}
	if err := rs.Close(); err != nil {
		t.Fatal(err)
	}
	// Another process.
	if rs, err = OpenRecommenders(dir, two, nil); err != nil {
		t.Fatal(err)
	}
	defer rs.Close()
	if f, ok := rs.Catalogue("a"); !ok || f.Items != 4 || f.Bands["deals"] != 2 || f.Support != 5 || f.MemoryBytes == 0 {
		t.Errorf("after a restart: %+v", f)
	}
	if f, ok := rs.Catalogue("b"); !ok || f.Items != 0 {
		t.Errorf("b has what is a's: %+v", f)
	}
}

type breaking struct{}

func (breaking) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What was learned is there after an end, and open sessions count by then.
func TestRecommendersSave(t *testing.T) {
	dir := t.TempDir()
	site := siteOf(withCatalogue("a", ""))
	site.Tenants[0].Catalogue.Support = 1
	for round, want := range []int{0, 1} {
		rs, err := OpenRecommenders(dir, site, nil)
		if err != nil {
			t.Fatal(err)
		}
		if f, _ := rs.Catalogue("a"); f.Bands["best-sellers"] != want || f.Support != 1 || f.Damaged != 0 {
			t.Errorf("round %d: %+v", round, f)
		}
		if round == 0 {
			if _, err := rs.LoadCatalogue("a", strings.NewReader("id\nx\ny\n")); err != nil {
				t.Fatal(err)
			}
			rec := rs.of(&site.Tenants[0])
			x, _ := rec.Catalogue().Number("x")
			rec.Event(recommend.Event{Kind: recommend.Purchase, Item: x, Session: 7})
		}
		if err := rs.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Visitors are told that what they do may be counted where there is a catalogue.
func TestCatalogueMeasures(t *testing.T) {
	for _, catalogue := range []string{"", ", catalogue: {}"} {
		site, err := config.Parse("x.yaml", []byte("tenants: [{name: a, hosts: [a.example], origin: 'http://127.0.0.1:1'"+catalogue+"}]"), nil)
		if err != nil {
			t.Fatal(err)
		}
		rs, err := OpenRecommenders(t.TempDir(), site, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer rs.Close()
		s, err := newSnapshot(site, nil, nil, rs)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.tenant([]byte("a.example")).used.Has(abi.Measure); got != (catalogue != "") {
			t.Errorf("with %q: %v", catalogue, got)
		}
	}
}

// A catalogue that is a file is read at the start, and when it changed.
func TestCatalogueFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "items.jsonl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("{\"id\":\"a\"}\n{")
	site := siteOf(withCatalogue("a", file))
	if _, err := OpenRecommenders(filepath.Join(dir, "state"), site, nil); err == nil || !strings.Contains(err.Error(), "line 2: not JSON") {
		t.Fatalf("a wrong file: %v", err)
	}
	write(`{"id":"a"}`)
	rs, err := OpenRecommenders(filepath.Join(dir, "state"), site, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rs.Close()
	if _, err := rs.LoadCatalogue("a", strings.NewReader("id\nx\n")); !errors.Is(err, control.ErrCatalogueIsFile) {
		t.Errorf("an upload over a file: %v", err)
	}
	cat := rs.of(&site.Tenants[0]).Catalogue()
	if _, err := rs.Prepare(site); err != nil || rs.of(&site.Tenants[0]).Catalogue() != cat {
		t.Errorf("a file that did not change was read again: %v", err)
	}
	write("id\na\nb\n")
	if _, err := rs.Prepare(site); err != nil || rs.of(&site.Tenants[0]).Catalogue().Len() != 2 {
		t.Errorf("a file that changed was not read again: %v", err)
	}
	// To uploads, and back to the same file.
	if _, err := rs.Prepare(siteOf(withCatalogue("a", ""))); err != nil {
		t.Fatal(err)
	}
	if _, err := rs.LoadCatalogue("a", strings.NewReader("id\nx\n")); err != nil {
		t.Errorf("an upload where there was a file: %v", err)
	}
	if _, err := rs.Prepare(site); err != nil || rs.of(&site.Tenants[0]).Catalogue().Len() != 2 {
		t.Errorf("the file is not what holds again: %v", err)
	}
	write("id\na\na\nc\n")
	if _, err := rs.Prepare(site); err == nil || rs.of(&site.Tenants[0]).Catalogue().Len() != 2 {
		t.Errorf("a wrong file was taken: %v", err)
	}
	os.Remove(file)
	if _, err := rs.Prepare(site); err == nil || rs.of(&site.Tenants[0]).Catalogue().Len() != 2 {
		t.Errorf("no file: %v", err)
	}
}

// Pages that are asked for while catalogues are loaded show items of one of them,
// whole, and never of none.
func TestLoadUnderTraffic(t *testing.T) {
	rs, err := OpenRecommenders("", siteOf(), nil)
	if err != nil {
		t.Fatal(err)
	}
	rs.dir = t.TempDir()
	site := siteOf(withCatalogue("shop", ""))
	if _, err := rs.Prepare(site); err != nil {
		t.Fatal(err)
	}
	defer rs.Close()
	load := func(word string) {
		if _, err := rs.LoadCatalogue("shop", strings.NewReader(catalogueOf(word, 50))); err != nil {
			t.Error(err)
		}
	}
	load("old")
	r := readItems(t, rs.of(&site.Tenants[0]))
	var done atomic.Bool
	var answers, olds, news atomic.Int64
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			v := r.visitor(berlin)
			for !done.Load() || answers.Load() < 30 {
				_, body := v.get("/")
				o, n := strings.Count(body, "title=old "), strings.Count(body, "title=new ")
				if o+n != 8 || o > 0 && n > 0 {
					t.Errorf("%d of the old, %d of the new:\n%s", o, n, body)
					return
				}
				answers.Add(1)
				if o > 0 {
					olds.Add(1)
				} else {
					news.Add(1)
				}
			}
		})
	}
	for i := 0; i < 40 || olds.Load() == 0 || news.Load() == 0; i++ {
		load([]string{"new", "old"}[i%2])
		if t.Failed() {
			break
		}
	}
	done.Store(true)
	work.Wait()
	t.Logf("%d answers of the old, %d of the new", olds.Load(), news.Load())
}

// readItems is a rig whose pages tell the deals of a recommender.
func readItems(t *testing.T, rec *recommend.Recommender) *rig {
	t.Helper()
	keys := []string{"recommend.deals?n=8"}
	file := filepath.Join(t.TempDir(), "teller.wasm")
	if err := os.WriteFile(file, teller(keys, declareAll(keys)), 0o600); err != nil {
		t.Fatal(err)
	}
	return newRig(t, html(slots(keys)), offering(rec), routes(`[{path: /**, policies: [{use: "file:`+file+`"}]}]`))
}

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bespoke/host/audit/probe"
)

// audit runs bespoke audit probe against a site of the demo, and returns its report.
func auditProbe(t *testing.T, port, site string, want int, a ...string) probe.Report {
	t.Helper()
	var out, say bytes.Buffer
	all := slices.Concat([]string{"audit", "probe", "--json", "--seed", "11", "--pairs", "3", "--connect", "127.0.0.1:" + port}, a, []string{"http://" + site + ".localhost:" + port + "/"})
	if got := run(all, &out, &say); got != want {
		t.Errorf("%s: exit status %d, want %d\n%s%s", strings.Join(all, " "), got, want, &say, &out)
	}
	var r probe.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return r
}

func dimensionOf(t *testing.T, r *probe.Report, name string) *probe.Dimension {
	t.Helper()
	i := slices.IndexFunc(r.Dimensions, func(d probe.Dimension) bool { return d.Name == name })
	if i < 0 {
		t.Fatalf("no dimension %s", name)
	}
	return &r.Dimensions[i]
}

// The sites of the demo, through the real edge: those who refuse get the same, in each
// dimension and by either way; those who agree do not, in what the site is about; and
// what visitors set for themselves shows whatever they refuse.
func TestAuditProbe(t *testing.T) {
	port := demo(t)
	for site, power := range map[string]string{"stores": "place", "department": "history,past,profile", "decor": "history,past,profile", "office": "profile", "offers": "place"} {
		t.Run(site, func(t *testing.T) {
			t.Parallel()
			r := auditProbe(t, port, site, 0, "--steady", "--require", power)
			if r.Verdict != probe.Equal || !r.Centre {
				t.Errorf("%s: %s", r.Verdict, r.Because)
			}
			for i := range r.Dimensions {
				d := &r.Dimensions[i]
				if d.Missing != "" {
					continue
				}
				if len(d.Refuse) != 2 {
					t.Errorf("%s: %+v", d.Name, d)
				}
				for _, c := range d.Refuse {
					if !d.Declared && (c.Verdict != probe.Equal || c.Method != "byte equality" || c.Pairs != 3 || c.Failed > 0) {
						t.Errorf("%s by %s: %+v", d.Name, c.Way, c)
					}
				}
			}
			if d := dimensionOf(t, &r, "declared"); site == "stores" && (!d.Power || d.Refuse[0].Verdict != probe.Differs) {
				t.Errorf("declared: %+v", d)
			}
		})
	}
}

// What the command answers: its exit status, its report, the folder it leaves.
func TestAuditProbeCommand(t *testing.T) {
	leaky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("hello " + r.Header.Get("X-Forwarded-For")))
	}))
	defer leaky.Close()
	static := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) }))
	defer static.Close()
	dead := httptest.NewServer(nil)
	dead.Close()
	dir := filepath.Join(t.TempDir(), "found")
	for _, c := range []struct {
		want int
		text string
		a    []string
	}{
		{1, "DIFFERS", []string{"-o", dir, leaky.URL}},
		{2, "", []string{"-o", dir, leaky.URL}}, // it is there
		{3, "NO POWER", []string{static.URL}},
		{3, "", []string{dead.URL}},
		{2, "", nil},
		{2, "", []string{"shop.example"}},
		{2, "", []string{"--places", "192.0.2.7", static.URL}},
		{2, "", []string{"--places", "Berlin,Paris", static.URL}},
		{2, "", []string{"--dimensions", "shoe-size", static.URL}},
		{2, "", []string{"--ways", "choice", static.URL}},
		{2, "", []string{"--file", "nowhere.json", static.URL}},
	} {
		var out, say bytes.Buffer
		got := run(append([]string{"audit", "probe", "--pairs", "2"}, c.a...), &out, &say)
		if got != c.want || !strings.Contains(out.String(), c.text) {
			t.Errorf("%v: %d, want %d\n%s%s", c.a, got, c.want, &out, &say)
		}
	}
	for _, name := range []string{"report.txt", "report.json", "pair-1/repeat.sh", "pair-1/a.body", "pair-1/b.requests"} {
		if i, err := os.Stat(filepath.Join(dir, name)); err != nil || i.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package config

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"bespoke/host/consent"
	"bespoke/modules/abi"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the golden tests got into testdata")

// declared answers from a manifest section, as the registry of modules will.
type declared struct {
	manifests []abi.Manifest
	asked     []Ref
}

func (d *declared) Manifest(r Ref) (*abi.Manifest, error) {
	d.asked = append(d.asked, r)
	if r.Kind == Uploaded {
		return nil, nil
	}
	name := r.Name
	if r.Kind == File {
		data, err := os.ReadFile(r.File)
		if err != nil {
			return nil, err
		}
		name = strings.TrimSpace(string(data))
	}
	var known []string
	for i := range d.manifests {
		if d.manifests[i].Name == name {
			return &d.manifests[i], nil
		}
		known = append(known, d.manifests[i].Name)
	}
	return nil, fmt.Errorf("no built-in policy %q, there are %s", name, strings.Join(known, ", "))
}

func testPolicies(t testing.TB) *declared {
	t.Helper()
	data, err := os.ReadFile("testdata/manifests.json")
	if err != nil {
		t.Fatal(err)
	}
	list, err := abi.ParseManifests(data)
	if err != nil {
		t.Fatal(err)
	}
	return &declared{manifests: list}
}

// show writes a Config as text, one line a fact.
func show(c *Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen %s\nadmin %q\nstate %s\ngeo %q\ntrusted %v\nlimits %+v\n",
		c.Listen, c.Admin, c.State, c.Geo, c.TrustedProxies, c.Limits)
	if !reflect.DeepEqual(c.Ledger, DefaultLedger()) {
		fmt.Fprintf(&b, "ledger %+v\n", c.Ledger)
	}
	if c.Traces != (Traces{}) {
		fmt.Fprintf(&b, "traces %+v\n", c.Traces)
	}
	for _, t := range c.Tenants {
		fmt.Fprintf(&b, "tenant %s hosts %v origin %s preserve %v zone %s dnt %v\n",
			t.Name, t.Hosts, t.Origin, t.PreserveHost, t.Zone, t.Consent.DNT)
		plain := Consent{DNT: t.Consent.DNT, Cookies: consent.DefaultCookieNames()}
		if !reflect.DeepEqual(t.Consent, plain) {
			fmt.Fprintf(&b, "  consent %+v\n", t.Consent)
		}
		if t.Catalogue != nil {
			fmt.Fprintf(&b, "  catalogue %+v\n", *t.Catalogue)
		}
		if t.Fences != nil {
			fmt.Fprintf(&b, "  fences %q\n", t.Fences.Names())
		}
		if t.Canaries != nil {
			fmt.Fprintf(&b, "  canaries %+v\n", *t.Canaries)
		}
		for _, r := range t.Routes {
			fmt.Fprintf(&b, "  route %s\n", r.Path)
			if !r.Items.None() {
				fmt.Fprintf(&b, "    items %q, in the page %v\n", r.Items.Path, r.Items.Page)
			}
			for _, u := range r.Policies {
				fmt.Fprintf(&b, "    use %s at %d:%d: %+v\n", u.Use, u.Line, u.Col, u.Ref)
				for _, s := range u.With {
					fmt.Fprintf(&b, "      %s = %q\n", s.Name, s.Value)
				}
			}
		}
	}
	return b.String()
}

// TestGolden loads config.yaml of every archive of testdata, beside the
// archive's other files, and compares the errors, or else the configuration.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("found %d golden files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			policies := testPolicies(t)
			file, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			for _, f := range a.Files {
				if err := os.MkdirAll(filepath.Dir(f.Name), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(f.Name, f.Data, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			c, err := Load("config.yaml", policies)
			got := ""
			if err != nil {
				var e Errors
				if !errors.As(err, &e) {
					t.Fatalf("error is a %T, want Errors", err)
				}
				got = e.Error() + "\n"
			} else {
				got = show(c)
			}
			i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
			if *update {
				if i < 0 {
					i, a.Files = len(a.Files), append(a.Files, txtar.File{Name: "want"})
				}
				a.Files[i].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			if i < 0 {
				t.Fatal("no section want")
			}
			if want := string(a.Files[i].Data); got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

const minimal = "tenants:\n- {name: a, hosts: [a.example], origin: 'http://127.0.0.1:1'}\n"

// TestBytes is for files that a text archive cannot hold.
func TestBytes(t *testing.T) {
	many := strings.Repeat("x", MaxBytes)
	for _, c := range []struct{ name, in, want string }{
		{"minimal", minimal, ""},
		{"crlf", strings.ReplaceAll(minimal, "\n", "\r\n"), ""},
		{"byte order mark", "\xef\xbb\xbf" + minimal, ""},
		{"no line feed at the end", strings.TrimSuffix(minimal, "\n"), ""},
		{"empty", "", `c.yaml:1:1: the file is empty, expected a mapping with at least the key "tenants"`},
		{"nul", "listen: a\x00b\n" + minimal, `c.yaml:1:10: character U+0000 is not allowed`},
		{"two faults", "# \x01\n#  \x02\n" + minimal, "c.yaml:1:3: character U+0001 is not allowed\nc.yaml:2:4: character U+0002 is not allowed"},
		{"carriage return", "listen: a\rb\n", `c.yaml:1:10: a carriage return without a line feed`},
		{"not utf-8", "# caf\xe9\n" + minimal, `c.yaml:1:6: byte 0xe9 is not UTF-8`},
		{"utf-16", "\xff\xfel\x00", "c.yaml:1:1: byte 0xff is not UTF-8\nc.yaml:1:2: byte 0xfe is not UTF-8\nc.yaml:1:4: character U+0000 is not allowed"},
		{"columns are characters", "# äöü\x7f\n" + minimal, `c.yaml:1:6: character U+007F is not allowed`},
		{"tab", "tenants:\n\t- name: a\n", `c.yaml:2:1: a tab, expected spaces; in a text write "\t" in double quotes`},
		{"tab between", "listen:\t:80\n", `c.yaml:1:8: a tab, expected spaces; in a text write "\t" in double quotes`},
		{"escaped nul", "listen: \"a\\0\"\n" + minimal, `c.yaml:1:9: the text "a\x00" holds the character U+0000, which is not allowed`},
		{"blank lines", strings.Repeat("\n", 101) + minimal, `c.yaml:101:1: more than 100 blank lines in a row`},
		{"some blank lines", "listen: :0\n" + strings.Repeat("\n", 100) + minimal, ""},
		{"blank lines with spaces", "listen: :0\n" + strings.Repeat("  \r\n", 101) + minimal, `c.yaml:102:4: more than 100 blank lines in a row`},
		{"too big", "# " + many, `c.yaml:1:1: the file has more than 1048576 bytes`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("c.yaml", []byte(c.in), testPolicies(t))
			if got := fmt.Sprint(err); err == nil && c.want != "" || err != nil && got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func TestLoadMissing(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), testPolicies(t))
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "open configuration: ") {
		t.Errorf("got %v", err)
	}
	if _, err = Load(t.TempDir(), testPolicies(t)); err == nil || !strings.HasPrefix(err.Error(), "read configuration: ") {
		t.Errorf("a folder: got %v", err)
	}
}

// TestMaxErrors: at most 20, in the order of the file, and it says so.
func TestMaxErrors(t *testing.T) {
	var b strings.Builder
	b.WriteString(minimal)
	for i := range 30 {
		fmt.Fprintf(&b, "unknown%d: x\n", i)
	}
	_, err := Parse("c.yaml", []byte(b.String()), testPolicies(t))
	var e Errors
	if !errors.As(err, &e) || len(e) != MaxErrors {
		t.Fatalf("got %d errors: %v", len(e), err)
	}
	for i, x := range e {
		if x.Line != i+3 || x.Col != 1 {
			t.Errorf("error %d is at %d:%d", i, x.Line, x.Col)
		}
	}
	if !strings.HasSuffix(err.Error(), "\nc.yaml: no more than 20 errors are shown") {
		t.Errorf("got %s", err)
	}
}

// TestManifestOnce: each distinct policy is asked for once.
func TestManifestOnce(t *testing.T) {
	p := testPolicies(t)
	in := minimal + `- name: b
  hosts: [b.example]
  origin: http://127.0.0.1:1
  routes:
  - path: /a
    policies: [{use: plain}, {use: free}, {use: plain}]
  - path: /b
    policies: [{use: plain}, {use: none}, {use: none}]
`
	_, err := Parse("c.yaml", []byte(in), p)
	if want := []Ref{{Name: "plain"}, {Name: "free"}, {Name: "none"}}; !slices.Equal(p.asked, want) {
		t.Errorf("asked for %v, want %v", p.asked, want)
	}
	var e Errors
	if !errors.As(err, &e) || len(e) != 2 {
		t.Errorf("want the unknown policy reported at both places, got %v", err)
	}
}

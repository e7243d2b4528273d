// Package bespoke_test keeps the law of the house: which package may import which.
package bespoke_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A pkg is what `go list -json` says of a package, as far as the law needs it.
type pkg struct {
	ImportPath string
	Imports    []string
}

// only lists, for an import, the packages that may have it. Tests are free.
var only = map[string][]string{
	"github.com/valyala/fasthttp":          {"bespoke/host/edge", "bespoke/host/control"},
	"github.com/tetratelabs/wazero":        {"bespoke/modules/engine"},
	"github.com/oschwald/geoip2-golang":    {"bespoke/geo"},
	"github.com/oschwald/maxminddb-golang": {"bespoke/geo"},
	"github.com/maxmind/mmdbwriter":        {"bespoke/geo/demodb", mutants},
	"github.com/goccy/go-yaml":             {"bespoke/host/config"},
	"github.com/spf13/cobra":               {"bespoke/host/cmd/bespoke"},
	"github.com/nats-io":                   {"bespoke/host/state"},
	"github.com/prometheus":                {"bespoke/host/watch/prom"},
	"github.com/chromedp":                  {"bespoke/host/control/browsertest"},
	"google.golang.org/protobuf":           {},
	"go.opentelemetry.io":                  {},
	"bespoke/host/watch/prom":              {"bespoke/host/cmd/bespoke"},
	"bespoke/host/watch/otlp":              {"bespoke/host/cmd/bespoke"},
	"bespoke/host/edge":                    {"bespoke/host/cmd/bespoke"},
	"bespoke/host/control":                 {"bespoke/host/cmd/bespoke", "bespoke/host/edge", mutants},
}

// mutants is a tool of the tests: it makes visitors, sites and databases of its own.
const mutants = "bespoke/host/audit/mutants"

// leaves import nothing of ours but the contract.
var leaves = []string{"bespoke/geo", "bespoke/host/consent", "bespoke/host/rewrite", "bespoke/host/ledger"}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	n := 0
	for dec.More() {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		n++
		for _, imp := range p.Imports {
			if why := breaks(p.ImportPath, imp); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, why)
			}
		}
	}
	if n < 10 {
		t.Errorf("go list named %d packages; the test shows little", n)
	}
}

// breaks says what law an import breaks, "" for none.
func breaks(from, imp string) string {
	ours := strings.HasPrefix(imp, "bespoke/")
	switch {
	case from == "bespoke/modules/abi" && ours:
		return "the contract imports nothing of this project"
	case slices.Contains(leaves, from) && ours && imp != "bespoke/modules/abi":
		return "a leaf imports only the contract"
	case strings.HasPrefix(from, "bespoke/modules/") && strings.HasPrefix(imp, "bespoke/host/"):
		return "modules never import host"
	case strings.HasPrefix(from, "bespoke/examples") && ours:
		return "an origin knows nothing of the edge"
	}
	for path, may := range only {
		if (imp == path || strings.HasPrefix(imp, path+"/")) && !slices.Contains(may, from) && !strings.HasPrefix(from, path) {
			return "only " + strings.Join(may, ", ") + " may"
		}
	}
	return ""
}

func TestLawIsALaw(t *testing.T) {
	for _, broken := range [][2]string{
		{"bespoke/modules/abi", "bespoke/geo"},
		{"bespoke/host/consent", "bespoke/geo"},
		{"bespoke/geo", "bespoke/host/config"},
		{"bespoke/modules/engine", "bespoke/host/edge"},
		{"bespoke/host/rewrite", "github.com/valyala/fasthttp"},
		{"bespoke/host/edge", "github.com/tetratelabs/wazero/api"},
		{"bespoke/host/edge", "github.com/oschwald/geoip2-golang/v2"},
	} {
		if breaks(broken[0], broken[1]) == "" {
			t.Errorf("%s may import %s", broken[0], broken[1])
		}
	}
	if why := breaks("bespoke/host/edge", "bespoke/geo"); why != "" {
		t.Errorf("host/edge may not import geo: %s", why)
	}
}

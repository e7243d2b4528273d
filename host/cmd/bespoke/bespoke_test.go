package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bespoke/geo/demodb"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){
		"bespoke": main,
	})
}

// tests are all of this package, after which nothing of them is left.
type tests struct{ *testing.M }

func (m tests) Run() int {
	defer func() { os.RemoveAll(compiled()) }()
	return m.M.Run()
}

// compiled is the folder of compiled policies that the edges of all tests share: to
// compile the built-in ones takes a processor seconds.
var compiled = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "bespoke-test-compiled-")
	if err != nil {
		panic(err)
	}
	return dir
})

// shareCompiled has the edge that will keep its state in a folder share compiled.
func shareCompiled(t testing.TB, state string) {
	t.Helper()
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(compiled(), filepath.Join(state, "cache")); err != nil {
		t.Fatal(err)
	}
}

// The command as a user meets it: each file in testdata/script is a session.
// $ORIGIN is a real site, $PORT a free port, places.mmdb the demo's database.
func TestScript(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte("<ul id=results><li data-lat=52.5 data-lon=13.4>Berlin</li><li data-lat=37.8 data-lon=-122.4>San Francisco</li></ul>\n"))
	}))
	defer origin.Close()
	state := t.TempDir()
	shareCompiled(t, state)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			defer ln.Close()
			_, port, _ := net.SplitHostPort(ln.Addr().String())
			e.Setenv("PORT", port)
			e.Setenv("ORIGIN", origin.URL)
			e.Setenv("STATE", state)
			var db bytes.Buffer
			if err := demodb.Build(&db); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "places.mmdb"), db.Bytes(), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"expand": expand,
			"record": recordLedger,
		},
	})
}

// expand rewrites files with the environment's variables filled in.
func expand(ts *testscript.TestScript, neg bool, files []string) {
	for _, f := range files {
		text := os.Expand(ts.ReadFile(f), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o600))
	}
}

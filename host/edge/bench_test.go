package edge

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/geo"
	"bespoke/geo/demodb"
	"bespoke/host/ledger"
	"bespoke/host/profile"
)

// The benchmarks here measure what an exchange costs the edge, as a multiple of
// what it costs a bare fasthttp reverse proxy, in CPU time and in one run. The
// two, and the origin, are processes of their own (this test binary, started
// again in a role), so that nothing of the load or of the origin is counted.

const roleVar = "BESPOKE_BENCH_ROLE"

// roles are what this binary can be started as; each prints its address, and
// serves until its standard input ends.
var roles = map[string]func() (net.Addr, error){
	"origin": serveOrigin,
	"bare":   serveBare,
	"edge":   serveEdge,
}

func playRole(name string) {
	play := roles[name]
	if play == nil {
		fmt.Fprintln(os.Stderr, "no such role:", name)
		os.Exit(2)
	}
	addr, err := play()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(addr)
	if dir := os.Getenv("BESPOKE_BENCH_PROFILE"); dir != "" {
		if as := os.Getenv("BESPOKE_BENCH_NAME"); as != "" { // of two of a role
			name = as
		}
		f, err := os.Create(filepath.Join(dir, name+".prof"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		pprof.StartCPUProfile(f)
		defer f.Close()
		defer pprof.StopCPUProfile()
		if g, err := os.Create(filepath.Join(dir, name+".allocs.prof")); err == nil {
			defer g.Close()
			defer pprof.Lookup("allocs").WriteTo(g, 0)
		}
	}
	io.Copy(io.Discard, os.Stdin)
}

func serveOn(handler fasthttp.RequestHandler) (net.Addr, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go (&fasthttp.Server{Handler: handler}).Serve(ln)
	return ln.Addr(), nil
}

func serveOrigin() (net.Addr, error) {
	page, stores, shelves := []byte(benchPage()), []byte(benchJSON()), []byte(benchShelves())
	return serveOn(func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.Set("Cache-Control", "public, max-age=60")
		ctx.Response.Header.Set("Etag", `"v1"`)
		if string(ctx.Path()) == "/json" {
			ctx.SetContentType("application/json")
			ctx.SetBody(stores)
			return
		}
		ctx.SetContentType("text/html; charset=utf-8")
		if string(ctx.Path()) == "/follow" {
			ctx.SetBody(shelves)
			return
		}
		ctx.SetBody(page)
	})
}

// serveBare is the anchor: the least that a fasthttp reverse proxy does.
func serveBare() (net.Addr, error) {
	client := &fasthttp.HostClient{Addr: os.Getenv("BESPOKE_BENCH_ORIGIN"), MaxConns: 512}
	return serveOn(func(ctx *fasthttp.RequestCtx) {
		ctx.Request.Header.Del("Connection")
		if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
			ctx.Error("origin", fasthttp.StatusBadGateway)
			return
		}
		ctx.Response.Header.Del("Connection")
	})
}

func serveEdge() (net.Addr, error) {
	dir := os.Getenv("BESPOKE_BENCH_DIR")
	ctx := context.Background()
	site, modules, err := Load(ctx, filepath.Join(dir, "bespoke.yaml"), nil)
	if err != nil {
		return nil, err
	}
	db, err := geo.Open(site.Geo)
	if err != nil {
		return nil, err
	}
	sealer, err := profile.NewSealer(profile.Key{1})
	if err != nil {
		return nil, err
	}
	learners, err := OpenRecommenders(filepath.Join(dir, "recommend"), site, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	c := Config{Site: site, Modules: modules, Geo: db, Sealer: sealer, Recommenders: learners}
	if dir := os.Getenv("BESPOKE_BENCH_LEDGER"); dir != "" {
		l, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "ledger"), Keys: filepath.Join(dir, "keys")})
		if err != nil {
			return nil, err
		}
		c.Ledger = l
	}
	e, err := New(c)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go e.Serve(ln)
	return ln.Addr(), nil
}

// A player is this binary in a role.
type player struct {
	cmd  *exec.Cmd
	addr string
	hold io.WriteCloser
}

func startRole(b *testing.B, role string, env ...string) *player {
	b.Helper()
	return start(b, exec.Command(os.Args[0]), role, env...)
}

// start starts cmd, which is this binary, in a role.
func start(b *testing.B, cmd *exec.Cmd, role string, env ...string) *player {
	b.Helper()
	p := &player{cmd: cmd}
	p.cmd.Env = append(os.Environ(), append(env, roleVar+"="+role, "GOMAXPROCS=1")...)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if p.hold, err = p.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.hold.Close(); p.cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatalf("%s: %v", role, err)
	}
	p.addr = strings.TrimSpace(line)
	return p
}

// cpu returns the CPU time that the process has used, over all its threads,
// from the scheduler's own account (Linux, /proc/PID/task/TID/schedstat).
func (p *player) cpu(b *testing.B) time.Duration {
	b.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	var sum time.Duration
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	if sum == 0 {
		b.Skip("measures CPU time by /proc/PID/task/*/schedstat, which is not there: Linux with CONFIG_SCHED_INFO has it run")
	}
	return sum
}

// load sends n requests over 64 kept connections and returns the CPU time that
// one cost the process.
func (p *player) load(b *testing.B, n int, header map[string]string) time.Duration {
	b.Helper()
	client := &fasthttp.HostClient{Addr: p.addr, MaxConns: 64, ReadBufferSize: 16 << 10}
	defer client.CloseIdleConnections()
	send := func(n int) {
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				defer fasthttp.ReleaseRequest(req)
				defer fasthttp.ReleaseResponse(resp)
				for range n / 64 {
					req.SetRequestURI("http://shop.localhost/")
					req.UseHostHeader = true
					req.Header.SetHost("shop.localhost")
					for k, v := range header {
						req.Header.Set(k, v)
					}
					if err := client.Do(req, resp); err != nil || resp.StatusCode() != 200 || len(resp.Body()) < 1000 {
						b.Errorf("%v, status %d, %d bytes", err, resp.StatusCode(), len(resp.Body()))
						return
					}
				}
			})
		}
		wg.Wait()
	}
	send(n / 10) // warm up
	before := p.cpu(b)
	send(n)
	return (p.cpu(b) - before) / time.Duration(n)
}

// browserHeader is what a visitor's browser sends along.
var browserHeader = map[string]string{
	"User-Agent":      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
	"Accept":          "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"Accept-Language": "en-US,en;q=0.5",
	"X-Forwarded-For": sanFrancisco,
}

// benchSite writes the configuration of a site, with the demo's places, and
// returns its folder.
func benchSite(b *testing.B, origin, routes string, more ...string) string {
	b.Helper()
	dir := b.TempDir()
	var db bytes.Buffer
	if err := demodb.Build(&db); err != nil {
		b.Fatal(err)
	}
	yaml := fmt.Sprintf(`state: %q
geo: places.mmdb
trusted_proxies: [127.0.0.0/8]
tenants:
  - name: shop
    hosts: [shop.localhost]
    origin: http://%s
    routes: %s
%s`, cache(), origin, routes, strings.Join(more, ""))
	for name, text := range map[string]string{"bespoke.yaml": yaml, "places.mmdb": db.String(), "items.jsonl": benchCatalogue()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func against(b *testing.B, routes string, n int) {
	origin := startRole(b, "origin")
	dir := benchSite(b, origin.addr, routes)
	bare := startRole(b, "bare", "BESPOKE_BENCH_ORIGIN="+origin.addr)
	edge := startRole(b, "edge", "BESPOKE_BENCH_DIR="+dir)
	for b.Loop() {
		// In turn, pair by pair: a machine that slows down for a while slows
		// both of a pair. The median pair is what is reported.
		const rounds = 9
		var ratios, bares, edges []float64
		for range rounds {
			x := bare.load(b, n, browserHeader)
			y := edge.load(b, n, browserHeader)
			bares = append(bares, float64(x.Nanoseconds())/1000)
			edges = append(edges, float64(y.Nanoseconds())/1000)
			ratios = append(ratios, float64(y)/float64(x))
		}
		for _, l := range [][]float64{ratios, bares, edges} {
			slices.Sort(l)
		}
		b.ReportMetric(bares[rounds/2], "bare-cpu-µs/req")
		b.ReportMetric(edges[rounds/2], "edge-cpu-µs/req")
		b.ReportMetric(ratios[rounds/2], "edge/bare")
		b.ReportMetric(0, "ns/op")
	}
}

// A site without policies. Goal: at most 1.15 times the bare proxy.
func BenchmarkPassThrough(b *testing.B) { against(b, "[]", 10000) }

// A page with policies for a visitor in whom nothing personal is used.
func BenchmarkNearbyAndGreet(b *testing.B) { against(b, nearbyAndGreet, 6400) }

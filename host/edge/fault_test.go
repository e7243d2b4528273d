package edge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/modules/abi"
)

// raw is an origin that speaks bytes: each connection gets the answer, then is closed.
func raw(t testing.TB, answer func(net.Conn)) string {
	t.Helper()
	return speaker(t, func(c net.Conn, _ *http.Request) {
		answer(c)
		c.Close()
	})
}

func TestOriginFaults(t *testing.T) {
	closed := func() string {
		ln, _ := net.Listen("tcp", "127.0.0.1:0")
		defer ln.Close()
		return ln.Addr().String()
	}()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for _, tt := range []struct {
		name   string
		origin string
		status int
		text   string
	}{
		{"down", closed, 502, "cannot be reached"},
		{"slow", raw(t, func(net.Conn) { <-hang }), 504, "too long"},
		{"closes without a word", raw(t, func(net.Conn) {}), 502, "cannot be reached"},
		{"garbage", raw(t, func(c net.Conn) { io.WriteString(c, "hello\r\n\r\n") }), 502, "cannot be understood"},
		{"header over the limit", raw(t, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 100000)+"\r\n\r\n")
		}), 502, "cannot be understood"},
		{"dies in its header", raw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le") }), 502, ""},
		{"switches protocols", raw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n") }), 502, "cannot be understood"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil, originAt(tt.origin), extra("limits: {origin_timeout: 300ms, origin_connect_timeout: 300ms}"))
			began := time.Now()
			resp, body := r.visitor(berlin).get("/")
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.text) {
				t.Errorf("%d %q, want %d and %q", resp.StatusCode, body, tt.status, tt.text)
			}
			if resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control: %s", resp.Header.Get("Cache-Control"))
			}
			if strings.Contains(body, "127.0.0.1") || strings.Contains(body, "dial") {
				t.Errorf("internal text was sent: %s", body)
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
			// The edge is not the worse for it.
			if resp, _ := r.visitor(berlin).get("/_bespoke/privacy"); resp.StatusCode != 200 {
				t.Errorf("afterwards: %s", resp.Status)
			}
		})
	}
}

// An origin that dies in the middle of a body gives an aborted transfer, never
// one that looks whole.
func TestOriginDiesMidBody(t *testing.T) {
	const headers = "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n"
	half := page[:len(page)/2]
	reset := func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }
	zipped := encode(t, "gzip", strings.Repeat(page, 50))
	for _, contentType := range []string{"text/html; charset=utf-8", "text/plain"} {
		for name, answer := range map[string]func(net.Conn){
			"short length": func(c net.Conn) {
				fmt.Fprintf(c, headers+"%s", contentType, fmt.Sprintf("Content-Length: %d\r\n", len(page)), half)
			},
			"short large length": func(c net.Conn) {
				fmt.Fprintf(c, headers+"%s", contentType, "Content-Length: 10000000\r\n", strings.Repeat(half, 1000))
			},
			"unfinished chunks": func(c net.Conn) {
				fmt.Fprintf(c, headers+"%x\r\n%s\r\n", contentType, "Transfer-Encoding: chunked\r\n", len(half), half)
			},
			"a chunk cut": func(c net.Conn) {
				fmt.Fprintf(c, headers+"%x\r\n%s", contentType, "Transfer-Encoding: chunked\r\n", len(page), half)
			},
			"reset": func(c net.Conn) {
				fmt.Fprintf(c, headers+"%s", contentType, fmt.Sprintf("Content-Length: %d\r\n", len(page)), half)
				time.Sleep(20 * time.Millisecond) // let it be read before the reset
				reset(c)
			},
			"gzip cut": func(c net.Conn) {
				fmt.Fprintf(c, headers+"%x\r\n%s\r\n0\r\n\r\n", contentType, "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", len(zipped)/2, zipped[:len(zipped)/2])
			},
		} {
			if name == "gzip cut" && contentType == "text/plain" {
				continue // passes as it is: the message is whole
			}
			t.Run(contentType[:9]+"/"+name, func(t *testing.T) {
				r := newRig(t, nil, originAt(raw(t, answer)))
				req, _ := http.NewRequest("GET", r.url+"/", nil)
				req.Host = "shop.localhost"
				req.Header.Set("Accept-Encoding", "gzip")
				req.Header.Set("X-Forwarded-For", sanFrancisco)
				resp, err := r.visitor("").client.Do(req)
				if err != nil {
					// A small answer that passes as it is was not sent yet.
					if !errors.Is(err, io.EOF) || contentType != "text/plain" {
						t.Errorf("no answer: %v", err)
					}
					return
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err == nil {
					t.Errorf("%s, %d bytes, and a clean end", resp.Status, len(body))
				}
				if len(body) == 0 && name != "gzip cut" {
					t.Error("what came before is lost")
				}
			})
		}
	}
}

// A small answer that unpacks to gigabytes is cut off at the limit.
func TestDecompressionBomb(t *testing.T) {
	for _, coding := range []string{"gzip", "br"} {
		bomb := encode(t, coding, strings.Repeat("<p>boom</p>", 1<<20))
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Encoding", coding)
			io.WriteString(w, bomb)
		}), extra("limits: {decoded_body_bytes: 1MiB}"))
		req, _ := http.NewRequest("GET", r.url+"/", nil)
		req.Host = "shop.localhost"
		req.Header.Set("Accept-Encoding", "identity")
		resp, err := r.visitor("").client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err == nil || n > 1<<20+64<<10 {
			t.Errorf("%s: %d bytes came, error %v; the limit is 1 MiB", coding, n, err)
		}
	}
}

func TestVisitorFaults(t *testing.T) {
	r := newRig(t, html(page), extra("limits: {header_bytes: 4KiB, request_body_bytes: 64KiB, read_timeout: 500ms}"))
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"header too large", "GET / HTTP/1.1\r\nHost: shop.localhost\r\nX: " + strings.Repeat("x", 8000) + "\r\n\r\n", 431},
		{"body too large", "POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 20000), 413},
		{"chunked body too large", "POST / HTTP/1.1\r\nHost: shop.localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("8000\r\n"+strings.Repeat("x", 0x8000)+"\r\n", 4) + "0\r\n\r\n", 413},
		{"slow header", "GET / HTTP/1.1\r\nHost: sh", 408},
		{"slow body", "POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 100\r\n\r\nabc", 408},
		{"no request", "hello\r\n\r\n", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			go io.WriteString(c, tt.request)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			if resp.StatusCode != tt.status {
				t.Errorf("%s, want %d", resp.Status, tt.status)
			}
		})
	}
}

// Ten thousand malformed requests: the edge answers or hangs up, goes on
// serving, and holds no more memory or goroutines than before.
func TestMalformedRequests(t *testing.T) {
	r := newRig(t, html(page), extra("limits: {read_timeout: 2s}"))
	v := r.visitor(berlin)
	v.get("/")
	rnd := rand.New(rand.NewPCG(7, 7))
	whole := "POST /a/b?c=d HTTP/1.1\r\nHost: shop.localhost\r\nContent-Type: text/html\r\nCookie: bespoke-choice=abc; a=b\r\nX-Forwarded-For: 198.51.100.7\r\nAccept-Encoding: gzip;q=1\r\nContent-Length: 5\r\n\r\nhello"
	send := func(b []byte) {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		c.Write(b)
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
	}
	load := func(n int) {
		for range n {
			b := []byte(whole)
			switch rnd.IntN(4) {
			case 0: // flip bytes
				for range 1 + rnd.IntN(8) {
					b[rnd.IntN(len(b))] = byte(rnd.UintN(256))
				}
			case 1: // cut
				b = b[:rnd.IntN(len(b))]
			case 2: // repeat a piece
				i := rnd.IntN(len(b))
				j := i + rnd.IntN(len(b)-i)
				b = append(b[:j:j], append(bytes.Repeat(b[i:j], 1+rnd.IntN(5)), b[j:]...)...)
			case 3: // noise
				b = make([]byte, rnd.IntN(300))
				for i := range b {
					b[i] = byte(rnd.UintN(256))
				}
			}
			send(b)
		}
	}
	load(1000) // fill pools
	before := usage()
	load(9000)
	after := usage()
	if resp, body := v.get("/"); resp.StatusCode != 200 || body != page+privacyLink {
		t.Errorf("afterwards: %s %q", resp.Status, body)
	}
	if after.heap > before.heap+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before.heap, after.heap)
	}
	if after.goroutines > before.goroutines+20 {
		t.Errorf("goroutines grew from %d to %d", before.goroutines, after.goroutines)
	}
}

type used struct {
	heap       uint64
	goroutines int
}

func usage() used {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return used{m.HeapAlloc, runtime.NumGoroutine()}
}

// A policy that misbehaves costs its edits, and nothing else: the page goes
// out as the origin sent it, with the privacy controls.
func TestPolicyFaults(t *testing.T) {
	emitThenTrap := join(i32(int(abi.OpText)), i32(0), i32(9), i32(9), i32(4), i32(0), i32(0), []byte{0x10, callEmit, 0x1a, 0x00})
	for name, code := range map[string][]byte{
		"half done": emitThenTrap,
		"loop":      {0x03, 0x40, 0x0c, 0x00, 0x0b}, // loop br 0 end
		"trap":      {0x00},                         // unreachable
		"grow":      {0x41, 0x80, 0x80, 0x04, 0x40, 0x00, 0x41, 0x7f, 0x46, 0x04, 0x40, 0x00, 0x0b},
		"call out":  {0x41, 0x01, 0x41, 0x7f, 0x41, 0x7f, 0x10, callLog}, // log from beyond the memory
	} {
		t.Run(name, func(t *testing.T) {
			file := t.TempDir() + "/bad.wasm"
			if err := os.WriteFile(file, module(code, []byte("#greetinghalf"), nil), 0o600); err != nil {
				t.Fatal(err)
			}
			r := newRig(t, html(page), routes(`[{path: /**, policies: [{use: "file:`+file+`"}, {use: nearby, with: {list: "#results"}}]}]`),
				extra("limits: {policy: {time: 200ms}}"))
			if _, body := r.visitor(berlin).get("/"); body != page+privacyLink {
				t.Errorf("not the origin's bytes and the link:\n%s", body)
			}
			if _, body := r.visitor(sanFrancisco).get("/"); cities(body) != fromSF {
				t.Errorf("another policy suffered: %s", cities(body))
			}
			if !strings.Contains(r.log.String(), "policy failed") {
				t.Errorf("the failure is not in the log:\n%s", r.log)
			}
		})
	}
}

// No request that has arrived is lost when the edge stops under load.
func TestShutdownLosesNothing(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		html(page).ServeHTTP(w, req)
	}))
	var done, refused atomic.Int64
	var wg sync.WaitGroup
	var lost sync.Map
	stop := make(chan struct{})
	for i := range 16 {
		wg.Go(func() {
			// Half keep their connection, half make one for each request.
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0, DisableCompression: true}}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				// A POST is not retried by the client behind our back.
				req, _ := http.NewRequest("POST", r.url+"/", strings.NewReader("x"))
				req.Host = "shop.localhost"
				resp, err := client.Do(req)
				if err != nil {
					var op *net.OpError
					if errors.As(err, &op) && op.Op == "dial" {
						refused.Add(1) // the listener is gone: it never arrived
						return
					}
					lost.Store(err.Error(), true)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(body) != page+privacyLink {
					lost.Store(fmt.Sprintf("%s, %d bytes, %v", resp.Status, len(body), err), true)
					return
				}
				done.Add(1)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := r.edge.Shutdown(ctx)
	close(stop)
	wg.Wait()
	r.edge = nil
	if err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-r.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	lost.Range(func(k, _ any) bool { t.Errorf("lost: %v", k); return true })
	if done.Load() < 16 {
		t.Errorf("only %d requests were answered; the test shows little", done.Load())
	}
}

// A connection that never sent anything does not hold a stop up.
func TestShutdownWaitsForNoSilence(t *testing.T) {
	r := newRig(t, html(page))
	for range 4 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	r.visitor(berlin).get("/")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.edge.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	r.edge = nil
}

// A reload takes effect for the next exchange, and disturbs none that runs.
func TestReloadUnderLoad(t *testing.T) {
	r := newRig(t, html(page))
	var wg sync.WaitGroup
	var failed atomic.Value
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			v := r.visitor(sanFrancisco)
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, body := v.get("/")
				if got := cities(body); resp.StatusCode != 200 || got != fromSF && got != originOrder {
					failed.Store(fmt.Sprintf("%s %q", resp.Status, got))
					return
				}
			}
		})
	}
	v := r.visitor(sanFrancisco)
	for i := range 10 {
		c := rigConfig{routes: nearbyAndGreet, trust: "127.0.0.0/8", origin: r.origin.Listener.Addr().String()}
		want := fromSF
		if i%2 == 0 {
			c.routes, want = "[]", originOrder
		}
		r.configure(c)
		site, modules, err := Load(context.Background(), r.config(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.edge.Reload(site, modules, r.edge.current.Load().geo); err != nil {
			t.Fatal(err)
		}
		if _, body := v.get("/"); cities(body) != want {
			t.Errorf("reload %d: %s, want %s", i, cities(body), want)
		}
	}
	close(stop)
	wg.Wait()
	if f := failed.Load(); f != nil {
		t.Errorf("an exchange failed: %v", f)
	}
}

// speaker is an origin that answers each request on a kept connection with what
// answer says, byte for byte.
func speaker(t testing.TB, answer func(c net.Conn, r *http.Request)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(b)
					if err != nil {
						return
					}
					io.Copy(io.Discard, r.Body)
					answer(c, r)
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// What an origin sends beyond its answer is never taken for the next visitor's.
func TestNoAnswerReachesAnother(t *testing.T) {
	for name, extra := range map[string]string{
		"bytes after the body":     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
		"a body where none may be": "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
		"a switch of protocols":    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
	} {
		t.Run(name, func(t *testing.T) {
			said := make(chan struct{}, 64)
			r := newRig(t, nil, routes("[]"), originAt(speaker(t, func(c net.Conn, req *http.Request) {
				if req.URL.Path == "/evil" {
					head, tail, _ := strings.Cut(extra, "HTTP/1.1 200 OK\r\nContent-Length: 6")
					io.WriteString(c, head)
					time.Sleep(5 * time.Millisecond) // in a segment of its own
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6"+tail)
					said <- struct{}{}
					return
				}
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
			})))
			for range 20 {
				r.visitor(berlin).get("/evil")
				<-said // what came after the next request could be its answer, for all that anybody can tell
				if _, body := r.visitor(sanFrancisco).get("/"); strings.Contains(body, "POISON") {
					t.Fatalf("a visitor got %q", body)
				}
			}
		})
	}
}

// A POST is not lost because the origin closed a kept connection meanwhile, and
// never sent twice.
func TestStaleConnections(t *testing.T) {
	var posts atomic.Int64
	r := newRig(t, nil, routes("[]"), originAt(speaker(t, func(c net.Conn, req *http.Request) {
		posts.Add(1)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		c.Close() // without a word
	})))
	v := r.visitor(berlin)
	for i := range 20 {
		if resp, _ := v.do("POST", "/", strings.NewReader("x")); resp.StatusCode != 200 {
			t.Fatalf("POST %d: %s", i, resp.Status)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if n := posts.Load(); n != 20 {
		t.Errorf("the origin got %d of 20 POSTs", n)
	}
}

// Memory follows what came, not what a header announced.
func TestAnnouncedBodies(t *testing.T) {
	r := newRig(t, html(page), extra("limits: {read_timeout: 20s}"))
	r.visitor(berlin).get("/")
	before := usage()
	for range 64 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 16000000\r\n\r\n")
	}
	time.Sleep(300 * time.Millisecond)
	if after := usage(); after.heap > before.heap+16<<20 {
		t.Errorf("64 headers took %d MiB", (after.heap-before.heap)>>20)
	}
}

func TestUploads(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		n, err := io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, n, err, len(req.Trailer), req.Header["X-User"])
	}), extra("limits: {request_body_bytes: 1MiB}"))
	v := r.visitor(berlin)
	for _, size := range []int{0, 1, freeUpload, freeUpload + 1, 500000, 1 << 20} {
		for name, body := range map[string]io.Reader{
			"measured": strings.NewReader(strings.Repeat("x", size)),
			"chunked":  io.MultiReader(strings.NewReader(strings.Repeat("x", size))),
		} {
			resp, got := v.do("POST", "/", body)
			if want := fmt.Sprint(size, nil, 0, []string(nil)); resp.StatusCode != 200 || got != want {
				t.Errorf("%d bytes, %s: %s %q, want %q", size, name, resp.Status, got, want)
			}
		}
	}
	for name, body := range map[string]io.Reader{
		"measured": strings.NewReader(strings.Repeat("x", 1<<20+1)),
		"chunked":  io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20+1))),
	} {
		req, _ := http.NewRequest("POST", r.url, body)
		req.Host = "shop.localhost"
		resp, err := v.client.Do(req)
		if err == nil && resp.StatusCode != 413 {
			t.Errorf("over the limit, %s: %s", name, resp.Status)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	// A body that breaks off never reaches the origin as if it were whole.
	cut, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer cut.Close()
	fmt.Fprintf(cut, "POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 200000\r\n\r\n%s", strings.Repeat("x", 100000))
	cut.(*net.TCPConn).CloseWrite()
	if resp, err := http.ReadResponse(bufio.NewReader(cut), nil); err == nil && resp.StatusCode != 400 {
		t.Errorf("a body that broke off: %s", resp.Status)
	}
	// A trailer field never becomes a header field.
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: shop.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-User\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-User: admin\r\n\r\n")
	all, _ := io.ReadAll(c)
	if !strings.HasSuffix(string(all), fmt.Sprint(3, nil, 0, []string(nil))) {
		t.Errorf("the origin saw %s", all[max(0, len(all)-60):])
	}
}

// What only a policy's header edits made is one visitor's alone, too.
func TestHeaderEditsArePrivate(t *testing.T) {
	code := join(i32(int(abi.OpSetHeader)), i32(0), i32(6), i32(6), i32(4), i32(0), i32(0), []byte{0x10, callEmit, 0x1a})
	file := t.TempDir() + "/header.wasm"
	policy := module(code, []byte("X-Cityhere"), nil)
	// As a request policy: the export's name is as long.
	policy = bytes.Replace(policy, []byte("\x0bon_response"), []byte("\x0aon_request"), 1)
	i := bytes.Index(policy, []byte("\x0aon_request")) - len("\x02\x06memory\x02\x00") - 1
	policy[i]-- // the section is a byte shorter
	if err := os.WriteFile(file, policy, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=600")
		w.Header().Set("Surrogate-Control", "max-age=600")
		w.Header().Set("ETag", `"v1"`)
		io.WriteString(w, "{}")
	}), routes(`[{path: /**, policies: [{use: "file:`+file+`"}]}]`))
	for _, method := range []string{"GET", "HEAD"} {
		resp, _ := r.visitor(sanFrancisco).do(method, "/", nil)
		if resp.Header.Get("X-City") != "here" || resp.Header.Get("Cache-Control") != "private, no-store" || resp.Header.Get("ETag") != "" || resp.Header.Get("Surrogate-Control") != "" {
			t.Errorf("%s: %v", method, resp.Header)
		}
	}
}

// Hosts and targets that name two sites, or none.
func TestHostConfusion(t *testing.T) {
	r := newRig(t, html(page))
	for request, want := range map[string]int{
		"GET http://shop.localhost/ HTTP/1.1\r\nHost: shop.localhost\r\n\r\n":                                         200,
		"GET http://shop.localhost/ HTTP/1.1\r\nHost: evil.test\r\n\r\n":                                              400,
		"GET //shop.localhost/x://y HTTP/1.1\r\nHost: evil.test\r\n\r\n":                                              421,
		"GET / HTTP/1.1\r\nHost: a:b@shop.localhost\r\n\r\n":                                                          400,
		"GET / HTTP/1.1\r\nHost: shop.localhost/\r\n\r\n":                                                             400,
		"GET / HTTP/9.7\r\nHost: shop.localhost\r\n\r\n":                                                              505,
		"POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
	} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, request)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		c.Close()
		if err != nil || resp.StatusCode != want && !(want == 421 && resp.StatusCode == 400) {
			t.Errorf("%q: %v %v, want %d", request, resp, err, want)
		}
	}
}

package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// sized answers with a body of n bytes after a header of more than so many.
func sized(w http.ResponseWriter, contentType string, header int, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.Header().Set("X-Long", strings.Repeat("h", header))
	io.WriteString(w, body)
}

// pageOf is a page of about n bytes whose edits are at both ends.
func pageOf(n int) string {
	a, z, _ := strings.Cut(page, "<p>the end</p>")
	var b strings.Builder
	b.WriteString(a)
	for i := 0; b.Len() < n-len(z); i++ {
		fmt.Fprintf(&b, "<p>%d %s</p>\n", i, strings.Repeat("text ", 7))
	}
	return b.String() + z
}

// Bodies of every size around those of buffers, after headers shorter and
// longer than the server's buffer, one after the other and several at once over
// one connection: each arrives whole, under its own header.
func TestWholeBodies(t *testing.T) {
	var sizes [][2]int // header, body
	for _, header := range []int{0, 3000, 6000} {
		for _, n := range []int{0, 1, 500, 3500, 4096, 5000, 8192, 30000, 100000, wholeBody - 1, wholeBody, wholeBody + 1} {
			sizes = append(sizes, [2]int{header, n})
		}
	}
	for name, tt := range map[string]struct{ routes, kind string }{
		"passed":    {"[]", "text/html; charset=utf-8"},
		"no page":   {nearbyAndGreet, "application/octet-stream"},
		"rewritten": {nearbyAndGreet, "text/html; charset=utf-8"},
	} {
		bodies := make([]string, len(sizes))
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			var i int
			fmt.Sscan(strings.TrimPrefix(req.URL.Path, "/"), &i)
			sized(w, tt.kind, sizes[i][0], bodies[i])
		}), routes(tt.routes))
		want := make([]string, len(sizes))
		for i, s := range sizes {
			switch {
			case name != "rewritten":
				bodies[i] = strings.Repeat("x", s[1])
				want[i] = bodies[i]
			case s[1] < len(page):
				bodies[i] = strings.Repeat("x", s[1])
				want[i] = bodies[i] + privacyLink
			default:
				bodies[i] = pageOf(s[1])
				want[i] = bodies[i] + privacyLink
			}
		}
		for _, atOnce := range []int{1, 3, len(sizes)} {
			t.Run(fmt.Sprintf("%s, %d at once", name, atOnce), func(t *testing.T) {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(30 * time.Second))
				in := bufio.NewReader(c)
				for from := 0; from < len(sizes); from += atOnce {
					to := min(from+atOnce, len(sizes))
					var ask strings.Builder
					for i := from; i < to; i++ {
						fmt.Fprintf(&ask, "GET /%d HTTP/1.1\r\nHost: shop.localhost\r\nX-Forwarded-For: %s\r\n\r\n", i, nowhere)
					}
					go io.WriteString(c, ask.String())
					for i := from; i < to; i++ {
						resp, err := http.ReadResponse(in, nil)
						if err != nil {
							t.Fatalf("header %d, body %d: %v", sizes[i][0], sizes[i][1], err)
						}
						got, err := io.ReadAll(resp.Body)
						if err != nil || string(got) != want[i] || len(resp.Header.Get("X-Long")) != sizes[i][0] {
							t.Fatalf("header %d, body %d: %v, %d bytes, want %d", sizes[i][0], sizes[i][1], err, len(got), len(want[i]))
						}
					}
				}
			})
		}
	}
}

// A visitor who takes nothing of a body, and then goes: the exchange ends, and
// so nothing that it held stays.
func TestVisitorLeavesABody(t *testing.T) {
	body := pageOf(wholeBody - 1000)
	for name, routes := range map[string]rigOption{"passed": routes("[]"), "rewritten": routes(nearbyAndGreet)} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, html(body), routes)
			snap := r.edge.current.Load()
			for range 20 {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				c.SetDeadline(time.Now().Add(10 * time.Second))
				c.(*net.TCPConn).SetReadBuffer(2048)
				for range 20 { // more than the system buffers
					io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
				}
				if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
				c.Close()
			}
			for until := time.Now().Add(10 * time.Second); snap.refs.Load() > 1; time.Sleep(time.Millisecond) {
				if time.Now().After(until) {
					t.Fatalf("%d exchanges have not ended", snap.refs.Load()-1)
				}
			}
			if _, got := r.visitor(nowhere).get("/"); len(got) < len(body) {
				t.Errorf("afterwards: %d bytes", len(got))
			}
		})
	}
}

// A page that is rewritten in memory becomes what it becomes as a stream, to
// the byte, also for a visitor who takes it slowly.
func TestInOneAsStreamed(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var n int
		fmt.Sscan(req.URL.Query().Get("n"), &n)
		body := pageOf(n)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if req.URL.Path == "/whole" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		io.WriteString(w, body)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}))
	v := r.visitor(sanFrancisco)
	v.choose("action=allow-all&name=Jane")
	for _, n := range []int{0, 3000, 5000, 9000, 30000, 70000, wholeBody - 100} {
		whole, a := v.get(fmt.Sprintf("/whole?n=%d", n))
		streamed, b := v.get(fmt.Sprintf("/streamed?n=%d", n))
		if whole.ContentLength != int64(len(a)) || streamed.ContentLength != -1 {
			t.Fatalf("%d: lengths %d and %d", n, whole.ContentLength, streamed.ContentLength)
		}
		if a != b || cities(a) != fromSF || !strings.Contains(a, "Welcome back, Jane") {
			t.Errorf("%d: in one\n%.600s\nstreamed\n%.600s", n, a, b)
		}
	}

	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	c.(*net.TCPConn).SetReadBuffer(64 << 10)
	const times = 32 // more than the system buffers
	for range times {
		fmt.Fprintf(c, "GET /whole?n=%d HTTP/1.1\r\nHost: shop.localhost\r\nX-Forwarded-For: %s\r\n\r\n", wholeBody-100, nowhere)
	}
	in := bufio.NewReaderSize(c, 4096)
	want := pageOf(wholeBody-100) + privacyLink
	for i := range times {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != want {
			t.Fatalf("slowly, %d: %v, %d bytes, want %d", i, err, len(got), len(want))
		}
	}
}

// A slow is a connection that runs out of time after every few bytes, and for
// good after so many.
type slow struct {
	net.Conn
	got  strings.Builder
	most int
}

func (s *slow) SetWriteDeadline(time.Time) error { return nil }

func (s *slow) Write(b []byte) (int, error) {
	n, _ := s.got.WriteString(string(b[:min(len(b), 100, s.most-s.got.Len())]))
	if n < len(b) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

// A write goes on as long as the visitor takes some of it.
func TestSlowVisitor(t *testing.T) {
	first, second, third := strings.Repeat("a", 450), strings.Repeat("b", 60), strings.Repeat("c", 1234)
	all := first + second + third
	for _, most := range []int{len(all), 900, 100, 0} {
		s := &slow{most: most}
		v := &visitorConn{Conn: s, limit: time.Hour}
		pieces := net.Buffers{nil, []byte(second), []byte(third)}
		v.after = &pieces
		_, err := v.Write([]byte(first))
		if whole := most == len(all); whole != (err == nil) || s.got.String() != all[:most] {
			t.Errorf("together, %d: %v, %d bytes", most, err, s.got.Len())
		}
		s = &slow{most: most}
		v = &visitorConn{Conn: s, limit: time.Hour}
		_, err = v.Write([]byte(all))
		if whole := most == len(all); whole != (err == nil) || s.got.String() != all[:most] {
			t.Errorf("in one, %d: %v, %d bytes", most, err, s.got.Len())
		}
	}
}

package edge

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"bespoke/host/ledger"
)

// Whatever visitors and origins do, every reservation ends with its exchange: those that
// stayed would in time keep everybody's pages from being tailored.
func TestReservationsEnd(t *testing.T) {
	l, err := ledger.Open(ledger.Config{Dir: t.TempDir() + "/ledger", Keys: t.TempDir(), Window: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	long := strings.Replace(page, "</body>", strings.Repeat("<p>more of it</p>", 60_000)+"</body>", 1)
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/long":
			io.WriteString(w, long)
		case "/exact":
			h.Set("Content-Length", fmt.Sprint(len(long)))
			io.WriteString(w, long)
		case "/other": // no page
			h.Set("Content-Type", "application/octet-stream")
			io.WriteString(w, long)
		case "/cut":
			h.Set("Content-Length", fmt.Sprint(len(long)))
			io.WriteString(w, long[:len(long)/2])
		case "/chunked-cut":
			io.WriteString(w, long[:len(long)/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/coded": // and is not
			h.Set("Content-Encoding", "gzip")
			io.WriteString(w, page)
		case "/hang-up":
			panic(http.ErrAbortHandler)
		case "/empty":
			w.WriteHeader(204)
		case "/same":
			w.WriteHeader(304)
		default:
			io.WriteString(w, page)
		}
	})
	r := newRig(t, origin, recordedBy(l), sampling(3), extra("limits: {read_timeout: 2s, write_timeout: 2s, origin_timeout: 2s}"))
	defer r.stop()
	v := r.visitor(berlin)
	v.choose("action=allow-all")
	var cookies []string
	site := &url.URL{Scheme: "http", Host: "shop.localhost", Path: "/"}
	for _, c := range v.client.Jar.Cookies(site) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	paths := []string{"/", "/long", "/exact", "/other", "/cut", "/chunked-cut", "/coded", "/hang-up", "/empty", "/same", "/_bespoke/privacy", "/.well-known/gpc.json"}
	methods := []string{"GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "CONNECT", "TRACE"}
	one := func(rnd *rand.Rand) {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		br := bufio.NewReader(c)
		for range 1 + rnd.IntN(3) { // several at once are pipelined
			path, method := paths[rnd.IntN(len(paths))], methods[rnd.IntN(len(methods))]
			text := fmt.Sprintf("%s %s HTTP/1.%d\r\nHost: %s\r\nX-Forwarded-For: %s\r\nCookie: %s\r\n", method, path, rnd.IntN(2), site.Host, berlin, strings.Join(cookies, "; "))
			switch rnd.IntN(6) {
			case 0:
				text += "Connection: Upgrade\r\nUpgrade: websocket\r\n"
			case 1:
				text += "Expect: 100-continue\r\nContent-Length: 5\r\n"
			case 2:
				text += "Transfer-Encoding: chunked\r\n"
			}
			text += "\r\n"
			if rnd.IntN(4) == 0 {
				text += "5\r\nhello\r\n0\r\n\r\n"
			}
			if rnd.IntN(10) == 0 {
				text = text[:rnd.IntN(len(text))]
			}
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
		switch rnd.IntN(4) {
		case 0: // leaves at once
			c.(*net.TCPConn).SetLinger(0)
		case 1: // leaves in the middle
			io.CopyN(io.Discard, br, int64(rnd.IntN(200_000)))
		case 2:
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, br)
		default:
			c.SetDeadline(time.Now().Add(200 * time.Millisecond))
			io.Copy(io.Discard, br)
		}
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(i)))
			for range 25 {
				one(rnd)
			}
		})
	}
	all.Wait()
	// What visitors left is noticed by the limits above at the latest.
	for deadline := time.Now().Add(20 * time.Second); l.Status().Waiting > 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		l.Flush()
	}
	s := l.Status()
	if s.Waiting != 0 || s.Unrecorded != 0 || s.Records < 150 {
		t.Errorf("%+v", s)
	}
	if strings.Contains(r.log.String(), "panic") {
		t.Error("something panicked")
	}
}

package edge

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A pairOrigin is an origin that keeps the bytes of the requests that it gets.
type pairOrigin struct {
	ln      net.Listener
	answers map[string][]byte // whole, by path

	mu   sync.Mutex // guards seen
	seen []byte
}

func newPairOrigin(t testing.TB) *pairOrigin {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &pairOrigin{ln: ln, answers: map[string][]byte{}}
	for path, body := range pairBodies() {
		o.answers[path] = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nETag: \"v1\"\r\nLast-Modified: Sat, 03 Jan 2026 00:00:00 GMT\r\nCache-Control: public, max-age=600\r\nContent-Length: %d\r\n\r\n%s",
			pairType(path), len(body), body)
	}
	o.answers["/named"] = bytes.Replace(o.answers["/"], []byte("ETag"), []byte("Bespoke-Subject: somebody\r\nETag"), 1)
	o.answers["/gone"] = []byte("HTTP/1.1 410 Gone\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\ngone")
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go o.serve(c)
		}
	}()
	t.Cleanup(func() { ln.Close() })
	return o
}

func (o *pairOrigin) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 16<<10)
	var raw []byte
	for {
		raw = raw[:0]
		length := 0
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			raw = append(raw, line...)
			if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				length, _ = strconv.Atoi(string(bytes.TrimSpace(v)))
			}
			if len(line) == 2 {
				break
			}
		}
		at := len(raw)
		raw = append(raw, make([]byte, length)...)
		if _, err := io.ReadFull(r, raw[at:]); err != nil {
			return
		}
		o.mu.Lock()
		o.seen = append(o.seen, raw...)
		o.mu.Unlock()
		method, rest, _ := strings.Cut(string(raw[:min(200, len(raw))]), " ")
		path, _, _ := strings.Cut(rest, " ")
		path, _, _ = strings.Cut(path, "?")
		answer := o.answers[path]
		if answer == nil {
			answer = o.answers["/"]
		}
		if method == "HEAD" {
			answer = answer[:bytes.Index(answer, []byte("\r\n\r\n"))+4]
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// take returns what was asked since the last time.
func (o *pairOrigin) take(dst []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	dst = append(dst, o.seen...)
	o.seen = o.seen[:0]
	return dst
}

package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A chunked body without a byte in it must not be announced to the origin as one that comes:
// the next request over the same connection, somebody else's, would be taken for it.
func TestEmptyChunkedBody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	heads := make(chan string, 10)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // reads headers alone, as an origin may that wants no body
				defer c.Close()
				for br := bufio.NewReader(c); ; {
					head := ""
					for !strings.HasSuffix(head, "\r\n\r\n") {
						line, err := br.ReadString('\n')
						if err != nil {
							return
						}
						head += line
					}
					heads <- strings.ToLower(head)
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}()
		}
	}()
	r := newRig(t, nil, originAt(ln.Addr().String()))
	defer r.stop()
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST"} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: shop.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", method)
		resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %v, %v", method, resp, err)
		}
		c.Close()
		if head := <-heads; strings.Contains(head, "transfer-encoding") || strings.Contains(head, "content-length") && !strings.Contains(head, "content-length: 0\r\n") {
			t.Errorf("%s: the origin was sent\n%s", method, head)
		}
	}
}

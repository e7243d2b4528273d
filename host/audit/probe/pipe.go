package probe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// A Pipe is a listener in memory, for canaries: a server that serves it takes a
// visitor for one of any address. It is reached by its transports alone.
type Pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewPipe returns a listener that nobody serves yet.
func NewPipe() *Pipe {
	return &Pipe{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *Pipe) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// dial connects as somebody at an address.
func (p *Pipe) dial(ctx context.Context, from netip.Addr) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- &conn{server, from}:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A conn says that it comes from an address.
type conn struct {
	net.Conn
	from netip.Addr
}

func (c *conn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 49152))
}

// Transport returns what sends the requests of visitors at an address, each address
// over connections of its own. Those over https are sent as they are, as from a proxy
// that ends TLS.
func (p *Pipe) Transport(from netip.Addr) *http.Transport {
	t := NewTransport(2)
	t.Proxy, t.ForceAttemptHTTP2 = nil, false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // no HTTP/2
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, from) }
	t.DialTLSContext = t.DialContext
	return t
}

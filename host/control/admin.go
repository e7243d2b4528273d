package control

import (
	"context"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// An Admin is the operator's listener. It tells that the process lives.
type Admin struct {
	server   fasthttp.Server
	listener net.Listener
}

// NewAdmin listens on addr.
func NewAdmin(addr string) (*Admin, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	a := &Admin{listener: ln}
	a.server = fasthttp.Server{
		Handler:               a.handle,
		NoDefaultServerHeader: true,
		ReadTimeout:           5 * time.Second,
		IdleTimeout:           30 * time.Second,
		MaxRequestBodySize:    1 << 10,
		SecureErrorLogMessage: true,
	}
	return a, nil
}

// Addr returns the address that the listener got.
func (a *Admin) Addr() net.Addr { return a.listener.Addr() }

// Serve answers until Close.
func (a *Admin) Serve() error { return a.server.Serve(a.listener) }

// Close stops answering.
func (a *Admin) Close(ctx context.Context) error { return a.server.ShutdownWithContext(ctx) }

func (a *Admin) handle(ctx *fasthttp.RequestCtx) {
	switch {
	case !ctx.IsGet() && !ctx.IsHead():
		ctx.Error("This address takes GET.\n", fasthttp.StatusMethodNotAllowed)
		ctx.Response.Header.Set("Allow", "GET, HEAD")
	case string(ctx.Path()) == "/healthz":
		ctx.SetContentType("text/plain; charset=utf-8")
		ctx.SetBodyString("ok\n")
	default:
		ctx.Error("There is /healthz here.\n", fasthttp.StatusNotFound)
	}
	ctx.Response.Header.Set("Cache-Control", "no-store")
}

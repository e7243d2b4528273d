package control

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"

	"github.com/valyala/fasthttp"

	"bespoke/modules/prepare"
	"bespoke/modules/registry"
)

// A problem is why a request was not done, as it is told (RFC 9457). Its type
// is about:blank, so the title is that of the status; Code tells apart what has
// the same status.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`

	// Of a refused module, if the check could name them; see prepare.Refusal.
	Rule     string `json:"rule,omitempty"`
	Function *int   `json:"function,omitempty"`
	Offset   *int   `json:"offset,omitempty"`

	// Of a refused catalogue: what is wrong with it, the first 20.
	Problems []LineProblem `json:"problems,omitempty"`

	headers [][2]string
	cause   error // for the log, if it says more than Detail may
}

func notFound(detail string) *problem { return &problem{Status: 404, Detail: detail} }

func (p *problem) header(name, value string) { p.headers = append(p.headers, [2]string{name, value}) }

func (p *problem) write(ctx *fasthttp.RequestCtx) {
	p.Title = http.StatusText(p.Status)
	p.Detail = clip(p.Detail, 4<<10)
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers always can be
		body = []byte(`{}`)
	}
	ctx.Response.ResetBody()
	ctx.SetStatusCode(p.Status)
	for _, h := range p.headers {
		ctx.Response.Header.Set(h[0], h[1])
	}
	ctx.SetContentType("application/problem+json")
	ctx.SetBody(append(body, '\n'))
}

// fromRegistry tells what became of a change or a question to the registry.
// What names files of the edge goes to the log alone.
func fromRegistry(err error) *problem {
	var (
		path    *fs.PathError
		link    *os.LinkError
		call    *os.SyscallError
		refusal *prepare.Refusal
	)
	p := &problem{Detail: err.Error(), cause: err}
	switch {
	case errors.Is(err, registry.ErrDamaged):
		p.Status, p.Code, p.Detail = 500, "damaged", "what the edge has stored is damaged; its log names the file"
	case errors.As(err, &path), errors.As(err, &link), errors.As(err, &call):
		p.Status, p.Code, p.Detail = 503, "storage", "the edge could not store or read it; its log says why"
	case errors.Is(err, registry.ErrClosed):
		p.Status, p.Detail = 503, "the edge is stopping"
	case errors.Is(err, registry.ErrRefused):
		p.Status, p.Code = 422, "refused"
		if errors.As(err, &refusal) {
			p.Rule, p.Offset = refusal.Rule, &refusal.Offset
			if refusal.Func >= 0 {
				p.Function = &refusal.Func
			}
		}
	case errors.Is(err, registry.ErrInvalid):
		p.Status, p.Code = 400, "invalid"
	case errors.Is(err, registry.ErrNotFound):
		p.Status = 404
	case errors.Is(err, registry.ErrState):
		p.Status, p.Code = 409, "state"
	case errors.Is(err, registry.ErrLimit):
		p.Status, p.Code = 409, "limit"
	default:
		p.Status, p.Detail = 500, "something went wrong inside; the edge's log says what"
	}
	return p
}

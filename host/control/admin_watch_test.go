package control

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestWatching(t *testing.T) {
	h := open(t)
	monitor := newToken(t, h.tokens, Token{Role: RoleMonitor})
	var lacks []NotReady
	h.admin.config.Ready = func() []NotReady { return lacks } // no request has come yet
	h.admin.config.Figures = func(w io.Writer, accept string) (string, error) {
		io.WriteString(w, "accept_is "+accept)
		if accept == "trouble" {
			return "text/plain", errors.New("a figure is odd")
		}
		return "text/plain; version=0.0.4", nil
	}

	for who, secret := range map[string]string{"monitor": monitor, "operator": h.operator, "auditor": h.auditor} {
		r := h.do(secret, "GET", "/metrics", "", "Accept: text/plain").want(t, 200, "accept_is text/plain")
		if got := r.header.Get("Content-Type"); got != "text/plain; version=0.0.4" {
			t.Errorf("%s: Content-Type %q", who, got)
		}
	}
	h.do(monitor, "GET", "/metrics", "", "Accept: trouble").want(t, 200)
	if !strings.Contains(h.logged(), "a figure is odd") {
		t.Error("nobody is told that a figure is odd")
	}
	h.do("", "GET", "/metrics", "").want(t, 401)
	h.do(h.revoked, "GET", "/metrics", "").want(t, 401)
	h.do(h.stores, "GET", "/metrics", "").want(t, 403, "one tenant")
	h.do(monitor, "POST", "/metrics", "").want(t, 405)
	h.do(monitor, "GET", "/metrics/", "").want(t, 404)
	// What a monitor holds opens nothing else: it lies in the settings of another program.
	for _, path := range []string{ranking, ranking + "/logs", "/v1/tenants/stores/catalogue"} {
		h.do(monitor, "GET", path, "").want(t, 403, "for /metrics alone")
	}
	h.do(monitor, "POST", ranking+"/rollback", "").want(t, 403)

	h.do("", "GET", "/healthz", "").want(t, 200, "ok\n")
	ready := func(query string, status int, body string) {
		t.Helper()
		if r := h.do("", "GET", "/readyz"+query, ""); r.status != status || r.body != body+"\n" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v %s", query, r.status, r.header, r.body)
		}
	}
	ready("", 200, `{"ready":true}`)
	lacks = []NotReady{{"ledger", "the disk is full"}, {"edge", "it is being stopped"}}
	ready("", 503, `{"ready":false,"not_ready":[{"what":"ledger","why":"the disk is full"},{"what":"edge","why":"it is being stopped"}]}`)
	ready("?exclude=ledger", 503, `{"ready":false,"not_ready":[{"what":"edge","why":"it is being stopped"}]}`)
	ready("?exclude=ledger&exclude=edge", 200, `{"ready":true}`)
	h.do("", "GET", "/healthz", "").want(t, 200, "ok\n") // alive all the same
	h.do("", "DELETE", "/readyz", "").want(t, 405)
}

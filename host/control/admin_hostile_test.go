package control

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bespoke/modules/registry"
)

// raw sends bytes on a connection of their own and returns the first answer.
func (h *house) raw(request string) *http.Response {
	h.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		h.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		h.t.Fatalf("%.200q: %v", request, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatalf("%.200q: %v", request, err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp
}

func (h *house) rawGet(token, target string) int {
	h.t.Helper()
	return h.raw("GET " + target + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n").StatusCode
}

// A path means what it says, byte for byte: no other spelling of a resource is
// one, and none leads out of the token's tenant.
func TestAdminPaths(t *testing.T) {
	h := open(t)
	h.upload("good 1")
	if _, err := h.policies.Upload("books", "secret", []byte("good books"), ""); err != nil {
		t.Fatal(err)
	}
	if got := h.rawGet(h.stores, ranking); got != 200 {
		t.Fatalf("the resource itself: %d", got)
	}
	for _, target := range []string{
		"/v1", "/v1/", "/v1/tenants", "/v1/tenants/", "/v1/tenants/stores", "/v1/tenants/stores/", "/v1/tenants/stores/policies/",
		"/v1/tenants/stores/policies//", "/v1/tenants/stores/policies//versions/1", "//v1/tenants/stores/policies", "/v1//tenants/stores/policies",
		ranking + "/", ranking + "/versions", ranking + "/versions/", ranking + "/versions/1/", ranking + "/versions/0", ranking + "/versions/-1",
		ranking + "/versions/+1", ranking + "/versions/01", ranking + "/versions/1.0", ranking + "/versions/0x1", ranking + "/versions/99999999999999999999",
		ranking + "/versions/2", ranking + "/nothing", ranking + "/logs/1", ranking + "/versions/1/nothing",
		"/v1/tenants/stores/policies/rankin%67", "/v1/tenants/stores/policies/ranking%2flogs", "/v1/tenants/stores/policies/RANKING",
		"/v1/tenants/stores/policies/./ranking", "/v1/tenants/stores/policies/x/../ranking", "/v1/tenants/stores/policies/%2e%2e/ranking",
		"/v1/tenants/stores/policies/..%2f..%2fbooks%2fpolicies", "/v1/tenants/stores/policies/ranking;x", "/v1/tenants/stores/policies/ranking\\logs",
		"/v1/tenants/stores/policies/" + strings.Repeat("a", 64), "/v1/tenants/stores/policies/ranking%00", "/v1/tenants/stores/../stores/policies",
		"/V1/tenants/stores/policies", "/v2/tenants/stores/policies", "/v1/tenants/stores/Policies", "/healthz/", "/healthz/../v1", "/%68ealthz", "/", "*", "x",
		h.url + ranking, "http://other/" + ranking, "/v1/tenants/stores/policies/\xff", "/v1/tenants/stores/policies/ranking#x",
	} {
		if got := h.rawGet(h.stores, target); got != 404 && got != 400 {
			t.Errorf("GET %s: %d", target, got)
		}
	}
	for _, target := range []string{
		"/v1/tenants/books/policies", "/v1/tenants/books/policies/secret", "/v1/tenants//policies", "/v1/tenants/Stores/policies", "/v1/tenants/stores%00/policies",
		"/v1/tenants/st%6Fres/policies", "/v1/tenants/./policies", "/v1/tenants/../policies", "/v1/tenants/stores%2f../policies", "/v1/tenants/stores /policies",
		"/v1/tenants/stores/../books/policies", "/v1/tenants/books/policies/x/../secret", "/v1/tenants/stores/policies/../../books/policies/secret",
		"/v1/tenants/stores/policies/secret", "/v1/tenants/stores/policies/secret/versions/1", "/v1/tenants/stores/policies/secret/logs",
	} {
		if got := h.rawGet(h.stores, target); got != 403 && got != 404 && got != 400 {
			t.Errorf("GET %s: %d", target, got)
		}
	}
	if _, err := h.policies.Activate("books", "secret", 1); err != nil {
		t.Errorf("the other tenant's policy: %v", err)
	}
}

// Every method on every resource: what is not taken is 405, with what is.
func TestAdminMethods(t *testing.T) {
	h := open(t)
	for path, allow := range map[string]string{
		"/v1/tenants/stores/policies":    "GET, HEAD",
		ranking:                          "GET, HEAD, POST",
		ranking + "/logs":                "GET, HEAD",
		ranking + "/limits":              "GET, HEAD",
		ranking + "/unstage":             "POST",
		ranking + "/rollback":            "POST",
		ranking + "/versions/1":          "GET, HEAD, DELETE",
		ranking + "/versions/1/stage":    "POST",
		ranking + "/versions/1/activate": "POST",
		ranking + "/versions/1/retire":   "POST",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "FROB"} {
			taken := false
			for m := range strings.SplitSeq(allow, ", ") {
				taken = taken || m == method
			}
			resp := h.raw(method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: Bearer " + h.operator + "\r\n\r\n")
			if got := resp.StatusCode == 405; got == taken || got && resp.Header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q, want %q", method, path, resp.StatusCode, resp.Header.Get("Allow"), allow)
			}
		}
	}
	resp := h.raw("POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /healthz: %d %v", resp.StatusCode, resp.Header)
	}
}

// Ways to send a token wrongly. Each is 401 with what to do instead.
func TestAdminAuthorization(t *testing.T) {
	h := open(t)
	for _, good := range []string{"Bearer " + h.operator, "bearer " + h.operator, "BEARER  " + h.operator} {
		if got := h.raw("GET /v1/tenants/stores/policies HTTP/1.1\r\nHost: x\r\nAuthorization: " + good + "\r\n\r\n"); got.StatusCode != 200 {
			t.Errorf("%q: %d", good, got.StatusCode)
		}
	}
	for _, bad := range []string{
		"", "Authorization: \r\n", "Authorization: Bearer\r\n", "Authorization: Bearer \r\n", "Authorization: " + h.operator + "\r\n",
		"Authorization: Basic " + h.operator + "\r\n", "Authorization: Bearer " + h.operator[4:] + "\r\n", "Authorization: Bearer " + h.operator + " x\r\n",
		"Authorization: Bearer " + h.operator + "=\r\n", "Authorization: Bearer \"" + h.operator + "\"\r\n", "Authorization: Bearer " + strings.ToUpper(h.operator) + "\r\n",
		"Authorization: Bearer " + h.operator + "\r\nAuthorization: Bearer " + h.stores + "\r\n",
		"Authorization: Bearer " + h.revoked + "\r\n", "Authorization: Bearer " + h.expired + "\r\n", "Authorization: Bearer \xff\xfe\r\n",
		"Authorization: Bearer " + strings.Repeat("a", 8<<10) + "\r\n", "Cookie: token=" + h.operator + "\r\n", "X-Authorization: Bearer " + h.operator + "\r\n",
	} {
		resp := h.raw("GET /v1/tenants/stores/policies?access_token=" + h.operator + " HTTP/1.1\r\nHost: x\r\n" + bad + "\r\n")
		if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), `Bearer realm="bespoke"`) {
			t.Errorf("%.100q: %d %v", bad, resp.StatusCode, resp.Header)
		}
		if body, _ := io.ReadAll(resp.Body); bytes.Contains(body, []byte(h.operator)) {
			t.Errorf("%.100q: the token is in the answer: %s", bad, body)
		}
	}
}

// Bodies that must not do what they say.
func TestAdminBodies(t *testing.T) {
	h := open(t)
	h.upload("good 1")
	stage := ranking + "/versions/1/stage"
	for body, want := range map[string]int{
		``: 415, `{`: 400, `null`: 400, `[]`: 400, `"canary"`: 400, `{}`: 400, `{"mode":"canary"}`: 400, `{"permille":5}`: 400,
		`{"mode":"canary","permille":0}`: 400, `{"mode":"canary","permille":1001}`: 400, `{"mode":"canary","permille":-1}`: 400,
		`{"mode":"canary","permille":1e99}`: 400, `{"mode":"canary","permille":1.5}`: 400, `{"mode":"canary","permille":"5"}`: 400,
		`{"mode":"active","permille":5}`: 400, `{"mode":5,"permille":5}`: 400, `{"mode":"canary","permille":5,"tenant":"books"}`: 400,
		`{"mode":"canary","permille":5}{}`: 400, `{"mode":"canary","permille":5} x`: 400, "{\"mode\":\"\xff\",\"permille\":5}": 400,
		strings.Repeat(`[`, 4000): 400, strings.Repeat(` `, maxJSON) + `{"mode":"canary","permille":5}`: 413,
	} {
		got := h.do(h.stores, "POST", stage, body, asJSON)
		if body == "" && got.status == 400 {
			continue
		}
		if got.status != want {
			t.Errorf("%.60q: %d, want %d: %s", body, got.status, want, got.body)
		}
		got.problem(t)
	}
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "application/wasm", "application/json; charset", "", "multipart/form-data; boundary=x"} {
		h.do(h.stores, "POST", stage, `{"mode":"canary","permille":5}`, "Content-Type: "+media).want(t, 415)
		if media != "application/wasm" {
			h.do(h.stores, "POST", ranking, "good 9", "Content-Type: "+media).want(t, 415)
		}
	}
	h.do(h.stores, "POST", ranking+"/versions/1/activate", `{"force":true}`, asJSON).want(t, 400, `unknown field \"force\"`)
	h.do(h.stores, "POST", ranking+"/versions/1/activate", `now`, "Content-Type: text/plain").want(t, 415)
	h.do(h.stores, "POST", ranking, "", asModule).want(t, 400, "the binary is empty")
	h.do(h.stores, "POST", ranking, "good 2", asModule, HeaderNote+": "+strings.Repeat("x", 257)).want(t, 400, "note")
	h.do(h.stores, "POST", ranking+"?note=%1b%5b2J", "good 2", asModule).want(t, 400, "note")
	h.do(h.stores, "POST", ranking+"?note=%ff", "good 2", asModule).want(t, 400, "note")
	for _, name := range []string{"Ranking", "1st", "-x", "a.b", "a_b", strings.Repeat("a", 64), "..", "%2e%2e", "a%20b"} {
		h.do(h.stores, "POST", "/v1/tenants/stores/policies/"+name, "good 2", asModule).want(t, 400)
	}
	for _, after := range []string{"x", "-1", "1.5", "18446744073709551616", "0x1"} {
		h.do(h.stores, "GET", ranking+"/logs?after="+after, "").want(t, 400)
	}
	p := must(h.policies.List("stores"))
	if len(p) != 1 || len(p[0].Versions) != 1 || p[0].Versions[0].State != registry.Checked {
		t.Errorf("something changed: %+v", p)
	}
}

// Sizes: what is announced is judged before it is read; what comes is bounded;
// what breaks off is not taken for whole.
func TestAdminSizes(t *testing.T) {
	h := open(t)
	h.do(h.stores, "POST", ranking, "good"+strings.Repeat("x", testLimit-4), asModule).want(t, 201)
	for _, size := range []int{testLimit + 1, 1 << 20, 20 << 20} {
		h.do(h.stores, "POST", ranking, strings.Repeat("x", size), asModule).want(t, 413, fmt.Sprint(size), "at most 65536")
		h.do("", "POST", ranking, strings.Repeat("x", size), asModule).want(t, 401)
		h.do(h.auditor, "POST", ranking, strings.Repeat("x", size), asModule).want(t, 403)
	}
	head := "POST " + ranking + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/wasm\r\nAuthorization: Bearer "
	for what, c := range map[string]struct {
		request string
		status  int
	}{
		"chunked":             {head + h.stores + "\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ngood 2\r\n0\r\n\r\n", 411},
		"both framings":       {head + h.stores + "\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ngood 2\r\n0\r\n\r\n", 411},
		"chunks without end":  {head + "x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 401},
		"a length of letters": {head + h.stores + "\r\nContent-Length: six\r\n\r\ngood 2", 400},
		"a negative length":   {head + h.stores + "\r\nContent-Length: -6\r\n\r\ngood 2", 400},
		"no length":           {head + h.stores + "\r\n\r\n", 400},
		"2 GiB announced":     {head + h.stores + "\r\nContent-Length: 2147483648\r\n\r\n" + strings.Repeat("x", 9000), 413},
		"garbage":             {"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400},
		"a long header":       {"GET /healthz HTTP/1.1\r\nX: " + strings.Repeat("x", 20<<10) + "\r\n\r\n", 431},
	} {
		if got := h.raw(c.request).StatusCode; got != c.status {
			t.Errorf("%s: %d, want %d", what, got, c.status)
		}
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "%s%s\r\nContent-Length: 20000\r\n\r\ngood, but not all that was announced: %s", head, h.stores, strings.Repeat("x", 9000))
	c.(*net.TCPConn).CloseWrite()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("a body that broke off: %v %v", resp, err)
	}
	if p := must(h.policies.List("stores")); len(p) != 1 || len(p[0].Versions) != 1 {
		t.Errorf("something was uploaded: %+v", p)
	}
}

// What is left of a refused body never passes for a request (RFC 9112, 9.3).
func TestAdminSmuggling(t *testing.T) {
	h := open(t)
	h.upload("good 1")
	inner := "POST " + ranking + "/versions/1/activate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer " + h.operator + "\r\n\r\n"
	for what, outer := range map[string]string{
		"a refused body":  fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", ranking, len(inner)),
		"a body of a GET": fmt.Sprintf("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(inner)),
		"a chunked body":  fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", ranking, len(inner)),
	} {
		h.raw(outer + inner + "\r\n0\r\n\r\n")
		time.Sleep(20 * time.Millisecond)
		if _, active := h.policies.Active("stores", "ranking"); active {
			t.Fatalf("%s was taken for a request", what)
		}
	}
	// A connection goes on after a refused body that was read whole.
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\ngood 2GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", ranking)
	br := bufio.NewReader(c)
	for _, want := range []int{401, 200} {
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != want {
			t.Fatalf("%v %v, want %d", resp, err, want)
		}
		io.Copy(io.Discard, resp.Body)
	}
}

// A tenant that uploads slowly, and much at once, is told to wait; others are not.
func TestAdminBusy(t *testing.T) {
	h := open(t)
	var slow []net.Conn
	for i := range maxTenantUploads {
		c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/wasm\r\nContent-Length: 10000\r\nAuthorization: Bearer %s\r\n\r\ngood %d%s", ranking, h.stores, i, strings.Repeat("x", 9000))
		slow = append(slow, c)
	}
	underWay := func() int {
		h.admin.uploads.mu.Lock()
		defer h.admin.uploads.mu.Unlock()
		return h.admin.uploads.all
	}
	for began := time.Now(); underWay() < maxTenantUploads; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the slow uploads never began")
		}
	}
	refused := h.do(h.stores, "POST", ranking, "bad", asModule).want(t, 503, `"code":"busy"`)
	if refused.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.do(h.books, "POST", "/v1/tenants/books/policies/other", "good", asModule).want(t, 201)
	h.do(h.stores, "GET", ranking+"/limits", "").want(t, 200)
	for _, c := range slow {
		io.WriteString(c, strings.Repeat("x", 994))
		c.SetDeadline(time.Now().Add(10 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != 201 {
			t.Errorf("the slow one: %v %v", resp, err)
		}
	}
	h.do(h.stores, "POST", ranking, "good after", asModule).want(t, 201)
	if n := underWay(); n != 0 {
		t.Errorf("%d uploads are under way still", n)
	}
}

// All tenants together have an end of what they may have under way.
func TestUploadsBounded(t *testing.T) {
	u := uploads{by: map[string]int{}}
	began := map[string]int{}
	for i := range 100 {
		if tenant := fmt.Sprint("t", i%20); u.begin(tenant) {
			began[tenant]++
		}
	}
	sum := 0
	for tenant, n := range began {
		sum += n
		if n > maxTenantUploads {
			t.Errorf("%s began %d", tenant, n)
		}
	}
	if sum != maxUploads {
		t.Errorf("%d began", sum)
	}
	for tenant, n := range began {
		for range n {
			u.end(tenant)
		}
	}
	if u.all != 0 || len(u.by) != 0 {
		t.Errorf("%d, %v are left", u.all, u.by)
	}
}

// Many at once: every answer is one that makes sense alone, and the end is sound.
func TestAdminConcurrently(t *testing.T) {
	h := open(t)
	for i := range 3 {
		h.upload(fmt.Sprintf("good %d", i+1))
	}
	h.activate(1)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 6 {
				n := (i+j)%3 + 1
				var r reply
				switch i % 4 {
				case 0:
					r = h.do(h.stores, "POST", fmt.Sprintf("%s/versions/%d/activate", ranking, n), "")
				case 1:
					r = h.do(h.operator, "POST", ranking+"/rollback", "")
				case 2:
					r = h.do(h.stores, "POST", fmt.Sprintf("%s/versions/%d/stage", ranking, n), `{"mode":"canary","permille":9}`, asJSON)
				case 3:
					r = h.do(h.auditor, "GET", ranking, "")
					if strings.Count(r.body, `"state":"active"`) != 1 {
						t.Errorf("not one is active: %s", r.body)
					}
				}
				if r.status != 200 && r.status != 409 {
					t.Errorf("%d %s", r.status, r.body)
				}
			}
		})
	}
	wg.Wait()
	if _, active := h.policies.Active("stores", "ranking"); !active {
		t.Error("none is active")
	}
	if strings.Contains(h.logged(), "level=ERROR") {
		t.Error(h.logged())
	}
}

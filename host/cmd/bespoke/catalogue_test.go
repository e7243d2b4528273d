package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"bespoke/host/control"
)

// A shop is a running edge with three tenants: stores, whose catalogue is uploaded;
// books, whose is a file; and plain, which has none.
type shop struct {
	t                       *testing.T
	dir                     string
	process                 *process
	admin                   string
	operator, books, looker string // tokens
	log                     lockedBuffer
	served                  chan error
}

func openShop(t *testing.T) *shop {
	s := &shop{t: t, dir: t.TempDir()}
	s.write("books.jsonl", `{"id":"novel"}`+"\n")
	s.write("bespoke.yaml", `listen: 127.0.0.1:0
admin: 127.0.0.1:0
tenants:
  - {name: stores, hosts: [stores.example], origin: "http://127.0.0.1:1", catalogue: {max_items: 4, support: 8}}
  - {name: books, hosts: [books.example], origin: "http://127.0.0.1:1", catalogue: {file: books.jsonl}}
  - {name: plain, hosts: [plain.example], origin: "http://127.0.0.1:1"}
`)
	shareCompiled(t, filepath.Join(s.dir, "state"))
	tokens := control.NewTokens(filepath.Join(s.dir, "state"))
	for _, k := range []struct {
		to    *string
		token control.Token
	}{{&s.operator, control.Token{Role: control.RoleOperator}}, {&s.books, control.Token{Role: control.RoleTenant, Tenant: "books"}}, {&s.looker, control.Token{Role: control.RoleAuditor}}} {
		var err error
		if *k.to, _, err = tokens.Add(k.token, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	s.open()
	t.Cleanup(s.close)
	return s
}

func (s *shop) write(name, text string) {
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) open() {
	s.t.Helper()
	p, err := start(context.Background(), filepath.Join(s.dir, "bespoke.yaml"), slog.New(slog.NewTextHandler(&s.log, nil)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.process, s.admin, s.served = p, "http://"+p.admin.Addr().String(), make(chan error, 1)
	go func() { s.served <- p.edge.Serve(p.listener) }()
}

func (s *shop) close() {
	if s.process == nil {
		return
	}
	if err := errors.Join(s.process.stop(), <-s.served); err != nil {
		s.t.Error(err)
	}
	s.process = nil
}

// An answer is what the admin API said.
type answer struct {
	status   int
	Code     string
	Detail   string
	Problems []control.LineProblem
	Items    int
	Received int
	Unknown  int `json:"unknown_items"`
	body     string
}

func (s *shop) ask(token, method, path, media string, body io.Reader) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, s.admin+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, body: string(text)}
	if err := json.Unmarshal(text, &a); err != nil {
		s.t.Fatalf("%s %s: %s: %v", method, path, text, err)
	}
	return a
}

const storesCatalogue = "/v1/tenants/stores/catalogue"

// items returns how many items the catalogue of stores has.
func (s *shop) items() int {
	s.t.Helper()
	a := s.ask(s.looker, "GET", storesCatalogue, "", nil)
	if a.status != 200 {
		s.t.Fatalf("%d %s", a.status, a.body)
	}
	return a.Items
}

func TestCatalogueScript(t *testing.T) {
	s := openShop(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/catalogue",
		Setup: func(e *testscript.Env) error {
			e.Setenv("BESPOKE_ADMIN", s.admin)
			e.Setenv("BESPOKE_TOKEN", s.operator)
			return nil
		},
	})
}

// Whatever is sent that is no catalogue, the one before stays.
func TestCatalogueHostile(t *testing.T) {
	s := openShop(t)
	if a := s.ask(s.operator, "PUT", storesCatalogue, "application/jsonl", strings.NewReader("{\"id\":\"a\"}\n{\"id\":\"b\",\"title\":\"<b>&\\u0041\"}")); a.status != 200 || a.Items != 2 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	const lines, table = "application/jsonl", "text/csv; charset=utf-8"
	for _, c := range []struct {
		what, token, media, body string
		status                   int
		line                     int
		want                     string // in the problem or the detail
	}{
		{"a broken line", "", lines, "{\"id\":\"c\"}\n{\"id\":", 422, 2, "not JSON"},
		{"a double id", "", lines, "{\"id\":\"c\"}\n\n{\"id\":\"c\"}", 422, 3, "on line 1 already"},
		{"a long line", "", lines, "{\"id\":\"c\"}\n{\"title\":\"" + strings.Repeat("x", 8<<20) + "\"}\n", 422, 2, "longer than 65536 bytes"},
		{"many broken lines", "", lines, strings.Repeat("{\n", 100), 422, 20, "not JSON"},
		{"a script for an address", "", lines, `{"id":"c","url":"JaVaScRiPt:alert(1)"}`, 422, 1, "neither relative nor http nor https"},
		{"a line in a title", "", lines, `{"id":"c","title":"a\nb"}`, 422, 1, "control character U+000A"},
		{"half a character", "", lines, "{\"id\":\"\xc3\"}", 422, 1, "not UTF-8"},
		{"Latin-1", "", table, "id,title\nc,Caf\xe9\n", 422, 2, "not UTF-8"},
		{"UTF-16", "", table, "\xff\xfei\x00d\x00\n\x00a\x00\n\x00", 422, 1, "header"},
		{"a bomb of nesting", "", lines, `{"id":` + strings.Repeat("[", 30000), 422, 1, ""},
		{"an unknown field", "", lines, `{"id":"c","prise":1}`, 422, 1, "no such field"},
		{"a table with an open quote", "", table, "id,title\nc,\"" + strings.Repeat("x\n", 100_000), 422, 0, "quote may be open"},
		{"more columns", "", table, "id\nc,d\n", 422, 2, "2 columns, the header has 1"},
		{"too many items", "", table, "id\nc\nd\ne\nf\ng\n", 422, 6, "more than 4 items"},
		{"nothing", "", lines, "", 422, 0, "the catalogue is empty"},
		{"a page", "", "text/html", "<p>", 415, 0, "send JSON Lines as"},
		{"no type", "", "", "id\nc\n", 415, 0, "send JSON Lines as"},
		{"a charset", "", "text/csv; charset=utf-16", "id\nc\n", 415, 0, "in UTF-8"},
		{"a table that is none", "", table, "\n {\"id\":\"c\"}", 415, 0, "not of the kind"},
		{"lines that are none", "", lines, "id\nc\n", 415, 0, "not of the kind"},
		{"an auditor", s.looker, lines, `{"id":"c"}`, 403, 0, "only reads"},
		{"another tenant", s.books, lines, `{"id":"c"}`, 403, 0, "not for this one"},
		{"nobody", "bsp_x", lines, `{"id":"c"}`, 401, 0, "not known"},
	} {
		token := c.token
		if token == "" {
			token = s.operator
		}
		a := s.ask(token, "PUT", storesCatalogue, c.media, strings.NewReader(c.body))
		got, line := a.Detail, 0
		if n := len(a.Problems); n > 0 {
			got, line = a.Problems[n-1].What, a.Problems[n-1].Line
		}
		if a.status != c.status || line != c.line || !strings.Contains(got, c.want) || len(a.Problems) > 20 {
			t.Errorf("%s: %d, line %d: %.300s", c.what, a.status, line, got)
		}
		if n := s.items(); n != 2 {
			t.Fatalf("%s: the catalogue has %d items now", c.what, n)
		}
	}
	// Of no length.
	if a := s.ask(s.operator, "PUT", storesCatalogue, lines, io.MultiReader(strings.NewReader(`{"id":"c"}`))); a.status != 411 {
		t.Errorf("without a length: %d %s", a.status, a.body)
	}
	s.brokenOff()
	if n := s.items(); n != 2 {
		t.Errorf("half a catalogue was taken: %d items", n)
	}
	// What was taken is there after a restart.
	s.close()
	s.open()
	if n := s.items(); n != 2 {
		t.Errorf("%d items after a restart", n)
	}
	if log := s.log.String(); !strings.Contains(log, "catalogue change refused") || !strings.Contains(log, "catalogue change done") || strings.Contains(log, "panic") {
		t.Errorf("the log: %.2000s", log)
	}
}

// brokenOff sends half a catalogue, and goes: before the edge began to read it as
// one, and after.
func (s *shop) brokenOff() {
	half := `{"id":"only"}` + "\n"
	for _, part := range []string{half, half + strings.Repeat("\n", 200_000)} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.admin, "http://"))
		if err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/jsonl\r\nContent-Length: %d\r\n\r\n%s", storesCatalogue, s.operator, 2*len(part), part)
		conn.(*net.TCPConn).CloseWrite()
		text, err := io.ReadAll(conn)
		if err != nil {
			s.t.Error(err)
		}
		if !bytes.HasPrefix(text, []byte("HTTP/1.1 400 ")) {
			s.t.Errorf("half of %d bytes: %s", 2*len(part), text)
		}
		conn.Close()
	}
}

// While one catalogue comes in, a second waits outside.
func TestCatalogueOneAtATime(t *testing.T) {
	s := openShop(t)
	for deadline := time.Now().Add(time.Minute); !oneAtATime(t, s); {
		if time.Now().After(deadline) {
			t.Fatal("two catalogues were never on their way at once")
		}
	}
	if a := s.ask(s.looker, "GET", storesCatalogue, "", nil); a.Items != 1 {
		t.Errorf("%s", a.body)
	}
}

// oneAtATime sends a catalogue slowly and another one meanwhile, and reports whether it
// was the second that was refused. If it came in before the first, that one is.
func oneAtATime(t *testing.T, s *shop) bool {
	body, more := io.Pipe()
	req, _ := http.NewRequest("PUT", s.admin+storesCatalogue, body)
	const blank = 200_000 // lines, so that the handler begins before the end
	req.ContentLength = 14 + blank
	req.Header.Set("Authorization", "Bearer "+s.operator)
	req.Header.Set("Content-Type", "application/jsonl")
	first := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			first <- 0
			return
		}
		resp.Body.Close()
		first <- resp.StatusCode
	}()
	io.WriteString(more, `{"id":"slow"}`+strings.Repeat("\n", blank))
	defer more.Close()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		a := s.ask(s.operator, "PUT", storesCatalogue, "text/csv", strings.NewReader("id\nfast\n"))
		if a.status == 503 && a.Code == "busy" {
			break
		}
		select {
		case got := <-first:
			if got != 503 {
				t.Fatalf("the first one, before its end: %d", got)
			}
			return false
		default:
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("two catalogues were taken at once")
		}
	}
	io.WriteString(more, "\n")
	more.Close()
	if got := <-first; got != 200 {
		t.Errorf("the first one: %d", got)
	}
	return true
}

// The file of a configuration is read again with it, if it changed.
func TestCatalogueFile(t *testing.T) {
	s := openShop(t)
	of := func() int { return s.ask(s.books, "GET", "/v1/tenants/books/catalogue", "", nil).Items }
	if n := of(); n != 1 {
		t.Fatalf("%d items", n)
	}
	s.write("books.jsonl", "{\"id\":\"novel\"}\n{\"id\":\"atlas\"}\n")
	s.process.reload(context.Background())
	if n := of(); n != 2 {
		t.Errorf("%d items after a reload", n)
	}
	s.write("books.jsonl", "{\"id\":\"novel\"}\n{\"id\":\"novel\"}\n{}")
	s.process.reload(context.Background())
	if n := of(); n != 2 || !strings.Contains(s.log.String(), "line 2: id:") {
		t.Errorf("%d items after the reload of a wrong file; the log:\n%s", n, s.log.String())
	}
	var out bytes.Buffer
	if status := run([]string{"check", "-c", filepath.Join(s.dir, "bespoke.yaml")}, io.Discard, &out); status != exitNo || !strings.Contains(out.String(), "books.jsonl:2: id:") {
		t.Errorf("check: %d %s", status, out.String())
	}
}

func TestSubjectEventsHostile(t *testing.T) {
	s := openShop(t)
	if a := s.ask(s.operator, "PUT", storesCatalogue, "text/csv", strings.NewReader("id\na\n")); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	// The store of subjects is opened by the first event of one.
	const jane = "/v1/tenants/stores/subjects/jane%40example/events"
	var a answer
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(10 * time.Millisecond) {
		if a = s.ask(s.operator, "POST", jane, "application/json", strings.NewReader(`[{"kind":"purchase","item":"a","time":"2026-05-04T12:00:00Z"},{"kind":"mail-open"},{"kind":"view","item":"gone"}]`)); a.status != 503 {
			break
		}
	}
	if a.status != 202 || a.Received != 3 || a.Unknown != 1 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := s.ask(s.operator, "POST", jane, "application/json", strings.NewReader(`{"kind":"mail-click"}`)); a.status != 202 || a.Received != 1 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, c := range []struct {
		what, token, path, media, body string
		status                         int
		want                           string
	}{
		{"no kind", s.operator, jane, "application/json", `{}`, 400, "event 1: kind"},
		{"a kind that is declared", s.operator, jane, "application/json", `[{"kind":"mail-open"},{"kind":"hide","item":"a"}]`, 400, "event 2: kind"},
		{"no item", s.operator, jane, "application/json", `{"kind":"view"}`, 400, "item: want an id"},
		{"an item of a mail", s.operator, jane, "application/json", `{"kind":"mail-open","item":"a"}`, 400, "of no item"},
		{"a field", s.operator, jane, "application/json", `{"kind":"mail-open","who":"jane"}`, 400, "unknown field"},
		{"two", s.operator, jane, "application/json", `{"kind":"mail-open"}{}`, 400, "text after"},
		{"nothing", s.operator, jane, "application/json", ``, 400, "cannot be used"},
		{"an empty list", s.operator, jane, "application/json", `[]`, 400, "0 events"},
		{"a long list", s.operator, jane, "application/json", "[" + strings.Repeat(`{"kind":"mail-open"},`, 100) + `{"kind":"mail-open"}]`, 400, "101 events"},
		{"a long body", s.operator, jane, "application/json", strings.Repeat(" ", 100_000), 413, "at most 65536"},
		{"a form", s.operator, jane, "application/x-www-form-urlencoded", `kind=view`, 415, "application/json"},
		{"an auditor", s.looker, jane, "application/json", `{"kind":"mail-open"}`, 403, "only reads"},
		{"another tenant", s.books, jane, "application/json", `{"kind":"mail-open"}`, 403, "not for this one"},
		{"nobody's name", s.operator, "/v1/tenants/stores/subjects/-/events", "application/json", `{"kind":"mail-open"}`, 400, "the subject"},
		{"a line in a name", s.operator, "/v1/tenants/stores/subjects/a%0Ab/events", "application/json", `{"kind":"mail-open"}`, 400, "the subject"},
		{"no name", s.operator, "/v1/tenants/stores/subjects//events", "application/json", `{"kind":"mail-open"}`, 404, "no such resource"},
		{"no catalogue", s.operator, "/v1/tenants/plain/subjects/jane/events", "application/json", `{"kind":"mail-open"}`, 404, "no catalogue"},
	} {
		a := s.ask(c.token, "POST", c.path, c.media, strings.NewReader(c.body))
		if a.status != c.status || !strings.Contains(a.Detail, c.want) {
			t.Errorf("%s: %d %s", c.what, a.status, a.body)
		}
	}
	if log := s.log.String(); strings.Contains(log, "jane") {
		t.Errorf("the log names a subject:\n%s", log)
	}
}

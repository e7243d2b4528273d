package edge

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"bespoke/modules/abi"
)

var update = flag.Bool("update", false, "write what the golden tests got into testdata")

// TestRecords takes one exchange a file through a real edge: what a visitor sends,
// the site's routes and its page, then the answer and its record.
//
// "visit" has a line for what happened before (from ADDRESS, choose FORM, full: the
// ledger takes nothing; sample), the request's first line, and its header. "routes" is of the
// configuration; "reads" makes the policy file:mine.wasm, which puts the value of
// each key into #k0, #k1, ..., and declares those that have a reason after them; "redirect" makes one that leads there.
// "page.html" or "page.json" is what the origin answers with; in "origin" may stand
// chunked, down or aborts.
func TestRecords(t *testing.T) {
	files, err := filepath.Glob("testdata/records/*.txtar")
	if err != nil || len(files) < 12 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := newRecordCase(t, a)
			answer, record := c.run()
			if *update {
				a.Files = append(c.given, txtar.File{Name: "answer", Data: []byte(answer)}, txtar.File{Name: "record", Data: []byte(record)})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := c.files["answer"]; answer != want {
				t.Errorf("the answer is\n%s\nwant\n%s", answer, want)
			}
			if want := c.files["record"]; record != want {
				t.Errorf("the record is\n%s\nwant\n%s", record, want)
			}
		})
	}
}

type recordCase struct {
	t     *testing.T
	given []txtar.File
	files map[string]string
	book  *notebook
	rig   *rig
}

func newRecordCase(t *testing.T, a *txtar.Archive) *recordCase {
	c := &recordCase{t: t, files: map[string]string{}, book: new(notebook)}
	for _, f := range a.Files {
		c.files[f.Name] = string(f.Data)
		if f.Name != "answer" && f.Name != "record" {
			c.given = append(c.given, f)
		}
	}
	opts := []rigOption{recordedBy(c.book), sampling(-1)}
	if strings.Contains(c.files["visit"], "\nsample\n") {
		opts = append(opts, sampling(1))
	}
	yaml := strings.TrimSuffix("\n"+c.files["routes"], "\n")
	if reads := c.files["reads"]; reads != "" {
		var keys []string
		declare := map[string]string{}
		for line := range strings.Lines(reads) {
			key, reason, ok := strings.Cut(strings.TrimSpace(line), " ")
			keys = append(keys, key)
			if ok {
				declare[key] = reason
			}
		}
		yaml = c.mine(yaml, teller(keys, declare))
	}
	if to := strings.TrimSpace(c.files["redirect"]); to != "" {
		code := join(i32(int(abi.OpRedirect)), i32(0), i32(len(to)), i32(0), i32(0), i32(0), i32(0), []byte{0x10, callEmit, 0x1a})
		yaml = c.mine(yaml, moduleOf([]abi.Phase{abi.OnRequest}, code, []byte(to), &abi.Manifest{Name: "go", Version: "1.0.0"}))
	}
	c.rig = newRig(t, http.HandlerFunc(c.origin), append(opts, routes(strings.ReplaceAll(yaml, "\n", "\n      ")))...)
	return c
}

// mine has the routes use a policy.
func (c *recordCase) mine(yaml string, code []byte) string {
	file := filepath.Join(c.t.TempDir(), "mine.wasm")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return strings.ReplaceAll(yaml, "file:mine.wasm", "file:"+file)
}

func (c *recordCase) origin(w http.ResponseWriter, _ *http.Request) {
	how := strings.TrimSpace(c.files["origin"])
	body, kind := c.files["page.html"], "text/html; charset=utf-8"
	if text, ok := c.files["page.json"]; ok {
		body, kind = text, "application/json"
	}
	w.Header().Set("Content-Type", kind)
	switch how {
	case "down":
		panic(http.ErrAbortHandler)
	case "aborts":
		io.WriteString(w, body)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case "chunked":
		w.(http.Flusher).Flush()
	default:
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	}
	io.WriteString(w, body)
}

var (
	recordTime   = regexp.MustCompile(`"time":"[^"]*",`)
	recordDigest = regexp.MustCompile(`"digest":"[0-9a-f]*"`)
	recordFile   = regexp.MustCompile(`file:[^"]*/mine.wasm`)
)

func (c *recordCase) run() (answer, record string) {
	t, v := c.t, c.rig.visitor(nowhere, "Sec-Fetch-Dest", "empty")
	before := 0
	lines := strings.Split(strings.TrimSpace(c.files["visit"]), "\n")
	for ; len(lines) > 0; lines = lines[1:] {
		word, rest, _ := strings.Cut(lines[0], " ")
		switch word {
		case "from":
			v.from = rest
			continue
		case "choose":
			v.choose(rest)
			before++
			continue
		case "full":
			c.book.full.Store(true)
			continue
		case "sample":
			continue
		}
		break
	}
	method, target, _ := strings.Cut(lines[0], " ")
	host := "shop.localhost"
	var header []string
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			host = value
			continue
		}
		header = append(header, name, value)
	}
	req, err := http.NewRequest(method, "http://"+host+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = v.header.Clone()
	req.Header.Set("X-Forwarded-For", v.from)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	fmt.Fprintln(&text, resp.StatusCode)
	for _, name := range []string{"Location", "Content-Type", "Cache-Control"} {
		if s := resp.Header.Get(name); s != "" {
			fmt.Fprintf(&text, "%s: %s\n", name, s)
		}
	}
	text.WriteByte('\n')
	if _, err := io.Copy(&text, resp.Body); err != nil {
		fmt.Fprintln(&text, "(broken off)")
	}
	if strings.HasPrefix(target, "/_bespoke/") { // pages of ours have golden tests of their own
		i := bytes.Index(text.Bytes(), []byte("\n\n"))
		text.Truncate(i + 1)
	}
	_, line := c.book.last(t, before+1)
	line = recordTime.ReplaceAllString(line, "")
	line = recordDigest.ReplaceAllString(line, `"digest":"(of the module)"`)
	line = recordFile.ReplaceAllString(line, "file:mine.wasm")
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(line), "", "  "); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	out.WriteByte('\n')
	if b := text.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' {
		text.WriteByte('\n')
	}
	return text.String(), out.String()
}

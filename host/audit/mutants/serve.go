package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// probes are the demo's sites that the probe looks at, and at what visitors differ in.
var probes = []struct{ site, dimensions string }{
	{"stores", "place,identifiers"},
	{"decor", "history,past,profile"},
	{"mail", "past,profile"},
}

// serve has the mutated edge serve the demo's sites, probes it, and looks at what it
// recorded. The instruments are of the build without a leak.
func (b *bench) serve(ctx context.Context, edge, state string, r *row) error {
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, edge, "demo", "--listen", addr, "--admin", "", "--state", state)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := ready(ctx, addr); err != nil {
		cmd.Process.Kill()
		<-ended
		return fmt.Errorf("%w\n%s", err, &log)
	}
	var said [3]string
	var all sync.WaitGroup
	for i, p := range probes {
		all.Go(func() { said[i] = b.probe(ctx, addr, p.site, p.dimensions) })
	}
	all.Wait()
	for i, s := range said {
		if s != "" && r.Caught["probe"] == "" {
			r.Caught["probe"] = probes[i].site + ": " + s
		}
	}
	visit(ctx, addr)
	cmd.Process.Signal(os.Interrupt)
	<-ended
	r.Caught["verify"] = b.verify(ctx, state)
	r.Caught["replay"] = b.replay(ctx, state)
	return nil
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func ready(ctx context.Context, addr string) error {
	for range 600 {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.New("the edge does not listen within a minute")
}

// ask runs an instrument, and returns its answer and its exit status.
func (b *bench) ask(ctx context.Context, args ...string) (out []byte, status int) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, b.clean, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return append(stdout.Bytes(), stderr.Bytes()...), exit.ExitCode()
	case err != nil:
		return []byte(err.Error()), -1
	}
	return stdout.Bytes(), 0
}

func (b *bench) probe(ctx context.Context, addr, site, dimensions string) string {
	_, port, _ := net.SplitHostPort(addr)
	out, status := b.ask(ctx, "audit", "probe", "--pairs", "3", "--seed", "1", "--concurrency", "4", "--dimensions", dimensions, "--connect", addr, "--json", "http://"+site+".localhost:"+port+"/")
	if status == 0 {
		return ""
	}
	var rep struct {
		Summary, Verdict string
	}
	_ = json.Unmarshal(out, &rep)
	if status == 1 {
		return first(rep.Summary, rep.Verdict, "a difference")
	}
	if status == 3 {
		return "" // it says that it cannot tell
	}
	return fmt.Sprintf("exit status %d: %s", status, lastLine(out))
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

func (b *bench) verify(ctx context.Context, state string) string {
	out, status := b.ask(ctx, "ledger", "verify", filepath.Join(state, "ledger"))
	if status == 0 {
		return ""
	}
	return mostTelling(out)
}

func (b *bench) replay(ctx context.Context, state string) string {
	out, status := b.ask(ctx, "audit", "replay", state)
	if status == 0 {
		return ""
	}
	return mostTelling(out)
}

// mostTelling returns the line of an answer that says most: the first with a colon or a
// record's number, else the first.
func mostTelling(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, l := range lines {
		if strings.Contains(l, "record ") || strings.Contains(l, "differ") {
			return strings.TrimSpace(l)
		}
	}
	return lines[0]
}

// visit asks for pages as visitors do whom the probe does not play: who allow all in
// the face of GPC, who refuse and have a TC string, who move around.
func visit(ctx context.Context, addr string) {
	const all = "CQs2gwAQs2gwANwAHCENCuEwAP___wAAAACYAAAAAAAA.IAAA" // a TC string that grants all that it can
	for _, site := range []string{"stores", "decor", "mail", "offers", "letters"} {
		for _, v := range []struct {
			form, cookie string
			gpc          bool
		}{{"allow-all", "", false}, {"allow-all", "", true}, {"refuse-all", "euconsent-v2=" + all, false}, {"", "euconsent-v2=" + all, false}, {"", "", true}, {"", "", false}} {
			jar, _ := cookiejar.New(nil)
			c := http.Client{Jar: jar, Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			}}}
			send := func(method, path, body string) {
				req, err := http.NewRequestWithContext(ctx, method, "http://"+site+".localhost"+path, strings.NewReader(body))
				if err != nil {
					return
				}
				if body != "" {
					req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				if v.gpc {
					req.Header.Set("Sec-GPC", "1")
				}
				if v.cookie != "" {
					req.Header.Set("Cookie", v.cookie)
				}
				req.Header.Set("X-Forwarded-For", "198.51.100.9")
				if resp, err := c.Do(req); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
			if v.form != "" {
				send("POST", "/_bespoke/privacy", url.Values{"action": {v.form}}.Encode())
			}
			for range 2 {
				send("GET", "/", "")
			}
			c.CloseIdleConnections()
		}
	}
}

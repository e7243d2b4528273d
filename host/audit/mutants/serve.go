package main

import (
	"bytes"
	"context"
	"encoding/base64"
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

// serve has the mutated edge serve the site, probes it, and looks at what it recorded and
// wrote. The instruments are of the build without a leak.
func (b *bench) serve(ctx context.Context, edge, state string, r *row) error {
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	behind := origin()
	defer behind.Close()
	file, err := writeSite(state, addr, admin, behind.Listener.Addr().String(), b.dir)
	if err != nil {
		return err
	}
	token, err := monitor(state)
	if err != nil {
		return err
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, edge, "serve", "-c", file, "--log", "debug")
	cmd.Stderr = &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := ready(ctx, addr, ended); err != nil {
		cmd.Process.Kill()
		return fmt.Errorf("%w\n%s", err, &log)
	}
	r.Caught["probe"] = b.probes(ctx, state, addr)
	visit(ctx, addr)
	figures, err := figures(ctx, admin, token)
	cmd.Process.Signal(os.Interrupt)
	<-ended
	if err != nil {
		return fmt.Errorf("%w\n%s", err, lastLine(log.Bytes()))
	}
	r.Caught["verify"] = b.verify(ctx, state)
	r.Caught["replay"] = b.replay(ctx, state)
	r.Caught["outputs"] = b.outputs(ctx, state, log.Bytes(), figures)
	return nil
}

// probes runs all experiments, four at a time.
func (b *bench) probes(ctx context.Context, dir, addr string) string {
	refused, err := refusedElsewhere(ctx, addr)
	if err != nil {
		return err.Error()
	}
	list := experiments(refused)
	said := make([]string, len(list))
	room := make(chan struct{}, 4)
	var all sync.WaitGroup
	others, over := context.WithCancel(ctx)
	defer over()
	go crowd(others, addr)
	for i := range list {
		room <- struct{}{}
		all.Go(func() {
			said[i] = b.probe(ctx, dir, addr, &list[i])
			<-room
		})
	}
	all.Wait()
	return first(said...)
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// ready waits until an edge takes connections, or ended.
func ready(ctx context.Context, addr string, ended <-chan error) error {
	for range 600 {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return fmt.Errorf("the edge ended: %v", err)
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
		// Where the folder of this run is, is no part of the answer.
		return bytes.ReplaceAll(append(stdout.Bytes(), stderr.Bytes()...), []byte(b.dir+"/"), nil), exit.ExitCode()
	case err != nil:
		return []byte(err.Error()), -1
	}
	return stdout.Bytes(), 0
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

// grantsAll returns a TC string of yesterday (IAB TCF v2, core string, and the segment of
// disclosed vendors) that grants every purpose, and names no vendor.
func grantsAll() string {
	var bits strings.Builder
	write := func(v uint64, n int) { fmt.Fprintf(&bits, "%0*b", n, v) }
	text := func() string {
		s := bits.String() + strings.Repeat("0", (24-bits.Len()%24)%24)
		raw := make([]byte, len(s)/8)
		for i := range s {
			raw[i/8] |= (s[i] - '0') << (7 - i%8)
		}
		bits.Reset()
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	day := uint64(time.Now().Add(-24*time.Hour).Truncate(24*time.Hour).Unix() * 10)
	for _, f := range [...]struct {
		v uint64
		n int
	}{{2, 6}, {day, 36}, {day, 36}, {880, 12}, {7, 12}, {2, 6}, {'E' - 'A', 6}, {'N' - 'A', 6}, {174, 12}, {4, 6}, {1, 1}, {1, 1}, {0, 12},
		{1<<24 - 1, 24}, {0, 24}, {0, 1}, {0, 6}, {'T' - 'A', 6}, {0, 16}, {0, 1}, {0, 16}, {0, 1}, {0, 12}} {
		write(f.v, f.n)
	}
	core := text()
	write(1, 3)
	write(0, 17)
	return core + "." + text()
}

// A caller is a browser without a page.
type caller struct {
	http.Client
	host   string
	header map[string]string
}

func newCaller(addr, host string, header map[string]string) *caller {
	jar, _ := cookiejar.New(nil)
	return &caller{host: host, header: header, Client: http.Client{Jar: jar, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}}}
}

func (c *caller) send(ctx context.Context, method, path, form string) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.host+path, strings.NewReader(form))
	if err != nil {
		return err
	}
	if form != "" {
		kind := "application/x-www-form-urlencoded"
		if form[0] == '{' {
			kind = "application/json"
		}
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Origin", "http://"+c.host)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

const centre = "/_bespoke/privacy"

// crowd is a visitor who allowed all, hid an item, and keeps asking: what an edge keeps of
// somebody, the probe's visitors then come upon. It ends with ctx.
func crowd(ctx context.Context, addr string) {
	c := newCaller(addr, openHost, map[string]string{"X-Forwarded-For": "20.0.1.7"})
	defer c.CloseIdleConnections()
	c.send(ctx, "POST", centre, "action=allow-all")
	c.send(ctx, "POST", "/_bespoke/api/events", `{"kind":"hide","item":"item-3"}`)
	for ctx.Err() == nil {
		c.send(ctx, "GET", "/hostile", "")
		c.send(ctx, "GET", "/deals", "")
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// refusedElsewhere returns the cookie of a subject who refused all with another browser.
func refusedElsewhere(ctx context.Context, addr string) (map[string]string, error) {
	for range 50 { // until the store of subjects is open
		c := newCaller(addr, openHost, map[string]string{"Cookie": "session=subject", "X-Forwarded-For": "20.0.1.7"})
		if err := c.send(ctx, "GET", "/hostile", ""); err != nil {
			return nil, err
		}
		c.header = map[string]string{"X-Forwarded-For": "20.0.1.7"}
		if err := c.send(ctx, "POST", centre, "action=refuse-all"); err != nil {
			return nil, err
		}
		c.CloseIdleConnections()
		for _, k := range c.Jar.Cookies(&url.URL{Scheme: "http", Host: openHost, Path: "/"}) {
			if k.Name == "bespoke-subject" {
				return map[string]string{k.Name: k.Value}, nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, errors.New("the edge does not know whom the origin knows")
}

// visit asks for pages as visitors do whom the probe does not play: who allow all in
// the face of GPC, or have a TC string beside what they say.
func visit(ctx context.Context, addr string) {
	tcf := grantsAll()
	for _, host := range []string{openHost, strictHost} {
		for _, v := range []struct{ form, cookie, gpc string }{{"allow-all", "", ""}, {"allow-all", "", "1"}, {"refuse-all", tcf, ""}, {"", tcf, ""}, {"", "", "1"}, {"", "", ""}} {
			for _, from := range strings.Split(anywhere, ",") {
				header := map[string]string{"X-Forwarded-For": from}
				if v.gpc != "" {
					header["Sec-GPC"] = v.gpc
				}
				c := newCaller(addr, host, header)
				if v.cookie != "" {
					c.Jar.SetCookies(&url.URL{Scheme: "http", Host: host, Path: "/"}, []*http.Cookie{{Name: "euconsent-v2", Value: v.cookie}})
				}
				if v.form != "" {
					c.send(ctx, "POST", centre, "action="+v.form)
				}
				for range 2 { // what fails here, the probe sees
					c.send(ctx, "GET", "/hostile", "")
					c.send(ctx, "GET", "/shelf", "")
				}
				c.CloseIdleConnections()
			}
		}
	}
}

// Package front is what the demo puts before the edge, and nobody else does: a
// start page that lists the example sites, and a bar on each of their pages to
// become another visitor, be in another place, and send the Global Privacy Control
// signal. The edge behind it is the real one, and is asked as a browser would ask.
//
// Make one [Front] with [New]; it is an [http.Handler]. It is for one person at
// their own machine: what the bar sets holds for every page of the demo.
package front

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// A Site is one entry of the start page.
type Site struct{ Name, Title, About string }

// A Place is where the visitor may be: an address that the demo's geo database knows.
type Place struct{ Name, Address string }

// Config is what a Front needs.
type Config struct {
	Edge   string // host:port of the edge
	Sites  []Site
	Places []Place // the first is where this machine itself counts as
}

// Visitors are those whom the bar offers: the browser's own, and some whose cookies
// the front keeps, so that one browser can be each of them.
var visitors = [...]string{"this browser", "visitor 1", "visitor 2", "visitor 3"}

var purposes = [...]string{"localize", "locate", "personalize", "advertise", "measure"}

// maxPage bounds a page into which the bar is put. A longer one goes out without.
const maxPage = 4 << 20

// A Front is the demo's own handler. It is safe for concurrent use.
type Front struct {
	config Config
	proxy  *httputil.ReverseProxy
	client *http.Client

	mu   sync.Mutex
	who  now
	jars [len(visitors)]*cookiejar.Jar // nil for the browser's own
}

// now is what the bar has set.
type now struct {
	Visitor, Place int
	GPC            bool
}

// New returns a Front.
func New(c Config) *Front {
	f := &Front{config: c}
	for i := 1; i < len(f.jars); i++ {
		f.forget(i)
	}
	f.proxy = &httputil.ReverseProxy{Rewrite: f.rewrite, ModifyResponse: f.answered}
	f.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return f
}

func (f *Front) forget(visitor int) {
	f.jars[visitor], _ = cookiejar.New(nil) // fails for options alone
}

// Paths of the demo itself, on every host.
const (
	prefix    = "/_demo/"
	pathSet   = prefix + "set"
	pathStyle = prefix + "demo.css"
)

//go:embed demo.css
var style []byte

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, "80"
	}
	here := host == "localhost" || net.ParseIP(host) != nil
	switch {
	case r.URL.Path == pathSet:
		f.set(w, r)
	case r.URL.Path == pathStyle:
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Write(style)
	case strings.HasPrefix(r.URL.Path, prefix), here && r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Dest") == "document":
		f.start(w, port)
	default:
		f.proxy.ServeHTTP(w, r)
	}
}

// set takes what the bar's form says, and leads back to the page.
func (f *Front) set(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); r.Method != http.MethodPost || site != "" && site != "same-origin" {
		http.Error(w, "the bar of the demo posts here", http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<12)
	n := now{GPC: r.PostFormValue("gpc") != ""}
	for i, v := range visitors {
		if r.PostFormValue("visitor") == v {
			n.Visitor = i
		}
	}
	for i, p := range f.config.Places {
		if r.PostFormValue("place") == p.Name {
			n.Place = i
		}
	}
	f.mu.Lock()
	f.who = n
	if r.PostFormValue("forget") != "" && n.Visitor > 0 {
		f.forget(n.Visitor)
	}
	f.mu.Unlock()
	back := r.PostFormValue("back")
	if !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") || strings.Contains(back, `\`) {
		back = "/"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

func (f *Front) state() (n now, jar *cookiejar.Jar) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.who, f.jars[f.who.Visitor]
}

// rewrite makes the request that of the visitor whom the bar chose.
func (f *Front) rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme, p.Out.URL.Host = "http", f.config.Edge
	p.Out.Host = p.In.Host
	if jar := f.dress(p.Out, p.In); jar != nil {
		p.Out = p.Out.WithContext(context.WithValue(p.Out.Context(), jarOf{}, jar))
	}
	if document(p.In) {
		p.Out.Header.Set("Accept-Encoding", "identity") // the bar is put into it
	}
}

// dress gives the request the address, the signal and the cookies of the visitor.
// What was asked with an address of its own is left as it is. It returns where
// the cookies of the answer go, nil for the browser.
func (f *Front) dress(out, in *http.Request) *cookiejar.Jar {
	n, jar := f.state()
	if from, ok := in.Header["X-Forwarded-For"]; ok {
		out.Header["X-Forwarded-For"] = from
		return nil
	}
	if n.Place > 0 && n.Place < len(f.config.Places) {
		out.Header.Set("X-Forwarded-For", f.config.Places[n.Place].Address)
	}
	if n.GPC {
		out.Header.Set("Sec-GPC", "1")
	}
	if jar != nil {
		out.Header.Del("Cookie")
		for _, c := range jar.Cookies(siteOf(in)) {
			out.AddCookie(c)
		}
	}
	return jar
}

// jarOf is the key under which a request carries its jar.
type jarOf struct{}

// siteOf returns the site as the jars of visitors know it.
func siteOf(r *http.Request) *url.URL { return &url.URL{Scheme: "http", Host: r.Host, Path: "/"} }

// document tells whether a browser loads a page, rather than something in it.
func document(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Dest") == "document" }

var body = regexp.MustCompile(`(?i)<body(\s[^>]*)?>`)

// answered keeps the cookies of the visitor, and puts the bar into a page of a
// site. The edge's own pages stay as they are.
func (f *Front) answered(res *http.Response) error {
	in := res.Request
	if jar, ok := in.Context().Value(jarOf{}).(*cookiejar.Jar); ok {
		jar.SetCookies(siteOf(in), res.Cookies())
		res.Header.Del("Set-Cookie")
	}
	if !document(in) || strings.HasPrefix(in.URL.Path, "/_bespoke/") || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || res.Header.Get("Content-Encoding") != "" {
		return nil
	}
	page, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return err
	}
	if at := body.FindIndex(page); at != nil {
		var bar bytes.Buffer
		if err := pages.ExecuteTemplate(&bar, "bar", f.bar(in)); err != nil {
			return err
		}
		page = append(page[:at[1]:at[1]], append(bar.Bytes(), page[at[1]:]...)...)
	}
	rest := res.Body
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(page), rest), rest}
	res.ContentLength = -1
	res.Header.Del("Content-Length")
	return nil
}

// A bar is what the template of it shows.
type bar struct {
	now
	Visitors []string
	Places   []Place
	Port     string
	Back     string
	Granted  []string
	All      bool
	Chosen   bool
}

func (f *Front) bar(r *http.Request) bar {
	n, _ := f.state()
	_, port, _ := net.SplitHostPort(r.Host)
	b := bar{now: n, Visitors: visitors[:], Places: f.config.Places, Port: port, Back: r.URL.RequestURI()}
	b.Granted, b.Chosen = f.granted(r)
	b.All = len(b.Granted) == len(purposes)
	return b
}

// granted asks the edge what the visitor of a request has granted.
func (f *Front) granted(r *http.Request) (granted []string, chosen bool) {
	ask, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), http.MethodGet, "http://"+f.config.Edge+"/_bespoke/api/choice", nil)
	if err != nil {
		return nil, false
	}
	ask.Host = r.Host
	for _, name := range []string{"X-Forwarded-For", "Sec-Gpc", "Cookie"} { // the request is dressed already
		ask.Header[name] = r.Header[name]
	}
	res, err := f.client.Do(ask)
	if err != nil {
		return nil, false
	}
	defer res.Body.Close()
	var answer struct {
		Purposes map[string]struct{ Granted bool } `json:"purposes"`
		ChosenAt *string                           `json:"chosen_at"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&answer); err != nil {
		return nil, false
	}
	for _, p := range purposes {
		if answer.Purposes[p].Granted {
			granted = append(granted, p)
		}
	}
	return granted, answer.ChosenAt != nil
}

func (f *Front) start(w http.ResponseWriter, port string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err := pages.ExecuteTemplate(w, "start", struct {
		Sites []Site
		Port  string
	}{f.config.Sites, port}); err != nil {
		fmt.Fprintf(w, "the start page: %v", err)
	}
}

//go:embed pages.html
var source string

var pages = template.Must(template.New("").Parse(source))

// Package console is what people see of the edge in a browser, on the admin
// listener: for privacy teams whether refusals were honoured, and how that is
// known; for operators how the edge fares; for tenants what is theirs.
//
// [New] returns an http.Handler for /console/. Every page is made here from
// templates, and works without a script. Who asks is known by one of the
// control.Tokens, which a browser gives once, on a form; what a role may see
// stands in one table, [Console.table]. Nothing here changes a policy, a choice
// or the ledger.
package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"bespoke/host/audit/probe"
	"bespoke/host/control"
	"bespoke/host/ledger"
	"bespoke/host/watch"
	"bespoke/modules/registry"
)

// Config is what New needs. What is nil is told on the pages as not there.
type Config struct {
	Tokens     *control.Tokens // required
	Tenants    func() []string // the names configured now; required
	Policies   *registry.Registry
	Runtime    control.Runtime // required with Policies
	Catalogues control.Catalogues
	Routes     func(tenant string) []SiteRoute
	Figures    func() []watch.Family
	Ledger     string               // the ledger's folder; "": nothing is recorded
	Recording  func() ledger.Status // how recording goes; nil: it does not
	Cache      string               // a folder for counts of the ledger, which can be made again; "": none are kept
	Canaries   func() []probe.Standing
	Log        *slog.Logger     // nil: nothing is logged
	Now        func() time.Time // nil: time.Now
}

// A Console answers requests for pages. It is safe for concurrent use.
type Console struct {
	config    Config
	pages     map[string]*template.Template // by file, each with the frame
	style     []byte
	routes    []route
	mux       *http.ServeMux
	sessions  sessions
	attempts  attempts
	history   history
	counting  counting
	verifying verifying
	reporting reporting
	searching chan struct{} // holds one while records are searched: exchanges keep the processors
}

// csp allows a page nothing but its style, its own pictures and its own forms.
const csp = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

//go:embed pages
var files embed.FS

// New prepares the consoles.
func New(c Config) (*Console, error) {
	if c.Tokens == nil || c.Tenants == nil || c.Policies != nil && c.Runtime == nil {
		return nil, errors.New("console: Tokens and Tenants are required, and with Policies, Runtime")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	k := &Console{config: c, searching: make(chan struct{}, 1), reporting: newReporting(), pages: map[string]*template.Template{}, mux: http.NewServeMux()}
	if err := k.parse(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	// A form that another site has a browser send is refused, whatever cookie is
	// with it (Sec-Fetch-Site, else Origin).
	own := http.NewCrossOriginProtection()
	own.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.fail(&visit{Console: k, w: w, r: r}, &fault{http.StatusForbidden, "This form was sent from another site. Open the console, and use the form there."})
	}))
	k.routes = k.table()
	for _, r := range k.routes {
		k.mux.Handle(r.method+" "+r.path, own.Handler(k.guard(r)))
	}
	k.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Console: k, w: w, r: r}
		k.known(v)
		k.fail(v, &fault{http.StatusNotFound, "There is no such page."})
	})
	return k, nil
}

func (k *Console) parse() error {
	frame, err := template.New("frame.html").Funcs(words).ParseFS(files, "pages/frame.html", "pages/parts.html")
	if err != nil {
		return err
	}
	names, err := files.ReadDir("pages")
	if err != nil {
		return err
	}
	for _, f := range names {
		name, page := strings.CutSuffix(f.Name(), ".html")
		if !page || name == "frame" || name == "parts" {
			continue
		}
		t, err := frame.Clone()
		if err == nil {
			t, err = t.ParseFS(files, "pages/"+f.Name())
		}
		if err != nil {
			return err
		}
		k.pages[name] = t
	}
	k.style, err = files.ReadFile("pages/console.css")
	return err
}

// ServeHTTP answers one request. A panic ends only that.
func (k *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			// What it says may quote a record or a token: only where is logged.
			k.config.Log.Error("panic in the consoles", "at", string(debug.Stack()))
			http.Error(w, "Something went wrong inside; the edge's log says where.", http.StatusInternalServerError)
		}
	}()
	h := w.Header()
	h.Set("Content-Security-Policy", csp)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// Not no-referrer, with which a browser sends its own forms with Origin: null.
	h.Set("Referrer-Policy", "same-origin")
	k.mux.ServeHTTP(w, r)
}

// A route is one page, download or action.
type route struct {
	method, path string // as http.ServeMux has them
	who          access
	do           func(*visit) error
}

// access says who may use a route. Nobody may who has no token, but where it is open.
type access uint8

const (
	open     access = iota // everybody
	own                    // everybody with a token; a tenant only for itself
	everyone               // is about all tenants together: no tenant
)

// table is all that there is, and who may use it.
func (k *Console) table() []route {
	return []route{
		{"GET", "/console/{$}", own, (*visit).home},
		{"GET", "/console/console.css", open, (*visit).stylesheet},
		{"GET", "/console/sign-in", open, (*visit).signInForm},
		{"POST", "/console/sign-in", open, (*visit).signIn},
		{"POST", "/console/sign-out", open, (*visit).signOut},
		{"GET", "/console/privacy", own, (*visit).privacyPage},
		{"POST", "/console/privacy/verify", everyone, (*visit).verify},
		{"GET", "/console/privacy/records", own, (*visit).recordsPage},
		{"GET", "/console/privacy/records/{number}", own, (*visit).recordPage},
		{"GET", "/console/privacy/records/{number}/proof", own, (*visit).proof},
		{"GET", "/console/privacy/report", own, (*visit).report},
		{"GET", "/console/privacy/key", own, (*visit).keyFile},
		{"GET", "/console/privacy/checkpoint", own, (*visit).checkpointFile},
		{"GET", "/console/operation", own, (*visit).operatorPage},
		{"GET", "/console/tenants/{$}", everyone, (*visit).tenantList},
		{"GET", "/console/tenants/{tenant}", own, (*visit).tenantPage},
		{"GET", "/console/tenants/{tenant}/policies/{policy}", own, (*visit).policyPage},
	}
}

// A visit is one request.
type visit struct {
	*Console
	w      http.ResponseWriter
	r      *http.Request
	token  control.Token // zero: who asks is not known
	signed bool          // by a session, rather than a header
	now    time.Time
	tenant string // that the page is about; "": all of them
}

// guard lets through who may use the route.
func (k *Console) guard(t route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Console: k, w: w, r: r}
		err := k.known(v)
		if err == nil {
			err = v.may(t)
		}
		if err == nil {
			err = t.do(v)
		}
		if err != nil {
			k.fail(v, err)
		}
	})
}

// may returns why the visit is not allowed, and finds the tenant that it is about.
func (v *visit) may(t route) error {
	if t.who == open {
		return nil
	}
	switch v.token.Role {
	case "":
		return errUnknown
	case control.RoleOperator, control.RoleAuditor, control.RoleTenant:
	case control.RoleMonitor:
		return &fault{http.StatusForbidden, "Your token is for /metrics alone."}
	default:
		return &fault{http.StatusForbidden, "A token of the role " + string(v.token.Role) + " opens no page here."}
	}
	v.tenant = v.r.PathValue("tenant")
	if asked := v.r.URL.Query().Get("tenant"); v.tenant == "" {
		v.tenant = asked
	}
	if v.token.Role != control.RoleTenant {
		return nil
	}
	if v.tenant == "" && t.who == own {
		v.tenant = v.token.Tenant
	}
	if t.who == everyone || v.tenant != v.token.Tenant {
		// The same whether there is such a tenant or not.
		return &fault{http.StatusForbidden, "Your token is for the site " + v.token.Tenant + ", and this page is not about that one alone."}
	}
	return nil
}

// A fault is why a page is not shown, in words for who asked.
type fault struct {
	status int
	text   string
}

func (f *fault) Error() string { return f.text }

// errUnknown: nobody is signed in, or is any more.
var errUnknown = &fault{http.StatusUnauthorized, "Sign in first."}

// fail answers with why not. Whoever only has to sign in is led there, and back.
func (k *Console) fail(v *visit, err error) {
	var f *fault
	if !errors.As(err, &f) {
		k.config.Log.Error("a console's page cannot be made", "page", v.r.Pattern, "error", err)
		f = &fault{http.StatusInternalServerError, "Something went wrong inside; the edge's log says what."}
	}
	if f == errUnknown && (v.r.Method == "GET" || v.r.Method == "HEAD") && v.r.Header.Get("Authorization") == "" {
		http.Redirect(v.w, v.r, signInFor(v.r.URL), http.StatusSeeOther)
		return
	}
	if f.status == http.StatusUnauthorized {
		v.w.Header().Set("WWW-Authenticate", `Bearer realm="bespoke"`)
	}
	v.show(f.status, "fault", http.StatusText(f.status), f)
}

// A frame is what every page has around its content.
type frame struct {
	Title string
	Token control.Token
	Links []link
	Data  any
}

// A link leads to a part of the consoles.
type link struct {
	Text, To string
	Here     bool
}

// show answers with a page. It is made whole before a byte of it is sent.
func (v *visit) show(status int, page, title string, data any) error {
	var out bytes.Buffer
	if err := v.pages[page].ExecuteTemplate(&out, "frame.html", frame{title, v.token, v.links(), data}); err != nil {
		return fmt.Errorf("page %s: %w", page, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	v.w.Write(out.Bytes())
	return nil
}

// links returns where one may go from a page.
func (v *visit) links() []link {
	var all []link
	switch v.token.Role {
	case control.RoleTenant:
		all = []link{{Text: "Your site", To: "/console/tenants/" + v.token.Tenant}, {Text: "Operation", To: "/console/operation"}, {Text: "Privacy", To: "/console/privacy"}}
	case control.RoleOperator:
		all = []link{{Text: "Operation", To: "/console/operation"}, {Text: "Privacy", To: "/console/privacy"}, {Text: "Sites", To: "/console/tenants/"}}
	case control.RoleAuditor:
		all = []link{{Text: "Privacy", To: "/console/privacy"}, {Text: "Operation", To: "/console/operation"}, {Text: "Sites", To: "/console/tenants/"}}
	}
	for i := range all {
		all[i].Here = strings.HasPrefix(v.r.URL.Path, all[i].To)
	}
	return all
}

// home leads to the page that a role begins with.
func (v *visit) home() error {
	http.Redirect(v.w, v.r, v.links()[0].To, http.StatusSeeOther)
	return nil
}

func (v *visit) stylesheet() error {
	v.w.Header().Set("Content-Type", "text/css; charset=utf-8")
	v.w.Header().Set("Cache-Control", "no-cache")
	v.w.Write(v.style)
	return nil
}

// configured reports whether the configuration has the tenant now.
func (v *visit) configured(tenant string) bool { return slices.Contains(v.config.Tenants(), tenant) }

// Package control is what people see of the edge itself: the privacy centre
// for visitors, the Global Privacy Control statement, and for operators and
// tenants the admin API, by which policies are uploaded and switched.
//
// [Privacy] answers one request to the privacy centre: its pages, and the JSON
// API for sites that build their own. It is a function from what the exchange
// knows of the visitor to an answer and the changes that they asked for; the
// edge sets the cookies. It never reads a cookie, an address or the profile
// itself. [Privacy.Notice] and [Privacy.Link] are what the edge adds to pages.
//
// [NewAdmin] opens the admin API on a listener of its own, for those who hold
// one of the [Tokens]; ADMIN.md beside this file lists what it takes. It runs no
// policy and keeps none: that is for the [Runtime] and the registry it is given.
package control

import (
	"embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// Paths that the edge answers itself on every site.
const (
	Prefix         = "/_bespoke/"
	PathPrivacy    = "/_bespoke/privacy"
	PathDownload   = "/_bespoke/privacy/download"
	PathReceipt    = "/_bespoke/privacy/receipt"
	PathErase      = "/_bespoke/privacy/erase"
	PathStyle      = "/_bespoke/privacy.css"
	PathScript     = "/_bespoke/privacy.js"
	PathNotice     = "/_bespoke/notice.css"
	PathSiteScript = "/_bespoke/bespoke.js"
	PathAPI        = "/_bespoke/api/"
	PathStatement  = "/.well-known/gpc.json"
)

// CSP is the Content-Security-Policy of all that is answered here: nothing
// inline, nothing from elsewhere, in nobody's frame.
const CSP = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// MaxForm is the most bytes that a posted form, or a body of JSON, may have.
const MaxForm = 16 << 10

// A Visit is what the privacy centre is told about an exchange.
type Visit struct {
	Site        string // the tenant's name
	Origin      string // the site as the visitor's browser names it: "https://shop.example"
	Decision    consent.Decision
	Choice      *consent.Choice // the visitor's own; nil for none
	Preferences profile.Preferences
	Used        consent.Set // purposes that something on this site reads data for
	TextVersion uint16      // of the text that visitors are shown now
	Why         []string    // why the last page looks as it does, in the policies' words
	SiteAsks    bool        // nothing was chosen, and it is the site that asks, not the rules of the place
	Devices     Devices     // where the visitor's choice holds
	Brand       *Brand      // nil for the plain page
	Now         time.Time

	// Stands is what would be granted, where nothing is as it could not be recorded.
	Stands consent.Set

	// Inferred is what was worked out about the visitor, nil where nothing may be;
	// Catalogue tells what its numbers stand for, nil: the site has none.
	Inferred  *profile.Inferred
	Catalogue Catalogue
	// Hidden are the items that the visitor does not want to see. HiddenNewer: a
	// later build wrote them, and they are left as they are.
	Hidden      profile.Hidden
	HiddenNewer bool

	// Attribution is what the geo database's licence asks to be shown; "" for nothing.
	Attribution, AttributionURL string
}

// stands returns what the visitor allows, be it used now or not: a choice that
// leaves a purpose as it is leaves it so.
func (v *Visit) stands() consent.Set {
	if v.Decision.Rule(abi.Localize) == consent.ByNoRecord {
		return v.Stands
	}
	return v.Decision.Granted()
}

// Devices tells where a visitor's choice holds.
type Devices uint8

const (
	ThisDevice       Devices = iota // the site knows of no others
	AllDevices                      // of the subject that they are
	NotYetAllDevices                // of that subject, but it could not be kept for the others yet
)

// A Request is a request to the privacy centre.
type Request struct {
	Method         string
	Path           string
	Query          string
	ContentType    string
	AcceptLanguage string
	Body           []byte
	CrossOrigin    bool // the browser says that another site sent it
}

// An Answer is a page, and what is to change for the visitor.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
	Location    string // of a redirect
	Language    string // of the page; "" if it has none
	Filename    string // to keep it under; "" to show it
	Allow       string // with status 405: the methods that there are
	Static      bool   // the same for every visitor of the site

	Choice      *consent.Choice      // to keep, if not nil
	Preferences *profile.Preferences // to keep, if not nil; to erase, if empty
	Hidden      *profile.Hidden      // to keep, if not nil; to erase, if empty
	Events      []Event              // that the visitor's browser told of
	// HereOnly has the status, location and body of what to answer instead where
	// Choice can be kept on this device, but not for all of the subject's. Nil: no
	// others are known.
	HereOnly *Answer

	Noticed  bool // Choice was made in the notice of a page
	EraseAll bool // whatever else is known of the visitor is to be dropped
}

//go:embed pages script
var files embed.FS

// Privacy answers requests to the privacy centre. It is safe for concurrent use.
type Privacy struct {
	pages  *template.Template
	texts  map[string]*texts
	static map[string]file
	notice map[string]noticeParts
}

// A file is sent as it is.
type file struct {
	contentType string
	data        string
}

// NewPrivacy prepares the privacy centre: its pages and its languages.
func NewPrivacy() (*Privacy, error) {
	p := &Privacy{static: map[string]file{}}
	var err error
	if p.pages, err = template.ParseFS(files, "pages/page.html"); err != nil {
		return nil, fmt.Errorf("privacy pages: %w", err)
	}
	if p.texts, err = loadTexts(); err != nil {
		return nil, err
	}
	for path, name := range map[string]string{
		PathStyle: "pages/privacy.css", PathNotice: "pages/notice.css", PathScript: "script/privacy.js", PathSiteScript: "script/bespoke.js",
	} {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("privacy centre: %w", err)
		}
		contentType := "text/css; charset=utf-8"
		if strings.HasSuffix(name, ".js") {
			contentType = "text/javascript; charset=utf-8"
		}
		p.static[path] = file{contentType, string(data)}
	}
	p.notice = noticesOf(p.texts)
	return p, nil
}

// Answer answers a request whose path begins with [Prefix].
func (p *Privacy) Answer(r Request, v Visit) Answer {
	if strings.HasPrefix(r.Path, PathAPI) {
		return p.api(r, v)
	}
	get := r.Method == "GET" || r.Method == "HEAD"
	if f, ok := p.static[r.Path]; ok {
		if !get {
			return notAllowed("GET, HEAD")
		}
		page, notice := v.Brand.styles()
		switch r.Path {
		case PathStyle:
			f.data += page
		case PathNotice:
			f.data += notice
		}
		return Answer{Status: 200, ContentType: f.contentType, Body: []byte(f.data), Static: true}
	}
	switch r.Path {
	case PathPrivacy:
		switch {
		case get:
			return p.shown(r, v)
		case r.Method == "POST":
			return p.post(r, v)
		}
		return notAllowed("GET, HEAD, POST")
	case PathDownload, PathReceipt, PathErase:
		if !get {
			return notAllowed("GET, HEAD")
		}
		switch r.Path {
		case PathDownload:
			return download(v)
		case PathReceipt:
			return p.receipt(r, v)
		}
		return p.render("erase", 200, p.view(r, v))
	}
	return plain(404, "There is no such page. Your privacy choices are at "+PathPrivacy+".")
}

func notAllowed(methods string) Answer {
	a := plain(405, "This page takes "+methods+".")
	a.Allow = methods
	return a
}

func plain(status int, s string) Answer {
	return Answer{Status: status, ContentType: "text/plain; charset=utf-8", Body: []byte(s + "\n")}
}

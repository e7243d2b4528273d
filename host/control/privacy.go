// Package control is what people see of the edge itself: the privacy centre
// for visitors, the Global Privacy Control statement, and for operators and
// tenants the admin API, by which policies are uploaded and switched.
//
// [Privacy] answers one request to the privacy centre. It is a function from
// what the exchange knows of the visitor to a page and the changes that they
// asked for; the edge sets the cookies. It never reads a cookie, an address or
// the profile itself.
//
// [NewAdmin] opens the admin API on a listener of its own, for those who hold
// one of the [Tokens]; ADMIN.md beside this file lists what it takes. It runs no
// policy and keeps none: that is for the [Runtime] and the registry it is given.
package control

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/url"
	"strings"
	"time"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// Paths that the edge answers itself on every site.
const (
	Prefix        = "/_bespoke/"
	PathPrivacy   = "/_bespoke/privacy"
	PathStyle     = "/_bespoke/privacy.css"
	PathStatement = "/.well-known/gpc.json"
)

// MaxForm is the most bytes that a posted form may have.
const MaxForm = 16 << 10

// A Visit is what the privacy centre is told about an exchange.
type Visit struct {
	Site        string // the tenant's name
	Decision    consent.Decision
	Preferences profile.Preferences
	Used        consent.Set // purposes that something on this site reads data for
	Now         time.Time

	// Attribution is what the geo database's licence asks to be shown; "" for nothing.
	Attribution, AttributionURL string
}

// A Request is a request to the privacy centre.
type Request struct {
	Method      string
	Path        string
	Query       string
	ContentType string
	Body        []byte
	CrossOrigin bool // the browser says that another site sent it
}

// An Answer is a page, and what is to change for the visitor.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
	Location    string // of a redirect

	Choice      *consent.Choice      // to keep, if not nil
	Preferences *profile.Preferences // to keep, if not nil; to erase, if empty
}

//go:embed privacy.html privacy.css
var files embed.FS

// Privacy answers requests to the privacy centre.
type Privacy struct {
	page  *template.Template
	style []byte
}

// NewPrivacy prepares the privacy centre's pages.
func NewPrivacy() (*Privacy, error) {
	page, err := template.ParseFS(files, "privacy.html")
	if err != nil {
		return nil, fmt.Errorf("privacy page: %w", err)
	}
	style, err := files.ReadFile("privacy.css")
	if err != nil {
		return nil, fmt.Errorf("privacy style: %w", err)
	}
	return &Privacy{page: page, style: style}, nil
}

// Answer answers a request whose path begins with [Prefix].
func (p *Privacy) Answer(r Request, v Visit) Answer {
	switch {
	case r.Path == PathStyle && (r.Method == "GET" || r.Method == "HEAD"):
		return Answer{Status: 200, ContentType: "text/css; charset=utf-8", Body: p.style}
	case r.Path == PathPrivacy && (r.Method == "GET" || r.Method == "HEAD"):
		return p.shown(r, v)
	case r.Path == PathPrivacy && r.Method == "POST":
		return p.post(r, v)
	case r.Path == PathPrivacy || r.Path == PathStyle:
		return text(405, "This page takes GET and POST.")
	}
	return text(404, "There is no such page. Your privacy choices are at "+PathPrivacy+".")
}

func (p *Privacy) post(r Request, v Visit) Answer {
	if r.CrossOrigin {
		return text(403, "This form was sent from another site. Nothing was changed. Open "+PathPrivacy+" and choose there.")
	}
	if mt, _, err := mime.ParseMediaType(r.ContentType); err != nil || mt != "application/x-www-form-urlencoded" {
		return text(415, "Send a form (application/x-www-form-urlencoded). Nothing was changed.")
	}
	if len(r.Body) > MaxForm {
		return text(413, fmt.Sprintf("A form here has at most %d bytes. Nothing was changed.", MaxForm))
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return text(400, "The form cannot be read. Nothing was changed.")
	}
	choice, err := chosen(form, v)
	if err != nil {
		return text(400, "The form cannot be used: "+err.Error()+". Nothing was changed.")
	}
	var prefs *profile.Preferences
	if names, ok := form["name"]; ok {
		name, err := profile.ParseName(names[len(names)-1])
		if err != nil {
			saved := ""
			if choice != nil {
				saved = "Your choice is saved." // a refusal never depends on a name
			}
			a := p.show(400, v, saved, "Your name was not saved: "+err.Error()+".")
			a.Choice = choice
			return a
		}
		changed := v.Preferences
		changed.Name = name
		prefs = &changed
	}
	a := Answer{Status: 303, Choice: choice, Preferences: prefs}
	switch {
	case choice != nil:
		a.Location = PathPrivacy + "?saved=choice"
	case prefs != nil:
		a.Location = PathPrivacy + "?saved=name"
	default:
		return text(400, "The form holds neither a choice (action=allow-all, refuse-all or save) nor a name. Nothing was changed.")
	}
	return a
}

// chosen returns the choice that a form makes, nil if it makes none. A purpose
// that is not named in a saved form is refused, as an unticked box is.
func chosen(form url.Values, v Visit) (*consent.Choice, error) {
	c := &consent.Choice{At: v.Now.UTC().Truncate(time.Second), UnderGPC: v.Decision.GPC}
	named := false
	for p := range abi.Purpose(abi.Purposes) {
		vals, ok := form[p.String()]
		if !ok {
			continue
		}
		named = true
		switch strings.ToLower(vals[len(vals)-1]) {
		case "on", "1", "true", "yes":
			c.Granted = c.Granted.With(p)
		case "", "off", "0", "false", "no":
		default:
			return nil, fmt.Errorf("%s takes on or off", p)
		}
	}
	actions, acted := form["action"]
	if !acted {
		if !named {
			return nil, nil
		}
		return c, nil
	}
	switch actions[len(actions)-1] {
	case "allow-all":
		c.Granted = consent.All
	case "refuse-all":
		c.Granted = 0
	case "save":
	case "name": // the form of the name alone
		if named {
			return nil, errors.New("action=name saves no choice")
		}
		return nil, nil
	default:
		return nil, errors.New("action is allow-all, refuse-all or save")
	}
	return c, nil
}

// shown answers a visit to the page. A form that was saved leads back here; only
// a choice that came back with the request was kept.
func (p *Privacy) shown(r Request, v Visit) Answer {
	switch {
	case r.Query == "saved=choice" && !v.Decision.ChosenAt.IsZero():
		return p.show(200, v, "Your choice is saved. It holds from the next page on.", "")
	case r.Query == "saved=choice":
		return p.show(200, v, "", "Your browser did not keep the choice. Cookies may be blocked, or this page did not come over HTTPS.")
	case r.Query == "saved=name":
		return p.show(200, v, "Saved. It holds from the next page on.", "")
	}
	return p.show(200, v, "", "")
}

func text(status int, s string) Answer {
	return Answer{Status: status, ContentType: "text/plain; charset=utf-8", Body: []byte(s + "\n")}
}

// purpose is one row of the page.
type purpose struct {
	Name, Title, About string
	Granted            bool
	Checked            bool // what the visitor chose, or what holds without a choice
	Fixed              bool // no choice here can grant it
	Used               bool
	Why                string
	DPV, TCF           string
}

type view struct {
	Visit
	Purposes      []purpose
	Saved, Failed string
	PathStyle     string
	GPC           bool
	MaxName       int
}

func (p *Privacy) show(status int, v Visit, saved, failed string) Answer {
	d := &v.Decision
	w := view{Visit: v, Saved: saved, Failed: failed, PathStyle: PathStyle, GPC: d.GPC, MaxName: profile.MaxName}
	for q := range abi.Purpose(abi.Purposes) {
		f := consent.FactsOf(q)
		title, about := words(q)
		w.Purposes = append(w.Purposes, purpose{
			Name: q.String(), Title: title, About: about,
			Granted: d.Grants(q), Checked: d.Grants(q),
			Fixed: d.GPC && q == abi.Advertise,
			Used:  v.Used.Has(q),
			Why:   why(d, q),
			DPV:   f.DPV, TCF: f.TCF,
		})
	}
	var b bytes.Buffer
	if err := p.page.Execute(&b, w); err != nil {
		return text(500, "The page could not be made.")
	}
	return Answer{Status: status, ContentType: "text/html; charset=utf-8", Body: b.Bytes()}
}

// words returns what a purpose is called, and what it means, in plain words.
func words(p abi.Purpose) (title, about string) {
	switch p {
	case abi.Localize:
		return "Results near you", "Your town, as your internet address suggests it, puts what is near you first. It is never more exact than a few kilometres, and the address is not kept."
	case abi.Locate:
		return "Your exact place", "If you let your browser tell it, your exact place is used instead of your town."
	case abi.Personalize:
		return "What you like first", "What you look at on this site decides what is shown first. It is kept in your browser."
	case abi.Advertise:
		return "Ads by interest", "What you look at on this site picks the ads. Without it ads are the same for everybody."
	case abi.Measure:
		return "Counting visits", "Your visit is counted together with many others. Nobody can be picked out."
	}
	return "", ""
}

// why says in plain words what settled a purpose.
func why(d *consent.Decision, p abi.Purpose) string {
	day := d.ChosenAt.Format("2 January 2006")
	switch d.Rule(p) {
	case consent.ByUnreadable:
		return "Off, because the choice that your browser keeps for this site cannot be read. Choose again to set it right."
	case consent.ByWithdrawal:
		return "Off, by your choice on " + day + "."
	case consent.ByGPC:
		return "Off, by your browser’s Global Privacy Control signal."
	case consent.ByStaleChoice:
		return "Off, because your choice of " + day + " is too old to rely on. Choose again if you still want it."
	case consent.ByChoice:
		return "On, by your choice on " + day + "."
	case consent.ByOldText:
		return "Off, because what you were told has changed since your choice of " + day + ". Choose again if you still want it."
	case consent.ByUnknownSubject:
		return "Off, because the choice that you made on another device cannot be looked up now."
	case consent.ByUnreadableString:
		return "Off, because the choice that this site’s consent tool keeps cannot be read."
	case consent.ByStaleString:
		return "Off, because the choice that this site’s consent tool keeps is too old to rely on."
	case consent.ByStringRefusal:
		return "Off, by the choice that this site’s consent tool keeps."
	case consent.ByString:
		return "On, by the choice that this site’s consent tool keeps."
	case consent.ByDNT:
		return "Off, by your browser’s Do Not Track signal."
	case consent.ByExplicitOnly:
		return "Off. It is only ever on if you say so."
	}
	rule := "the rule for your region (" + d.Jurisdiction.ID + ")"
	if d.Jurisdiction.ID == "" || d.Jurisdiction.ID == "unknown" {
		rule = "the strictest rule, as your region is unknown"
	}
	if d.Grants(p) {
		return "On, by " + rule + ". You have not chosen yet."
	}
	return "Off, by " + rule + ". You have not chosen yet."
}

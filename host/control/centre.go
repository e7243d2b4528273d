package control

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// view is what the pages are made of.
type view struct {
	Visit
	Lang, Title, Intro, Logo string
	Path, Back               string
	PathStyle, PathScript    string
	PathDownload             string
	PathReceipt, PathErase   string
	Saved, Failed, Bad       string // what was done, what was not, and the field that is why
	Badge                    string // the signal that is honoured
	Chosen                   bool
	Purposes                 []purpose
	Form                     fields
	Known                    [][2]string
	HiddenItems              []hiddenItem
	texts                    *texts
}

// T returns a text in the visitor's language; pairs are names and values of its placeholders.
func (w *view) T(key string, pairs ...string) (string, error) { return w.texts.text(key, pairs...) }

// Themes and Frequencies are what there is to choose from.
func (w *view) Themes() []profile.Theme          { return profile.Themes() }
func (w *view) Frequencies() []profile.Frequency { return profile.Frequencies() }

// KeptForDevices reports whether the site keeps what was inferred, too.
func (w *view) KeptForDevices() bool { return w.Devices != ThisDevice && w.Visit.inferred() != nil }

// hiddenItem is an item that the visitor may see again.
type hiddenItem struct {
	Number uint32
	Title  string
}

// purpose is one row of the page.
type purpose struct {
	Name, Title, About string
	Granted            bool
	Fixed              bool // no choice here can grant it
	Used               bool
	Rule, Why          string
	DPV, TCF           string
}

// fields are the preferences as their form shows them.
type fields struct {
	Name, PageSize, Sort, Filters, Muted, PlaceMode, Place string

	Theme   profile.Theme
	Contact profile.Frequency
}

func fieldsOf(p *profile.Preferences) fields {
	f := fields{
		Name: p.Name, Theme: p.Theme, Sort: p.Sort, Contact: p.Contact,
		Filters: lines(p.Filters), Muted: strings.Join(p.Muted, "\n"), PlaceMode: p.Place.Mode.String(),
	}
	if p.PageSize > 0 {
		f.PageSize = strconv.Itoa(p.PageSize)
	}
	if p.Place.Mode == profile.PlaceChosen {
		f.Place = placeText(&p.Place)
	}
	return f
}

func lines(filters []profile.Filter) string {
	var b strings.Builder
	for i, f := range filters {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.Name + ": " + f.Value)
	}
	return b.String()
}

func placeText(p *profile.Place) string {
	if p.Name != "" {
		return p.Name
	}
	return p.Coordinates()
}

// view begins a page for a visitor.
func (p *Privacy) view(r Request, v Visit) *view {
	t := p.texts[Language(r.AcceptLanguage)]
	w := &view{
		Visit: v, Lang: t.lang, Title: t.of["title"], Intro: t.of["intro"], Path: PathPrivacy, Back: "/", PathStyle: PathStyle, PathScript: PathScript,
		PathDownload: PathDownload, PathReceipt: PathReceipt, PathErase: PathErase,
		Chosen: v.Choice != nil, Form: fieldsOf(&v.Preferences), texts: t,
	}
	if b := v.Brand; b != nil {
		w.Title, w.Intro, w.Logo = said(b.Title, t.lang, w.Title), said(b.Intro, t.lang, w.Intro), b.Logo
	}
	if q, err := url.ParseQuery(r.Query); err == nil {
		if path := localPath(q.Get("back")); path != "" {
			w.Back = path
		}
	}
	d := &w.Decision
	for q := range abi.Purpose(abi.Purposes) {
		f := consent.TermsOf(q)
		w.Purposes = append(w.Purposes, purpose{
			Name: q.String(), Title: t.of[q.String()+".title"], About: t.of[q.String()+".about"],
			Granted: d.Grants(q), Fixed: d.GPC && q == abi.Advertise, Used: v.Used.Has(q),
			Rule: d.Rule(q).String(), Why: t.why(&v, q), DPV: f.DPV, TCF: f.TCF,
		})
		if d.Rule(q) == consent.ByDNT {
			w.Badge = t.of["signal.dnt"]
		}
	}
	if d.GPC {
		w.Badge = t.of["signal.gpc"]
	}
	w.Known = known(t, &v)
	for _, h := range v.hidden() {
		w.HiddenItems = append(w.HiddenItems, hiddenItem{h.Number, titleOf(h.Title, h.Number)})
	}
	return w
}

// why says in plain words what settled a purpose.
func (t *texts) why(v *Visit, p abi.Purpose) string {
	d := &v.Decision
	key, region := d.Rule(p).String(), d.Jurisdiction.ID
	if key == "jurisdiction" && v.SiteAsks {
		key = "site"
	} else if key == "jurisdiction" && (region == "" || region == "unknown" || region == "other") {
		key = "strictest"
	}
	s, _ := t.text("why."+key, "day", t.day(d.ChosenAt), "region", region, "signal", signalName(d.Signal(p)))
	return s
}

func signalName(s consent.Signal) string {
	switch s {
	case consent.FromTCF:
		return "TCF"
	case consent.FromGPP:
		return "GPP"
	case consent.FromUSPrivacy:
		return "US Privacy"
	}
	return s.String()
}

// known lists what is known about the visitor, in their language.
func known(t *texts, v *Visit) (out [][2]string) {
	add := func(key, value string) {
		if value != "" {
			out = append(out, [2]string{t.of[key], value})
		}
	}
	p := &v.Preferences
	f := fieldsOf(p)
	if v.Choice != nil {
		day, _ := t.text("known.day", "day", t.day(v.Choice.At))
		add("known.choice", day)
	}
	add("name.label", f.Name)
	if p.Theme != "" {
		add("theme.label", t.of["theme."+string(p.Theme)])
	}
	add("page-size.label", f.PageSize)
	add("sort.label", f.Sort)
	add("filters.label", f.Filters)
	add("muted.label", f.Muted)
	if p.Contact != "" {
		add("contact.label", t.of["contact."+string(p.Contact)])
	}
	add("place.label", placeText(&p.Place))
	if k := v.inferred(); k != nil {
		add("known.recent", met(k.Recent))
		add("known.purchases", met(k.Purchases))
		add("known.likes", likes(k))
		add("known.personas", personas(k))
		add("known.messages", messages(k))
	}
	return out
}

// met lists items by their titles; of what the site does not have any more, the number.
func met(items []profile.KnownItem) string {
	var b []string
	for _, it := range items {
		b = append(b, titleOf(it.Title, it.Number))
	}
	return strings.Join(b, " · ")
}

func titleOf(title string, number uint32) string {
	if title = strings.Join(strings.Fields(title), " "); title == "" {
		return "#" + strconv.FormatUint(uint64(number), 10)
	}
	return title
}

// likes lists attribute values by strength.
func likes(k *profile.Known) string {
	var b []string
	for _, l := range k.Interests {
		if l.Value != "" {
			b = append(b, l.Attribute+": "+l.Value)
		}
	}
	return strings.Join(b, " · ")
}

func personas(k *profile.Known) string {
	var b []string
	for _, p := range k.Personas {
		b = append(b, p.Name)
	}
	return strings.Join(b, " · ")
}

// messages lists, for each channel, what was opened and followed of what was sent.
func messages(k *profile.Known) string {
	var b []string
	round := func(w float64) string { return strconv.FormatFloat(w, 'f', 0, 64) }
	for _, c := range k.Channels {
		b = append(b, c.Name+": "+round(c.Opened)+" · "+round(c.Clicked)+" / "+round(c.Sent))
	}
	return strings.Join(b, "; ")
}

// shown answers a visit to the page. A form that was saved leads back here; only
// a choice that came back with the request was kept.
func (p *Privacy) shown(r Request, v Visit) Answer {
	w := p.view(r, v)
	saved := ""
	if q, err := url.ParseQuery(r.Query); err == nil {
		saved = q.Get("saved")
	}
	switch saved {
	case "choice", "erased", "here":
		switch {
		case !w.Chosen:
			w.Failed = w.texts.of["saved.lost"]
		case saved == "choice" && v.Devices == AllDevices:
			w.Saved = w.texts.of["saved.devices"]
		case saved == "here" || saved == "choice" && v.Devices == NotYetAllDevices:
			w.Failed = w.texts.of["saved.here"]
		default:
			w.Saved = w.texts.of["saved."+saved]
		}
	case "preferences":
		w.Saved = w.texts.of["saved.preferences"]
	}
	return p.render("privacy", 200, w)
}

func (p *Privacy) render(page string, status int, w *view) Answer {
	var b bytes.Buffer
	if err := p.pages.ExecuteTemplate(&b, page, w); err != nil {
		return plain(500, "The page could not be made.")
	}
	return Answer{Status: status, ContentType: "text/html; charset=utf-8", Language: w.Lang, Body: b.Bytes()}
}

// localPath returns s if it is the path of a page on this site, with or without
// a query, and "" if a browser could take it for anything else.
func localPath(s string) string {
	if len(s) == 0 || len(s) > 1024 || s[0] != '/' || len(s) > 1 && (s[1] == '/' || s[1] == '\\') {
		return ""
	}
	for i := range len(s) {
		// Browsers drop tabs and line ends, and read \ as / (WHATWG URL, 4.4).
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return ""
		}
	}
	u, err := url.ParseRequestURI(s)
	if err != nil || u.Host != "" || u.Scheme != "" || strings.HasPrefix(u.Path, "//") {
		return ""
	}
	return s
}

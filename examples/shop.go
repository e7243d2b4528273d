package examples

import (
	"bytes"
	"embed"
	"encoding/json"
	"html"
	"html/template"
	"io/fs"
	"maps"
	"math"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What shops share: the page's frame with its cards and bands, the page of a
// list, the page of a product, and the pictures.
//
//go:embed pages
var shopPages embed.FS

// A shop is the origin of a site that has a catalogue: a front page and others
// of its own, a list for each department at /d/NAME, a page for each item at
// /p/ID, and its picture at /art/ID.svg. It answers all alike, and never changes.
type shop struct {
	Name     string // of its folder
	Brand    string
	Title    string // of the front page
	About    string // of the site, one sentence
	Footer   string
	Note     string // at the end of each page, in place of the usual
	Nav      []navLink
	Groups   []group           // its departments
	Facets   []facet           // by which lists can be narrowed
	Personas []persona         // for whom a part of the front page is
	Kinds    map[string]string // kind of item, which is also its picture: what is said of such things

	Items  []item
	Sprite template.HTML // the pictures that its items use, once in each page
	byID   map[string]int
	tones  map[string]string // color: style of its picture
	motifs map[string]string // kind: picture
	pages  map[string]*template.Template
	titles map[string]string
}

type navLink struct{ Href, Label string }

type group struct{ ID, Name, Line string }

// A persona is somebody whom things are for: their department, and the kind of
// thing that says it best.
type persona struct{ ID, Name, Department, Kind string }

// A facet is an attribute of items that visitors may choose a value of.
type facet struct {
	Name, Label string
	Values      []facetValue `json:"-"`
}

type facetValue struct {
	Value, Label string
	On           bool
}

// A view is what the template of a page is given.
type view struct {
	Shop              *shop
	Kind, Path, Title string
	About             string
	Main              template.HTML

	List  list   // of a list's page
	Item  item   // of a product's page, and the three that follow
	Group group  //
	Text  string //
	Facts []facetOf
}

type facetOf struct {
	Name, Label string
	Values      []string
}

// openShop returns the origin of the folder of that name: shop.json, catalogue.jsonl,
// templates in pages/ between [[ and ]], since {{ is the edge's, and files in site/ that
// are served as they are. Pages are made when they are asked for; there are hundreds.
func openShop(name string, files embed.FS) *static {
	s := &shop{Name: name, byID: map[string]int{}, pages: map[string]*template.Template{}, titles: map[string]string{}}
	b, err := files.ReadFile(name + "/shop.json")
	must(name, err)
	must(name+"/shop.json", json.Unmarshal(b, s))
	s.Items = catalogue(files, name+"/catalogue.jsonl")
	for i, it := range s.Items {
		s.byID[it.ID] = i
	}
	s.readPictures()
	s.readPages(files)
	sub, err := fs.Sub(files, name+"/site")
	must(name, err)
	origin := newStatic(sub, sharedFiles, "shared")
	origin.page = s.page
	return origin
}

// readPages parses the templates. Each of pages/ is a page, named by its file.
func (s *shop) readPages(files embed.FS) {
	base := template.New("").Delims("[[", "]]").Funcs(s.funcs())
	base = template.Must(base.ParseFS(shopPages, "pages/frame.html"))
	if own, err := fs.Glob(files, s.Name+"/pages/_*.html"); err == nil && len(own) > 0 {
		base = template.Must(base.ParseFS(files, own...)) // cards of its own
	}
	parse := func(files embed.FS, name string) {
		t := template.Must(base.Clone())
		b, err := files.ReadFile(name)
		must(name, err)
		page := strings.TrimSuffix(path.Base(name), ".html")
		s.pages[page] = template.Must(t.New("main").Parse(string(b)))
		if t := s.pages[page].Lookup("title"); t != nil {
			s.titles[page] = t.Tree.Root.String()
		}
	}
	parse(shopPages, "pages/list.html")
	parse(shopPages, "pages/product.html")
	names, err := fs.Glob(files, s.Name+"/pages/*.html")
	must(s.Name, err)
	for _, name := range names {
		if !strings.HasPrefix(path.Base(name), "_") {
			parse(files, name)
		}
	}
}

// page makes the page at an address; nil if there is none.
func (s *shop) page(u *url.URL) (ext string, body []byte) {
	v := &view{Shop: s, Path: u.Path, About: s.About, Title: s.Title}
	folder, name := path.Split(u.Path)
	switch {
	case u.Path == "/":
		v.Kind = "index"
	case strings.HasPrefix(u.Path, "/d/"):
		id, all := strings.CutSuffix(u.Path[len("/d/"):], "/all")
		i := slices.IndexFunc(s.Groups, func(g group) bool { return g.ID == id })
		if i < 0 || all && id == "all" {
			return "", nil
		}
		v.Kind, v.About, v.Title = "list", s.Groups[i].Line, s.Groups[i].Name+": "+s.Brand
		v.List = s.list(s.Groups[i], u.Query())
		if all {
			v.List.All = ""
		}
	case folder == "/p/" && s.has(name):
		v.Kind = "product"
		s.product(v, name)
	case folder == "/art/" && s.has(strings.TrimSuffix(name, ".svg")):
		return ".svg", s.picture(s.Items[s.byID[strings.TrimSuffix(name, ".svg")]])
	case folder == "/" && strings.HasSuffix(name, ".html") && s.titles[strings.TrimSuffix(name, ".html")] != "":
		v.Kind = strings.TrimSuffix(name, ".html")
		v.Title = s.titles[v.Kind] + ": " + s.Brand
	default:
		return "", nil
	}
	var b bytes.Buffer
	must(u.Path, s.pages[v.Kind].ExecuteTemplate(&b, "main", v))
	v.Main = template.HTML(b.String())
	b.Reset()
	must(u.Path, s.pages[v.Kind].ExecuteTemplate(&b, "page", v))
	return ".html", b.Bytes()
}

func (s *shop) has(id string) bool {
	_, ok := s.byID[id]
	return ok
}

func (s *shop) product(v *view, id string) {
	v.Item = s.Items[s.byID[id]]
	v.Title = v.Item.Title + ": " + s.Brand
	v.Text = s.Kinds[v.Item.At("kind")]
	v.About = v.Text
	for _, g := range s.Groups {
		if g.ID == v.Item.At("department") {
			v.Group = g
		}
	}
	for _, f := range s.Facets {
		if values := v.Item.Attributes[f.Name]; len(values) > 0 {
			v.Facts = append(v.Facts, facetOf{f.Name, f.Label, values})
		}
	}
}

// A band is a short list that the edge may fill with others.
type band struct {
	ID, Sent, Picked, More string // Sent heads what the shop sends, Picked what was picked for somebody
	Items                  []item
}

// funcs are what templates call to choose items. All give the same each time.
func (s *shop) funcs() template.FuncMap {
	return template.FuncMap{
		"data": attributes,
		"saving": func(it item) string {
			return "€" + strconv.FormatFloat(math.Round(100*(it.Was-it.Price))/100, 'f', -1, 64)
		},
		"band": func(id, sent, picked string, items []item, more string) band {
			return band{id, sent, picked, more, items}
		},
		"where": func(items []item, name string, values ...string) []item {
			return only(items, func(it item) bool { return slices.ContainsFunc(values, func(v string) bool { return it.Has(name, v) }) })
		},
		"finishes": func() []string { return []string{"black", "brushed nickel", "brass", "chrome", "copper", "white"} },
		"money":    money,
		"total":    total,
		"deals":    func(items []item) []item { return only(items, func(it item) bool { return it.Was > it.Price }) },
		"each":     each,
		"spread":   spread,
		"from":     func(items []item, at int) []item { return items[min(at, len(items)):] },
		"partners": s.partners,
		"kin":      s.kin,
	}
}

func only(items []item, keep func(item) bool) []item {
	var out []item
	for _, it := range items {
		if keep(it) {
			out = append(out, it)
		}
	}
	return out
}

// spread takes n items, evenly from the whole list.
func spread(items []item, n int) []item {
	n = min(n, len(items))
	out := make([]item, n)
	for i := range out {
		out[i] = items[i*len(items)/n]
	}
	return out
}

// money writes an amount with its cents, and a comma between thousands.
func money(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	for i := len(s) - 6; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func total(items []item) (sum float64) {
	for _, it := range items {
		sum += it.Price
	}
	return sum
}

// each takes one item for each value of an attribute, in that order: of the first
// value the first, of the second the second, so that they are not all alike.
func each(items []item, name string, values ...string) (out []item) {
	for i, v := range values {
		if some := only(items, func(it item) bool { return it.Has(name, v) }); len(some) > 0 {
			out = append(out, some[i%len(some)])
		}
	}
	return out
}

// kin gives n others of an item's kind, from the one that follows it on.
func (s *shop) kin(of item, n int) []item {
	return s.around(of, n, func(it item) bool { return it.At("kind") == of.At("kind") })
}

// partners gives n others of an item's department and of other kinds than its own,
// first those of its color.
func (s *shop) partners(of item, n int) []item {
	near := s.around(of, len(s.Items), func(it item) bool {
		return it.At("kind") != of.At("kind") && it.At("department") == of.At("department")
	})
	slices.SortStableFunc(near, func(a, b item) int {
		switch is, other := a.At("color") == of.At("color"), b.At("color") == of.At("color"); {
		case is && !other:
			return -1
		case other && !is:
			return 1
		}
		return 0
	})
	seen := map[string]bool{}
	near = only(near, func(it item) bool {
		again := seen[it.At("kind")]
		seen[it.At("kind")] = true
		return !again
	})
	return near[:min(n, len(near))]
}

func (s *shop) around(of item, n int, keep func(item) bool) []item {
	at := s.byID[of.ID]
	out := only(slices.Concat(s.Items[at+1:], s.Items[:at]), keep)
	return out[:min(n, len(out))]
}

// attributes writes what a policy can order and keep an item by.
func attributes(it item) template.HTMLAttr {
	var b strings.Builder
	b.WriteString(` data-bespoke-item="` + html.EscapeString(it.ID) + `"`)
	b.WriteString(` data-price="` + strconv.FormatFloat(it.Price, 'f', -1, 64) + `"`)
	for _, name := range slices.Sorted(maps.Keys(it.Attributes)) {
		b.WriteString(` data-` + name + `="` + html.EscapeString(it.At(name)) + `"`)
	}
	return template.HTMLAttr(b.String())
}

var (
	symbolOf = regexp.MustCompile(`<symbol id="m-([a-z-]+)".*?</symbol>`)
	toneOf   = regexp.MustCompile(`\[data-tone="([a-z ]+)"\] \{ (--t:[^}]*?) \}`)
)

// readPictures takes from the shared ones what this shop's items need.
func (s *shop) readPictures() {
	s.motifs, s.tones = map[string]string{}, map[string]string{}
	b, err := shopPages.ReadFile("pages/motifs.svg")
	must("motifs", err)
	all := map[string]string{}
	for _, m := range symbolOf.FindAllStringSubmatch(string(b), -1) {
		all[m[1]] = m[0]
	}
	css, err := sharedFiles.ReadFile("shared/shop.css")
	must("tones", err)
	for _, m := range toneOf.FindAllStringSubmatch(string(css), -1) {
		s.tones[m[1]] = m[2]
	}
	sprite := `<svg class="sprite" width="0" height="0" aria-hidden="true">`
	for _, it := range s.Items {
		if kind := it.At("kind"); s.motifs[kind] == "" && all[kind] != "" {
			s.motifs[kind] = all[kind]
			sprite += "\n      " + all[kind]
		}
	}
	s.Sprite = template.HTML(sprite + "\n    </svg>")
}

// picture is an item's as a file of its own, for who shows it outside the shop.
func (s *shop) picture(it item) []byte {
	return []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" style="` + s.tones[it.At("color")] + `">` +
		s.motifs[it.At("kind")] + `<use href="#m-` + it.At("kind") + `"/></svg>`)
}

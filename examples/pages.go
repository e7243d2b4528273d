package examples

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
)

//go:embed layout.html
var layout string

// A frame is what all pages of one site share.
type frame struct {
	Name   string // of its folder
	Brand  string
	Footer string
	Nav    []link
	Feeds  []link // for the head of each page
	Data   any    // what the pages are about
}

type link struct{ Href, Label, Type string }

// A page is what its template is given.
type page struct {
	frame
	Page string // the name of its file, without extension
	Path string
	One  any // what this page alone is about
}

// build returns an origin whose pages are made once, from the templates in
// pages/ of the site's folder and the data that they are given: nobody's answer
// differs from anybody else's. What several pages share lies in parts/, and
// whatever lies in site/ is served as it is. Faults of these files are the
// program's own, so it panics.
func build(files embed.FS, f frame, funcs template.FuncMap) *static {
	sub := func(dir string) fs.FS {
		out, err := fs.Sub(files, dir)
		must(f.Name, err)
		return out
	}
	s := newStatic(sub(f.Name+"/site"), sharedFiles, "shared")
	names, err := fs.Glob(files, f.Name+"/pages/*.html")
	must(f.Name, err)
	for _, name := range names {
		base := strings.TrimSuffix(path.Base(name), ".html")
		url := "/" + base + ".html"
		if base == "index" {
			url = "/"
		}
		s.put(url, parsePage(files, f.Name, name, funcs)(page{frame: f, Page: base, Path: url}))
	}
	return s
}

// parsePage reads one template together with the layout and the site's parts,
// and returns what makes pages of it.
func parsePage(files embed.FS, site, name string, funcs template.FuncMap) func(page) []byte {
	t, err := template.New("layout").Funcs(common).Funcs(funcs).Parse(layout)
	must(name, err)
	parts := []string{name}
	if some, err := fs.Glob(files, site+"/parts/*.html"); err == nil {
		parts = append(parts, some...)
	}
	t, err = t.ParseFS(files, parts...)
	must(name, err)
	return func(p page) []byte {
		var b bytes.Buffer
		must(name, t.ExecuteTemplate(&b, "page", p))
		return b.Bytes()
	}
}

// common is what the templates of every site may call.
var common = template.FuncMap{
	"money": func(v float64) string { return fmt.Sprintf("%.2f", v) },
	"first": func(n int, list []item) []item { return list[:min(n, len(list))] },
}

// put adds a file that was made here; the extension of name tells its type.
func (s *static) put(name string, body []byte) {
	ext := path.Ext(name)
	if ext == "" {
		ext = ".html"
	}
	a, err := newAsset(ext, body)
	must(name, err)
	s.assets[name] = a
}

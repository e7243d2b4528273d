// Package examples holds the sites that `bespoke demo` serves behind the edge:
// for each an origin, as a site of its own would be, and the routes under
// which the edge tailors its pages.
//
// Call [Sites] first. An origin knows nothing of the edge or of its visitors:
// it answers everybody alike, keeps no state, and imports nothing of this project.
package examples

import (
	"embed"
	"io/fs"
	"net/http"
	"slices"
)

// A Site is one example: a tenant of the demo.
type Site struct {
	Name   string       // lower-case word; the demo serves the site at NAME.localhost
	Title  string       // what a person calls it
	About  string       // one sentence: what it shows
	Origin http.Handler // the site as it is without the edge; safe for concurrent use
	Routes string       // YAML: the sequence that stands under "routes:" of the tenant, not indented

	Tenant string            // YAML: further keys of the tenant, not indented, such as its catalogue
	Files  map[string][]byte // what Tenant names, by the path from the folder of the configuration
}

//go:embed shared
var sharedFiles embed.FS

//go:embed stores/site
var files embed.FS

//go:embed stores/routes.yaml
var storesRoutes string

// Sites returns every example, in the order in which the demo shows them.
// Each call reads and compresses the files anew, so call it once, at start.
func Sites() []Site {
	return slices.Concat([]Site{{
		Name:   "stores",
		Title:  "Meridian, a chain of cafés",
		About:  "Cafés around the world: the nearest first, with its distance, and a greeting by name.",
		Origin: newStatic(folder("stores/site"), sharedFiles, "shared"),
		Routes: storesRoutes,
	}}, shops(), choices())
}

// folder returns the embedded folder of that name as a file system of its own.
func folder(name string) fs.FS {
	sub, err := fs.Sub(files, name)
	if err != nil {
		panic("examples: embedded folder " + name + ": " + err.Error()) // a misspelt name in this file
	}
	return sub
}

package examples

import (
	"embed"
	"strings"
)

//go:embed all:department all:decor all:outfitter all:office all:offers all:member
var shopFiles embed.FS

// shops returns the sites that have a catalogue, in the order of the demo.
func shops() []Site {
	sites := []Site{
		{Name: "department", Title: "Larkmoor, a department store", About: "Bands of things that you looked at, that go together, that sell: they follow the session as it happens."},
		{Name: "decor", Title: "Hollin House, home decor", About: "What you look at says which finish you like: that comes first, with no questions asked."},
		{Name: "outfitter", Title: "Cairnway, an outfitter", About: "Your size, colors, order and page length, saved once and applied to every list."},
		{Name: "office", Title: "Quillstead, office supplies", About: "A teacher sees crayons, an executive sees chairs."},
		{Name: "offers", Title: "Roundabout, offers around the corner", About: "Offers inside an area on the map, and none outside."},
		{Name: "member", Title: "Alderline, a card account", About: "What the member told it is remembered, and nothing is made of what they bought."},
	}
	for i := range sites {
		s := &sites[i]
		s.Origin = openShop(s.Name, shopFiles)
		s.Routes = string(s.file("routes.yaml"))
		s.Tenant = string(s.file("tenant.yaml"))
		for _, name := range []string{"catalogue.jsonl", "fences.geojson"} {
			if path := "sites/" + s.Name + "/" + name; strings.Contains(s.Tenant, path) {
				if s.Files == nil {
					s.Files = map[string][]byte{}
				}
				s.Files[path] = s.file(name)
			}
		}
	}
	return sites
}

// file reads one of the site's folder; nil if it has none of that name.
func (s *Site) file(name string) []byte {
	b, err := shopFiles.ReadFile(s.Name + "/" + name)
	if err != nil {
		return nil
	}
	return b
}

package examples

import (
	"bytes"
	"embed"
	"encoding/json"
	"net/http"
	"sync"
)

// A choosing is a site in which the visitor chooses: what its Site is made of.
type choosing struct {
	name, title, about string
	files              embed.FS
	origin             func() http.Handler
	items              string   // the file of its folder that is the tenant's catalogue, without extension; "" for none
	attributes         []string // of the catalogue's items, those that say what a visitor likes
}

func choosings() []choosing {
	return []choosing{
		{"mail", "Pigeonhole, a webmail", "Items per page and signature as the visitor set them; an ad by interests only where they allow it.",
			mailFiles, mail, "messages", []string{"label"}},
		{"letters", "Windfall, letters in your rhythm", "How often a list writes: as its subscriber set it, else as far as its letters are read; as a page, and as JSON for the mailer.",
			lettersFiles, letters, "letters", []string{"season"}},
		{"circle", "Round the Corner, a feed", "What neighbours say, in the order of what the visitor reads or as they chose; without what they muted or hid.",
			circleFiles, circle, "posts", []string{"topic"}},
		{"river", "Driftline, a news river", "Eight papers in one list, as a page, RSS and Atom: only the sources that the visitor chose.",
			riverFiles, river, "", nil},
		{"builder", "Plinth, a site builder", "Theme, colour, lettering, heading, tagline and logo: from the visitor's own choice.",
			builderFiles, builder, "", nil},
		{"cards", "Paper Lantern, cards and gifts", "Cards, mugs and bags, as pages and as SVG, with the slogan, colour and lettering of the visitor.",
			cardsFiles, cards, "products", []string{"motif", "occasion", "product"}},
		{"money", "Tally, a weekly money summary", "What a week cost, from the origin's entries, beside the budgets that the visitor set.",
			moneyFiles, tally, "", nil},
		{"lessons", "Stepstone, personal learning", "The next exercises by what a learner needs, and before that by what they chose.",
			lessonsFiles, lessons, "exercises", []string{"needs"}},
	}
}

// choices returns the sites in which the visitor chooses, in the order of the
// demo. Their pages are made once, and are never changed.
var choices = sync.OnceValue(func() []Site {
	var out []Site
	for _, c := range choosings() {
		routes, err := c.files.ReadFile(c.name + "/routes.yaml")
		must(c.name, err)
		s := Site{Name: c.name, Title: c.title, About: c.about, Origin: c.origin(), Routes: string(routes)}
		if c.items != "" {
			path := "sites/" + c.name + "/catalogue.jsonl"
			// Of one visitor alone, so that a demo on one machine shows what it learns.
			s.Tenant = "catalogue: {file: " + path + ", support: 1, session_idle: 30s}\n"
			s.Files = map[string][]byte{path: c.catalogue()}
		}
		out = append(out, s)
	}
	return out
})

// catalogue returns the site's items as the edge is to know them: what they say
// to read is none of its business.
func (c *choosing) catalogue() []byte {
	var b bytes.Buffer
	for _, it := range catalogue(c.files, c.name+"/"+c.items+".jsonl") {
		kept := map[string]many{}
		for _, name := range c.attributes {
			kept[name] = it.Attributes[name]
		}
		it.Attributes = kept
		line, err := json.Marshal(it)
		must(it.ID, err)
		b.Write(append(line, '\n'))
	}
	return b.Bytes()
}

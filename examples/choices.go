package examples

import (
	"embed"
	"net/http"
	"sync"
)

// siteFiles are the folders of the sites in which the visitor chooses.
var siteFiles = map[string]embed.FS{
	"mail": mailFiles, "letters": lettersFiles, "river": riverFiles, "builder": builderFiles, "cards": cardsFiles, "circle": circleFiles, "money": moneyFiles, "lessons": lessonsFiles,
}

// unlisted are the sites that the demo does not show: their pages are whole,
// and the routes that tailor them are to come.
var unlisted = sync.OnceValue(func() []Site {
	var out []Site
	for _, s := range []struct {
		name, title, about string
		origin             func() http.Handler
	}{
		{"mail", "Pigeonhole, a webmail", "Items per page and signature as the visitor set them; an ad by interests only where they allow it.", mail},
		{"letters", "Windfall, letters in your rhythm", "How often a list writes: as its subscriber set it, else as far as its letters are read; as a page, and as JSON for the mailer.", letters},
		{"circle", "Round the Corner, a feed", "What neighbours say, in the order of what the visitor reads or as they chose; without what they muted or hid.", circle},
		{"money", "Tally, a weekly money summary", "What a week cost, from the origin's entries, beside the budgets that the visitor set.", tally},
		{"river", "Driftline, a news river", "Eight papers in one list, as a page, RSS and Atom: only the sources that the visitor chose.", river},
		{"builder", "Plinth, a site builder", "Theme, colour, lettering, heading, tagline and logo: from the visitor's own choice.", builder},
		{"cards", "Paper Lantern, cards and gifts", "Cards, mugs and bags, as pages and as SVG, with the slogan, colour and lettering of the visitor.", cards},
		{"lessons", "Stepstone, personal learning", "The next exercises by what a learner needs, and before that by what they chose.", lessons},
	} {
		out = append(out, Site{Name: s.name, Title: s.title, About: s.about, Origin: s.origin()})
	}
	return out
})

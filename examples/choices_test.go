package examples

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// Each site says how many lines its catalogue has, at least.
var catalogues = map[string]int{
	"mail/messages.jsonl": 200, "mail/ads.jsonl": 6, "river/stories.jsonl": 200, "cards/products.jsonl": 200, "letters/letters.jsonl": 24,
	"circle/posts.jsonl": 200, "money/entries.jsonl": 200, "lessons/exercises.jsonl": 200,
}

func TestCatalogues(t *testing.T) {
	slug := regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	for name, least := range catalogues {
		c, origin := siteOf(t, name)
		items := catalogue(c.files, name)
		ids := map[string]bool{}
		for _, it := range items {
			if !slug.MatchString(it.ID) || ids[it.ID] {
				t.Errorf("%s: the id %q is odd, or there twice", name, it.ID)
			}
			ids[it.ID] = true
			if it.Title == "" || len(it.Title) > 512 || len(it.Attributes) == 0 {
				t.Errorf("%s: %s has no title, a long one, or no attributes", name, it.ID)
			}
			if it.Price < 0 || it.Was != 0 && it.Was <= it.Price {
				t.Errorf("%s: %s costs %g, before %g", name, it.ID, it.Price, it.Was)
			}
			for _, url := range []string{it.URL, it.Image} {
				if url != "" {
					path, _, _ := strings.Cut(url, "#")
					text(t, origin, path)
				}
			}
		}
		if len(items) < least {
			t.Errorf("%s has %d items, want at least %d", name, len(items), least)
		}
	}
}

func TestFilesAreSmallAndRead(t *testing.T) {
	for _, s := range choices() {
		for name, a := range s.Origin.(*static).assets {
			if len(a.plain) > 100<<10 {
				t.Errorf("%s%s has %d bytes, want at most 100 KiB", s.Name, name, len(a.plain))
			}
			switch a.contentType {
			case "application/json":
				if !json.Valid(a.plain) {
					t.Errorf("%s%s is not JSON", s.Name, name)
				}
			case "image/svg+xml", "application/rss+xml", "application/atom+xml":
				d := xml.NewDecoder(strings.NewReader(string(a.plain)))
				for {
					if _, err := d.Token(); err == io.EOF {
						break
					} else if err != nil {
						t.Errorf("%s%s: %v", s.Name, name, err)
						break
					}
				}
			}
		}
	}
}

// The colours of each site are readable, in light and in dark, as those of [TestContrast].
func TestContrastOfEach(t *testing.T) {
	shared := text(t, Sites()[0].Origin, "/shared/site.css")
	root := regexp.MustCompile(`(?s)(@media \(prefers-color-scheme: dark\) \{\s*)?:root \{(.*?)\}`)
	hex := regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{3,6});`)
	for _, s := range choices() {
		light, dark := map[string]string{}, map[string]string{}
		for _, css := range []string{shared, text(t, s.Origin, "/"+s.Name+".css")} {
			for _, b := range root.FindAllStringSubmatch(css, -1) {
				for _, p := range hex.FindAllStringSubmatch(b[2], -1) {
					dark[p[1]] = p[2]
					if b[1] == "" {
						light[p[1]] = p[2]
					}
				}
			}
		}
		for scheme, colour := range map[string]map[string]string{"light": light, "dark": dark} {
			for _, pair := range []string{
				"ink paper", "ink card", "muted paper", "muted card", "accent paper", "accent card", "card accent",
				"band-ink band", "band-muted band", "glow band", "on-glow glow",
			} {
				a, b, _ := strings.Cut(pair, " ")
				la, lb := luminance(t, colour[a]), luminance(t, colour[b])
				if c := (max(la, lb) + .05) / (min(la, lb) + .05); c < 4.5 {
					t.Errorf("%s, %s: %s on %s has a contrast of %.2f", s.Name, scheme, a, b, c)
				}
			}
		}
	}
}

// siteOf returns the site that a file belongs to.
func siteOf(t *testing.T, file string) (choosing, http.Handler) {
	t.Helper()
	name, _, _ := strings.Cut(file, "/")
	for _, c := range choosings() {
		if c.name == name {
			for _, s := range choices() {
				if s.Name == name {
					return c, s.Origin
				}
			}
		}
	}
	t.Fatalf("no site %s", name)
	return choosing{}, nil
}

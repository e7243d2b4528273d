package control

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Brand is what a tenant may make of the privacy centre: colours, logo and
// words at its head. Order, size and colour of the buttons among each other are
// not theirs to change. The zero value is the plain page.
type Brand struct {
	Accent     string            // "#rrggbb": links and buttons; "" for ours
	AccentDark string            // the same on dark pages
	Logo       string            // path of an image on the site itself
	Title      map[string]string // by language; "" for the others
	Intro      map[string]string // by language; "" for the others
}

// minContrast is what text needs to be read (WCAG 2.2, 1.4.3, level AA).
const minContrast = 4.5

// Grounds that the accent stands on; the same as in privacy.css and notice.css.
var (
	lightGrounds = [...]string{"#f6f5f1", "#ffffff"}
	darkGrounds  = [...]string{"#131519", "#1c1f25"}
)

// Check reports what of a brand cannot be used. Call it when a configuration is read.
func (b *Brand) Check() error {
	if err := checkAccent("accent", b.Accent, lightGrounds[:]); err != nil {
		return err
	}
	if err := checkAccent("accent_dark", b.AccentDark, darkGrounds[:]); err != nil {
		return err
	}
	if b.Logo != "" {
		if p := localPath(b.Logo); p == "" || p != b.Logo {
			return fmt.Errorf("logo: found %.60q, expected a path on the site itself, such as /logo.svg", b.Logo)
		}
	}
	for name, m := range map[string]map[string]string{"title": b.Title, "intro": b.Intro} {
		for lang, s := range m {
			if lang != "" && Language(lang) != lang {
				return fmt.Errorf("%s: there is no language %.10q here, expected one of %s", name, lang, strings.Join(languages[:], ", "))
			}
			if strings.TrimSpace(s) == "" || len(s) > 1000 {
				return fmt.Errorf("%s: a text has 1 to 1000 bytes", name)
			}
		}
	}
	return nil
}

func checkAccent(what, colour string, grounds []string) error {
	if colour == "" {
		return nil
	}
	if _, err := luminance(colour); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, g := range grounds {
		if c := contrast(colour, g); c < minContrast {
			return fmt.Errorf("%s: %s on %s has a contrast of %.2f, expected at least %.1f (WCAG 2.2, 1.4.3)", what, colour, g, c, minContrast)
		}
	}
	return nil
}

// contrast returns the contrast ratio of two colours (WCAG 2.2), 1 to 21; 0 if
// one is no colour.
func contrast(a, b string) float64 {
	x, err1 := luminance(a)
	y, err2 := luminance(b)
	if err1 != nil || err2 != nil {
		return 0
	}
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance returns the relative luminance of a colour "#rrggbb" (WCAG 2.2), 0 to 1.
func luminance(colour string) (float64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil || len(colour) != 7 || colour[0] != '#' {
		return 0, errors.New(`a colour is written as "#rrggbb"`)
	}
	channel := func(shift int) float64 {
		v := float64(n>>shift&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0), nil
}

// onAccent returns the colour of text on an accent: black or white, of which
// one always has enough contrast.
func onAccent(accent string) string {
	if contrast("#ffffff", accent) >= minContrast {
		return "#ffffff"
	}
	return "#000000"
}

// styles returns the rules that a brand adds to the page's, and to the notice's.
func (b *Brand) styles() (page, notice string) {
	if b == nil {
		return "", ""
	}
	if b.Accent != "" {
		page += fmt.Sprintf(":root { --accent: %s; --on-accent: %s; }\n", b.Accent, onAccent(b.Accent))
		notice += fmt.Sprintf(".bespoke-notice { --accent: %s; }\n", b.Accent)
	}
	dark, plain := b.AccentDark, "#8cc8e6"
	if dark == "" {
		dark = plain
	}
	if b.Accent != "" || b.AccentDark != "" { // what is said of light pages holds for light pages alone
		vars := fmt.Sprintf("{ --accent: %s; --on-accent: %s; }", dark, onAccent(dark))
		page += "@media (prefers-color-scheme: dark) { :root:not([data-theme=\"light\"]) " + vars + " }\n:root[data-theme=\"dark\"] " + vars + "\n"
		notice += fmt.Sprintf("@media (prefers-color-scheme: dark) { .bespoke-notice { --accent: %s; } }\n", dark)
	}
	return page, notice
}

// said returns the brand's text in a language, or for all, or else ours.
func said(m map[string]string, lang, ours string) string {
	if s := m[lang]; s != "" {
		return s
	}
	if s := m[""]; s != "" {
		return s
	}
	return ours
}

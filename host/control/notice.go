package control

import (
	"fmt"
	"html"
	"strings"
)

// noticeParts are a language's notice before and after the page's own path, and
// its link. All is ASCII, other characters are references: the page that they
// are put into may be in any charset.
type noticeParts struct {
	before, after string
	link          []byte // never changed
}

func noticesOf(all map[string]*texts) map[string]noticeParts {
	out := map[string]noticeParts{}
	for lang, t := range all {
		say := func(key string) string { return ascii(html.EscapeString(t.of[key])) }
		attr := ""
		if lang != languages[0] {
			attr = ` lang="` + lang + `"`
		}
		button := func(action, key string) string {
			return `<button name="action" value="` + action + `">` + say(key) + `</button>`
		}
		out[lang] = noticeParts{
			before: `<link rel="stylesheet" href="` + PathNotice + `"><div class="bespoke-notice" role="region" aria-labelledby="bespoke-notice" lang="` + lang +
				`" dir="ltr"><form method="post" action="` + PathPrivacy + `"><input type="hidden" name="return" value="`,
			after: `"><p><strong id="bespoke-notice">` + say("notice.title") + `</strong> ` + say("notice.text") + `</p><div>` +
				button("allow-all", "notice.allow") + button("refuse-all", "notice.refuse") + button("choose", "notice.choose") + `</div></form></div>`,
			link: []byte(`<p class="bespoke-privacy"` + attr + `><a href="` + PathPrivacy + `">` + say("link") + `</a></p>`),
		}
	}
	return out
}

// ascii writes all that is not ASCII as numeric references.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}

// Link returns the markup that leads from a page to the privacy centre, in one
// of our languages (see [Language]). It is not to be changed.
func (p *Privacy) Link(lang string) []byte { return p.of(lang).link }

// Notice returns the markup that asks the visitor, to be put at the end of a
// page: three equal steps, of which allow and refuse lead back to the page. path
// is the page's, with its query if it has one; what is no path of this site is
// left out. The notice takes its own room at the page's end, and sticks to the
// window's lower edge until that is reached, so that it shifts and hides nothing.
func (p *Privacy) Notice(lang, path string) []byte {
	n := p.of(lang)
	if len(path) > 512 {
		path, _, _ = strings.Cut(path, "?")
	}
	if len(path) > 512 || localPath(path) == "" {
		path = "/"
	}
	return []byte(n.before + html.EscapeString(path) + n.after)
}

func (p *Privacy) of(lang string) noticeParts {
	if n, ok := p.notice[lang]; ok {
		return n
	}
	return p.notice[languages[0]]
}

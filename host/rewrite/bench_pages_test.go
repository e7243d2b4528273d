package rewrite

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	nethtml "golang.org/x/net/html"
)

// realPages are pages of Debian's documentation packages, from 10 KB to 750 KB
// and from six generators (DocBook of two ages, Sphinx, AsciiDoc, Apache's XSLT,
// pandoc), as shell patterns because some have a version in their path.
var realPages = []struct{ name, debian, pattern string }{
	{"pg-slots", "postgresql-doc", "/usr/share/doc/postgresql-doc-*/html/view-pg-replication-slots.html"},
	{"httpd-userdir", "apache2-doc", "/usr/share/doc/apache2-doc/manual/en/mod/mod_userdir.html"},
	{"git-ls-files", "git-doc", "/usr/share/doc/git-doc/git-ls-files.html"},
	{"faq", "debian-faq", "/usr/share/doc/debian/FAQ/index.en.html"},
	{"policy-docs", "debian-policy", "/usr/share/doc/debian-policy/policy.html/ch-docs.html"},
	{"python-faq", "python3-doc", "/usr/share/doc/python3.*/html/faq/general.html"},
	{"pg-xindex", "postgresql-doc", "/usr/share/doc/postgresql-doc-*/html/xindex.html"},
	{"policy-opersys", "debian-policy", "/usr/share/doc/debian-policy/policy.html/ch-opersys.html"},
	{"python-shutil", "python3-doc", "/usr/share/doc/python3.*/html/library/shutil.html"},
	{"httpd-quick", "apache2-doc", "/usr/share/doc/apache2-doc/manual/en/mod/quickreference.html"},
	{"httpd-core", "apache2-doc", "/usr/share/doc/apache2-doc/manual/en/mod/core.html"},
	{"git-config", "git-doc", "/usr/share/doc/git-doc/git-config.html"},
	{"devref", "developers-reference", "/usr/share/developers-reference/developers-reference.html"},
	{"python-os", "python3-doc", "/usr/share/doc/python3.*/html/library/os.html"},
}

// A realPage is one of them as it is on this machine.
type realPage struct {
	name, path string
	text       []byte
	id         string // of an element near its middle
}

// readPages reads all of them, and skips the benchmark if one is missing.
func readPages(b *testing.B) []realPage {
	b.Helper()
	var out []realPage
	for _, p := range realPages {
		found, _ := filepath.Glob(p.pattern)
		if len(found) == 0 {
			b.Skipf("%s is not there: on Debian, apt-get install %s (make bench does)", p.pattern, p.debian)
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			b.Fatal(err)
		}
		page := realPage{name: p.name, path: found[0], text: text, id: middleID(text)}
		if page.id == "" {
			b.Fatalf("%s has no id", page.path)
		}
		out = append(out, page)
	}
	return out
}

// middleID returns the id of the element that begins nearest to the middle of
// the page, of those that text may be added to.
func middleID(page []byte) string {
	best, id, at := len(page), "", 0
	for z := nethtml.NewTokenizer(bytes.NewReader(page)); z.Next() != nethtml.ErrorToken; {
		at += len(z.Raw())
		off := max(at-len(page)/2, len(page)/2-at)
		if t := z.Token(); t.Type == nethtml.StartTagToken && off < best {
			switch t.Data {
			case "a", "dd", "div", "dt", "h1", "h2", "h3", "h4", "h5", "li", "p", "section", "span", "td":
				for _, a := range t.Attr {
					if a.Key == "id" && a.Val != "" {
						best, id = off, a.Val
					}
				}
			}
		}
	}
	return id
}

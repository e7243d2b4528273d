package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// A site is what a first look at it told.
type site struct {
	path   string   // of the page, after redirects
	api    string   // path of our privacy centre's API, "" where the page leads to none
	links  []string // paths of the site's other pages, in the order of the page
	items  []string // ids of items that the page shows, as our sites mark them
	status int
}

const (
	maxRedirects = 5
	maxLinks     = 32
	centre       = "/_bespoke/privacy"
	maxNodes     = 200_000
)

// look fetches the page as somebody who says nothing, and reads what it leads to.
func look(ctx context.Context, f *fetcher, c *Config) (*site, error) {
	v := newVisitor(f, c)
	s := &site{path: f.base.RequestURI()}
	var r *Response
	for n := 0; ; n++ {
		var err error
		if r, err = v.send(ctx, &Step{Path: s.path}); err != nil {
			return nil, err
		}
		to := r.Header.Get("Location")
		if r.Status < 300 || r.Status > 399 || to == "" {
			break
		}
		here, _ := f.resolve(s.path)
		u, err := here.Parse(to)
		if err != nil || u.Host != f.base.Host || u.Scheme != f.base.Scheme {
			return nil, fmt.Errorf("%s leads to another site, %.200q: name that one", here, to)
		}
		if n == maxRedirects {
			return nil, fmt.Errorf("%s: more than %d redirects", f.base, maxRedirects)
		}
		s.path = u.RequestURI()
	}
	s.status = r.Status
	s.read(f, r)
	if s.api != "" {
		if err := s.checkCentre(ctx, v); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// read finds links, items and the privacy centre in a page.
func (s *site) read(f *fetcher, r *Response) {
	here, err := f.resolve(s.path)
	if err != nil {
		return
	}
	z := html.NewTokenizer(bytes.NewReader(r.decoded()))
	z.SetMaxBuf(1 << 20)
	for range maxNodes {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			tag := string(name)
			for more {
				var k, v []byte
				k, v, more = z.TagAttr()
				switch key := string(k); {
				case tag == "a" && key == "href" || tag == "form" && key == "action":
					s.leads(here, string(v), tag == "a")
				case key == "data-bespoke-item" && len(s.items) < maxLinks && len(v) > 0 && len(v) <= 256:
					if id := string(v); !slices.Contains(s.items, id) {
						s.items = append(s.items, id)
					}
				}
			}
		}
	}
}

// careful are words in paths that a visitor does not follow without wanting it.
var careful = []string{"logout", "log-out", "signout", "sign-out", "unsubscribe", "delete", "remove", "cart", "checkout", "login", "signin", "add"}

func (s *site) leads(here *url.URL, ref string, link bool) {
	u, err := here.Parse(strings.TrimSpace(ref))
	if err != nil || u.Host != here.Host || u.Scheme != here.Scheme || len(ref) > maxURL {
		return
	}
	if u.Path == centre {
		s.api = strings.TrimSuffix(centre, "privacy") + "api/"
		return
	}
	to := u.RequestURI()
	if !link || len(s.links) == maxLinks || to == s.path || strings.HasPrefix(u.Path, "/_bespoke/") || slices.Contains(s.links, to) {
		return
	}
	switch strings.ToLower(path.Ext(u.Path)) {
	case "", ".html", ".htm", ".php", ".asp", ".aspx", ".jsp":
	default:
		return
	}
	for _, w := range careful {
		if strings.Contains(strings.ToLower(to), w) {
			return
		}
	}
	s.links = append(s.links, to)
}

// checkCentre makes sure that the page's privacy centre has the API that is known here.
func (s *site) checkCentre(ctx context.Context, v *visitor) error {
	r, err := v.send(ctx, &Step{Path: s.api + "choice"})
	if err != nil {
		return err
	}
	var said struct {
		Purposes map[string]struct {
			Granted bool `json:"granted"`
		} `json:"purposes"`
	}
	if r.Status != 200 || json.Unmarshal(r.Body, &said) != nil || len(said.Purposes) == 0 {
		s.api = ""
	}
	return nil
}

// The choices that a visitor of one of our sites makes. Who agrees does not agree to
// be counted (measure), so that no experiment enters the site's own figures.
func (s *site) choice(body string) *Side {
	return &Side{Requests: []Step{{Method: "PUT", Path: s.api + "choice", ContentType: "application/json", Body: body}}}
}

func (s *site) refuses() *Side { return s.choice("{}") }
func (s *site) agrees() *Side {
	return s.choice(`{"localize":true,"locate":true,"personalize":true,"advertise":true}`)
}

package edge

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"bespoke/geo"
	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// Who visits: pairs of visitors who granted the same in the same way, declared the
// same, and differ in all that was not granted.

// A pair is two visitors and what they ask for.
type pair struct {
	page    *pairPage
	willed  willed
	granted consent.Set
	opens   bool   // in a browser, as a page
	unlike  bool   // the rules of different places settled something
	hides   string // an item that both hid; "": none
	both    string
	declare profile.Preferences // but for an exact place
	a, b    pairVisitor
	// Before each of them, somebody who granted all asks for the same, and no two alike.
	before [2]*pairVisitor
}

// A pairVisitor is one visitor of a pair.
type pairVisitor struct {
	address, agent string
	header         []string // lines
	cookies        []string
}

// meet makes the subjects and the histories of those who visit.
func (s *pairSite) meet(t testing.TB) {
	t.Helper()
	s.known.start()
	eventually(t, "the store of subjects is open", func() bool {
		select {
		case <-s.known.tried:
			v := s.known.view.Load()
			return v != nil && v.Ready()
		default:
			return false
		}
	})
	x := &exchange{edge: s.edge, tenant: s.edge.current.Load().exact[shopHost]}
	cat := x.tenant.recommender.Catalogue()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 24 {
		in := new(inferred)
		for j := range 1 + rng.IntN(8) {
			at := profile.Memory{}.At(s.now.Add(-time.Duration(1+rng.IntN(40)) * time.Minute))
			it, _ := cat.Item(uint32(1 + rng.IntN(16)))
			in.View(it.Number, it.Values, at)
			in.seems(cat, it.Values, "view", at)
			if j%3 == 0 {
				in.Purchase(it.Number, it.Values, at)
			}
			for range rng.IntN(4) {
				in.MailSent(at)
			}
			if i%3 == 0 {
				in.MailOpened(at)
				in.MailClicked(at)
			}
		}
		s.history = append(s.history, in.Inferred)
		key := s.known.namer.Subject("shop", fmt.Sprintf("user%d", i))
		token := "bespoke-subject=" + s.edge.sealer.Seal(encodeSubject(key, s.now.Add(-time.Hour)), profile.Binding{Use: string(useSubject), Tenant: "shop", Host: shopHost})
		s.known.keepProfile(key, in.encode(s.epoch, uint32(s.now.Unix())-60, ownerTag{}))
		if i%2 == 0 {
			s.unheard = append(s.unheard, token)
			continue
		}
		if !s.known.keep(key, &consent.Choice{At: s.now.Add(-24 * time.Hour), Epoch: 3}) {
			t.Fatal("a choice was not kept")
		}
		s.refused = append(s.refused, token)
	}
}

var tenantOf = map[string]string{shopHost: "shop", strictHost: "strict", downHost: "down"}

func (s *pairSite) seal(host string, u use, plain []byte) string {
	return "bespoke-" + string(u) + "=" + s.edge.sealer.Seal(plain, profile.Binding{Use: string(u), Tenant: tenantOf[host], Host: host})
}

func (s *pairSite) choice(p *pair, c consent.Choice) string {
	if c.At.IsZero() {
		c.At = p.willed.at
	}
	c.Epoch = 2
	return s.seal(p.page.host, useChoice, c.Encode())
}

// profileCookie is one with somebody's history.
func (s *pairSite) profileCookie(host string, who int) string {
	in := &inferred{Inferred: s.history[who%len(s.history)], session: uint64(who) + 77}
	epoch := s.epoch
	if host != shopHost {
		epoch = 0
	}
	return s.seal(host, useInferred, in.encode(epoch, uint32(s.now.Unix())-60, ownerTag{}))
}

// arrange makes the pair of a number: always the same one of a seed.
func (s *pairSite) arrange(pages []pairPage, rng *rand.Rand) *pair {
	p := &pair{page: &pages[rng.IntN(len(pages))], opens: rng.IntN(2) == 0}
	w := &p.willed
	for w.will == nil || w.will.only != "" && w.will.only != p.page.host {
		w.will = &wills[rng.IntN(len(wills))]
	}
	w.some = consent.Set(rng.IntN(int(consent.All) + 1))
	if !w.some.Has(abi.Localize) {
		w.some &^= 1 << abi.Locate
	}
	w.at = s.now.Add(-time.Duration(1+rng.IntN(20*24)) * time.Hour)
	if p.page.host == strictHost {
		w.text = 2
	}
	all := towns()
	homes := [2]int{rng.IntN(len(all)), rng.IntN(len(all))}
	j := all[homes[0]].jurisdiction()
	w.optOut = j.Regime == geo.OptOut
	p.granted = w.will.granted(w)
	if p.page.path == "/failing" && p.granted&^justMeasure != 0 {
		// One that failed too often is suspended, for everybody and for a while. By that
		// it could tell that somebody came, seldom; what is compared is not to depend on it.
		w.will, p.granted, w.some = &wills[0], 0, 0
	}

	place := !(p.granted & p.page.uses).Has(abi.Localize)
	fits := func(other geo.Jurisdiction) bool {
		if other.ID == j.ID {
			return true
		}
		there := *w
		there.optOut = other.Regime == geo.OptOut
		return place && !p.page.rules && (there.optOut == w.optOut || !w.will.asks || !p.opens) && (w.will.granted(&there)^p.granted)&^justMeasure == 0
	}
	for homes[1] != homes[0] && (!place || !fits(all[homes[1]].jurisdiction())) {
		homes[1] = rng.IntN(len(all))
	}
	p.unlike = w.will.byPlace && all[homes[1]].jurisdiction().ID != j.ID
	history := p.granted&p.page.uses&(1<<abi.Personalize|1<<abi.Advertise) == 0
	exact := !p.granted.Has(abi.Locate) && !p.page.own
	strips := p.page.host == strictHost && !p.granted.Has(abi.Personalize)
	s.say(p, rng)
	if p.declare = declares(rng); p.page.path == "/failing" {
		p.declare.Place = profile.Place{} // which it fails by, too
	}
	if p.page.lists != "" && rng.IntN(3) == 0 {
		p.hides = pairKinds[rng.IntN(3)] + "-" + pairColors[rng.IntN(4)]
	}
	ids := [2]int{rng.IntN(1 << 20), rng.IntN(1 << 20)}
	for i, v := range []*pairVisitor{&p.a, &p.b} {
		v.address = fmt.Sprintf("20.%d.%d.%d", homes[i], rng.IntN(townNetworks), 1+rng.IntN(250))
		v.agent = fmt.Sprintf("Browser/%d.%d", rng.IntN(200), rng.IntN(1000))
		s.will(p, v, rng)
		s.remember(p, v, rng, ids, i, history)
		if pref := p.declare; exact && rng.IntN(3) > 0 && pref.Place.Mode == 0 {
			pref.Place = profile.Place{Mode: profile.PlaceExact, Located: true, Lat: float64(rng.IntN(1800000))/1e4 - 90, Lon: float64(rng.IntN(3600000))/1e4 - 180}
			v.cookies = append(v.cookies, s.seal(p.page.host, usePreferences, pref.Encode()))
		} else if !pref.Empty() {
			v.cookies = append(v.cookies, s.seal(p.page.host, usePreferences, pref.Encode()))
		}
		track := ids[0]
		if strips {
			track = ids[i]
			v.header = append(v.header, fmt.Sprintf("Referer: http://%s/diary-of-%d", p.page.host, track), fmt.Sprintf("CF-Connecting-IP: 20.1.1.%d", track%250),
				fmt.Sprintf(`Sec-CH-UA-Model: "Phone %d"`, track), fmt.Sprintf("X-Client-IP: 20.2.2.%d", track%250))
		}
		v.cookies = append(v.cookies, "session=kept")
		v.cookies = append(v.cookies, fmt.Sprintf("_track=%d", track))
	}
	if rng.IntN(4) == 0 && !p.page.own && p.page.path != "/failing" {
		for i := range p.before {
			v := s.granting(p.page, rng, p.opens, declares(rng))
			p.before[i] = &v
		}
	}
	return p
}

// say makes what both visitors of a pair send alike.
func (s *pairSite) say(p *pair, rng *rand.Rand) {
	if p.opens {
		p.both += "Sec-Fetch-Dest: document\r\n"
	}
	if rng.IntN(3) == 0 {
		p.both += "Accept-Encoding: gzip\r\n"
	}
	if rng.IntN(2) == 0 {
		p.both += "Accept-Language: de\r\n"
	}
	if rng.IntN(4) == 0 {
		p.both += "If-None-Match: \"v1\"\r\n"
	}
	if p.page.host == strictHost || p.page.path == "/named" {
		p.both += "Bespoke-Subject: forged\r\n"
	}
	if p.page.body != "" {
		kind := "text/plain"
		if p.page.own {
			kind = "application/json"
			p.both += "Sec-Fetch-Site: same-origin\r\n"
		}
		p.both += "Content-Type: " + kind + "\r\n"
	}
}

// will makes what a visitor says of their will. Each seals for themselves.
func (s *pairSite) will(p *pair, v *pairVisitor, rng *rand.Rand) {
	w := &p.willed
	cookie := func(c string) { v.cookies = append(v.cookies, c) }
	line := func(h string) { v.header = append(v.header, h) }
	allowed := consent.Choice{Granted: consent.All, TextVersion: w.text}
	tcf := func(consents uint32) { cookie("euconsent-v2=" + tcString(w.at, consents)) }
	switch w.will.name {
	case "withdrawal":
		cookie(s.choice(p, consent.Choice{TextVersion: w.text}))
	case "some granted":
		cookie(s.choice(p, consent.Choice{Granted: w.some, TextVersion: w.text}))
	case "some granted, subject":
		cookie(s.choice(p, consent.Choice{Granted: p.granted, TextVersion: w.text}))
	case "GPC":
		line("Sec-GPC: 1")
	case "GPC after allowing all":
		line("Sec-GPC: 1")
		cookie(s.choice(p, allowed))
	case "GPC, then some":
		line("Sec-GPC: 1")
		cookie(s.choice(p, consent.Choice{Granted: w.some, UnderGPC: true, TextVersion: w.text}))
	case "TCF":
		tcf(0)
	case "TCF, withdrawal":
		tcf(0xffffff)
		cookie(s.choice(p, consent.Choice{TextVersion: w.text}))
	case "TCF, some":
		tcf(tcfBits(w))
	case "unreadable TCF":
		cookie("euconsent-v2=CAAA")
	case "two TCF":
		tcf(0xffffff)
		tcf(0xfffff)
	case "GPP": // all that can be opted out of, and the GPC subsection
		cookie("__gpp=DBABLA~BVVVkkkkkpFY.YA")
	case "usprivacy":
		cookie("usprivacy=1YYN")
	case "unreadable choice":
		cookie(fmt.Sprintf("bespoke-choice=forged%d", rng.IntN(1e6)))
	case "two choices":
		cookie(s.choice(p, allowed))
		cookie(s.choice(p, allowed))
	case "stale choice":
		c := allowed
		c.At = s.now.Add(-400 * 24 * time.Hour)
		cookie(s.choice(p, c))
	case "choice of the future":
		c := allowed
		c.At = s.now.Add(400 * time.Hour)
		cookie(s.choice(p, c))
	case "old text":
		c := allowed
		c.TextVersion = w.text + 1
		cookie(s.choice(p, c))
	case "unknown subject":
		cookie(fmt.Sprintf("bespoke-subject=forged%d", rng.IntN(1e6)))
	case "subject who refused, allowed here before":
		c := allowed
		c.At = s.now.Add(-48 * time.Hour)
		cookie(s.choice(p, c))
	case "DNT":
		line("DNT: 1")
	}
}

// remember gives a visitor what the site knows about them: where history is set, each
// something else; where it is not, both the same.
func (s *pairSite) remember(p *pair, v *pairVisitor, rng *rand.Rand, ids [2]int, i int, history bool) {
	host := p.page.host
	cookie := func(c string) { v.cookies = append(v.cookies, c) }
	id := ids[0]
	if history {
		id = ids[i]
	}
	switch p.willed.will.name {
	case "subject who refused", "subject who refused, allowed here before":
		cookie(s.refused[id%len(s.refused)])
	case "some granted, subject":
		cookie(s.unheard[id%len(s.unheard)])
	}
	switch {
	case !history:
		cookie(s.profileCookie(host, id))
	case p.page.own && p.granted.Has(abi.Personalize):
		cookie(s.profileCookie(host, id))
	default:
		switch rng.IntN(8) {
		case 0:
		case 1:
			cookie("bespoke-profile=forged")
		case 2:
			cookie(s.profileCookie(host, id))
			cookie(s.profileCookie(host, id+1))
		case 3:
			cookie(s.seal(host, useInferred, []byte{0, 1, 2, 3}))
		default:
			cookie(s.profileCookie(host, id))
		}
	}
	// Why the last page was as it was. Where anything may still be told, the cookie is
	// dropped or replaced, so that both have one.
	if told := p.granted &^ justMeasure; told != 0 || rng.IntN(2) == 0 {
		reason := ids[i]
		if p.page.own {
			reason = ids[0] // which the privacy centre tells them
		}
		cookie(s.seal(host, useWhy, append([]byte{byte(consent.All)}, fmt.Sprintf("because of %06d", reason)...)))
	}
	if p.hides != "" {
		n, _ := s.edge.current.Load().exact[shopHost].recommender.Catalogue().Number(p.hides)
		var h profile.Hidden
		if h.Hide(n) == nil {
			cookie(s.seal(host, useHidden, h.AppendEncode(binary.BigEndian.AppendUint32([]byte{hiddenCookie}, s.epoch))))
		}
	} else if rng.IntN(3) == 0 { // of an epoch that is over: nothing is hidden by it
		cookie(s.seal(host, useHidden, []byte{1, 0, 0, 0, 9, byte(rng.IntN(200))}))
	}
}

// declares makes what somebody declared; in every second case nothing.
func declares(rng *rand.Rand) (p profile.Preferences) {
	if rng.IntN(2) == 0 {
		return p
	}
	words := []string{"Jane", "Ada", "Kim", "Noor", "Ove"}
	p.Name = words[rng.IntN(len(words))]
	p.Theme = []profile.Theme{"", "light", "dark"}[rng.IntN(3)]
	p.PageSize = []int{0, 3, 5}[rng.IntN(3)]
	p.Sort = []string{"", "price"}[rng.IntN(2)]
	p.Contact = []profile.Frequency{"", "daily", "monthly"}[rng.IntN(3)]
	if rng.IntN(2) == 0 {
		p.Muted = []string{pairKinds[rng.IntN(3)]}
	}
	if rng.IntN(2) == 0 {
		p.Filters = []profile.Filter{{Name: "accent", Value: []string{"teal", "plum"}[rng.IntN(2)]}, {Name: "budget red", Value: fmt.Sprint(20 + rng.IntN(50))},
			{Name: "heading", Value: "Of " + p.Name}, {Name: "slogan", Value: "by " + p.Name}}
	}
	if rng.IntN(5) == 0 {
		p.Place = profile.Place{Mode: profile.PlaceChosen, Name: "Oslo", Located: true, Lat: 59.91, Lon: 10.75}
	}
	return p
}

// granting makes a visitor who granted everything but to be counted, which would change
// what is recommended to others.
func (s *pairSite) granting(page *pairPage, rng *rand.Rand, opens bool, declare profile.Preferences) (v pairVisitor) {
	v.address = fmt.Sprintf("20.%d.%d.%d", rng.IntN(len(towns())-1), rng.IntN(townNetworks), 1+rng.IntN(250))
	v.agent = fmt.Sprintf("Browser/%d", rng.IntN(1000))
	c := consent.Choice{Granted: consent.All &^ justMeasure, At: s.now.Add(-time.Hour), Epoch: 1}
	if page.host == strictHost {
		c.TextVersion = 2
	}
	v.cookies = append(v.cookies, s.seal(page.host, useChoice, c.Encode()), s.profileCookie(page.host, rng.IntN(1e6)))
	if !declare.Empty() {
		v.cookies = append(v.cookies, s.seal(page.host, usePreferences, declare.Encode()))
	}
	if opens {
		v.header = append(v.header, "Sec-Fetch-Dest: document")
	}
	return v
}

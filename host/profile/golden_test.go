package profile

import (
	"slices"
	"testing"
	"time"
)

// goldenProfile is what goldenTokens holds as "profile".
func goldenProfile() Inferred {
	var p Inferred
	p.View(17, []uint32{3, 400, 65535}, after(0))
	p.View(999_999, []uint32{3, 12}, after(2*time.Minute))
	p.View(1, nil, after(25*time.Hour))
	p.Purchase(999_999, []uint32{3, 12}, after(25*time.Hour))
	p.Search([]uint32{70_000}, after(25*time.Hour))
	p.Persona("teacher", 2.5, after(25*time.Hour))
	p.Persona("executive", 0.5, after(25*time.Hour))
	p.MailSent(after(26 * time.Hour))
	p.MailClicked(after(27 * time.Hour))
	p.Message(Text, Sent, after(27*time.Hour))
	return p
}

// Tokens that are in browsers, of the key of bytes 1, as cookie.key and as
// cookie-1.key. They open for ever: who changes a format adds to this list, and
// takes nothing from it.
var goldenTokens = []struct{ key, use, token string }{
	{"cookie.key", "preferences", "AU2mk8RQf3ZiG1wpxydXrNGPIR4kFLZ_rz4FYvDVvbuJA3vteo2-bmw4YIaVPU6L7b_qRDAG-qwozd_mcWsGYhpGRBbmMHg9EXG1QZUxybZHlMcAmcPzKxBtmKRdVGIhpkSh72EnNMcKWU7WfXowue82KSHcXVZnQSppf1o0JgtBcBWRjuEaVSlSJw"},
	{"cookie.key", "preferences", "AZuSu4KFFpfP7rayzLqhHMYUmhSv-a8oDhUYylFyGE5gYDoKxSEvEYuEohEWDpE7fOLq-6mSXRRvYLf7z4Tvis4YCOsBGP0_kutbAoscwnNIPjwG1hxJHDnPZ31lnhN5m0d4x0BDbmjk-o-TyVc6t_sWVZKhMnFcalq96FEuHeI4VCBEpdv9rJShLg"},
	{"cookie.key", "profile", "AUJyovev-YCY8KHuSgqqf5prxppmuBnqVuwbADuyIskzK_VP8-fiLxHi8kLt6qYGuL50KRQCWcJ3JK3JwYImyx4l4O3wrBp0OpkwX4rBNf45E4SnNeoqhu6RF2D-zHwBfWml"},
	{"cookie.key", "hidden", "AQppq7Ry8PAV4d57LL4PUCHzyDpkSGtjsFO5ViGKPN15AITdFcv0QQ"},
	{"cookie-1.key", "preferences", "AgHy5S0shyE0UVAd9AfgXCUkqJoyUV-ZGpbepluK7Q35gFnKvHFxUwv9AJPMJNyBJLPjL47gdRjiEuFeV8I7CFuCj7kwNDkRhWN6prerJUdpNzY2sshoT62xY22J5ZGKPVCQfrvVQ3wt0JOxMlCODajNzcMNGT8yXjfjTQZ9kZzSA42JUQWZnYbUe7E"},
	{"cookie-1.key", "profile", "AgFMcn3LfMn4fCRHcqzUh_hGmvAfc1nM3ceV0dDOnZOYDBc72P-IaZrttnJYrs_6xed_UxykSSt8y3LLE7BOXIe4CPf8IZgAtMIbVUs3mPxOS0cdOirEPI3rhw0ecPdb1db1TA"},
	{"cookie-1.key", "hidden", "AgHjrVfDekIDBDqjX_Aep2bKFGry3a191NuU-so4mQhawCvzNj2-B0w"},
}

func TestGoldenTokens(t *testing.T) {
	key := Key{}
	for i := range key {
		key[i] = 1
	}
	sealers := map[string]*Sealer{
		"cookie.key":   ring(t, Keys{Original: key, Named: []NumberedKey{{3, Key{3}}}}),
		"cookie-1.key": ring(t, Keys{Original: Key{4}, Named: []NumberedKey{{1, key}, {2, Key{2}}}}),
	}
	seen := map[string]bool{}
	for _, g := range goldenTokens {
		plain, err := sealers[g.key].Open([]byte(g.token), Binding{g.use, "stores", "stores.localhost"})
		if err != nil {
			t.Errorf("%s, %s: %v", g.key, g.use, err)
			continue
		}
		seen[g.key+g.use] = true
		switch g.use {
		case "preferences":
			p, err := ParsePreferences(plain)
			if want := full(); err != nil || !p.Equal(&want) {
				t.Errorf("%s: %+v, %v", g.key, p, err)
			}
		case "profile":
			var p Inferred
			if err := p.Parse(plain); err != nil || p != goldenProfile() {
				t.Errorf("%s: %+v, %v", g.key, p, err)
			}
		case "hidden":
			var h Hidden
			if err := h.Parse(plain); err != nil || !slices.Equal(h.items, []uint32{0, 17, 999_999}) {
				t.Errorf("%s: %+v, %v", g.key, h, err)
			}
		}
	}
	for _, want := range []string{"cookie.keypreferences", "cookie.keyprofile", "cookie.keyhidden", "cookie-1.keypreferences", "cookie-1.keyprofile", "cookie-1.keyhidden"} {
		if !seen[want] {
			t.Errorf("no token of %s", want)
		}
	}
}

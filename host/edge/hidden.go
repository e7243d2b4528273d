package edge

import (
	"encoding/binary"
	"errors"

	"github.com/valyala/fasthttp"

	"bespoke/host/profile"
)

// The items that the visitor hid are declared, as preferences are: they need no
// purpose. Only the visitor hides, by the API or a form of the page. What policies
// emit as hide does not come here: they may have picked the item by what they read
// of the profile, and it would stay after a refusal.

// hiddenItems are the items that a visitor hid, as their browser brought them.
type hiddenItems struct {
	profile.Hidden
	opened bool
	newer  bool // a later build wrote the cookie: it is left as it is
}

// The cookie is a version, the epoch of the catalogue's numbers, and the items.
const (
	hiddenCookie     = 1
	hiddenCookieHead = 1 + 4
)

// hiddenItems returns what the visitor hid. What cannot be read, is there twice, or
// is of numbers that mean nothing any more, is as if nothing were hidden.
func (x *exchange) hiddenItems() *hiddenItems {
	h, c := &x.hidden, &x.cookies.hidden
	if h.opened {
		return h
	}
	if h.opened = true; c.n != 1 {
		return h
	}
	plain, err := x.edge.sealer.Open(c.token, x.binding(useHidden))
	switch {
	case errors.Is(err, profile.ErrNewer), err == nil && len(plain) > 0 && plain[0] > hiddenCookie:
		h.newer = true
	case err != nil, len(plain) < hiddenCookieHead, plain[0] != hiddenCookie:
	case x.tenant.recommender == nil || binary.BigEndian.Uint32(plain[1:]) != x.tenant.epoch():
	default:
		h.newer = errors.Is(h.Parse(plain[hiddenCookieHead:]), profile.ErrNewer)
	}
	return h
}

// keepHidden has the browser keep what the visitor hides; nothing: not any more.
func (x *exchange) keepHidden(h *fasthttp.ResponseHeader, items *profile.Hidden) {
	if items.Empty() {
		x.setCookie(h, useHidden, nil)
		return
	}
	b := binary.BigEndian.AppendUint32([]byte{hiddenCookie}, x.tenant.epoch())
	x.setCookie(h, useHidden, items.AppendEncode(b))
}

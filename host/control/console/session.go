package console

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"bespoke/host/control"
)

const (
	sessionIdle = 30 * time.Minute // without a request
	sessionLife = 8 * time.Hour    // in all
	maxSessions = 1000             // the one that was used longest ago makes room

	cookieName    = "bespoke-console"
	cookiePath    = "/console/"
	maxTokenBytes = 256
)

// sessions are the browsers that are signed in, in memory only: a restart signs
// all of them out.
type sessions struct {
	mu sync.Mutex
	by map[[sha256.Size]byte]*session // SHA-256 of the cookie's value; guarded by mu
}

// A session holds the hash of its token, which is looked up again with every
// request: a token that is revoked signs out at once.
type session struct {
	token       [sha256.Size]byte
	began, used time.Time
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.used) >= sessionIdle || now.Sub(s.began) >= sessionLife || now.Before(s.began)
}

// begin makes a session, and returns the value of its cookie.
func (s *sessions) begin(token [sha256.Size]byte, now time.Time) string {
	var id [32]byte
	rand.Read(id[:]) // never fails
	value := base64.RawURLEncoding.EncodeToString(id[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[[sha256.Size]byte]*session{}
	}
	var oldest [sha256.Size]byte
	for key, one := range s.by {
		if one.over(now) {
			delete(s.by, key)
		} else if old := s.by[oldest]; old == nil || one.used.Before(old.used) {
			oldest = key
		}
	}
	if len(s.by) >= maxSessions {
		delete(s.by, oldest)
	}
	s.by[sha256.Sum256([]byte(value))] = &session{token, now, now}
	return value
}

// find returns the token's hash of a session that lasts.
func (s *sessions) find(value string, now time.Time) (token [sha256.Size]byte, ok bool) {
	key := sha256.Sum256([]byte(value))
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.by[key]
	if one == nil {
		return token, false
	}
	if one.over(now) {
		delete(s.by, key)
		return token, false
	}
	one.used = now
	return one.token, true
}

func (s *sessions) end(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, sha256.Sum256([]byte(value)))
}

// attempts counts tokens that were wrong, by network, so that trying is slow.
// A token has 256 bits and is not guessed; but who tries fills the log.
type attempts struct {
	mu sync.Mutex
	by map[netip.Prefix]*tries // guarded by mu
}

type tries struct {
	since time.Time
	n     int
}

const (
	triesWindow = time.Minute
	maxTries    = 10   // wrong tokens of a network in a window
	maxNetworks = 4096 // that are counted; with more, strangers wait
)

// network is an address as far as somebody who has one has more: a /64 of IPv6.
func network(remote string) netip.Prefix {
	host, _, _ := net.SplitHostPort(remote)
	addr, _ := netip.ParseAddr(host)
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}

// wait reports whether a network has tried too often.
func (a *attempts) wait(from netip.Prefix, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.by[from]
	if t == nil {
		return len(a.by) >= maxNetworks && !a.sweep(now)
	}
	return t.n >= maxTries && now.Sub(t.since) < triesWindow
}

// wrong counts a wrong token.
func (a *attempts) wrong(from netip.Prefix, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil {
		a.by = map[netip.Prefix]*tries{}
	}
	t := a.by[from]
	if t == nil || now.Sub(t.since) >= triesWindow {
		t = &tries{since: now}
		a.by[from] = t
	}
	t.n++
}

// sweep forgets who tried long ago, and reports whether there is room.
func (a *attempts) sweep(now time.Time) bool {
	for from, t := range a.by {
		if now.Sub(t.since) >= triesWindow {
			delete(a.by, from)
		}
	}
	return len(a.by) < maxNetworks
}

// known finds out who asks: by a session, or by a token in the header, as
// programs send it. That it is nobody is no error.
func (k *Console) known(v *visit) error {
	v.now = k.config.Now()
	if scheme, secret, _ := strings.Cut(v.r.Header.Get("Authorization"), " "); scheme != "" {
		if !strings.EqualFold(scheme, "Bearer") || len(v.r.Header.Values("Authorization")) > 1 {
			return errUnknown
		}
		token, err := v.check(strings.TrimLeft(secret, " "))
		v.token = token
		return err
	}
	value := sessionOf(v.r)
	if value == "" {
		return nil
	}
	sum, ok := k.sessions.find(value, v.now)
	if !ok {
		return nil
	}
	token, err := k.config.Tokens.CheckSum(sum, v.now)
	switch {
	case errors.Is(err, control.ErrUnknownToken), errors.Is(err, control.ErrExpiredToken):
		k.sessions.end(value)
		return nil
	case err != nil:
		return errTokens
	}
	v.token, v.signed = token, true
	return nil
}

var (
	errTokens  = &fault{http.StatusServiceUnavailable, "The tokens cannot be read, so nobody has access for now. The edge's log says why."}
	errTooMany = &fault{http.StatusTooManyRequests, "Too many wrong tokens came from your network. Wait a minute, then try again."}
	errWrong   = &fault{http.StatusUnauthorized, "That token is not known here, or it is not valid any more. Copy it whole; it begins with " + control.TokenPrefix + "."}
)

// check returns the token of a secret, and counts wrong ones.
func (v *visit) check(secret string) (control.Token, error) {
	from := network(v.r.RemoteAddr)
	if v.attempts.wait(from, v.now) {
		v.w.Header().Set("Retry-After", "60")
		return control.Token{}, errTooMany
	}
	token, err := v.config.Tokens.Check(secret, v.now)
	switch {
	case err == nil:
		return token, nil
	case errors.Is(err, control.ErrUnknownToken), errors.Is(err, control.ErrExpiredToken):
		v.attempts.wrong(from, v.now)
		return control.Token{}, errWrong
	}
	return control.Token{}, errTokens
}

// sessionOf returns the value of the session's cookie, "" for none.
func sessionOf(r *http.Request) string {
	if c, err := r.Cookie(cookieName); err == nil && len(c.Value) < 100 {
		return c.Value
	}
	return ""
}

// overTLS reports whether the browser speaks TLS. The listener does not: a
// terminator before it says so in X-Forwarded-Proto, or the browser in Origin. Who
// claims it without cause harms only their own cookie.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") || strings.HasPrefix(r.Header.Get("Origin"), "https://")
}

func (v *visit) setCookie(value string, age time.Duration) {
	c := &http.Cookie{Name: cookieName, Value: value, Path: cookiePath, MaxAge: int(age / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: overTLS(v.r)}
	if age < 0 {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// signInFor returns where to sign in, to come back to a page of the consoles.
func signInFor(at *url.URL) string {
	if at.Path == "/console/" {
		return "/console/sign-in"
	}
	return "/console/sign-in?" + url.Values{"next": {at.RequestURI()}}.Encode()
}

// next returns where a sign-in leads: a page of the consoles, whatever was asked.
func next(asked string) string {
	u, err := url.Parse(asked)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/console/") ||
		strings.Contains(u.Path, "..") || strings.ContainsAny(asked, "\\\r\n") || strings.HasPrefix(u.Path, "/console/sign-") {
		return "/console/"
	}
	return u.RequestURI()
}

// A signInPage is the form, and why the last attempt was none.
type signInPage struct{ Next, Why string }

func (v *visit) signInForm() error {
	return v.show(http.StatusOK, "sign-in", "Sign in", signInPage{Next: next(v.r.URL.Query().Get("next"))})
}

func (v *visit) signIn() error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, control.MaxConsoleForm)
	if err := v.r.ParseForm(); err != nil {
		return &fault{http.StatusBadRequest, "The form cannot be read."}
	}
	to := next(v.r.PostForm.Get("next"))
	secret := strings.TrimSpace(v.r.PostForm.Get("token"))
	if len(secret) > maxTokenBytes {
		secret = ""
	}
	token, err := v.check(secret)
	var f *fault
	if errors.As(err, &f) {
		v.config.Log.Warn("sign-in to the consoles refused", "status", f.status)
		return v.show(f.status, "sign-in", "Sign in", signInPage{to, f.text})
	}
	if err != nil {
		return err
	}
	if old := sessionOf(v.r); old != "" {
		v.sessions.end(old)
	}
	v.setCookie(v.sessions.begin(sha256.Sum256([]byte(secret)), v.now), sessionLife)
	v.config.Log.Info("signed in to the consoles", "by", token.Name, "role", string(token.Role))
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

func (v *visit) signOut() error {
	if value := sessionOf(v.r); value != "" {
		v.sessions.end(value)
	}
	v.setCookie("", -1)
	http.Redirect(v.w, v.r, "/console/sign-in", http.StatusSeeOther)
	return nil
}

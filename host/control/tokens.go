package control

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

// A Role says what a token allows.
type Role string

const (
	RoleOperator Role = "operator" // everything, for every tenant
	RoleTenant   Role = "tenant"   // everything, for one tenant
	RoleAuditor  Role = "auditor"  // reads, for every tenant
	RoleMonitor  Role = "monitor"  // reads /metrics, and nothing else
)

// A Token is what is known of a token: all but the secret.
type Token struct {
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Tenant  string    `json:"tenant,omitempty"` // of RoleTenant
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// Expired reports whether the token is of no use any more.
func (t *Token) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// What a caller may want to tell apart, with errors.Is.
var (
	ErrUnknownToken = errors.New("no such token")
	ErrExpiredToken = errors.New("the token has expired")
	ErrTokenName    = errors.New("the name is taken")
)

// TokenPrefix begins the text of every token, so that a search for leaked
// secrets finds it.
const TokenPrefix = "bsp_"

const (
	tokenFile  = "tokens.json"
	maxTokens  = 1000
	tokenCheck = time.Second // how long a look at the file holds for those who have access
)

// Tokens are the tokens of a state folder, in its file tokens.json. They are
// kept as SHA-256 hashes: a token has 256 random bits, so its hash cannot be
// guessed back, and needs no salt. All methods may be called at the same time,
// by several processes too.
type Tokens struct {
	dir string

	mu     sync.Mutex
	looked time.Time   // when the file was last looked at
	seen   fs.FileInfo // the file as it then was; nil: there was none
	list   []stored    // what it said
	err    error       // why it could not be read
}

// NewTokens returns the tokens of the state folder dir. It reads nothing yet.
func NewTokens(dir string) *Tokens { return &Tokens{dir: dir} }

// Check returns the token whose secret is given. It fails with ErrUnknownToken
// or ErrExpiredToken; with another error if the tokens cannot be read, and then
// nobody has access. A new token is known at once, a revoked one refused within
// a second.
func (t *Tokens) Check(secret string, now time.Time) (Token, error) {
	return t.CheckSum(sha256.Sum256([]byte(secret)), now)
}

// CheckSum is Check for who keeps only the SHA-256 of a secret.
func (t *Tokens) CheckSum(sum [sha256.Size]byte, now time.Time) (Token, error) {
	list, err := t.current(now, tokenCheck)
	token, ok := among(list, sum)
	if !ok && err == nil {
		list, err = t.current(now, 0) // it may be new
		token, ok = among(list, sum)
	}
	switch {
	case err != nil:
		return Token{}, err
	case !ok:
		return Token{}, ErrUnknownToken
	case token.Expired(now):
		return Token{}, ErrExpiredToken
	}
	return token, nil
}

// among finds the token of a hash. Every hash is compared, each in constant
// time: how long it takes says nothing of how much of a guess was right.
func among(list []stored, sum [sha256.Size]byte) (token Token, ok bool) {
	for i := range list {
		if subtle.ConstantTimeCompare(sum[:], list[i].hash[:]) == 1 {
			token, ok = list[i].Token, true
		}
	}
	return token, ok
}

// current returns the list. It looks whether the file changed, unless it did so
// within a time before now.
func (t *Tokens) current(now time.Time, within time.Duration) ([]stored, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if since := now.Sub(t.looked); !t.looked.IsZero() && since >= 0 && since < within {
		return t.list, t.err
	}
	t.looked = now
	info, err := os.Stat(filepath.Join(t.dir, tokenFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.seen, t.list, t.err = nil, nil, nil
	case err != nil:
		t.seen, t.list, t.err = nil, nil, fmt.Errorf("look at tokens: %w", err)
	case t.err == nil && t.seen != nil && os.SameFile(t.seen, info) && t.seen.ModTime().Equal(info.ModTime()) && t.seen.Size() == info.Size():
	default:
		// A change between the look and the read is read again next time.
		t.seen = info
		t.list, t.err = readTokens(t.dir)
	}
	return t.list, t.err
}

// List returns all tokens, expired ones included, in the order of their making.
func (t *Tokens) List() ([]Token, error) {
	list, err := readTokens(t.dir)
	if err != nil {
		return nil, err
	}
	tokens := make([]Token, len(list))
	for i := range list {
		tokens[i] = list[i].Token
	}
	return tokens, nil
}

// Add makes a token as described, created at now, and returns its secret, which
// is kept nowhere. Without a name it gets one from its role or tenant. It fails
// with ErrTokenName if the name is taken.
func (t *Tokens) Add(token Token, now time.Time) (string, Token, error) {
	token.Created = now.UTC().Truncate(time.Second)
	if !token.Expires.IsZero() {
		token.Expires = token.Expires.UTC().Truncate(time.Second)
		if token.Expired(now) {
			return "", Token{}, fmt.Errorf("new token: it would expire at %s, which is past", token.Expires.Format(time.RFC3339))
		}
	}
	var random [32]byte
	rand.Read(random[:]) // never fails
	secret := TokenPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	err := t.change(func(list []stored) ([]stored, error) {
		if len(list) >= maxTokens {
			return nil, fmt.Errorf("there are %d, at most %d are possible; revoke some", len(list), maxTokens)
		}
		if token.Name == "" {
			token.Name = freeName(list, token)
		}
		if at(list, token.Name) >= 0 {
			return nil, fmt.Errorf("%q: %w", token.Name, ErrTokenName)
		}
		if err := token.check(); err != nil {
			return nil, err
		}
		return append(list, stored{Token: token, hash: sha256.Sum256([]byte(secret))}), nil
	})
	if err != nil {
		return "", Token{}, fmt.Errorf("new token: %w", err)
	}
	return secret, token, nil
}

// Revoke forgets the token of that name. A running edge refuses it within a
// second. It fails with ErrUnknownToken if there is none.
func (t *Tokens) Revoke(name string) error {
	err := t.change(func(list []stored) ([]stored, error) {
		i := at(list, name)
		if i < 0 {
			return nil, ErrUnknownToken
		}
		return slices.Delete(list, i, i+1), nil
	})
	if err != nil {
		return fmt.Errorf("revoke token %.80q: %w", name, err)
	}
	return nil
}

func at(list []stored, name string) int {
	return slices.IndexFunc(list, func(s stored) bool { return s.Name == name })
}

func freeName(list []stored, token Token) string {
	base := string(token.Role)
	if token.Role == RoleTenant {
		base = clip(token.Tenant, 50)
	}
	for n := 1; ; n++ {
		if name := fmt.Sprintf("%s-%d", base, n); at(list, name) < 0 {
			return name
		}
	}
}

var (
	tokenName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$`)
	tenantName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
)

func (t *Token) check() error {
	switch t.Role {
	case RoleTenant:
		if !tenantName.MatchString(t.Tenant) {
			return fmt.Errorf("tenant %.80q: want a lower-case letter, then up to 62 letters, digits or hyphens", t.Tenant)
		}
	case RoleOperator, RoleAuditor, RoleMonitor:
		if t.Tenant != "" {
			return fmt.Errorf("a token of role %s is for every tenant, not for %.80q", t.Role, t.Tenant)
		}
	default:
		return fmt.Errorf("role %.80q: want %s, %s, %s or %s", string(t.Role), RoleOperator, RoleTenant, RoleAuditor, RoleMonitor)
	}
	if !tokenName.MatchString(t.Name) {
		return fmt.Errorf("name %.80q: want a letter or digit, then up to 62 of these and . _ @ -", t.Name)
	}
	if t.Created.IsZero() {
		return errors.New("it was never created")
	}
	return nil
}

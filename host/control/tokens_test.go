package control

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func newToken(t *testing.T, tokens *Tokens, token Token) string {
	t.Helper()
	secret, _, err := tokens.Add(token, noon)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestTokens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	tokens := NewTokens(dir)
	if _, err := tokens.Check("bsp_x", noon); !errors.Is(err, ErrUnknownToken) {
		t.Errorf("without a file: %v", err)
	}
	secret, token, err := tokens.Add(Token{Role: RoleTenant, Tenant: "stores", Expires: noon.Add(time.Hour)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^bsp_[A-Za-z0-9_-]{43}$`).MatchString(secret) {
		t.Errorf("secret %q", secret)
	}
	if token.Name != "stores-1" {
		t.Errorf("name %q", token.Name)
	}
	data, err := os.ReadFile(filepath.Join(dir, "tokens.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), secret[4:]) {
		t.Error("the secret is in the file")
	}
	if info, _ := os.Stat(filepath.Join(dir, "tokens.json")); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	later := noon.Add(2 * time.Second) // the file is looked at again
	if got, err := tokens.Check(secret, later); err != nil || got != token {
		t.Errorf("%+v, %v", got, err)
	}
	for _, wrong := range []string{"", "bsp_", secret[:46], secret + "A", "BSP_" + secret[4:], " " + secret, secret[4:], strings.Repeat("x", 1<<16)} {
		if _, err := tokens.Check(wrong, later); !errors.Is(err, ErrUnknownToken) {
			t.Errorf("Check(%.60q): %v", wrong, err)
		}
	}
	if _, err := tokens.Check(secret, noon.Add(time.Hour-1)); err != nil {
		t.Errorf("just before it expires: %v", err)
	}
	if _, err := tokens.Check(secret, noon.Add(time.Hour)); !errors.Is(err, ErrExpiredToken) {
		t.Errorf("when it expires: %v", err)
	}
	if err := tokens.Revoke("stores-1"); err != nil {
		t.Fatal(err)
	}
	if err := tokens.Revoke("stores-1"); !errors.Is(err, ErrUnknownToken) {
		t.Errorf("revoked twice: %v", err)
	}
	if list, err := tokens.List(); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// An edge and a command are two processes: the edge knows at once what the
// command made, and within a second what it revoked.
func TestTokensAreNoticed(t *testing.T) {
	dir := t.TempDir()
	edge, command := NewTokens(dir), NewTokens(dir)
	if _, err := edge.Check("", noon); !errors.Is(err, ErrUnknownToken) {
		t.Fatal(err)
	}
	secret := newToken(t, command, Token{Role: RoleOperator})
	if _, err := edge.Check(secret, noon); err != nil {
		t.Errorf("made: %v", err)
	}
	if err := command.Revoke("operator-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := edge.Check(secret, noon.Add(tokenCheck-1)); err != nil {
		t.Errorf("revoked, within the second: %v; the file is looked at each time", err)
	}
	if _, err := edge.Check(secret, noon.Add(tokenCheck)); !errors.Is(err, ErrUnknownToken) {
		t.Errorf("revoked: %v", err)
	}
	// A clock that was set back does not keep it from looking.
	secret = newToken(t, command, Token{Role: RoleOperator})
	if _, err := edge.Check(secret, noon.Add(-time.Hour)); err != nil {
		t.Errorf("after the clock was set back: %v", err)
	}
}

func TestTokensRefused(t *testing.T) {
	tokens := NewTokens(t.TempDir())
	newToken(t, tokens, Token{Name: "ci", Role: RoleOperator})
	for want, token := range map[string]Token{
		`"ci": the name is taken`:          {Name: "ci", Role: RoleAuditor},
		`role "root": want operator`:       {Role: "root"},
		`role "": want operator`:           {},
		`tenant "": want a lower-case`:     {Role: RoleTenant},
		`tenant "../x": want`:              {Role: RoleTenant, Tenant: "../x"},
		`is for every tenant, not for`:     {Role: RoleAuditor, Tenant: "stores"},
		`name "a b": want`:                 {Name: "a b", Role: RoleAuditor},
		`name "-x": want`:                  {Name: "-x", Role: RoleAuditor},
		`name "` + strings.Repeat("x", 64): {Name: strings.Repeat("x", 64), Role: RoleAuditor},
		`which is past`:                    {Role: RoleAuditor, Expires: noon},
	} {
		if _, _, err := tokens.Add(token, noon); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Add(%+v): %v, want %s", token, err, want)
		}
	}
	if list, _ := tokens.List(); len(list) != 1 {
		t.Errorf("%v", list)
	}
}

// Whatever is wrong with the file, nobody has access, and nothing is written
// over it: it may be the operator's to repair.
func TestTokensDamage(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "tokens.json")
	secret := newToken(t, NewTokens(dir), Token{Name: "ci", Role: RoleTenant, Tenant: "stores"})
	sound, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) string {
		s := strings.Replace(string(sound), old, new, 1)
		if s == string(sound) {
			t.Fatalf("the file has no %q", old)
		}
		return s
	}
	second := func(name, sha string) string {
		entry := string(sound[strings.Index(string(sound), "    {"):strings.LastIndex(string(sound), "}\n  ]")]) + "}"
		entry = strings.Replace(entry, `"ci"`, `"`+name+`"`, 1)
		if sha != "" {
			entry = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(entry, sha)
		}
		return swap("\n  ]", ",\n"+entry+"\n  ]")
	}
	cases := map[string]string{
		"empty":           "",
		"cut off":         string(sound[:len(sound)/2]),
		"garbage":         "\x00\x01\x02",
		"null":            "null",
		"a list":          "[]",
		"text after":      string(sound) + "{}",
		"unknown field":   swap(`"role"`, `"roles"`),
		"other format":    swap(`"format": 1`, `"format": 2`),
		"other role":      swap(`"role": "tenant"`, `"role": "operator"`), // but with a tenant
		"no role":         swap(`"role": "tenant"`, `"role": ""`),
		"no tenant":       swap(`"tenant": "stores"`, `"tenant": ""`),
		"bad name":        swap(`"ci"`, `"c i"`),
		"short hash":      swap(`"sha256": "`, `"sha256": "00`),
		"hash of letters": regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(string(sound), strings.Repeat("zz", 32)),
		"same name":       second("ci", strings.Repeat("ab", 32)),
		"same hash":       second("other", ""),
		"too long":        string(sound) + strings.Repeat(" ", maxTokenFile),
	}
	for what, text := range cases {
		tokens := NewTokens(dir)
		write := func(s string) {
			if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(string(sound))
		if _, err := tokens.Check(secret, noon); err != nil {
			t.Fatalf("%s: before: %v", what, err)
		}
		write(text)
		os.Chtimes(name, noon, noon.Add(time.Duration(len(text))*time.Second)) // certain to differ
		at := noon.Add(time.Minute)
		if _, err := tokens.Check(secret, at); err == nil || errors.Is(err, ErrUnknownToken) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: Check: %v", what, err)
		}
		if _, _, err := tokens.Add(Token{Role: RoleOperator}, at); err == nil {
			t.Errorf("%s: a token was added to it", what)
		}
		if now, _ := os.ReadFile(name); string(now) != text {
			t.Errorf("%s: the file was written over", what)
		}
		write(string(sound))
		if _, err := tokens.Check(secret, at.Add(tokenCheck)); err != nil {
			t.Errorf("%s: repaired: %v", what, err)
		}
	}
	// Two different tokens are fine: second does what it should.
	os.WriteFile(name, []byte(second("other", strings.Repeat("ab", 32))), 0o600)
	if list, err := NewTokens(dir).List(); err != nil || len(list) != 2 {
		t.Errorf("two tokens: %v, %v", list, err)
	}
}

func TestTokensOfOthers(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "tokens.json")
	secret := newToken(t, NewTokens(dir), Token{Role: RoleOperator})
	if err := os.Chmod(name, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := NewTokens(dir).Check(secret, noon); err == nil || !strings.Contains(err.Error(), "may be written by others") {
		t.Errorf("writable by the group: %v", err)
	}
	os.Remove(name)
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := NewTokens(dir).Check(secret, noon); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a folder: %v", err)
	}
}

// Commands run at the same time: no token is lost, and whoever reads meanwhile
// sees a whole file.
func TestTokensConcurrently(t *testing.T) {
	dir := t.TempDir()
	first := newToken(t, NewTokens(dir), Token{Name: "first", Role: RoleOperator})
	var wg sync.WaitGroup
	const n = 8
	for i := range n {
		wg.Go(func() {
			tokens := NewTokens(dir) // as a process of its own: locks are by open file
			for range 4 {
				if _, _, err := tokens.Add(Token{Role: RoleAuditor}, noon); err != nil {
					t.Error(err)
				}
				if _, err := tokens.Check(first, noon.Add(time.Duration(i)*time.Hour)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	list, err := NewTokens(dir).List()
	if err != nil || len(list) != 1+4*n {
		t.Errorf("%d tokens, %v", len(list), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

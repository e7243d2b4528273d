package ledger

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const signerName = "ledger.key" // in the folder of keys

// keyEvent is the data of [KindKey].
type keyEvent struct {
	Key    string     `json:"key"`    // signer, pseudonym
	Action string     `json:"action"` // made, destroyed
	Period *time.Time `json:"period,omitempty"`
}

// loadSigner reads the key that signs checkpoints, or makes a new ledger with a new one.
func (l *Ledger) loadSigner() error {
	if err := makeDir(l.fsys, l.Keys, 0o700); err != nil {
		return fmt.Errorf("folder of keys: %w", err)
	}
	name := filepath.Join(l.Keys, signerName)
	secret, err := l.fsys.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return l.begin(name)
	}
	if err != nil {
		return err
	}
	if err := l.useSigner(string(secret)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	public, err := l.fsys.ReadFile(filepath.Join(l.Dir, keyName))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing, and there is a ledger that %s has signed: restore the folder, or move that key away too to begin anew", keyName, name)
	}
	if err != nil {
		return err
	}
	if string(public) != l.verifier+"\n" {
		return fmt.Errorf("%s is not the public half of %s", keyName, name)
	}
	return nil
}

// begin makes a new ledger: the public key, the checkpoint of an empty tree, and last the secret
// key. So a secret key without a ledger is never from a crash: somebody took the ledger away.
func (l *Ledger) begin(name string) error {
	for _, content := range []string{"tile", segmentsName} {
		if has, err := hasName(l.fsys, l.Dir, content); err != nil || has {
			return errors.Join(err, fmt.Errorf("%s is missing, and there is a ledger that it has signed: restore it, or move the folder away to begin anew", name))
		}
	}
	origin := l.Origin
	if origin == "" {
		origin = "bespoke/" + strings.ToLower(rand.Text()[:12])
	}
	secret, _, err := note.GenerateKey(rand.Reader, origin)
	if err == nil {
		err = l.useSigner(secret)
	}
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	tree, err := new(edge).tree()
	if err != nil {
		return err
	}
	checkpoint, err := l.sign(tree)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		perm fs.FileMode
	}{
		{filepath.Join(l.Dir, keyName), []byte(l.verifier + "\n"), 0o644},
		{filepath.Join(l.Dir, checkpointName), checkpoint, 0o644},
		// A crash up to here leaves a public key and an empty tree that nobody has seen, which the
		// next start replaces.
		{name, []byte(secret + "\n"), 0o600},
	} {
		if err := replaceFile(l.fsys, f.name, f.name+".next", f.data, f.perm); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
	}
	l.begun = true
	return nil
}

// useSigner takes a secret key and derives the public one.
func (l *Ledger) useSigner(secret string) error {
	secret = strings.TrimSpace(secret)
	var err error
	if l.signer, err = note.NewSigner(secret); err != nil {
		return err
	}
	if l.Origin != "" && l.Origin != l.signer.Name() {
		return fmt.Errorf("it is of origin %q, which is for ever, and not of %q", l.signer.Name(), l.Origin)
	}
	if l.verifier, err = publicKey(secret); err != nil {
		return err
	}
	l.key, err = note.NewVerifier(l.verifier)
	return err
}

// publicKey is the verifier line that belongs to a signer's ("PRIVATE+KEY+name+hash+base64 of algorithm and seed").
func publicKey(signer string) (string, error) {
	s, err := note.NewSigner(signer)
	if err != nil {
		return "", err
	}
	// note.NewSigner checked the parts. Base64 may have a '+' too.
	seed, err := base64.StdEncoding.DecodeString(strings.SplitN(signer, "+", 5)[4])
	if err != nil {
		return "", err
	}
	return note.NewEd25519VerifierKey(s.Name(), ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey))
}

// A periodKey is what pseudonyms and sealed digests of one period are made with.
type periodKey struct {
	period time.Time // when its use begins
	pool   sync.Pool // of *keyed
	stored bool      // in a file, until its time is over
	told   bool      // by a record
	secret [32]byte
}

// A keyed is an HMAC-SHA-256 that can be used again, with room for what goes
// in and comes out, so that nothing is allocated.
type keyed struct {
	mac hash.Hash
	buf []byte
}

func newPeriodKey(period time.Time, secret [32]byte) *periodKey {
	k := &periodKey{period: period, secret: secret}
	k.pool.New = func() any { return &keyed{mac: hmac.New(sha256.New, secret[:]), buf: make([]byte, 0, 256)} }
	return k
}

// sum is the HMAC of what fill appends.
func (k *periodKey) sum(kind string, a string, b []byte) (out [32]byte) {
	m := k.pool.Get().(*keyed)
	// A kind of its own for each use, and no part that runs over into the next.
	m.buf = append(append(append(append(m.buf[:0], kind...), 0), a...), 0)
	m.buf = append(m.buf, b...)
	m.mac.Reset()
	m.mac.Write(m.buf)
	clear(m.buf) // it may have been an identifier
	m.buf = m.mac.Sum(m.buf[:0])
	copy(out[:], m.buf)
	k.pool.Put(m)
	return out
}

// pseudonyms are the keys of periods. turn is called by the sealer (and once
// before it runs), the rest from anywhere.
type pseudonyms struct {
	now      atomic.Pointer[periodKey]
	zeroed   []string  // files whose content is destroyed, and that wait until this is sealed
	destroy  time.Time // when to look for keys to destroy again
	warnedAt time.Time
}

// Pseudonym writes the pseudonym of a visitor for the present period: an HMAC under a
// key that is destroyed on schedule. It says whether two records of a period are
// of one visitor, and after the key is gone nothing links it to a person.
func (l *Ledger) Pseudonym(dst *[8]byte, tenant string, id []byte) {
	sum := l.pseudonyms.now.Load().sum("pseudonym", tenant, id)
	copy(dst[:], sum[:])
}

// SealDigest makes a digest one that cannot be tried out without the key of the period.
func (l *Ledger) SealDigest(sum [32]byte) [32]byte {
	return l.pseudonyms.now.Load().sum("digest", "", sum[:])
}

const (
	pseudonymPrefix = "pseudonym-"
	pseudonymTime   = "20060102T150405Z"
	pseudonymSuffix = ".key"
)

// load takes the present period's key, or makes it.
func (p *pseudonyms) load(l *Ledger, now time.Time) { p.turn(l, now, false) }

// turn begins a new period when it is time, and destroys the keys whose time is over. What
// fails is logged and tried again in the next window. sealed says that all events so far are on disk.
func (p *pseudonyms) turn(l *Ledger, now time.Time, sealed bool) {
	now = now.UTC()
	period := now.Truncate(l.PseudonymPeriod)
	k := p.now.Load()
	if k == nil || !k.period.Equal(period) {
		k = p.begin(l, period)
		p.now.Store(k)
		p.destroy = time.Time{}
	}
	if err := p.store(l, k); err != nil && now.Sub(p.warnedAt) > time.Minute {
		// The key is good without its file: nobody can compute its pseudonyms later,
		// and after a crash the period has another one.
		l.Log.Warn("ledger: the key of pseudonyms is only in memory", "error", err)
		p.warnedAt = now
	}
	if sealed && len(p.zeroed) > 0 {
		p.forget(l)
	}
	if now.Before(p.destroy) || len(p.zeroed) > 0 {
		return
	}
	if err := p.expire(l, now); err != nil && now.Sub(p.warnedAt) > time.Minute {
		l.Log.Error("ledger: a key of pseudonyms cannot be destroyed", "error", err)
		p.warnedAt = now
	}
}

func periodFile(period time.Time) string {
	return pseudonymPrefix + period.UTC().Format(pseudonymTime) + pseudonymSuffix
}

// begin reads the key of a period, or makes one in memory.
func (p *pseudonyms) begin(l *Ledger, period time.Time) *periodKey {
	var secret [32]byte
	text, err := l.fsys.ReadFile(filepath.Join(l.Keys, periodFile(period)))
	if err == nil && len(text) == 65 {
		if n, err := hex.Decode(secret[:], text[:64]); err == nil && n == 32 && secret != [32]byte{} {
			k := newPeriodKey(period, secret)
			k.stored, k.told = true, true
			return k
		}
	}
	rand.Read(secret[:])
	return newPeriodKey(period, secret)
}

// store writes a key of this run to its file, and records that it was made.
func (p *pseudonyms) store(l *Ledger, k *periodKey) error {
	if !k.told {
		k.told = true
		l.Event(Event{Kind: KindKey, Data: keyEvent{"pseudonym", "made", &k.period}})
	}
	if k.stored {
		return nil
	}
	name := filepath.Join(l.Keys, periodFile(k.period))
	if err := replaceFile(l.fsys, name, name+".next", append(hex.AppendEncode(nil, k.secret[:]), '\n'), 0o600); err != nil {
		return err
	}
	k.stored = true
	return nil
}

// zeroKey is what is left of a destroyed key, until that is recorded.
const zeroKey = "0000000000000000000000000000000000000000000000000000000000000000\n"

// expire destroys the keys whose time is over. First the file is overwritten, then that is
// recorded and sealed, then the file is removed. So a crash at any point leaves either the file with
// its zeros, and the next start records it (a second time, perhaps), or nothing to do.
// On file systems that write elsewhere than they were told the old bytes may live on until
// the system uses their place again.
func (p *pseudonyms) expire(l *Ledger, now time.Time) error {
	names, err := l.fsys.ReadDir(l.Keys)
	if err != nil {
		return err
	}
	p.destroy = now.Add(l.PseudonymPeriod)
	for _, name := range names {
		at, ok := strings.CutPrefix(name, pseudonymPrefix)
		at, ok2 := strings.CutSuffix(strings.TrimSuffix(at, ".next"), pseudonymSuffix)
		period, err := time.Parse(pseudonymTime, at)
		if !ok || !ok2 || err != nil {
			continue
		}
		// Its use ended a period after it began, or later if the period was shortened since.
		if end := period.Add(l.PseudonymPeriod + l.PseudonymLife); now.Before(end) {
			if end.Before(p.destroy) {
				p.destroy = end
			}
			continue
		}
		if err := overwriteFile(l.fsys, filepath.Join(l.Keys, name), []byte(zeroKey)); err != nil {
			p.destroy = time.Time{}
			return err
		}
		l.Event(Event{Kind: KindKey, Data: keyEvent{"pseudonym", "destroyed", &period}})
		p.zeroed = append(p.zeroed, name)
	}
	return nil
}

// forget removes the files whose keys are destroyed, after that was recorded.
func (p *pseudonyms) forget(l *Ledger) {
	for _, name := range p.zeroed {
		if err := removeFile(l.fsys, filepath.Join(l.Keys, name)); err != nil {
			l.Log.Warn("ledger: remove a destroyed key", "file", name, "error", err)
		}
	}
	p.zeroed = nil
}

package ledger

import (
	"testing"
)

// What events say of a site may have any character.
func TestEventOfAnyText(t *testing.T) {
	dir, keys := t.TempDir(), t.TempDir()
	l, err := Open(Config{Dir: dir, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	l.Event(Event{Kind: KindConfig, Data: map[string]string{"use": "file:./a&b <c> \u2028 \x7f \t ü.wasm"}})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(dir, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(r.Damage, r.Violations...) {
		t.Errorf("%+v", f)
	}
}

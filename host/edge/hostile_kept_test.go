package edge

import (
	"os"
	"slices"
	"testing"
)

// TestHostileGuest writes the hostile policy to the file that BESPOKE_HOSTILE names, for
// edges that are tried from outside (host/audit/mutants). That one reads no clock to
// the second: two visitors may see two.
func TestHostileGuest(t *testing.T) {
	name := os.Getenv("BESPOKE_HOSTILE")
	if name == "" {
		t.Skip("BESPOKE_HOSTILE names no file")
	}
	keys := slices.DeleteFunc(hostileKeys(), func(k string) bool { return k == "time.now" })
	if err := os.WriteFile(name, hostileGuest(keys, hostileDeclares()), 0o600); err != nil {
		t.Fatal(err)
	}
}

package edge

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestHostileGuest writes hostile policies into the folder that BESPOKE_HOSTILE names, for
// edges that are tried from outside (host/audit/mutants): one that reads no clock to
// the second, as two visitors may see two, and one that reads a single band, and so would
// find what an earlier visitor's run left of it.
func TestHostileGuest(t *testing.T) {
	dir := os.Getenv("BESPOKE_HOSTILE")
	if dir == "" {
		t.Skip("checks nothing: it writes hostile policies for host/audit/mutants, where BESPOKE_HOSTILE names a folder")
	}
	keys := slices.DeleteFunc(hostileKeys(), func(k string) bool { return k == "time.now" })
	for name, guest := range map[string][]byte{
		"hostile.wasm": hostileGuest(keys, hostileDeclares()),
		"deals.wasm":   hostileGuest([]string{"recommend.deals"}, map[string]string{"recommend.deals": "to test"}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), guest, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

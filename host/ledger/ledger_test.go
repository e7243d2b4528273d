package ledger

import (
	"testing"
)

func TestOpenClose(t *testing.T) {
	dir := t.TempDir()
	c := Config{Dir: dir + "/ledger", Keys: dir + "/keys"}
	for range 3 {
		l, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			l.Reserve()
			l.Exchange(&Exchange{Tenant: "a", Status: 200}, true)
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%+v", l.Status())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		ct := mustCheck(t, c.Dir)
		t.Log(ct.tree, len(ct.records), string(ct.records[0]), events[openEvent](t, ct, KindOpen))
	}
}

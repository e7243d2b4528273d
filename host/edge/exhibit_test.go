package edge

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bespoke/host/audit/exhibit"
)

// kept is a rig that makes an exhibit of every exchange that may be one.
type kept struct {
	*rig
	t     *testing.T
	dir   string
	store *exhibit.Store
}

func keeping(t *testing.T, origin http.Handler, opts ...rigOption) *kept {
	t.Helper()
	k := &kept{t: t, dir: filepath.Join(t.TempDir(), exhibit.Folder)}
	k.store = exhibit.Open(exhibit.Config{Dir: k.dir, Every: 1})
	k.rig = newRig(t, origin, append(opts, exhibiting(k.store))...)
	return k
}

// all stops the edge and returns its exhibits.
func (k *kept) all() (all []*exhibit.Exhibit) {
	k.t.Helper()
	k.rig.stop()
	k.store.Close()
	names, err := exhibit.List(k.dir)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, name := range names {
		e, err := exhibit.Load(k.dir, name)
		if err != nil {
			k.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// replay runs exhibits again, and wants each to be equal.
func (k *kept) replay(all []*exhibit.Exhibit) {
	k.t.Helper()
	r := replayer(k.t, k.dir)
	for _, e := range all {
		differences, err := r.Replay(e)
		if err != nil || len(differences) > 0 {
			k.t.Errorf("%s: %v\n%s", e.Request.Target, err, strings.Join(differences, "\n"))
		}
	}
}

func replayer(t *testing.T, dir string) *Replayer {
	t.Helper()
	r, err := NewReplayer(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// settle waits until what was sent is written.
func (k *kept) settle() {
	k.t.Helper()
	for range 2000 {
		if k.store.Waiting() == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	k.t.Fatal("exhibits still wait")
}

func TestExhibitsReplay(t *testing.T) {
	k := keeping(t, html(page), routes(`
      - {path: /said, policies: [{use: say@active}]}
      - path: /**
        policies:
          - use: nearby
            with: {list: "#results", show: ".distance"}
          - use: greet
            with: {slot: "#greeting", text: "Welcome back, {name}"}
          - use: say@active
`))
	k.upload("one")
	if _, err := k.rig.store.Registry().Activate("shop", "say", 1); err != nil {
		t.Fatal(err)
	}
	refusing := k.visitor(berlin, "Accept-Encoding", "gzip")
	refusing.choose("action=refuse-all")
	for _, v := range []*visitor{refusing, k.visitor(berlin), k.visitor(sanFrancisco, "Sec-GPC", "1")} {
		v.get("/said")
		v.get("/a%20b")
		v.get("/", "Accept-Language", "de-CH, fr;q=0.5", "Sec-Fetch-Dest", "document")
		k.settle()
	}
	k.upload("two")
	if _, err := k.rig.store.Registry().Activate("shop", "say", 2); err != nil {
		t.Fatal(err)
	}
	refusing.get("/said")
	all := k.all()
	if len(all) != 10 {
		t.Errorf("%d exhibits, want 10", len(all))
	}
	k.replay(all)
	if !slices.ContainsFunc(all, func(e *exhibit.Exhibit) bool {
		return strings.Contains(string(e.Sent.Body), ">two</p>")
	}) {
		t.Error("no exhibit of the second version")
	}
}

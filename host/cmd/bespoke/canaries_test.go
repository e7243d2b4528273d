package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/examples"
	"bespoke/geo/demodb"
	"bespoke/host/audit/probe"
	"bespoke/host/ledger"
)

// serving starts the process with a configuration, and ends it with the test.
func serving(t *testing.T, file string, log *lockedBuffer) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan *process, 1), make(chan error, 1)
	go func() {
		ended <- serve(ctx, file, slog.New(slog.NewTextHandler(log, nil)), func(p *process) { ready <- p })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	select {
	case p := <-ready:
		return p
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
		return nil
	}
}

// soon are the canaries of the configuration, without the waits that spare real sites. A
// round that is under way is begun anew: what the site does was changed in it.
func soon(p *process, tenant string) {
	site := p.site.Load()
	for i := range site.Tenants {
		t := &site.Tenants[i]
		if t.Name != tenant {
			continue
		}
		c := p.canaries.config(site, t, probe.DefaultPlaces())
		c.Rate, c.Settle = 0, -1
		p.canaries.Set([]probe.Canary{{Tenant: tenant, Every: 50 * time.Millisecond, Config: c}})
	}
}

// await returns the standing of the one tenant's canaries once it is as asked for.
func awaitStanding(t *testing.T, p *process, ok func(s *probe.Standing) bool) probe.Standing {
	t.Helper()
	for began := time.Now(); time.Since(began) < 60*time.Second; time.Sleep(20 * time.Millisecond) {
		if list := p.canaries.Status(); len(list) == 1 && list[0].Last != nil && ok(&list[0]) {
			return list[0]
		}
	}
	t.Fatalf("the canaries never stood as they should: %+v", p.canaries.Status())
	return probe.Standing{}
}

// An origin that begins to look at addresses, behind an edge that cannot see that: the
// canaries raise an alarm, which stays until a round finds nothing where there is power.
func TestCanaries(t *testing.T) {
	for _, trusted := range []string{"[]", "[10.1.0.0/16]"} {
		t.Run(trusted, func(t *testing.T) { canariesAlarm(t, trusted) })
	}
}

func canariesAlarm(t *testing.T, trusted string) {
	var leaks, same atomic.Bool
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if same.Load() {
			w.Header().Set("Content-Type", "text/plain")
		}
		if leaks.Load() {
			w.Header().Set("X-Edge-Region", r.Header.Get("X-Forwarded-For"))
		}
		io.WriteString(w, "<ul id=results><li data-lat=52.5 data-lon=13.4>Berlin</li><li data-lat=37.8 data-lon=-122.4>San Francisco</li></ul>\n")
	}))
	defer origin.Close()
	dir := t.TempDir()
	shareCompiled(t, filepath.Join(dir, "state"))
	var db bytes.Buffer
	if err := demodb.Build(&db); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"places.mmdb": db.String(), "bespoke.yaml": `listen: 127.0.0.1:0
admin: 127.0.0.1:0
geo: places.mmdb
trusted_proxies: ` + trusted + `
tenants:
  - name: stores
    hosts: ["*.stores.example"]
    origin: "` + origin.URL + `"
    audit: {canaries: {every: 10s, pairs: 3}}
    routes: [{path: /**, policies: [{use: nearby, with: {list: "#results"}}]}]
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log lockedBuffer
	p := serving(t, filepath.Join(dir, "bespoke.yaml"), &log)
	metrics := func() string {
		figures, err := p.figures()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := figures(&b, ""); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	soon(p, "stores")
	s := awaitStanding(t, p, func(s *probe.Standing) bool { return s.Rounds[probe.Equal] > 0 })
	// On a machine that is busy, a policy may come too late in a whole round: that one shows nothing.
	if s.Alarm != nil || s.Rounds[probe.Equal]+s.Rounds[probe.NoPower] < 1 || s.Rounds[probe.Differs]+s.Rounds[probe.Failed] > 0 || !strings.Contains(s.Last.Because, "place") {
		t.Fatalf("an honest site: %+v %+v", s, s.Last)
	}
	if m := metrics(); !strings.Contains(m, `bespoke_canary_alarm{tenant="stores"} 0`) {
		t.Error("no alarm is no figure")
	}

	leaks.Store(true)
	leaked := time.Now()
	soon(p, "stores")
	s = awaitStanding(t, p, func(s *probe.Standing) bool { return s.Alarm != nil && s.Alarm.Started.After(leaked) })
	if s.Alarm.Verdict != probe.Differs || s.Alarm.Report == nil || !strings.Contains(s.Alarm.Because, "place") || len(s.Alarm.Report.Exhibits) == 0 {
		t.Fatalf("%+v", s.Alarm)
	}
	if d := s.Alarm.Report.Exhibits[0].Differences[0]; d.Part != "X-Edge-Region" {
		t.Errorf("%+v", d)
	}
	log.await(t, "level=ERROR msg=\"canaries: visitors who refused got different answers\" tenant=stores")
	if m := metrics(); !strings.Contains(m, `bespoke_canary_alarm{tenant="stores"} 1`) {
		t.Error("the alarm is no figure")
	}
	e := canaryEvent(s.Alarm)
	line, err := e.AppendJSON(nil)
	if err != nil || !strings.Contains(string(line), `"kind":"canary"`) || !strings.Contains(string(line), `"choice":"differs"`) || strings.Contains(string(line), "192.0.2") {
		t.Errorf("%v %s", err, line)
	}

	recorded := 0
	for began := time.Now(); recorded < 2 && time.Since(began) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		recorded = 0
		for _, err := range ledger.Read(filepath.Join(dir, "state", "ledger"), ledger.Filter{Kind: ledger.KindCanary, Tenant: "stores"}) {
			if err != nil {
				t.Fatal(err)
			}
			recorded++
		}
	}
	if recorded < 2 {
		t.Errorf("%d rounds are in the ledger", recorded)
	}

	// A round that shows nothing ends no alarm.
	same.Store(true)
	leaks.Store(false)
	soon(p, "stores")
	s = awaitStanding(t, p, func(s *probe.Standing) bool { return s.Last.Verdict == probe.NoPower })
	if s.Alarm == nil {
		t.Error("a round without power ended the alarm")
	}
	same.Store(false)
	soon(p, "stores")
	awaitStanding(t, p, func(s *probe.Standing) bool { return s.Alarm == nil && s.Last.Verdict == probe.Equal })
}

// Canaries change nothing of what is learned of a site's visitors.
func TestCanariesAreNoVisitors(t *testing.T) {
	var shop examples.Site
	for _, s := range examples.Sites() {
		if s.Name == "department" {
			shop = s
		}
	}
	sites := []examples.Site{shop}
	origins, err := startOrigins(sites)
	if err != nil {
		t.Fatal(err)
	}
	defer origins.stop()
	state := t.TempDir()
	shareCompiled(t, state)
	file, err := writeDemo(state, "", "", sites, origins)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("    routes:\n"), []byte("    audit: {canaries: {pairs: 2}}\n    routes:\n"), 1)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	p := serving(t, file, &log)
	before, ok := p.learned.Catalogue(shop.Name)
	if !ok {
		t.Fatal("no catalogue")
	}
	soon(p, shop.Name)
	s := awaitStanding(t, p, func(s *probe.Standing) bool { return true })
	p.canaries.Set(nil)
	if s.Last.Verdict != probe.Equal || !strings.Contains(s.Last.Because, "history, past, profile") {
		t.Fatalf("the canaries did nothing that could be learned: %s: %s", s.Last.Verdict, s.Last.Because)
	}
	if after, _ := p.learned.Catalogue(shop.Name); after.Events != before.Events || after.UnknownItems != before.UnknownItems || after.OpenSessions != 0 || after.Sessions != before.Sessions {
		t.Errorf("%d requests of canaries were learned from:\n%+v\n%+v", s.Last.Requests, before, after)
	}
}

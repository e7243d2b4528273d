package edge

import (
	"errors"
	"strings"
	"testing"

	"bespoke/host/control"
	"bespoke/host/recommend"
)

func bought(ids ...string) (all []control.SubjectEvent) {
	for _, id := range ids {
		all = append(all, control.SubjectEvent{Kind: "purchase", Item: id})
	}
	return all
}

// What a tenant's server tells of a subject counts only if the subject chose that.
func TestSubjectEvents(t *testing.T) {
	rec := house(t)
	r, _ := known(t, offering(rec))
	tell := func(subject string, ev ...control.SubjectEvent) int {
		t.Helper()
		unknown, err := r.edge.SubjectEvents("shop", subject, ev)
		if err != nil {
			t.Fatal(err)
		}
		return unknown
	}
	sold := func() string {
		rec.Settle()
		var ids []string
		for _, it := range rec.Band(recommend.BestSellers, recommend.Query{Exact: true}) {
			ids = append(ids, it.ID)
		}
		return strings.Join(ids, " ")
	}
	if _, err := r.edge.SubjectEvents("shop", "jane", bought("crayons")); !errors.Is(err, control.ErrSubjectsAway) {
		t.Fatalf("before the store is open: %v", err)
	}
	r.ready()
	for _, c := range []struct{ subject, form, want string }{
		{"nobody", "", ""},
		{"refuses", "action=refuse-all", ""},
		{"others", "localize=on&personalize=on&advertise=on", ""},
		{"allows", "measure=on", "crayons"},
	} {
		if c.form != "" {
			v := r.visitor(berlin)
			v.login(c.subject)
			v.choose(c.form)
		}
		if n := tell(c.subject, bought("crayons", "gone")...); n != 1 {
			t.Errorf("%s: %d unknown items, want 1", c.subject, n)
		}
		tell(c.subject, control.SubjectEvent{Kind: "mail-open"})
		if got := sold(); got != c.want {
			t.Errorf("%s: sold %q, want %q", c.subject, got, c.want)
		}
	}
	// One order is one session, and one subject one visitor.
	if n := rec.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}
	// Who refuses takes back what is not learned yet.
	v := r.visitor(berlin)
	v.login("regrets")
	v.choose("measure=on")
	tell("regrets", bought("tray-black")...)
	v.choose("action=refuse-all")
	if got := sold(); got != "crayons" {
		t.Errorf("after a refusal: sold %q", got)
	}
	tell("regrets", bought("tray-black")...)
	if got := sold(); got != "crayons" {
		t.Errorf("of one who refused: sold %q", got)
	}
	if _, err := r.edge.SubjectEvents("nobody", "jane", nil); err == nil {
		t.Error("events of a tenant that there is not")
	}
	if log := r.log.String(); strings.Contains(log, "regrets") {
		t.Errorf("the log names a subject:\n%s", log)
	}
}

func TestSubjectEventsWithout(t *testing.T) {
	r, _ := known(t)
	if _, err := r.edge.SubjectEvents("shop", "jane", bought("x")); !errors.Is(err, control.ErrNoCatalogue) {
		t.Errorf("without a catalogue: %v", err)
	}
	r = newRig(t, html(page), offering(house(t)))
	if _, err := r.edge.SubjectEvents("shop", "jane", bought("x")); !errors.Is(err, control.ErrSubjectsAway) {
		t.Errorf("without subjects: %v", err)
	}
}

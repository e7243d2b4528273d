package edge

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// reasons returns what the privacy centre's API says of the last page.
func (v *visitor) reasons() []string {
	v.rig.t.Helper()
	_, body := v.get("/_bespoke/api/profile")
	var p struct{ Why []string }
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		v.rig.t.Fatal(err)
	}
	return p.Why
}

func TestWhy(t *testing.T) {
	greet := abi.Edit{Op: abi.OpText, Target: "#greeting", A: "x"}
	why := func(s string) abi.Edit { return abi.Edit{Op: abi.OpWhy, A: s} }
	r := withPolicy(t, html(page), emitter([]abi.Edit{
		why("replaced"), why("You are near <here>"), greet, greet, why("Зачем"), greet, why("You are near <here>"), greet,
		why(""), why(" "), why("a\nb"), why("\xff"), why(strings.Repeat("a", 201)), why("for nothing"),
	}))
	v := r.visitor(sanFrancisco)
	resp, body := v.get("/", document...)
	if !strings.Contains(body, `<p id="greeting">x</p>`) {
		t.Fatalf("the test shows nothing:\n%s", body)
	}
	cs := resp.Cookies()
	if len(cs) != 1 || cs[0].Name != "bespoke-why" || cs[0].MaxAge != 0 || !cs[0].Expires.IsZero() || !cs[0].HttpOnly || strings.Contains(cs[0].Value, "near") {
		t.Errorf("cookies %v", cs)
	}
	want := []string{"You are near <here>", "Зачем"}
	if got := v.reasons(); !slices.Equal(got, want) {
		t.Errorf("reasons %q, want %q", got, want)
	}
	if _, body := v.get("/_bespoke/privacy"); !strings.Contains(body, "You are near &lt;here&gt;") {
		t.Errorf("the centre does not show them:\n%s", body)
	}
	if resp, _ := v.get("/", "Sec-Fetch-Dest", "iframe"); len(resp.Cookies()) > 0 {
		t.Errorf("for a part of a page: %v", resp.Cookies())
	}
	old := v.cookie("bespoke-why")
	v.choose("personalize=on")
	if c := v.cookie("bespoke-why"); c != nil {
		t.Error("kept beyond a choice")
	}
	// Of a page that comes after the withdrawal.
	for name, header := range map[string][]string{
		"a withdrawal": {"Cookie", "bespoke-why=" + old.Value}, "another's": {"Cookie", "bespoke-why=" + old.Value + "x"},
	} {
		if _, body := v.get("/_bespoke/api/profile", header...); strings.Contains(body, "near") {
			t.Errorf("after %s: %s", name, body)
		}
	}
	for name, w := range map[string]*visitor{"GPC": r.visitor(sanFrancisco, "Sec-GPC", "1"), "opt-in": r.visitor(berlin), "refused": r.visitor(sanFrancisco)} {
		if name == "refused" {
			w.choose("action=refuse-all")
		}
		resp, _ := w.get("/", document...)
		if w.cookie("bespoke-why") != nil {
			t.Errorf("%s: %v", name, resp.Cookies())
		}
	}
}

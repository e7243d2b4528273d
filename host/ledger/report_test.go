package ledger

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

func TestReport(t *testing.T) {
	dir := recorded(t)
	made := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	r, err := MakeReport(dir, Period{From: plainStart, To: plainStart.Add(2 * time.Hour)}, VerifyOptions{}, made)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || !strings.HasPrefix(r.Answer, "Yes: at all 24 of 60 exchanges") || len(r.Summary.Series) != 3 {
		t.Errorf("%s, %d points", r.Answer, len(r.Summary.Series))
	}
	s, err := Summarize(dir, Period{From: plainStart, To: plainStart.Add(2 * time.Hour), Bucket: time.Hour})
	if err != nil || !sameJSON(t, s, r.Summary) {
		t.Errorf("a report counts otherwise than a summary: %v\n%+v\n%+v", err, s, r.Summary)
	}
	page := htmlOf(t, r)
	for _, want := range []string{"Yes: at all 24", "failed fuel 6", "01020300000000000000000000000000", "place-cell", "withdrawal", r.Verified.Root[:20], "<svg", "--since"} {
		if !strings.Contains(page, strings.ReplaceAll(want, "+", "&#43;")) { // as html/template writes it
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, never := range []string{"<script", "src=", "href=", "url(", "ZgotmplZ"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if _, err := html.Parse(strings.NewReader(page)); err != nil {
		t.Error(err)
	}
}

func htmlOf(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReportAnswers(t *testing.T) {
	at := plainStart
	refused := &Decision{Purposes: []PurposeDecision{{"personalize", false, "gpc", "sec-gpc"}}}
	allowed := &Decision{Purposes: []PurposeDecision{{"personalize", true, "choice", "choice"}}}
	for want, x := range map[string]*Exchange{
		"Yes: at all 1 of 1 exchange": {Decision: refused},
		"Nobody refused":              {Decision: allowed},
		"No: 1 exchange of 1":         {Decision: refused, Policies: []Policy{{Name: "<b>bad</b>", Reads: Reads{Given: []string{"profile.recent"}}}}},
	} {
		p := newPlain(t)
		x.Time = at
		p.seal(at, x.AppendJSON(nil))
		r, err := MakeReport(p.dir, Period{}, VerifyOptions{Key: []byte(p.pub), Since: p.signed(1)}, at)
		if err != nil || !strings.HasPrefix(r.Answer, want) || r.OK() != (want[0] != 'N' || want[1] == 'o' && want[2] == 'b') {
			t.Errorf("want %q, got %q %v", want, r.Answer, err)
		}
		if page := htmlOf(t, r); strings.Contains(page, "<b>bad") || strings.Contains(page, "whose key it is") {
			t.Error("text of a record is markup of the page")
		}
	}
	p := newPlain(t)
	p.fill(2, 1)
	if r, err := MakeReport(p.dir, Period{From: at.AddDate(0, 0, 1), To: at.AddDate(0, 0, 2)}, VerifyOptions{}, at); err != nil || !strings.Contains(r.Answer, "no exchange in this period") || r.Verified.Checked == 0 {
		t.Errorf("%+v %v", r, err)
	}
	p.write(segmentsName+"/"+segmentFile(at), []byte("x"))
	r, err := MakeReport(p.dir, Period{}, VerifyOptions{}, at)
	if err != nil || r.OK() || !strings.HasPrefix(r.Answer, "No answer: the ledger is not what was sealed") || !strings.Contains(htmlOf(t, r), "segment 0, records 0 to 1") {
		t.Errorf("%q %v", r.Answer, err)
	}
}

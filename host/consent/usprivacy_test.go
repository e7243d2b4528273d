package consent

import (
	"errors"
	"strings"
	"testing"
)

func TestUSPrivacy(t *testing.T) {
	for _, c := range []struct {
		text string
		want usPrivacy
		err  error
	}{
		// "US Privacy String", version 1.0, "Examples".
		{"1YNN", usPrivacy{'Y', 'N', 'N'}, nil},
		{"1NYY", usPrivacy{'N', 'Y', 'Y'}, nil},
		{"1---", usPrivacy{'-', '-', '-'}, nil},
		{"1-Y-", usPrivacy{'-', 'Y', '-'}, nil},

		{"1-N-", usPrivacy{'-', 'N', '-'}, nil},
		{"1YYY", usPrivacy{'Y', 'Y', 'Y'}, nil},
		{"", usPrivacy{}, errEmpty},
		{"1", usPrivacy{}, errTruncated},
		{"1YN", usPrivacy{}, errTruncated},
		{"1YNNN", usPrivacy{}, errPadding},
		{"1YNN ", usPrivacy{}, errPadding},
		{"2YNN", usPrivacy{}, errVersion},
		{"YYNN", usPrivacy{}, errVersion},
		{"1YXN", usPrivacy{}, errValue},
		{"1yyn", usPrivacy{}, errValue},
		{"1Y-N", usPrivacy{}, errValue}, // "Opt-Out of Sale may never be unknown"
		{"1--N", usPrivacy{}, errValue},
		{"1Y--", usPrivacy{}, errValue},
		{strings.Repeat("1", maxSignal+1), usPrivacy{}, errPadding},
	} {
		got, err := parseUSPrivacy([]byte(c.text))
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%.10q: %v, %v; want %v, %v", c.text, got, err, c.want, c.err)
		}
	}
}

// FuzzUSPrivacy: what is taken is exactly what the string says.
func FuzzUSPrivacy(f *testing.F) {
	for _, s := range []string{"1YNN", "1NYY", "1---", "1-Y-", "1", "2YNN"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		v, err := parseUSPrivacy(s)
		if err != nil {
			if v != (usPrivacy{}) {
				t.Fatalf("%q: refused with %v", s, v)
			}
			return
		}
		if back := string([]byte{'1', v.notice, v.saleOptOut, v.lspa}); back != string(s) {
			t.Fatalf("%q: read as %q", s, back)
		}
	})
}

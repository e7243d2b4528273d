package watch

import "testing"

// The good ones are those of W3C Trace Context, 3.2 and 4.3.
func TestParseParent(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	p := ParseParent([]byte(good))
	if !p.Known() || !p.Sampled || p.Trace[0] != 0x0a || p.Trace[15] != 0x9c || p.Span[0] != 0xb7 || p.Span[7] != 0x31 {
		t.Errorf("%+v", p)
	}
	if p := ParseParent([]byte("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-what-the-future-will-be")); !p.Known() || p.Sampled {
		t.Errorf("a later version: %+v", p)
	}
	for _, bad := range []string{
		"", "00", good[:54], good + "-x", good + "x", "ff" + good[2:], "0g" + good[2:], "00_" + good[3:],
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00.x",
	} {
		if p := ParseParent([]byte(bad)); p != (Parent{}) {
			t.Errorf("%q: %+v", bad, p)
		}
	}
}

func FuzzParseParent(f *testing.F) {
	f.Add([]byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := ParseParent(b)
		if !p.Known() && p != (Parent{}) {
			t.Errorf("%q: half a parent", b)
		}
		if p.Known() && b[0] == '0' && b[1] == '0' {
			tr := Trace{ID: p.Trace, Origin: p.Span}
			if got := string(tr.AppendParent(nil)); got[:53] != string(b[:53]) {
				t.Errorf("%q became %q", b, got)
			}
		}
	})
}

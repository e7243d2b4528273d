package registry

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzIndex reads arbitrary text as an index. What is accepted is sound, is
// written, and reads back the same; and every change to it is sound, too.
func FuzzIndex(f *testing.F) {
	_, r, err := scenario{before: func(r *Registry) {
		r.Stage("stores", "welcome", 2, Canary, 10)
		r.Upload("stores", "river", binary("3"), "a note")
		r.Activate("stores", "river", 1)
		r.Retire("stores", "river", 1)
	}}.prepare(nil)
	if err != nil {
		f.Fatal(err)
	}
	data, err := r.tenant("stores").now.Load().encode()
	if err != nil {
		f.Fatal(err)
	}
	body := data[bytes.Index(data, []byte(`{"tenant"`)) : len(data)-2]
	f.Add(body)
	f.Add(data)
	f.Add([]byte(`{"tenant":"stores","epoch":0,"policies":[]}`))
	f.Add([]byte(`{"tenant":"stores","epoch":1,"policies":[null]}`))
	f.Add(bytes.Replace(body, []byte(`"active"`), []byte(`"staged"`), 1))
	f.Add(bytes.Replace(body, []byte(`"number":2`), []byte(`"number":1`), 1))
	f.Add(bytes.Replace(body, []byte(`"permille":10`), []byte(`"permille":1001`), 1))
	f.Fuzz(func(t *testing.T, text []byte) {
		if ix, err := decodeIndex(text, "stores"); err == nil {
			roundTrip(t, ix)
		}
		ix, err := decodeBody(text, "stores") // past the digest, which fuzzing never meets
		if err != nil {
			return
		}
		roundTrip(t, ix)
		if len(text) > 4<<10 {
			return // the loop below is quadratic
		}
		for _, p := range ix.Policies {
			for _, v := range p.Versions {
				for _, edit := range []func(*Policy, *Version){
					func(p *Policy, v *Version) { p.unstage() },
					func(p *Policy, v *Version) {
						if v.State != Uploaded && v.State != Active {
							p.activate(v)
						}
					},
					func(p *Policy, v *Version) {
						if v.State == Retired || v.State == Uploaded {
							p.remove(v.Number)
						}
					},
				} {
					q := p.clone()
					edit(q, q.at(v.Number))
					if err := ix.with(q).check(); err != nil {
						t.Fatalf("a change to %s@%d: %v", p.Name, v.Number, err)
					}
				}
			}
		}
	})
}

func roundTrip(t *testing.T, ix *index) {
	first, err := ix.encode()
	if errors.Is(err, ErrLimit) {
		return
	}
	if err != nil {
		t.Fatalf("it was accepted, and cannot be written: %v", err)
	}
	again, err := decodeIndex(first, "stores")
	if err != nil {
		t.Fatalf("what was written is not accepted: %v", err)
	}
	second, err := again.encode()
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("%v: written\n%s\nthen\n%s", err, first, second)
	}
}

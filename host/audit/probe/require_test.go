package probe

import "testing"

// What visitors set for themselves may show, and where it is required it must.
func TestDeclaredRequired(t *testing.T) {
	for _, c := range []struct {
		heeded  bool
		require []string
		want    string
	}{{true, []string{Declared}, Equal}, {false, []string{Declared}, NoPower}, {false, nil, Equal}} {
		r := &Report{require: c.require, Dimensions: []Dimension{{Name: Place, Power: true}, {Name: Declared, Declared: true, Power: c.heeded}}}
		if r.settle(); r.Verdict != c.want {
			t.Errorf("heeded %v, required %q: the verdict is %q, want %q", c.heeded, c.require, r.Verdict, c.want)
		}
	}
}

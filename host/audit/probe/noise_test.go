package probe

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Sites that vary by themselves: what identical visitors get is learned, hidden where
// that is sound and tested where it is not. An honest one passes, a leak is found
// beside the noise.
func TestSitesThatVary(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6)) // pairs ask one after the other
	nonce := func(w http.ResponseWriter) {
		n := fmt.Sprintf("%016x", random.Uint64())
		w.Header().Set("Content-Security-Policy", "script-src 'nonce-"+n+"'")
		fmt.Fprintf(w, "<script nonce=%s></script>", n)
	}
	adverts := func(w http.ResponseWriter) {
		for range random.IntN(6) {
			fmt.Fprintf(w, "<i>%d</i>", random.IntN(4))
		}
	}
	clock := func(w http.ResponseWriter) { fmt.Fprintf(w, "<time>%d</time>", time.Now().UnixNano()) }
	place := func(w http.ResponseWriter, r *http.Request, _ string) {
		fmt.Fprintf(w, "<b>near <u>%s</u></b><em>ten</em><em>stores</em>", strings.ReplaceAll(r.Header.Get("X-Forwarded-For"), ".", "x"))
	}
	for name, vary := range map[string]func(http.ResponseWriter){"nonce": nonce, "clock": clock, "adverts": adverts} {
		t.Run(name, func(t *testing.T) {
			change := func(c *Config) { c.Dimensions, c.Pairs = []string{Place}, 40 }
			r := probing(t, planted{vary: vary}, change)
			if d := find(t, r, Place); r.Verdict != Equal || !d.Power || d.Refuse[0].Test == nil || len(r.Noise) == 0 {
				t.Errorf("honest: %s", text(r))
			}
			r = probing(t, planted{vary: vary, leak: place}, change)
			if r.Verdict != Differs {
				t.Errorf("leaky: %s", text(r))
			}
		})
	}
}

// A test that makes too much of noise would find something on one in a hundred honest
// sites or more.
func TestFalseAlarms(t *testing.T) {
	found := 0
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		differ, same := make([]int, 10), make([]int, 5)
		for i := range differ {
			differ[i] = random.IntN(6)
		}
		for i := range same {
			same[i] = random.IntN(6)
		}
		if permute(differ, same, random).P <= 0.01 {
			found++
		}
	}
	if found > 40 { // 20 are expected, 40 are more than four standard deviations away
		t.Errorf("%d of 2000 tests at the level 0.01 found a difference where there was none", found)
	}
}

func TestPermute(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		differ, same []int
		p            float64
		method       string
	}{
		{[]int{1, 1, 1}, []int{0, 0, 0}, 1.0 / 20, exactly},
		{[]int{0, 0, 0}, []int{1, 1, 1}, 1, exactly},
		{[]int{2, 0}, []int{1, 0}, 3.0 / 6, exactly}, // by hand: ranks 4, 1.5, 3, 1.5; three of the six sums of two are at least 5.5
		{[]int{5}, nil, 1, "none: there are not pairs of both kinds"},
	} {
		if got := permute(c.differ, c.same, random); got.P != c.p || got.Method != c.method {
			t.Errorf("%v %v: %+v, want p %v", c.differ, c.same, got, c.p)
		}
	}
	differ, same := make([]int, 30), make([]int, 15)
	for i := range differ {
		differ[i] = 1
	}
	if got := permute(differ, same, random); got.Method != sampling || got.P != 1.0/(draws+1) {
		t.Errorf("%+v", got)
	}
}

// A page that changes once for everybody is no leak.
func TestDrift(t *testing.T) {
	var n atomic.Int64
	version := func(w http.ResponseWriter) { fmt.Fprintf(w, "version %d", n.Add(1)/180) }
	r := probing(t, planted{vary: version}, func(c *Config) { c.Dimensions, c.Ways, c.Pairs = []string{Place}, []string{ByGPC}, 40 })
	if r.Verdict != Equal {
		t.Error(text(r))
	}
	if n.Load() < 200 {
		t.Errorf("only %d answers: the page did not change in the middle", n.Load())
	}
	for series, want := range map[string]bool{"aaaabbbb": true, "aaaa": false, "aaaabaaaabbbb": false, "abababab": false, "aaabbbbb": false, "aaaabbbbcccc": false} {
		var list [][32]byte
		for _, c := range []byte(series) {
			list = append(list, [32]byte{c})
		}
		if drifts(list) != want {
			t.Errorf("%s: %v", series, !want)
		}
	}
}

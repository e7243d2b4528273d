package probe

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// A Test is a permutation test of whether pairs that differ in personal data are
// farther apart than pairs of identical visitors. Which slots of the run were for
// which was drawn at random, so that without an effect every assignment of the kinds
// to the distances was equally likely. The statistic is the sum of the midranks of
// the distances of the pairs that differ, one-sided.
type Test struct {
	Method string  `json:"method"`
	Pairs  int     `json:"pairs"` // that differ in personal data
	Same   int     `json:"same"`  // of identical visitors
	Draws  int     `json:"draws"` // assignments looked at
	P      float64 `json:"p"`
	Least  float64 `json:"least"` // the smallest p that so many pairs can give
}

const (
	exactLimit = 200_000 // assignments that are all looked at
	draws      = 99_999  // else so many at random
)

const (
	exactly  = "exact permutation test of the kinds of pairs, on midranks of distances"
	sampling = "Monte Carlo permutation test of the kinds of pairs, on midranks of distances, p = (b+1)/(m+1)"
)

// permute tests the distances of pairs that differ against those of pairs that are
// the same. A p from random assignments is (b+1)/(m+1), never 0 (B. Phipson,
// G. K. Smyth, Permutation P-values Should Never Be Zero, Statistical Applications
// in Genetics and Molecular Biology 9 (1), 2010, article 39).
func permute(differ, same []int, r *rand.Rand) Test {
	t := Test{Pairs: len(differ), Same: len(same), P: 1, Least: 1}
	n, k := len(differ)+len(same), len(differ)
	if k == 0 || k == n {
		t.Method = "none: there are not pairs of both kinds"
		return t
	}
	ranks := midranks(slices.Concat(differ, same))
	seen := 0
	for _, v := range ranks[:k] {
		seen += v
	}
	total := choose(n, k, exactLimit)
	t.Least = 1 / float64(choose(n, k, 1<<50))
	if total <= exactLimit {
		t.Method, t.Draws = exactly, total
		at := 0
		combine(ranks, k, 0, func(sum int) {
			if sum >= seen {
				at++
			}
		})
		t.P = float64(at) / float64(total)
		return t
	}
	t.Method, t.Draws = sampling, draws
	t.Least = max(t.Least, 1/float64(draws+1))
	at := 0
	for range draws {
		sum := 0
		for i := range k { // the first k of a shuffle
			j := i + r.IntN(n-i)
			ranks[i], ranks[j] = ranks[j], ranks[i]
			sum += ranks[i]
		}
		if sum >= seen {
			at++
		}
	}
	t.P = float64(at+1) / float64(draws+1)
	return t
}

// midranks returns twice the rank of each value, equal values sharing their mean.
func midranks(values []int) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	ranks := make([]int, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for _, at := range order[i:j] {
			ranks[at] = i + j + 1
		}
		i = j
	}
	return ranks
}

// choose returns n over k, or more than limit where it is.
func choose(n, k, limit int) int {
	k = min(k, n-k)
	c := 1
	for i := 1; i <= k; i++ {
		c = c * (n - k + i) / i
		if c > limit {
			return limit + 1
		}
	}
	return c
}

// combine calls each with the sum of every choice of k ranks.
func combine(ranks []int, k, sum int, each func(int)) {
	if k == 0 {
		each(sum)
		return
	}
	for i := 0; i+k <= len(ranks); i++ {
		combine(ranks[i+1:], k-1, sum+ranks[i], each)
	}
}

// drifts reports whether a series of answers, by time, is explained by a page that
// changed a few times for everybody: few runs of equal answers, all of them long.
// What depends on the visitor comes and goes with the visitors, who come in a random
// order.
func drifts(series [][32]byte) bool {
	const long = 4
	runs := 0
	for i := 0; i < len(series); {
		j := i
		for j < len(series) && series[j] == series[i] {
			j++
		}
		if j-i < long {
			return false
		}
		runs++
		i = j
	}
	return runs > 1 && runs <= 2+len(series)/40
}

package eval

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// A shop makes sessions as a shop has them: departments of which some are visited
// much more than others; in each, items that lead to each other; visitors who go
// on, look around, come back to what they saw, or leave for another department.
// What is new each day is in demand for some days.
type shop struct {
	rng     *rand.Rand
	items   int
	depart  []int     // department of each item
	members [][]int   // by department
	links   [][]int   // of each item, the likeliest first
	weight  []float64 // of each item in its department
	peak    []float64 // day at which an item is in demand
}

// A taste is what a shop's visitors are like.
type taste struct {
	Follow, Around, Return, Leave float64 // the rest of 1 is anything popular
	Length                        float64 // chance to go on after each item
	Links                         int
	LinkDecay                     float64
	Zipf                          float64
	Days                          float64 // for which an item is in demand
}

// Tastes whose figures are near those that a public click sample gave (popularity
// .07/.02, co-visitation .58/.26, sessions .58/.25): followers go where items lead,
// browsers look around in a department, and fashion changes from day to day.
var (
	usual     = taste{Follow: 0.50, Around: 0.16, Return: 0.17, Leave: 0.05, Length: 0.74, Links: 14, LinkDecay: 0.62, Zipf: 0.9, Days: 25}
	followers = taste{Follow: 0.65, Around: 0.16, Return: 0.10, Leave: 0.05, Length: 0.74, Links: 14, LinkDecay: 0.55, Zipf: 0.9, Days: 25}
	browsers  = taste{Follow: 0.25, Around: 0.42, Return: 0.17, Leave: 0.05, Length: 0.74, Links: 14, LinkDecay: 0.62, Zipf: 0.9, Days: 25}
	fashion   = taste{Follow: 0.45, Around: 0.16, Return: 0.25, Leave: 0.05, Length: 0.74, Links: 14, LinkDecay: 0.62, Zipf: 0.9, Days: 4}
)

func newShop(seed uint64, items, departments int, t taste) *shop {
	s := &shop{rng: rand.New(rand.NewPCG(seed, 1)), items: items, members: make([][]int, departments)}
	s.depart, s.weight, s.peak = make([]int, items), make([]float64, items), make([]float64, items)
	for i := range items {
		d := s.zipf(departments, 0.7)
		s.depart[i] = d
		s.members[d] = append(s.members[d], i)
		s.weight[i] = math.Pow(float64(1+s.rng.IntN(items/8)), -t.Zipf)
		s.peak[i] = s.rng.Float64()*80 - 20
	}
	s.links = make([][]int, items)
	for i := range items {
		own := s.members[s.depart[i]]
		for range t.Links {
			to := own[s.rng.IntN(len(own))]
			if s.rng.Float64() < 0.1 {
				to = s.rng.IntN(items)
			}
			if to != i && !slices.Contains(s.links[i], to) {
				s.links[i] = append(s.links[i], to)
				if s.rng.Float64() < 0.6 {
					s.links[to] = append(s.links[to], i)
				}
			}
		}
		s.rng.Shuffle(len(s.links[i]), func(a, b int) { s.links[i][a], s.links[i][b] = s.links[i][b], s.links[i][a] })
	}
	return s
}

func (s *shop) zipf(n int, a float64) int {
	for {
		k := s.rng.IntN(n)
		if s.rng.Float64() < math.Pow(float64(k+1), -a) {
			return k
		}
	}
}

// pick takes one of a list by how much it is in demand on a day.
func (s *shop) pick(list []int, day float64, t taste) int {
	for {
		i := list[s.rng.IntN(len(list))]
		if s.rng.Float64() < s.weight[i]*math.Exp(-math.Abs(day-s.peak[i])/t.Days)*4 {
			return i
		}
	}
}

func (s *shop) walk(day float64, t taste) []int {
	at := s.pick(s.members[s.depart[s.rng.IntN(s.items)]], day, t)
	path := []int{at}
	for len(path) < 2 || s.rng.Float64() < t.Length && len(path) < 60 {
		next, x := at, s.rng.Float64()
		switch {
		case x < t.Follow:
			k := 0
			for s.rng.Float64() < t.LinkDecay && k < len(s.links[at])-1 {
				k++
			}
			if len(s.links[at]) > 0 {
				next = s.links[at][k]
			}
		case x < t.Follow+t.Around:
			next = s.pick(s.members[s.depart[at]], day, t)
		case x < t.Follow+t.Around+t.Return:
			// Back to what was seen, the newer the likelier; from there on again.
			k := len(path) - 1
			for k > 0 && s.rng.Float64() < 0.6 {
				k--
			}
			next = path[k]
		case x < t.Follow+t.Around+t.Return+t.Leave:
			next = s.pick(s.members[s.depart[s.rng.IntN(s.items)]], day, t)
		default:
			next = s.pick(s.members[s.zipf(len(s.members), 0.9)], day, t)
		}
		if next != at {
			at = next
			path = append(path, at)
		}
	}
	return path
}

// log writes sessions over some days as lines of session, item, Unix seconds.
func (s *shop) log(events int, days float64, t taste) []byte {
	var b bytes.Buffer
	const begin = 1_700_000_000
	type row struct {
		at            float64
		session, item int
	}
	var rows []row
	for session := 0; len(rows) < events; session++ {
		day := s.rng.Float64() * days
		at := begin + day*86400
		for _, item := range s.walk(day, t) {
			rows = append(rows, row{at, session, item})
			at += 5 + s.rng.ExpFloat64()*60
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return int(math.Copysign(1, a.at-b.at)) })
	b.WriteString("session\titem\ttime\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "s%d\titem-%d\t%d\n", r.session, r.item, int64(r.at))
	}
	return b.Bytes()
}

// split makes a log of a shop and cuts it.
func split(t testing.TB, seed uint64, items, departments, events int, days float64, v taste) *Split {
	t.Helper()
	l, err := Read(bytes.NewReader(newShop(seed, items, departments, v).log(events, days, v)), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Split(1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

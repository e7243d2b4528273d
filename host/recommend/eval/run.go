package eval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"time"

	"bespoke/host/recommend"
)

// listLen is how many items are shown for each guess.
const listLen = 20

// A Row is how one way of guessing did.
type Row struct {
	Name       string  `json:"name"`
	HR         float64 `json:"hr20"`     // part of the guesses with the next item among the 20
	MRR        float64 `json:"mrr20"`    // mean of 1/rank of the next item, 0 where it is not among the 20
	Coverage   float64 `json:"coverage"` // part of the learned items that were ever shown
	Popularity float64 `json:"popularity"`
	P50        float64 `json:"predict_p50_us"`
	P99        float64 `json:"predict_p99_us"`
}

// A Report is what an evaluation found.
type Report struct {
	TrainEvents   int     `json:"train_events"`
	TrainSessions int     `json:"train_sessions"`
	TrainItems    int     `json:"train_items"`
	TestSessions  int     `json:"test_sessions"`
	Predictions   int     `json:"predictions"`
	Support       int     `json:"support"` // of the last row
	Rows          []Row   `json:"rows"`
	UpdateP50     float64 `json:"update_p50_us"` // of one event, which is all that a visitor's request waits for
	UpdateP99     float64 `json:"update_p99_us"`
	LearnP50      float64 `json:"learn_p50_us"` // of one session that closed, in the background
	LearnP99      float64 `json:"learn_p99_us"`
	UpdateMean    float64 `json:"update_mean_us"` // of one event, with its part of learning its session
	Memory        uint64  `json:"memory_bytes"`   // of heap after learning, catalogue and all
}

// A way of guessing; popularity has no weights.
type way struct {
	name    string
	weights *recommend.Weights
	support int
}

// ways are the rows: parts of what the product does, then all of it. Support is left
// out where methods are compared, as the field compares them.
func ways(w recommend.Weights, support int) []way {
	pairs, sessions, mixed := w, w, w
	pairs.Sessions, pairs.Own = 0, 0
	sessions.Pairs, sessions.Own = 0, 0
	mixed.Own = 0
	return []way{
		{"popularity", nil, 1},
		{"co-visitation", &pairs, 1},
		{"vmis-knn", &sessions, 1},
		{"mixed", &mixed, 1},
		{"mixed+recents", &w, 1},
		{fmt.Sprintf("mixed+recents, support %d", support), &w, support},
	}
}

// Options of an evaluation.
type Options struct {
	Support  int                // of the last row; 5 if 0
	Weights  *recommend.Weights // the product's if nil
	Progress func(text string)  // may be nil
}

// Run learns and guesses.
func Run(s *Split, o Options) (*Report, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Support == 0 {
		o.Support = 5
	}
	w := recommend.DefaultWeights()
	if o.Weights != nil {
		w = *o.Weights
	}
	before := heap()
	r, err := recommend.Open("", recommend.Options{Manual: true, Support: o.Support, KeptSessions: max(1<<17, min(len(s.train), 1<<22))})
	if err != nil {
		return nil, err
	}
	e := &evaluation{split: s, r: r, progress: o.Progress}
	if err := e.catalogue(); err != nil {
		return nil, err
	}
	rep := &Report{
		TrainEvents: s.trainEvents, TrainSessions: len(s.train), TrainItems: s.trainItems,
		TestSessions: len(s.test), Predictions: s.predictions, Support: o.Support,
	}
	updates, learned := e.learn()
	rep.UpdateP50, rep.UpdateP99 = quantile(updates, 0.5), quantile(updates, 0.99)
	rep.LearnP50, rep.LearnP99 = quantile(learned, 0.5), quantile(learned, 0.99)
	rep.UpdateMean = (total(updates) + total(learned)) / float64(len(updates))
	updates, learned = nil, nil
	rep.Memory = heap() - min(before, heap())
	for _, m := range ways(w, o.Support) {
		o.Progress("guessing: " + m.name)
		rep.Rows = append(rep.Rows, e.guess(m))
	}
	return rep, r.Close()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

type evaluation struct {
	split    *Split
	r        *recommend.Recommender
	numbers  []uint32 // of the log's items in the catalogue, 0 for those not learned
	seen     map[uint32]int
	most     int // events of the item with the most
	progress func(string)
}

// catalogue makes one of the items that are learned.
func (e *evaluation) catalogue() error {
	e.seen = map[uint32]int{}
	for _, s := range e.split.train {
		for _, item := range s.items {
			e.seen[item]++
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i, name := range e.split.items {
		if n := e.seen[uint32(i)]; n > 0 {
			e.most = max(e.most, n)
			if err := enc.Encode(map[string]string{"id": name}); err != nil {
				return err
			}
		}
	}
	if err := e.r.Load(&b, nil); err != nil {
		return err
	}
	c := e.r.Catalogue()
	e.numbers = make([]uint32, len(e.split.items))
	for i, name := range e.split.items {
		e.numbers[i], _ = c.Number(name)
	}
	return nil
}

// learn plays the sessions as they happened, each until it closes.
func (e *evaluation) learn() (updates, learned []time.Duration) {
	updates = make([]time.Duration, 0, e.split.trainEvents)
	told := int64(0)
	for i, s := range e.split.train {
		if i%10_000 == 0 {
			e.progress(fmt.Sprintf("learning: %d of %d sessions", i, len(e.split.train)))
		}
		if end := s.end() / 1000; end-told >= 60 {
			told = end
			e.r.Advance(time.Unix(end, 0))
		}
		key := uint64(i) + 1
		for _, item := range s.items {
			begin := time.Now()
			e.r.Event(recommend.Event{Kind: recommend.View, Item: e.numbers[item], Session: key})
			updates = append(updates, time.Since(begin))
		}
		begin := time.Now()
		e.r.CloseSession(key, false)
		e.r.Learn()
		learned = append(learned, time.Since(begin))
	}
	if n := len(e.split.train); n > 0 {
		e.r.Advance(time.Unix(e.split.train[n-1].end()/1000, 0))
	}
	return updates, learned
}

// total gives microseconds.
func total(list []time.Duration) (sum float64) {
	for _, d := range list {
		sum += float64(d.Nanoseconds()) / 1000
	}
	return sum
}

// guess goes through the test sessions, guessing each next item.
func (e *evaluation) guess(m way) Row {
	row := Row{Name: m.name}
	times := make([]time.Duration, 0, e.split.predictions)
	shown := map[uint32]bool{}
	popular := make(map[uint32]float64, len(e.seen))
	for item, n := range e.seen {
		popular[e.numbers[item]] = float64(n) / float64(e.most)
	}
	picks := make([]recommend.Pick, 0, listLen)
	trail := make([]uint32, 0, 64)
	lists := 0
	for _, s := range e.split.test {
		for i := 1; i < len(s.items); i++ {
			trail = trail[:0]
			for j := i - 1; j >= 0; j-- {
				trail = append(trail, e.numbers[s.items[j]])
			}
			q := recommend.Query{N: listLen, Item: trail[0], Trail: trail[1:]}
			begin := time.Now()
			if m.weights == nil {
				picks = e.r.AppendBand(picks[:0], recommend.BestSellers, &q)
			} else {
				picks = e.r.Predict(picks[:0], &q, m.weights, m.support)
			}
			times = append(times, time.Since(begin))
			next := e.numbers[s.items[i]]
			for k, p := range picks {
				shown[p.Item] = true
				row.Popularity += popular[p.Item]
				lists++
				if p.Item == next {
					row.HR++
					row.MRR += 1 / float64(k+1)
				}
			}
		}
	}
	n := float64(e.split.predictions)
	row.HR, row.MRR = row.HR/n, row.MRR/n
	row.Coverage = float64(len(shown)) / float64(e.split.trainItems)
	row.Popularity /= float64(max(lists, 1))
	row.P50, row.P99 = quantile(times, 0.5), quantile(times, 0.99)
	return row
}

// quantile sorts, and gives microseconds.
func quantile(d []time.Duration, q float64) float64 {
	slices.Sort(d)
	return float64(d[int(q*float64(len(d)-1))].Nanoseconds()) / 1000
}

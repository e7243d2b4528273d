package recommend

// Bounds of what one visitor says in a day.
const (
	daySessions = 8   // sessions that are kept for "for you"
	dayItems    = 200 // items, in all sessions together
	maxVisitors = 1 << 17
	maxSaid     = 1 << 19
)

// A flood sees that a visitor counts once: what a visitor said of an item today is
// not heard again. It forgets when a day ends, and the older half of what it knows
// when there is too much of it: its memory is bounded, whoever comes.
type flood struct {
	seed     uint64
	day      uint32
	said     [2]map[uint64]struct{} // hashes of visitor, item and kind; new and old
	visitors [2]map[uint64]dayCount
}

type dayCount struct{ sessions, items uint16 }

func newFlood(seed uint64) *flood {
	f := &flood{seed: seed}
	f.clear()
	return f
}

func (f *flood) clear() {
	for i := range f.said {
		f.said[i] = map[uint64]struct{}{}
		f.visitors[i] = map[uint64]dayCount{}
	}
}

// begin turns to the day of a time in logical seconds.
func (f *flood) begin(now uint32) {
	if day := now / 86400; day != f.day {
		f.day = day
		f.clear()
	}
}

func (f *flood) count(visitor uint64) dayCount {
	if c, ok := f.visitors[0][visitor]; ok {
		return c
	}
	return f.visitors[1][visitor]
}

func (f *flood) setCount(visitor uint64, c dayCount) {
	if len(f.visitors[0]) >= maxVisitors/2 {
		f.visitors[0], f.visitors[1] = map[uint64]dayCount{}, f.visitors[0]
	}
	f.visitors[0][visitor] = c
}

// first says whether a visitor says something of an item for the first time today,
// and may still be heard. It notes that it was said.
func (f *flood) first(visitor uint64, item uint32, kind Kind, c *dayCount) bool {
	key := mix(visitor ^ mix(uint64(item)<<8|uint64(kind)^f.seed))
	for i := range f.said {
		if _, ok := f.said[i][key]; ok {
			return false
		}
	}
	if c.items >= dayItems {
		return false
	}
	if len(f.said[0]) >= maxSaid/2 {
		f.said[0], f.said[1] = map[uint64]struct{}{}, f.said[0]
	}
	f.said[0][key] = struct{}{}
	c.items++
	return true
}

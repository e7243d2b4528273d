package profile

import "time"

// An Item is an item of the catalogue, and when the visitor met it last.
type Item struct {
	Number uint32
	Minute uint32 // since 1970, UTC
}

// Time returns the minute.
func (i Item) Time() time.Time { return minute(i.Minute).time() }

// items are the newest first, each number once. What is beyond n is zero, so that
// == compares.
type items struct {
	n    uint8
	list [MaxRecent]Item
}

func (l *items) all() []Item { return l.list[:l.n:l.n] }

func (l *items) find(number uint32) int {
	for i, it := range l.all() {
		if it.Number == number {
			return i
		}
	}
	return -1
}

// since reports whether the visitor met the item a moment before now.
func (l *items) since(number uint32, now minute) bool {
	i := l.find(number)
	return i >= 0 && now-minute(l.list[i].Minute) < again
}

// put puts an item first. It is not older than the others.
func (l *items) put(it Item) {
	i := l.find(it.Number)
	switch {
	case i >= 0:
	case int(l.n) == len(l.list):
		i = len(l.list) - 1
	default:
		i = int(l.n)
		l.n++
	}
	copy(l.list[1:i+1], l.list[:i])
	l.list[0] = it
}

func (l *items) drop(number uint32) {
	if i := l.find(number); i >= 0 {
		copy(l.list[i:l.n], l.list[i+1:l.n])
		l.cut(l.n - 1)
	}
}

// expire drops what is older than t.
func (l *items) expire(t minute) {
	n := l.n
	for n > 0 && minute(l.list[n-1].Minute) < t {
		n--
	}
	l.cut(n)
}

// cut keeps the newest n.
func (l *items) cut(n uint8) {
	clear(l.list[n:l.n])
	l.n = n
}

// merge takes up the items of o: of each the newest time, of all the newest. Where
// the minute is the same, those of l come first.
func (l *items) merge(o *items) {
	var out items
	a, b := l.all(), o.all()
	for len(a)+len(b) > 0 && int(out.n) < len(out.list) {
		var it Item
		if len(b) == 0 || len(a) > 0 && a[0].Minute >= b[0].Minute {
			it, a = a[0], a[1:]
		} else {
			it, b = b[0], b[1:]
		}
		if out.find(it.Number) < 0 {
			out.list[out.n] = it
			out.n++
		}
	}
	*l = out
}

// shares reports whether both tell of the same event.
func (l *items) shares(o *items) bool {
	for _, it := range l.all() {
		if i := o.find(it.Number); i >= 0 && o.list[i] == it {
			return true
		}
	}
	return false
}

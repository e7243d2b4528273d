package profile

// Merge takes up what o knows, as when a visitor says who they are: p is what is
// kept for the account, o what their browser brought. Items are those of both, each
// with its newest time; the newest stay. Weights fade until m and are added; the
// strongest stay. o is not changed.
//
// Where one profile comes from the other, what both know is the same events: then
// the greater weight counts, not the sum, or each login on the same device would
// double all. They come from one if they began in the same minute (the merged one
// began when p did) or tell of the same item in the same minute. So to merge twice
// is to merge once, unless o brought no item that is still there. But for that
// beginning, and the order of items within a minute, it does not matter which is
// merged into which.
func (p *Inferred) Merge(o *Inferred, m Moment) {
	other := *o
	if other.Empty() {
		p.Decay(m)
		return
	}
	if p.Empty() {
		*p = other
		p.Decay(m)
		return
	}
	m.now = max(m.now, p.last, other.last)
	p.advance(m)
	other.advance(m)
	join := sum
	if p.born == other.born || p.recent.shares(&other.recent) || p.purchases.shares(&other.purchases) {
		join = greater
	}
	p.recent.merge(&other.recent)
	p.purchases.merge(&other.purchases)
	p.interests.merge(&other.interests, join)
	p.channels.merge(&other.channels, join)
	p.settle()
}

func sum(a, b level) level {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return levelOf(a.weight() + b.weight())
}

func greater(a, b level) level { return max(a, b) }

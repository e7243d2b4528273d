package profile

import "math"

// A level is a weight as it is kept: 2^((level-levelOne)/24), and 0 for nothing.
// What decays by half in a half-life so loses 24 levels, one each twenty-fourth of
// it: decay is a subtraction of whole numbers, and however often it is done, the
// outcome is the same. A byte holds weights from 1/16 to 96, each to 1.5 percent
// (a sum of many to about a tenth). What gets lighter is gone, and nothing gets
// heavier.
type level uint8

const (
	levelOne   level = 97 // the weight 1
	maxLevel   level = 255
	perHalving       = 24 // levels
	levelBits        = 8
)

func (l level) weight() float64 {
	if l == 0 {
		return 0
	}
	return math.Exp2(float64(int(l)-int(levelOne)) / perHalving)
}

// levelOf returns the nearest level of a weight.
func levelOf(w float64) level {
	if !(w > 0) {
		return 0
	}
	l := math.Round(math.Log2(w)*perHalving) + float64(levelOne)
	return level(max(0, min(l, float64(maxLevel))))
}

// plus returns the level of both weights together.
func (l level) plus(w float64) level {
	if l == 0 && w == 1 {
		return levelOne
	}
	return levelOf(l.weight() + w)
}

// less returns what is left of a level after that many steps of decay.
func (l level) less(steps uint32) level {
	if uint32(l) <= steps {
		return 0
	}
	return l - level(steps)
}

//go:build !unix

package rewrite

import (
	"math"
	"time"
)

// cpuTime is not known here, so that the time on the clock counts.
func cpuTime() time.Duration { return math.MaxInt64 }

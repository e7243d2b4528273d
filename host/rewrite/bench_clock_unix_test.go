//go:build unix

package rewrite

import (
	"syscall"
	"time"
)

// cpuTime is the time that this process has had of a core so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock keeps a second process away from a folder. It locks the folder itself
// (flock), which the system releases however the process ends.
func lock(dir string) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		d.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another process records there")
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return d, nil
}

// unlock lets go of the folder. Closing alone would not: a process that is being started
// at this moment shares the lock until it runs its own program.
func unlock(d *os.File) {
	syscall.Flock(int(d.Fd()), syscall.LOCK_UN)
	d.Close()
}

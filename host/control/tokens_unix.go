//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package control

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lock waits for its turn. The system lets go of it however the process ends.
func lock(name string) (unlock func() error, err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return f.Close, nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func ownOnly(info fs.FileInfo) error {
	if info.Mode().Perm()&0o022 != 0 {
		return errors.New("may be written by others (" + info.Mode().Perm().String() + "): chmod 600 it, and check what it says")
	}
	return nil
}

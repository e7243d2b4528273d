//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package state

import "os"

// lock holds nothing: this system has no lock that ends with its process in every
// case. Only one process may open a folder here.
func lock(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
}

// syncFolder does nothing: here a folder cannot be synced, a rename lasts as the
// file system sees to it.
func syncFolder(string) error { return nil }

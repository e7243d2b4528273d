//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package registry

// Lock holds nothing: this system has no lock that ends with its process in
// every case. Only one process may open a state folder here.
func (disk) Lock(string) (func() error, error) { return func() error { return nil }, nil }

// SyncDir does nothing: here a folder cannot be synced, a rename lasts as the
// file system sees to it.
func (disk) SyncDir(string) error { return nil }

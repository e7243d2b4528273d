//go:build !unix

package edge

import "syscall"

// pending cannot be told here; a stale connection shows when it is used.
func pending(syscall.RawConn) bool { return false }

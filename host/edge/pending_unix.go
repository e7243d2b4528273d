//go:build unix

package edge

import "syscall"

// pending reports whether a connection that should be silent has been closed by
// its other end, or holds bytes that nobody asked for. It takes nothing from it.
func pending(c syscall.RawConn) bool {
	found := true
	err := c.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		found = err != syscall.EAGAIN && err != syscall.EWOULDBLOCK
	})
	return found || err != nil
}

//go:build unix

package edge

import "syscall"

// pending reports whether the connection that should be silent has been closed by
// its other end, or holds bytes that nobody asked for. It takes nothing from it.
func (p *patient) pending() bool {
	if p.look == nil {
		p.look = func(fd uintptr) { // one for the connection's life
			var b [1]byte
			_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			p.found = err != syscall.EAGAIN && err != syscall.EWOULDBLOCK
		}
	}
	p.found = true
	err := p.raw.Control(p.look)
	return p.found || err != nil
}

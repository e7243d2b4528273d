package edge

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A drainable is a listener whose backlog can be emptied before it is closed.
type drainable struct {
	net.Listener
	writeLimit time.Duration // of each connection
	conns      sync.Map      // *visitorConn -> nil: those that are open
	draining   atomic.Bool
	drained    chan struct{} // closed when Accept found the backlog empty
	closed     chan struct{} // closed by Close
	once       sync.Once
}

func newDrainable(ln net.Listener, writeLimit time.Duration) *drainable {
	return &drainable{Listener: ln, writeLimit: writeLimit, drained: make(chan struct{}), closed: make(chan struct{})}
}

// drainTail is how long Accept waits for one more connection while draining.
const drainTail = 10 * time.Millisecond

// Accept returns the next connection. While draining, once the backlog is
// empty, it closes the listener's socket and returns only after Close.
func (d *drainable) Accept() (net.Conn, error) {
	tried := false
	for {
		c, err := d.Listener.Accept()
		if err == nil {
			v := &visitorConn{Conn: c, limit: d.writeLimit}
			v.silent.Store(true)
			v.gone = func() { d.conns.Delete(v) }
			d.conns.Store(v, nil)
			return v, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
		if !d.draining.Load() {
			continue
		}
		// A deadline that has passed already fails without a look at the
		// backlog. Only one that was waited for says that it is empty.
		if !tried {
			tried = true
			d.Listener.(deadliner).SetDeadline(time.Now().Add(drainTail))
			continue
		}
		d.Listener.Close()
		close(d.drained)
		<-d.closed
		return nil, net.ErrClosed
	}
}

type deadliner interface{ SetDeadline(time.Time) error }

// drain makes Accept hand out what is left, and returns when that is done.
func (d *drainable) drain() {
	l, ok := d.Listener.(deadliner)
	if !ok || !d.draining.CompareAndSwap(false, true) {
		return
	}
	if l.SetDeadline(time.Now().Add(drainTail)) != nil {
		return
	}
	select {
	case <-d.drained:
	case <-time.After(10 * drainTail): // nobody is in Accept
	}
}

// hangUp ends the connections over which nothing has come. The server knows
// only those for idle that had a request, and would wait for the others.
func (d *drainable) hangUp() {
	d.conns.Range(func(c, _ any) bool {
		c.(*visitorConn).hangUp()
		return true
	})
}

// Close closes the listener; Accept returns.
func (d *drainable) Close() error {
	err := d.Listener.Close()
	d.once.Do(func() { close(d.closed) })
	if d.draining.Load() && errors.Is(err, net.ErrClosed) {
		return nil // drain closed it
	}
	return err
}

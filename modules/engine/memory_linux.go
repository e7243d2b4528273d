package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// linuxPager restores memories by asking the kernel which pages were written.
//
// An image is a sealed memfd. Each instance maps it privately: until a page is
// written it is the memfd's, and the first write makes a copy that belongs to
// no file. PAGEMAP_SCAN (Linux 6.7, admin-guide/mm/pagemap.rst) lists these
// copies; they are written over with what the image has. They stay copies,
// which spares the next run the page faults.
type linuxPager struct {
	pagemap int // file descriptor of /proc/self/pagemap
}

// pageScan is struct pm_scan_arg of linux/fs.h.
type pageScan struct {
	size, flags       uint64
	start, end        uint64
	walkEnd           uint64
	vec, vecLen       uint64
	maxPages          uint64
	inverted          uint64
	mask, anyOf, give uint64
}

// pageRegion is struct page_region of linux/fs.h.
type pageRegion struct{ start, end, categories uint64 }

const (
	pagemapScan = 0xc0606610 // _IOWR('f', 16, struct pm_scan_arg)

	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4

	// One system call tells of this many runs of pages.
	regionsPerScan = 64

	// Every so many restores, copies are dropped if there are more than so
	// many, so that one extraordinary run does not make all later ones dear.
	shedEvery = 1024
	shedPages = 64
)

// newPager returns nil if the kernel has no PAGEMAP_SCAN or does not let us use it.
func newPager() pager {
	fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	p := &linuxPager{pagemap: fd}
	if p.probe() != nil {
		_ = p.close() // it was only read
		return nil
	}
	return p
}

func (p *linuxPager) close() error { return unix.Close(p.pagemap) }

// probe writes to one page of three and sees whether that page comes back, and
// whether the scan found no other.
func (p *linuxPager) probe() error {
	page := os.Getpagesize()
	content := bytes.Repeat([]byte{7}, 3*page)
	img, err := p.image(content)
	if err != nil {
		return err
	}
	defer img.close()
	m := p.reserve(uint64(len(content))).(*linuxMemory)
	defer m.Free()
	b := m.Reallocate(uint64(len(content)))
	if b == nil {
		return m.err()
	}
	if err := m.attach(img); err != nil {
		return err
	}
	b[page] = 8
	pages, err := m.scan()
	if err != nil {
		return err
	}
	if pages != 1 || !bytes.Equal(b, content) {
		return errors.New("PAGEMAP_SCAN does not tell which pages were written")
	}
	return nil
}

type linuxImage struct {
	fd   int
	view []byte // read-only
}

func (p *linuxPager) image(content []byte) (image, error) {
	fd, err := unix.MemfdCreate("policy", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	i := &linuxImage{fd: fd}
	if err := i.fill(content); err != nil {
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}

// fill writes content and forbids any change. Pages of zeros stay holes.
func (i *linuxImage) fill(content []byte) error {
	if err := unix.Ftruncate(i.fd, int64(len(content))); err != nil {
		return fmt.Errorf("size a file in memory: %w", err)
	}
	page := os.Getpagesize()
	zeros := make([]byte, page)
	for at := 0; at < len(content); at += page {
		b := content[at:min(at+page, len(content))]
		if bytes.Equal(b, zeros[:len(b)]) {
			continue
		}
		if n, err := unix.Pwrite(i.fd, b, int64(at)); err != nil || n < len(b) {
			return fmt.Errorf("write a file in memory: %d of %d bytes: %w", n, len(b), err)
		}
	}
	const sealed = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(i.fd), unix.F_ADD_SEALS, sealed); err != nil {
		return fmt.Errorf("seal a file in memory: %w", err)
	}
	var err error
	if i.view, err = unix.Mmap(i.fd, 0, len(content), unix.PROT_READ, unix.MAP_PRIVATE); err != nil {
		return fmt.Errorf("map a file in memory: %w", err)
	}
	return nil
}

func (i *linuxImage) close() error {
	var err error
	if i.view != nil {
		err = unix.Munmap(i.view)
		i.view = nil
	}
	return errors.Join(err, unix.Close(i.fd))
}

// linuxMemory is address space for as much as the memory may become, of which
// the beginning is accessible.
type linuxMemory struct {
	pager    *linuxPager
	region   []byte
	open     int // accessible bytes
	failed   error
	image    *linuxImage
	restores uint

	arg pageScan
	vec [regionsPerScan]pageRegion
}

func (p *linuxPager) reserve(most uint64) pagedMemory {
	m := &linuxMemory{pager: p}
	if most == 0 {
		return m
	}
	m.region, m.failed = unix.Mmap(-1, 0, int(most), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if m.failed != nil {
		m.failed = fmt.Errorf("reserve %d bytes of memory: %w", most, m.failed)
	}
	return m
}

func (m *linuxMemory) err() error { return m.failed }

func (m *linuxMemory) Reallocate(size uint64) []byte {
	if m.failed != nil || size > uint64(len(m.region)) {
		return nil
	}
	if n := int(size); n > m.open {
		if err := unix.Mprotect(m.region[m.open:n], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			m.failed = fmt.Errorf("open %d bytes of memory: %w", n, err)
			return nil
		}
		m.open = n
	}
	if size == 0 {
		return []byte{}
	}
	return m.region[:size:size]
}

func (m *linuxMemory) Free() {
	if m.region == nil {
		return
	}
	// It fails only for what is no mapping.
	_ = unix.Munmap(m.region)
	m.region, m.open = nil, 0
}

// attach maps the image over the beginning of the memory.
func (m *linuxMemory) attach(to image) error {
	i := to.(*linuxImage)
	n := len(i.view)
	if n > m.open {
		return fmt.Errorf("an image of %d bytes for a memory of %d", n, m.open)
	}
	_, err := unix.MmapPtr(i.fd, 0, unsafe.Pointer(&m.region[0]), uintptr(n),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED)
	if err != nil {
		return fmt.Errorf("map a memory of %d bytes: %w", n, err)
	}
	m.image = i
	return nil
}

func (m *linuxMemory) restore() {
	pages, err := m.scan()
	if err != nil {
		// Whatever the kernel says, the next run begins clean.
		copy(m.region, m.image.view)
		return
	}
	if m.restores++; m.restores%shedEvery == 0 && pages > shedPages {
		// If it fails the copies stay, and are as clean as before.
		_ = unix.Madvise(m.region[:len(m.image.view)], unix.MADV_DONTNEED)
	}
}

// scan writes over every copied page with the image and returns how many there were.
func (m *linuxMemory) scan() (pages int, err error) {
	view := m.image.view
	base := uint64(uintptr(unsafe.Pointer(&m.region[0])))
	end := base + uint64(len(view))
	// A copy is in memory, or swapped out, and of no file.
	m.arg = pageScan{
		size: uint64(unsafe.Sizeof(m.arg)), start: base, end: end,
		vec: uint64(uintptr(unsafe.Pointer(&m.vec[0]))), vecLen: regionsPerScan,
		inverted: pageIsFile, mask: pageIsFile, anyOf: pageIsPresent | pageIsSwapped, give: pageIsPresent,
	}
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m.pager.pagemap), pagemapScan, uintptr(unsafe.Pointer(&m.arg)))
		if errno != 0 {
			return pages, fmt.Errorf("ask for the pages written: %w", errno)
		}
		for _, r := range m.vec[:n] {
			from, to := r.start-base, r.end-base
			copy(m.region[from:to], view[from:to])
			pages += int(to-from) >> 12
		}
		switch {
		case m.arg.walkEnd >= end:
			runtime.KeepAlive(m)
			return pages, nil
		case m.arg.walkEnd <= m.arg.start:
			return pages, errors.New("ask for the pages written: the kernel does not get on")
		}
		m.arg.start = m.arg.walkEnd
	}
}

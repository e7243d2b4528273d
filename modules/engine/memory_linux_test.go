package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bespoke/modules/abi"
)

// mapped returns a memory with an image of random content.
func mapped(t testing.TB, size int) (*linuxMemory, []byte) {
	t.Helper()
	p, ok := newPager().(*linuxPager)
	if !ok {
		t.Skip("tests how memory is put back by PAGEMAP_SCAN, which this kernel has not or does not allow: Linux 6.7 or later has it run")
	}
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(content)
	clear(content[size/2 : size/2+size/4]) // holes
	img, err := p.image(content)
	if err != nil {
		t.Fatal(err)
	}
	m := p.reserve(uint64(size) + pageBytes).(*linuxMemory)
	if m.Reallocate(uint64(size)) == nil {
		t.Fatal(m.err())
	}
	if err := m.attach(img); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Free()
		m.Free()
		if err := img.close(); err != nil {
			t.Error(err)
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	return m, content
}

// TestRestore writes here and there, in more runs of pages than one scan tells of.
func TestRestore(t *testing.T) {
	const size = 4 << 20
	m, content := mapped(t, size)
	page := os.Getpagesize()
	r := rand.New(rand.NewPCG(1, 2))
	for round, writes := range []int{0, 1, 7, regionsPerScan, size / page / 2, 3 * size / page, 1} {
		for w := range writes {
			at := r.IntN(size)
			if writes == size/page/2 {
				at = w * 2 * page // every other page: the most runs there can be
			}
			m.region[at] ^= byte(1 + r.IntN(255))
		}
		m.restore()
		if !bytes.Equal(m.region[:size], content) {
			t.Fatalf("round %d: after %d writes the memory is not as it was", round, writes)
		}
	}
}

// TestRestoreSheds checks that the copies of one extraordinary run do not stay.
func TestRestoreSheds(t *testing.T) {
	const size = 1 << 20
	m, content := mapped(t, size)
	for i := range content {
		m.region[i]++
	}
	pages := size / os.Getpagesize()
	if n, err := m.scan(); err != nil || n != pages {
		t.Fatalf("%d pages of %d, %v", n, pages, err)
	}
	for range shedEvery {
		m.region[0]++
		m.restore()
	}
	m.region[0]++
	if n, err := m.scan(); err != nil || n != 1 {
		t.Errorf("%d pages after shedding, want 1 (%v)", n, err)
	}
	if !bytes.Equal(m.region[:size], content) {
		t.Error("the memory is not as it was")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m, content := mapped(t, 2*pageBytes)
	if m.Reallocate(uint64(len(content))+2*pageBytes) != nil {
		t.Error("the memory grew beyond what was reserved")
	}
	b := m.Reallocate(uint64(len(content)) + pageBytes)
	if len(b) != len(content)+pageBytes || &b[0] != &m.region[0] {
		t.Fatal("the memory did not grow in place")
	}
	b[len(b)-1] = 1
}

// BenchmarkRestore compares copying all with asking for the pages written.
func BenchmarkRestore(b *testing.B) {
	for _, size := range []int{64 << 10, 128 << 10, 256 << 10, 512 << 10, 2432 << 10} {
		for _, pages := range []int{2, 8, 16} {
			m, content := mapped(b, size)
			plain := bytes.Clone(content)
			median := func(memory []byte, restore func()) float64 {
				var took [2000]time.Duration
				for i := range took {
					for p := range pages {
						memory[p*size/pages] = 1
					}
					begin := time.Now()
					restore()
					took[i] = time.Since(begin)
				}
				slices.Sort(took[:])
				return float64(took[len(took)/2].Nanoseconds())
			}
			b.Run(fmt.Sprintf("%dKiB/%dpages", size>>10, pages), func(b *testing.B) {
				var paged, copied float64
				for b.Loop() {
					paged = median(m.region, m.restore)
					copied = median(plain, func() { copy(plain, content) })
				}
				b.ReportMetric(paged, "ns-paged")
				b.ReportMetric(copied, "ns-copied")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// poor is a pager to which the system gives nothing.
type poor struct{ pager }

func (poor) image([]byte) (image, error) { return nil, errors.New("no file descriptor is left") }

type poorer struct{ pager }

func (p poorer) reserve(uint64) pagedMemory { return p.pager.reserve(1 << 60) }

// TestPoorSystem takes file descriptors, then address space away.
func TestPoorSystem(t *testing.T) {
	ctx := context.Background()
	e, err := New(ctx, Config{Idle: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(ctx)
	if e.pager == nil {
		t.Skip("tests how memory is put back by PAGEMAP_SCAN, which this kernel has not or does not allow: Linux 6.7 or later has it run")
	}
	rich := e.pager
	// Eight pages of memory, and an on_response that does nothing.
	module := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x05\x03\x01\x00\x08" +
		"\x07\x18\x02\x06memory\x02\x00\x0bon_response\x00\x00\x0a\x04\x01\x02\x00\x0b")
	run := func(m *Module) error { return m.Run(ctx, abi.OnResponse, silent{}) }
	m, err := e.Load(ctx, "test", module)
	if err != nil || !m.State().Paged {
		t.Fatalf("%v, %+v", err, m)
	}
	if err := m.release(); err != nil {
		t.Fatal(err)
	}
	e.pager = poor{rich}
	if err := run(m); err != nil || m.State().Paged {
		t.Errorf("without file descriptors: %v, %+v", err, m.State())
	}
	if err := m.release(); err != nil {
		t.Fatal(err)
	}
	e.pager = poorer{rich}
	var f *Fault
	if err := run(m); !errors.As(err, &f) || f.Kind != FaultInit || !strings.Contains(err.Error(), "reserve 1152921504606846976 bytes of memory") {
		t.Errorf("without address space: %v", err)
	}
	e.pager = rich
	if err := run(m); err != nil || !m.State().Paged {
		t.Errorf("when all is well again: %v, %+v", err, m.State())
	}
}

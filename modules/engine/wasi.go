package engine

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"

	"bespoke/modules/abi"

	"github.com/tetratelabs/wazero/api"
)

// wasiPreview1 is the part of WASI preview 1 that a policy may import
// (github.com/WebAssembly/WASI, legacy/preview1). It is our own, and not
// wazero's, because nothing in it may depend on the machine: there is no clock
// but one that stands still until the policy sleeps, no chance but a fixed
// sequence, no file, no argument and no environment. Sockets are not offered.
var wasiPreview1 = hostModule{
	name: "wasi_snapshot_preview1",
	functions: []hostFunction{
		{"args_get", "ii", "i", succeed},
		{"args_sizes_get", "ii", "i", zeroSizes},
		{"environ_get", "ii", "i", succeed},
		{"environ_sizes_get", "ii", "i", zeroSizes},
		{"clock_res_get", "ii", "i", clockRes},
		{"clock_time_get", "iIi", "i", clockTime},
		{"random_get", "ii", "i", randomGet},
		{"poll_oneoff", "iiii", "i", pollOneoff},
		{"sched_yield", "", "i", succeed},
		{"proc_exit", "i", "", procExit},
		{"proc_raise", "i", "i", notSupported},
		{"fd_write", "iiii", "i", fdWrite},
		{"fd_read", "iiii", "i", fdRead},
		{"fd_fdstat_get", "ii", "i", fdStat},
		{"fd_fdstat_set_flags", "ii", "i", onStdio},
		{"fd_filestat_get", "ii", "i", fdFilestat},

		// Go's os package imports these whether or not a program opens files.
		{"fd_advise", "iIIi", "i", badFile},
		{"fd_allocate", "iII", "i", badFile},
		{"fd_close", "i", "i", onStdio},
		{"fd_datasync", "i", "i", badFile},
		{"fd_fdstat_set_rights", "iII", "i", badFile},
		{"fd_filestat_set_size", "iI", "i", badFile},
		{"fd_filestat_set_times", "iIIi", "i", badFile},
		{"fd_pread", "iiiIi", "i", badFile},
		{"fd_prestat_get", "ii", "i", badFile},
		{"fd_prestat_dir_name", "iii", "i", badFile},
		{"fd_pwrite", "iiiIi", "i", badFile},
		{"fd_readdir", "iiiIi", "i", badFile},
		{"fd_renumber", "ii", "i", badFile},
		{"fd_seek", "iIii", "i", badFile},
		{"fd_sync", "i", "i", badFile},
		{"fd_tell", "ii", "i", badFile},
		{"path_create_directory", "iii", "i", badFile},
		{"path_filestat_get", "iiiii", "i", badFile},
		{"path_filestat_set_times", "iiiiIIi", "i", badFile},
		{"path_link", "iiiiiii", "i", badFile},
		{"path_open", "iiiiiIIii", "i", badFile},
		{"path_readlink", "iiiiii", "i", badFile},
		{"path_remove_directory", "iii", "i", badFile},
		{"path_rename", "iiiiii", "i", badFile},
		{"path_symlink", "iiiii", "i", badFile},
		{"path_unlink_file", "iii", "i", badFile},
	},
}

// Error numbers of WASI preview 1.
const (
	wasiSuccess = 0
	wasiBadf    = 8
	wasiInval   = 28
	wasiNotsup  = 58
)

const (
	stdin, stdout, stderr = 0, 1, 2
	characterDevice       = 2

	// epoch is what every clock shows at the start: 2000-01-01 00:00 UTC, in nanoseconds.
	epoch = 946_684_800 * 1_000_000_000
)

// wasiState is what WASI keeps of one instance.
type wasiState struct {
	clock uint64 // nanoseconds; moved only by sleeping
	rand  rand.ChaCha8
	drawn bool      // rand was used since it was restored
	lines [2][]byte // of stdout and stderr: a line that has no end yet
}

func newWASIState() wasiState {
	return wasiState{clock: epoch, rand: *rand.NewChaCha8([32]byte{})}
}

// restore puts back clock and chance. The lines are empty after each run; only
// their room is kept, which no guest can read.
func (w *wasiState) restore(from *wasiState) {
	w.clock = from.clock
	if w.drawn {
		w.rand, w.drawn = from.rand, false
	}
}

// flush logs the unfinished lines.
func (w *wasiState) flush(to *logBudget) {
	for i, line := range w.lines {
		if len(line) > 0 {
			to.line(stdioLevel(i), line)
			w.lines[i] = line[:0]
		}
	}
}

func stdioLevel(stream int) abi.Level {
	if stream == 0 {
		return abi.Info
	}
	return abi.Warn
}

func succeed(_ *guest, _ api.Memory, stack []uint64) { stack[0] = wasiSuccess }

func badFile(_ *guest, _ api.Memory, stack []uint64) { stack[0] = wasiBadf }

func notSupported(_ *guest, _ api.Memory, stack []uint64) { stack[0] = wasiNotsup }

// onStdio succeeds for the three standard streams, without doing anything.
func onStdio(_ *guest, _ api.Memory, stack []uint64) {
	if uint32(stack[0]) <= stderr {
		stack[0] = wasiSuccess
	} else {
		stack[0] = wasiBadf
	}
}

// zeroSizes says that a list has no items, of no bytes.
func zeroSizes(_ *guest, mem api.Memory, stack []uint64) {
	clear(view(mem, "the count of a WASI list", stack[0], 4))
	clear(view(mem, "the size of a WASI list", stack[1], 4))
	stack[0] = wasiSuccess
}

func clockRes(_ *guest, mem api.Memory, stack []uint64) {
	binary.LittleEndian.PutUint64(view(mem, "the result of clock_res_get", stack[1], 8), 1)
	stack[0] = wasiSuccess
}

func clockTime(g *guest, mem api.Memory, stack []uint64) {
	binary.LittleEndian.PutUint64(view(mem, "the result of clock_time_get", stack[2], 8), g.wasi.clock)
	stack[0] = wasiSuccess
}

func randomGet(g *guest, mem api.Memory, stack []uint64) {
	buf := view(mem, "the buffer of random_get", stack[0], stack[1])
	g.charge(len(buf))
	g.wasi.drawn = true
	// ChaCha8 never returns an error.
	_, _ = g.wasi.rand.Read(buf)
	stack[0] = wasiSuccess
}

func procExit(_ *guest, _ api.Memory, stack []uint64) { panic(&exit{code: uint32(stack[0])}) }

// pollOneoff sleeps without waiting: it moves the clock to the first deadline
// asked for. Streams are always ready.
func pollOneoff(g *guest, mem api.Memory, stack []uint64) {
	const subscription, event = 48, 32
	const clockEvent = 0
	n := uint64(uint32(stack[2]))
	if n == 0 || n > math.MaxUint32/subscription {
		stack[0] = wasiInval
		return
	}
	in := view(mem, "the subscriptions of poll_oneoff", stack[0], n*subscription)
	out := view(mem, "the events of poll_oneoff", stack[1], n*event)
	count := view(mem, "the result of poll_oneoff", stack[3], 4)
	g.charge(int(n) * 16)
	le := binary.LittleEndian
	deadline := func(s []byte) uint64 {
		timeout, absolute := le.Uint64(s[24:]), le.Uint16(s[40:])&1 != 0
		if absolute {
			return timeout
		}
		return g.wasi.clock + min(timeout, math.MaxInt64-g.wasi.clock)
	}
	next, ready := uint64(math.MaxInt64), false
	for s := in; len(s) > 0; s = s[subscription:] {
		if s[8] == clockEvent {
			next = min(next, deadline(s))
		} else {
			ready = true
		}
	}
	before := g.wasi.clock
	if ready {
		next = before
	}
	next = max(next, before)
	events := uint32(0)
	for s := in; len(s) > 0; s = s[subscription:] {
		if s[8] == clockEvent && deadline(s) > next {
			continue
		}
		e := out[events*event:][:event]
		userdata, kind := le.Uint64(s), s[8]
		clear(e)
		le.PutUint64(e, userdata)
		e[10] = kind
		events++
	}
	g.wasi.clock = next
	le.PutUint32(count, events)
	stack[0] = wasiSuccess
}

// fdWrite takes what is written to stdout and stderr into the log.
func fdWrite(g *guest, mem api.Memory, stack []uint64) {
	fd := uint32(stack[0])
	if fd != stdout && fd != stderr {
		stack[0] = wasiBadf
		return
	}
	n := uint64(uint32(stack[2]))
	if n > math.MaxUint32/8 {
		stack[0] = wasiInval
		return
	}
	vectors := view(mem, "the vectors of fd_write", stack[1], n*8)
	g.charge(len(vectors))
	written := uint32(0)
	for ; len(vectors) > 0; vectors = vectors[8:] {
		b := view(mem, "the text of fd_write",
			uint64(binary.LittleEndian.Uint32(vectors)), uint64(binary.LittleEndian.Uint32(vectors[4:])))
		g.write(int(fd-stdout), b)
		written += uint32(len(b))
	}
	binary.LittleEndian.PutUint32(view(mem, "the result of fd_write", stack[3], 4), written)
	stack[0] = wasiSuccess
}

// write logs the lines that b completes and keeps the rest, at most as long as
// the log may become.
func (g *guest) write(stream int, b []byte) {
	w, to := &g.wasi, &g.log
	for len(b) > 0 && !to.over {
		g.charge(fuelPerLine)
		end := bytes.IndexByte(b, '\n')
		whole := end >= 0
		if !whole {
			end = len(b)
		}
		room := max(0, to.size-len(w.lines[stream]))
		w.lines[stream] = append(w.lines[stream], b[:min(end, room)]...)
		if !whole {
			return
		}
		to.line(stdioLevel(stream), w.lines[stream])
		w.lines[stream] = w.lines[stream][:0]
		b = b[end+1:]
	}
}

// fdRead gives the end of the file at once.
func fdRead(_ *guest, mem api.Memory, stack []uint64) {
	if uint32(stack[0]) != stdin {
		stack[0] = wasiBadf
		return
	}
	clear(view(mem, "the result of fd_read", stack[3], 4))
	stack[0] = wasiSuccess
}

func fdStat(_ *guest, mem api.Memory, stack []uint64) {
	const right = 1<<1 | 1<<6 // fd_read, fd_write
	fd := uint32(stack[0])
	if fd > stderr {
		stack[0] = wasiBadf
		return
	}
	s := view(mem, "the result of fd_fdstat_get", stack[1], 24)
	clear(s)
	s[0] = characterDevice
	binary.LittleEndian.PutUint64(s[8:], right)
	stack[0] = wasiSuccess
}

func fdFilestat(_ *guest, mem api.Memory, stack []uint64) {
	if uint32(stack[0]) > stderr {
		stack[0] = wasiBadf
		return
	}
	s := view(mem, "the result of fd_filestat_get", stack[1], 64)
	clear(s)
	s[16] = characterDevice
	stack[0] = wasiSuccess
}

package prepare_test

import "encoding/binary"

// A source chooses; when its bytes are used up it always chooses the first.
type source struct{ data []byte }

func (s *source) pick(n int) int {
	if len(s.data) == 0 || n < 2 {
		return 0
	}
	c := s.data[0]
	s.data = s.data[1:]
	return int(c) % n
}

func (s *source) u32() uint32 {
	var b [4]byte
	s.data = s.data[copy(b[:], s.data):]
	return binary.LittleEndian.Uint32(b[:])
}

// number prefers what is near a limit.
func (s *source) number() int32 {
	switch s.pick(8) {
	case 0:
		return int32(s.pick(8))
	case 1, 2, 3:
		return int32(s.pick(256))
	case 4:
		return 65536 - int32(s.pick(16))
	case 5:
		return -int32(s.pick(4))
	case 6:
		return int32(s.u32() & 0xffff)
	}
	return int32(s.u32())
}

// A generator writes a valid module of random structure. Every run of it ends,
// since each function's entry and each loop's head counts a global down. With
// counting it writes the same module, which also counts in its last global the
// instructions that it executes.
type generator struct {
	*source
	b        *builder
	counting bool
	out      []byte
	locals   string // letters
	labels   []string
	globals  string
	sigs     [][2]string
	results  string // of the function
	self     int
	size     int  // statements left
	lean     bool // no instructions that cost more than one unit, which would hide what is not paid
}

const (
	funcs      = 4
	stepsAt    = 0 // global that counts down
	tableSlots = 8
)

// generate returns the module that data describes.
func generate(data []byte, counting bool) []byte {
	g := &generator{source: &source{data}, b: newBuilder(), counting: counting, globals: "i", size: 200}
	b := g.b
	g.lean = g.pick(2) == 0
	b.memory = []byte{1, 1, 3}
	b.tables = [][]byte{{0x70, 1, tableSlots, 2 * tableSlots}}
	b.globals = [][]byte{cat([]byte{0x7f, 1}, i32(2000), end)}
	for range g.pick(4) + 1 {
		l := "iIFv"[g.pick(4)]
		g.globals += string(l)
		b.globals = append(b.globals, cat([]byte{codes[rune(l)], 1}, zero(l), end))
	}
	b.globals = append(b.globals, []byte{0x7e, 1, 0x42, 0, 0x0b})
	b.export("count", 3, byte(len(g.globals)))
	for i := range g.globals {
		if g.globals[i] == 'v' {
			continue // cannot be read through the runtime's interface
		}
		b.export("g"+string(rune('0'+i)), 3, byte(i))
	}
	for range funcs {
		s := [2]string{letters(g.source, 3), letters(g.source, 2)}
		g.sigs = append(g.sigs, s)
		b.typ(s[0], s[1])
	}
	b.typ("i", "ii") // for blocks
	for i, s := range g.sigs {
		g.self = i
		b.export("f"+string(rune('0'+i)), 0, g.function(s[0], s[1]))
	}
	b.export("memory", 2, 0)
	b.elements = [][]byte{{0, 0x41, 0, 0x0b, 4, 0, 1, 2, 3}, {1, 0, 3, 3, 2, 1}}
	b.data = [][]byte{append([]byte{1}, str("some text that is copied by memory.init")...), cat([]byte{0}, i32(100), end, str("text"))}
	b.dataCount = true
	return b.bytes()
}

func letters(s *source, n int) string {
	out := ""
	for range s.pick(n + 1) {
		out += string("iIF"[s.pick(3)])
	}
	return out
}

func zero(l byte) []byte {
	switch l {
	case 'i':
		return []byte{0x41, 0}
	case 'I':
		return []byte{0x42, 0}
	case 'F':
		return append([]byte{0x44}, make([]byte, 8)...)
	}
	return append([]byte{0xfd, 12}, make([]byte, 16)...)
}

func (g *generator) function(params, results string) byte {
	extra := "iIFv" + letters(g.source, 3)
	g.locals, g.results, g.out = params+extra, results, nil
	g.labels = []string{results}
	g.step()
	for range g.pick(6) + 1 {
		g.statement(4)
	}
	for _, l := range []byte(results) {
		g.value(l, 3)
	}
	return g.b.fn(params, results, extra, g.out)
}

// op writes one instruction that counts.
func (g *generator) op(code ...byte) {
	if g.counting {
		c := byte(len(g.globals))
		g.out = append(g.out, cat(getGlobal(c), i64(1), []byte{0x7c}, setGlobal(c))...)
	}
	g.out = append(g.out, code...)
}

func (g *generator) ops(codes ...[]byte) {
	for _, c := range codes {
		g.op(c...)
	}
}

// structure writes an instruction that is free.
func (g *generator) structure(code ...byte) { g.out = append(g.out, code...) }

// step counts down and traps at zero.
func (g *generator) step() {
	g.ops(getGlobal(stepsAt), i32(1), sub, setGlobal(stepsAt), getGlobal(stepsAt), []byte{0x45}, []byte{0x04, 0x40}, unreachable)
	g.structure(0x0b)
}

// among returns the index of a random letter l in list, -1 for none.
func (g *generator) among(list string, l byte, from int) int {
	var at []int
	for i := from; i < len(list); i++ {
		if list[i] == l {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return -1
	}
	return at[g.pick(len(at))]
}

// value writes code that pushes a value of type l.
func (g *generator) value(l byte, depth int) {
	if depth <= 0 {
		g.leaf(l)
		return
	}
	switch g.pick(9) {
	case 0, 1:
		g.leaf(l)
	case 2: // a block that a branch may leave early
		g.structure(0x02, codes[rune(l)])
		g.labels = append(g.labels, string(l))
		g.value(l, depth-1)
		g.value('i', depth-2)
		g.op(brIf(0)...)
		g.labels = g.labels[:len(g.labels)-1]
		g.structure(0x0b)
	case 3:
		g.value('i', depth-1)
		g.op(0x04, codes[rune(l)])
		g.labels = append(g.labels, string(l))
		g.value(l, depth-1)
		g.structure(0x05)
		g.value(l, depth-1)
		g.labels = g.labels[:len(g.labels)-1]
		g.structure(0x0b)
	case 4: // select
		if l == 'v' {
			g.leaf(l)
			return
		}
		g.value(l, depth-1)
		g.value(l, depth-2)
		g.value('i', depth-2)
		g.op(0x1b)
	case 5:
		g.call(l, depth)
	default:
		g.operation(l, depth)
	}
}

func (g *generator) leaf(l byte) {
	switch g.pick(3) {
	case 0:
		if at := g.among(g.locals, l, 0); at >= 0 {
			g.op(get(byte(at))...)
			return
		}
	case 1:
		if at := g.among(g.globals, l, 1); at >= 0 {
			g.op(getGlobal(byte(at))...)
			return
		}
	}
	switch l {
	case 'i':
		g.op(i32(g.number())...)
	case 'I':
		g.op(i64(int64(g.number())<<g.pick(32) + int64(g.pick(9)))...)
	case 'F':
		g.op(append([]byte{0x44}, binary.LittleEndian.AppendUint64(nil, uint64(g.u32())<<32)...)...)
	default:
		g.op(cat([]byte{0xfd, 12}, make([]byte, 12), binary.LittleEndian.AppendUint32(nil, g.u32()))...)
	}
}

// call calls a function whose only result is of type l, directly or through the table.
func (g *generator) call(l byte, depth int) {
	for i, s := range g.sigs {
		if s[1] != string(l) || g.pick(2) == 1 {
			continue
		}
		for _, p := range []byte(s[0]) {
			g.value(p, depth-2)
		}
		if g.pick(2) == 0 {
			g.op(call(byte(i))...)
		} else {
			g.ops(i32(int32(g.pick(tableSlots))), []byte{0x11, byte(i), 0})
			if g.b.typ(s[0], s[1]) != byte(i) { // equal types are one
				g.out[len(g.out)-2] = g.b.typ(s[0], s[1])
			}
		}
		return
	}
	g.leaf(l)
}

var (
	binaryOps = map[byte][]byte{
		'i': {0x6a, 0x6b, 0x6c, 0x6d, 0x70, 0x71, 0x72, 0x73, 0x74, 0x76, 0x77, 0x46, 0x48, 0x4d},
		'I': {0x7c, 0x7d, 0x7e, 0x7f, 0x82, 0x83, 0x84, 0x85, 0x86, 0x88, 0x89},
		'F': {0xa0, 0xa1, 0xa2},
	}
	loads  = map[byte][]byte{'i': {0x28, 0x2c, 0x2f}, 'I': {0x29, 0x30, 0x35}, 'F': {0x2b}}
	stores = map[byte]byte{'i': 0x36, 'I': 0x37, 'F': 0x39}
)

func (g *generator) operation(l byte, depth int) {
	if l == 'v' {
		g.value('i', depth-1)
		g.op(0xfd, 17) // i32x4.splat
		g.value('v', depth-1)
		g.op(0xfd, 0xae, 0x01) // i32x4.add
		return
	}
	switch g.pick(4) {
	case 0:
		g.value('i', depth-1)
		g.op(loads[l][g.pick(len(loads[l]))], 0, byte(g.pick(100)))
	case 1:
		g.convert(l, depth)
	default:
		g.value(l, depth-1)
		g.value(l, depth-1)
		g.op(binaryOps[l][g.pick(len(binaryOps[l]))])
	}
}

func (g *generator) convert(l byte, depth int) {
	switch {
	case l == 'I':
		g.value('i', depth-1)
		g.op(0xac + byte(g.pick(2)))
	case l == 'F':
		g.value('i', depth-1)
		g.op(0xb7)
	default:
		switch g.pick(6) {
		case 0:
			g.value('I', depth-1)
			g.op(0xa7)
		case 1:
			g.value('F', depth-1)
			g.op(0xfc, 2) // i32.trunc_sat_f64_s
		case 2:
			g.value('v', depth-1)
			g.op(0xfd, 27, byte(g.pick(4)))
		case 3:
			g.op(0x3f, 0)
		case 4:
			if g.lean {
				g.leaf(l)
				return
			}
			g.ops(i32(int32(g.pick(3))), grow)
		case 5:
			if g.lean {
				g.leaf(l)
				return
			}
			g.ops([]byte{0xd0, 0x70}, i32(int32(g.pick(4))), []byte{0xfc, 15, 0}) // table.grow
		}
	}
}

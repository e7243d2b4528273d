package prepare_test

// statement writes code that leaves the stack as it was.
func (g *generator) statement(depth int) {
	if g.size--; g.size < 0 {
		return
	}
	if depth <= 0 {
		g.assign(1)
		return
	}
	switch g.pick(14) {
	case 0, 1:
		g.assign(depth)
	case 2:
		l := "iIF"[g.pick(3)]
		g.value('i', depth-1)
		g.value(l, depth-1)
		g.op(stores[l], 0, byte(g.pick(100)))
	case 3:
		l := "iIFv"[g.pick(4)]
		g.value(l, depth)
		g.op(drop...)
	case 4, 5:
		g.condition(depth)
	case 6:
		g.body(0x02, depth)
	case 7, 8:
		g.loop(depth)
	case 9:
		g.branch(depth)
	case 10:
		g.dispatch(depth)
	case 11:
		if !g.lean {
			g.bulk()
		}
	case 12:
		g.several(depth)
	case 13:
		g.leave(depth)
	}
}

func (g *generator) assign(depth int) {
	at := g.pick(len(g.locals))
	g.value(g.locals[at], depth-1)
	if g.pick(3) > 0 {
		g.op(set(byte(at))...)
		return
	}
	g.op(tee(byte(at))...)
	if to := g.among(g.globals, g.locals[at], 1); to >= 0 {
		g.op(setGlobal(byte(to))...)
	} else {
		g.op(drop...)
	}
}

// body writes a block without results.
func (g *generator) body(op byte, depth int) {
	g.structure(op, 0x40)
	g.labels = append(g.labels, "")
	if op == 0x03 {
		g.step()
	}
	for range g.pick(4) {
		g.statement(depth - 1)
	}
	g.labels = g.labels[:len(g.labels)-1]
	g.structure(0x0b)
}

func (g *generator) condition(depth int) {
	g.value('i', depth-1)
	g.op(0x04, 0x40)
	g.labels = append(g.labels, "")
	for range g.pick(3) + 1 {
		g.statement(depth - 1)
	}
	if g.pick(2) == 0 {
		g.structure(0x05)
		for range g.pick(3) + 1 {
			g.statement(depth - 1)
		}
	}
	g.labels = g.labels[:len(g.labels)-1]
	g.structure(0x0b)
}

// loop turns as often as a local, or the steps that are left, allow.
func (g *generator) loop(depth int) {
	count := byte(g.among(g.locals, 'i', 0))
	g.ops(i32(int32(g.pick(9))), set(count))
	g.structure(0x03, 0x40)
	g.labels = append(g.labels, "")
	g.step()
	for range g.pick(4) {
		g.statement(depth - 1)
	}
	g.ops(get(count), i32(1), sub, tee(count), i32(0), []byte{0x4a}, brIf(0))
	g.labels = g.labels[:len(g.labels)-1]
	g.structure(0x0b)
}

// branch branches to some label, sometimes always, with the values that it wants.
func (g *generator) branch(depth int) {
	to := g.pick(len(g.labels))
	want := g.labels[len(g.labels)-1-to]
	always := g.pick(8) == 1
	for _, l := range []byte(want) {
		g.value(l, depth-2)
	}
	if always {
		g.op(br(byte(to))...)
		return // what follows is dead
	}
	g.value('i', depth-1)
	g.op(brIf(byte(to))...)
	for range want {
		g.op(drop...)
	}
}

// dispatch is a br_table out of nested blocks, in a loop or not, with enough
// code in each case that some of them pay for themselves.
func (g *generator) dispatch(depth int) {
	cases := g.pick(6) + 1
	looped := g.pick(2) == 0
	if looped {
		g.structure(0x03, 0x40)
		g.labels = append(g.labels, "")
		g.step()
	}
	for range cases {
		g.structure(0x02, 0x40)
		g.labels = append(g.labels, "")
	}
	g.value('i', depth-1)
	g.ops(i32(7), []byte{0x71})
	table := append([]byte{0x0e}, byte(cases-1))
	for range cases {
		table = append(table, byte(g.pick(cases)))
	}
	g.op(table...)
	for i := range cases {
		g.structure(0x0b)
		g.labels = g.labels[:len(g.labels)-1]
		for range g.pick(30) {
			g.ops(i32(int32(i)), drop)
		}
		for range g.pick(3) {
			g.statement(depth - 2)
		}
		targets := cases - 1 - i // the cases after this, and the loop's head
		if looped {
			targets++
		}
		for range min(g.pick(3), targets) {
			g.value('i', 1)
			g.op(brIf(byte(g.pick(targets)))...)
		}
	}
	if looped {
		g.labels = g.labels[:len(g.labels)-1]
		g.structure(0x0b)
	}
}

// bulk writes an instruction whose work depends on an operand.
func (g *generator) bulk() {
	three := func() {
		for range 3 {
			g.op(i32(g.number())...)
		}
	}
	small := func() { g.ops(i32(int32(g.pick(12))), i32(int32(g.pick(4))), i32(int32(g.pick(6)))) }
	switch g.pick(12) {
	case 0, 1, 2:
		three()
		g.op(fill...)
	case 3, 4:
		three()
		g.op(copyMemory...)
	case 5:
		g.ops(i32(g.number()), i32(int32(g.pick(40))), i32(int32(g.pick(40))), []byte{0xfc, 8, 0, 0})
	case 6:
		g.op(0xfc, 9, 0) // data.drop
	case 7:
		small()
		g.op(0xfc, 12, 1, 0) // table.init
	case 8:
		g.op(0xfc, 13, 1) // elem.drop
	case 9:
		small()
		g.op(0xfc, 14, 0, 0) // table.copy
	case 10:
		g.ops(i32(int32(g.pick(12))), []byte{0xd2, byte(g.pick(funcs))}, i32(int32(g.pick(6))), []byte{0xfc, 17, 0}) // table.fill
	case 11:
		g.ops(i32(int32(g.pick(12))), []byte{0xd0, 0x70}, []byte{0x26, 0}) // table.set
	}
}

// several is a block with a parameter and two results.
func (g *generator) several(depth int) {
	t := g.b.typ("i", "ii")
	g.value('i', depth-1)
	g.structure(0x02, t)
	g.labels = append(g.labels, "ii")
	g.value('i', depth-2)
	if g.pick(2) == 0 {
		g.value('i', depth-2)
		g.op(brIf(0)...)
	}
	g.labels = g.labels[:len(g.labels)-1]
	g.structure(0x0b)
	g.ops(drop, drop)
}

// leave returns or traps, if something is so.
func (g *generator) leave(depth int) {
	g.value('i', depth-1)
	g.op(0x04, 0x40)
	g.labels = append(g.labels, "")
	if g.pick(3) == 0 {
		g.op(unreachable...)
	} else {
		for _, l := range []byte(g.results) {
			g.value(l, 1)
		}
		g.op(0x0f)
	}
	g.labels = g.labels[:len(g.labels)-1]
	g.structure(0x0b)
}

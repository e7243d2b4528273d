package edge

import (
	"encoding/binary"
	"fmt"

	"bespoke/modules/abi"
)

// hostileKeys are all kinds of keys that there are, and some that are none.
func hostileKeys() []string {
	return []string{
		"request.method", "request.path", "request.query.q", "request.header.accept-language", "request.header.cookie", "request.header.user-agent",
		"request.header.x-forwarded-for", "request.header.sec-gpc", "config.colour",
		"consent.localize", "consent.locate", "consent.personalize", "consent.advertise", "consent.measure",
		"time.hour", "time.weekday", "time.date", "time.now",
		"geo.continent", "geo.country", "geo.region", "geo.timezone", "geo.city", "geo.lat", "geo.lon", "geo.fences",
		"preference.name", "preference.theme", "preference.hidden", "preference.muted", "preference.place", "preference.lat", "preference.filters",
		"profile.recent", "profile.purchases", "profile.persona", "profile.engagement", "profile.interests",
		"profile.affinity.color", "profile.affinity.kind", "profile.affinity.needs",
		"recommend.recently-viewed", "recommend.for-you", "recommend.next", "recommend.best-sellers", "recommend.deals", "recommend.similar",
		"experiment.a", "page.h1", "geo.", "profile.", "subject", "cookie",
	}
}

// hostileDeclares are those of them that it declares: all that there are, but two.
func hostileDeclares() map[string]string {
	m := map[string]string{}
	for _, k := range hostileKeys() {
		if abi.Classify(k) != abi.Unknown && k != "geo.region" && k != "profile.purchases" {
			m[k] = "to test"
		}
	}
	return m
}

// Where a hostile guest keeps things.
const (
	hostileBuffer  = 16 << 10
	hostileRoom    = 8 << 10
	hostileResidue = 32 << 10 // what it saw in this run, for the next
	hostileName    = 40 << 10 // of a key, in which it hides what it saw
)

// hostileGuest is a policy that gets all it can and tells it in every way that there
// is: what an earlier run left in its memory and in a global, and each value in the
// page, in headers to both sides, as an event, as a reason, in its log, and as the name
// of a key.
func hostileGuest(keys []string, declare map[string]string) []byte {
	var data, code []byte
	at := func(s string) []byte {
		p := len(data)
		data = append(data, s...)
		return join(i32(p), i32(len(s)))
	}
	const (
		get0, set0, load, load8, load64, store, store8, store64 = 0x23, 0x24, 0x28, 0x2d, 0x29, 0x36, 0x3a, 0x37
		ifVoid, end, drop, call, add, mul, and                  = 0x04, 0x0b, 0x1a, 0x10, 0x6a, 0x6c, 0x71
	)
	mem := func(op byte) []byte { return []byte{op, 0, 0} }
	none := join(i32(0), i32(0))
	value := join(i32(hostileBuffer), []byte{0x20, 0})
	emit := func(op abi.Op, target, a, b []byte) []byte {
		return join(i32(int(op)), target, a, b, []byte{call, callEmit, drop})
	}
	// What an earlier run left.
	left := join(i32(hostileResidue+4), i32(16))
	code = append(code, join(
		[]byte{get0, 0, ifVoid, 0x40},
		i32(hostileName-8), []byte{get0, 0}, i32(31), []byte{and}, i32('A'), []byte{add}, mem(store8),
		emit(abi.OpSetHeader, at("X-Global"), join(i32(hostileName-8), i32(1)), none),
		[]byte{end},
		i32(hostileResidue), mem(load), []byte{ifVoid, 0x40},
		emit(abi.OpSetHeader, at("X-Residue"), left, none), emit(abi.OpText, at("#heading"), left, none),
		i32(int(abi.Info)), left, []byte{call, callLog},
		[]byte{end},
		i32(hostileName), i32(0), mem(load), mem(store),
	)...)
	for i, key := range keys {
		code = append(code, join(at(key), i32(hostileBuffer), i32(hostileRoom), []byte{call, callRead, 0xa7, 0x21, 0}, // local = i32(read(...))
			[]byte{0x20, 0}, i32(0), []byte{0x4e, ifVoid, 0x40}, // if local >= 0
			emit(abi.OpText, at(fmt.Sprintf("#k%d", i)), value, none),
			emit(abi.OpUpstreamHeader, at(fmt.Sprintf("X-K%d", i)), value, none),
			emit(abi.OpSetHeader, at(fmt.Sprintf("X-S%d", i)), value, none),
			i32(int(abi.Info)), value, []byte{call, callLog},
			// The global grows by what was read, and memory keeps its first 16 bytes.
			[]byte{get0, 0}, i32(31), []byte{mul}, i32(hostileBuffer), mem(load8), []byte{add, set0, 0},
			i32(hostileResidue), i32(1), mem(store),
			i32(hostileResidue+4), i32(hostileBuffer), mem(load64), mem(store64),
			i32(hostileResidue+12), i32(hostileBuffer+8), mem(load64), mem(store64),
			// A key that is named after what was read, and one that is it.
			i32(hostileName), i32(hostileBuffer), mem(load64), mem(store64),
			i32(hostileName), i32(8), i32(hostileBuffer+16<<8), i32(0), []byte{call, callRead, drop},
			value, i32(0), i32(0), []byte{call, callRead, drop},
		)...)
		switch key {
		case "profile.recent", "geo.city":
			code = append(code, join(emit(abi.OpWhy, none, value, none), emit(abi.OpEvent, at("view"), value, none), emit(abi.OpAddHeader, at("X-More"), value, none))...)
		}
		code = append(code, end)
	}
	if len(data) > hostileBuffer {
		panic("too much data")
	}
	// At first it sees what it says of itself last: the order of phases is no secret.
	return withGlobal(moduleOf([]abi.Phase{abi.OnRequest, abi.OnResponse}, code, data, &abi.Manifest{Name: "hostile", Version: "1.0.0", Reads: declare}))
}

// failingGuest is a policy that traps where it sees a history, and never ends where it
// sees a place: who watches whether it fails would know both.
func failingGuest() []byte {
	const recent, city, slot = "profile.recent", "geo.city", "#greeting"
	data := []byte(recent + city + slot + "fine")
	read := func(from, n int) []byte {
		return join(i32(from), i32(n), i32(4096), i32(4096), []byte{callOp, callRead, 0xa7}, i32(0), []byte{0x4e, 0x04, 0x40})
	}
	code := join(
		read(0, len(recent)), []byte{0x00, 0x0b}, // unreachable
		read(len(recent), len(city)), []byte{0x03, 0x40, 0x0c, 0, 0x0b, 0x0b}, // loop br 0
		i32(int(abi.OpText)), i32(len(recent)+len(city)), i32(len(slot)), i32(len(recent)+len(city)+len(slot)), i32(4), i32(0), i32(0), []byte{callOp, callEmit, 0x1a},
	)
	return moduleOf([]abi.Phase{abi.OnRequest, abi.OnResponse}, code, data, &abi.Manifest{Name: "failing", Version: "1.0.0", Reads: map[string]string{recent: "to test", city: "to test"}})
}

const callOp = 0x10

// withGlobal adds a mutable global of type i32 to a module without any.
func withGlobal(module []byte) []byte {
	const export = 7
	for at := 8; at < len(module); {
		if id := module[at]; id == export {
			return join(module[:at], []byte{6, 6, 1, 0x7f, 1, 0x41, 0, 0x0b}, module[at:])
		}
		n, w := binary.Uvarint(module[at+1:])
		at += 1 + w + int(n)
	}
	panic("a module without exports")
}

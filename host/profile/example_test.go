package profile_test

import (
	"fmt"
	"time"

	"bespoke/host/profile"
)

type names map[uint32]string

func (n names) Item(number uint32) string            { return n[number] }
func (n names) Value(number uint32) (string, string) { return "colour", n[number] }

func Example() {
	sealer, err := profile.NewRing(profile.Keys{Original: profile.Key{1}})
	if err != nil {
		panic(err)
	}
	bind := profile.Binding{Use: "profile", Tenant: "stores", Host: "stores.localhost"}
	memory := profile.Memory{}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	var p profile.Inferred
	p.View(1, []uint32{70}, memory.At(now))
	p.View(2, []uint32{70, 71}, memory.At(now.Add(time.Minute)))
	cookie := sealer.AppendSeal(nil, p.AppendEncode(nil), bind)

	var q profile.Inferred
	plain, err := sealer.AppendOpen(nil, cookie, bind)
	if err == nil {
		err = q.Parse(plain)
	}
	if err != nil {
		panic(err)
	}
	q.Decay(memory.At(now.Add(14 * 24 * time.Hour)))
	known := profile.Know(&q, nil, names{1: "Brass lamp", 2: "Black kettle", 70: "black", 71: "white"})
	fmt.Print(known.Text())
	// Output:
	// Since 1 March 2026, 12:00 UTC
	// You looked at:
	//   Black kettle, 1 March 2026, 12:01 UTC
	//   Brass lamp, 1 March 2026, 12:00 UTC
	// What you looked at, searched for or bought suggests that you like:
	//   colour: black (1)
	//   colour: white (0.5)
}

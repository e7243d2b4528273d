package geo

import "testing"

func BenchmarkLookup(b *testing.B) {
	v4, v6 := flatFiles(b)
	for name, data := range map[string][]byte{"maxmind": demo(b), "flat4": v4, "flat6": v6} {
		db := open(b, save(b, "x.mmdb", data))
		a := addr("198.51.100.7")
		if name == "flat6" {
			a = addr("2001:db8::7")
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p := db.Lookup(a); p.City == "" {
					b.Fatal(p)
				}
			}
		})
	}
	b.Run("unknown", func(b *testing.B) {
		db := open(b, save(b, "x.mmdb", v4))
		a := addr("10.0.0.1")
		b.ReportAllocs()
		for b.Loop() {
			if p := db.Lookup(a); p != (Place{}) {
				b.Fatal(p)
			}
		}
	})
}

// A record that no lookup has met before.
func BenchmarkLookupFirst(b *testing.B) {
	v4, _ := flatFiles(b)
	for name, data := range map[string][]byte{"maxmind": demo(b), "flat4": v4} {
		f, err := parse(data)
		if err != nil {
			b.Fatal(err)
		}
		a := addr("198.51.100.7")
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			slot := &f.known[slotOf(f.reader.Lookup(a).Offset())]
			for b.Loop() {
				slot.Store(nil)
				if p, ok := f.lookup(a); !ok {
					b.Fatal(p)
				}
			}
		})
	}
}

func BenchmarkAtCell(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if p := full.At(Cell); p.City == "" {
			b.Fatal(p)
		}
	}
}

func BenchmarkJurisdictionOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if j := JurisdictionOf("US", "CA"); !j.GPC {
			b.Fatal(j)
		}
	}
}

package engine_test

import (
	"context"
	"testing"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// quiet is a Host that allocates nothing.
type quiet struct{ value []byte }

func (q *quiet) Read([]byte) ([]byte, bool) { return q.value, q.value != nil }
func (q *quiet) Emit(abi.Edit) abi.Refusal  { return abi.Accepted }
func (q *quiet) Log(abi.Level, []byte)      {}

func BenchmarkEmptyRun(b *testing.B) {
	m := load(b, start(b, engine.Config{}), only(nil))
	bench(b, m, &quiet{})
}

func bench(b *testing.B, m *engine.Module, h engine.Host) {
	ctx := context.Background()
	for b.Loop() {
		if err := m.Run(ctx, abi.OnResponse, h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGoEmptyRun(b *testing.B) {
	m := loadGo(b, engine.Config{})
	b.Logf("%+v", m.State())
	bench(b, m, &quiet{value: []byte("nothing")})
	b.Logf("%+v", m.State())
}

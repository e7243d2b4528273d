package rewrite

import (
	"testing"

	"bespoke/modules/abi"
)

func compileJSON(t testing.TB, edits ...abi.Edit) *JSONPlan {
	t.Helper()
	p, err := CompileJSON(edits, JSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

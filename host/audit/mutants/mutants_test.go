package main

import (
	"os"
	"testing"
)

// Every leak fits the source as it is now, so that one that was moved away from is
// noticed before somebody plants it.
func TestLeaksFit(t *testing.T) {
	all, err := parse(leaks)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 30 {
		t.Errorf("%d leaks, want at least 30", len(all))
	}
	if err := os.Chdir("../../.."); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if _, err := all[i].files("."); err != nil {
			t.Error(err)
		}
	}
}

//go:build wasip1

// Command guest is a Go program that tests prepare and run: it does what
// policies do (parse, compute, sort, format) and prints what came of it.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

type item struct {
	Name     string  `json:"name"`
	Distance float64 `json:"distance"`
}

//go:wasmexport run
func run(n uint32) uint32 {
	var b strings.Builder
	for i := range n {
		b.WriteString("item" + strconv.Itoa(int(i)) + "=" + strconv.FormatFloat(float64(i)*37.1, 'f', 3, 64) + "\n")
	}
	var items []item
	for line := range strings.Lines(b.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		x, err := strconv.ParseFloat(value, 64)
		if err != nil {
			panic(err)
		}
		items = append(items, item{name, math.Hypot(x, math.Sin(x)*500)})
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.Name[4:], b.Name[4:]) })
	text, err := json.Marshal(items)
	if err != nil {
		panic(err)
	}
	var again []item
	if err := json.Unmarshal(text, &again); err != nil || !slices.Equal(items, again) {
		panic(err)
	}
	fmt.Println(len(text), again[n/2])
	return uint32(len(text))
}

//go:wasmexport forever
func forever() uint32 {
	x := uint32(1)
	for x != 0 {
		x = x*1664525 | 1
	}
	return x
}

func main() {}

// Geocheck opens geo databases and prints what they are and what their licence
// asks to be shown. Exit status 1: a database does not open; 2: wrong use.
//
//	geocheck PATH...
//
// A path is a file, a folder or a list, as geo.Open takes it.
package main

import (
	"fmt"
	"os"
	"time"

	"bespoke/geo"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: geocheck PATH...")
		os.Exit(2)
	}
	for _, path := range os.Args[1:] {
		if err := check(path); err != nil {
			fmt.Fprintln(os.Stderr, "geocheck:", err)
			os.Exit(1)
		}
	}
}

func check(path string) error {
	db, err := geo.Open(path)
	if err != nil {
		return err
	}
	defer db.Close()
	info := db.Info()
	for _, f := range info.Files {
		fmt.Printf("%s: type %q, %s schema, IPv%d, %d networks, built %s\n",
			f.Path, f.Type, f.Schema, f.IPVersion, f.Records, f.Built.Format(time.DateOnly))
	}
	if info.Attribution != "" {
		fmt.Printf("show where its results show: %s (%s)\n", info.Attribution, info.AttributionURL)
	}
	return nil
}

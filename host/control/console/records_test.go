package console

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bespoke/host/ledger"
)

// Who looks further and further back sees each record once, whatever part of a
// millisecond the search began at.
func TestLookFurtherBack(t *testing.T) {
	d := newDiary(t, noon)
	for _, ms := range []int{0, 1, 2, 250, 500, 999} { // around where pages of ten minutes, and of half of it, may begin
		for minute := range 60 {
			d.at(noon.Add(time.Duration(minute)*time.Minute + time.Duration(ms+3)*time.Millisecond)) // an exchange is 3 ms older
			d.exchange("stores", 3)
		}
	}
	d.sealed()
	var want []int64
	for r, err := range ledger.Read(d.dir, ledger.Filter{Kind: ledger.KindExchange}) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, r.Number)
	}
	for _, ns := range []time.Duration{0, 1, 999_999, 1_000_001, 499_999_999, 500_000_000, 999_999_999} {
		now := noon.Add(ns) // it is looked from an hour later on
		query := url.Values{"kind": {ledger.KindExchange}, "from": {noon.Format(formTime)}}
		var got []int64
		for pages := 0; ; pages++ {
			f, err := filterOf(query, now)
			if err != nil || pages > 1000 {
				t.Fatalf("%d ns: page %d: %v", ns, pages, err)
			}
			// No time for work: every page is one step.
			found, from, all, err := latest(d.dir, f.ledger(""), f.last, rowsPerPage, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range found {
				got = append(got, r.Number)
			}
			if all {
				break
			}
			query.Set("before", after(found, from).String())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d ns: %d records on all pages, want %d", ns, len(got), len(want))
		}
	}
}

// A record that is not there, one that was removed on schedule, one that is damaged
// and one that the disk does not give are four different things.
func TestRecordNotShown(t *testing.T) {
	d := newDiary(t, noon.Add(-3*24*time.Hour))
	for day := range 3 {
		d.at(noon.Add(time.Duration(day-3) * 24 * time.Hour))
		d.exchange("stores", 3)
		d.sealed()
	}
	var of []int64
	for r, err := range ledger.Read(d.dir, ledger.Filter{Kind: ledger.KindExchange}) {
		if err != nil {
			t.Fatal(err)
		}
		of = append(of, r.Number)
	}
	first, second, third, none := of[0], of[1], of[2], d.Status().Records
	h := recorded(t, d, nil)
	auditor, books := h.in(h.auditor), h.in(h.books)
	const list = "/console/privacy/records"
	at := func(n int64) string { return list + "/" + strconv.FormatInt(n, 10) }
	for _, n := range of {
		auditor.get(at(n)).want(t, 200)
	}
	auditor.get(at(none)).want(t, 404, fmt.Sprintf("There is no record %d.", none))
	files, err := filepath.Glob(filepath.Join(d.dir, "segments", "*"))
	h.must(err)
	if len(files) != 3 {
		t.Fatal(files)
	}
	h.must(os.Remove(files[0])) // as retention does: from the oldest
	auditor.get(at(first)).want(t, 404, "verifying says whether this one was")
	h.must(os.Chmod(files[1], 0))
	if _, err := os.ReadFile(files[1]); errors.Is(err, fs.ErrPermission) { // root reads it all the same
		auditor.get(at(second)).want(t, 500, fmt.Sprintf("The disk does not give record %d", second))
	}
	h.must(os.Remove(files[1]))
	h.must(os.Mkdir(files[1], 0o700)) // it cannot be read as a file
	auditor.get(at(second)).want(t, 500, fmt.Sprintf("The disk does not give record %d", second))
	auditor.get(list).want(t, 500, "The disk does not give a record of that time")
	h.must(os.Remove(files[1]))
	data, err := os.ReadFile(files[2])
	h.must(err)
	data[len(data)/2] ^= 1
	h.must(os.WriteFile(files[2], data, 0o600))
	auditor.get(at(third)).want(t, 500, fmt.Sprintf("Record %d is damaged", third))
	auditor.get(list).want(t, 500, "A record of that time is damaged", "Verify the ledger")
	if log := h.logged(); !strings.Contains(log, "segments/"+filepath.Base(files[2])) {
		t.Errorf("the log does not say where: %s", log)
	}
	// A tenant learns that it cannot be told, not whose it is or where.
	for _, who := range []browser{books, h.in(h.stores)} {
		r := who.get(at(third)).want(t, 500, "so whose it is cannot be told")
		if strings.Contains(r.body, "segments") || strings.Contains(r.body, d.dir) {
			t.Error(r.body)
		}
		if r := who.get(list).want(t, 500, "A record of that time cannot be read now"); strings.Contains(r.body, "segments") || strings.Contains(r.body, d.dir) {
			t.Error(r.body)
		}
		who.get(at(none)).want(t, 403)
		who.get(at(first)).want(t, 403)
	}
	// One whose file is gone from the middle was removed by no schedule.
	h.must(os.WriteFile(files[0], nil, 0o600))
	auditor.get(at(second)).want(t, 500, "is damaged")
	// Nothing was sealed yet.
	h.must(os.Remove(filepath.Join(d.dir, "checkpoint")))
	auditor.get(at(second)).want(t, 404, "There is no record")
	auditor.get(list).want(t, 200)
}

package geo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"
)

// A schema is how a database lays out a record.
type schema uint8

const (
	maxmind schema = iota + 1 // City, Country, Enterprise
	flat                      // ip-location-db
)

func (s schema) String() string {
	if s == flat {
		return "flat"
	}
	return "maxmind"
}

const (
	maxFile  = 1 << 30 // bytes of one database
	maxFiles = 16      // files of one DB
)

// A file is one opened database.
type file struct {
	path    string
	stat    fs.FileInfo // of the bytes that were read
	reader  *maxminddb.Reader
	schema  schema
	onlyV4  bool
	records int
	known   [1 << knownBits]atomic.Pointer[known] // the only part that changes
}

// openFile reads and checks one database.
//
// It is read into memory, not mapped: if somebody truncates a mapped file, the
// next lookup dies of SIGBUS, which no Go code can catch, and if somebody
// writes into it, lookups see half of each. Memory also makes replacing simple:
// the garbage collector frees an old database when the last lookup has left it.
func openFile(path string) (*file, error) {
	data, stat, err := readAll(path)
	if err != nil {
		return nil, fmt.Errorf("geo database: %w", err)
	}
	f, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("geo database %s: %w", path, err)
	}
	f.path, f.stat = path, stat
	return f, nil
}

func readAll(path string) ([]byte, fs.FileInfo, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	before, err := in.Stat()
	if err != nil {
		return nil, nil, err
	}
	switch size := before.Size(); {
	case !before.Mode().IsRegular():
		return nil, nil, fmt.Errorf("open %s: not a regular file", path)
	case size == 0:
		return nil, nil, fmt.Errorf("open %s: the file is empty", path)
	case size > maxFile:
		return nil, nil, fmt.Errorf("open %s: %d bytes, at most %d are allowed", path, size, maxFile)
	}
	data := make([]byte, before.Size())
	if _, err := io.ReadFull(in, data); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	after, err := in.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !unchanged(before, after) {
		return nil, nil, fmt.Errorf("read %s: it changed meanwhile", path)
	}
	return data, after, nil
}

// unchanged reports whether a and b describe the same contents of the same file.
func unchanged(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// parse checks a database and finds out its schema.
func parse(data []byte) (*file, error) {
	reader, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("not a readable MaxMind DB file: %w", err)
	}
	meta := &reader.Metadata
	if meta.IPVersion != 4 && meta.IPVersion != 6 {
		return nil, fmt.Errorf("type %q: IP version %d, want 4 or 6", typeName(meta), meta.IPVersion)
	}
	tree, err := scanTree(data, meta)
	if err != nil {
		return nil, fmt.Errorf("type %q: %w", typeName(meta), err)
	}
	f := &file{reader: reader, onlyV4: meta.IPVersion == 4, records: tree.records}
	if f.schema, err = detect(reader, tree.sample); err != nil {
		return nil, fmt.Errorf("type %q: %w", typeName(meta), err)
	}
	return f, nil
}

// detect tells the schema by the records at the given offsets, since the type
// names of databases are many and their schemas few. It fails on a record that
// does not decode.
func detect(reader *maxminddb.Reader, offsets []uintptr) (schema, error) {
	found := schema(0)
	var first error
	for _, at := range offsets {
		var c geoip2.City
		var f flatRecord
		res := reader.LookupOffset(at)
		errC, errF := res.Decode(&c), res.Decode(&f)
		seen := schema(0)
		switch {
		case errC == nil && (c.Country.HasData() || c.Continent.HasData()):
			seen = maxmind
		case errF == nil && f.Country != "":
			seen = flat
		case errC != nil && errF != nil && first == nil:
			first = fmt.Errorf("record at offset %d: %w", at, errC)
		}
		if found == 0 {
			found = seen
		} else if seen != 0 && seen != found {
			return 0, errors.New("records in two schemas")
		}
	}
	switch {
	case first != nil && found != 0:
		return 0, fmt.Errorf("damaged: %w", first)
	case found == 0:
		return 0, errors.New("it holds no places: want a City or Country database in MaxMind's schema, or in the flat one with country_code")
	}
	return found, nil
}

// A known is a record that was decoded before. Decoding takes 0.8 to 1.5 µs and
// up to 1,200 bytes of garbage, finding the record in the tree a tenth of that;
// and many networks share a record. No address is kept, only where its record
// stands in the file.
type known struct {
	offset uintptr
	place  Place
}

const knownBits = 12 // of the slot number: 4,096 records, at most 1 MB

// lookup returns the place of a; ok is false if the file does not know it.
func (f *file) lookup(a netip.Addr) (p Place, ok bool) {
	if f.onlyV4 && !a.Is4() {
		return Place{}, false // the reader would build an error
	}
	res := f.reader.Lookup(a)
	if !res.Found() {
		return Place{}, false
	}
	slot := &f.known[slotOf(res.Offset())]
	if k := slot.Load(); k != nil && k.offset == res.Offset() {
		return k.place, true
	}
	if f.schema == flat {
		var r flatRecord
		if res.Decode(&r) != nil {
			return Place{}, false
		}
		p = flatPlace(&r)
	} else {
		var r geoip2.City
		if res.Decode(&r) != nil {
			return Place{}, false
		}
		p = cityPlace(&r)
	}
	slot.Store(&known{res.Offset(), p})
	return p, true
}

// slotOf spreads offsets, whose low bits are uneven, by Fibonacci hashing.
func slotOf(offset uintptr) uint64 {
	return uint64(offset) * 0x9e3779b97f4a7c15 >> (64 - knownBits)
}

// typeName returns the type that the file says it has, at most 100 bytes of it.
func typeName(meta *maxminddb.Metadata) string {
	return meta.DatabaseType[:min(100, len(meta.DatabaseType))]
}

func (f *file) info() FileInfo {
	meta := &f.reader.Metadata
	return FileInfo{
		Path:      f.path,
		Type:      typeName(meta),
		Schema:    f.schema.String(),
		Built:     time.Unix(int64(min(meta.BuildEpoch, 1<<40)), 0).UTC(),
		IPVersion: int(meta.IPVersion),
		Records:   f.records,
	}
}

// attribution returns what the licence of a known source asks to be shown.
// A flat file's metadata does not name its source; its file name does.
func (f *file) attribution() (text, url string) {
	about := filepath.Base(f.path)
	for _, d := range f.reader.Metadata.Description {
		about += " " + d
	}
	about = strings.ToLower(about)
	kind := strings.ToLower(typeName(&f.reader.Metadata))
	switch {
	case strings.Contains(about, "dbip"), strings.Contains(about, "db-ip"), strings.Contains(kind, "dbip"):
		return "IP Geolocation by DB-IP", "https://db-ip.com"
	case strings.Contains(about, "geolite2"):
		return "This product includes GeoLite2 Data created by MaxMind, available from https://www.maxmind.com", "https://www.maxmind.com"
	}
	return "", ""
}

var metadataMarker = []byte("\xAB\xCD\xEFMaxMind.com")

// A tree is what one pass over a search tree found.
type tree struct {
	records int       // networks with data
	sample  []uintptr // offsets of some of their records in the data section
}

const maxSample = 64

// scanTree reads every node of the search tree once, in file order (so a tree
// with cycles ends too), counts the networks that have data and checks that
// every pointer stays inside the file. Layout: MaxMind DB 2.0, "Binary Search
// Tree Section".
func scanTree(data []byte, meta *maxminddb.Metadata) (tree, error) {
	var t tree
	width := meta.RecordSize / 4 // bytes of a node: two records
	if meta.RecordSize != 24 && meta.RecordSize != 28 && meta.RecordSize != 32 {
		return t, fmt.Errorf("records of %d bits, want 24, 28 or 32", meta.RecordSize)
	}
	end := bytes.LastIndex(data, metadataMarker)
	size := meta.NodeCount * width
	if end < 0 || meta.NodeCount > maxFile/width || size+16 > uint(end) {
		return t, errors.New("the search tree is larger than the file")
	}
	section := uint(end) - size - 16
	every := max(1, meta.NodeCount/maxSample)
	for n := range meta.NodeCount {
		left, right := node(data[n*width : (n+1)*width])
		for _, v := range [2]uint{left, right} {
			if v <= meta.NodeCount {
				continue // another node, or no data
			}
			if v < meta.NodeCount+16 || v-meta.NodeCount-16 >= section {
				return t, fmt.Errorf("damaged: node %d points outside the data", n)
			}
			if t.records++; uint(len(t.sample)) <= n/every && len(t.sample) < maxSample {
				t.sample = append(t.sample, uintptr(v-meta.NodeCount-16))
			}
		}
	}
	if t.records == 0 {
		return t, errors.New("it holds no records")
	}
	return t, nil
}

// node returns the two records of a node of 6, 7 or 8 bytes.
func node(b []byte) (left, right uint) {
	switch len(b) {
	case 6:
		return uint(b[0])<<16 | uint(b[1])<<8 | uint(b[2]), uint(b[3])<<16 | uint(b[4])<<8 | uint(b[5])
	case 7:
		return uint(b[3]&0xf0)<<20 | uint(b[0])<<16 | uint(b[1])<<8 | uint(b[2]),
			uint(b[3]&0x0f)<<24 | uint(b[4])<<16 | uint(b[5])<<8 | uint(b[6])
	}
	return uint(b[0])<<24 | uint(b[1])<<16 | uint(b[2])<<8 | uint(b[3]),
		uint(b[4])<<24 | uint(b[5])<<16 | uint(b[6])<<8 | uint(b[7])
}

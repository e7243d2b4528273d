package examples

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// A static is an origin that serves a fixed set of files from memory, each
// plain or compressed. Embedded files have no time of modification, so it
// validates by ETag alone (RFC 9110, section 8.8.3).
type static struct {
	assets map[string]*asset // by URL path; read only once built
	// page makes, when it is asked for, what is not among the assets: its
	// extension and bytes, nil if there is nothing at that address. May be nil.
	page func(u *url.URL) (ext string, body []byte)
}

type asset struct {
	contentType string
	etag        string // of plain, quoted; gzipped has its own
	plain       []byte
	gzipped     []byte // nil when compression does not make it smaller
	gzippedETag string
}

// newStatic reads all of site at "/", and of shared what lies in folder, at
// "/FOLDER/". index.html is served as its folder. It panics if a file cannot
// be read, which does not happen to an embedded one.
func newStatic(site, shared fs.FS, folder string) *static {
	s := &static{assets: map[string]*asset{}}
	s.add(site, ".")
	s.add(shared, folder)
	return s
}

func (s *static) add(files fs.FS, root string) {
	err := fs.WalkDir(files, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		a, err := newAsset(path.Ext(name), body)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.assets[strings.TrimSuffix("/"+name, "index.html")] = a
		return nil
	})
	if err != nil {
		panic("examples: reading the embedded files: " + err.Error())
	}
}

// contentType has a table of its own, since package mime asks the machine that
// it runs on. A file of another kind is an error, so that none is sent untyped.
func contentType(ext string) (string, error) {
	switch ext {
	case ".html":
		return "text/html; charset=utf-8", nil
	case ".css":
		return "text/css; charset=utf-8", nil
	case ".svg":
		return "image/svg+xml", nil
	case ".json":
		return "application/json", nil
	case ".rss":
		return "application/rss+xml", nil
	case ".atom":
		return "application/atom+xml", nil
	}
	return "", fmt.Errorf("no content type for the extension %q", ext)
}

func newAsset(ext string, body []byte) (*asset, error) {
	t, err := contentType(ext)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	tag := hex.EncodeToString(sum[:12])
	a := &asset{contentType: t, etag: `"` + tag + `"`, plain: body}

	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(body); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if packed.Len() < len(body) {
		a.gzipped, a.gzippedETag = packed.Bytes(), `"`+tag+`-gzip"`
	}
	return a, nil
}

// find returns what is at an address, nil if nothing is.
func (s *static) find(u *url.URL) *asset {
	if a := s.assets[u.Path]; a != nil || s.page == nil {
		return a
	}
	ext, body := s.page(u)
	if body == nil {
		return nil
	}
	a, err := newAsset(ext, body)
	if err != nil {
		panic("examples: " + u.Path + ": " + err.Error()) // an extension that page has and contentType has not
	}
	return a
}

func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := s.find(r.URL)
	if a == nil {
		if folder, ok := strings.CutSuffix(r.URL.Path, "/index.html"); ok && s.assets[folder+"/"] != nil {
			http.Redirect(w, r, folder+"/", http.StatusMovedPermanently)
			return
		}
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page can only be read", http.StatusMethodNotAllowed)
		return
	}

	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "public, max-age=60")
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	body, etag := a.plain, a.etag
	if a.gzipped != nil && acceptsGzip(r.Header.Values("Accept-Encoding")) {
		body, etag = a.gzipped, a.gzippedETag
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	// ServeContent answers conditional and range requests of the representation that was chosen.
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reports whether the lines of Accept-Encoding allow gzip, by name
// or by "*", with a weight above zero (RFC 9110, section 12.5.3).
func acceptsGzip(lines []string) bool {
	named, any := -1.0, -1.0 // the weight that was given, below zero when none was
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			coding, params, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				named = weight(params)
			case "*":
				any = weight(params)
			}
		}
	}
	if named >= 0 {
		return named > 0
	}
	return any > 0
}

// weight reads the parameters of one element, such as " q=0.5". No weight is
// 1; one that does not parse is 0, so that a doubtful client gets plain bytes.
func weight(params string) float64 {
	name, value, ok := strings.Cut(strings.TrimSpace(params), "=")
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

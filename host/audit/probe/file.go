package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// A File says what the probe cannot find out: how a site is told of a refusal and of
// an agreement, and whose data its visitors are to have.
type File struct {
	Refuse        *Side                `json:"refuse"` // nil: the site's own privacy centre if it has ours, else Sec-GPC alone
	Agree         *Side                `json:"agree"`  // nil: likewise, else nothing is said
	Dimensions    map[string]FileSides `json:"dimensions"`
	IgnoreHeaders []string             `json:"ignore_headers"`
}

// FileSides are the two visitors of a dimension.
type FileSides struct {
	A Side `json:"a"`
	B Side `json:"b"`
	// Declared says that visitors set this for themselves, and that it may show
	// whatever they refused.
	Declared bool `json:"declared"`
	// Secret says that the values (of an account) are to be in no report.
	Secret bool `json:"secret"`
}

// A Side is what a visitor carries, and does before the page is measured.
type Side struct {
	Headers  map[string]string `json:"headers"`
	Cookies  map[string]string `json:"cookies"`
	Requests []Step            `json:"requests"`

	place string // address; "": none
}

// A Step is one request before the measured one. Body is sent as it is, with
// ContentType.
type Step struct {
	Method      string `json:"method"` // GET if ""
	Path        string `json:"path"`
	ContentType string `json:"content_type"`
	Body        string `json:"body"`
}

// Bounds of a file.
const (
	maxFile       = 1 << 20
	maxDimensions = 32
	maxSteps      = 64
)

// ReadFile reads and checks a file of JSON. Unknown keys are errors.
func ReadFile(r io.Reader) (*File, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("longer than %d bytes", maxFile)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	f := &File{}
	if err := d.Decode(f); err != nil {
		line := 1 + bytes.Count(data[:min(int(d.InputOffset()), len(data))], []byte{'\n'})
		return nil, fmt.Errorf("near line %d: %w", line, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more after the JSON object")
	}
	return f, f.check()
}

func (f *File) check() error {
	if len(f.Dimensions) > maxDimensions {
		return fmt.Errorf("dimensions: at most %d may be", maxDimensions)
	}
	for what, s := range map[string]*Side{"refuse": f.Refuse, "agree": f.Agree} {
		if err := s.check(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Dimensions)) {
		d := f.Dimensions[name]
		if name == "" || len(name) > 40 || strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }) {
			return fmt.Errorf("dimensions: %q is no name: expected at most 40 lower-case letters and hyphens", name)
		}
		for side, s := range map[string]*Side{"a": &d.A, "b": &d.B} {
			if err := s.check(); err != nil {
				return fmt.Errorf("dimensions: %s: %s: %w", name, side, err)
			}
		}
	}
	return nil
}

func (s *Side) check() error {
	if s == nil {
		return nil
	}
	if len(s.Requests) > maxSteps {
		return fmt.Errorf("at most %d requests may be", maxSteps)
	}
	for _, r := range s.Requests {
		if !strings.HasPrefix(r.Path, "/") {
			return fmt.Errorf("requests: found path %.60q, expected one of the site, from its first /", r.Path)
		}
	}
	for name, value := range s.Headers {
		if strings.ContainsAny(name+value, "\r\n\x00") || name == "" || http.CanonicalHeaderKey(name) == "Cookie" {
			return fmt.Errorf("headers: %.60q cannot be sent; cookies stand under cookies", name)
		}
	}
	for name, value := range s.Cookies {
		if name == "" || strings.ContainsAny(name, "\r\n\x00;= ") || strings.ContainsAny(value, "\r\n\x00;") {
			return fmt.Errorf("cookies: %.60q cannot be sent", name)
		}
	}
	return nil
}

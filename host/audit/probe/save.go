package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Save writes the report into a folder, which must not hold one yet: report.txt,
// report.json, and a folder for each pair that differed with both visitors' requests,
// both answers and a script that asks again. Only the user can read it: it holds the
// cookies of the probe's visitors.
func (r *Report) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	write := func(name string, data []byte) error {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if _, err = f.Write(data); err != nil {
			f.Close()
			return err
		}
		return f.Close()
	}
	var text bytes.Buffer
	r.Text(&text)
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := write("report.txt", text.Bytes()); err != nil {
		return err
	}
	if err := write("report.json", append(data, '\n')); err != nil {
		return err
	}
	for i, e := range r.Exhibits {
		pair := fmt.Sprintf("pair-%d", i+1)
		if err := os.Mkdir(filepath.Join(dir, pair), 0o700); err != nil {
			return err
		}
		files := map[string][]byte{"repeat.sh": []byte(e.script(r.Ignored))}
		for name, w := range map[string]*Witness{"a": &e.A, "b": &e.B} {
			files[name+".requests"] = []byte(w.sent())
			files[name+".header"] = []byte(w.Response.head())
			files[name+".body"] = w.Response.Body
		}
		for name, data := range files {
			if err := write(filepath.Join(pair, name), data); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Response) head() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", r.Status)
	for _, name := range names(r.Header) {
		for _, v := range r.Header[name] {
			b.WriteString(name + ": " + v + "\n")
		}
	}
	if r.Broken != "" {
		b.WriteString("(" + r.Broken + ")\n")
	}
	return b.String()
}

func (w *Witness) sent() string {
	var b strings.Builder
	for i := range w.Requests {
		r := &w.Requests[i]
		fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL)
		for _, name := range names(r.Header) {
			for _, v := range r.Header[name] {
				b.WriteString(name + ": " + v + "\n")
			}
		}
		b.WriteString("\n")
		if r.Body != "" {
			b.WriteString(r.Body + "\n\n")
		}
	}
	return b.String()
}

// script asks for both answers again, and compares them as the probe does: without
// the ignored fields, and whatever the order of fields of different names.
func (e *Exhibit) script(ignored []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n# %s, refused by %s, %s: the measured requests of both visitors again.\n", e.Dimension, e.Way, quote(e.Page))
	b.WriteString("export LC_ALL=C\n: > again-a.header; : > again-b.header\n")
	ask := func(w *Witness, name string) string {
		return fmt.Sprintf("%s > again-%s.body\n", curl(&w.Requests[len(w.Requests)-1], "-gs -D again-"+name+".header"), name)
	}
	asks := [2]string{ask(&e.A, "a"), ask(&e.B, "b")}
	if e.BFirst {
		asks[0], asks[1] = asks[1], asks[0]
	}
	b.WriteString(asks[0] + asks[1])
	fmt.Fprintf(&b, "for v in a b; do\n\tgrep -viE %s again-$v.header |%s sort -f -s -t: -k1,1 | cat - again-$v.body > again-$v\ndone\n", quote(fieldNames(ignored)), e.undated())
	b.WriteString("if test ! -s again-a.header && test ! -s again-b.header; then\n\techo 'no answer to either' >&2; exit 2\nfi\ncmp again-a again-b && echo 'equal, this time'\n")
	b.WriteString("\n# All that they sent before, in order:\n")
	for i, w := range []*Witness{&e.A, &e.B} {
		for j := range w.Requests[:len(w.Requests)-1] {
			for line := range strings.Lines(Curl(&w.Requests[j])) {
				b.WriteString("# " + "ab"[i:i+1] + ": " + strings.TrimSuffix(line, "\n") + "\n")
			}
		}
	}
	return b.String()
}

// fieldNames is an extended regular expression of lines with these fields.
func fieldNames(list []string) string {
	quoted := make([]string, len(list))
	for i := range list {
		quoted[i] = regexp.QuoteMeta(list[i])
	}
	return "^(" + strings.Join(quoted, "|") + ")[[:space:]]*:"
}

// undated is a filter that takes dates out of other fields, which go with the clock:
// unless a date is what the visitors differed in.
func (e *Exhibit) undated() string {
	for _, d := range e.Differences {
		if d.Offset < 0 && (httpDate.MatchString(d.A) || httpDate.MatchString(d.B)) {
			return ""
		}
	}
	return " sed -E " + quote("s/"+httpDatePattern+"/(a date)/g") + " |"
}

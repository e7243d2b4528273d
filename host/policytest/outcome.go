package policytest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/rogpeppe/go-internal/txtar"

	"bespoke/modules/abi"
)

// An Outcome is what came of an exchange.
type Outcome struct {
	Page  []byte // as the visitor gets it
	Edits []Edit // of all runs, in order
}

// An Edit is one that the policy emitted, and why it was refused if it was.
type Edit struct {
	abi.Edit
	Refused abi.Refusal
}

// String returns the edit as a line of the section edits: the operation, the
// target and the arguments, quoted (as in Go) where they are not one plain word.
func (e Edit) String() string {
	var b strings.Builder
	if e.Refused != abi.Accepted {
		b.WriteString("refused (" + e.Refused.String() + ") ")
	}
	b.WriteString(e.Op.String())
	fields := []string{e.Target, e.A, e.B}
	for len(fields) > 0 && fields[len(fields)-1] == "" {
		fields = fields[:len(fields)-1]
	}
	for _, f := range fields {
		q := strconv.Quote(f)
		if len(q) == len(f)+2 && f != "" && !strings.Contains(f, " ") {
			q = f
		}
		b.WriteString(" " + q)
	}
	return b.String()
}

func (o *Outcome) edits() []byte {
	var b bytes.Buffer
	for _, e := range o.Edits {
		b.WriteString(e.String() + "\n")
	}
	return b.Bytes()
}

// section returns the text of a section, and whether it is there.
func (f *Fixture) section(name string) ([]byte, bool) {
	for _, file := range f.archive.Files {
		if file.Name == name {
			return file.Data, true
		}
	}
	return nil, false
}

// Compare returns how the outcome differs from what the fixture expects, as
// unified diffs; "" if it does not. It fails if the fixture expects nothing.
func (f *Fixture) Compare(o Outcome) (string, error) {
	edits, hasEdits := f.section(sectionEdits)
	want, hasWant := f.section(sectionWant)
	if !hasEdits && !hasWant {
		return "", fmt.Errorf("%s: it has neither the section edits nor want, and so expects nothing; --update adds both", f.Name)
	}
	var b strings.Builder
	if hasEdits {
		b.WriteString(difference(sectionEdits, uncomment(edits), o.edits()))
	}
	if hasWant {
		b.WriteString(difference(sectionPage, ended(want), ended(o.Page)))
	}
	return b.String(), nil
}

func difference(what string, want, got []byte) string {
	text := diff.Diff(what+" expected", want, what+" now", got)
	_, text, _ = bytes.Cut(text, []byte("\n")) // a line that repeats the names
	return string(text)
}

// uncomment leaves out blank lines and those that begin with "#", which no edit does.
func uncomment(text []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			b.Write(append(line, '\n'))
		}
	}
	return b.Bytes()
}

// ended returns text with a newline at its end, as txtar has it.
func ended(text []byte) []byte {
	if len(text) == 0 || text[len(text)-1] == '\n' {
		return text
	}
	return append(bytes.Clone(text), '\n')
}

// Update returns the fixture's file with what it expects taken from the
// outcome: the sections edits and want that are there, or both if neither is.
func (f *Fixture) Update(o Outcome) ([]byte, error) {
	_, hasEdits := f.section(sectionEdits)
	_, hasWant := f.section(sectionWant)
	neither := !hasEdits && !hasWant
	out := &txtar.Archive{Comment: f.archive.Comment}
	for _, file := range f.archive.Files {
		switch file.Name {
		case sectionEdits:
			file.Data = o.edits()
		case sectionWant:
			file.Data = ended(o.Page)
		}
		out.Files = append(out.Files, file)
	}
	if neither {
		out.Files = append(out.Files, txtar.File{Name: sectionEdits, Data: o.edits()}, txtar.File{Name: sectionWant, Data: ended(o.Page)})
	}
	text := txtar.Format(out)
	// A page may have a line that looks like the beginning of a section.
	again := txtar.Parse(text)
	same := len(again.Files) == len(out.Files)
	for i := 0; same && i < len(out.Files); i++ {
		same = bytes.Equal(again.Files[i].Data, ended(out.Files[i].Data))
	}
	if !same {
		return nil, fmt.Errorf("%s: the page has a line that would begin a section; put \"edits\" into the fixture instead of \"want\"", f.Name)
	}
	return text, nil
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A mutant is one leak, as mutants.txt has it.
type mutant struct {
	name, what string
	changes    []change
}

// A change takes lines out of a file and puts others there.
type change struct{ file, from, to string }

// parse reads mutants.txt.
func parse(text string) (all []mutant, err error) {
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		var m *mutant
		var c *change
		if len(all) > 0 {
			m = &all[len(all)-1]
			if len(m.changes) > 0 {
				c = &m.changes[len(m.changes)-1]
			}
		}
		switch {
		case strings.HasPrefix(line, "== "):
			name, what, ok := strings.Cut(line[3:], ": ")
			if !ok || seen[name] || name == unplanted {
				return nil, fmt.Errorf("mutants.txt:%d: expected \"== NAME: what it does\", and a name of its own", n)
			}
			seen[name] = true
			all = append(all, mutant{name: name, what: what})
		case line == "" || m == nil:
		case strings.HasPrefix(line, "@ "):
			m.changes = append(m.changes, change{file: line[2:]})
		case c != nil && line[0] == '-' && c.to == "":
			c.from += line[1:] + "\n"
		case c != nil && line[0] == '+':
			c.to += line[1:] + "\n"
		default:
			return nil, fmt.Errorf("mutants.txt:%d: expected \"@ FILE\", or lines with - and then with +", n)
		}
	}
	return all, nil
}

// files returns what the mutant makes of files below root.
func (m *mutant) files(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, c := range m.changes {
		text, ok := files[c.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, c.file))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			text = string(b)
		}
		// The last line may be the beginning of one, or any part of it where it is the only one.
		from, to := strings.TrimSuffix(c.from, "\n"), strings.TrimSuffix(c.to, "\n")
		if n := strings.Count(text, from); from == "" || n != 1 {
			return nil, fmt.Errorf("%s no longer fits: %s has these lines %d times, expected once:\n%s", m.name, c.file, n, from)
		}
		files[c.file] = strings.Replace(text, from, to, 1)
	}
	return files, nil
}

// overlay writes what go build -overlay takes (go help build): which files stand in
// place of which.
func (m *mutant) overlay(dir string) (string, error) {
	files, err := m.files(".")
	if err != nil {
		return "", err
	}
	instead := map[string]string{}
	for name, text := range files {
		at := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			return "", err
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		instead[abs] = at
	}
	b, err := json.Marshal(map[string]any{"Replace": instead})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, b, 0o600)
}

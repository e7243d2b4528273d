package abi

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ManifestSection is the name of the custom section that holds the manifest:
// a JSON object, or, in a module that carries several policies, an array of them.
const ManifestSection = "bespoke.manifest"

// A Manifest declares what a policy reads, and why, and what it may do.
// An undeclared key is absent; without a manifest every key is.
type Manifest struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	About   string            `json:"about,omitempty"`  // one sentence
	Reads   map[string]string `json:"reads,omitempty"`  // key, or prefix ending in "*" -> the reason
	Rights  []string          `json:"rights,omitempty"` // see RightHTML
	On      []string          `json:"on,omitempty"`     // "request", "response"; empty: what the module exports
	With    map[string]Option `json:"with,omitempty"`   // options of its configuration; nil: any
}

// RightHTML lets a policy emit markup.
const RightHTML = "html"

// An Option describes one entry of a policy's configuration.
type Option struct {
	// Type is "text", "number", "integer", "boolean", "selector" (CSS),
	// "target" (CSS, or a JSON Pointer that begins with /) or "name" (of an
	// attribute); with "one-of", Values lists what is allowed.
	Type     string   `json:"type"`
	Values   []string `json:"values,omitempty"`
	Required bool     `json:"required,omitempty"`
	About    string   `json:"about,omitempty"`
}

// Types of an Option.
const (
	OptionText     = "text"
	OptionNumber   = "number"
	OptionInteger  = "integer"
	OptionBoolean  = "boolean"
	OptionSelector = "selector"
	OptionTarget   = "target"
	OptionName     = "name"
	OptionOneOf    = "one-of"
)

// Declares reports whether the manifest declares that the policy reads key.
// config.* and consent.* are about the policy's own setting and need no declaration.
func (m *Manifest) Declares(key string) bool {
	if strings.HasPrefix(key, KeyConfig) || strings.HasPrefix(key, KeyConsent) {
		return true
	}
	if _, ok := m.Reads[key]; ok {
		return true
	}
	if strings.HasPrefix(key, KeyRecommend) {
		// How much of a band is asked for does not change whose it is.
		band, _, _ := strings.Cut(key, "?")
		if _, ok := m.Reads[band]; ok {
			return true
		}
	}
	for k := range m.Reads {
		if p, ok := strings.CutSuffix(k, "*"); ok && strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// Has reports whether the manifest asks for the right.
func (m *Manifest) Has(right string) bool {
	for _, r := range m.Rights {
		if r == right {
			return true
		}
	}
	return false
}

// Runs reports whether the policy wants to run in phase p, given that the module exports it.
func (m *Manifest) Runs(p Phase) bool {
	if len(m.On) == 0 {
		return true
	}
	for _, o := range m.On {
		if o == p.String() {
			return true
		}
	}
	return false
}

const (
	maxManifest = 64 << 10

	// maxReads bounds the keys of one policy, in bytes: each record of an exchange names those that it
	// read, and every record has to be written, kept and read again.
	maxReads = 4 << 10
)

var manifestName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// ParseManifests reads the contents of a manifest section.
// It fails on unknown fields, keys that this version does not have, and names used twice.
func ParseManifests(section []byte) ([]Manifest, error) {
	if len(section) > maxManifest {
		return nil, fmt.Errorf("manifest has %d bytes, at most %d are allowed", len(section), maxManifest)
	}
	section = bytes.TrimSpace(section)
	if !utf8.Valid(section) {
		return nil, errors.New("manifest: not UTF-8")
	}
	if err := exactFields(section); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	var list []Manifest
	if len(section) > 0 && section[0] == '[' {
		if err := strict(section, &list); err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
	} else {
		list = make([]Manifest, 1)
		if err := strict(section, &list[0]); err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
	}
	seen := map[string]bool{}
	for i := range list {
		m := &list[i]
		if err := m.check(); err != nil {
			return nil, err
		}
		if seen[m.Name] {
			return nil, fmt.Errorf("manifest: the name %q stands twice", m.Name)
		}
		seen[m.Name] = true
	}
	if len(list) == 0 {
		return nil, errors.New("manifest: an empty list")
	}
	return list, nil
}

func (m *Manifest) check() error {
	if !manifestName.MatchString(m.Name) {
		return fmt.Errorf("manifest: name %q: want a lower-case letter, then up to 63 letters, digits or hyphens", m.Name)
	}
	size := 0
	for k := range m.Reads {
		if !declarable(k) {
			return fmt.Errorf("manifest of %s: reads %q: no such key", m.Name, k)
		}
		if strings.ContainsFunc(k, unicode.IsControl) {
			return fmt.Errorf("manifest of %s: reads %q: a control character in a key", m.Name, k)
		}
		size += len(k)
	}
	if size > maxReads {
		return fmt.Errorf("manifest of %s: the keys of reads have %d bytes, at most %d are allowed; a prefix that ends in * stands for many keys", m.Name, size, maxReads)
	}
	for _, r := range m.Rights {
		if r != RightHTML {
			return fmt.Errorf("manifest of %s: right %q: the only right is %q", m.Name, r, RightHTML)
		}
	}
	for _, o := range m.On {
		if o != OnRequest.String() && o != OnResponse.String() {
			return fmt.Errorf("manifest of %s: on %q: want \"request\" or \"response\"", m.Name, o)
		}
	}
	for name, o := range m.With {
		switch o.Type {
		case OptionText, OptionNumber, OptionInteger, OptionBoolean, OptionSelector, OptionTarget, OptionName:
		case OptionOneOf:
			if len(o.Values) == 0 {
				return fmt.Errorf("manifest of %s: option %q: one-of without values", m.Name, name)
			}
		default:
			return fmt.Errorf("manifest of %s: option %q: unknown type %q", m.Name, name, o.Type)
		}
	}
	return nil
}

// declarable reports whether a key, or a prefix ending in "*", names keys of this version.
func declarable(k string) bool {
	p, star := strings.CutSuffix(k, "*")
	if !star {
		return Classify(k) != Unknown
	}
	for _, f := range []string{KeyRequestQuery, KeyRequestHeader, KeyConfig, KeyConsent, KeyPage, KeyPreference, KeyRecommend, KeyExperiment, keyAffinity, "geo.", "time."} {
		if strings.HasPrefix(p, f) {
			return true
		}
	}
	return false
}

// exactFields refuses fields that encoding/json would take for known ones,
// because they differ in case only. What is no manifest at all is left to strict.
func exactFields(section []byte) error {
	list := []map[string]json.RawMessage{}
	if json.Unmarshal(section, &list) != nil {
		one := map[string]json.RawMessage{}
		if json.Unmarshal(section, &one) != nil {
			return nil
		}
		list = append(list, one)
	}
	for _, m := range list {
		if err := known(m, "name", "version", "about", "reads", "rights", "on", "with"); err != nil {
			return err
		}
		with := map[string]map[string]json.RawMessage{}
		if json.Unmarshal(m["with"], &with) != nil {
			continue
		}
		for _, option := range with {
			if err := known(option, "type", "values", "required", "about"); err != nil {
				return err
			}
		}
	}
	return nil
}

func known(fields map[string]json.RawMessage, names ...string) error {
	for f := range fields {
		if !slices.Contains(names, f) {
			return fmt.Errorf("unknown field %q", f)
		}
	}
	return nil
}

func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("text after the value")
	}
	return nil
}

// AppendManifest returns module with a manifest section added at its end, as
// custom sections may be (WebAssembly core 2.0, section 5.5.3).
// The manifest is checked first; module is not.
func AppendManifest(module, manifest []byte) ([]byte, error) {
	if _, err := ParseManifests(manifest); err != nil {
		return nil, err
	}
	body := binary.AppendUvarint(nil, uint64(len(ManifestSection)))
	body = append(body, ManifestSection...)
	body = append(body, manifest...)
	out := append(make([]byte, 0, len(module)+len(body)+8), module...)
	out = append(out, 0)
	out = binary.AppendUvarint(out, uint64(len(body)))
	return append(out, body...), nil
}

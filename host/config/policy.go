package config

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bespoke/host/rewrite"
	"bespoke/modules/abi"
)

func (d *decoder) routes(n *node) []Route {
	var (
		out []Route
		all pos // of a route that stands for every path
	)
	seen := map[string]pos{}
	d.each(n, "routes", func(n *node) {
		var r Route
		d.mapping(n, "a route", []field{
			{"path", true, func(n *node) {
				if r.Path = d.pattern(n); r.Path == "" {
					return
				}
				if at, ok := seen[r.Path]; ok {
					d.errorf(n.pos, "path: %s is never reached, as it stands at %s already", quote(r.Path), at)
				} else if all != (pos{}) {
					d.errorf(n.pos, "path: %s is never reached, as the path at %s stands for all", quote(r.Path), all)
				} else if seen[r.Path] = n.pos; r.Path == "/**" {
					all = n.pos
				}
			}},
			{"items", false, func(n *node) { r.Items = d.items(n) }},
			{"policies", false, func(n *node) {
				d.each(n, "policies", func(n *node) { r.Policies = append(r.Policies, d.policy(n)) })
			}},
		})
		out = append(out, r)
	})
	return out
}

// pattern checks a path pattern; see Route.Match. It refuses what no request's
// path can match.
func (d *decoder) pattern(n *node) string {
	const want = "a path that begins with \"/\", such as /shop/**"
	s, ok := d.text(n, "path", want)
	if !ok {
		return ""
	}
	why := ""
	switch {
	case s[0] != '/':
		if why = "; did you mean " + quote("/"+s) + "?"; s[0] == '*' {
			why = "; did you mean " + quote("/**") + "?"
		}
	case len(s) > maxPattern:
		why = "; it has more than " + strconv.Itoa(maxPattern) + " bytes"
	case strings.ContainsAny(s, "?#"):
		why = "; a path has no query and no fragment"
	case strings.Contains(s, "***"):
		why = "; \"*\" stands for a part of one segment, \"**\" for anything"
	case strings.Contains(s, "//") || strings.Contains(s+"/", "/./") || strings.Contains(s+"/", "/../"):
		why = "; \"//\", \"/./\" and \"/../\" are taken out of a path before"
	case strings.ContainsAny(s, "\n\t"):
		why = "; it has a tab or a line break"
	default:
		return s
	}
	d.errorf(n.pos, "path: found %s, expected %s%s", n.describe(), want, why)
	return ""
}

func (d *decoder) policy(n *node) PolicyUse {
	var (
		u       PolicyUse
		with    *node
		useNode *node
		m       *abi.Manifest
		ok      bool
	)
	d.mapping(n, "a policy", []field{
		{"use", true, func(n *node) {
			useNode, u.Use, u.Line, u.Col = n, n.text, n.line, n.col
			u.Ref, ok = d.ref(n)
		}},
		{"with", false, func(n *node) { with = n }},
	})
	if ok {
		m, ok = d.manifest(u.Ref, useNode.pos)
	}
	if with != nil {
		u.With = d.with(with, u.Use, m)
	}
	if ok && m != nil {
		d.required(useNode.pos, u.Use, with, m)
	}
	return u
}

var builtinName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// ref reads where a policy comes from.
func (d *decoder) ref(n *node) (Ref, bool) {
	const want = "the name of a policy, NAME@VERSION of one that was uploaded, or file: and a path"
	s, ok := d.text(n, "use", want)
	if !ok {
		return Ref{}, false
	}
	if p, ok := strings.CutPrefix(s, "file:"); ok {
		return d.fileRef(n, p)
	}
	if name, version, ok := strings.Cut(s, "@"); ok && builtinName.MatchString(name) {
		if version == "active" {
			return Ref{Kind: Uploaded, Name: name}, true
		}
		if v, err := strconv.Atoi(version); err == nil && v > 0 && strconv.Itoa(v) == version {
			return Ref{Kind: Uploaded, Name: name, Version: v}, true
		}
		d.errorf(n.pos, "use: found %s, expected a version after @: a number from 1, or active", n.describe())
		return Ref{}, false
	}
	if !builtinName.MatchString(s) {
		hint := ""
		if strings.HasSuffix(s, ".wasm") && !strings.Contains(s, "://") {
			hint = "; did you mean " + quote("file:"+s) + "?"
		}
		d.errorf(n.pos, "use: found %s, expected %s%s", n.describe(), want, hint)
		return Ref{}, false
	}
	return Ref{Kind: Builtin, Name: s}, true
}

func (d *decoder) fileRef(n *node, p string) (Ref, bool) {
	if p == "" {
		d.errorf(n.pos, "use: found %s, expected a path after file:", n.describe())
		return Ref{}, false
	}
	p = d.path(p)
	if i, err := os.Stat(p); err != nil {
		d.errorf(n.pos, "use: %s: %s", quote(p), reason(err))
		return Ref{}, false
	} else if !i.Mode().IsRegular() {
		d.errorf(n.pos, "use: %s is not a file", quote(p))
		return Ref{}, false
	}
	return Ref{Kind: File, Name: strings.TrimSuffix(filepath.Base(p), ".wasm"), File: p}, true
}

// manifest asks once what a policy declares; an error is reported wherever the policy is used.
func (d *decoder) manifest(r Ref, at pos) (*abi.Manifest, bool) {
	a, ok := d.manifests[r]
	if !ok {
		a.manifest, a.err = d.policies.Manifest(r)
		d.manifests[r] = a
	}
	if a.err != nil {
		d.errorf(at, "use: %v", a.err)
		return nil, false
	}
	return a.manifest, true
}

// with checks the options of a policy. Without a declaration any are taken.
func (d *decoder) with(n *node, use string, m *abi.Manifest) []Setting {
	if n.kind != mapping {
		d.errorf(n.pos, "with: found %s, expected a mapping of options", n.describe())
		return nil
	}
	var out []Setting
	seen := map[string]pos{}
	for _, p := range n.pairs {
		name := p.key.text
		if at, ok := seen[name]; ok {
			d.errorf(p.key.pos, "with: %s stands twice, first at %s", quote(name), at)
			continue
		}
		seen[name] = p.key.pos
		o := abi.Option{Type: abi.OptionText}
		switch {
		case name == "":
			d.errorf(p.key.pos, "with: found an empty name of an option")
			continue
		case abi.KeyConfig+name == abi.KeyConfigPolicy:
			d.errorf(p.key.pos, "with: %q is not an option, as the host sets it to the policy's name", name)
			continue
		case m != nil && m.With != nil:
			known := slices.Sorted(maps.Keys(m.With))
			if o = m.With[name]; o.Type == "" {
				d.errorf(p.key.pos, "with: %s has no option %s%s", quote(use), quote(name), expectedOption(name, known))
				continue
			}
		}
		if v, ok := d.setting(p.value, name, o); ok {
			out = append(out, Setting{name, v})
		}
	}
	slices.SortFunc(out, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func expectedOption(name string, known []string) string {
	if len(known) == 0 {
		return ", as it has none"
	}
	return expected(name, known)
}

func (d *decoder) required(at pos, use string, with *node, m *abi.Manifest) {
	for _, name := range slices.Sorted(maps.Keys(m.With)) {
		o := m.With[name]
		if !o.Required {
			continue
		}
		if with != nil && slices.ContainsFunc(with.pairs, func(p pair) bool { return p.key.text == name }) {
			continue
		}
		d.errorf(at, "with: %s needs the option %q, %s", quote(use), name, wanted(o))
	}
}

// setting checks the value of an option against its declared type.
func (d *decoder) setting(n *node, name string, o abi.Option) (string, bool) {
	if n.kind == sequence && o.Type == abi.OptionText {
		var lines []string
		for _, item := range n.items {
			if item.kind != scalar || strings.Contains(item.text, "\n") {
				d.errorf(item.pos, "with.%s: found %s, expected one line of text", name, item.describe())
				return "", false
			}
			lines = append(lines, item.text)
		}
		return strings.Join(lines, "\n"), true
	}
	if n.kind != scalar {
		d.errorf(n.pos, "with.%s: found %s, expected %s", name, n.describe(), wanted(o))
		return "", false
	}
	pointer := o.Type == abi.OptionTarget && strings.HasPrefix(n.text, "/") // no selector begins so
	if o.Type == abi.OptionSelector || o.Type == abi.OptionTarget && !pointer {
		if err := rewrite.CheckSelector(n.text); err != nil {
			d.errorf(n.pos, "with.%s: %v", name, err)
			return "", false
		}
	}
	if why, ok := fits(n, o); !ok {
		d.errorf(n.pos, "with.%s: found %s, expected %s%s", name, n.describe(), wanted(o), why)
		return "", false
	}
	return n.text, true
}

var (
	decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	integer = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	attr    = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.:-]*$`)
)

// fits reports whether a scalar is of an option's type, but for a selector; hint
// may say what is amiss.
func fits(n *node, o abi.Option) (hint string, ok bool) {
	switch o.Type {
	case abi.OptionNumber, abi.OptionInteger, abi.OptionBoolean:
		plain := &node{kind: scalar, text: n.text}
		if n.quoted {
			if _, ok := fits(plain, o); ok {
				return "; leave the quotes out", false
			}
			return "", false
		}
	}
	switch o.Type {
	case abi.OptionNumber:
		v, err := strconv.ParseFloat(n.text, 64)
		return "", decimal.MatchString(n.text) && err == nil && !math.IsInf(v, 0)
	case abi.OptionInteger:
		_, err := strconv.ParseInt(n.text, 10, 64)
		return "", integer.MatchString(n.text) && err == nil
	case abi.OptionBoolean:
		return likeBoolean(n), n.text == "true" || n.text == "false"
	case abi.OptionName:
		return "", attr.MatchString(n.text)
	case abi.OptionOneOf:
		return suggest(n.text, o.Values), slices.Contains(o.Values, n.text)
	}
	return "", true
}

// wanted says what an option takes.
func wanted(o abi.Option) string {
	switch o.Type {
	case abi.OptionNumber:
		return "a number such as 2.5"
	case abi.OptionInteger:
		return "a whole number"
	case abi.OptionBoolean:
		return "true or false"
	case abi.OptionName:
		return "the name of an attribute, such as data-lat"
	case abi.OptionOneOf:
		return list(o.Values)
	case abi.OptionSelector:
		return "a CSS selector, such as \"#results\""
	case abi.OptionTarget:
		return "a CSS selector, such as \"#results\", or a JSON Pointer, such as /items"
	}
	return "text"
}

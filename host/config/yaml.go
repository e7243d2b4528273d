package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxBlank bounds blank lines in a row: the lexer takes cubic time for those at
// the end of a block of text.
const maxBlank = 100

type kind uint8

const (
	scalar kind = iota
	mapping
	sequence
	nothing // no value, or null
)

// A node is a value of the file. Only the part of YAML that a configuration
// needs is left: text, mappings with text as keys, and lists.
type node struct {
	pos
	kind   kind
	text   string // of a scalar, as YAML reads it
	quoted bool   // the scalar stood in quotes or in a block, so it is text and nothing else
	items  []*node
	pairs  []pair
}

type pair struct{ key, value *node }

// read parses the text into a tree. It returns nil after reporting why not.
func (d *decoder) read(data []byte) *node {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !d.checkBytes(data) {
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if !d.checkTokens(tokens) {
		return nil
	}
	body, err := parse(tokens)
	if err != nil {
		at, msg := syntax(err)
		d.errorf(at, "not valid YAML: %s", msg)
		return nil
	}
	if body == nil {
		d.errorf(pos{1, 1}, "the file is empty, expected a mapping with at least the key \"tenants\"")
		return nil
	}
	before := len(d.errs)
	root := d.node(body)
	if len(d.errs) > before {
		return nil
	}
	return root
}

// syntax takes the parser's error apart. Its Error method would print the file
// around the fault, in quadratic time.
func syntax(err error) (pos, string) {
	var e interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if !errors.As(err, &e) {
		return pos{1, 1}, err.Error()
	}
	msg := e.GetMessage()
	if strings.Contains(msg, "not allowed in this context") {
		msg += "; look at the indentation, and put a text that holds \": \" in quotes"
	}
	return place(e.GetToken()), msg
}

// checkBytes refuses what no configuration needs and what YAML readers,
// ours included, disagree about.
func (d *decoder) checkBytes(data []byte) bool {
	if len(data) > MaxBytes {
		d.errorf(pos{1, 1}, "the file has more than %d bytes", MaxBytes)
		return false
	}
	at, fine := pos{1, 1}, true
	tabbed := 0 // line of the last reported tab: one report a line
	blank := 1  // line ends since something other than spaces, as if one stood before the file
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		bad := ""
		switch {
		case r == utf8.RuneError && n == 1:
			bad = fmt.Sprintf("byte 0x%02x is not UTF-8", data[i])
		case r == '\t' && tabbed != at.line:
			tabbed = at.line
			bad = `a tab, expected spaces; in a text write "\t" in double quotes`
		case r == '\r' && (i+1 == len(data) || data[i+1] != '\n'):
			bad = "a carriage return without a line feed"
		case r == '\n', r == '\t', r == '\r':
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfeff || r == 0x2028 || r == 0x2029:
			bad = fmt.Sprintf("character %U is not allowed", r)
		}
		switch {
		case r == '\n':
			if blank++; blank == maxBlank+2 {
				bad = fmt.Sprintf("more than %d blank lines in a row", maxBlank)
			}
		case r != ' ' && r != '\r':
			blank = 0
		}
		if bad != "" {
			d.errorf(at, "%s", bad)
			if fine = false; len(d.errs) >= MaxErrors {
				break
			}
		}
		i += n
		at.col++
		if r == '\n' {
			at = pos{at.line + 1, 1}
		}
	}
	return fine
}

// parse builds the tree of the only document. The parser is given hostile text
// by whoever may write the file, and it is not ours: should it panic, the file
// is refused and the edge stays up.
func parse(tokens token.Tokens) (body ast.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			body, err = nil, fmt.Errorf("the parser gave up: %v", r)
		}
	}()
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, errors.New("more than one document")
		}
		body = doc.Body
	}
	return body, nil
}

func place(t *token.Token) pos {
	if t == nil || t.Position == nil {
		return pos{1, 1}
	}
	return pos{max(1, t.Position.Line), max(1, t.Position.Column)}
}

// node turns a value of the parser's tree into one of ours. checkTokens has
// bounded how deep this recursion goes.
func (d *decoder) node(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.MappingNode:
		out := &node{pos: place(n.Start), kind: mapping}
		for i, v := range n.Values {
			p := d.pair(v)
			if i == 0 && !n.IsFlowStyle {
				out.pos = p.key.pos // Start is the first colon then
			}
			out.pairs = append(out.pairs, p)
		}
		return out
	case *ast.MappingValueNode:
		p := d.pair(n)
		return &node{pos: p.key.pos, kind: mapping, pairs: []pair{p}}
	case *ast.SequenceNode:
		out := &node{pos: place(n.Start), kind: sequence}
		for _, v := range n.Values {
			out.items = append(out.items, d.node(v))
		}
		return out
	case *ast.NullNode:
		return &node{pos: place(n.Token), kind: nothing}
	case *ast.LiteralNode:
		return d.scalar(place(n.Start), n.Value.Value, true)
	case *ast.StringNode:
		t := n.Token
		return d.scalar(place(t), n.Value, t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		t := n.GetToken()
		return d.scalar(place(t), t.Value, false)
	}
	d.errorf(place(n.GetToken()), "%s is not allowed here", strings.ToLower(n.Type().String()))
	return &node{pos: place(n.GetToken()), kind: nothing}
}

func (d *decoder) pair(v *ast.MappingValueNode) pair {
	key, value := d.node(v.Key), d.node(v.Value)
	if key.kind != scalar {
		d.errorf(key.pos, "expected text as a key")
	}
	if n, ok := v.Value.(*ast.NullNode); ok && n.Token.Type == token.ImplicitNullType {
		value.pos = key.pos // there is no place where nothing stands
	}
	return pair{key, value}
}

// scalar refuses what an escape in double quotes can bring in: see checkBytes.
func (d *decoder) scalar(at pos, text string, quoted bool) *node {
	for _, r := range text {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == utf8.RuneError {
			d.errorf(at, "the text %s holds the character %U, which is not allowed", quote(text), r)
			break
		}
	}
	return &node{pos: at, kind: scalar, text: text, quoted: quoted}
}

// describe says what a node is, for "found ...".
func (n *node) describe() string {
	switch {
	case n.kind == mapping:
		return "a mapping"
	case n.kind == sequence:
		return "a list"
	case n.kind == nothing:
		return "nothing"
	case n.quoted:
		return "the text " + quote(n.text)
	}
	return quote(n.text)
}

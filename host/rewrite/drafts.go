package rewrite

import "bespoke/modules/abi"

// Drafts keep what checking edits made of them, so that the plan that is
// compiled from the same edits need not make it again. They serve one plan and
// one goroutine. The zero value is ready.
type Drafts struct{ all []draft }

// A draft is an edit that was accepted, with what it is in a plan: one of the two.
type draft struct {
	edit   abi.Edit
	syntax Syntax
	markup *prepared
	json   *jsonEdit
}

// Reset forgets all drafts, and what they hold of visitors.
func (d *Drafts) Reset() {
	clear(d.all)
	d.all = d.all[:0]
}

// Check is [Compiler.Check] of c.
func (d *Drafts) Check(c *Compiler, e abi.Edit, s Syntax) abi.Refusal {
	p, err := c.prepare(e, s, UTF8)
	if err != nil {
		return err.refusal
	}
	d.all = append(d.all, draft{edit: e, syntax: s, markup: p})
	return abi.Accepted
}

// CheckJSON is the function [CheckJSON].
func (d *Drafts) CheckJSON(e abi.Edit) abi.Refusal {
	p := new(jsonEdit)
	if err := p.prepare(e, nil); err != nil {
		return err.refusal
	}
	d.all = append(d.all, draft{edit: e, json: p})
	return abi.Accepted
}

// find returns the draft of an edit, at or behind place from, or nil, and the
// place from which on the next edit's is: edits come in the order in which they were
// checked, though some may have been dropped since.
func (d *Drafts) find(e abi.Edit, from int) (found *draft, next int) {
	if d == nil {
		return nil, 0
	}
	for i := from; i < len(d.all); i++ {
		if x := &d.all[i]; x.edit == e {
			return x, i + 1
		}
	}
	return nil, from
}

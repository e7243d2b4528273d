package rewrite

import (
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// Where an edit brings two pieces of text together they stay two.
func TestSeams(t *testing.T) {
	for _, x := range []struct {
		page, want string
		edit       abi.Edit
	}{
		{`<p>1 <<b>2</b>`, `<p>1 <&#105;mg <b>2</b>`, edit(abi.OpBefore, "b", "img ")},
		{`<p>1 <<b>2</b>`, `<p>1 <2 <b>2</b>`, edit(abi.OpBefore, "b", "2 ")},
		{`<p>1 <<b>2</b>`, `<p>1 <<i>x</i><b>2</b>`, edit(abi.OpBefore, "b", "<i>x</i>", "html")},
		{`<p>1 <<b>2</b>`, `<p>1 <<b title="x">2</b>`, edit(abi.OpAttr, "b", "title", "x")},
		{`<p>1 <<b>2</b>/p>`, `<p>1 <&#47;p>`, edit(abi.OpRemove, "b")},
		{`<p>1 <<b>!--</b>`, `<p>1 <&#33;--`, edit(abi.OpUnwrap, "b")},
		{`<p>a&no<b>2</b>t;`, `<p>a&no&#116;;`, edit(abi.OpRemove, "b")},
		{`<p>a&no<b>2</b> t;`, `<p>a&no t;`, edit(abi.OpRemove, "b")},
		{`<p>a&#6<b>5</b>`, `<p>a&#6&#53;`, edit(abi.OpUnwrap, "b")},
		{`<p>a&no<b></b>`, `<p>a&no&#116;in;<b></b>`, edit(abi.OpBefore, "b", "tin;")},
		{`<p>a&amp;<b></b>`, `<p>a&amp;lt;<b></b>`, edit(abi.OpBefore, "b", "lt;")},
		{`<title>a &l</title>`, `<title>a &l&#116;;</title>`, edit(abi.OpAppend, "title", "t;")},
		{`<ul>a&l<li id=x>b</li>t;<li>c</li></ul>`, `<ul>a&l&#116;;<li>c</li></ul>`, edit(abi.OpKeep, "ul", "drop=x")},
		{`<ul><li>&no{{v}}t;</li></ul>`, `<ul><li>&no&#116;;</li></ul>`, edit(abi.OpFill, "ul", "v=")},
		{`<ul><li title="&no{{v}}">&no{{v}}</li></ul>`, `<ul><li title="&no&#116;">&no&#116;</li></ul>`, edit(abi.OpFill, "ul", "v=t")},
		{`<p><!-- & --><b></b>lt;`, `<p><!-- & -->lt;`, edit(abi.OpRemove, "b")},
	} {
		for cut := range len(x.page) {
			if out, _ := rewriteAt(t, compile(t, Options{}, x.edit), x.page, cut); out != x.want {
				t.Errorf("%v on %s, cut at %d\nhave %s\nwant %s", x.edit, x.page, cut, out, x.want)
				break
			}
		}
	}
}

// Markup is tried where it will stand, without the elements whose tags go.
func TestContentOfUnwrapped(t *testing.T) {
	for _, x := range []struct {
		page string
		edit abi.Edit
	}{
		{`<h3>1<x-y></x-y>2</h3>`, edit(abi.OpHTML, "x-y", "<h3>m</h3>")},
		{`<h3>1<x-y></x-y>2</h3>`, edit(abi.OpPrepend, "x-y", "<h3>m</h3>", "html")},
		{`<h3>1<x-y></x-y>2</h3>`, edit(abi.OpAppend, "x-y", "<h3>m</h3>", "html")},
		{`<h3>1<x-y><b></b></x-y>2</h3>`, edit(abi.OpBefore, "b", "<h3>m</h3>", "html")},
		{`<h3>1<x-y><b></b></x-y>2</h3>`, edit(abi.OpAfter, "b", "<h3>m</h3>", "html")},
		{`<h3>1<x-y><b></b></x-y>2</h3>`, edit(abi.OpReplace, "b", "<h3>m</h3>", "html")},
	} {
		if out, _ := rewriteAt(t, compile(t, Options{}, edit(abi.OpUnwrap, "x-y"), x.edit), x.page); strings.Contains(out, "m</h3>") {
			t.Errorf("%v with unwrap gives %s", x.edit, out)
		}
		if out, _ := rewriteAt(t, compile(t, Options{}, x.edit), x.page); !strings.Contains(out, "m</h3>") {
			t.Errorf("%v gives %s", x.edit, out)
		}
	}
}

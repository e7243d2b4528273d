// Package rewrite edits HTML and XML while they stream, and JSON: bytes in,
// bytes out. It knows neither HTTP nor WebAssembly.
//
// Call [Compile] first, or [Compiler.Compile] where the same targets come back:
// it makes a [Plan] of a list of edits, which any number of pages may share.
// Then, for each page, [New] or [Rewriter.Reset], Write as the page comes,
// Close, and [Rewriter.Report] for what was done. [Check] and [CheckSelector]
// tell beforehand whether an edit will compile. [Sniff] tells a page's charset.
// For JSON it is [CompileJSON] and [JSONRewriter].
//
// # What it promises
//
// Without edits and tail the output is the input. The output does not depend
// on how the input was cut. Bytes outside edits are not changed: nothing is
// parsed into a tree and written again. It holds an unfinished tag (MaxTag),
// and elements that order, keep and fill need as a whole, or that a selector
// cannot tell before their end (MaxBuffer), and nothing else of the page. It
// never fails on a page: where HTML parsers could disagree about the rest, and
// at its limits, it stops editing, passes the rest as it is, and reports that. Only
// what an edit removes stays away even then.
//
// The time it takes grows with the page, not with its square, whatever the
// page. What can make it long is bounded: a tag looks at most at each open
// element (MaxDepth), at each type among their children (512) and at each test
// within :has (64); what is in lists within lists is looked through, and written anew, once for each
// (16); and all fills of a page together read and write 4 times MaxBuffer.
//
// # What an element is
//
// Tags are told apart as the HTML standard's tokenizer does (WHATWG 13.2.5),
// scripting enabled, so noscript holds text. Open elements are tracked with
// implied end tags, scopes and foreign content (13.2.6), apart from this:
// elements that a parser makes up are not there (html, head, body, tbody and
// colgroup without tags, and formatting elements that go on in the next
// block), nor are foster parenting and the copies of the adoption agency. The
// append of body acts before its end tag, though what follows that still belongs
// to body; and prepend does not make up for a newline that a parser drops where pre and
// textarea begin. The content of a template is no part of the page, nor is that
// of a script or style of SVG. An id that begins a compound means the first
// element that has it; when every edit is aimed through an id, the rest of the
// page after the last of them is not looked at. :empty is as browsers have it:
// a space is text.
//
// # How edits compose
//
// Edits of one element act in the order of the list: before and append put
// content after what was put there already, after and prepend before it. The
// last text or html wins over earlier ones and over prepend, append, order, keep
// and fill of the element; replace wins over all but before and after; remove
// wins over all. order and keep of one list both act, order first,
// whichever was emitted first; of several the last acts; fill wins over both. What before and after
// put beside an item moves with it. Edits inside what text, replace or remove takes away do not act.
//
// order and keep work by slots: what stands between the children stays where it
// is, and the k-th item of the new order goes to the place of the k-th item.
// The space before a place that becomes empty goes too. A distance is shown in
// the first element that matches show inside an item, but not inside a list
// that is itself ordered or cut, be it the item or in it.
//
// # What it never does
//
// It never inserts markup that was not given as markup, and that only if it
// runs nothing, and stays where it is put: it closes no element of the page and
// leaves none open. It never puts text where a parser would move or execute it: script, style and
// other raw text, table parts, beside html, head and body. It never lets an
// attribute run or load code, nor takes away what guards an element. It never writes bytes
// that mean something else in the page's charset.
//
// # Where to find what
//
// scanner.go and scan.go read tags, swift.go the plain ones; tree.go, place.go and closes.go keep the open
// elements; selector.go parses, compile.go and match.go match, ahead.go, has.go and
// relation.go look ahead; apply.go, refuse.go, attrs.go and finish.go carry out edits, seam.go keeps apart what
// they bring together, frame.go, list.go and fill.go are for lists; fragment.go checks markup, trial.go where it goes,
// pattern.go what fill repeats; charset.go and csp.go what the page says of itself.
package rewrite

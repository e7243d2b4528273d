// Package rewrite edits HTML while it streams: bytes in, bytes out. It knows
// neither HTTP nor WebAssembly.
//
// Call [Compile] first: it makes a [Plan] of a list of edits, which any number
// of pages may share. Then, for each page, [New] or [Rewriter.Reset], Write as
// the page comes, Close, and [Rewriter.Report] for what was done. [Check] and
// [CheckSelector] tell beforehand whether an edit will compile.
//
// # What it promises
//
// Without edits and tail the output is the input. The output does not depend
// on how the input was cut. Bytes outside edits are not changed: nothing is
// parsed into a tree and written again. It holds an unfinished tag (MaxTag)
// and elements that order and keep need as a whole (MaxBuffer), and nothing
// else of the page. It never fails on a page: where HTML parsers could
// disagree about the rest, and at its limits, it stops editing, passes the rest as it is, and
// reports that.
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
// textarea begin. The
// content of a template is no part of the page. An id means the first element that has it; when every edit is aimed through
// an id, the rest of the page after the last of them is not looked at.
//
// # How edits compose
//
// Edits of one element act in the order of the list: before and append put
// content after what was put there already, after and prepend before it. The last text wins
// over earlier ones and over prepend, append, order and keep of the element;
// remove wins over all. order and keep of one list both act, order first,
// whichever was emitted first; of several the last acts. What before and after
// put beside an item moves with it. Edits inside what text or remove takes away do not act.
//
// order and keep work by slots: what stands between the children stays where it
// is, and the k-th item of the new order goes to the place of the k-th item.
// The space before a place that becomes empty goes too. A distance is shown in
// the first element that matches show inside an item, but not inside a list
// that is itself ordered or cut, be it the item or in it.
//
// # What it never does
//
// It never inserts markup that a policy wrote, apart from attribute values and text, escaped.
// It never puts text where a parser would move or execute it: script, style and
// other raw text, table parts, beside html, head and body.
package rewrite

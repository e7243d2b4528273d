// Package recommend knows a tenant's catalogue, learns from sessions of visitors who
// agreed to it, and answers with bands: short lists of items for a place in a page.
//
// Open a folder first, Load a catalogue, tell each Event, and ask for a Band:
//
//	r, err := recommend.Open(dir, recommend.Options{})
//	err = r.Load(upload, nil)                          // JSON Lines or CSV
//	n, ok := r.Catalogue().Number("sku-17")            // items go by number from here on
//	r.Event(recommend.Event{Kind: recommend.View, Item: n, Session: s, Visitor: v})
//	items := r.Band(recommend.Similar, recommend.Query{Item: n})
//
// # What it leaves to its caller
//
// It knows no HTTP, no policies and no consent. The caller passes only what the
// visitor's decision grants: no event without the purpose for it, and no Session,
// Trail or Recent without personalize. Bands for which Personal is false are the
// same for everybody who gives the same Item, Hidden, Muted and Within.
//
// # What it promises
//
//   - A session counts when it closed, never before, and what is kept of it then names
//     nobody. Keys of sessions and visitors are never on disk.
//   - Nothing is shown for having been seen, bought or seen together by fewer visitors
//     than the support (Options.Support). Visitors are counted by bits of a hash: the
//     count can be too low, never too high. "For you" asks the support of each item.
//   - What is out of stock, hidden or muted is in no answer.
//   - A visitor counts once a day for an item: a flood moves nothing.
//   - Numbers of items and attribute values outlive uploads and restarts, for a year
//     after an item went. If the book of numbers is lost, Catalogue.Epoch is another one.
//   - A damaged file is said by Restored, and begins empty.
//   - Memory is bounded, whoever comes; docs/recommend.md has the figures.
//
// # How it works
//
// Many goroutines tell events, each under the short lock of one of 64 shards. One
// goroutine, every second, lets closed sessions count: it alone writes what is known
// of items, into atomic words and lists that never change, so answers take no lock.
package recommend

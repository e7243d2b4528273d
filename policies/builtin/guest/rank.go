//go:build wasip1

package main

// rank puts a list in the order of what the visitor seems to like. An order
// that they asked for beats it, and what they hid is gone.
func rank(r *run) {
	list, ok := r.need("list")
	attributes, ok2 := r.need("attributes")
	first, ok3 := r.count("first", 0)
	if !ok || !ok2 || !ok3 {
		return
	}
	r.leaveOut(list)
	if !r.sorted(list) {
		r.liked(list, attributes)
	}
	if first > 0 {
		r.pageful(list, first)
	}
}

// Package bespoke is the Go SDK for policies: a thin layer over version 1 of
// the policy ABI (modules/abi/ABI.md).
//
// A policy is a main package that registers what it does and is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w" -o policy.wasm
//
// Call [OnResponse] or [OnRequest] first, in func init:
//
//	func init() {
//		bespoke.OnResponse(func(v bespoke.Visitor, page *bespoke.Page) {
//			page.Order("#results", bespoke.Nearest(v.Place()))
//		})
//	}
//
//	func main() {}
//
// A [Visitor] tells what the visitor agreed to and what the site configured;
// [Page] and [Exchange] take edits. What a policy may not read is absent, and
// what is absent changes nothing: with an unknown place the policy above emits
// no edit.
//
// Every run starts from the state that the policy's init functions left. The
// clock stands still, chance is a fixed sequence, and there are no files; the
// package never gets around that. Import little: fmt alone adds 0.7 MB.
package bespoke

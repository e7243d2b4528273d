package rewrite

import "errors"

// checkFragment tells whether s is markup that may stand in a page: well formed
// by a strict reading, balanced, and without anything that runs code. Its error
// names what is wrong and the byte offset.
func checkFragment(s string, xml bool) error {
	return errors.New("markup is not carried out here")
}

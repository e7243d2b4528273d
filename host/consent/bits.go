package consent

import "bytes"

// A fault is why a consent string, or a section of one, cannot be relied on.
// It is an error that a [Decision] can carry and a table can count: small,
// comparable, and never holding a byte of the string. Whatever the fault, the
// string is read as a refusal.
type fault uint8

const (
	errEmpty         fault = iota + 1 // no string, or nothing where a segment should be
	errLong                           // beyond maxSignal
	errBase64                         // a character outside base64url
	errTruncated                      // ends before its fields do
	errPadding                        // something other than zeros after its fields
	errHeader                         // not a GPP header, or one that its sections do not fit
	errVersion                        // a version of the encoding that we do not read
	errPolicyVersion                  // made under TCF policies that are no longer valid
	errScope                          // made for all sites (global scope)
	errDisclosed                      // without the disclosed vendors that its date asks for
	errSegment                        // a segment of unknown type, or one type twice
	errRange                          // numbers out of order or out of range
	errValue                          // a value that its field does not have
	faults
)

var faultText = [faults]string{
	errEmpty:         "empty",
	errLong:          "longer than 16 KiB",
	errBase64:        "a character outside base64url",
	errTruncated:     "ends before its last field",
	errPadding:       "more follows its last field",
	errHeader:        "not a GPP header followed by the sections that it names",
	errVersion:       "a version that is not read here",
	errPolicyVersion: "policy version below 4",
	errScope:         "not specific to a service",
	errDisclosed:     "no disclosed vendors, which are due from March 2026",
	errSegment:       "a segment of unknown type, or one type twice",
	errRange:         "numbers out of order or out of range",
	errValue:         "a value that its field does not have",
}

func (f fault) Error() string { return faultText[f] }

// err returns f as an error: nil if there is no fault.
func (f fault) err() error {
	if f == 0 {
		return nil
	}
	return f
}

// maxSignal is the longest consent string that is read, in bytes. A browser
// keeps at most 4 KiB per cookie (RFC 6265, section 6.1); the rest is margin
// for strings that come another way.
const maxSignal = 16 << 10

// A bitReader reads big-endian fields from base64url text (RFC 4648, section
// 5), six bits a character, as TC and GPP strings are written. It has no use
// for '=': "without padding" (GPP, Consent String Specification, "Creating a
// GPP String"), and the decoders of the IAB refuse it too.
//
// After a fault every read gives 0; look at fault once, at the end.
type bitReader struct {
	s     []byte // characters not loaded yet
	acc   uint64 // its low n bits come next
	n     uint   // 64 at most
	fault fault  // the first one
}

func (r *bitReader) fail(f fault) {
	if r.fault == 0 {
		r.fault = f
	}
	r.s, r.acc, r.n = nil, 0, 0
}

// bits reads the next n bits, at most 48, as a number. It is inlined.
func (r *bitReader) bits(n uint) uint64 {
	if r.n < n {
		r.load(n)
	}
	r.n -= n
	return r.acc >> r.n &^ (^uint64(0) << n)
}

// load makes sure of n bits: eight characters at once if there are as many, for
// speed, else one by one, which also finds what is wrong. After a fault they
// are zeros.
func (r *bitReader) load(n uint) {
	if len(r.s) >= 8 && r.n <= 16 {
		s := r.s[:8]
		a, b, c, d := sextets[s[0]], sextets[s[1]], sextets[s[2]], sextets[s[3]]
		e, f, g, h := sextets[s[4]], sextets[s[5]], sextets[s[6]], sextets[s[7]]
		if a&b&c&d&e&f&g&h != 0 {
			high := uint64(a&63)<<18 | uint64(b&63)<<12 | uint64(c&63)<<6 | uint64(d&63)
			low := uint64(e&63)<<18 | uint64(f&63)<<12 | uint64(g&63)<<6 | uint64(h&63)
			r.acc = r.acc<<48 | high<<24 | low
			r.n += 48
			r.s = r.s[8:]
		}
	}
	for r.n < n {
		if len(r.s) == 0 {
			r.fail(errTruncated)
			r.n = n
			return
		}
		v := sextets[r.s[0]]
		if v == 0 {
			r.fail(errBase64)
			r.n = n
			return
		}
		r.s = r.s[1:]
		r.acc = r.acc<<6 | uint64(v&63)
		r.n += 6
	}
}

func (r *bitReader) bit() bool { return r.bits(1) == 1 }

// skip passes over n bits; their characters must be base64url all the same.
func (r *bitReader) skip(n uint) {
	if n <= r.n {
		r.n -= n
		return
	}
	n -= r.n
	r.n = 0
	whole := int(n / 6)
	if whole > len(r.s) {
		r.fail(errTruncated)
		return
	}
	if !isBase64(r.s[:whole]) {
		r.fail(errBase64)
		return
	}
	r.s = r.s[whole:]
	r.bits(n % 6)
}

// letters reads two letters, "each encoded as 6 bits, a=0..z=25" (TCF, "The
// Core String"), as capitals.
func (r *bitReader) letters() [2]byte {
	a, b := r.bits(6), r.bits(6)
	if a > 25 || b > 25 {
		r.fail(errValue)
	}
	return [2]byte{'A' + byte(a), 'A' + byte(b)}
}

// fibonacci reads a number of at least 1 in Fibonacci code: a bit for each of
// 1, 2, 3, 5, 8... and a 1 after the last that counts (GPP, "About Fibonacci
// Encoding"). Numbers here are IDs, of 16 bits at most.
func (r *bitReader) fibonacci() int {
	sum, one := 0, false
	for a, b := 1, 2; a < 1<<17 && sum < 1<<16; a, b = b, a+b {
		bit := r.bit()
		if bit && one {
			return sum
		}
		if bit {
			sum += a
		}
		one = bit
	}
	r.fail(errRange)
	return 0
}

// end says that no field follows, and returns the first fault of all. What is
// left must be zeros. They fill up to a character, a byte, both, or (a publisher
// segment in use) to twice its length, so how many is not held against them.
func (r *bitReader) end() fault {
	if r.fault != 0 {
		return r.fault
	}
	if r.acc&(1<<r.n-1) != 0 {
		return errPadding
	}
	for _, c := range r.s {
		if sextets[c] == 0 {
			return errBase64
		}
		if c != 'A' {
			return errPadding
		}
	}
	return 0
}

func isBase64(s []byte) bool {
	all := byte(64)
	for _, c := range s {
		all &= sextets[c]
	}
	return all != 0
}

// cut returns s up to the first sep, and what follows it; more reports whether
// there was one. (bytes.Cut wants its separator as a slice.)
func cut(s []byte, sep byte) (before, after []byte, more bool) {
	if i := bytes.IndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, nil, false
}

// sextets holds 64 plus the value of each character of base64url, 0 for others.
var sextets = [256]byte{
	'A': 64, 'B': 65, 'C': 66, 'D': 67, 'E': 68, 'F': 69, 'G': 70, 'H': 71,
	'I': 72, 'J': 73, 'K': 74, 'L': 75, 'M': 76, 'N': 77, 'O': 78, 'P': 79,
	'Q': 80, 'R': 81, 'S': 82, 'T': 83, 'U': 84, 'V': 85, 'W': 86, 'X': 87,
	'Y': 88, 'Z': 89, 'a': 90, 'b': 91, 'c': 92, 'd': 93, 'e': 94, 'f': 95,
	'g': 96, 'h': 97, 'i': 98, 'j': 99, 'k': 100, 'l': 101, 'm': 102, 'n': 103,
	'o': 104, 'p': 105, 'q': 106, 'r': 107, 's': 108, 't': 109, 'u': 110, 'v': 111,
	'w': 112, 'x': 113, 'y': 114, 'z': 115, '0': 116, '1': 117, '2': 118, '3': 119,
	'4': 120, '5': 121, '6': 122, '7': 123, '8': 124, '9': 125, '-': 126, '_': 127,
}

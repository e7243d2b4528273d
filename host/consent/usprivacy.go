package consent

// A usPrivacy is what a US Privacy string of the IAB says (version 1: the
// California Consumer Privacy Act). Each field is 'Y', 'N' or '-': not
// applicable or not known; 0 if there is no string.
//
// Source: IAB Tech Lab, "US Privacy String", version 1.0, March 2020,
// "US Privacy String Format"; deprecated since January 2024, and still sent.
type usPrivacy struct {
	notice     byte // the visitor was told, and could opt out
	saleOptOut byte // the visitor opted out of the sale of their data
	lspa       byte // Limited Service Provider Agreement; nothing to act on
}

// parseUSPrivacy reads a US Privacy string. "1---" says that the law does not
// apply; otherwise "Opt-Out of Sale may never be unknown". Letters are capitals
// in the specification, and nothing else is guessed at.
func parseUSPrivacy(s []byte) (usPrivacy, error) {
	switch {
	case len(s) == 0:
		return usPrivacy{}, errEmpty
	case s[0] != '1':
		return usPrivacy{}, errVersion
	case len(s) < 4:
		return usPrivacy{}, errTruncated
	case len(s) > 4:
		return usPrivacy{}, errPadding
	}
	for _, c := range s[1:] {
		if c != 'Y' && c != 'N' && c != '-' {
			return usPrivacy{}, errValue
		}
	}
	if s[2] == '-' && string(s[1:]) != "---" {
		return usPrivacy{}, errValue
	}
	return usPrivacy{notice: s[1], saleOptOut: s[2], lspa: s[3]}, nil
}

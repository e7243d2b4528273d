package console

import (
	"cmp"
	"slices"
	"strings"
)

// A missedRow is a reason for which edits of a policy were not carried out.
type missedRow struct {
	Policy, Reason string // as the configuration and the figures name them
	N              uint64
	missedWords
}

// missedWords are what a reason is, and what whoever wrote the policy can do.
type missedWords struct{ Why, Do string }

// missedRows returns why edits were not carried out, by policy, on all routes; the most
// frequent first. called says what a policy is called there; "": it is left out.
func missedRows(f figures, tenant string, called func(policy string) string) []missedRow {
	by := map[[2]string]uint64{}
	for _, s := range f.of(figMissed, tenant) {
		if policy := called(label(s, 2)); policy != "" {
			by[[2]string{policy, label(s, 3)}] += uint64(s.Value)
		}
	}
	var rows []missedRow
	for key, n := range by {
		rows = append(rows, missedRow{key[0], key[1], n, missedAbout[key[1]]})
	}
	slices.SortFunc(rows, func(a, b missedRow) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(b.N, a.N), cmp.Compare(a.Reason, b.Reason))
	})
	return rows
}

// editsOf adds up what an uploaded policy's edits did, under all names that the
// configuration has for it (NAME@active, NAME@3), and why not.
func editsOf(f figures, tenant, name string) (sum policyFigures, rows []missedRow) {
	own := func(policy string) string {
		if upload, _, ok := strings.Cut(policy, "@"); ok && upload == name {
			return name
		}
		return ""
	}
	for _, p := range policyFiguresOf(f, tenant) {
		if own(p.Policy) != "" {
			sum.Edits += p.Edits
			sum.Applied += p.Applied
			sum.Nothing += p.Nothing
		}
	}
	return sum, missedRows(f, tenant, own)
}

// missedAbout says what the reasons are, by the names that host/edge has for them.
var missedAbout = map[string]missedWords{
	"unmatched": {"Nothing in the body fits the selector, or the pointer.",
		"Compare the target with the page as the site sends it. Where pages never have it, let the route be narrower, or emit nothing for them."},
	"void-element":      {"The element cannot have content: img, br, input and their kin.", "Change an attribute instead, or put the content before or after the element."},
	"raw-text":          {"What is in the element is not markup: a style, a script, a title or a text field.", "Aim at another element. Plain text can be set in a title or a text field."},
	"place":             {"A browser would move the change elsewhere, or undo it: text straight in a table, a block in a paragraph.", "Aim at an element that may contain it: a cell, or a div."},
	"overridden":        {"Another edit of the same element won: the last one counts, and of what is removed or replaced nothing else does.", "Let one policy change the element, or change their order on the route."},
	"element-too-long":  {"The element is longer, or has more children, than is kept in memory to change it.", "Aim at a smaller element inside of it."},
	"unfinished":        {"The page ends in the middle of a tag, a comment or a script.", "Mend the page: something in it is not closed."},
	"tag-too-long":      {"A tag of the page is over the limit.", "Move large data out of attributes."},
	"too-deep":          {"Elements are nested deeper there than is followed.", "Aim at an element further out, or nest less."},
	"unsafe":            {"The change would load or run code there, or take away what guards the page.", "Not possible by a policy. Have the site put in what it trusts, and switch it by a class or an attribute."},
	"integrity":         {"A hash covers what would be changed: the integrity attribute, or the page's Content-Security-Policy.", "Leave that element as it is, or have the site take the hash away."},
	"nothing-to-repeat": {"The list is to be filled, and has no element that could be repeated.", "Have the site send the list with at least one item of the shape that all shall have."},
	"ambiguous":         {"The markup there is so broken, or the name stands twice, that browsers and programs would not agree on what it means.", "Mend the page there: a checker of HTML shows where."},

	"stopped-tag-too-long": {"Editing ended within the page, at a tag over the limit. What is before it was edited.", "Move large data out of attributes."},
	"stopped-too-deep":     {"Editing ended within the page, where elements are nested too deep. For JSON: nothing was edited.", "Nest less; often an element is never closed."},
	"stopped-too-large":    {"The JSON, or what it would become, is over the limit. Nothing of it was edited.", "Send less at a time, or change less of it."},
	"stopped-ambiguous":    {"Editing ended within the page, where parsers would not agree on what follows. For JSON: it is not well formed, and nothing was edited.", "Mend the page, or the JSON; a checker shows where."},
	"stopped":              {"Editing ended before the page did.", "Tell whoever runs the edge: its log says more."},

	"charset":      {"The page is in a charset that cannot be edited, such as UTF-16, or names one that nobody knows.", "Send the page as UTF-8, and say so in Content-Type."},
	"too-large":    {"The JSON is larger than what is held in memory. It passed as it is.", "Send less at a time."},
	"plan-refused": {"The edits, each fine by itself, could not be made ready together. The page passed as it is.", "Tell whoever runs the edge: its log has the error."},
	"cut-off":      {"The page did not go out to its end: the site's server broke off, or the visitor left.", "Nothing, if it is seldom. Else look at the faults of the site's server."},

	"refused-operation":   {"The policy asked for an operation that does not exist.", "Build it with a toolkit of this version."},
	"refused-target":      {"The target is no valid selector, pointer or name, or may not be touched: headers that guard or frame the answer.", "Mend the target; the policy is told by what emit returns."},
	"refused-argument":    {"An argument is malformed, not allowed, or not UTF-8.", "Mend the argument; the policy is told by what emit returns."},
	"refused-right":       {"The manifest lacks the right that the edit needs.", "Declare the right in the manifest, or put in text instead of markup."},
	"refused-limit":       {"The exchange had its most of such edits already: 32 events, those of all policies together.", "Emit less on one page."},
	"refused-phase":       {"Not possible in that phase: the body is edited in on_response, what goes to the site in on_request.", "Emit it in the other phase."},
	"refused-unsupported": {"The edit is known, and cannot be carried out in a body of this kind.", "Ask for the kind of the body first, or give the policy a narrower route."},
}

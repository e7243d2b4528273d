package main

import (
	"fmt"
	"strings"
)

// table is the document that says what caught what.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString(`# The audit, tested

` + "`make audit-mutants`" + ` wrote this. It builds the edge with one planted leak at a time
([mutants.txt](../host/audit/mutants/mutants.txt); nothing of it is in a build that is shipped), and looks with what a privacy team has:

- **probe**: ` + "`bespoke audit probe`" + `, thirteen experiments from outside: what is known of visitors, what others hid, what the origin is sent, the exact place, accounts,
  what visitors hide, and six ways to refuse that are easily overlooked;
- **verify**: ` + "`bespoke ledger verify`" + ` on what the edge recorded meanwhile;
- **replay**: ` + "`bespoke audit replay`" + ` on the same: decisions and exhibits, again;
- **outputs**: what the edge writes besides: no town, address, cookie or consent string in its log (debug) and ` + "`/metrics`" + `, no
  jurisdiction in the log where it settled nothing, and as many exchanges counted as recorded. A leak into these shows in no page and no record, and
  an exchange without a record shows in no record;
- **harness**: random pairs of visitors in a real edge before a real origin, of whom everything is compared: answer, upstream
  request, cookies, record, figures, logs (` + "`make audit`" + `).

The site that they look at is the worst there is: its policy reads all that it can name, keeps it in memory and in a global, and
tells it in pages, headers, logs and names of keys; its origin shows what it was sent, and marks pages by its visitors.

Each leak must be caught by one of the first four: the harness sees inside, as we can and others cannot. The first row is the edge as it is: none may see
anything there. Yes is followed by the first thing that was said.

| leak | what it does | probe | verify | replay | outputs | harness |
|---|---|---|---|---|---|---|
`)
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |", r.Name, r.What)
		for _, in := range instruments {
			said := strings.NewReplacer("|", "\\|", "\n", " ").Replace(r.Caught[in])
			if len(said) > 90 {
				said = strings.ToValidUTF8(said[:90], "") + "…"
			}
			switch {
			case said != "":
				fmt.Fprintf(&b, " **yes**: %s |", said)
			default:
				b.WriteString(" no |")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

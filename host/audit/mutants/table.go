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

- **probe**: ` + "`bespoke audit probe`" + ` on three of the demo's sites, from outside;
- **verify**: ` + "`bespoke ledger verify`" + ` on what the edge recorded meanwhile;
- **replay**: ` + "`bespoke audit replay`" + ` on the same: decisions and exhibits, again;
- **harness**: random pairs of visitors in a real edge before a real origin, of whom everything is compared: answer, upstream
  request, cookies, record, figures, logs (` + "`make audit`" + `).

Each leak must be caught by one of them at least. The first row is the edge as it is: none may see anything there.

| leak | what it does | probe | verify | replay | harness |
|---|---|---|---|---|---|
`)
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |", r.Name, r.What)
		for _, in := range instruments {
			said := strings.NewReplacer("|", "\\|", "\n", " ").Replace(r.Caught[in])
			if len(said) > 90 {
				said = said[:90] + "…"
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

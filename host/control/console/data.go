package console

// Ledger, Canary, Traffic: what the pages ask of the rest of the edge.

type Ledger interface{}

type Canary struct{}

type counts struct{}

// Traffic are counters of exchanges since the start.
type Traffic interface {
	// EditOutcomes tells what became of a tenant's edits, by policy.
	EditOutcomes(tenant string) []EditCount
}

// An EditCount is how often something became of a policy's edits.
type EditCount struct {
	Policy string
	Why    string // why the edit was not carried out; "": it was
	N      uint64
}

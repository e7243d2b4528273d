// Package ledger is the record of what the edge did, which cannot be changed
// unnoticed: records in sealed segments, under a Merkle tree with signed
// checkpoints. FORMAT.md describes the folder.
//
// It imports nothing else of ours, so that who audits it needs to read no more.
package ledger

package console

import (
	"time"

	"bespoke/host/ledger"
)

// A ledgerState says how recording goes.
type ledgerState struct {
	ledger.Status
	Error bool // the last attempt to seal failed
	Now   time.Time
}

// ledgerState returns nil where nothing is recorded.
func (v *visit) ledgerState() *ledgerState {
	if v.config.Recording == nil {
		return nil
	}
	s := v.config.Recording()
	return &ledgerState{s, s.Err != nil, v.now}
}

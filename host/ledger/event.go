package ledger

import (
	"encoding/json"
	"fmt"
	"time"
)

// An Event is any record but an exchange: what changed, and when.
type Event struct {
	Kind   string // one of the Kind constants
	Time   time.Time
	Tenant string // "": the whole process
	Data   any    // becomes a JSON object; depends on Kind
}

// AppendJSON appends the record as one line of JSON, without the line's end.
func (e *Event) AppendJSON(b []byte) ([]byte, error) {
	b = appendString(b, `{"kind":`, e.Kind)
	b = append(b, `,"time":"`...)
	b = append(appendTime(b, e.Time), '"')
	b = appendString(b, `,"tenant":`, e.Tenant)
	if e.Data != nil {
		data, err := json.Marshal(e.Data)
		if err != nil {
			return nil, fmt.Errorf("record of kind %s: %w", e.Kind, err)
		}
		b = append(append(b, `,"data":`...), data...)
	}
	return append(b, '}'), nil
}

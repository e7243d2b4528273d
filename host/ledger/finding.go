package ledger

import (
	"fmt"
	"strings"
	"time"
)

// What a finding is.
const (
	Damage    = "damage"    // the ledger is not what was sealed
	Violation = "violation" // the ledger is, and it records a broken promise
	Note      = "note"      // worth knowing; neither of the two
)

// A Finding says what is wrong, and where.
type Finding struct {
	Class   string `json:"class"`          // Damage, Violation or Note
	File    string `json:"file,omitempty"` // in the ledger's folder, with slashes
	Segment int64  `json:"segment"`        // -1: none in particular
	Record  int64  `json:"record"`         // its number, or that of the first; -1: none in particular
	Records int64  `json:"records"`        // how many from Record on it may be; 0 without Record
	Text    string `json:"text"`
}

func (f *Finding) String() string {
	var where []string
	if f.File != "" {
		where = append(where, f.File)
	}
	if f.Segment >= 0 {
		where = append(where, fmt.Sprintf("segment %d", f.Segment))
	}
	switch {
	case f.Record >= 0 && f.Records > 1:
		where = append(where, fmt.Sprintf("records %d to %d", f.Record, f.Record+f.Records-1))
	case f.Record >= 0:
		where = append(where, fmt.Sprintf("record %d", f.Record))
	}
	return strings.Join(append([]string{}, where...), ", ") + ": " + f.Text
}

// A Gap is a time of which the ledger says that it has no, or not all records.
type Gap struct {
	Record int64     `json:"record"` // that says so
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Kind   string    `json:"kind"` // crash: what was not sealed is lost; unrecorded: exchanges went out unpersonalized
	Text   string    `json:"text"`
}

// Verified is the answer of [Verify].
type Verified struct {
	Key     string    `json:"key"`     // name and hash of the public key, to compare with what was got elsewhere
	FromDir bool      `json:"own_key"` // the key is the folder's own
	Size    int64     `json:"segments"`
	Records int64     `json:"records"` // that the tree has
	Checked int64     `json:"checked"` // of which the content was read
	Removed int64     `json:"removed"` // of which the content was removed on schedule
	Root    string    `json:"root"`    // of the checkpoint
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"` // when the last segment was sealed
	Since   int64     `json:"since"`       // segments of the earlier checkpoint, -1: none was given
	Closed  bool      `json:"closed"`      // recording ended in order; otherwise it goes on, or ended by a crash

	Damage     []Finding `json:"damage"`
	Violations []Finding `json:"violations"`
	Notes      []Finding `json:"notes"`
	Gaps       []Gap     `json:"gaps"`
	// Of each list only the first thousand are kept; these count all.
	DamageCount    int64 `json:"damage_count"`
	ViolationCount int64 `json:"violation_count"`
}

// maxFindings of each class are kept.
const maxFindings = 1000

// Intact reports whether the ledger is what was sealed; it may still record violations.
func (v *Verified) Intact() bool { return v.DamageCount == 0 }

// OK reports whether the ledger is intact, and every record in it keeps the promise.
func (v *Verified) OK() bool { return v.DamageCount == 0 && v.ViolationCount == 0 }

func (v *Verified) add(f Finding) {
	list := &v.Notes
	switch f.Class {
	case Damage:
		list = &v.Damage
		v.DamageCount++
	case Violation:
		list = &v.Violations
		v.ViolationCount++
	}
	if len(*list) < maxFindings {
		*list = append(*list, f)
	}
}

func (v *Verified) damage(file string, segment int64, format string, a ...any) {
	v.add(Finding{Damage, file, segment, -1, 0, fmt.Sprintf(format, a...)})
}

func (v *Verified) note(file string, segment int64, format string, a ...any) {
	v.add(Finding{Note, file, segment, -1, 0, fmt.Sprintf(format, a...)})
}

// damaged is damage of a segment's content: any of its records may be meant.
func (v *Verified) damaged(st *Statement, format string, a ...any) {
	v.add(Finding{Damage, segmentsName + "/" + st.File, st.Segment, st.First, st.Records, fmt.Sprintf(format, a...)})
}

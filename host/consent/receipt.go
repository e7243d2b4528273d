package consent

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"bespoke/modules/abi"
)

// A Receipt tells a visitor what they chose, in the structure of ISO/IEC TS
// 27560:2023 (consent record information structure), its field names written as
// the W3C Data Privacy Vocabularies group writes them in JSON, and in terms of
// the Data Privacy Vocabulary. It names no person: nothing here knows one.
type Receipt struct {
	Metadata   ReceiptMetadata   `json:"receipt_metadata"`
	Record     ReceiptRecord     `json:"record"`
	Processing ReceiptProcessing `json:"pii_processing"`
	Parties    []ReceiptParty    `json:"party_identification"`
	Events     []ReceiptEvent    `json:"event"`
}

// ReceiptMetadata is about the receipt itself.
type ReceiptMetadata struct {
	SchemaVersion string `json:"schema_version"`
	ReceiptID     string `json:"receipt_id"`
}

// ReceiptRecord is the header of the record that the receipt repeats.
type ReceiptRecord struct {
	SchemaVersion string `json:"schema_version"`
	RecordID      string `json:"record_id"`
}

// ReceiptProcessing is what was asked.
type ReceiptProcessing struct {
	PrivacyNotice string           `json:"privacy_notice"` // URL
	NoticeVersion uint16           `json:"privacy_notice_version"`
	Language      string           `json:"language"`
	Purposes      []ReceiptPurpose `json:"purposes"`
}

// ReceiptPurpose is one purpose, as it was asked.
type ReceiptPurpose struct {
	ID           string   `json:"purpose_id"` // as in Bespoke's configuration and API
	Purpose      string   `json:"purpose"`
	Type         string   `json:"purpose_type"` // IRI of a term of DPV
	TCF          string   `json:"iab_tcf"`
	LawfulBasis  string   `json:"lawful_basis"`
	Controllers  []string `json:"pii_controllers"`
	Jurisdiction string   `json:"jurisdiction"`
	Withdrawal   string   `json:"withdrawal_method"` // URL
	Rights       string   `json:"privacy_rights_reference"`
}

// ReceiptParty is who answers for the processing.
type ReceiptParty struct {
	ID   string `json:"party_id"`
	Name string `json:"party_name"`
	URL  string `json:"party_url"`
	Role string `json:"party_role"` // IRI of a term of DPV
}

// ReceiptEvent is what the visitor did, and to which purposes.
type ReceiptEvent struct {
	Time     string   `json:"event_time"`         // RFC 3339
	Duration string   `json:"duration,omitempty"` // ISO 8601; of what was given
	Type     string   `json:"event_type"`         // IRI of a term of DPV
	State    string   `json:"event_state"`        // IRI of a term of DPV
	Purposes []string `json:"purpose_ids"`
	UnderGPC bool     `json:"under_gpc,omitempty"` // in the face of Global Privacy Control
}

// ReceiptAbout is what a receipt says besides the choice.
type ReceiptAbout struct {
	Controller   string // who answers for the site
	Site         string // "https://shop.example"
	Centre       string // path of the page on which the visitor chooses
	Language     string // of Words
	Jurisdiction string // ID
	Words        func(abi.Purpose) string
}

const dpvIRI = "https://w3id.org/dpv#"

// NewReceipt returns the receipt of a choice. Equal arguments give equal
// receipts: their id is made of the site and the choice alone, so that it tells
// no more about the visitor than the choice does.
func NewReceipt(c *Choice, about ReceiptAbout) Receipt {
	const schema = "ISO/IEC TS 27560:2023"
	record := receiptID("record", about.Site, c)
	centre := about.Site + about.Centre
	r := Receipt{
		Metadata:   ReceiptMetadata{schema, receiptID("receipt", about.Site, c)},
		Record:     ReceiptRecord{schema, record},
		Processing: ReceiptProcessing{PrivacyNotice: centre, NoticeVersion: c.TextVersion, Language: about.Language},
		Parties:    []ReceiptParty{{"controller", about.Controller, about.Site, dpvIRI + "DataController"}},
	}
	var given, refused []string
	for p := range abi.Purpose(abi.Purposes) {
		f := TermsOf(p)
		r.Processing.Purposes = append(r.Processing.Purposes, ReceiptPurpose{
			ID: p.String(), Purpose: about.Words(p), Type: dpvIRI + strings.TrimPrefix(f.DPV, "dpv:"), TCF: f.TCF,
			LawfulBasis: dpvIRI + "Consent", Controllers: []string{"controller"}, Jurisdiction: about.Jurisdiction,
			Withdrawal: centre, Rights: centre,
		})
		if c.Granted.Has(p) {
			given = append(given, p.String())
		} else {
			refused = append(refused, p.String())
		}
	}
	at := c.At.UTC().Format(time.RFC3339)
	if given != nil {
		r.Events = append(r.Events, ReceiptEvent{at, fmt.Sprintf("P%dD", ChoiceLife/(24*time.Hour)),
			dpvIRI + "ExplicitlyExpressedConsent", dpvIRI + "ConsentGiven", given, c.UnderGPC})
	}
	if refused != nil {
		r.Events = append(r.Events, ReceiptEvent{at, "", dpvIRI + "ExplicitlyExpressedConsent", dpvIRI + "ConsentRefused", refused, c.UnderGPC})
	}
	return r
}

// receiptID returns a UUID of version 8 (RFC 9562, 5.8).
func receiptID(kind, site string, c *Choice) string {
	h := sha256.New()
	h.Write([]byte(kind + "\x00" + site + "\x00"))
	h.Write(c.Encode())
	b := h.Sum(nil)[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"bespoke/host/ledger"
)

// report hands out the report of a period, as one HTML page or as JSON: the same
// as "bespoke ledger report" makes. The ledger is verified for it, see [reporting].
func (v *visit) report() error {
	if v.config.Ledger == "" {
		return errNoLedger
	}
	q := v.r.URL.Query()
	at, err := periodOf(q, v.now)
	if err != nil {
		return err
	}
	format := q.Get("format")
	if format != "html" && format != "json" {
		return &fault{http.StatusBadRequest, "A report is HTML or JSON: format=html or format=json."}
	}
	r, err := v.reporting.of(v, ledger.Period{From: at.From, To: at.To, Tenant: v.tenant})
	if err != nil {
		return err
	}
	var out bytes.Buffer
	contentType := "application/json"
	if format == "html" {
		contentType = "text/html; charset=utf-8"
		err = r.HTML(&out)
	} else {
		e := json.NewEncoder(&out)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	}
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	name := "bespoke-report"
	if v.tenant != "" {
		name += "-" + v.tenant
	}
	v.attach(contentType, fmt.Sprintf("%s-%s-%s.%s", name, at.FirstDay(), at.LastDay(), format))
	v.w.Write(out.Bytes())
	return nil
}

// proof hands out what proves to anybody with the public key that the record is in
// the ledger: see "bespoke ledger prove".
func (v *visit) proof() error {
	r, err := v.recordOf()
	if err != nil {
		return err
	}
	p, err := ledger.Prove(v.config.Ledger, r.Number)
	if err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	data, err := p.Encode()
	if err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	v.attach("application/json", fmt.Sprintf("record-%d.proof.json", r.Number))
	v.w.Write(data)
	return nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"bespoke/host/consent"
)

// figures reads /metrics.
func figures(ctx context.Context, admin, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics: status %d", resp.StatusCode)
	}
	return io.ReadAll(resp.Body)
}

// outputs looks for visitors in what an edge writes besides pages and records: the log with
// all of its lines, and the figures.
func (b *bench) outputs(ctx context.Context, state string, log, figures []byte) string {
	var tells []string
	for _, t := range towns {
		tells = append(tells, t.name)
	}
	tells = append(tells, "20.0.1.", "20.1.1.", "20.2.1.", "20.99.1.", "bespoke-choice=", "GA1.1.", grantsAll())
	for _, s := range tells {
		if bytes.Contains(figures, []byte(s)) {
			return fmt.Sprintf("the figures have %q, which a visitor is known by", s)
		}
		if bytes.Contains(log, []byte(s)) {
			return fmt.Sprintf("the log has %q, which a visitor is known by", s)
		}
	}
	byPlace := " by " + consent.ByJurisdiction.String()
	for line := range bytes.Lines(log) {
		var said map[string]any
		if json.Unmarshal(line, &said) != nil || said["jurisdiction"] == nil {
			continue
		}
		settled := false
		for _, v := range said {
			s, ok := v.(string)
			settled = settled || ok && strings.HasSuffix(s, byPlace)
		}
		if !settled {
			return "a line of the log names a jurisdiction that settled nothing"
		}
	}
	return b.recount(ctx, state, figures)
}

// recount sees whether there are as many records as exchanges that were counted. What was
// not recorded at all, no verifier can see in the record.
func (b *bench) recount(ctx context.Context, state string, figures []byte) string {
	out, _ := b.ask(ctx, "ledger", "report", filepath.Join(state, "ledger"), "--json")
	var rep struct {
		Summary struct {
			Total struct{ Exchanges int }
		}
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&rep); err != nil {
		return fmt.Sprintf("the report of the ledger: %v", err)
	}
	counted := 0
	for line := range strings.Lines(string(figures)) {
		if rest, ok := strings.CutPrefix(line, "bespoke_exchanges_total{"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(rest[strings.LastIndexByte(rest, '}')+1:]))
			if err != nil {
				return fmt.Sprintf("the figures: %v", err)
			}
			counted += n
		}
	}
	if n := rep.Summary.Total.Exchanges; n != counted {
		return fmt.Sprintf("%d exchanges were counted, %d are recorded", counted, n)
	}
	return ""
}

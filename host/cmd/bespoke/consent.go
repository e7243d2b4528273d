package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bespoke/geo"
	"bespoke/host/consent"
	"bespoke/modules/abi"
)

func consentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "consent",
		Short: "Ask how visitors' signals are decided on",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(explainCommand())
	return cmd
}

// A consentCase is one visitor.
type consentCase struct {
	Country string      `json:"country"`
	Region  string      `json:"region"`
	Headers [][2]string `json:"headers"`
	DNT     bool        `json:"dnt"`              // the site honours DNT
	Choice  *[]string   `json:"choice,omitempty"` // purposes allowed on this site; absent: nothing chosen
	Now     time.Time   `json:"now,omitzero"`     // the time of the exchange; absent: now
}

// An answeredPurpose is what was decided on one purpose.
type answeredPurpose struct {
	Granted bool   `json:"granted"`
	Rule    string `json:"rule"`
	Signal  string `json:"signal"`
}

func explainCommand() *cobra.Command {
	var c consentCase
	var headers []string
	var choice string
	var asJSON, lines bool
	cmd := &cobra.Command{
		Use:   "explain --country CC [--region RR] [--header 'Name: value']...",
		Short: "Print what is granted to a visitor's signals, and why",
		Long: `Print, for each purpose, whether it is granted to a visitor of that place whose
request has these headers, by which rule, and which signal settled it. The
edge decides by the same code. The consent strings of the IAB are read from
the cookies euconsent-v2, __gpp and usprivacy. This is not legal advice.

With --jsonl each line of standard input is a case, such as
  {"country":"DE","headers":[["Cookie","euconsent-v2=..."],["Sec-GPC","1"]]}
and each line of the answer an object with a member for each purpose. A line
that is no case is answered with {"error":"..."}; the exit status is then 1.`,
		Example: `  bespoke consent explain --country DE
  bespoke consent explain --country US --region CA --header 'Sec-GPC: 1'
  bespoke consent explain --jsonl < cases.jsonl`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lines {
				if c.Country != "" || len(headers) > 0 || choice != "" {
					return usageError{fmt.Errorf("with --jsonl the cases come from standard input")}
				}
				return explainLines(cmd.InOrStdin(), cmd.OutOrStdout())
			}
			for _, h := range headers {
				name, value, ok := strings.Cut(h, ":")
				if !ok {
					return usageError{fmt.Errorf("--header %q: expected Name: value", h)}
				}
				c.Headers = append(c.Headers, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
			}
			if cmd.Flags().Changed("choice") {
				list := strings.FieldsFunc(choice, func(r rune) bool { return r == ',' || r == ' ' })
				if len(list) == 1 && list[0] == "none" {
					list = nil
				}
				c.Choice = &list
			}
			d, err := c.decide()
			if err != nil {
				return usageError{err}
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(answerOf(&d))
			}
			return printDecision(cmd.OutOrStdout(), &d, geo.JurisdictionOf(c.Country, c.Region))
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Country, "country", "", "the visitor's country, ISO 3166-1 alpha-2 `CC`; left out: not known")
	f.StringVar(&c.Region, "region", "", "its region, ISO 3166-2 without the country: `RR`")
	f.StringArrayVar(&headers, "header", nil, "a header line of the request, `'Name: value'`; may be repeated")
	f.StringVar(&choice, "choice", "", "what the visitor allowed on this site: `PURPOSES` with commas, or none")
	f.BoolVar(&c.DNT, "dnt", false, "the site honours DNT")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	f.BoolVar(&lines, "jsonl", false, "read a case a line from standard input")
	return cmd
}

func (c *consentCase) decide() (consent.Decision, error) {
	if c.Country != "" && len(c.Country) != 2 {
		return consent.Decision{}, fmt.Errorf("country %q: expected two letters of ISO 3166-1", c.Country)
	}
	j := geo.JurisdictionOf(c.Country, c.Region)
	s := consent.Signals{
		Jurisdiction: consent.Jurisdiction{ID: j.ID, OptIn: j.Regime != geo.OptOut},
		HonorDNT:     c.DNT, Now: c.Now,
	}
	if s.Now.IsZero() {
		s.Now = time.Now()
	}
	names := consent.DefaultCookieNames()
	for _, h := range c.Headers {
		s.Header([]byte(h[0]), []byte(h[1]), &names)
	}
	if c.Choice != nil {
		s.Choice = &consent.Choice{At: s.Now, Epoch: 1}
		for _, name := range *c.Choice {
			p, ok := purposeOf(name)
			if !ok {
				return consent.Decision{}, fmt.Errorf("choice: %q is no purpose; they are %s", name, purposeNames())
			}
			s.Choice.Granted = s.Choice.Granted.With(p)
		}
	}
	return consent.Decide(s), nil
}

func purposeOf(name string) (abi.Purpose, bool) {
	for p := range abi.Purpose(abi.Purposes) {
		if p.String() == name {
			return p, true
		}
	}
	return 0, false
}

func purposeNames() string {
	var list []string
	for p := range abi.Purpose(abi.Purposes) {
		list = append(list, p.String())
	}
	return strings.Join(list, ", ")
}

func answerOf(d *consent.Decision) map[string]any {
	out := map[string]any{"jurisdiction": d.Jurisdiction.ID, "ask": d.Ask}
	for p := range abi.Purpose(abi.Purposes) {
		out[p.String()] = answeredPurpose{d.Grants(p), d.Rule(p).String(), d.Signal(p).String()}
	}
	for name, fault := range faults(d) {
		out[name] = fault
	}
	return out
}

// faults tells why strings could not be read.
func faults(d *consent.Decision) map[string]string {
	out := map[string]string{}
	for name, f := range map[string]string{"tcf_fault": d.TCFFault, "gpp_fault": d.GPPFault, "usprivacy_fault": d.USPrivacyFault} {
		if f != "" {
			out[name] = f
		}
	}
	return out
}

// maxCase is the most bytes of one line: a header of the most that the edge takes, and room.
const maxCase = 256 << 10

func explainLines(r io.Reader, w io.Writer) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), maxCase)
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	wrong, n := false, 0
	for in.Scan() {
		n++
		line := bytes.TrimSpace(in.Bytes())
		if len(line) == 0 {
			continue
		}
		answer, err := explainLine(line)
		if err != nil {
			wrong = true
			answer = map[string]any{"error": fmt.Sprintf("line %d: %v", n, err)}
		}
		if err := enc.Encode(answer); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("standard input, line %d: %w", n+1, err)
	}
	if wrong {
		return errAnswered
	}
	return nil
}

func explainLine(line []byte) (map[string]any, error) {
	var c consentCase
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, fmt.Errorf("something follows the object")
	}
	d, err := c.decide()
	if err != nil {
		return nil, err
	}
	return answerOf(&d), nil
}

func printDecision(w io.Writer, d *consent.Decision, j geo.Jurisdiction) error {
	fmt.Fprintf(w, "jurisdiction  %s (%s), %s\n", j.ID, j.Name, j.Regime)
	if j.Source != "" {
		fmt.Fprintf(w, "source        %s\n", j.Source)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "purpose\tgranted\trule\tsignal")
	for p := range abi.Purpose(abi.Purposes) {
		granted := "no"
		if d.Grants(p) {
			granted = "yes"
		}
		fmt.Fprintf(t, "%v\t%s\t%v\t%v\n", p, granted, d.Rule(p), d.Signal(p))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if d.Ask {
		fmt.Fprintln(w, "The visitor is asked.")
	}
	for _, f := range []struct{ name, fault string }{{"TC", d.TCFFault}, {"GPP", d.GPPFault}, {"US Privacy", d.USPrivacyFault}} {
		if f.fault != "" {
			fmt.Fprintf(w, "The %s string cannot be read: %s.\n", f.name, f.fault)
		}
	}
	_, err := fmt.Fprintln(w, geo.JurisdictionNotice())
	return err
}

package config

import (
	"net/url"
	"strconv"
	"strings"
)

// Traces say where the time of some exchanges goes, and to whom that is told.
type Traces struct {
	Endpoint  *url.URL // of an OTLP collector, http or https; nil: nothing is traced
	Sample    float64  // the part of exchanges that is traced, above 0 and at most 1
	Propagate bool     // origins are told of the trace (W3C Trace Context)
}

// DefaultSample is the part of exchanges that is traced where traces are on and
// the file says nothing else.
const DefaultSample = 0.01

func (d *decoder) traces(n *node) Traces {
	t := Traces{Sample: DefaultSample}
	d.mapping(n, "traces", []field{
		{"endpoint", true, func(n *node) {
			const want = "the URL of an OTLP collector such as http://127.0.0.1:4318"
			s, ok := d.text(n, "endpoint", want)
			if !ok {
				return
			}
			u, err := url.Parse(s)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
				d.errorf(n.pos, "endpoint: found %s, expected %s", n.describe(), want)
				return
			}
			t.Endpoint = u
		}},
		{"sample", false, func(n *node) {
			v, err := strconv.ParseFloat(n.text, 64)
			if n.kind != scalar || n.quoted || err != nil || strings.Trim(n.text, "0123456789.") != "" || v <= 0 || v > 1 {
				d.errorf(n.pos, "sample: found %s, expected a part above 0 and at most 1, such as 0.01", n.describe())
				return
			}
			t.Sample = v
		}},
		{"propagate", false, func(n *node) { t.Propagate = d.boolean(n, "propagate") }},
	})
	return t
}

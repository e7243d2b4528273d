// Package config reads the one YAML file that sets up the edge: where it
// listens, its limits, and for each tenant the hosts, the origin and the
// policies of its routes.
//
// Call [Load]; it reads a file, checks all of it and returns either a [Config]
// in which every default is filled in and every path is resolved, or [Errors]:
// everything that is wrong, with line and column. [Route.Match] then tells
// whether a route stands for a path.
//
// The package is strict: a key that it does not know is an error, and so is a
// value that means something else elsewhere (anchors, tags, tabs, several
// documents). Words in keys are joined by "_"; "-" is read as the same. It
// never starts anything, never opens a database or a module (it reads the files of
// fences, which are part of it), and never reads the environment.
package config

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"time"

	"bespoke/geo"
	"bespoke/modules/abi"
)

// MaxBytes is the largest configuration file, in bytes.
const MaxBytes = 1 << 20

// A Config is a checked configuration. It is not changed after Load.
type Config struct {
	File           string         // as given to Load
	Listen         string         // host:port; the host may be empty (every address), the port 0 (any free one)
	Admin          string         // host:port; "" for none
	State          string         // folder, resolved against the file's; it need not exist yet
	Geo            string         // file or folder, resolved against the file's; "": every place is unknown
	TrustedProxies []netip.Prefix // masked; IPv4 as IPv4
	Limits         Limits
	Ledger         Ledger
	Traces         Traces
	Digest         [32]byte // SHA-256 of the file
	Tenants        []Tenant // at least one
}

// Limits bound the work of the edge. Load fills every field; see [DefaultLimits].
type Limits struct {
	HeaderBytes      int // header_bytes: a request's line and header fields
	RequestBodyBytes int // request_body_bytes: a request's body
	DecodedBodyBytes int // decoded_body_bytes: an origin's body once decompressed

	ReadTimeout          time.Duration // read_timeout: to read a request, body included
	WriteTimeout         time.Duration // write_timeout: to write a response
	IdleTimeout          time.Duration // idle_timeout: between requests of a kept connection
	OriginConnectTimeout time.Duration // origin_connect_timeout: to connect to an origin
	OriginTimeout        time.Duration // origin_timeout: until the header of an origin's answer

	OriginConns int // origin_conns: connections to one origin
	Connections int // connections: of visitors, at the same time

	// Policy holds limits.policy: binary, memory, edits, edit_bytes, log_bytes,
	// time, init_time and concurrent.
	Policy abi.Limits
}

// DefaultLimits returns the limits that hold where the file names none.
func DefaultLimits() Limits {
	return Limits{
		HeaderBytes:          16 << 10,
		RequestBodyBytes:     16 << 20,
		DecodedBodyBytes:     64 << 20,
		ReadTimeout:          30 * time.Second,
		WriteTimeout:         30 * time.Second,
		IdleTimeout:          60 * time.Second,
		OriginConnectTimeout: 3 * time.Second,
		OriginTimeout:        30 * time.Second,
		OriginConns:          512,
		Connections:          20000,
		Policy:               abi.DefaultLimits,
	}
}

// A Tenant is one site.
type Tenant struct {
	// Name is unique: a lower-case letter, then up to 62 letters, digits or hyphens.
	Name string

	// Hosts are in lower case and without a port, unique over all tenants, at
	// least one. "*.example.com" stands for the names below example.com, not for
	// itself; a whole name beats a wildcard, and a longer wildcard a shorter one.
	// An IPv6 address stands in brackets.
	Hosts []string

	Origin       *url.URL       // http or https; scheme and host only
	PreserveHost bool           // send the visitor's Host to the origin, not the origin's own
	Zone         *time.Location // for the keys time.*; UTC by default
	Consent      Consent
	Catalogue    *Catalogue  // nil: none, and so nothing is recommended
	Fences       *geo.Fences // nil: none
	Canaries     *Canaries   // audit.canaries; nil: none
	Routes       []Route     // the first that matches wins; none: everything is passed through
}

// A Route says which policies run on which paths.
type Route struct {
	Path     string // a pattern; see Match
	Items    Items
	Policies []PolicyUse
}

// A PolicyUse is one policy on a route, with its options.
type PolicyUse struct {
	Use       string // as written
	Ref       Ref
	With      []Setting // sorted by name; no name twice
	Line, Col int       // of Use in the file, from 1; Col counts characters
}

// A Setting is one option of a policy. A list is one item a line.
type Setting struct{ Name, Value string }

// A RefKind says where a policy comes from.
type RefKind uint8

const (
	Builtin  RefKind = iota // it ships with Bespoke
	File                    // a WebAssembly file
	Uploaded                // the tenant uploaded it
)

// A Ref names a policy. It is comparable.
type Ref struct {
	Kind RefKind
	Name string // of a built-in or an upload; of a file, its base name without .wasm
	File string // of a file: resolved against the folder of the configuration

	Version int // of an upload: NAME@3; 0 is the active one, NAME@active
}

// Policies says what a policy declares. Load calls Manifest once for each
// distinct Ref; its error is reported where the policy is used. A nil manifest,
// and one whose With is nil, allows any option.
type Policies interface {
	Manifest(r Ref) (*abi.Manifest, error)
}

// Load reads and checks a file. If the file could be read but not accepted,
// the error is an [Errors].
func Load(file string, policies Policies) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(file, data, policies)
}

// Parse checks the text of a file. The name is used in errors, and its folder
// to resolve the paths that the text names. The error is an [Errors].
func Parse(file string, data []byte, policies Policies) (*Config, error) {
	d := newDecoder(file, policies)
	root := d.read(data)
	if root == nil {
		return nil, d.faults()
	}
	c := d.config(root)
	if err := d.faults(); err != nil {
		return nil, err
	}
	c.Digest = sha256.Sum256(data)
	return c, nil
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bespoke/host/ledger"
	"bespoke/modules/abi"
)

// The page's queries are for DuckDB, which this module does not bring along. What breaks
// them when records change is a name, so the names are taken out of them and looked for
// in an export, with the types that the page gives them.

// exported checks the queries against an export that was made as the page says.
func exported(t *testing.T, file string, queries []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range misnamed(b, queries) {
		t.Error(err)
	}
}

// A column is a DuckDB type, as far as the page uses them: a name of a scalar, a
// structure, or a list of either.
type column struct {
	scalar string
	fields map[string]*column
	list   bool
}

// sqlToken is a name in quotes, a string, a word, a list's mark, or a sign.
var sqlToken = regexp.MustCompile(`"[^"]*"|'[^']*'|[A-Za-z_][A-Za-z_0-9]*|\[\]|[^\sA-Za-z_]`)

// A sqlReader goes through tokens.
type sqlReader []string

func (r *sqlReader) next() string {
	if len(*r) == 0 {
		return ""
	}
	s := (*r)[0]
	*r = (*r)[1:]
	return s
}

func (r *sqlReader) take(s string) bool {
	if len(*r) > 0 && (*r)[0] == s {
		r.next()
		return true
	}
	return false
}

func unquoted(s string) string { return strings.Trim(s, `"'`) }

// typeOf reads a type: STRUCT(name TYPE, ...), or a word; either with [] behind it.
func (r *sqlReader) typeOf() *column {
	c := &column{scalar: r.next()}
	if c.scalar == "STRUCT" && r.take("(") {
		c.fields = map[string]*column{}
		for more := true; more; more = r.take(",") {
			name := unquoted(r.next())
			c.fields[name] = r.typeOf()
		}
		r.take(")")
	}
	c.list = r.take("[]")
	return c
}

// tableOf reads the columns that a query gives read_json, and the table's name.
func tableOf(query string) (name string, table *column, err error) {
	r := sqlReader(sqlToken.FindAllString(query, -1))
	if !r.take("CREATE") || !r.take("TABLE") {
		return "", nil, fmt.Errorf("%.40q makes no table", query)
	}
	name = unquoted(r.next())
	for len(r) > 0 && !r.take("columns") {
		r.next()
	}
	table = &column{fields: map[string]*column{}}
	if !r.take("=") || !r.take("{") {
		return "", nil, fmt.Errorf("%.40q names no columns", query)
	}
	for more := true; more; more = r.take(",") {
		of := unquoted(r.next())
		if !r.take(":") {
			return "", nil, fmt.Errorf("column %q has no type", of)
		}
		types := sqlReader(sqlToken.FindAllString(strings.Trim(r.next(), "'"), -1))
		table.fields[of] = types.typeOf()
		if len(types) > 0 {
			return "", nil, fmt.Errorf("column %q: %q is behind its type", of, types)
		}
	}
	return name, table, nil
}

// fits checks one value, and counts in seen which columns had one.
func (c *column) fits(path string, v any, seen map[string]int) error {
	if v == nil {
		return nil
	}
	if c.list {
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s is %T, and no list", path, v)
		}
		one := *c
		one.list = false
		for _, v := range list {
			if err := one.fits(path+"[]", v, seen); err != nil {
				return err
			}
		}
		seen[path]++
		return nil
	}
	seen[path]++
	if c.fields != nil {
		of, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %T, and no structure", path, v)
		}
		for name, field := range c.fields {
			if err := field.fits(path+"."+name, of[name], seen); err != nil {
				return err
			}
		}
		return nil
	}
	s, ok := v.(string)
	if ok && c.scalar == "TIMESTAMP" {
		_, err := time.Parse(time.RFC3339, s)
		return err
	}
	if !ok || c.scalar != "VARCHAR" {
		return fmt.Errorf("%s is %T, and not %s", path, v, c.scalar)
	}
	return nil
}

// paths lists a column's, and what it consists of.
func (c *column) paths(path string) (all []string) {
	all = []string{path}
	if c.list {
		path += "[]"
		all = append(all, path)
	}
	for name, field := range c.fields {
		all = append(all, field.paths(path+"."+name)...)
	}
	return all
}

// The words of SQL that the page uses, and its functions. A name that is neither these
// nor of a column, nor given by AS, is a mistake.
var (
	sqlWords     = strings.Fields("SELECT CAST AS DATE FROM WHERE IS NOT NULL AND GROUP BY ALL ORDER DESC")
	sqlFunctions = strings.Fields("CAST count list_contains unnest")
)

// unknown returns the names of a query that are not there.
func unknown(query, name string, table *column) (errs []error) {
	tokens := sqlToken.FindAllString(query, -1)
	at := func(i int) string {
		if i < 0 || i >= len(tokens) {
			return ""
		}
		return tokens[i]
	}
	given := map[string]*column{} // by AS; nil: of no column alone
	for i := range tokens {
		if at(i-1) != "AS" || at(i) == "DATE" { // CAST(... AS DATE)
			continue
		}
		given[unquoted(at(i))] = nil
		if at(i-5) == "unnest" { // unnest ( column ) AS name
			if c := table.fields[unquoted(at(i-3))]; c != nil {
				one := *c
				one.list = false
				given[unquoted(at(i))] = &one
			}
		}
	}
	for i := 0; i < len(tokens); i++ {
		s := tokens[i]
		switch {
		case s[0] == '\'':
			if _, ok := abi.ParsePurpose(unquoted(s)); !ok {
				errs = append(errs, fmt.Errorf("%s is no purpose", s))
			}
		case !regexp.MustCompile(`^["A-Za-z_]`).MatchString(s), slices.Contains(sqlWords, s), at(i-1) == "AS":
		case at(i+1) == "(":
			if !slices.Contains(sqlFunctions, s) {
				errs = append(errs, fmt.Errorf("%s: no function that is known here", s))
			}
		case at(i-1) == "FROM":
			if unquoted(s) != name {
				errs = append(errs, fmt.Errorf("%s: no table", s))
			}
		default:
			path := unquoted(s)
			c, ok := given[path]
			if own := table.fields[path]; own != nil {
				c, ok = own, true
			}
			for ; ok && at(i+1) == "."; i += 2 {
				field := unquoted(at(i + 2))
				path += "." + field
				if c == nil || c.list {
					ok = false
					break
				}
				c = c.fields[field]
				ok = c != nil
			}
			if !ok {
				errs = append(errs, fmt.Errorf("%s: no column", path))
			}
		}
	}
	return errs
}

// misnamed says what keeps the page's queries from being answered by an export: the first
// makes a table, the others ask it.
func misnamed(export []byte, queries []string) (errs []error) {
	if len(queries) < 2 {
		return []error{fmt.Errorf("%d queries", len(queries))}
	}
	name, table, err := tableOf(queries[0])
	if err != nil {
		return []error{err}
	}
	for _, q := range queries[1:] {
		errs = append(errs, unknown(q, name, table)...)
	}
	seen := map[string]int{}
	for line := range bytes.Lines(export) {
		var x map[string]any
		if err := json.Unmarshal(line, &x); err != nil {
			return append(errs, fmt.Errorf("%s: %w", line, err))
		}
		if err := table.fits(name, x, seen); err != nil {
			return append(errs, err)
		}
	}
	for _, path := range table.paths(name) {
		if seen[path] == 0 {
			errs = append(errs, fmt.Errorf("%s: no record has it", path))
		}
	}
	return errs
}

// The check finds every name that is not there, in the records or in the queries.
func TestQueriesOfThePage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	now := time.Date(2026, 10, 4, 5, 6, 7, 0, time.UTC)
	l, err := ledger.Open(ledger.Config{Dir: dir, Keys: filepath.Join(filepath.Dir(dir), "keys"), Origin: "bespoke/test", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	l.Exchange(&ledger.Exchange{Time: now, Tenant: "stores", Route: "/**", Served: "origin", Status: 200,
		Decision: &ledger.Decision{Facts: "optin", Purposes: []ledger.PurposeDecision{{Purpose: "personalize", Rule: "withdrawal", Signal: "choice"}, {Purpose: "measure", Granted: true, Rule: "choice", Signal: "choice"}}},
		Policies: []ledger.Policy{{Name: "nearby", Digest: [16]byte{1}, Outcome: ledger.Ran, Reads: ledger.Reads{Given: []string{"preference.name"}}}}}, false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var export bytes.Buffer
	if n, err := ledger.Export(&export, dir, ledger.Filter{Kind: ledger.KindExchange}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	queries := blocks(t, "../../../docs/audit.md", "sql")
	if errs := misnamed(export.Bytes(), queries); len(errs) > 0 || len(queries) != 3 {
		t.Fatalf("%d queries: %v\n%s", len(queries), errs, export.Bytes())
	}
	for _, name := range []string{"time", "tenant", "decision", "granted", "by", "personalize", "policies", "policy", "given"} {
		other := bytes.ReplaceAll(export.Bytes(), []byte(`"`+name+`":`), []byte(`"`+name+`_":`))
		if bytes.Equal(other, export.Bytes()) || len(misnamed(other, queries)) == 0 {
			t.Errorf("nobody notices when the records' %s has another name", name)
		}
		word := regexp.MustCompile(`\b` + name + `\b`)
		for i, q := range queries {
			for _, at := range word.FindAllStringIndex(q, -1) {
				renamed := slices.Clone(queries)
				renamed[i] = q[:at[1]] + "_" + q[at[1]:]
				if given := regexp.MustCompile(`AS "?$`).MatchString(q[:at[0]]); len(misnamed(export.Bytes(), renamed)) == 0 && !given {
					t.Errorf("nobody notices when %s has another name at byte %d of query %d", name, at[0], i+1)
				}
			}
		}
	}
}

package recommend

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// read fills the builder from JSON Lines or CSV with a header row, told apart by
// the first byte. An error is one of reading; what is wrong in the text is noted in
// the builder. progress may be nil; it is told how many items were read.
func (b *builder) read(r io.Reader, progress func(items int)) error {
	in := bufio.NewReaderSize(r, maxLine)
	if bom, _ := in.Peek(3); bytes.Equal(bom, []byte("\ufeff")) {
		in.Discard(3)
	}
	blank := 0 // lines before the first that says something
	for {
		c, err := in.ReadByte()
		if err == io.EOF {
			b.refuse(0, errors.New("the catalogue is empty"))
			return nil
		}
		if err != nil {
			return err
		}
		switch c {
		case '\n':
			blank++
		case ' ', '\t', '\r':
		default:
			in.UnreadByte()
			if progress == nil {
				progress = func(int) {}
			}
			if c == '{' || c == '[' {
				return b.readJSON(in, blank, progress)
			}
			return b.readCSV(in, blank, progress)
		}
	}
}

// step is after how many lines progress is told.
const step = 10_000

func (b *builder) readJSON(in *bufio.Reader, line int, progress func(int)) error {
	for more := true; more; {
		text, err := in.ReadSlice('\n')
		line++
		switch {
		case err == bufio.ErrBufferFull:
			more = b.refuse(line, fmt.Errorf("longer than %d bytes", maxLine))
			for err == bufio.ErrBufferFull {
				_, err = in.ReadSlice('\n')
			}
			text = nil
		case err != nil && err != io.EOF:
			return err
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			it, perr := parseJSON(text)
			if perr != nil {
				more = b.refuse(line, perr) && more
			} else {
				more = b.add(line, it) && more
			}
		}
		if line%step == 0 {
			progress(len(b.cat.items))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	progress(len(b.cat.items))
	return nil
}

// jsonItem is a line of JSON Lines. Numbers may also be strings, as shops export
// them.
type jsonItem struct {
	ID         jsonText                `json:"id"`
	Title      string                  `json:"title"`
	URL        string                  `json:"url"`
	Image      string                  `json:"image"`
	Price      jsonNumber              `json:"price"`
	Was        jsonNumber              `json:"was"`
	WasPrice   jsonNumber              `json:"was-price"`
	Currency   string                  `json:"currency"`
	Stock      jsonStock               `json:"stock"`
	Lat        *jsonNumber             `json:"lat"`
	Lon        *jsonNumber             `json:"lon"`
	Attributes map[string]jsonManyText `json:"attributes"`
}

func parseJSON(line []byte) (*rawItem, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("not UTF-8")
	}
	if line[0] != '{' {
		return nil, errors.New("not a JSON object; JSON Lines has one object a line")
	}
	j := jsonItem{Stock: true}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return nil, sayJSON(line, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	it := &rawItem{
		id: string(j.ID), title: j.Title, url: j.URL, image: j.Image, currency: j.Currency,
		price: float64(j.Price), was: max(float64(j.Was), float64(j.WasPrice)), stock: bool(j.Stock),
		lat: (*float64)(j.Lat), lon: (*float64)(j.Lon),
	}
	for name, values := range j.Attributes {
		for _, v := range values {
			it.attributes = append(it.attributes, attribute{name, v})
		}
	}
	// A map has no order; the numbers that new values get should have one.
	slices.SortStableFunc(it.attributes, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return it, nil
}

// sayJSON says what is wrong in words of ours where encoding/json's are about Go.
func sayJSON(line []byte, err error) error {
	if name := wrongNumber(line); name != "" {
		return fmt.Errorf("%s: %w", name, err)
	}
	var t *json.UnmarshalTypeError
	var s *json.SyntaxError
	switch {
	case errors.As(err, &t):
		return fmt.Errorf("%s: %s is not what it should be", t.Field, t.Value)
	case errors.As(err, &s), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("not JSON: %w", err)
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("%.80s: no such field; what is particular to a shop goes under \"attributes\"", field)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// wrongNumber names the field that should be a number and is not; "" if it is none.
func wrongNumber(line []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(line, &fields) != nil {
		return ""
	}
	for _, name := range []string{"price", "was", "was-price", "lat", "lon"} {
		var n jsonNumber
		if raw, ok := fields[name]; ok && n.UnmarshalJSON(raw) != nil {
			return name
		}
	}
	return ""
}

type jsonText string // a string, or a number as it is written

func (t *jsonText) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '"' {
		var n json.Number
		if err := json.Unmarshal(b, &n); err != nil {
			return fmt.Errorf("id: %.40s is neither text nor number", b)
		}
		*t = jsonText(n)
		return nil
	}
	return json.Unmarshal(b, (*string)(t))
}

type jsonNumber float64

func (n *jsonNumber) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" {
		return nil
	}
	if s[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	}
	v, err := number(s)
	*n = jsonNumber(v)
	return err
}

type jsonStock bool

func (s *jsonStock) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*s = true
	case bool:
		*s = jsonStock(v)
	case float64:
		if v < 0 {
			return fmt.Errorf("stock: %v is less than none", v)
		}
		*s = v > 0
	case string:
		ok, err := stock(v)
		*s = jsonStock(ok)
		return err
	default:
		return fmt.Errorf("stock: %.40s is neither true, false nor a number", b)
	}
	return nil
}

type jsonManyText []string // one value, or a list of them

func (m *jsonManyText) UnmarshalJSON(b []byte) error {
	var list []any
	switch {
	case b[0] == '"': // nearly all
		var v string
		err := json.Unmarshal(b, &v)
		*m = jsonManyText{v}
		return err
	case b[0] == '[':
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
	default:
		list = make([]any, 1)
		if err := json.Unmarshal(b, &list[0]); err != nil {
			return err
		}
	}
	if len(list) > maxAttributes {
		return fmt.Errorf("attributes: %d values, at most %d may be", len(list), maxAttributes)
	}
	for _, v := range list {
		switch v := v.(type) {
		case nil:
		case string:
			*m = append(*m, v)
		case float64:
			*m = append(*m, strconv.FormatFloat(v, 'f', -1, 64))
		case bool:
			*m = append(*m, strconv.FormatBool(v))
		default:
			return fmt.Errorf("attributes: %.40s is neither a value nor a list of values", b)
		}
	}
	return nil
}

// A hold ends reading when one row took more than a row may: a quote that never
// closes would otherwise make the reader keep all that follows.
type hold struct {
	r    io.Reader
	left int
}

var errLongRow = fmt.Errorf("a row is longer than %d bytes; a quote may be open", maxLine)

func (h *hold) Read(p []byte) (int, error) {
	if h.left <= 0 {
		return 0, errLongRow
	}
	n, err := h.r.Read(p[:min(len(p), h.left)])
	h.left -= n
	return n, err
}

func (b *builder) readCSV(in *bufio.Reader, before int, progress func(int)) error {
	h := &hold{in, maxLine}
	r := csv.NewReader(h)
	r.ReuseRecord = true
	r.FieldsPerRecord = -1 // told below, in words with a line
	var columns []string
	for more := true; more; {
		row, err := r.Read()
		h.left = maxLine + 4096 // the reader ahead of itself by its buffer
		if err == io.EOF {
			break
		}
		var pe *csv.ParseError
		switch {
		case errors.As(err, &pe):
			if more = b.refuse(pe.StartLine+before, fmt.Errorf("CSV: %w", pe.Err)); columns == nil {
				return nil // without a header nothing can be read
			}
			continue
		case errors.Is(err, errLongRow):
			b.refuse(0, err)
			return nil
		case err != nil:
			return err
		}
		line, _ := r.FieldPos(0)
		line += before
		if columns == nil {
			columns = slices.Clone(row)
			if err := header(columns); err != nil {
				b.refuse(line, err)
				return nil
			}
			continue
		}
		it, perr := parseRow(columns, row)
		if perr != nil {
			more = b.refuse(line, perr)
		} else {
			more = b.add(line, it)
		}
		if len(b.cat.items)%step == 0 {
			progress(len(b.cat.items))
		}
	}
	if columns == nil {
		b.refuse(0, errors.New("the catalogue is empty"))
	}
	progress(len(b.cat.items))
	return nil
}

// header checks the names of columns; what is not ours is an attribute.
func header(columns []string) error {
	for i, c := range columns {
		c = strings.TrimSpace(c)
		if lower := strings.ToLower(c); slices.Contains(ours, lower) {
			c = lower
		}
		c = strings.TrimPrefix(c, "attributes.")
		if c == "was-price" {
			c = "was"
		}
		if err := text("header", c, 1, maxName); err != nil {
			return err
		}
		if slices.Contains(columns[:i], c) {
			return fmt.Errorf("header: %q is there twice", c)
		}
		columns[i] = c
	}
	if !slices.Contains(columns, "id") {
		return errors.New(`header: no column "id"; the first row names the columns`)
	}
	return nil
}

var ours = []string{"id", "title", "url", "image", "price", "was", "was-price", "currency", "stock", "lat", "lon"}

// parseRow reads a row. A column that is not ours holds an attribute: one value, or
// several with | between them.
func parseRow(columns, row []string) (*rawItem, error) {
	if len(row) != len(columns) {
		return nil, fmt.Errorf("%d columns, the header has %d", len(row), len(columns))
	}
	it := &rawItem{stock: true}
	for i, s := range row {
		if s == "" {
			continue
		}
		var err error
		switch columns[i] {
		case "id":
			it.id = s
		case "title":
			it.title = s
		case "url":
			it.url = s
		case "image":
			it.image = s
		case "currency":
			it.currency = s
		case "price":
			it.price, err = number(s)
		case "was":
			it.was, err = number(s)
		case "stock":
			it.stock, err = stock(s)
		case "lat":
			it.lat, err = pointer(s)
		case "lon":
			it.lon, err = pointer(s)
		default:
			for v := range strings.SplitSeq(s, "|") {
				if v = strings.TrimSpace(v); v != "" && len(it.attributes) <= maxAttributes {
					it.attributes = append(it.attributes, attribute{columns[i], v})
				}
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", columns[i], err)
		}
	}
	return it, nil
}

func pointer(s string) (*float64, error) {
	v, err := number(s)
	return &v, err
}

// number reads a decimal as programs write them: no signs of thousands, no unit.
func number(s string) (float64, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v != v || v > 1e300 || v < -1e300 {
		return 0, fmt.Errorf("%.40q is no number such as 19.99", s)
	}
	return v, nil
}

func stock(s string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "yes", "in stock", "in_stock":
		return true, nil
	case "false", "no", "out of stock", "out_of_stock":
		return false, nil
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(v >= 0) {
		return false, fmt.Errorf("stock: %.40q is neither true, false nor how many there are", s)
	}
	return v > 0, nil
}

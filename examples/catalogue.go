package examples

import (
	"bytes"
	"embed"
	"encoding/json"
	"slices"
	"strings"
)

// An item is a line of a catalogue, as `bespoke catalogue load` takes it.
type item struct {
	ID         string          `json:"id"`
	Title      string          `json:"title"`
	URL        string          `json:"url"`
	Image      string          `json:"image,omitempty"`
	Price      float64         `json:"price,omitempty"`
	Was        float64         `json:"was,omitempty"`
	Lat        *float64        `json:"lat,omitempty"`
	Lon        *float64        `json:"lon,omitempty"`
	Attributes map[string]many `json:"attributes,omitempty"`
}

// At returns an attribute, "" if the item has none of that name. Several values
// are apart by commas, as in the attributes of a page.
func (i item) At(name string) string { return strings.Join(i.Attributes[name], ",") }

// Has reports whether value is one of an attribute's values.
func (i item) Has(name, value string) bool { return slices.Contains(i.Attributes[name], value) }

// many is one text, or a list of them.
type many []string

func (m *many) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(m))
	}
	*m = many{""}
	return json.Unmarshal(b, &(*m)[0])
}

// catalogue reads JSON Lines.
func catalogue(files embed.FS, name string) []item {
	b, err := files.ReadFile(name)
	must(name, err)
	var out []item
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	for d.More() {
		var it item
		must(name, d.Decode(&it))
		out = append(out, it)
	}
	return out
}

// must stops the program on a fault of an embedded file.
func must(name string, err error) {
	if err != nil {
		panic("examples: " + name + ": " + err.Error())
	}
}

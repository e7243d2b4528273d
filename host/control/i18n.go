package control

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed lang/*.txt
var langFiles embed.FS

// Languages are those that visitors are addressed in; the first is for those
// who read none of them.
var languages = [...]string{"en", "de", "es", "fr", "pt", "ja"}

// texts are the texts of one language, by key.
type texts struct {
	lang string
	of   map[string]string
}

// loadTexts reads every language, and checks that each has the texts of the
// first, with the same placeholders.
func loadTexts() (map[string]*texts, error) {
	all := map[string]*texts{}
	for _, lang := range languages {
		name := "lang/" + lang + ".txt"
		data, err := langFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("language %s: %w", lang, err)
		}
		t, err := parseTexts(lang, string(data))
		if err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
		all[lang] = t
	}
	first := all[languages[0]]
	for _, lang := range languages[1:] {
		if err := all[lang].matches(first); err != nil {
			return nil, fmt.Errorf("lang/%s.txt: %w", lang, err)
		}
	}
	return all, nil
}

// parseTexts reads lines "key = text"; empty ones and those with # are left out.
func parseTexts(lang, data string) (*texts, error) {
	t := &texts{lang: lang, of: map[string]string{}}
	n := 0
	for line := range strings.Lines(data) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, text, ok := strings.Cut(line, " = ")
		if !ok || key == "" || strings.TrimSpace(text) == "" {
			return nil, fmt.Errorf("%d: found %.40q, expected key = text", n, line)
		}
		if _, twice := t.of[key]; twice {
			return nil, fmt.Errorf("%d: %s is there twice", n, key)
		}
		t.of[key] = text
	}
	return t, nil
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

func (t *texts) matches(first *texts) error {
	for key, text := range first.of {
		own, ok := t.of[key]
		if !ok {
			return fmt.Errorf("%s is missing", key)
		}
		a, b := placeholder.FindAllString(text, -1), placeholder.FindAllString(own, -1)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			return fmt.Errorf("%s has the placeholders %q, expected %q", key, b, a)
		}
	}
	for key := range t.of {
		if _, ok := first.of[key]; !ok {
			return fmt.Errorf("%s is not a text of lang/%s.txt", key, first.lang)
		}
	}
	return nil
}

// text returns a text with its placeholders filled: pairs are names and values.
func (t *texts) text(key string, pairs ...string) (string, error) {
	s, ok := t.of[key]
	if !ok {
		return "", fmt.Errorf("there is no text %q", key)
	}
	if len(pairs) == 0 {
		return s, nil
	}
	old := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		old = append(old, "{"+pairs[i]+"}", pairs[i+1])
	}
	return strings.NewReplacer(old...).Replace(s), nil
}

// day writes a date, in UTC.
func (t *texts) day(at time.Time) string {
	at = at.UTC()
	month := t.of["month."+strconv.Itoa(int(at.Month()))]
	s, _ := t.text("date", "d", strconv.Itoa(at.Day()), "month", month, "y", strconv.Itoa(at.Year()))
	return s
}

// Language returns the one of our languages that a visitor reads best, by the
// Accept-Language header of their browser (RFC 9110, 12.5.4): the range with the
// highest weight of which we have the language; "en" if there is none.
func Language(accept string) string {
	best, weight := languages[0], 0.0
	for i := 0; accept != "" && i < 32; i++ { // nobody reads more
		var item string
		item, accept, _ = strings.Cut(accept, ",")
		tag, params, _ := strings.Cut(item, ";")
		tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		if i := slices.Index(languages[:], tag); i >= 0 && q > weight {
			best, weight = languages[i], q // not tag, so that accept may be short-lived
		}
	}
	return best
}

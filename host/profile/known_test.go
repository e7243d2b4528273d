package profile

import (
	"encoding/json"
	"testing"
	"time"
)

type catalogue struct{}

func (catalogue) Item(n uint32) string {
	return map[uint32]string{1: "Brass lamp", 2: "Black\n<b>kettle</b>"}[n]
}

func (catalogue) Value(n uint32) (string, string) {
	if n == 7 {
		return "colour", "black"
	}
	return "", ""
}

func TestKnown(t *testing.T) {
	var p Inferred
	var h Hidden
	if k := Know(&p, nil, catalogue{}); k.Text() != "" {
		t.Errorf("of nobody: %s", k.Text())
	}
	p.View(1, []uint32{7, 8}, after(0))
	p.View(2, []uint32{7}, after(time.Minute))
	p.Purchase(3, nil, after(14*day))
	p.Persona("teacher", 3, after(14*day))
	p.Persona("executive", 2, after(14*day))
	p.MailSent(after(14 * day))
	h.Hide(9)
	h.Hide(1)
	k := Know(&p, &h, catalogue{})
	const text = `Since 1 March 2026, 12:00 UTC
You looked at:
  Black <b>kettle</b>, 1 March 2026, 12:01 UTC
  Brass lamp, 1 March 2026, 12:00 UTC
You bought:
  an item that is not in the catalogue any more (number 3), 15 March 2026, 12:00 UTC
What you looked at, searched for or bought suggests that you like:
  colour: black (1)
  something that is not in the catalogue any more (number 8) (0.5)
You seem to be:
  teacher (3)
  executive (2)
Messages, older ones counted as less:
  mail: sent 1, opened 0, links followed 0
You chose not to see:
  Brass lamp
  an item that is not in the catalogue any more (number 9)
`
	if got := k.Text(); got != text {
		t.Errorf("%s\nwant\n%s", got, text)
	}
	const want = `{"since":"2026-03-01T12:00:00Z","recently_viewed":[{"number":2,"title":"Black\n\u003cb\u003ekettle\u003c/b\u003e","at":"2026-03-01T12:01:00Z"},{"number":1,"title":"Brass lamp","at":"2026-03-01T12:00:00Z"}],"purchases":[{"number":3,"at":"2026-03-15T12:00:00Z"}],"interests":[{"number":7,"attribute":"colour","value":"black","strength":1},{"number":8,"strength":0.5}],"personas":[{"name":"teacher","score":3},{"name":"executive","score":2}],"messages":[{"channel":"mail","sent":1,"opened":0,"clicked":0}],"hidden":[{"number":1,"title":"Brass lamp"},{"number":9}]}`
	if got, err := json.Marshal(k); err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant\n%s", got, err, want)
	}
}

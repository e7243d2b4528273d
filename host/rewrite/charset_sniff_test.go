package rewrite

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/html/charset"
)

// unknown is what sniffed says of a page that must not be edited since its
// encoding has a name that is not known.
const unknown = "unknown"

// sniffed tells a charset in one word: its name, "" if nothing is declared,
// with a star if what is not ASCII goes as references.
func sniffed(c Charset) string {
	if c.code == codeUnknown {
		return unknown
	}
	if c.refs {
		return c.Name() + "*"
	}
	return c.Name()
}

// A sniffCase is a page's head and what it is.
type sniffCase struct {
	head, header, want string
	chromium           string // what it takes it for, where that is not want
}

// guess is for cases in which Chromium takes nothing for declared. It looks for
// declarations with the tokenizer that it has for pages, which differs from the
// standard's prescan in how it ends comments and in what script and title hold;
// of attributes of one name it takes the last; it may look beyond 1024 bytes;
// and it passes over labels that it does not know.
const guess = "guess"

func sniffCases() []sniffCase {
	const meta, pragma = "<meta charset=koi8-r>", "<meta http-equiv=content-type content='text/html; charset=koi8-r'>"
	return []sniffCase{
		{head: "", want: ""},
		{head: "<!DOCTYPE html><title>x</title>\xe9", want: ""},

		// A byte order mark beats all.
		{head: "\xef\xbb\xbf" + meta, header: "text/html; charset=gbk", want: "utf-8"},
		{head: "\xfe\xff\x00<", header: "text/html; charset=utf-8", want: "utf-16be"},
		{head: "\xff\xfe<\x00", want: "utf-16le"},
		{head: " \xef\xbb\xbf" + meta, want: "koi8-r"},
		{head: "\xef\xbb" + meta, want: "koi8-r"},

		// The header beats the page.
		{head: meta, header: "text/html; charset=utf-8", want: "utf-8"},
		{head: meta, header: "text/html;charset=UTF8", want: "utf-8"},
		{head: meta, header: `text/html ; Charset="windows-1251"`, want: "windows-1251"},
		{head: meta, header: `text/html;charset="windows\-1251";x`, want: "windows-1251"},
		{head: meta, header: `text/html;charset="windows-1251`, want: "windows-1251"},
		{head: meta, header: `text/html; a="; charset=gbk"; charset=big5`, want: "big5"},
		{head: meta, header: "text/html; charset=gbk; charset=big5", want: "gbk"},
		{head: meta, header: "text/html; charset=gbk ; x=y", want: "gbk"},
		{head: meta, header: "text/html; charset=iso-8859-1", want: "windows-1252"},
		{head: meta, header: "text/html; charset=iso-2022-jp", want: "iso-2022-jp"},
		{head: meta, header: "text/html; charset=utf-16", want: "utf-16le"},
		{head: meta, header: "text/html; charset=x-user-defined", want: "x-user-defined"},
		{head: meta, header: "text/html; charset=hz-gb-2312", want: "replacement"},
		{head: meta, header: "text/html", want: "koi8-r"},
		{head: meta, header: "text/html; charset=", want: "koi8-r"},
		{head: meta, header: `text/html; charset=""; charset=gbk`, want: "koi8-r"},
		{head: meta, header: "text/html; charset", want: "koi8-r"},
		{head: meta, header: "text/html; charset;x", want: "koi8-r"},
		{head: meta, header: "text/html; char\u017fet=gbk", want: "koi8-r"},
		{head: meta, want: "koi8-r"},
		{head: meta, header: ";;;=;", want: "koi8-r"},
		{head: meta, header: "text/html; charset=utf-7", want: unknown, chromium: "koi8-r"},
		{head: meta, header: "text/html; charset='utf-8'", want: unknown, chromium: "koi8-r"},
		{head: meta, header: "text/html; charset=gbk, text/html; charset=big5", want: unknown, chromium: "big5"},
		{head: "", header: "text/html; charset=mine", want: unknown, chromium: guess},

		// Metas.
		{head: "<META CHARSET=KOI8-R>", want: "koi8-r"},
		{head: "<meta/charset=koi8-r/>", want: unknown, chromium: guess}, // the slash belongs to the label
		{head: "<meta/charset='koi8-r'/>", want: "koi8-r"},
		{head: "<meta\tcharset\n=\f' koi8-r\r'>", want: "koi8-r"},
		{head: "<meta name=x charset=koi8-r charset=gbk>", want: "koi8-r", chromium: "gbk"},
		{head: "<meta charset=koi8-r", want: "", chromium: guess},
		{head: "<meta charset='koi8-r>", want: "", chromium: guess},
		{head: "<metacharset=koi8-r>", want: ""},
		{head: "<meta>charset=koi8-r>", want: ""},
		{head: "<meta charset>" + meta, want: "koi8-r"},
		{head: "<meta charset=>" + meta, want: "koi8-r"},
		{head: "<meta =charset=koi8-r>" + "<meta charset=gbk>", want: "gbk"},
		{head: "<meta ='x charset=koi8-r>", want: "koi8-r"},
		{head: "<meta x'y=\"'\"charset=koi8-r>", want: "koi8-r"},
		{head: "<meta x = 'charset=gbk' charset = koi8-r >", want: "koi8-r"},
		{head: "<meta charset=\"koi8-r'>\"><meta charset=gbk>", want: "gbk"},
		{head: "</meta charset=gbk>" + meta, want: "koi8-r"},
		{head: "<meta charset=&#107;oi8-r><meta charset=gbk>", want: "gbk", chromium: "koi8-r"}, // references are not looked at
		{head: "<meta charset=utf-16>", want: "utf-8"},
		{head: "<meta charset=utf-16be>", want: "utf-8"},
		{head: "<meta charset=x-user-defined>", want: "windows-1252"},
		{head: "<meta charset=iso-2022-jp>", want: "iso-2022-jp"},
		{head: "<meta charset=iso-2022-cn>", want: "replacement"},
		{head: "<meta charset=mine>", want: unknown, chromium: guess},
		{head: "<meta charset=mine>" + meta, want: "koi8-r"},

		// Pragmas: both attributes, in any order.
		{head: pragma, want: "koi8-r"},
		{head: "<meta content='text/html; charset=koi8-r' http-equiv='Content-Type'>", want: "koi8-r"},
		{head: "<meta content='text/html; charset=koi8-r'>", want: ""},
		{head: "<meta content='text/html; charset=koi8-r' http-equiv=refresh>", want: ""},
		{head: "<meta content='text/html; charset=koi8-r' http-equiv=refresh http-equiv=content-type>", want: "", chromium: "koi8-r"},
		{head: "<meta content='text/html; charset=mine' http-equiv=content-type>", want: unknown, chromium: guess},
		{head: "<meta content='text/html; charset=mine'>", want: ""},
		{head: "<meta http-equiv=content-type content='charset=mine' charset=koi8-r>", want: "koi8-r"},
		{head: "<meta http-equiv=content-type content='charset=gbk' charset=koi8-r>", want: "koi8-r"},
		{head: "<meta content='charset=gbk' charset=koi8-r>", want: "koi8-r"},
		{head: "<meta charset=koi8-r content='charset=gbk' http-equiv=content-type>", want: "koi8-r"},
		{head: "<meta charset=mine content='charset=gbk' http-equiv=content-type>", want: unknown, chromium: guess},
		{head: "<meta http-equiv=content-type content='charset charset = koi8-r;'>", want: "koi8-r"},
		{head: "<meta http-equiv=content-type content='xcharsetcharset=koi8-r x'>", want: "koi8-r"},
		{head: `<meta http-equiv=content-type content='charset="koi8-r"x'>`, want: "koi8-r"},
		{head: `<meta http-equiv=content-type content='charset="koi8-r'>`, want: ""},
		{head: `<meta http-equiv=content-type content='charset="koi8-r" x'>`, want: "koi8-r"},
		{head: "<meta http-equiv=content-type content='charset='>", want: ""},
		{head: "<meta http-equiv=content-type content=charset>", want: ""},
		{head: "<meta http-equiv=content-type content='charset = '>", want: ""},
		{head: "<meta http-equiv=content-type content='CHARSET=KOI8-R'>", want: "koi8-r"},
		{head: "<meta http-equiv=content-type content='charset=utf-16le'>", want: "utf-8"},
		{head: "<meta http-equiv=content-type content=''content='charset=gbk'>", want: "", chromium: "gbk"},

		// What stands before.
		{head: "<!-- " + meta + " --><meta charset=gbk>", want: "gbk"},
		{head: "<!--" + meta, want: "", chromium: guess},
		{head: "<!-->" + meta, want: "koi8-r"},
		{head: "<!--->" + meta, want: "koi8-r"},
		{head: "<!---->" + meta, want: "koi8-r"},
		{head: "<!-- --!>" + meta + "--><meta charset=gbk>", want: "gbk", chromium: "koi8-r"},
		{head: "<!->" + meta, want: "koi8-r"},
		{head: "<!>" + meta, want: "koi8-r"},
		{head: "<! '" + meta + "'><meta charset=gbk>", want: "gbk"},
		{head: "<?php '" + meta + "' ?><meta charset=gbk>", want: "gbk"},
		{head: "</ " + meta + "<meta charset=gbk>", want: "gbk"},
		{head: "</>" + meta, want: "koi8-r"},
		{head: "< " + meta, want: "koi8-r"},
		{head: "<<" + meta, want: "koi8-r"},
		{head: "<1" + meta, want: "koi8-r"},
		{head: "<p title='" + meta + "'><meta charset=gbk>", want: "gbk"},
		{head: "<p title=\"" + meta + "><meta charset=gbk>", want: "", chromium: guess},
		{head: "<p title=a'" + meta + "'>" + pragma, want: "koi8-r"},
		{head: "</title x='" + meta + "'><meta charset=gbk>", want: "gbk"},
		{head: "<title>" + meta + "</title><meta charset=gbk>", want: "koi8-r", chromium: "gbk"},
		{head: "<script>'" + meta + "'</script><meta charset=gbk>", want: "koi8-r", chromium: "gbk"},
		{head: "\x00<\x00meta charset=gbk>" + meta, want: "koi8-r"},

		// How far it looks.
		{head: strings.Repeat(" ", 1024-len(meta)) + meta, want: "koi8-r"},
		{head: strings.Repeat(" ", 1025-len(meta)) + meta, want: "", chromium: "koi8-r"},

		// XML declarations count in HTML when no meta does.
		{head: "<?xml version='1.0' encoding='koi8-r'?><html>", want: "koi8-r"},
		{head: "<?xml version='1.0' encoding='koi8-r'?><meta charset=gbk>", want: "gbk"},
		{head: " <?xml version='1.0' encoding='koi8-r'?>", want: ""},
		{head: "<?xml encoding='utf-16'?>", want: "utf-8"},
		{head: "<?xml encoding='mine'?>", want: unknown, chromium: guess},
		{head: "<?xml encoding = \"koi8-r\" ?>", want: "koi8-r"},
		{head: "<?xml encoding = \"koi8-r' ?>", want: ""},
		{head: "<?xml encoding='koi8-r'", want: ""},
		{head: "<?xml encoding='koi8-r '?>", want: ""},
		{head: "<?xml encoding=koi8-r?>", want: ""},
		{head: "<?xml encoding:'koi8-r'?>", want: ""},
		{head: "<?xml encoding='>koi8-r'?>", want: ""},
		{head: "<?xml encoding>", want: ""},
		{head: "<?xml encoding=>", want: ""},
		{head: "<\x00?\x00x\x00m\x00l\x00", want: "utf-16le"},
		{head: "\x00<\x00?\x00x\x00m\x00l", want: "utf-16be"},

		// What browsers would guess, and what not.
		{head: "<title>\x1b$B%F%9%H\x1b(B</title>", want: unknown, chromium: guess},
		{head: "<title>\x1b$B%F%9%H\x1b(B</title>" + meta, want: "koi8-r"},
		{head: "<title>\x1b$B%F%9%H</title>", want: unknown, chromium: guess},
		{head: "<title>\x1b(Jx</title>", want: unknown, chromium: guess},
		{head: "<title>\x1b[0m</title>", want: ""},
	}
}

func TestSniff(t *testing.T) {
	for _, tt := range sniffCases() {
		if got := sniffed(Sniff([]byte(tt.head), tt.header, false)); got != tt.want {
			t.Errorf("%q, %q: %q, want %q", tt.head, tt.header, got, tt.want)
		}
	}
}

func sniffXMLCases() []sniffCase {
	const latin = "<?xml version='1.0' encoding='iso-8859-1'?>"
	return []sniffCase{
		{head: "", want: "utf-8"},
		{head: "<rss>", want: "utf-8"},
		{head: "<rss>", header: "text/xml; charset=utf-8", want: "utf-8"},
		{head: "<?xml version='1.0'?>", header: "application/xml", want: "utf-8"},
		{head: "<?xml version='1.0' encoding='UTF-8'?>", want: "utf-8"},
		{head: "\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?>", want: "utf-8"},
		// What a parser makes of its bytes beyond ASCII depends on the parser.
		{head: latin, want: "windows-1252*"},
		{head: latin, header: "text/xml; charset=iso-8859-1", want: "windows-1252*"},
		{head: "<rss>", header: "text/xml; charset=iso-8859-1", want: "windows-1252*"},
		{head: "<?xml encoding='us-ascii'?>", want: "windows-1252*"},
		{head: "<?xml encoding='Shift_JIS'?>", want: "shift_jis*"},
		{head: "<?xml encoding='utf-16'?>", want: "utf-8*"},
		// Two that say different things.
		{head: latin, header: "text/xml; charset=utf-8", want: "utf-8*"},
		{head: "<?xml encoding='utf-8'?>", header: "text/xml; charset=iso-8859-2", want: "iso-8859-2*"},
		{head: "<?xml encoding='mine'?>", header: "text/xml; charset=utf-8", want: "utf-8*"},
		// Metas do not count.
		{head: "<html xmlns='http://www.w3.org/1999/xhtml'><meta charset='gbk'/>", want: "utf-8"},
		// Not editable.
		{head: "<?xml encoding='mine'?>", want: unknown},
		{head: "<?xml encoding='iso-2022-jp'?>", want: "iso-2022-jp"},
		{head: "<rss>", header: "text/xml; charset=utf-16", want: "utf-16le"},
		{head: "<rss>", header: "text/xml; charset=mine", want: unknown},
		{head: latin, header: "text/xml; charset=mine", want: unknown},
		{head: "\xff\xfe<\x00", header: "text/xml; charset=utf-8", want: "utf-16le"},
		{head: "<\x00r\x00", want: unknown},
		{head: "\x00<\x00r", want: unknown},
		{head: "\x00\x00\x00<", want: unknown},
		{head: "\x4c\x6f\xa7\x94\x93", want: unknown},
	}
}

func TestSniffXML(t *testing.T) {
	for _, tt := range sniffXMLCases() {
		c := Sniff([]byte(tt.head), tt.header, true)
		if got := sniffed(c); got != tt.want {
			t.Errorf("%q, %q: %q, want %q", tt.head, tt.header, got, tt.want)
		}
		if tt.want == unknown && c.Editable() {
			t.Errorf("%q is editable", tt.head)
		}
	}
}

// A randomHead is a beginning of a page in which everything is apt to declare
// an encoding and much does not. It stays clear of that in which the reference
// differs: see TestSniffDifferences.
func randomHead(rnd *rand.Rand) string {
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	label := func() string { return pick("koi8-r", "gbk", "UTF-8", "utf-16", "Latin1", "mine", "", "iso-2022-jp") }
	quote := func(s string) string {
		q := pick("'", "\"")
		return q + strings.ReplaceAll(s, q, pick(" ", "")) + q
	}
	content := func() string {
		return pick("", "text/html; ", "charset ", "x") + pick("charset", "CHARSET", "char set") + pick("=", " =", "= ", "") +
			pick(label(), quote(label()), "'"+label()) + pick("", ";", " x")
	}
	attr := func(pragma bool) string {
		own := pick(
			pick("charset", "Charset", "xcharset", "name")+pick("=", " = ")+quote(pick("", " ")+label()),
			"charset="+pick("koi8-r", "gbk", "UTF-8", "mine")+" ",
			pick("charset", "async", "name=x "))
		if pragma {
			own = pick("content="+quote(content()), "content="+quote(content()),
				"charset="+quote(pick("koi8-r", "gbk", "utf-16"))) // see "mine" in TestSniffDifferences
		}
		return pick(" ", "\n", "\t/", " / ") + pick(own, own,
			"http-equiv="+quote(pick("content-type", "Content-Type", "refresh")),
			"title="+quote("<meta charset=big5>"),
		)
	}
	var b strings.Builder
	for range rnd.IntN(7) {
		switch rnd.IntN(10) {
		case 0, 1, 2, 3:
			b.WriteString(pick("<meta", "<META", "<meta", "<metal", "</meta", "<p", "</p", "<link"))
			pragma := rnd.IntN(2) == 0
			for range rnd.IntN(4) {
				b.WriteString(attr(pragma))
			}
			if rnd.IntN(20) == 0 {
				return b.String() // within a tag
			}
			b.WriteString(pick(">", ">", ">", " >", "/>"))
		case 4:
			b.WriteString("<!--" + pick(" <meta charset=big5>", "", " - -- ->") + pick("-->", "-->", "-->", "-", ""))
		case 5:
			b.WriteString(pick("<!", "<?", "</ ") + pick("x ", "DOCTYPE", "xml encoding=") + pick("'<meta charset=big5>'", "html") + pick(">", ">", ""))
		case 6:
			b.WriteString(pick("<", "<<", "<1", "< ", "</>", "<!>", "&lt;"))
		case 7:
			b.WriteString(pick("x", "\n", "charset=gbk", "=", "'", "\""))
		case 8:
			b.WriteString(strings.Repeat("x", rnd.IntN(600)))
		case 9:
			b.WriteString("<title" + pick("", " charset='big5'") + ">x</title>")
		}
	}
	return b.String()
}

// Sniff tells what golang.org/x/net/html/charset tells.
func TestSniffDifferential(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 12))
	found := map[string]int{}
	for range 50_000 {
		head := []byte(randomHead(rnd))
		if rnd.IntN(50) == 0 {
			head = append([]byte("\xef\xbb\xbf"), head...)
		}
		header := ""
		if rnd.IntN(20) == 0 {
			header = []string{"text/html; charset=big5", `text/html; charset="BIG5"; x=y`, "text/html; x=charset"}[rnd.IntN(3)]
		}
		_, want, _ := charset.DetermineEncoding(head, header)
		got := sniffed(Sniff(head, header, false))
		// Where nothing is declared the reference guesses. It passes over labels
		// that it does not know.
		if got == "" || got == unknown {
			got = "windows-1252"
		}
		found[got]++
		if got != want {
			t.Fatalf("%q, %q: %s, want %s", head, header, got, want)
		}
	}
	for _, name := range []string{"koi8-r", "gbk", "utf-8", "windows-1252", "iso-2022-jp", "big5"} {
		if found[name] < 100 {
			t.Errorf("%d heads are in %s", found[name], name)
		}
	}
}

// Where Sniff differs from the reference, with the reason.
func TestSniffDifferences(t *testing.T) {
	for _, tt := range []struct{ head, header, want, reference, reason string }{
		{"éx", "", "", "utf-8", "it guesses where nothing is declared, and no browser takes UTF-8 for granted"},
		{"x", "", "", "windows-1252", "it has one default for all readers"},
		{"<script><meta charset=gbk></script>", "", "gbk", "windows-1252", "its prescan is a tokenizer: script and title hold no tags"},
		{"<!-- --!><meta charset=gbk>", "", "", "gbk", "its prescan ends comments as a tokenizer does"},
		{"<!-- --!><meta charset=gbk>-->", "", "", "gbk", "the same"},
		{"<p/x='> <meta charset=gbk>'>", "", "gbk", "windows-1252", "its tag names end at a slash"},
		{"<meta charset='&#103;bk'>", "", unknown, "gbk", "its values have references resolved"},
		{"<meta charset=mine content='charset=gbk' http-equiv=content-type>", "", unknown, "gbk", "a label that is not known does not keep it from the next attribute"},
		{"<meta charset='x-user-defined'>", "", "windows-1252", "x-user-defined", "it does not know this rule"},
		{"<meta charset='\vgbk'>", "", unknown, "gbk", "it trims what Unicode calls a space"},
		{"<?xml encoding='gbk'?>", "", "gbk", "windows-1252", "it does not get an XML encoding"},
		{"<\x00?\x00x\x00m\x00", "", "utf-16le", "windows-1252", "nor one in UTF-16"},
		{"\x1b$B\x1b(B", "", unknown, "windows-1252", "browsers guess at ISO-2022-JP"},
		{"<meta charset=gbk>", "text/html; charset=mine", unknown, "gbk", "a header with a label that is not known: deliberate"},
		{"<meta charset=gbk>", "text/html; charset=big5; charset=big5; charset=koi8-r", "big5", "gbk", "it wants headers without a fault"},
	} {
		_, reference, _ := charset.DetermineEncoding([]byte(tt.head), tt.header)
		got := sniffed(Sniff([]byte(tt.head), tt.header, false))
		if got != tt.want || reference != tt.reference {
			t.Errorf("%q, %q: %q, want %q; the reference: %q, want %q (%s)", tt.head, tt.header, got, tt.want, reference, tt.reference, tt.reason)
		}
	}
}

// checkSniff checks what holds of every page.
func checkSniff(t *testing.T, page []byte, contentType string, xml bool) {
	t.Helper()
	was := bytes.Clone(page)
	all := Sniff(page, contentType, xml)
	if !bytes.Equal(page, was) {
		t.Fatal("the page was changed")
	}
	if got := Sniff(page[:min(len(page), maxHead)], contentType, xml); got != all {
		t.Errorf("%q: %+v, but %+v of its first bytes", page, all, got)
	}
	for n := range min(len(page), maxHead) + 1 {
		if c, sure := sniff(page[:n], contentType, xml); sure && c != all {
			t.Fatalf("%q, %q, %t: sure of %+v after %d bytes, but it is %+v", page, contentType, xml, c, n, all)
		}
	}
	if _, sure := sniff(append(bytes.Clone(page), make([]byte, maxHead)...), contentType, xml); !sure {
		t.Errorf("%q, %q, %t: not sure in the end", page, contentType, xml)
	}
	if int(all.code) >= len(codings) || all.Editable() && all.code == codeUnknown {
		t.Errorf("%q: %+v", page, all)
	}
	if c := Sniff(append([]byte("\xef\xbb\xbf"), page...), contentType, xml); c != UTF8 {
		t.Errorf("%q: with a byte order mark %+v", page, c)
	}
	if c := Sniff(page, contentType+"; charset=utf-8", false); contentType == "" && !all.isMarked() && c != UTF8 {
		t.Errorf("%q: with a header %+v", page, c)
	}
	all.Append(nil, string(page))
}

// isMarked reports whether c is what only a byte order mark, or what looks like it, declares.
func (c Charset) isMarked() bool { return c.code == codeUTF16LE || c.code == codeUTF16BE }

// Enough of a page is enough, wherever it was cut.
func TestSniffSure(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 13))
	for _, tt := range append(sniffCases(), sniffXMLCases()...) {
		checkSniff(t, []byte(tt.head), tt.header, false)
		checkSniff(t, []byte(tt.head), tt.header, true)
	}
	for range 500 {
		head := []byte(randomHead(rnd))
		checkSniff(t, head, "", false)
		checkSniff(t, append([]byte("<?xml encoding='gbk'?>"), head...), "", rnd.IntN(2) == 0)
	}
	// It does not ask for more than it needs.
	for i, tt := range []struct {
		head, header string
		xml, sure    bool
	}{
		{"", "text/html; charset=utf-8", false, false},
		{"\xef\xbb", "text/html; charset=utf-8", false, false},
		{"<", "text/html; charset=utf-8", false, true},
		{"<meta charset=utf-8>", "", false, true},
		{"<meta charset=utf-8", "", false, false},
		{"<rss>", "", true, true},
		{"<?xml version='1.0'?>", "", true, true},
		{"<?xml version='1.0'?", "", true, false},
		{"<?xml version='1.0'?", "text/xml; charset=utf-8", true, false},
		{strings.Repeat("<", maxHead-1), "", false, false},
		{strings.Repeat("<", maxHead), "", false, true},
		{"<?xml " + strings.Repeat("x", maxHead-6), "", true, true},
	} {
		if _, sure := sniff([]byte(tt.head), tt.header, tt.xml); sure != tt.sure {
			t.Errorf("%d: sure is %t", i, sure)
		}
	}
}

func FuzzSniff(f *testing.F) {
	for _, tt := range sniffCases() {
		f.Add([]byte(tt.head), tt.header, false)
	}
	f.Add([]byte("<?xml version='1.0' encoding='gbk'?><rss>"), "text/xml", true)
	f.Fuzz(func(t *testing.T, page []byte, contentType string, xml bool) {
		if len(page) > 2*maxHead {
			page = page[:2*maxHead]
		}
		checkSniff(t, page, contentType, xml)
	})
}

func BenchmarkSniff(b *testing.B) {
	for _, tt := range []struct{ name, head, header string }{
		{"header", "<!DOCTYPE html>", "text/html; charset=utf-8"},
		{"meta", "<!DOCTYPE html><html lang=en><head><meta charset=utf-8>", "text/html"},
		{"nothing", strings.Repeat("<p class=x>text</p>", 60), "text/html"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			head := fmt.Append(nil, tt.head)
			for b.Loop() {
				Sniff(head, tt.header, false)
			}
		})
	}
}

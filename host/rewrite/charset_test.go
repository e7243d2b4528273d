package rewrite

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"sync"
	"testing"

	"golang.org/x/text/encoding/htmlindex"
)

func TestCharsetLabels(t *testing.T) {
	for label, want := range map[string]string{
		"utf-8": "utf-8", "UTF8": "utf-8", " \t\r\n\fUtf-8\f ": "utf-8", "unicode-1-1-utf-8": "utf-8",
		// Browsers read Windows-1252 where pages say Latin-1 or ASCII.
		"iso-8859-1": "windows-1252", "latin1": "windows-1252", "ascii": "windows-1252", "us-ascii": "windows-1252", "ISO_8859-1:1987": "windows-1252",
		"iso-8859-9": "windows-1254", "iso-8859-11": "windows-874", "tis-620": "windows-874",
		"gb2312": "gbk", "chinese": "gbk", "gb_2312-80": "gbk", "GB18030": "gb18030",
		"sjis": "shift_jis", "ms932": "shift_jis", "ks_c_5601-1987": "euc-kr", "csEUCPkdFmtJapanese": "euc-jp",
		"big5-hkscs": "big5", "koi8-ru": "koi8-u", "logical": "iso-8859-8-i", "visual": "iso-8859-8", "mac": "macintosh",
		"utf-16": "utf-16le", "unicode": "utf-16le", "utf-16be": "utf-16be", "iso-2022-kr": "replacement", "hz-gb-2312": "replacement",
		"iso-2022-jp": "iso-2022-jp", "x-user-defined": "x-user-defined",

		"": "", "utf": "", "utf-7": "", "utf-32": "", "utf 8": "", "'utf-8'": "", "utf-8;": "", "ebcdic-cp-us": "", "none": "",
		"\vutf-8": "", "\u00a0utf-8": "", "\u2003utf-8": "", "\u212aoi8-r": "", "utf-8\x00": "",
		"utf-8" + strings.Repeat(" ", 100): "utf-8", strings.Repeat("x", 1000): "",
	} {
		if got := charsetOf(label).Name(); got != want {
			t.Errorf("%q is %q, want %q", label, got, want)
		}
		if charsetOf([]byte(label)) != charsetOf(label) {
			t.Errorf("%q: bytes and string differ", label)
		}
	}
	for i, to := range codings {
		if to.name != "" && charsetOf(to.name) != (Charset{code: uint8(i)}) {
			t.Errorf("%s does not name itself", to.name)
		}
		if to.name != "" && !to.closed && i != codeUTF8 && (to.single == nil) == (to.multi == nil) {
			t.Errorf("%s has no encoder, or two", to.name)
		}
	}
}

func TestCharsetEditable(t *testing.T) {
	for _, label := range []string{"utf-16le", "utf-16be", "iso-2022-jp", "replacement", "x-user-defined", "no such"} {
		if charsetOf(label).Editable() {
			t.Errorf("%s is editable", label)
		}
	}
	for _, c := range []Charset{{}, UTF8, charsetOf("latin1"), charsetOf("gbk"), charsetOf("shift_jis")} {
		if !c.Editable() {
			t.Errorf("%+v is not editable", c)
		}
	}
}

func TestCharsetAppend(t *testing.T) {
	for _, tt := range []struct{ charset, s, want string }{
		{"utf-8", "a é\u0085€😀\x1b", "a é\u0085€😀\x1b"},
		{"", "a é\u0085\u00a0€😀", "a &#233;&#65533;&#160;&#8364;&#128512;"},
		{"", "\x1b$B\x1b(J", "&#65533;$B&#65533;(J"}, // no ISO-2022-JP in a page that browsers guess about
		{"", "a\xff\xe2\x82z", "a&#65533;&#65533;&#65533;z"},
		{"latin1", "é€ŠΩ\u0081", "\xe9\x80\x8a&#937;&#65533;"},
		{"latin1", "\x1b\xff", "\x1b&#65533;"},
		{"iso-8859-2", "é€ř", "\xe9&#8364;\xf8"},
		{"ibm866", "Ж<b>", "\x86<b>"},
		{"koi8-u", "ґ", "\xad"},
		{"gbk", "中€😀", "\xd6\xd0\x80&#128512;"},
		{"gbk", "乣", "&#20067;"}, // 81 60: its second byte is a backtick
		{"gb18030", "中€😀", "\xd6\xd0\xa2\xe3\x94\x39\xfc\x36"},
		{"gb18030", "\ue000\u1e3f", "&#57344;&#7743;"},
		{"big5", "中", "\xa4\xa4"},
		{"shift_jis", "表ｱ¥", "\x95\x5c\xb1&#165;"},
		{"euc-jp", "表ｱ丂", "\xc9\xbd\x8e\xb1\x8f\xb0\xa1"},
		{"euc-kr", "한", "\xc7\xd1"},
	} {
		var c Charset
		if tt.charset != "" {
			c = charsetOf(tt.charset)
		}
		if got := c.Append([]byte("- "), tt.s); string(got) != "- "+tt.want {
			t.Errorf("%s: %+q, want %+q", tt.charset, got, "- "+tt.want)
		}
		// There need not be room, and what lies behind is not spoilt.
		full := []byte("ab")[:1:2]
		if got := c.Append(full, tt.s); string(got) != "a"+tt.want {
			t.Errorf("%s: %+q, want %+q", tt.charset, got, "a"+tt.want)
		}
		refs := c
		refs.refs = true
		if got := refs.Append(nil, "aé中"); string(got) != "a&#233;&#20013;" {
			t.Errorf("%s by references: %q", tt.charset, got)
		}
	}
	if UTF8 == (Charset{}) || (Charset{code: codeUTF8, refs: true}) == UTF8 {
		t.Error("charsets that differ are equal")
	}
}

// eachRune calls f for all characters that an encoding may have.
func eachRune(f func(rune)) {
	for r := rune(0x80); r < 0x30000; r++ {
		if r < 0xd800 || r >= 0xe000 {
			f(r)
		}
	}
	f(0xe0001)
	f(0x10ffff)
}

// What Append writes is read as what was meant, and none of it can be taken
// for markup.
func TestCharsetRoundTrip(t *testing.T) {
	for i, to := range codings {
		c := Charset{code: uint8(i)}
		if !c.Editable() {
			continue
		}
		t.Run(to.name, func(t *testing.T) {
			t.Parallel()
			var page []byte
			direct := 0
			eachRune(func(r rune) {
				was := len(page)
				page = c.Append(page, string(r))
				code := page[was:]
				if code[0] >= 0x80 {
					direct++
					if i := bytes.IndexAny(code, "<>&\"'=/` \t\n\f\r"); i >= 0 {
						t.Errorf("%U: % x", r, code)
					}
				}
				page = append(page, '\n')
			})
			if to.name == "" && direct != 0 || to.single != nil && direct < 48 || to.multi != nil && direct < 6000 {
				t.Errorf("%d characters are encoded", direct)
			}
			if to.name != "" {
				e, err := htmlindex.Get(to.name)
				if err != nil {
					t.Fatal(err)
				}
				if page, err = e.NewDecoder().Bytes(page); err != nil {
					t.Fatal(err)
				}
			}
			lines := strings.Split(string(page), "\n")
			eachRune(func(r rune) {
				line := lines[0]
				lines = lines[1:]
				got := line
				if strings.HasPrefix(line, "&#") {
					got = html.UnescapeString(line)
				}
				if got != string(r) && (r >= 0xa0 || got != "\ufffd") {
					t.Errorf("%U: written %q, read %+q", r, line, got)
				}
			})
		})
	}
}

// One after the other is the same as all at once, and many may write at the same time.
func TestCharsetAppendTogether(t *testing.T) {
	var all strings.Builder
	eachRune(func(r rune) {
		if r%7 == 0 {
			all.WriteRune(r)
			all.WriteString("<a>"[r%3:])
		}
	})
	s := all.String()
	for i := range codings {
		c := Charset{code: uint8(i)}
		if c.Editable() && c.Name() != "utf-8" {
			want := []byte{}
			for _, r := range s {
				want = c.Append(want, string(r))
			}
			var group sync.WaitGroup
			for range 2 {
				group.Go(func() {
					if got := c.Append(nil, s); !bytes.Equal(got, want) {
						t.Errorf("%s: not what it is rune by rune", c.Name())
					}
				})
			}
			group.Wait()
		}
	}
}

func TestCharsetAllocs(t *testing.T) {
	head := []byte("<!DOCTYPE html><html><head><title>x</title><meta http-equiv=Content-Type content='text/html; charset=ISO-8859-2'>")
	xml := []byte("<?xml version='1.0' encoding='Shift_JIS'?><rss>")
	dst := make([]byte, 0, 1<<10)
	for _, label := range []string{"utf-8", "latin1", "gbk", "gb18030", "big5", "euc-jp", "shift_jis", "euc-kr"} {
		c := charsetOf(label)
		if n := testing.AllocsPerRun(100, func() { dst = c.Append(dst[:0], "plain, é, 中, €, 😀") }); n != 0 {
			t.Errorf("Append in %s: %v allocations", label, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		Sniff(head, "", false)
		Sniff(head, "text/html; charset=\"windows-1251\"", false)
		Sniff(xml, "application/xml", true)
	}); n != 0 {
		t.Errorf("Sniff: %v allocations", n)
	}
}

func BenchmarkCharsetAppend(b *testing.B) {
	for _, label := range []string{"utf-8", "latin1", "shift_jis"} {
		for _, s := range []string{strings.Repeat("plain text ", 20), strings.Repeat("表é中 a ", 20)} {
			b.Run(fmt.Sprintf("%s/%t", label, s[0] == 'p'), func(b *testing.B) {
				c, dst := charsetOf(label), make([]byte, 0, 4<<10)
				b.SetBytes(int64(len(s)))
				for b.Loop() {
					dst = c.Append(dst[:0], s)
				}
			})
		}
	}
}

package rewrite

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"bespoke/modules/abi"
)

func TestCheck(t *testing.T) {
	order := "by=distance\nlat=a\nlon=b\nat=1,2"
	for _, c := range []struct {
		e    abi.Edit
		want abi.Refusal
	}{
		{edit(abi.OpText, "p", "x"), abi.Accepted},
		{edit(abi.OpText, "p"), abi.Accepted},
		{edit(abi.OpText, "p", "x", "html"), abi.RefusedArgument},
		{edit(abi.OpBefore, "p", "<b>x</b>", "html"), abi.Accepted},
		{edit(abi.OpBefore, "p", "<b>x", "html"), abi.RefusedArgument},
		{edit(abi.OpBefore, "p", "x", "HTML"), abi.RefusedArgument},
		{edit(abi.OpText, "p", "x", "y"), abi.RefusedArgument},
		{edit(abi.OpText, "p", "a\x00"), abi.RefusedArgument},
		{edit(abi.OpBefore, "p", "a\xff"), abi.RefusedArgument},
		{edit(abi.OpText, "p["), abi.RefusedTarget},
		{edit(abi.OpText, ""), abi.RefusedTarget},
		{edit(0, "p"), abi.RefusedUnknownOp},
		{edit(99, "p"), abi.RefusedUnknownOp},
		{edit(abi.OpHTML, "p", "<i>a</i>"), abi.Accepted},
		{edit(abi.OpHTML, "p", "<script>a</script>"), abi.RefusedArgument},
		{edit(abi.OpHTML, "p", "a", "html"), abi.Accepted},
		{edit(abi.OpReplace, "p", "<i>a</i>"), abi.Accepted},
		{edit(abi.OpReplace, "p", "</p>", "html"), abi.RefusedArgument},
		{edit(abi.OpUnwrap, "p"), abi.Accepted},
		{edit(abi.OpUnwrap, "p", "x"), abi.RefusedArgument},
		{edit(abi.OpFill, "ul", "name=a"), abi.Accepted},
		{edit(abi.OpFill, "ul", "a"), abi.RefusedArgument},
		{edit(abi.OpSetHeader, "p"), abi.RefusedUnsupported},
		{edit(abi.OpAttr, "p", "title", "x"), abi.Accepted},
		{edit(abi.OpAttr, "p", "Data-X.y:z_1", "x"), abi.Accepted},
		{edit(abi.OpAttr, "p", "", "x"), abi.RefusedArgument},
		{edit(abi.OpAttr, "p", "1a", "x"), abi.RefusedArgument},
		{edit(abi.OpAttr, "p", "a b", "x"), abi.RefusedArgument},
		{edit(abi.OpAttr, "p", "a=b", "x"), abi.RefusedArgument},
		{edit(abi.OpAttr, "p", "é", "x"), abi.RefusedArgument},
		{edit(abi.OpAttr, "p", "OnClick", "x"), abi.RefusedArgument},
		{edit(abi.OpAttr, "p", "style", "x"), abi.RefusedArgument},
		{edit(abi.OpAttr, "p", "SRCDOC", "x"), abi.RefusedArgument},
		{edit(abi.OpAttr, "p", "title", "\x00"), abi.RefusedArgument},
		{edit(abi.OpUnsetAttr, "p", "onclick"), abi.Accepted},
		{edit(abi.OpUnsetAttr, "p", "integrity"), abi.RefusedArgument},
		{edit(abi.OpUnsetAttr, "p", "sandbox"), abi.RefusedArgument},
		{edit(abi.OpAttr, "p", "Nonce", "x"), abi.RefusedArgument},
		{edit(abi.OpUnsetAttr, "p", "a>"), abi.RefusedArgument},
		{edit(abi.OpUnsetAttr, "p", "a", "b"), abi.RefusedArgument},
		{edit(abi.OpAddClass, "p", "a"), abi.Accepted},
		{edit(abi.OpAddClass, "p", "a b"), abi.RefusedArgument},
		{edit(abi.OpRemoveClass, "p", ""), abi.RefusedArgument},
		{edit(abi.OpRemove, "p"), abi.Accepted},
		{edit(abi.OpRemove, "p", "x"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", order), abi.Accepted},
		{edit(abi.OpOrder, "ul", order, "items=li.a\nshow=.d\nunit=mi"), abi.Accepted},
		{edit(abi.OpOrder, "ul", order, "unit=m"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", order, "items=li a"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", order, "show=li, a"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", order, "shows=li"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", order+"\nat=1,2"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", order+"\nids=a"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=distance\nlat=a\nlon=b\nat=91,2"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=distance\nlat=a\nlon=b\nat=NaN,2"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=distance\nlat=a\nlon=b\nat=1"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=distance\nlat=a b\nlon=b\nat=1,1"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=attr\nattr=x\nas=date"), abi.Accepted},
		{edit(abi.OpOrder, "ul", "by=attr\nattr=x\nas=time"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=attr\nfrom=time.a[b='@c']@datetime\nas=date"), abi.Accepted},
		{edit(abi.OpOrder, "ul", "by=attr\nfrom=time"), abi.Accepted},
		{edit(abi.OpOrder, "ul", "by=attr\nfrom=a b"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=attr\nfrom=a:has(b)"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=attr\nfrom=a\nattr=b"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=affinity"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=affinity\nweight.data-finish=brushed nickel:0.8|black:0.25\nweight.data-b=x:-1\ndecay=0.5"), abi.Accepted},
		{edit(abi.OpOrder, "ul", "by=affinity\nweight.data-finish=black"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=affinity\nweight.data-finish=black:x"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=affinity\nweight.=black:1"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=affinity\nweight.a=black:1\ndecay=2"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=attr\nattr=x\ndir=up"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=attr"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=attr\nattr=x", "show=b"), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "by=ids\nids="), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", ""), abi.RefusedArgument},
		{edit(abi.OpOrder, "ul", "nonsense"), abi.RefusedArgument},
		{edit(abi.OpKeep, "ul", "first=3"), abi.Accepted},
		{edit(abi.OpKeep, "ul", "first=3\nwithin=2.5\nlat=a\nlon=b\nat=1,2"), abi.Accepted},
		{edit(abi.OpKeep, "ul", "within=2.5"), abi.RefusedArgument},
		{edit(abi.OpKeep, "ul", "within=-1\nlat=a\nlon=b\nat=1,2"), abi.RefusedArgument},
		{edit(abi.OpKeep, "ul", "attr=data-kind\nin=a|b\nnot=c"), abi.Accepted},
		{edit(abi.OpKeep, "ul", "attr=data-price\nmin=1\nmax=9.5"), abi.Accepted},
		{edit(abi.OpKeep, "ul", "attr=data-price\nmin=x"), abi.RefusedArgument},
		{edit(abi.OpKeep, "ul", "attr=data-price"), abi.RefusedArgument},
		{edit(abi.OpKeep, "ul", "in=a"), abi.RefusedArgument},
		{edit(abi.OpKeep, "ul", "ids=a b"), abi.Accepted},
		{edit(abi.OpKeep, "ul", "drop=a b\nfirst=2"), abi.Accepted},
		{edit(abi.OpKeep, "ul", "drop="), abi.RefusedArgument},
		{edit(abi.OpKeep, "ul", "first=0"), abi.RefusedArgument},
		{edit(abi.OpKeep, "ul", "first=x"), abi.RefusedArgument},
		{edit(abi.OpKeep, "ul", "lat=a\nlon=b\nat=1,2"), abi.RefusedArgument},
		{edit(abi.OpKeep, "ul", ""), abi.RefusedArgument},
	} {
		if got := Check(c.e); got != c.want {
			t.Errorf("%v: %v, want %v", c.e, got, c.want)
		}
		if _, err := Compile([]abi.Edit{c.e}, Options{}); (err == nil) != (c.want == abi.Accepted) {
			t.Errorf("%v: Compile: %v", c.e, err)
		}
	}
}

func TestSafeURL(t *testing.T) {
	for value, ok := range map[string]bool{
		"": true, "/a:b": true, "a/b:c": true, "?a:b": true, "#a:b": true, "http://x": true, "HTTPS://x": true, "ht\ntps://x": true, "mailto:a@b": true, "tel:1": true, "//h/": true, "a b": true,
		"javascript:x": false, "JavaScript:x": false, " javascript:x": false, "\x01\x1fjavascript:x": false, "java\tscript:x": false, "java\nscript:x": false, "java\r\nscript:x": false,
		"\tj\na\rv\tascript\n:x": false, "vbscript:x": false, "data:text/html,x": false, "blob:x": false, "file:///x": false, "view-source:x": false, "a:b": false, ":": false, "&#106;avascript:x": true, /* a fragment: the ampersand is escaped */
	} {
		for _, name := range []string{"href", "src", "action", "formaction", "poster", "data", "xlink:href", "cite"} {
			if got := safeValue(name, value); got != ok {
				t.Errorf("%s=%q: %v", name, value, got)
			}
		}
	}
	for value, ok := range map[string]bool{"a.png 1x, b.png 2x": true, "a.png 1x, javascript:x 2x": false, "https://h/a 1x,data:x": false} {
		if got := safeValue("srcset", value); got != ok {
			t.Errorf("srcset=%q: %v", value, got)
		}
	}
	if !safeValue("title", "javascript:x") || safeValue("to", "java\tscript:x") {
		t.Error("title or to")
	}
}

func TestSelectorEscapes(t *testing.T) {
	p := compile(t, Options{}, edit(abi.OpAttr, `#a\:b, .\31 x, [t="\27 \"\
"]`, "z", "1"))
	got, _ := rewriteAt(t, p, `<p id=a:b><p class=1x><p t="'&quot;"><p>`)
	if want := `<p z="1" id=a:b><p z="1" class=1x><p z="1" t="'&quot;"><p>`; got != want {
		t.Error(got)
	}
}

func TestCharset(t *testing.T) {
	edits := []abi.Edit{edit(abi.OpText, "b", "é\u0085€😀"), edit(abi.OpAttr, "b", "title", "ü")}
	got, _ := rewriteAt(t, compile(t, Options{}, edits...), "\xe9<b>x</b>\xe9")
	if want := "\xe9<b title=\"&#252;\">&#233;&#65533;&#8364;&#128512;</b>\xe9"; got != want {
		t.Error(got)
	}
	got, _ = rewriteAt(t, compile(t, Options{Charset: UTF8}, edits...), "<b>x</b>")
	if want := "<b title=\"ü\">é\u0085€😀</b>"; got != want {
		t.Error(got)
	}
}

func TestNewline(t *testing.T) {
	got, _ := rewriteAt(t, compile(t, Options{}, edit(abi.OpText, "pre", "\nx"), edit(abi.OpText, "p", "\r\nx")), "<pre>y</pre><p>z")
	if want := "<pre>\n\nx</pre><p>&#13;\nx"; got != want {
		t.Errorf("%q", got)
	}
}

// Items whose place is no place go last, and are dropped by within.
func TestBadPlaces(t *testing.T) {
	items := `<li lat=x lon=1>a<li lat=91 lon=1>b<li lat=1 lon=181>c<li lat=NaN lon=0>d<li lat=0x1 lon=0>e<li lat=1e400 lon=0>f<li lat="" lon="">g<li lon=1>h`
	page := "<ul>" + items + "<li lat=' 1.0 ' lon=+1>i</ul>"
	at := "\nlat=lat\nlon=lon\nat=1,1"
	got, _ := rewriteAt(t, compile(t, Options{}, edit(abi.OpOrder, "ul", "by=distance"+at)), page)
	if !strings.HasPrefix(got, "<ul><li lat=' 1.0 ' lon=+1>i</li><li lat=x lon=1>a</li>") || !strings.HasSuffix(got, "<li lon=1>h</li></ul>") {
		t.Error(got)
	}
	got, _ = rewriteAt(t, compile(t, Options{}, edit(abi.OpKeep, "ul", "within=5"+at)), page)
	if got != "<ul><li lat=' 1.0 ' lon=+1>i</li></ul>" {
		t.Error(got)
	}
}

// One rewriter, page after page, and one plan in many rewriters.
func TestReuse(t *testing.T) {
	p := compile(t, Options{Tail: []byte("!")}, edit(abi.OpOrder, "ul", near, "show=.d"), edit(abi.OpAppend, "li", "+"), edit(abi.OpRemove, "#x"))
	q := compile(t, Options{}, edit(abi.OpText, ".d", "?"))
	want, _ := rewriteAt(t, p, cities)
	want2, _ := rewriteAt(t, q, cities)
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 6))
			var out bytes.Buffer
			r := New(p, &out)
			for range 50 {
				// A page that is given up half way leaves nothing behind.
				r.Reset(p, discard{})
				r.Write([]byte("<b id=x>"))
				r.Reset(p, discard{})
				r.Write([]byte(randomSoup(rnd, 300) + "</script></title><b id=x><ul><li>"))
				for _, c := range []struct {
					p    *Plan
					want string
				}{{p, want}, {q, want2}} {
					out.Reset()
					r.Reset(c.p, &out)
					r.Write([]byte(cities))
					r.Close()
					if out.String() != c.want {
						t.Errorf("got %s\nwant %s", out.String(), c.want)
						return
					}
				}
			}
		})
	}
	group.Wait()
}

func TestNoAllocations(t *testing.T) {
	rnd := rand.New(rand.NewPCG(8, 8))
	page := []byte(strings.ReplaceAll(randomPage(rnd, 30<<10), "&amp;d", "") + cities)
	p := compile(t, Options{Charset: UTF8, Tail: []byte("tail")},
		edit(abi.OpOrder, "ul, ol", near, "show=.d"), edit(abi.OpKeep, "ul", "first=3"), edit(abi.OpText, "span", "x"), edit(abi.OpAppend, "li b", "y"),
		edit(abi.OpAttr, "a", "title", "z"), edit(abi.OpAddClass, ".c1", "q"), edit(abi.OpRemove, "#n3"), edit(abi.OpOrder, "dl", "by=attr\nattr=title"))
	r := New(p, discard{})
	once := func() {
		r.Reset(p, discard{})
		for i := 0; i < len(page); i += 1000 {
			r.Write(page[i:min(i+1000, len(page))])
		}
		r.Close()
		r.Report()
	}
	once()
	if n := testing.AllocsPerRun(20, once); n != 0 {
		t.Errorf("%v allocations a page", n)
	}
}

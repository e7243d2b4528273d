// Uses every part of the SDK; the test compares what it emits with what the
// policy go/testdata/policy does.
import { byIDs, byNumber, byText, exchange, first, Level, log, nearest, page, Place, visitor, within } from "./bespoke";

function check(what: string, refused: i32): void {
  if (refused != 0) log(Level.Error, what + ": " + refused.toString());
}

function or(value: string | null): string {
  return value === null ? "" : value;
}

export function on_request(): void {
  check("redirect", exchange.redirect("/de", 303));
  check("upstream header", exchange.upstreamHeader("X-Variant", "b"));
  check("upstream path", exchange.upstreamPath("/b" + or(visitor.path())));
  check("set header", exchange.setHeader("Vary", "Accept-Language"));
}

export function on_response(): void {
  values();
  edits();
  lists();
}

function values(): void {
  const greeting = visitor.config("greeting"), theme = visitor.preference("theme"), longer = visitor.find("body");
  const granted = visitor.granted("localize") && !visitor.granted("personalize");
  page.text("#values", [
    or(visitor.policy()), or(greeting), or(visitor.query("q")), or(visitor.header("accept-language")), or(theme),
    or(visitor.name()), or(visitor.method()), or(visitor.path()), or(visitor.country()), or(visitor.city()),
    granted ? "localize only" : "no",
  ].join("|"));
  if (greeting === null || theme !== null || longer.length != 1 || longer[0] != "x".repeat(5000)) {
    log(Level.Error, "values are wrong");
  }
}

function edits(): void {
  check("attr", page.attr("a", "href", "/x"));
  check("unset-attr", page.unsetAttr("a", "rel"));
  check("add-class", page.addClass("a", "c"));
  check("remove-class", page.removeClass("a", "d"));
  check("before", page.before("a", "1"));
  check("after", page.after("a", "2"));
  check("prepend", page.prepend("a", "3"));
  check("append", page.append("a", "4"));
  check("remove", page.remove("i"));
  check("set-header", page.setHeader("X-A", "1"));
  check("add-header", page.addHeader("X-B", "2"));
  check("remove-header", page.removeHeader("X-C"));
  check("refused", page.text("refuse me", ""));
}

function lists(): void {
  const here = visitor.here(), nowhere = new Place();
  page.order("#a", nearest(here));
  page.order("#b", nearest(here).coordinates("lat", "lon").items("li\n.shop").show(".km").unit("mi"));
  page.order("#c", nearest(nowhere).show(".km"));
  page.order("#d", byNumber("data-price").descending());
  page.order("#e", byText("title\nfirst=1"));
  page.order("#f", byIDs(["x", "y"]));
  page.keep("#g", first(3).within(12.5, here));
  page.keep("#h", first(3).within(12.5, nowhere).coordinates("lat", "lon").show(".km").items("li"));
  page.keep("#i", within(12.5, nowhere));
  check("why", page.why("because"));
  check("event", page.event("view", "7", "colour=red\nsize=L"));
  check("fill", page.fill("#band", "id=2\ntitle=a=b"));
}

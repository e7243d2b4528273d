// The AssemblyScript SDK for policies: a thin layer over version 1 of the
// policy ABI (modules/abi/ABI.md). A policy exports what it does in a phase:
//
//   import { page, visitor, nearest } from "./bespoke";
//
//   export function on_response(): void {
//     page.order("#results", nearest(visitor.here()));
//   }
//
// What a policy may not read is absent (null), and what is absent changes
// nothing: with an unknown place the policy above emits no edit.
//
// Build with the runtime "stub" and without abort (asconfig.json): memory is
// never freed, as the host puts all of it back after each run.

// @ts-ignore: decorator
@external("bespoke_1", "read")
declare function hostRead(key: usize, keyLength: u32, buffer: usize, capacity: u32): i64;

// @ts-ignore: decorator
@external("bespoke_1", "emit")
declare function hostEmit(
  op: u32, target: usize, targetLength: u32, a: usize, aLength: u32, b: usize, bLength: u32,
): i32;

// @ts-ignore: decorator
@external("bespoke_1", "log")
declare function hostLog(level: u32, text: usize, length: u32): void;

// Text of this language is UTF-16; the host's is UTF-8. Half a surrogate pair
// becomes U+FFFD.
function utf8(text: string): ArrayBuffer {
  return String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE);
}

let buffer = new ArrayBuffer(1024);

/** read returns the value of a key of ABI.md, or null: there is none, the
 * visitor did not grant it, or the manifest does not declare it. */
export function read(key: string): string | null {
  const k = utf8(key);
  let n = hostRead(changetype<usize>(k), k.byteLength, changetype<usize>(buffer), buffer.byteLength);
  if (n > buffer.byteLength) {
    buffer = new ArrayBuffer(<i32>n);
    n = hostRead(changetype<usize>(k), k.byteLength, changetype<usize>(buffer), buffer.byteLength);
  }
  return n < 0 ? null : String.UTF8.decodeUnsafe(changetype<usize>(buffer), <usize>n);
}

/** lines returns the items of a list, none if it is absent. */
export function lines(list: string | null): string[] {
  if (list === null || list.length == 0) return [];
  const items = list.split("\n");
  if (items[items.length - 1].length == 0) items.pop(); // the last line may end
  return items;
}

/** What emit returns, and each function of page and exchange: 0, or why the
 * edit was not taken. */
export enum Refusal {
  None,
  UnknownOp,
  Target,
  Argument,
  Right,
  Limit,
  Phase,
  Unsupported,
}

/** emit emits an edit by the number of its operation. */
export function emit(op: u32, target: string, a: string, b: string): i32 {
  const t = utf8(target), x = utf8(a), y = utf8(b);
  return hostEmit(
    op, changetype<usize>(t), t.byteLength, changetype<usize>(x), x.byteLength, changetype<usize>(y), y.byteLength,
  );
}

export enum Level {
  Debug,
  Info,
  Warn,
  Error,
}

/** log writes lines to the policy's log. Operators read it: never log what was
 * read about the visitor. */
export function log(level: Level, text: string): void {
  const t = utf8(text);
  hostLog(level, changetype<usize>(t), t.byteLength);
}

/** A point on the Earth, in degrees, as the host writes them; empty: nowhere,
 * and rules about it do nothing. */
export class Place {
  constructor(public lat: string = "", public lon: string = "") {}

  /** The place of these degrees, nowhere if there are no such. */
  static at(lat: f64, lon: f64): Place {
    const there = lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180; // false for NaN
    return there ? new Place(decimal(lat), decimal(lon)) : new Place();
  }

  get known(): bool { return this.lat.length > 0; }

  /** toString returns what the ABI takes: LAT,LON. */
  toString(): string { return this.lat + "," + this.lon; }
}

// Whether s is a decimal number from -limit to limit.
function degrees(s: string | null, limit: i32): bool {
  if (s === null) return false;
  const begin = s.startsWith("-") ? 1 : 0;
  if (begin == s.length) return false;
  let whole = 0, part = false;
  for (let i = begin; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c == 46 && !part && i > begin) part = true;
    else if (!isDigit(c) || whole > limit) return false;
    else if (!part) whole = 10 * whole + (c - 48);
    else if (whole == limit && c != 48) return false;
  }
  return whole <= limit;
}

/** decimal writes a number, smaller than a million millions, with up to six decimals. */
export function decimal(v: f64): string {
  const millionths = <u64>(Math.abs(v) * 1e6 + 0.5);
  let text = (millionths / 1000000).toString();
  const part = millionths % 1000000;
  if (part > 0) {
    let digits = part.toString().padStart(6, "0");
    while (digits.endsWith("0")) digits = digits.substring(0, digits.length - 1);
    text += "." + digits;
  }
  return Math.signbit(v) ? "-" + text : text;
}

/** number reads a decimal number such as -12.5, with at most 9 digits before the
 * point, of those after it 6 count. It returns NaN for anything else. */
export function number(text: string | null): f64 {
  if (text === null) return NaN;
  let i = 0, whole = 0, part = 0, n: i64 = 0;
  const minus = text.startsWith("-");
  if (minus) i++;
  for (; i < text.length && isDigit(text.charCodeAt(i)); i++, whole++) {
    if (whole == 9) return NaN;
    n = n * 10 + (text.charCodeAt(i) - 48);
  }
  if (i < text.length && text.charCodeAt(i) == 46) {
    const point = i++;
    for (; i < text.length && isDigit(text.charCodeAt(i)); i++) {
      if (part < 6) {
        n = n * 10 + (text.charCodeAt(i) - 48);
        part++;
      }
    }
    if (i == point + 1) return NaN;
  }
  if (whole == 0 || i != text.length) return NaN;
  let scale: f64 = 1;
  for (; part > 0; part--) scale *= 10;
  return (minus ? -(<f64>n) : <f64>n) / scale; // two exact numbers: rounded once
}

function isDigit(c: i32): bool {
  return c >= 48 && c <= 57;
}

/** What the policy may know in this exchange. Each function reads no more than
 * its name says, so that a result can be reused for every visitor for whom the
 * same was read. */
export namespace visitor {
  /** The name under which the route uses this policy. */
  export function policy(): string | null { return read("config.policy"); }
  /** What the route's configuration gives this policy; a list has one item a line. */
  export function config(name: string): string | null { return read("config." + name); }
  /** Whether the visitor granted a purpose such as "localize". */
  export function granted(purpose: string): bool { return read("consent." + purpose) == "granted"; }
  export function method(): string | null { return read("request.method"); }
  export function path(): string | null { return read("request.path"); }
  export function query(name: string): string | null { return read("request.query." + name); }
  /** A header of the request, in lower case; ABI.md lists which there are. */
  export function header(name: string): string | null { return read("request.header." + name); }
  /** The name that the visitor gave. */
  export function name(): string | null { return read("preference.name"); }
  /** What the visitor set. */
  export function preference(name: string): string | null { return read("preference." + name); }
  export function country(): string | null { return read("geo.country"); }
  export function city(): string | null { return read("geo.city"); }
  /** The text of each element of the page that matches. */
  export function find(selector: string): string[] { return lines(read("page." + selector)); }
  /** The hour, 0 to 23; -1 if the manifest does not declare it. */
  export function hour(): i32 {
    const h = number(read("time.hour"));
    return isNaN(h) ? -1 : <i32>h;
  }
  /** Where the visitor is, as exactly as granted. */
  export function here(): Place {
    const lat = read("geo.lat"), lon = read("geo.lon");
    return degrees(lat, 90) && degrees(lon, 180) ? new Place(lat!, lon!) : new Place();
  }
}

/** A Rule says what to do with the children of a list. One that measures from
 * an unknown place does nothing. */
export class Rule {
  a: string = "";
  b: string = "";
  acts: bool = true;
  measures: bool = false;
  latName: string = "data-lat";
  lonName: string = "data-lon";
  distance: string = "";

  /** Which children take part, by a compound selector; the others stay where they are. */
  items(selector: string): Rule { this.b += line("items", selector); return this; }
  /** The attributes in which items say where they are: data-lat and data-lon if not set. */
  coordinates(lat: string, lon: string): Rule { this.latName = lat; this.lonName = lon; return this; }
  /** The element in each item that receives the distance. */
  show(selector: string): Rule { this.distance += line("show", selector); return this; }
  /** In which the distance is shown: "km" or "mi". */
  unit(unit: string): Rule { this.distance += line("unit", unit); return this; }
  /** Turns byText and byNumber round. */
  descending(): Rule { this.a += line("dir", "desc"); return this; }
  /** Keeps those within so many kilometres from a place, too. */
  within(km: f64, from: Place): Rule {
    if (from.known) {
      this.a += line("within", decimal(km)) + line("at", from.toString());
      this.acts = this.measures = true;
    }
    return this;
  }

  emit(op: u32, list: string): i32 {
    if (!this.acts) return 0;
    let a = this.a, b = this.b;
    if (this.measures) {
      a += line("lat", this.latName) + line("lon", this.lonName);
      b += this.distance;
    }
    return emit(op, list, a.substring(1), b.substring(1)); // without the first newline
  }
}

// One part of an argument, with the newline before it. A value cannot begin another.
function line(name: string, value: string): string {
  return "\n" + name + "=" + value.replaceAll("\n", " ").replaceAll("\r", " ");
}

function rule(a: string): Rule {
  const r = new Rule();
  r.a = a;
  return r;
}

/** By distance from a place, the nearest first. */
export function nearest(from: Place): Rule {
  const r = rule("");
  r.acts = r.measures = from.known;
  if (from.known) r.a = line("by", "distance") + line("at", from.toString());
  return r;
}

/** By the text of an attribute. */
export function byText(attr: string): Rule { return rule(line("by", "attr") + line("attr", attr)); }

/** By an attribute that is a number. */
export function byNumber(attr: string): Rule {
  return rule(line("by", "attr") + line("as", "number") + line("attr", attr));
}

/** The items with these ids first, in this order. */
export function byIDs(ids: string[]): Rule { return rule(line("by", "ids") + line("ids", ids.join(" "))); }

/** The first n items. */
export function first(n: i32): Rule { return rule(line("first", n.toString())); }

/** The items within so many kilometres from a place. */
export function within(km: f64, from: Place): Rule {
  const r = rule("");
  r.acts = false;
  return r.within(km, from);
}

/** Edits of the response: its body and its headers. Elements are named by a CSS
 * selector; each edit applies to every element that matches. Text is escaped by
 * the host. */
export namespace page {
  export function text(selector: string, text: string): i32 { return emit(1, selector, text, ""); }
  export function attr(selector: string, name: string, value: string): i32 { return emit(3, selector, name, value); }
  export function unsetAttr(selector: string, name: string): i32 { return emit(4, selector, name, ""); }
  export function addClass(selector: string, name: string): i32 { return emit(5, selector, name, ""); }
  export function removeClass(selector: string, name: string): i32 { return emit(6, selector, name, ""); }
  export function before(selector: string, text: string): i32 { return emit(7, selector, text, ""); }
  export function after(selector: string, text: string): i32 { return emit(8, selector, text, ""); }
  export function prepend(selector: string, text: string): i32 { return emit(9, selector, text, ""); }
  export function append(selector: string, text: string): i32 { return emit(10, selector, text, ""); }
  export function remove(selector: string): i32 { return emit(12, selector, "", ""); }
  /** Puts the children of a list in order: nearest, byText, byNumber, byIDs. */
  export function order(list: string, by: Rule): i32 { return by.emit(14, list); }
  /** Leaves only some of the children of a list: first, within. */
  export function keep(list: string, which: Rule): i32 { return which.emit(15, list); }
  /** Repeats the pattern in the list, once for each item: items are lines of
   * name=value, with an empty line between two items. */
  export function fill(list: string, items: string): i32 { return emit(16, list, items, ""); }
  /** The reason for the edits that follow, for the visitor: at most 200 bytes. */
  export function why(reason: string): i32 { return emit(49, "", reason, ""); }
  /** Tells what the visitor did, for their profile: view, purchase, search, click,
   * hide, mail-open or mail-click; the id of the item or what was searched for; and
   * attributes, lines of name=value. */
  export function event(kind: string, item: string, attributes: string): i32 { return emit(48, kind, item, attributes); }
  export function setHeader(name: string, value: string): i32 { return emit(32, name, value, ""); }
  export function addHeader(name: string, value: string): i32 { return emit(33, name, value, ""); }
  export function removeHeader(name: string): i32 { return emit(34, name, "", ""); }
}

/** Edits of the request, before the origin is asked, and of the headers of the
 * response to come. */
export namespace exchange {
  /** Answers with a redirect. status is 301, 302, 303, 307 or 308. */
  export function redirect(location: string, status: i32): i32 { return emit(35, location, status.toString(), ""); }
  export function upstreamHeader(name: string, value: string): i32 { return emit(36, name, value, ""); }
  export function upstreamPath(path: string): i32 { return emit(37, "", path, ""); }
  export function setHeader(name: string, value: string): i32 { return emit(32, name, value, ""); }
  export function addHeader(name: string, value: string): i32 { return emit(33, name, value, ""); }
  export function removeHeader(name: string): i32 { return emit(34, name, "", ""); }
}

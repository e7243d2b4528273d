// Says which cafés in the visitor's city are open now.
//
// The hour that a policy reads is the visitor's own where they allowed their
// place to be used. It is the cafés' hour too where these are in the same city;
// elsewhere it may not be, so nothing is said about the others. There are no
// minutes in it: a text must be true through the whole hour, and so all visitors
// of a city share one answer for that long.
import { Level, log, page, read, visitor } from "./bespoke";

export function on_response(): void {
  const city = visitor.city();
  // Of a place that the visitor chose the city is known, and not its time.
  if (city === null || read("geo.timezone") === null) return;
  const hour = visitor.hour(), day = dayOf(read("time.weekday"));
  if (hour < 0 || day < 0) return;

  const cities = visitor.find("#results > li .city"), hours = visitor.find("#results > li .hours");
  if (cities.length != hours.length) {
    log(Level.Error, "not every café has a city and opening hours");
    return;
  }
  let said = false;
  for (let i = 0; i < cities.length; i++) {
    if (cities[i] != city) continue;
    const now = status(hours[i], day, hour);
    if (now === null) continue;
    if (!said) page.why("You allowed us to use your place: cafés in your city say whether they are open.");
    said = true;
    const cafe = "#results > li:nth-child(" + (i + 1).toString() + ")";
    page.append(cafe + " .hours", " · " + now);
    if (now.startsWith("open ")) page.addClass(cafe, "open");
  }
}

const fullDay = 24 * 60;

// status says what holds through the whole hour of a day (0 is Monday), for
// opening hours such as "Mon–Fri 7:30–18:00, Sat–Sun 9:00–17:00"; null if they
// are not written so.
function status(hours: string, day: i32, hour: i32): string | null {
  const from = hour * 60, to = from + 60;
  let now = "closed today";
  const parts = hours.split(", ");
  for (let i = 0; i < parts.length; i++) {
    const part = Part.of(parts[i].trim());
    if (part === null) return null;
    if (part.on((day + 6) % 7) && part.end > from + fullDay) { // open since yesterday
      const open = part.end >= to + fullDay ? "open" : "today";
      return open + " until " + part.endText;
    }
    if (!part.on(day)) continue;
    if (part.begin <= from && to <= part.end) return "open until " + part.endText;
    if (!now.startsWith("closed")) continue; // of two parts of a day, the first to come
    if (part.begin >= to) now = "opens at " + part.beginText;
    else if (part.end <= from) now = "closed now";
    else now = "today " + part.beginText + "–" + part.endText; // it changes within this hour
  }
  return now;
}

// A Part is such as "Mon–Fri 7:30–18:00": days, and minutes of a day. What ends
// after midnight ends beyond 1440.
class Part {
  first: i32 = 0;
  last: i32 = 6;
  begin: i32 = 0;
  end: i32 = 0;
  beginText: string = "";
  endText: string = "";

  static of(text: string): Part | null {
    const words = text.split(" ");
    if (words.length != 2) return null;
    const p = new Part(), times = words[1].split("–");
    if (words[0] != "Daily") {
      const days = words[0].split("–");
      p.first = dayOf(days[0]);
      p.last = dayOf(days[days.length - 1]);
      if (days.length > 2 || p.first < 0 || p.last < 0) return null;
    }
    if (times.length != 2) return null;
    p.beginText = times[0];
    p.endText = times[1];
    p.begin = minutes(times[0]);
    p.end = minutes(times[1]);
    if (p.begin < 0 || p.end < 0) return null;
    if (p.end <= p.begin) p.end += fullDay;
    return p;
  }

  // Days may go round: Wed–Mon.
  on(day: i32): bool {
    return this.first <= this.last ? this.first <= day && day <= this.last : day >= this.first || day <= this.last;
  }
}

// dayOf returns 0 for "Mon" and "monday", to 6; -1 for anything else.
function dayOf(name: string | null): i32 {
  if (name === null || name.length < 3) return -1;
  const at = "montuewedthufrisatsun".indexOf(name.substring(0, 3).toLowerCase());
  return at % 3 == 0 ? at / 3 : -1;
}

// minutes returns those of a time such as 7:30; -1 for anything else.
function minutes(time: string): i32 {
  const at = time.indexOf(":");
  if (at < 1 || at > 2 || time.length != at + 3) return -1;
  let n = 0;
  for (let i = 0; i < time.length; i++) {
    if (i == at) continue;
    const c = time.charCodeAt(i) - 48;
    if (c < 0 || c > 9) return -1;
    n = n * 10 + c;
  }
  return n % 100 < 60 && n <= 2400 ? n / 100 * 60 + n % 100 : -1;
}

// A policy that greets the visitor in the language of their country, shows what
// the site has to say to that country, and puts the nearest results first.
import { Level, lines, log, nearest, page, visitor } from "../../assemblyscript/assembly/bespoke";

export function on_response(): void {
  const slot = visitor.config("slot"), list = visitor.config("list");
  if (slot === null || list === null) {
    log(Level.Error, "the options slot and list are needed");
    return;
  }
  const country = visitor.country();
  const part = partOfDay(visitor.hour()), lang = language(country);
  let greeting = greetings.get(lang)[part];
  const name = visitor.name();
  if (name !== null && name.length > 0) greeting += ", " + name;
  page.text(slot, greeting);
  page.attr(slot, "lang", lang);

  const notices = lines(visitor.config("notices"));
  for (let i = 0; i < notices.length; i++) { // such as "DE Free delivery"
    const at = notices[i].indexOf(" ");
    if (country !== null && at >= 0 && notices[i].substring(0, at) == country) {
      page.before(list, notices[i].substring(at + 1) + "\n");
    }
  }

  const rule = nearest(visitor.here()), show = visitor.config("show");
  if (show !== null && show.length > 0) rule.show(show);
  page.order(list, rule);
}

const greetings = new Map<string, string[]>();
greetings.set("de", ["Guten Morgen", "Guten Tag", "Guten Abend"]);
greetings.set("pt", ["Bom dia", "Boa tarde", "Boa noite"]);
greetings.set("ja", ["おはようございます", "こんにちは", "こんばんは"]);
greetings.set("en", ["Good morning", "Good afternoon", "Good evening"]);

function language(country: string | null): string {
  if (country === null) return "en";
  if (country == "AT" || country == "DE") return "de";
  if (country == "BR" || country == "PT") return "pt";
  return country == "JP" ? "ja" : "en";
}

function partOfDay(hour: i32): i32 {
  if (hour >= 5 && hour < 12) return 0;
  return hour >= 12 && hour < 18 ? 1 : 2;
}

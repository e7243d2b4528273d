/* A policy that greets the visitor in the language of their country, shows what
 * the site has to say to that country, and puts the nearest results first. */
#include "../../c/bespoke.h"

typedef struct {
	bsp_str lang, greeting[3]; /* in the morning, in the afternoon, later */
} language;

static language language_of(bsp_str country) {
	if (bsp_eq(country, BSP("AT")) || bsp_eq(country, BSP("DE")))
		return (language){BSP("de"), {BSP("Guten Morgen"), BSP("Guten Tag"), BSP("Guten Abend")}};
	if (bsp_eq(country, BSP("BR")) || bsp_eq(country, BSP("PT")))
		return (language){BSP("pt"), {BSP("Bom dia"), BSP("Boa tarde"), BSP("Boa noite")}};
	if (bsp_eq(country, BSP("JP")))
		return (language){BSP("ja"), {BSP("おはようございます"), BSP("こんにちは"), BSP("こんばんは")}};
	return (language){BSP("en"), {BSP("Good morning"), BSP("Good afternoon"), BSP("Good evening")}};
}

static int part_of_day(int32_t hour) {
	if (hour >= 5 && hour < 12) return 0;
	return hour >= 12 && hour < 18 ? 1 : 2;
}

BSP_ON_RESPONSE {
	bsp_str slot = bsp_config(BSP("slot")), list = bsp_config(BSP("list"));
	if (!bsp_present(slot) || !bsp_present(list)) {
		bsp_log(BSP_ERROR, BSP("the options slot and list are needed"));
		return;
	}
	bsp_str country = bsp_country();
	language l = language_of(country);
	bsp_str greeting = l.greeting[part_of_day(bsp_hour())], name = bsp_name();
	if (name.len > 0) greeting = bsp_concat(greeting, BSP(", "), name);
	bsp_text(slot, greeting);
	bsp_attr(slot, BSP("lang"), l.lang);

	bsp_str notices = bsp_config(BSP("notices")), notice, to, text;
	while (bsp_line(&notices, &notice)) /* such as "DE Free delivery" */
		if (bsp_cut(notice, ' ', &to, &text) && bsp_eq(to, country)) bsp_before(list, bsp_concat(text, BSP("\n")));

	bsp_place here = bsp_here();
	bsp_str show = bsp_config(BSP("show"));
	bsp_order((bsp_list){.list = list, .nearest = &here, .show = show.len > 0 ? show : BSP_NONE});
}

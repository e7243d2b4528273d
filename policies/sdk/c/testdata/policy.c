/* Uses every part of the SDK; the test compares what it emits with what the
 * policy go/testdata/policy does. */
#include "bespoke.h"

static void check(bsp_str what, int refused) {
	if (refused) bsp_log(BSP_ERROR, bsp_concat(what, BSP(": "), bsp_number(refused)));
}

BSP_ON_REQUEST {
	check(BSP("redirect"), bsp_redirect(BSP("/de"), 303));
	check(BSP("upstream header"), bsp_upstream_header(BSP("X-Variant"), BSP("b")));
	check(BSP("upstream path"), bsp_upstream_path(bsp_concat(BSP("/b"), bsp_path())));
	check(BSP("set header"), bsp_set_header(BSP("Vary"), BSP("Accept-Language")));
}

static void values(void) {
	bsp_str greeting = bsp_config(BSP("greeting")), theme = bsp_preference(BSP("theme"));
	bsp_str longer = bsp_find(BSP("body")), bar = BSP("|");
	bool granted = bsp_granted(BSP("localize")) && !bsp_granted(BSP("personalize"));
	bsp_text(BSP("#values"),
	         bsp_concat(bsp_policy(), bar, greeting, bar, bsp_query(BSP("q")), bar, bsp_header(BSP("accept-language")), bar, theme, bar,
	                    bsp_name(), bar, bsp_method(), bar, bsp_path(), bar, bsp_country(), bar, bsp_city(), bar,
	                    granted ? BSP("localize only") : BSP("no")));
	bool same = longer.len == 5000;
	for (uint32_t i = 0; i < longer.len; i++) same = same && longer.at[i] == 'x';
	if (!bsp_present(greeting) || bsp_present(theme) || !same) bsp_log(BSP_ERROR, BSP("values are wrong"));
}

static void edits(void) {
	check(BSP("attr"), bsp_attr(BSP("a"), BSP("href"), BSP("/x")));
	check(BSP("unset-attr"), bsp_unset_attr(BSP("a"), BSP("rel")));
	check(BSP("add-class"), bsp_add_class(BSP("a"), BSP("c")));
	check(BSP("remove-class"), bsp_remove_class(BSP("a"), BSP("d")));
	check(BSP("before"), bsp_before(BSP("a"), BSP("1")));
	check(BSP("after"), bsp_after(BSP("a"), BSP("2")));
	check(BSP("prepend"), bsp_prepend(BSP("a"), BSP("3")));
	check(BSP("append"), bsp_append(BSP("a"), BSP("4")));
	check(BSP("remove"), bsp_remove(BSP("i")));
	check(BSP("set-header"), bsp_set_header(BSP("X-A"), BSP("1")));
	check(BSP("add-header"), bsp_add_header(BSP("X-B"), BSP("2")));
	check(BSP("remove-header"), bsp_remove_header(BSP("X-C")));
	check(BSP("refused"), bsp_text(BSP("refuse me"), BSP("")));
}

static void lists(void) {
	bsp_place here = bsp_here(), nowhere = {0};
	bsp_order((bsp_list){.list = BSP("#a"), .nearest = &here});
	bsp_order((bsp_list){.list = BSP("#b"), .nearest = &here, .lat = BSP("lat"), .lon = BSP("lon"), .items = BSP("li\n.shop"),
	                     .show = BSP(".km"), .unit = BSP("mi")});
	bsp_order((bsp_list){.list = BSP("#c"), .nearest = &nowhere, .show = BSP(".km")});
	bsp_order((bsp_list){.list = BSP("#d"), .by_number = BSP("data-price"), .descending = true});
	bsp_order((bsp_list){.list = BSP("#e"), .by_text = BSP("title\nfirst=1")});
	bsp_order((bsp_list){.list = BSP("#f"), .by_ids = BSP("x y")});
	bsp_keep((bsp_list){.list = BSP("#g"), .first = 3, .within = 12.5, .from = &here});
	bsp_keep((bsp_list){.list = BSP("#h"), .first = 3, .within = 12.5, .from = &nowhere, .lat = BSP("lat"), .lon = BSP("lon"),
	                    .show = BSP(".km"), .items = BSP("li")});
	bsp_keep((bsp_list){.list = BSP("#i"), .within = 12.5, .from = &nowhere});
	check(BSP("why"), bsp_why(BSP("because")));
	check(BSP("event"), bsp_event(BSP("view"), BSP("7"), BSP("colour=red\nsize=L")));
	check(BSP("fill"), bsp_fill(BSP("#band"), BSP("id=2\ntitle=a=b")));
}

BSP_ON_RESPONSE {
	values();
	edits();
	lists();
}

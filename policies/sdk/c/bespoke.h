/* bespoke.h is the C SDK for policies: one header over version 1 of the policy
 * ABI (modules/abi/ABI.md). It needs clang and wasm-ld, and no C library:
 *
 *   clang --target=wasm32 -std=c11 -Os -ffreestanding -nostdlib -mbulk-memory \
 *     -Wl,--no-entry -Wl,--strip-all -o policy.wasm policy.c
 *
 * A policy defines what it does in a phase:
 *
 *   BSP_ON_RESPONSE {
 *       bsp_place here = bsp_here();
 *       bsp_order((bsp_list){.list = BSP("#results"), .nearest = &here});
 *   }
 *
 * What a policy may not read is absent, and what is absent changes nothing:
 * with an unknown place the policy above emits no edit.
 *
 * Text is a bsp_str: a pointer and a length in bytes, UTF-8, no NUL at the end.
 * BSP("...") makes one of a literal. What the functions return lies in memory
 * that is never freed: the host puts all memory back after each run. */
#ifndef BESPOKE_H
#define BESPOKE_H

#include <stdbool.h>
#include <stdint.h>

#define BSP_IMPORT(name) __attribute__((import_module("bespoke_1"), import_name(name)))
#define BSP_EXPORT(name) __attribute__((export_name(name)))

#define BSP_ON_REQUEST BSP_EXPORT("on_request") void bsp_on_request(void)
#define BSP_ON_RESPONSE BSP_EXPORT("on_response") void bsp_on_response(void)

BSP_IMPORT("read") int64_t bsp_host_read(const char *key, uint32_t key_len, char *buf, uint32_t cap);
BSP_IMPORT("emit") int32_t bsp_host_emit(uint32_t op, const char *target, uint32_t target_len,
                                         const char *a, uint32_t a_len, const char *b, uint32_t b_len);
BSP_IMPORT("log") void bsp_host_log(uint32_t level, const char *text, uint32_t len);

/* ---- Text ---- */

/* Text. at is 0 if there is none, which is not the same as empty. */
typedef struct {
	const char *at;
	uint32_t len;
} bsp_str;

#define BSP(literal) ((bsp_str){"" literal, sizeof(literal) - 1})

static inline bool bsp_present(bsp_str s) { return s.at != 0; }

static inline bool bsp_eq(bsp_str a, bsp_str b) {
	if (a.len != b.len || !a.at != !b.at) return false;
	for (uint32_t i = 0; i < a.len; i++)
		if (a.at[i] != b.at[i]) return false;
	return true;
}

/* bsp_or returns s, or usual if s is absent. */
static inline bsp_str bsp_or(bsp_str s, bsp_str usual) { return bsp_present(s) ? s : usual; }

extern char __heap_base;

/* Where free memory begins; one for all files of a policy. */
__attribute__((weak)) char *bsp_top = &__heap_base;

/* bsp_alloc returns n bytes. It traps if there is no more memory. */
static inline char *bsp_alloc(uint32_t n) {
	char *p = bsp_top;
	uint64_t end = (uint64_t)(uintptr_t)p + n, have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
	if (end > have) {
		uint64_t pages = (end - have + 65535) >> 16;
		if (pages > 65535 || __builtin_wasm_memory_grow(0, (uint32_t)pages) == (__SIZE_TYPE__)-1) __builtin_trap();
	}
	bsp_top = p + n;
	return p;
}

static inline bsp_str bsp_concat_n(const bsp_str *parts, uint32_t n) {
	uint64_t len = 0;
	for (uint32_t i = 0; i < n; i++) len += parts[i].len;
	if (len > INT32_MAX) __builtin_trap();
	char *to = bsp_alloc((uint32_t)len);
	bsp_str all = {to, (uint32_t)len};
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < parts[i].len; j++) *to++ = parts[i].at[j];
	return all;
}

/* bsp_concat(a, b, ...) joins texts; an absent one counts as empty. */
#define bsp_concat(...) \
	bsp_concat_n((const bsp_str[]){__VA_ARGS__}, sizeof((const bsp_str[]){__VA_ARGS__}) / sizeof(bsp_str))

/* bsp_cut splits s at the first c. If there is none, before is all of s, after
 * is absent, and the result is false. */
static inline bool bsp_cut(bsp_str s, char c, bsp_str *before, bsp_str *after) {
	for (uint32_t i = 0; i < s.len; i++)
		if (s.at[i] == c) {
			*before = (bsp_str){s.at, i};
			*after = (bsp_str){s.at + i + 1, s.len - i - 1};
			return true;
		}
	*before = s;
	*after = (bsp_str){0};
	return false;
}

/* bsp_line takes the first line off a list: while (bsp_line(&list, &item)) ... */
static inline bool bsp_line(bsp_str *list, bsp_str *line) {
	if (list->len == 0) return false;
	bsp_cut(*list, '\n', line, list);
	return true;
}

/* bsp_whole reads a whole number from 0 to 999999999; -1 if s is none. */
static inline int32_t bsp_whole(bsp_str s) {
	if (s.len == 0 || s.len > 9) return -1;
	int32_t n = 0;
	for (uint32_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9') return -1;
		n = n * 10 + (s.at[i] - '0');
	}
	return n;
}

/* bsp_number writes a number with up to six decimals. It is absent beyond
 * a million millions, and for what is no number. */
static inline bsp_str bsp_number(double v) {
	bool minus = __builtin_signbit(v) != 0;
	double size = minus ? -v : v;
	if (!(size < 1e12)) return (bsp_str){0};
	uint64_t millionths = (uint64_t)(size * 1e6 + 0.5);
	char *end = bsp_alloc(24) + 24, *p = end;
	bool some = false; /* decimals */
	for (int i = 0; i < 6; i++, millionths /= 10) {
		some = some || millionths % 10 != 0;
		if (some) *--p = (char)('0' + millionths % 10);
	}
	if (some) *--p = '.';
	do *--p = (char)('0' + millionths % 10);
	while ((millionths /= 10) != 0);
	if (minus) *--p = '-';
	return (bsp_str){p, (uint32_t)(end - p)};
}

/* bsp_parse reads a decimal number such as -12.5, with at most 9 digits before
 * the point; of those after it, 6 count. */
static inline bool bsp_parse(bsp_str s, double *v) {
	uint32_t i = 0, whole = 0, part = 0;
	int64_t n = 0;
	bool minus = s.len > 0 && s.at[0] == '-';
	if (minus) i++;
	for (; i < s.len && s.at[i] >= '0' && s.at[i] <= '9'; i++, whole++) {
		if (whole == 9) return false;
		n = n * 10 + (s.at[i] - '0');
	}
	if (i < s.len && s.at[i] == '.') {
		uint32_t digits = 0;
		for (i++; i < s.len && s.at[i] >= '0' && s.at[i] <= '9'; i++, digits++)
			if (part < 6) n = n * 10 + (s.at[i] - '0'), part++;
		if (digits == 0) return false;
	}
	if (whole == 0 || i != s.len) return false;
	double scale = 1;
	for (; part > 0; part--) scale *= 10;
	*v = (minus ? -(double)n : (double)n) / scale; /* two exact numbers: rounded once */
	return true;
}

/* ---- Reading ---- */

/* bsp_read returns the value of a key of ABI.md. Absent is also how a key looks
 * that the visitor did not grant, or that the manifest does not declare. */
static inline bsp_str bsp_read(bsp_str key) {
	for (uint32_t cap = 256;;) {
		char *buf = bsp_alloc(cap);
		int64_t n = bsp_host_read(key.at, key.len, buf, cap);
		bsp_top = buf;
		if (n < 0) return (bsp_str){0};
		if (n <= cap) {
			bsp_top = buf + n;
			return (bsp_str){buf, (uint32_t)n};
		}
		if (n > INT32_MAX) __builtin_trap();
		cap = (uint32_t)n;
	}
}

static inline bsp_str bsp_config(bsp_str name) { return bsp_read(bsp_concat(BSP("config."), name)); }
static inline bsp_str bsp_policy(void) { return bsp_read(BSP("config.policy")); }
static inline bsp_str bsp_method(void) { return bsp_read(BSP("request.method")); }
static inline bsp_str bsp_path(void) { return bsp_read(BSP("request.path")); }
static inline bsp_str bsp_query(bsp_str name) { return bsp_read(bsp_concat(BSP("request.query."), name)); }
static inline bsp_str bsp_header(bsp_str name) { return bsp_read(bsp_concat(BSP("request.header."), name)); }
static inline bsp_str bsp_preference(bsp_str name) { return bsp_read(bsp_concat(BSP("preference."), name)); }
static inline bsp_str bsp_name(void) { return bsp_read(BSP("preference.name")); }
static inline bsp_str bsp_country(void) { return bsp_read(BSP("geo.country")); }
static inline bsp_str bsp_city(void) { return bsp_read(BSP("geo.city")); }

/* bsp_find returns the text of each element of the page that matches, one a line. */
static inline bsp_str bsp_find(bsp_str selector) { return bsp_read(bsp_concat(BSP("page."), selector)); }

/* bsp_hour returns the hour, 0 to 23; -1 if the manifest does not declare it. */
static inline int32_t bsp_hour(void) { return bsp_whole(bsp_read(BSP("time.hour"))); }

/* bsp_granted tells whether the visitor granted a purpose such as BSP("localize"). */
static inline bool bsp_granted(bsp_str purpose) {
	return bsp_eq(bsp_read(bsp_concat(BSP("consent."), purpose)), BSP("granted"));
}

/* A point on the Earth, in degrees, as the host writes them. One that is not
 * known is nowhere, and rules about it do nothing. */
typedef struct {
	bsp_str lat, lon; /* absent: nowhere */
} bsp_place;

static inline bool bsp_known(bsp_place p) { return bsp_present(p.lat); }

/* bsp_degrees tells whether s is a decimal number from -limit to limit. */
static inline bool bsp_degrees(bsp_str s, uint32_t limit) {
	uint32_t i = s.len > 0 && s.at[0] == '-', first = i, whole = 0;
	bool part = false;
	if (i == s.len) return false;
	for (; i < s.len; i++) {
		char c = s.at[i];
		if (c == '.' && !part && i > first) part = true;
		else if (c < '0' || c > '9' || whole > limit) return false;
		else if (!part) whole = 10 * whole + (uint32_t)(c - '0');
		else if (whole == limit && c != '0') return false;
	}
	return whole <= limit;
}

/* bsp_here returns where the visitor is, as exactly as granted. */
static inline bsp_place bsp_here(void) {
	bsp_place p = {bsp_read(BSP("geo.lat")), bsp_read(BSP("geo.lon"))};
	return bsp_degrees(p.lat, 90) && bsp_degrees(p.lon, 180) ? p : (bsp_place){0};
}

/* bsp_there returns the place of these degrees, nowhere if there are no such. */
static inline bsp_place bsp_there(double lat, double lon) {
	if (!(lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180)) return (bsp_place){0};
	return (bsp_place){bsp_number(lat), bsp_number(lon)};
}

/* ---- Edits ---- */

/* Why an edit was not taken: what the functions below return, or 0. */
enum {
	BSP_REFUSED_UNKNOWN_OP = 1,
	BSP_REFUSED_TARGET,
	BSP_REFUSED_ARGUMENT,
	BSP_REFUSED_RIGHT,
	BSP_REFUSED_LIMIT,
	BSP_REFUSED_PHASE,
	BSP_REFUSED_UNSUPPORTED
};

/* bsp_emit emits an edit by the number of its operation. */
static inline int bsp_emit(uint32_t op, bsp_str target, bsp_str a, bsp_str b) {
	return bsp_host_emit(op, target.at, target.len, a.at, a.len, b.at, b.len);
}

#define BSP_NONE ((bsp_str){0})

/* Of the page. Elements are named by a CSS selector; each edit applies to every
 * element that matches. Text is escaped by the host. */
static inline int bsp_text(bsp_str selector, bsp_str text) { return bsp_emit(1, selector, text, BSP_NONE); }
static inline int bsp_attr(bsp_str selector, bsp_str name, bsp_str value) { return bsp_emit(3, selector, name, value); }
static inline int bsp_unset_attr(bsp_str selector, bsp_str name) { return bsp_emit(4, selector, name, BSP_NONE); }
static inline int bsp_add_class(bsp_str selector, bsp_str name) { return bsp_emit(5, selector, name, BSP_NONE); }
static inline int bsp_remove_class(bsp_str selector, bsp_str name) { return bsp_emit(6, selector, name, BSP_NONE); }
static inline int bsp_before(bsp_str selector, bsp_str text) { return bsp_emit(7, selector, text, BSP_NONE); }
static inline int bsp_after(bsp_str selector, bsp_str text) { return bsp_emit(8, selector, text, BSP_NONE); }
static inline int bsp_prepend(bsp_str selector, bsp_str text) { return bsp_emit(9, selector, text, BSP_NONE); }
static inline int bsp_append(bsp_str selector, bsp_str text) { return bsp_emit(10, selector, text, BSP_NONE); }
static inline int bsp_remove(bsp_str selector) { return bsp_emit(12, selector, BSP_NONE, BSP_NONE); }

/* What to do with the children of a list; what is left out does nothing.
 * bsp_order takes one of nearest, by_text, by_number and by_ids. bsp_keep takes
 * first, within, or both. A rule about a place that is unknown does nothing. */
typedef struct {
	bsp_str list;             /* selector of the list element */
	const bsp_place *nearest; /* by distance from there, the nearest first */
	bsp_str by_text;          /* by the text of this attribute */
	bsp_str by_number;        /* by this attribute, a number */
	bool descending;          /* turns by_text and by_number round */
	bsp_str by_ids;           /* these first, ids apart by spaces */
	uint32_t first;           /* keep so many */
	double within;            /* keep those within so many kilometres of from */
	const bsp_place *from;
	bsp_str lat, lon; /* attributes in which items say where they are: data-lat, data-lon */
	bsp_str items;    /* which children take part, a compound selector */
	bsp_str show;     /* the element in each item that receives the distance */
	bsp_str unit;     /* in which it is shown: km or mi */
} bsp_list;

/* bsp_part is name=value on a line, nothing if the value is absent. A value
 * cannot begin another line. */
static inline bsp_str bsp_part(bsp_str name, bsp_str value) {
	if (!bsp_present(value)) return BSP_NONE;
	bsp_str line = bsp_concat(BSP("\n"), name, BSP("="), value);
	char *p = (char *)line.at + line.len - value.len;
	for (uint32_t i = 0; i < value.len; i++)
		if (p[i] == '\n' || p[i] == '\r') p[i] = ' ';
	return line;
}

static inline bsp_str bsp_at(const bsp_place *p) {
	return bsp_part(BSP("at"), bsp_concat(p->lat, BSP(","), p->lon));
}

static inline bsp_str bsp_located(const bsp_list *l) {
	return bsp_concat(bsp_part(BSP("lat"), bsp_or(l->lat, BSP("data-lat"))), bsp_part(BSP("lon"), bsp_or(l->lon, BSP("data-lon"))));
}

static inline int bsp_emit_list(uint32_t op, const bsp_list *l, bsp_str rule, bool placed) {
	bsp_str a = bsp_concat(rule, placed ? bsp_located(l) : BSP_NONE);
	bsp_str b = bsp_concat(bsp_part(BSP("items"), l->items), placed ? bsp_part(BSP("show"), l->show) : BSP_NONE,
	                       placed ? bsp_part(BSP("unit"), l->unit) : BSP_NONE);
	if (a.len > 0) a.at++, a.len--; /* the newline before the first part */
	if (b.len > 0) b.at++, b.len--;
	return bsp_emit(op, l->list, a, b);
}

/* bsp_order puts the children of a list in order. */
static inline int bsp_order(bsp_list l) {
	bsp_str dir = l.descending ? BSP("\ndir=desc") : BSP_NONE;
	if (l.nearest) {
		if (!bsp_known(*l.nearest)) return 0;
		return bsp_emit_list(14, &l, bsp_concat(BSP("\nby=distance"), bsp_at(l.nearest)), true);
	}
	if (bsp_present(l.by_text))
		return bsp_emit_list(14, &l, bsp_concat(BSP("\nby=attr"), bsp_part(BSP("attr"), l.by_text), dir), false);
	if (bsp_present(l.by_number))
		return bsp_emit_list(14, &l, bsp_concat(BSP("\nby=attr\nas=number"), bsp_part(BSP("attr"), l.by_number), dir), false);
	if (bsp_present(l.by_ids))
		return bsp_emit_list(14, &l, bsp_concat(BSP("\nby=ids"), bsp_part(BSP("ids"), l.by_ids)), false);
	return 0;
}

/* bsp_keep leaves only some of the children of a list. */
static inline int bsp_keep(bsp_list l) {
	bsp_str first = l.first > 0 ? bsp_part(BSP("first"), bsp_number(l.first)) : BSP_NONE;
	bool near = l.from && bsp_known(*l.from) && l.within > 0;
	bsp_str within = near ? bsp_concat(bsp_part(BSP("within"), bsp_number(l.within)), bsp_at(l.from)) : BSP_NONE;
	if (first.len + within.len == 0) return 0;
	return bsp_emit_list(15, &l, bsp_concat(first, within), near);
}

/* bsp_fill repeats the pattern in the list, once for each item: items are lines
 * of name=value, with an empty line between two items. */
static inline int bsp_fill(bsp_str list, bsp_str items) { return bsp_emit(16, list, items, BSP_NONE); }

/* bsp_why is the reason for the edits that follow, for the visitor: at most 200 bytes. */
static inline int bsp_why(bsp_str reason) { return bsp_emit(49, BSP_NONE, reason, BSP_NONE); }

/* bsp_event tells what the visitor did, for their profile: view, purchase, search,
 * click, hide, mail-open or mail-click; the id of the item or what was searched
 * for; and attributes, lines of name=value. */
static inline int bsp_event(bsp_str kind, bsp_str item, bsp_str attributes) { return bsp_emit(48, kind, item, attributes); }

/* Of the headers of the response, in both phases. */
static inline int bsp_set_header(bsp_str name, bsp_str value) { return bsp_emit(32, name, value, BSP_NONE); }
static inline int bsp_add_header(bsp_str name, bsp_str value) { return bsp_emit(33, name, value, BSP_NONE); }
static inline int bsp_remove_header(bsp_str name) { return bsp_emit(34, name, BSP_NONE, BSP_NONE); }

/* Of the request, before the origin is asked. status is 301, 302, 303, 307 or 308. */
static inline int bsp_redirect(bsp_str location, uint32_t status) { return bsp_emit(35, location, bsp_number(status), BSP_NONE); }
static inline int bsp_upstream_header(bsp_str name, bsp_str value) { return bsp_emit(36, name, value, BSP_NONE); }
static inline int bsp_upstream_path(bsp_str path) { return bsp_emit(37, BSP_NONE, path, BSP_NONE); }

/* ---- The log ---- */

enum { BSP_DEBUG, BSP_INFO, BSP_WARN, BSP_ERROR };

/* bsp_log writes lines to the policy's log. Operators read it: never log what
 * was read about the visitor. */
static inline void bsp_log(uint32_t level, bsp_str text) { bsp_host_log(level, text.at, text.len); }

#endif

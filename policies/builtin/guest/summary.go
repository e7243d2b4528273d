//go:build wasip1

package main

import (
	"strconv"
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

// maxGroups bounds the categories of a summary.
const maxGroups = 100

// A group is what was spent in a category, and what the visitor meant to spend,
// in hundredths.
type group struct {
	name          string
	spent, budget int64
	has           bool // a budget
}

// summary adds up the entries of a page by category, and holds the sums against
// the visitor's own budgets.
func summary(r *run) {
	amount, ok := r.need("amount")
	category, ok2 := r.need("category")
	list, lists := r.Config("list")
	total, totals := r.Config("total")
	if !ok || !ok2 {
		return
	}
	if !lists && !totals {
		r.wrong("one of the options list and total is needed")
		return
	}
	amounts, _ := r.Read(bespoke.Join("page.", amount))
	categories, _ := r.Read(bespoke.Join("page.", category))
	if strings.Count(amounts, "\n") != strings.Count(categories, "\n") || amounts == "" {
		if amounts != "" {
			r.wrong("not every entry has both an amount and a category")
		}
		return
	}
	dates, dated := "", false
	if date, ok := r.Config("date"); ok {
		dates, dated = r.Read(bespoke.Join("page.", date))
		if dated = dated && strings.Count(dates, "\n") == strings.Count(amounts, "\n"); !dated {
			r.wrong("not every entry has a date")
			return
		}
	}
	since, ok := r.since(dated)
	if !ok {
		return
	}
	var buf [maxGroups]group
	groups, sum := buf[:0], int64(0)
	muted, _ := r.Preference("muted")
	for left := amounts != ""; left; {
		var a, c, d string
		a, amounts, left = strings.Cut(amounts, "\n")
		c, categories, _ = strings.Cut(categories, "\n")
		d, dates, _ = strings.Cut(dates, "\n")
		n, ok := hundredths(a)
		if !ok || dated && days(d) < since || bespoke.HasLine(muted, c) {
			continue
		}
		sum += n
		if groups, ok = add(groups, c, n); !ok {
			r.wrong("more than " + strconv.Itoa(maxGroups) + " categories")
			return
		}
	}
	r.budgets(groups)
	money := r.option("money", "{amount}")
	if totals {
		r.why("Added up from this page.")
		r.check("total", r.Text(total, sums(money, sum)))
	}
	if lists && len(groups) > 0 {
		r.why("Added up from this page, beside the budgets that you set.")
		r.check("fill", r.Fill(list, blocks(groups, money)))
	}
}

// add adds n to the group of that name, whatever the case.
func add(groups []group, name string, n int64) ([]group, bool) {
	name = strings.TrimSpace(name)
	for i := range groups {
		if bespoke.HasLine(groups[i].name, name) {
			groups[i].spent += n
			return groups, true
		}
	}
	if len(groups) == maxGroups {
		return groups, false
	}
	return append(groups, group{name: name, spent: n}), true
}

// budgets reads what the visitor set: kept filters of the name "budget CATEGORY".
func (r *run) budgets(groups []group) {
	saved, ok := r.Preference("filters")
	if !ok {
		return
	}
	prefix := r.option("budget", "budget")
	for i := range groups {
		if text, ok := find(saved, bespoke.Join(prefix, " ", groups[i].name)); ok {
			groups[i].budget, groups[i].has = hundredths(text)
		}
	}
}

// blocks are what the list is filled with: name and spent; with a budget also
// budget, and left or over.
func blocks(groups []group, money string) bespoke.Blocks {
	var all strings.Builder
	all.Grow(128 * len(groups))
	for i := range groups {
		g := &groups[i]
		all.WriteString(bespoke.Line("name", g.name))
		all.WriteString(bespoke.Line("spent", sums(money, g.spent)))
		if g.has {
			what, n := "left", g.budget-g.spent
			if n < 0 {
				what, n = "over", -n
			}
			all.WriteString(bespoke.Line("budget", sums(money, g.budget)))
			all.WriteString(bespoke.Line(what, sums(money, n)))
		}
		all.WriteByte('\n')
	}
	return bespoke.Blocks(all.String())
}

// sums writes hundredths in the site's form.
func sums(money string, n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	cents := strconv.Itoa(int(n % 100))
	if len(cents) == 1 {
		cents = bespoke.Join("0", cents)
	}
	return strings.ReplaceAll(money, "{amount}", bespoke.Join(sign, strconv.Itoa(int(n/100)), ".", cents))
}

// hundredths reads a decimal number such as -12.5, of at most twelve digits
// before the point. Further decimals than two are cut.
func hundredths(s string) (n int64, ok bool) {
	s = strings.TrimSpace(s)
	s, negative := strings.CutPrefix(s, "-")
	whole, part, _ := strings.Cut(s, ".")
	if len(whole) == 0 || len(whole) > 12 {
		return 0, false
	}
	for i := range len(whole) + len(part) {
		c := byte('0')
		if i < len(whole) {
			c = whole[i]
		} else {
			c = part[i-len(whole)]
		}
		if c < '0' || c > '9' {
			return 0, false
		}
		if i < len(whole)+2 {
			n = n*10 + int64(c-'0')
		}
	}
	for i := len(part); i < 2; i++ {
		n *= 10
	}
	if negative {
		n = -n
	}
	return n, true
}

// since returns the first day that counts, by the option days.
func (r *run) since(dated bool) (int, bool) {
	n, ok := r.count("days", 7)
	if !ok || !dated {
		return 0, ok
	}
	today, _ := r.Read("time.date")
	return days(today) - n + 1, true
}

// days numbers a day written as 2006-01-02, with or without more after it: 0 for
// what is none. (Days since the first of March of the year 0 in the Gregorian
// calendar, by the usual formula.)
func days(date string) int {
	if len(date) < 10 || date[4] != '-' || date[7] != '-' {
		return 0
	}
	y, err := strconv.Atoi(date[:4])
	m, err2 := strconv.Atoi(date[5:7])
	d, err3 := strconv.Atoi(date[8:10])
	if err != nil || err2 != nil || err3 != nil || m < 1 || m > 12 || d < 1 || d > 31 || y < 1 {
		return 0
	}
	if m < 3 {
		y, m = y-1, m+12
	}
	return 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d
}

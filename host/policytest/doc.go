// Package policytest checks a policy and tries it on fixtures, without a
// server. A fixture is one file: an exchange, and what is expected of it.
//
// Call [Check] for a module by itself. For a fixture call [Parse], let an edge
// try its Exchange (edge.Dry) under the configuration that [Fixture.Site]
// gives, and hand what came of it to [Fixture.Compare] or [Fixture.Update].
// The package itself runs no exchange, writes no file and opens no connection.
//
// # Fixtures
//
// The format is txtar: text, then sections that each begin with a line such as
// "-- page --". Every section may be left out, and stands at most once.
//
//	What it shows, in a sentence.
//	-- request --
//	GET /shops?q=tea                  method and target; then headers
//	Accept-Language: de
//	-- place --
//	192.0.2.7                         an address of the demo's database, or
//	country: DE                       continent, country, region, city,
//	city: Berlin                      timezone, lat, lon
//	-- decision --
//	granted: localize, personalize    what the visitor chose here; all; none
//	gpc: yes                          Global Privacy Control
//	-- preferences --
//	name: Jane
//	-- with --
//	slot: "#greeting"                 the options, as in the configuration
//	-- time --
//	2026-01-05T08:30:00Z
//	zone: Europe/Berlin               the site's
//	-- page --
//	<p id="greeting"></p>             what the origin sends; HTML, or of the type
//	                                  in "-- page application/json --"
//	-- edits --
//	text #greeting "Guten Tag, Jane"  what the policy is to emit, in order
//	-- want --
//	<p id="greeting">Guten Tag, ...   what the visitor is to get
//
// Without place it is unknown. Without granted the visitor has not chosen, and
// the default of the place's jurisdiction holds: for an unknown one, nothing is
// granted. Without time it is noon (UTC) on Monday, 5 January 2026. The link to
// the privacy centre, which an edge adds to the page's end, is left out; it is
// there with the header "Sec-Fetch-Dest: document".
package policytest

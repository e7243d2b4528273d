package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bespoke/host/audit/probe"
	"bespoke/host/consent"
	"bespoke/modules/abi"
)

// An experiment is one run of the probe. The edge without a leak passes each.
type experiment struct {
	name, host, path, places string
	more                     []string // other arguments
	file                     *probe.File
	open                     bool // it may say that it has no power
}

// experiments are what the probe is asked to try. What the visitors of one refuse with, or
// whom they are known as, is told it by a file, as of a site that is not ours.
func experiments(refused map[string]string) []experiment {
	event := func(kind, item string) probe.Side {
		return probe.Side{Requests: []probe.Step{{Method: "POST", Path: "/_bespoke/api/events", ContentType: "application/json", Body: fmt.Sprintf(`{"kind":%q,"item":%q}`, kind, item)}}}
	}
	header := func(name, value string) probe.Side { return probe.Side{Headers: map[string]string{name: value}} }
	cookies := func(all ...map[string]string) *probe.Side {
		s := &probe.Side{Cookies: map[string]string{}}
		for _, c := range all {
			maps.Copy(s.Cookies, c)
		}
		return s
	}
	all := func(host string, c consent.Choice) map[string]string {
		c.Granted = consent.All
		return chose(host, c)
	}
	const near = consent.Set(1 << abi.Localize)
	list := []experiment{
		{name: "what is known", host: openHost, path: "/hostile", places: anywhere, more: []string{"--steady", "--path", "/broken", "--dimensions", "place,past,profile,identifiers", "--require", "place,past,profile"}},
		{name: "what others hid", host: openHost, path: "/hostile", places: anywhere, more: []string{"--steady", "--path", "/deals", "--path", "/short", "--path", "/p/item-1", "--dimensions", "place,identifiers", "--require", "place"},
			file: &probe.File{Agree: &probe.Side{Requests: append([]probe.Step{
				{Method: "PUT", Path: "/_bespoke/api/choice", ContentType: "application/json", Body: `{"localize":true,"personalize":true,"advertise":true}`},
			}, event("hide", "item-1").Requests...)}}},
		{name: "what the origin is sent", host: openHost, path: "/sent", places: anywhere, more: []string{"--steady", "--dimensions", "place,past,forged", "--require", "place,past"}, file: &probe.File{Dimensions: map[string]probe.FileSides{
			"past":   {A: event("view", "item-1")}, // and somebody who was never here
			"forged": {A: header("Bespoke-Subject", "jane"), B: header("Bespoke-Subject", "john")},
		}}},
		{name: "what a stripped origin is sent", host: strictHost, path: "/sent", places: oneNet, more: []string{"--steady", "--dimensions", "place,referrer,identifiers", "--require", "place,referrer"}, file: &probe.File{Dimensions: map[string]probe.FileSides{
			"referrer": {A: header("Referer", "http://strict.localhost/diary"), B: header("Referer", "http://strict.localhost/doctor")},
		}}},
		{name: "the exact place", host: openHost, path: "/hostile", places: oneCell, open: true, more: []string{"--ways", "choice", "--dimensions", "place,spot", "--require", "spot"}, file: &probe.File{
			Refuse: cookies(chose(openHost, consent.Choice{Granted: near})), Agree: cookies(all(openHost, consent.Choice{})),
			Dimensions: map[string]probe.FileSides{"spot": {A: *cookies(stands(openHost, 37.7751, -122.4201)), B: *cookies(stands(openHost, 37.8044, -122.2712))}},
		}},
		{name: "accounts", host: openHost, path: "/hostile", open: true, more: []string{"--dimensions", "account"}, file: &probe.File{Dimensions: map[string]probe.FileSides{
			"account": {A: *cookies(map[string]string{"session": "jane"}), B: *cookies(map[string]string{"session": "john"})},
		}}},
		{name: "what visitors hide", host: openHost, path: "/hostile", places: anywhere, more: []string{"--dimensions", "place,hidden", "--require", "place,hidden"}, file: &probe.File{
			// Of who lets themselves be known, what they hide is learned from, too.
			Agree: &probe.Side{Requests: []probe.Step{{Method: "PUT", Path: "/_bespoke/api/choice", ContentType: "application/json", Body: `{"localize":true}`}}},
			Dimensions: map[string]probe.FileSides{
				"hidden": {A: event("hide", "item-1"), B: event("hide", "item-2"), Declared: true},
			}}},
	}
	// By whatever somebody refused, their place is not used.
	for name, no := range map[string]*probe.Side{
		"a choice of long ago":             cookies(all(openHost, consent.Choice{At: time.Now().Add(-400 * 24 * time.Hour)})),
		"a choice that cannot be read":     cookies(map[string]string{"bespoke-choice": "forged"}),
		"a withdrawal, and a TC string":    cookies(chose(openHost, consent.Choice{}), map[string]string{"euconsent-v2": grantsAll()}),
		"a refusal on another device":      cookies(refused),
		"strict: a choice of another text": cookies(all(strictHost, consent.Choice{TextVersion: 1})),
		"strict: DNT":                      {Headers: map[string]string{"DNT": "1"}},
	} {
		host, yes := openHost, consent.Choice{}
		if strings.HasPrefix(name, "strict") {
			host, yes.TextVersion = strictHost, 2
		}
		again := strings.Contains(name, "long ago") // their browser is told to keep it on, in another seal each time
		how := []string{"--ways", "choice", "--dimensions", "place,profile", "--require", "place"}
		if !again {
			how = append(how, "--steady")
		}
		list = append(list, experiment{name: name, open: again, host: host, path: "/hostile", places: optOut, more: how,
			file: &probe.File{Refuse: no, Agree: cookies(all(host, yes))}})
	}
	return list
}

// probe runs one experiment against an edge, and returns what is wrong, "" if nothing is.
func (b *bench) probe(ctx context.Context, dir, addr string, e *experiment) string {
	args := []string{"audit", "probe", "--pairs", "3", "--seed", "1", "--connect", addr, "--json"}
	if e.places != "" {
		args = append(args, "--places", e.places)
	}
	if e.file != nil {
		text, err := json.Marshal(e.file)
		if err != nil {
			return err.Error()
		}
		name := filepath.Join(dir, strings.NewReplacer(" ", "-", ":", "", ",", "").Replace(e.name)+".json")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return err.Error()
		}
		args = append(args, "--file", name)
	}
	out, status := b.ask(ctx, append(append(args, e.more...), "http://"+e.host+e.path)...)
	if status == 0 || status == 3 && e.open {
		return ""
	}
	var rep probe.Report
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&rep); err != nil {
		return fmt.Sprintf("%s: exit status %d: %s", e.name, status, lastLine(out))
	}
	for _, x := range rep.Exhibits {
		if len(x.Differences) > 0 {
			return fmt.Sprintf("%s: %s differs by %s, refused by %s", e.name, x.Differences[0].Part, x.Dimension, x.Way)
		}
	}
	return fmt.Sprintf("%s: %s", e.name, rep.Because)
}

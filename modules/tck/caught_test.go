package tck_test

import (
	"path"
	"slices"
)

// caught are, for each defect, the cases that must fail, and that no others
// may: names, or patterns of path.Match.
func caught() map[string][]string {
	memory := []string{
		"isolation/*memory", "order/start, *", "range/in memory that grew", "runs/same reads, same outcome",
		"limits/memory grows*", "time/memory.*",
	}
	globals := []string{"order/start, *", "isolation/*global i*", "isolation/*global f[36]*", "isolation/exported global", "limits/*edits*", "limits/too many bytes of*"}
	tables := []string{"isolation/*table*", "isolation/global v128", "isolation/dropped*"}
	output := []string{"wasi/a line written in pieces", "wasi/several vectors"}
	withheld := []string{"keys/geo.*", "keys/profile.*", "keys/recommend.for-you", "keys/recommend.recently-viewed*", "keys/recommend.next*", "keys/experiment.*", "keys/withheld*"}
	undeclared := []string{
		"keys/request.*", "keys/time.*", "keys/page.*", "keys/recommend.*", "keys/preference.*", "keys/geo.*", "keys/profile.*",
		"keys/experiment.*", "keys/without a manifest", "manifest/wildcards", "manifest/several policies",
	}
	traps := []string{"range/*beyond*", "range/*across*", "range/*wraps*", "range/*below zero"}
	bad := []string{"op */not in phase*", "op */bad*", "op */*without the right", "emit/a refused edit*"}
	dirty := "isolation/[^bm]*" // all but the budgets and many at once ...
	never := []string{
		"order/a failed run*", dirty, "isolation/memory", "wasi/proc_exit*", "time/[^l]*", "time/loop", "time/loop [^i]*", "recursion/of*",
	}
	exports := []string{"exports/*memory*", "exports/neither*", "exports/*with a *", "exports/*that is a *", "exports/_start"}
	return map[string][]string{
		"undeclared":     undeclared,
		"withheld":       withheld,
		"withheldEmpty":  withheld,
		"headersOpen":    {`keys/no such key "request.header.*`},
		"firstManifest":  {"manifest/several policies"},
		"everyPhase":     {"manifest/on the re*", "manifest/several policies"},
		"phaseOpen":      {"op */not in phase*"},
		"rightOpen":      {"op */*without the right"},
		"attributesOpen": {"op 3 attr/bad*"},
		"ownHeaders":     {"op 3[2346] *header/bad*"},
		"eventsKept":     {"op 48 event/dropped*"},

		"rangesOpen":         traps,
		"wrapsAround":        {"range/*wraps*", "range/buffer of read with a length below zero"},
		"pointerOfNothing":   {"range/length 0*"},
		"anyBytes":           {"read/key that is no UTF-8", "read/key with half*", "log/bytes that*", "emit/text that*"},
		"lengthCopied":       {"range/length 0*", "read/*cut*", "read/length alone", "read/value longer*"},
		"allOrNothing":       {"read/*cut*", "read/value longer*"},
		"clearsRest":         {"read/value that fits", "read/empty value", "read/value of several*", "read/overlapping*", "read/key as long*", "keys/value that*"},
		"absentIsEmpty":      append([]string{"range/length 0*", "read/absent", "read/empty key", "read/no such*", "read/key that*", "read/key with*", "read/key too*", "read/overlapping*", "keys/no such*", "keys/config.NAME", "keys/withheld*"}, except(undeclared, "manifest/several policies")...),
		"emptyIsAbsent":      {"read/empty value"},
		"readsEarly":         {"order/start, *"},
		"opIsByte":           {"emit/operation 257*", "emit/operation 65537*"},
		"unknownUnsupported": {"emit/operation*", "emit/the lowest*", "emit/every*", "isolation/budget*", "limits/refused edits*", "limits/*bytes of edits*"},
		"refusedKept":        bad,
		"refusalTraps":       append([]string{"manifest/several policies"}, bad...),
		"lastFirst":          {"emit/edits*", "emit/a refused*", "op [1-9] */taken", "op 1[0-6] */taken", "op 35 */taken"},
		"levelsRaw":          {"log/level 4", "log/level 25*", "log/level -*"},
		"emptyLines":         {"log/empty lines"},

		"noReset":        slices.Concat(memory, globals, tables, []string{"isolation/global funcref"}),
		"keepsMemory":    memory,
		"keepsGlobals":   globals,
		"keepsTables":    tables,
		"keepsSize":      {"isolation/size of memory", "range/in memory that grew", "runs/same reads, same outcome", "limits/memory grows*"},
		"clockRunsOn":    {"isolation/WASI clock", "wasi/sleep*"},
		"noInitialize":   {"order/start, *", "order/_init*", "*/*in _initialize"},
		"realClock":      {"isolation/WASI clock", "wasi/clocks", "wasi/sleep*", "runs/*"},
		"realRandom":     {"isolation/WASI random", "wasi/random*", "runs/*"},
		"trapsSwallowed": slices.Concat(traps, []string{"order/*traps", "order/data*", "order/a failed*", "wasi/proc_exit*", "time/*", "recursion/*"}),
		"editsOfFailed":  append([]string{"order/a failed*", "wasi/proc_exit*", "time/loop after edits"}, traps...),
		"neverAgain":     append(never, traps...),
		"hangs":          {"time/[^l]*", "time/loop", "time/loop [^i]*"},
		"panics":         {"keys/experiment.*"},
		"outputDropped":  append([]string{"wasi/standard output", "wasi/standard error"}, output...),
		"piecesAreLines": output,
		"exitIsSuccess":  {"wasi/proc_exit with status 0*"},

		"keysLong":       {"read/key too long"},
		"editsUnlimited": {"limits/too many edits", "limits/refused*"},
		"bytesUnlimited": {"limits/too many bytes*"},
		"refusedFree":    {"limits/refused*", "limits/too many bytes of edits"},
		"logUnlimited":   {"log/beyond*"},
		"logSilent":      {"log/beyond*"},
		"binaryLarge":    {"limits/module too large"},
		"memoryLarge":    {"limits/memory too*", "limits/maximum*", "limits/memory grows up to the limit"},
		"tablesLarge":    {"limits/too many tables", "limits/table too*", "limits/tables too*", "limits/table.grow*"},
		"bodiesLarge":    {"limits/function too long"},
		"localsMany":     {"limits/too many locals"},
		"commands":       {"exports/_start"},
		"noPhase":        {"exports/neither*"},
		"noMemory":       {"exports/no memory", "exports/memory*", "memory/none"},
		"anySignature":   {"exports/_initialize*"},

		"takesFormat": {
			"features/a component", "features/nothing*", "features/a page*", "features/cut off", "features/followed*", "features/threads*",
			"features/tail*", "features/exceptions*", "features/garbage*", "memory/shared*", "memory/of 64*", "memory/maximum*",
		},
		"takesImport": {
			"imports/*global", "imports/table", "imports/memory", "imports/module*", "imports/another*", "imports/version*", "imports/WASI*",
			"imports/threads", "imports/no such*", "imports/function*", "imports/read *", "imports/emit *", "imports/log *", "imports/sock_*",
		},
		"takesExport": append([]string{"memory/none"}, exports...),
		"takesLimit":  {"memory/two", "limits/*too large*", "limits/too many tables", "limits/memory of 4*", "limits/function*", "limits/too many locals", "limits/locals*"},
		"takesManifest": {
			"manifest/too long", "manifest/no JSON", "manifest/no UTF-8", "manifest/field in capitals", "manifest/nothing", "manifest/a text", "manifest/a list with*", "manifest/an *", "manifest/null", "manifest/cut off", "manifest/text*",
			"manifest/two*", "manifest/no name", "manifest/empty name", "manifest/name with *", "manifest/name that*", "manifest/name of*", "manifest/version*",
			"manifest/unknown*", "manifest/reads that*", "manifest/reason*", "manifest/right*", "manifest/phase*", "manifest/option*", "manifest/one*", "manifest/twice",
			`manifest/reads "weather*`, `manifest/reads "geo.postcode"`, `manifest/reads ""`, `manifest/reads "request.cookie"`, `manifest/reads "request.header.cookie"`,
			`manifest/reads "request.query."`, `manifest/reads "consent.everything"`, `manifest/reads "geo.[*].name"`, `manifest/reads "GEO*`,
		},
	}
}

func except(all []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == one })
}

// matches reports whether a case is one of those.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return p == name || ok && err == nil
	})
}

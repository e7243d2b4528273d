# make          what is here
# make run      build all, start the demo
# make test     every test that CI runs
.DEFAULT_GOAL := help

GO ?= go
BUILTIN := policies/builtin/builtin.wasm
ASC := policies/sdk/assemblyscript/node_modules
AXE := host/control/browser/node_modules
BUN := host/rewrite/bench/node_modules
GUEST := $(shell find policies modules/abi -name '*.go' -o -name 'manifest.json')

help: ## print this
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BUILTIN): $(GUEST)
	$(GO) run ./policies/builtin/build

build: $(BUILTIN) ## build bin/bespoke
	$(GO) build -trimpath -o bin/bespoke ./host/cmd/bespoke

run: build ## build all and start the demo on 127.0.0.1:8080
	./bin/bespoke demo

test: $(BUILTIN) tools-for-tests $(ASC) $(AXE) ## run every test (installs what is missing of Chromium, clang, node and curl through apt)
	$(GO) vet ./...
	$(GO) test -timeout 25m ./...

tools-for-tests:
	@sh tools/need.sh chromium clang lld nodejs npm curl

# The AssemblyScript compiler, for the tests of its SDK.
$(ASC): policies/sdk/assemblyscript/package-lock.json | tools-for-tests
	cd policies/sdk/assemblyscript && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# axe-core, which looks for what keeps people from using our pages.
$(AXE): host/control/browser/package-lock.json | tools-for-tests
	cd host/control/browser && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

test-real: $(BUILTIN) ## before a real site, with the real geo database (fetches both)
	sh tools/need.sh nginx python3-doc
	$(MAKE) geodata
	$(GO) test -count=1 -tags real -run Real ./geo/... ./host/...

audit: $(BUILTIN) ## a million pairs of visitors who differ only in what they refused (half an hour)
	BESPOKE_PAIRS=$(or $(PAIRS),1000000) $(GO) test -count=1 -timeout 120m -v -run '^TestNonInterference' ./host/edge

audit-mutants: $(BUILTIN) ## plant leaks in the edge, one at a time, and see what catches them (MUTANTS=regexp for some)
	$(GO) run ./host/audit/mutants $(if $(MUTANTS),-run '$(MUTANTS)',-o docs/audit-mutants.md)

soak: $(BUILTIN) ## the tests that take minutes: choices toggled through 100,000 exchanges, 1,000 policies loaded
	BESPOKE_SOAK=1 $(GO) test -count=1 -timeout 30m -v -run '^Test(Withdrawal.*|Tenants)$$' ./host/edge ./modules/engine

geodata: ## fetch IP Geolocation by DB-IP (CC BY 4.0) into geodata/
	sh geo/geodata.sh

bench: $(BUILTIN) $(BUN) ## run every benchmark; each ratio is measured in one run
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Bun, whose rewriter the benchmarks measure ours against, and real pages.
$(BUN): host/rewrite/bench/package-lock.json | tools-for-bench
	cd host/rewrite/bench && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

tools-for-bench:
	@sh tools/need.sh nodejs npm python3-doc apache2-doc debian-faq debian-policy developers-reference git-doc postgresql-doc

bench-edge: $(BUILTIN) ## whole exchanges beside a bare fasthttp proxy (installs wrk through apt)
	sh tools/need.sh wrk
	$(GO) test -run '^$$' -bench '^BenchmarkWhole' -benchtime 1x ./host/edge

fuzz: $(BUILTIN) ## run each fuzz target for FUZZTIME (1m)
	sh tools/fuzz.sh $(or $(FUZZTIME),1m)

check: $(BUILTIN) ## format, vet, staticcheck, tidy, a clean tree
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff
	GOOS=wasip1 GOARCH=wasm $(GO) vet ./policies/builtin/guest ./policies/sdk/go ./policies/sdk/example/go ./host/edge/testdata/policies/...

clean: ## remove what was built
	rm -rf bin $(BUILTIN)

.PHONY: help build run test tools-for-tests tools-for-bench test-real soak audit audit-mutants geodata bench bench-edge fuzz check clean

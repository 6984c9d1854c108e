# Two commands are enough to begin: make run, make test. All of them: make help.

GO      ?= go
FUZZTIME ?= 60s
# staticcheck is run at this version, downloaded once; go.mod does not know of it.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# A tree whose owner git distrusts builds all the same, without its commit in the version.
VCS := $(shell git status --porcelain >/dev/null 2>&1 || echo -buildvcs=false)

.DEFAULT_GOAL := help
.PHONY: help run build test race bench backlog subscribers reminders urgent import pilot campaign fuzz lint vet clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## the gateway on examples/masar.yaml with three simulated carriers; Ctrl-C stops all
	@bin/masar demo --config examples/masar.yaml

build: ## bin/masar
	$(GO) build $(VCS) -o bin/masar ./cmd/masar

test: interop/node/node_modules/.package-lock.json vet ## everything that can fail: go vet, all tests, interop peers included
	$(GO) test -timeout 20m ./...

race: interop/node/node_modules/.package-lock.json ## the tests under the race detector
	$(GO) test -race -timeout 40m ./...

bench: build ## messages/s, CPU and latency of sim + gateway + load as three processes; codec and store benchmarks
	bin/masar bench
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 1s ./smpp/pdu ./queue/...

BACKLOG ?= 5000000

backlog: ## BACKLOG messages (default 5,000,000) wait on disk: memory, start, rate while they drain; some minutes and 4 GB
	BACKLOG=$(BACKLOG) $(GO) test -count=1 -timeout 60m -v -run '^TestABacklogCostsNoMemoryAndNoTimeAtStart$$' ./cmd/masar

URGENT ?= 1000000

urgent: ## URGENT bulk messages (default 1,000,000) wait for a carrier of 500/s: how long urgent ones take; about a minute and 3 GB
	URGENT=$(URGENT) $(GO) test -count=1 -timeout 30m -v -run '^TestUrgentMessagesDoNotWaitBehindABulkRun$$' ./cmd/masar

IMPORT ?= 5000000

import: ## a CSV of IMPORT rows (default 5,000,000), 1% of them bad, the gateway killed on the way: rows/s and memory; some minutes and 2 GB
	IMPORT=$(IMPORT) $(GO) test -count=1 -timeout 60m -v -run '^TestAnImportThatIsKilledGoesOnAndCountsEveryRowOnce$$' ./cmd/masar

PILOT ?= 6000000

pilot: ## PILOT notices (default 6,000,000) of the pilot's 8 services to a third as many people over three carriers: time, rate, memory, lost, duplicate; some minutes and 6 GB
	PILOT=$(PILOT) $(GO) test -count=1 -timeout 3h -v -run '^TestThePilotIsReplayedWithoutALossOrADuplicate$$' ./cmd/masar

CAMPAIGN ?= 20

campaign: ## a campaign whose gateway is killed CAMPAIGN times (default 20): each recipient one accepted message, the report exact; about two minutes
	CAMPAIGN=$(CAMPAIGN) $(GO) test -count=1 -timeout 30m -v -run '^TestACampaignThatIsKilledAgainAndAgainSendsEachRecipientOneMessage$$' ./cmd/masar

SUBSCRIBERS ?= 30000000

subscribers: ## SUBSCRIBERS people (default 30,000,000) with 5 services each: import, lookups, memory; some ten minutes and 4 GB
	SUBSCRIBERS=$(SUBSCRIBERS) $(GO) test -count=1 -timeout 2h -v -run '^TestMillionsOfSubscribersAreImportedAndFoundInBoundedMemory$$' ./service/pebble

REMINDERS ?= 10000000

reminders: ## REMINDERS pending ones (default 10,000,000): puts/s, memory, restart, lateness at 5,000 due a second, all dates of a service moved; some fifteen minutes and 8 GB
	REMINDERS=$(REMINDERS) $(GO) test -count=1 -timeout 2h -v -run '^TestMillionsOfRemindersWaitInBoundedMemoryAndLeaveOnTime$$' ./jobs

fuzz: ## each Fuzz target FUZZTIME long (default 60s)
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "== $$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$package; \
		done; \
	done

lint: vet ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
		if [ -n "$$unformatted" ]; then echo "not gofmt'ed: $$unformatted"; exit 1; fi
	$(GO) run $(STATICCHECK) ./...

vet:
	$(GO) vet ./...

clean: ## bin/, and the data of make run and make bench
	rm -rf bin var

# node-smpp, for the interop tests, with the same mark as interop/install.sh leaves. Without
# npm those tests are skipped, unless MASAR_CI is set.
interop/node/node_modules/.package-lock.json: interop/node/package-lock.json
	@if command -v npm >/dev/null; then \
		cd interop/node && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json; \
	elif [ -n "$$MASAR_CI" ]; then \
		echo "MASAR_CI is set and npm is missing: install node 20"; exit 1; \
	else \
		echo "npm is not installed: the tests against node-smpp will be skipped"; \
	fi

# `make` alone lists what there is.

TOOLS     := $(CURDIR)/.bin
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT   := mvdan.cc/gofumpt@v0.12.0
SQLC      := github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1

# GENERATED is what `make generate` writes and `make check` compares.
GENERATED := gen server/internal/store/sqlitedb server/internal/store/pgdb

.PHONY: help run build generate check lint verify test race faults soak bench fuzz deps clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: ## start the server, with the development defaults if there is no app-config.yaml
	go run ./server

build: ## build the one binary, ./stagedoor
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o stagedoor ./server

generate: $(TOOLS)/sqlc ## regenerate gen/ and the queries
	go generate ./gen
	$(TOOLS)/sqlc generate -f server/internal/store/sqlc.yaml

check: lint verify race ## everything that must hold before a commit

lint: $(TOOLS)/staticcheck $(TOOLS)/gofumpt ## format, vet, staticcheck
	@test -z "$$($(TOOLS)/gofumpt -l $$(git ls-files '*.go' ':!*.gen.go' ':!*/sqlitedb/*' ':!*/pgdb/*') | tee /dev/stderr)" || { echo 'run gofumpt -w on these'; exit 1; }
	go vet ./...
	$(TOOLS)/staticcheck ./...

verify: generate ## regenerate and compare with what is committed
	@git diff --exit-code --stat -- $(GENERATED) go.mod go.sum || { echo 'generated files differ from what is committed'; exit 1; }
	@test -z "$$(git ls-files --others --exclude-standard -- $(GENERATED))" || { echo 'generated files are not committed'; exit 1; }

test: deps ## run all tests, browser included
	go test $(TESTFLAGS) ./...

race: deps ## run all tests under the race detector
	go test -race ./...

deps: ## find Chromium and PostgreSQL for the tests, or install them (Debian, root)
	@.ci/chromium
	@.ci/postgres

faults: deps ## break a portal of three replicas for FAULTS (default 10m), and print what was lost
	FAULTS=$(or $(FAULTS),10m) go test -count 1 -timeout 0 -v -run '^(TestFaults|TestFiftyRefreshes|TestRotationsAtOnce)$$' ./server

soak: deps ## sign in SOAK times (default 10000) and refresh five times as often, and print what grows
	SOAK=$(or $(SOAK),10000) go test -count 1 -timeout 0 -v -run '^TestSoak$$' ./server

bench: ## print the table of design section 9
	go test -run '^$$' -bench '^BenchmarkTable' -benchtime 1x ./server

fuzz: ## fuzz every target for FUZZTIME (default 10s)
	@.ci/fuzz $(or $(FUZZTIME),10s)

clean: ## remove what was built or installed here
	rm -rf .bin stagedoor

$(TOOLS)/staticcheck:
	GOBIN=$(TOOLS) CGO_ENABLED=0 go install $(STATICCHECK)
$(TOOLS)/gofumpt:
	GOBIN=$(TOOLS) CGO_ENABLED=0 go install $(GOFUMPT)
$(TOOLS)/sqlc:
	GOBIN=$(TOOLS) CGO_ENABLED=0 go install $(SQLC)

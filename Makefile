# Waypost. `make` alone prints the targets.

PORTS   ?= 8080
VERSION ?= $(shell git describe --tags --dirty 2>/dev/null || echo 0.1.0-devel)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -X waypost/configs.version=$(VERSION) -X waypost/configs.commit=$(COMMIT)

PROGRAMS := edge mint sink bench

# Tools are pinned here, outside go.mod: what checks the code is no dependency of the programs.
TOOLS         := bin/tools
GOLANGCI_LINT := $(TOOLS)/golangci-lint-v2.15.0
GOVULNCHECK   := $(TOOLS)/govulncheck-v1.9.0

# These tests build the programs and start them: the test cache does not see when a program's source has changed.
UNCACHED := -count=1 ./bench/...

.DEFAULT_GOAL := help

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## put edge, mint, sink and bench into bin/
	@mkdir -p bin
	go build -ldflags '$(LDFLAGS)' -o bin/ $(PROGRAMS:%=./%)

.PHONY: run
run: build ## run everything with a demo tenant, until Ctrl-C; PORTS=18080 moves all ports
	@bin/bench run --ports $(PORTS)

.PHONY: run-kafka
run-kafka: build ## like run, with a real Apache Kafka between edge and sink; wants Java 17 and Maven
	@bin/bench run --kafka --state var/with-kafka --ports $(PORTS)

.PHONY: kafka
kafka: build ## start a real Apache Kafka of one node on 127.0.0.1:9092; bin/bench kafka down stops it
	@bin/bench kafka up

.PHONY: test
test: ## run every test: units, scripts of the real programs, end to end, a short crash test
	go test -timeout 15m ./configs/... ./mint/... ./edge/... ./sink/...
	go test -timeout 30m $(UNCACHED)

.PHONY: check
check: check-format check-vet check-lint check-readmes check-race check-vulnerabilities ## gofmt, vet, linters, READMEs, the race detector, known vulnerabilities

.PHONY: check-format
check-format:
	@unformatted=$$(gofmt -l $(PROGRAMS) configs); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi

.PHONY: check-vet
check-vet:
	go vet ./...
	go vet -tags faults ./...

.PHONY: check-lint
check-lint: $(GOLANGCI_LINT)
	$(GOLANGCI_LINT) run ./...

# Uncached: these tests read files that the test cache may not know of.
.PHONY: check-readmes
check-readmes:
	go test -count=1 -timeout 5m ./bench/house/

# -short leaves out what make test has run already, and where only programs built without the race detector are killed.
.PHONY: check-race
check-race:
	go test -race -timeout 20m ./configs/... ./mint/... ./edge/... ./sink/...
	go test -race -short -timeout 20m $(UNCACHED)
	go test -race -tags faults ./configs/...

# Where the database cannot be reached the rest of the check still counts, and what was not checked is said.
.PHONY: check-vulnerabilities
check-vulnerabilities: $(GOVULNCHECK)
	@out=$$($(GOVULNCHECK) ./... 2>&1); status=$$?; echo "$$out"; \
	if [ $$status = 1 ] && echo "$$out" | grep -q '^govulncheck: fetching vulnerabilities'; then \
		echo; echo '*** NOT CHECKED for known vulnerabilities: the database https://vuln.go.dev cannot be reached ***'; echo; \
	else exit $$status; fi

.PHONY: bench
bench: build ## run the Go benchmarks, then offer load to the edge and the sink
	go test -run '^$$' -bench . -benchtime 1s ./mint/... ./edge/... ./sink/...
	bin/bench load edge
	bin/bench load sink

.PHONY: reset
reset: ## empty var/: the demo's keys, journal and store
	@if [ -e var/lock ] && command -v flock >/dev/null && ! flock -n var/lock true; then \
		echo 'make run uses var/: end it first' >&2; exit 1; fi
	rm -rf var

.PHONY: clean
clean: ## remove bin/
	rm -rf bin

# A tool is installed under its version, so that a new pin is a new file.
$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(lastword $(subst -, ,$@))
	@mv $(TOOLS)/golangci-lint $@

$(GOVULNCHECK):
	GOBIN=$(CURDIR)/$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(lastword $(subst -, ,$@))
	@mv $(TOOLS)/govulncheck $@

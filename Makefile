# `make help` lists the targets.
SHELL := bash
GO ?= go
DATASET ?=
VENV := .venv
CREDIT_RETRAIN := $(VENV)/bin/credit-retrain
BENCH_VENV := .venv-bench
DVC_VENV := .venv-dvc
TOOLS := .cache/tools

.DEFAULT_GOAL := help
.PHONY: help demo build build-onnx test test-app test-onnx test-race test-life test-upgrade test-kafka chaos-short verify-10m test-browser test-alertmanager test-proxies test-examples check-deploy bench bench-stream bench-http bench-drift bench-all bench-plot fuzz lint generate python test-python test-python-quick data prepare validate repro test-repro train release drift-check ship check-train clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

demo: build ## Show everything running, nothing to install: prints the address to open
	bin/creditstream demo

build: ## Build the binary into bin/creditstream (pure Go)
	CGO_ENABLED=0 $(GO) build -o bin/creditstream .

build-onnx: ## Build it with ONNX Runtime as a second engine (needs a C compiler)
	CGO_ENABLED=1 $(GO) build -o bin/creditstream .

# Tests wait more than they compute: more of them at once than there are processors.
CORES := $(shell getconf _NPROCESSORS_ONLN)
AT_ONCE := -parallel $(shell echo $$((2 * $(CORES))))

test: ## Run the Go tests, of the black-box ones those that are quick
	$(GO) test -short $(AT_ONCE) -timeout 15m ./...

# The Go examples and a model's life have targets of their own.
test-app: build ## Run all black-box tests on the embedded broker: the binary as processes, killed, stopped, restarted
	CREDITSTREAM_BINARY=$(CURDIR)/bin/creditstream $(GO) test -count=1 $(AT_ONCE) -timeout 20m -skip 'Example|TestAModelsLife$$' ./apptest

test-onnx: ## Hold both engines to each other (fetches the ONNX Runtime library; needs a C compiler)
	@lib=$$(deploy/dev/onnxruntime.sh) && CREDITSTREAM_ONNXRUNTIME=$$lib CGO_ENABLED=1 $(GO) test -count=1 -v -run 'Engine' ./model/...

# Black-box tests run processes that were built without the detector.
test-race: ## Run the Go tests of the packages under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 30m $$($(GO) list ./... | grep -v /apptest)

# The bundle that make train wrote, dist/VERSION/VERSION.bundle.
TRAINED ?=
test-life: build ## Take TRAINED, a bundle of make train, to champion and back on the embedded broker (without: a rewritten copy of the shipped one)
	CREDITSTREAM_BINARY=$(CURDIR)/bin/creditstream CREDITSTREAM_TEST_TRAINED="$(abspath $(TRAINED))" $(GO) test -count=1 -v -run 'TestAModelsLife$$' ./apptest

test-upgrade: build ## Test a rolling upgrade from the release before, built from the history: both side by side, judged by verify
	@CREDITSTREAM_BINARY=$(CURDIR)/bin/creditstream GO="$(GO)" deploy/dev/test-upgrade.sh -v

test-kafka: build ## Test two scorers, killed and stopped, on a real Kafka and Redis (or KAFKA=HOST:PORT REDIS=HOST:PORT); takes DATASET, TRAINED as test-life does
	@GO="$(GO)" DATASET="$(DATASET)" TRAINED="$(TRAINED)" KAFKA="$(KAFKA)" REDIS="$(REDIS)" deploy/dev/test-kafka.sh -v

chaos-short: build ## Let everything fail for two minutes on three real brokers, and judge what is left; SEED=n plays a run again
	@GO="$(GO)" SEED="$(SEED)" LENGTH="$(LENGTH)" deploy/dev/chaos.sh

RECORDS ?= 10000000
verify-10m: build ## Judge ten million records on a real Kafka and hold the judge's memory to a bound (or RECORDS=n); takes DATASET and ~10 GB of disk
	@GO="$(GO)" DATASET="$(DATASET)" KAFKA="$(KAFKA)" REDIS="$(REDIS)" CREDITSTREAM_TEST_RECORDS=$(RECORDS) deploy/dev/test-kafka.sh -v -timeout 4h -run 'TestVerifyTakesBoundedMemory$$'

test-browser: build ## Test the page of a demo in a headless browser (needs the package chromium); pictures in .cache/screenshots
	@command -v chromium chromium-browser google-chrome >/dev/null || { echo "make test-browser needs a browser: apt-get install chromium" >&2; exit 1; }
	CREDITSTREAM_BINARY=$(CURDIR)/bin/creditstream $(GO) test -count=1 -tags browser -run TestThePage ./apptest

test-proxies: ## Test the API behind a real nginx and HAProxy, configured as docs/reverse-proxy.md says (needs the packages nginx-light and haproxy)
	@command -v nginx >/dev/null && command -v haproxy >/dev/null || { echo "make test-proxies needs nginx and HAProxy: apt-get install nginx-light haproxy" >&2; exit 1; }
	$(GO) test -count=1 -tags proxies -run 'TestProxies' ./apptest

test-alertmanager: ## Test the webhook of drift alerts against a real Alertmanager (needs the package prometheus-alertmanager)
	@command -v prometheus-alertmanager >/dev/null || { echo "make test-alertmanager needs an Alertmanager: apt-get install prometheus-alertmanager" >&2; exit 1; }
	$(GO) test -count=1 -tags alertmanager -run 'Alertmanager' ./drift/webhook

EXAMPLES := .cache/examples

$(EXAMPLES)/.installed: examples/python/requirements.txt
	@command -v uv >/dev/null || { echo "make test-examples needs uv: pip install uv" >&2; exit 1; }
	test -d $(EXAMPLES) || uv venv --quiet $(EXAMPLES)
	VIRTUAL_ENV=$(EXAMPLES) uv pip sync --quiet --require-hashes $<
	@touch $@

test-examples: build $(EXAMPLES)/.installed ## Test the clients in examples/, Go, Python and curl, on the embedded broker
	CREDITSTREAM_BINARY=$(CURDIR)/bin/creditstream CREDITSTREAM_TEST_PYTHON=$(CURDIR)/$(EXAMPLES)/bin/python \
	  $(GO) test -count=1 -tags examples -run 'Example' ./apptest

DEPLOY := .cache/deploy

$(DEPLOY)/.installed: deploy/dev/requirements.txt
	@command -v uv >/dev/null || { echo "make check-deploy needs uv: pip install uv" >&2; exit 1; }
	test -d $(DEPLOY) || uv venv --quiet $(DEPLOY)
	VIRTUAL_ENV=$(DEPLOY) uv pip sync --quiet --require-hashes $<
	@touch $@

check-deploy: $(DEPLOY)/.installed ## Check compose.yaml and the Dockerfile, offline
	$(DEPLOY)/bin/hadolint deploy/Dockerfile
	$(DEPLOY)/bin/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	cd deploy/dev/compose-check && $(GO) run . ../../../compose.yaml

# Figures are for a machine that has nothing else to do. ARGS are flags, as
# ARGS='-rounds 3'; -help lists them.
bench: python ## Engines, reasons and codecs side by side (fetches ONNX Runtime; needs a C compiler)
	@lib=$$(deploy/dev/onnxruntime.sh) && CREDITSTREAM_ONNXRUNTIME=$$lib CGO_ENABLED=1 $(GO) run ./bench/engine $(ARGS)

bench-stream: build $(BENCH_VENV)/.installed ## The stream beside a copy and a Python scorer on a real Kafka; takes DATASET, ARGS='-rates 500,2000,10000'
	@DATASET="$(DATASET)" bench/stream.sh $(ARGS)

bench-http: build $(BENCH_VENV)/.installed ## POST /predict beside a bare handler and FastAPI (needs wrk); takes DATASET
	@DATASET="$(DATASET)" bench/http.sh $(ARGS)

bench-drift: python ## How seldom and how soon drift is seen, beside Evidently; takes DATASET, ARGS='-runs 20 -longest 200' for a quick look
	$(GO) run ./bench/drift -data "$(DATASET)" -python $(VENV)/bin/python $(ARGS)

# The figures of docs/benchmarks.md, all of one machine and commit.
KEEP := docs/benchmarks
bench-all: ## All benchmarks in one run, kept in docs/benchmarks with their picture: about an hour, on a machine that does nothing else
	$(MAKE) bench ARGS='-save $(KEEP)/engines.json'
	$(MAKE) bench-stream ARGS='-save $(KEEP)/stream.json'
	$(MAKE) bench-stream ARGS='-only copy,creditstream -rounds 1 -records 100000,10000000 -save $(KEEP)/growth.json'
	$(MAKE) bench-stream ARGS='-only copy,creditstream -rounds 1 -partitions 1,48 -save $(KEEP)/partitions.json'
	$(MAKE) bench-stream ARGS='-records= -rates 500,2000,10000 -rounds 2 -seconds 8 -save $(KEEP)/latency.json'
	$(MAKE) bench-stream ARGS='-records= -count 1000000 -save $(KEEP)/counting.json'
	$(MAKE) bench-http ARGS='-save $(KEEP)/http.json'
	$(MAKE) bench-drift
	$(MAKE) bench-plot

bench-plot: ## Draw docs/benchmarks.svg from the figures in docs/benchmarks
	$(GO) run ./bench/plot docs/benchmarks docs/benchmarks.svg

$(BENCH_VENV)/.installed: bench/python/requirements.txt
	@command -v uv >/dev/null || { echo "the benchmarks need uv: pip install uv" >&2; exit 1; }
	test -d $(BENCH_VENV) || uv venv $(BENCH_VENV)
	VIRTUAL_ENV=$(BENCH_VENV) uv pip sync --require-hashes bench/python/requirements.txt
	@touch $@

# A number of inputs, not a time: at the end of a time go test now and then reports
# its own deadline as a failure. Opening a bundle or writing a page takes tens of
# milliseconds.
FUZZTIME ?= 50000x
FUZZTIME_BUNDLES ?= 200x
fuzz: ## Fuzz every parser with FUZZTIME (50000x: inputs, or 1m) each, bundles and pages with FUZZTIME_BUNDLES
	@set -e; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  pkg=$$($(GO) list $$dir); \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    n=$(FUZZTIME); case $$pkg in */model|*/drift/report) n=$(FUZZTIME_BUNDLES);; esac; \
	    echo "== $$pkg $$target $$n"; $(GO) test $$pkg -run '^$$' -fuzz "^$$target$$" -fuzztime $$n -fuzzminimizetime 10x; \
	  done; done

generate: ## Write schemas/jsonschema, schemas/avro, schemas/asyncapi.yaml and retrain/credit_retrain/schemas again
	$(GO) run ./schemas/generate schemas

$(TOOLS)/golangci-lint: tools/go.mod
	@mkdir -p $(TOOLS)
	cd tools && GOBIN=$(CURDIR)/$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# Apart from the other tools: it does not build with the YAML library they need.
$(TOOLS)/actionlint: Makefile
	@mkdir -p $(TOOLS)
	GOBIN=$(CURDIR)/$(TOOLS) $(GO) install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

lint: $(TOOLS)/golangci-lint $(TOOLS)/actionlint python ## Lint Go, Python, shell scripts and workflows
	@command -v shellcheck >/dev/null || { echo "make lint needs shellcheck: apt-get install shellcheck" >&2; exit 1; }
	shellcheck .ci/run bench/*.sh deploy/dev/*.sh examples/curl/*.sh retrain/*.sh retrain/credit-retrain
	$(TOOLS)/actionlint
	$(GO) mod tidy -diff
	$(TOOLS)/golangci-lint run
	$(VENV)/bin/ruff check --config retrain/pyproject.toml examples/python
	$(VENV)/bin/ruff format --check --config retrain/pyproject.toml examples/python
	$(VENV)/bin/ruff check bench/python && $(VENV)/bin/ruff format --check bench/python
	cd retrain && ../$(VENV)/bin/ruff check . && ../$(VENV)/bin/ruff format --check . && ../$(VENV)/bin/mypy credit_retrain

python: $(VENV)/.installed ## Make the Python environment (.venv), training's package installed in it

$(VENV)/.installed: retrain/requirements/dev.txt retrain/pyproject.toml
	@command -v uv >/dev/null || { echo "make python needs uv: pip install uv" >&2; exit 1; }
	test -d $(VENV) || uv venv $(VENV)
	VIRTUAL_ENV=$(VENV) uv pip sync --require-hashes retrain/requirements/dev.txt
	VIRTUAL_ENV=$(VENV) uv pip install --offline --no-deps --editable retrain
	@touch $@

test-python: python build ## Run the Python tests
	cd retrain && ../$(VENV)/bin/python -m pytest -q

test-python-quick: python ## Run the quick Python tests: 2,000 rows drawn from the synthetic population, no dataset, no binary
	cd retrain && ../$(VENV)/bin/python -m pytest -q -m 'not slow'

data: python ## Download the UCI dataset into data/raw (or take DATASET=FILE)
	DATASET="$(DATASET)" $(CREDIT_RETRAIN) fetch

prepare: python ## Write data/processed: training rows, hold-out, newest inputs; ARGS='--data both --export FILE'
	DATASET="$(DATASET)" $(CREDIT_RETRAIN) prepare $(ARGS)

validate: prepare ## Say whether they may be trained on; the report is kept in data/reports
	$(CREDIT_RETRAIN) validate

$(DVC_VENV)/.installed: retrain/requirements/dvc.txt
	@command -v uv >/dev/null || { echo "make repro needs uv: pip install uv" >&2; exit 1; }
	test -d $(DVC_VENV) || uv venv $(DVC_VENV)
	VIRTUAL_ENV=$(DVC_VENV) uv pip sync --require-hashes retrain/requirements/dvc.txt
	@touch $@

# dvc keeps locks and indexes in /var/tmp unless it is told otherwise.
repro: python build $(DVC_VENV)/.installed ## Run the stages of dvc.yaml that something changed for (make data first); ARGS=train, ARGS=--dry
	DVC_SITE_CACHE_DIR=$(CURDIR)/.dvc/tmp/site $(DVC_VENV)/bin/dvc repro $(ARGS)

test-repro: python build $(DVC_VENV)/.installed ## Show on copies that a second run runs nothing, and a changed parameter only what reads it; takes DATASET
	@DATASET="$(DATASET)" retrain/test-repro.sh

train: validate build ## Search, train, judge and record a candidate in dist/VERSION, with its card; SEARCH='--search' searches long
	$(CREDIT_RETRAIN) train --prepared data/processed $(SEARCH)

MODEL ?= models:/credit_default@challenger
# A file, a version or shipped: what its verdicts were reached against, where the stream serves another model.
CHAMPION ?=
release: python build ## Release MODEL (a file, or models:/credit_default@challenger) that passed its gates against what the stream serves; ARGS='--brokers HOST:PORT'
	$(CREDIT_RETRAIN) release $(MODEL) $(if $(CHAMPION),--champion $(CHAMPION)) -- $(ARGS)

REFERENCE ?= data/processed/train.csv
CURRENT ?= data/processed/current.csv
drift-check: python ## Hold CURRENT, what drift current --out wrote, to REFERENCE by Evidently; reports in data/reports/drift
	$(CREDIT_RETRAIN) drift --reference "$(REFERENCE)" --current "$(CURRENT)" --out data/reports/drift $(ARGS)

ship: python ## Train the bundle inside the binary again from the dataset
	$(CREDIT_RETRAIN) ship

check-train: python ## Train again and hold the shipped bundle to it, byte by byte
	$(CREDIT_RETRAIN) check

clean: ## Remove what was built
	rm -rf bin $(TOOLS)

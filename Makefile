# Quartermaster's commands. `make help` lists them. Everything they install stays in this folder (.venv, node_modules,
# static/dist) and in the user's cache; nothing needs root. But where root runs tests on a machine without a Chromium, it
# is installed from the machine's packages.
#
# Python 3.11 or newer, make and git are enough: Node and Go come from PyPI wheels where the machine has none.

SHELL := /bin/bash
PYTHON := .venv/bin/python
STACK := $(PYTHON) -m deploy.local.stack
BOOTSTRAP := .venv/.bootstrapped static/dist/.built
# Three workers on two cores, for tests wait as well: two for a local stack of their own, others for processes, browsers
# and servers. `make test WORKERS=` takes one.
WORKERS := -n 3 --no-loadscope-reorder
STATE := $(if $(QUARTERMASTER_STATE),--state $(QUARTERMASTER_STATE))

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Every part and every test worker is a process of its own: without kept bytecode each compiles all its modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up down status logs reset token surge verify-month check test test-vllm test-clickhouse test-chaos mutants bench-reconcile bench-web bench-ingest bench-chargeback bench-audit bench-evals bench-registry bench-purse bench-sizing bench-gate bench-guard bench-streams bench-compare images check-delivery check-gateway screenshot browser serving vllm-options lint fmt lock assets

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(BOOTSTRAP) ## Start the local stack; returns when the portal works
	@$(STACK) up

down: ## End the local stack and everything it started
	@$(STACK) down

status: ## Show every part: state, memory, CPU, address (JSON=1 for programs, WINDOW=seconds)
	@$(STACK) status $(if $(JSON),--json) $(if $(WINDOW),--window $(WINDOW))

logs: ## List the logs, or show one part's (PART=portal, FOLLOW=1)
	@$(STACK) logs $(PART) $(if $(FOLLOW),--follow) $(if $(LINES),--lines $(LINES))

reset: ## End the local stack and remove everything it wrote
	@$(STACK) reset

token: ## Print an access token for curl (PERSONA=maya, TEAM=…, AUDIENCE=quartermaster-gateway)
	@$(STACK) token --persona $(or $(PERSONA),maya) $(if $(TEAM),--team $(TEAM)) $(if $(AUDIENCE),--audience $(AUDIENCE))

verify-month: ## Derive a closed month again, to the hash of its statements (MONTH=2026-10)
	@$(STACK) manage verify_month $(MONTH)

surge: ## Replay a Monday morning against the local gateway: ten minutes of real calls (MINUTES=, RATE= a second); Ctrl-C stops it
	@$(STACK) surge $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RATE),--rate $(RATE))

check: lint ## Check all that needs no stack: what lint checks, and each test that starts no ready-built program
	@$(PYTHON) -m pytest -m "not stack and not vllm and not chaos and not clickhouse and not delivery" $(WORKERS) $(ARGS)

test: $(BOOTSTRAP) browser ## Run the tests, those on a stack and the story in a real browser included
	@$(PYTHON) -m deploy.local.platform build
	@$(PYTHON) -m pytest -m "not vllm and not chaos and not clickhouse and not delivery" $(WORKERS) $(ARGS)

test-vllm: $(BOOTSTRAP) browser serving ## Run the story on real vLLM
	@$(PYTHON) -m deploy.local.platform build
	@$(PYTHON) -m pytest -m vllm $(ARGS)

test-clickhouse: .venv/.bootstrapped .venv-clickhouse/.ready ## Run the tests of usage on the second store: real ClickHouse SQL (840 MB, own environment)
	@$(PYTHON) -m deploy.local.platform build
	@$(PYTHON) -m pytest -m clickhouse $(ARGS)

test-chaos: $(BOOTSTRAP) ## Kill every process of a local stack, one after another, during rollouts of three models at once
	@$(PYTHON) -m deploy.local.platform build
	@$(PYTHON) -m pytest -m chaos $(ARGS)

mutants: .venv/.bootstrapped ## Put small faults into the core: would the tests notice? (MODULES='apps/access/*', SAMPLE=0: all, SEED=)
	@$(PYTHON) -m tests.mutants $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(MODULES)

bench-reconcile: .venv/.bootstrapped ## Measure how fast a cluster of 1,000 models is followed and changed
	@$(PYTHON) -m deploy.local.platform build
	@$(PYTHON) -m tests.benchmarks.reconcile

bench-web: $(BOOTSTRAP) ## Measure the portal's web server beside gunicorn
	@$(PYTHON) -m tests.benchmarks.web

bench-ingest: .venv/.bootstrapped ## Measure how many calls a second are taken in, beside COPY (EVENTS=100000)
	@$(PYTHON) -m tests.benchmarks.ingest

bench-chargeback: .venv/.bootstrapped ## Measure every page of money, hours and closes at ten million calls (EVENTS=10000000, MONTHS=13, TEAMS=1500, MODELS=500)
	@$(PYTHON) -m tests.benchmarks.chargeback

bench-audit: .venv/.bootstrapped ## Measure how fast the audit record is sealed and verified (EVENTS=1000000, CHECKPOINTS=10000)
	@$(PYTHON) -m tests.benchmarks.audit

bench-purse: .venv/.bootstrapped ## Measure how many calls a second gates reserve and settle (TEAMS=1500, MODELS=500, GRANTS=20, SECONDS=8)
	@$(PYTHON) -m tests.benchmarks.purse

bench-sizing: .venv/.bootstrapped ## Measure how far sizing is from what one H100 did
	@$(PYTHON) -m tests.benchmarks.sizing

bench-evals: .venv/.bootstrapped ## Measure what an evaluation adds to a packet, beside the engine's own time
	@$(PYTHON) -m tests.benchmarks.evals

bench-registry: .venv/.bootstrapped ## Measure how fast a version is published and verified, beside SHA-256, GET and boto3 alone (SIZE_GIB=4, MORE_GIB=12)
	@$(PYTHON) -m tests.benchmarks.registry

bench-gate: .venv/.bootstrapped .venv-litellm/.ready ## Measure what the gate adds to a call, beside Envoy alone and LiteLLM's proxy (600 MB, own environment)
	@$(PYTHON) -m tests.benchmarks.gate

bench-guard: .venv/.bootstrapped ## Measure what the guard's rules find in made-up texts, and what they cost (KEEP=1 for the portal's page)
	@$(PYTHON) -m tests.benchmarks.guard $(if $(KEEP),--keep)

bench-streams: .venv/.bootstrapped ## Measure what the guard adds to a streamed answer, and how far behind the engine a caller is
	@$(PYTHON) -m tests.benchmarks.streams

bench-compare: $(BOOTSTRAP) ## Measure a benchmark at another commit and here, turn about (BENCH=reconcile, AGAINST=HEAD~1, TURNS=2)
	@$(PYTHON) -m deploy.local.platform build
	@$(PYTHON) -m tests.benchmarks.compare $(or $(BENCH),reconcile) --against $(or $(AGAINST),HEAD~1) --turns $(or $(TURNS),2)

images: .venv/.bootstrapped assets ## Build the portal's and the loader's images, without registry and daemon (root, buildah), into .state/images
	@$(PYTHON) -m deploy.images portal loader --to .state/images

check-delivery: .venv/.bootstrapped assets .venv-checkov/.ready ## Check what is shipped: the chart by Helm, Terraform by OpenTofu and checkov, the images built twice and started (root, mmdebstrap, buildah; ten minutes)
	@$(PYTHON) -m deploy.local.platform build
	@$(PYTHON) -m deploy.local.platform build --delivery
	@$(PYTHON) -m pytest -m delivery $(ARGS)

check-gateway: .venv/.bootstrapped ## Check what is rendered on the real Envoy Gateway and Envoy AI Gateway (Linux)
	@$(PYTHON) -m deploy.local.platform build
	@$(PYTHON) -m tests.real_gateway

screenshot: $(BOOTSTRAP) browser ## Make the README's picture anew, at the end of the story
	@STORY_PICTURE=deploy/portal/screenshot.png $(PYTHON) -m pytest tests/story/test_story.py -m stack -q

browser: .venv/.bootstrapped
	@deploy/local/bootstrap.sh browser

serving: .venv/.bootstrapped ## Install real vLLM for CPU (6 GB, own environment); `make up` then serves with it
	@$(PYTHON) -m deploy.local.engine.serving

vllm-options: serving ## Write the table of vLLM's options anew, from the parser of the vLLM in .venv-serving
	@.venv-serving/bin/python -m deploy.local.engine.flags > .venv-serving/vllm_options.json
	@mv .venv-serving/vllm_options.json apps/manifests/vllm_options.json

lint: $(BOOTSTRAP) ## Check style, types, import order, migrations, the API's document, and that no two wheels share a path
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/lint-imports
	@$(PYTHON) -m tests.wheels
	@$(PYTHON) -m tests.checks

fmt: .venv/.bootstrapped ## Format the code and fix what can be fixed
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

lock: .venv/.bootstrapped ## Pin every Python dependency with its hashes (requirements.lock; the images' own beside it)
	@.venv/bin/uv pip compile pyproject.toml --extra local --extra test --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --quiet -o requirements.lock
	@.venv/bin/uv pip compile deploy/serving/requirements.in --universal --python-version 3.11 -c requirements.lock \
	  --generate-hashes --no-emit-index-url --quiet -o deploy/serving/requirements.lock
	@.venv/bin/uv pip compile pyproject.toml --universal --python-version 3.11 -c requirements.lock \
	  --generate-hashes --no-emit-index-url --quiet -o deploy/images/requirements.lock

assets: .venv/.bootstrapped ## Build styles, scripts, fonts and icons
	@rm -f static/dist/.built && $(MAKE) --no-print-directory static/dist/.built

# --- what the commands above need; each step says what it does and is skipped where nothing changed ------------------

.venv/.bootstrapped: requirements.lock deploy/local/bootstrap.sh
	@deploy/local/bootstrap.sh python

.venv-litellm/.ready: tests/benchmarks/gate/litellm/requirements.lock | .venv/.bootstrapped
	@deploy/local/bootstrap.sh litellm

.venv-checkov/.ready: deploy/terraform/checking/checkov.lock | .venv/.bootstrapped
	@deploy/local/bootstrap.sh checkov

.venv-clickhouse/.ready: deploy/local/doubles/clickhouse/requirements.lock | .venv/.bootstrapped
	@deploy/local/bootstrap.sh clickhouse

static/dist/.built: package-lock.json $(shell find static templates -type f -not -path 'static/dist/*' 2>/dev/null) | .venv/.bootstrapped
	@deploy/local/bootstrap.sh assets

# `make` lists what there is. Settings are variables: make run LIMIT=50 TICKETS=my.jsonl LLM_BASE_URL=...
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
LIMIT ?= 200
TENANT ?= demo
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help run test test-unit check fmt docs bench chaos chaos-sending eval up down clean lock install

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run ## From nothing to the summary: servers, articles, stages, tickets (TICKETS= KB= LIMIT=200 TENANT=demo)
	@$(BIN)/deskstream run --limit $(LIMIT) --tenant $(TENANT) $(if $(TICKETS),--tickets $(TICKETS)) $(if $(KB),--kb $(KB))

test: .venv/dev check ## Everything that must hold, on real Kafka and PostgreSQL
	$(BIN)/python -m pytest

test-unit: .venv/dev ## The tests that need no server
	$(BIN)/python -m pytest tests/unit

check: .venv/dev ## ruff, mypy --strict, import contracts, generated files up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m app.catalogue --check

fmt: .venv/dev ## Format, and mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/dev ## Write the generated files again: schema snapshots, catalogue of topics and metrics
	$(BIN)/python -m app.catalogue

bench: .venv/bench ## Ours and its peers on the same work (BENCH="--seconds 10 --runs 1 --named-cells" for a short one)
	$(BIN)/python -m tests.bench $(BENCH)
	$(BIN)/python -m tests.bench.rebalance
	$(BIN)/python -m tests.bench.search
	$(BIN)/python -m tests.bench.console

SEED ?= 1
MINUTES ?= 20
chaos: .venv/run ## The proof, long: kills and freezes for MINUTES=20 from SEED=1; adds to infra/docs/generated/chaos.json
	@$(BIN)/deskstream verify --minutes $(MINUTES) --seed $(SEED) --tickets $$(( $(MINUTES) * 360 )) \
	  --results infra/docs/generated/chaos.json

chaos-sending: .venv/run ## The proof of sending: 10,000 replies to a help desk that fails on purpose, kill -9 at each step
	@$(BIN)/python -m app.verify.sending --replies 10000 --kill-share 0.002 --results infra/docs/generated/sending.json

DATA ?= ../shared/data
eval: .venv/run ## Quality and cost measured on real data: writes infra/docs/generated/eval.json (DATA= EVAL="--part cost")
	@$(BIN)/deskstream eval --data $(DATA) $(EVAL)

up: .venv/run ## Start the embedded servers and leave them running
	@$(BIN)/deskstream up

down: .venv/run ## Stop them; data are kept
	@$(BIN)/deskstream down

clean: ## Stop the servers and delete their data, .venv and caches
	@if [ -x $(BIN)/deskstream ]; then $(BIN)/deskstream down; fi
	rm -rf .venv .deskstream .mypy_cache .ruff_cache .pytest_cache .hypothesis

lock: .venv/dev ## Write the locks again from pyproject.toml (needs uv)
	sh infra/lock/compile.sh

install: .venv/run ## Only install

# One environment, three locks, each a superset of the one before.
.venv/python:
	@test -n "$(PYTHON)" || { echo "No python3 found: install Python 3.11 to 3.13"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "$(PYTHON) is not Python 3.11 to 3.13: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "python3 -m venv failed: on Debian, apt-get install python3-venv"; exit 1; }
	@touch $@

.venv/%: infra/lock/%.txt pyproject.toml | .venv/python
	@echo "Installing from $< ..."
	@$(BIN)/pip install --quiet --require-hashes -r $<
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

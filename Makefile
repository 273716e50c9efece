# What README and CI call. Every target sets up what it needs; `make` alone lists them.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
LIBRARY ?=
TRAIN ?=

BIN := .venv/bin
READY := .venv/.ready
LIGHT := .venv/.light
OLD = 'import sys; sys.exit(sys.version_info < (3, 11) and "Sokkuri needs Python 3.11 or later: make setup PYTHON=/path/to/python3.11")'

.DEFAULT_GOAL := help
.PHONY: help setup demo run test test-fast lint format bench browser lock

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(READY) ## create .venv and install everything (nothing to do when up to date)

$(LIGHT): pyproject.toml requirements.lock
	$(PYTHON) -c $(OLD)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable .
	@touch $@

$(READY): $(LIGHT)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[train,dev]'
	@touch $@

demo: $(LIGHT) ## draw twelve made-up shows and serve them, offline, without torch: [HOST=] [PORT=]
	$(BIN)/sokkuri demo --host $(HOST) --port $(PORT)

run: $(READY) ## train on LIBRARY, index it and serve it: make run LIBRARY=folder [TRAIN="--weights none"] [HOST=] [PORT=]
	@test -n "$(LIBRARY)" || { echo 'Say which pictures: make run LIBRARY=folder (README, "Your own pictures")' >&2; exit 2; }
	$(BIN)/sokkuri train "$(LIBRARY)" $(TRAIN)
	$(BIN)/sokkuri reindex "$(LIBRARY)"
	$(BIN)/sokkuri serve --host $(HOST) --port $(PORT)

test: lint browser ## everything that CI runs: format, lint, types, tests, browser
	$(BIN)/pytest -n 2

test-fast: $(READY) ## what a change is tried with: no browser, no full-size model, no killed servers
	$(BIN)/pytest -n 2 -m 'not browser and not big and not slow'

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY) ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## the measured figures (see bench/)
	$(BIN)/sokkuri bench imports
	$(BIN)/sokkuri bench serve

# The browser tests drive Debian's Chromium. Where it cannot be installed they are skipped, and say how to get it.
browser: $(READY)
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; }; } || true

lock: $(READY) ## resolve requirements.lock again from pyproject.toml (no registry address is written)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --no-header --no-annotate --all-extras --upgrade \
	  pyproject.toml --output-file requirements.lock

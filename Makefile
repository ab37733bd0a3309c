# `make demo` shows the whole thing; `make test` proves it. Every target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The tests start hundreds of processes: each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

PUBLISHED := tests/published/node_modules/.installed

.PHONY: help setup demo test check bench lock clean

help:
	@echo "make demo   start the emulator, check both API versions, run a short load, leave a report"
	@echo "make test   run Soundstage's own tests"
	@echo "make check  ruff and mypy"
	@echo "make bench  measure speed, memory and timing error beside references"
	@echo "make lock   refresh requirements.lock from pyproject.toml"

setup: $(STAMP)

# The lock carries versions and hashes, so an install is the same everywhere or fails.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Soundstage needs Python 3.11 or newer: make setup PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || { echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing locked dependencies (a minute or so, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Schemas and rules that others publish, for tests of reports; those tests skip without npm.
$(PUBLISHED): tests/published/package-lock.json
	@if command -v npm >/dev/null; then \
		echo "installing published schemas"; npm ci --silent --prefix tests/published && touch $@; \
	else echo "no npm: tests against published schemas will be skipped"; fi

demo: setup
	@$(BIN)/soundstage demo

test: setup $(PUBLISHED)
	@$(BIN)/python -m pytest -n auto -m "not timing"
	@$(BIN)/python -m pytest -m timing

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: setup
	@$(BIN)/python -m benchmarks

lock: setup
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --quiet --upgrade -o requirements.lock

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

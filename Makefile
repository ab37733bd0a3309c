# `make demo` shows the whole thing; `make test` proves it. Every target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The tests start hundreds of processes: each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

PUBLISHED := tests/published/node_modules/.installed

.PHONY: help setup demo test proofs long delays check docs blocks wheel bench lock clean

help:
	@echo "make demo   start the emulator, check both API versions, run a short load, leave a report"
	@echo "make test   run Soundstage's own tests"
	@echo "make proofs run those that take long: whole commands, big matrices, delays"
	@echo "make check  ruff and mypy"
	@echo "make docs   the documentation as a site, in docs/_build/html"
	@echo "make wheel  what people install, tried in a new environment (PYTHON=python3.13 SUITE=yes)"
	@echo "make blocks count the blocks of the pages that run, and list those that do not"
	@echo "make bench  measure speed, memory and timing error beside references"
	@echo "make lock   refresh both lock files from pyproject.toml"

setup: $(STAMP)

# uv, where there is one, takes a third of the time; what it cannot get is left to pip, which says why.
install = uv pip install --quiet --python $(BIN)/python --compile-bytecode $(1) 2>/dev/null \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check $(1)

# The lock carries versions and hashes, so an install is the same everywhere or fails. Users install
# requirements.lock, which holds none of the tools that we develop with.
$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Soundstage needs Python 3.11 or newer: make setup PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || { echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing locked dependencies (a minute or so, once)"
	@$(call install,--require-hashes -r requirements-dev.lock)
	@$(call install,--no-deps --no-build-isolation -e .)
	@touch $@

# Schemas and rules that others publish, for tests of reports; those tests skip without npm.
$(PUBLISHED): tests/published/package-lock.json
	@if command -v npm >/dev/null; then \
		echo "installing published schemas"; npm ci --silent --prefix tests/published && touch $@; \
	else echo "no npm: tests against published schemas will be skipped"; fi

demo: setup
	@$(BIN)/soundstage demo

# More than there are cores: much of it waits for processes and sockets. Whole commands need more CPU.
CORES := $(shell getconf _NPROCESSORS_ONLN)
WORKERS := $(shell echo $$(( $(CORES) + 2 )))
COMMANDS := $(shell echo $$(( $(CORES) + 1 )))

# $(call tests,MARKS,HOW,FILES), and then $(call again,MARKS,FILES). A run beside others can be void
# for want of CPU, and says so: what fails in the crowd is named, and tried once more alone. What
# fails alone fails.
FAILED := .pytest_cache/failed
tests = mkdir -p $(FAILED); rm -f "$(FAILED)/$(1)"; \
	$(NICE) $(BIN)/python -m pytest $(2) -o "cache_dir=.pytest_cache/$(1)" -m "$(1)" $(3) \
	|| { code=$$?; [ $$code -eq 1 ] || exit $$code; touch "$(FAILED)/$(1)"; }
again = [ ! -e "$(FAILED)/$(1)" ] || { echo "once more, alone, what failed:"; \
	$(BIN)/python -m pytest -o "cache_dir=.pytest_cache/$(1)" -m "$(1)" --last-failed $(2); }

QUICK := not timing and not proof
LONG := proof and not timing
DELAYS := timing
# So that workers do not import the others.
MARKED = $$(grep -rlE 'mark\.(proof|timing)' tests --include='*.py')

test: setup $(PUBLISHED)
	@$(call tests,$(QUICK),-n $(WORKERS) --dist worksteal)
	@$(call again,$(QUICK))

# What takes seconds of CPU a test, and beside it what measures delays: that takes a third of a core,
# waits for the rest, and goes first (`nice`). What it says comes when it has ended.
proofs: setup $(PUBLISHED)
	@$(MAKE) --no-print-directory --jobs 2 long delays
	@$(call again,$(LONG),$(MARKED))
	@$(call again,$(DELAYS),$(MARKED))

long: NICE := nice -n 19
long:
	@$(call tests,$(LONG),-n $(COMMANDS) --dist worksteal,$(MARKED))

delays:
	@mkdir -p $(FAILED); exec 3>&1 >$(FAILED)/said; trap 'cat $(FAILED)/said >&3' EXIT; \
	$(call tests,$(DELAYS),-n $(CORES) --dist worksteal,$(MARKED))

# The package lies in four folders here, and in one where it is installed: types are checked there.
TYPED := build/typed/soundstage

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@rm -rf build/typed && mkdir -p $(TYPED)
	@ln -s $(addprefix $(CURDIR)/,$(wildcard src/soundstage/*) contracts loadtests reports) $(TYPED)
	@$(BIN)/mypy

# Warnings are errors: a link that leads nowhere, a page that is in no list. Built and read in a
# browser by tests/docs/test_site.py, a proof.
docs: setup
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -d docs/_build/doctrees docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# Needs nothing of $(VENV): what it tries is what people would install.
wheel:
	@SUITE=$(SUITE) .ci/wheel $(PYTHON)

blocks: setup
	@$(BIN)/python tests/docs/page_blocks.py

bench: setup
	@$(BIN)/python -m benchmarks

COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --quiet

# The users' lock takes its versions from the developers', so that what is tested is what is
# installed. Both hold what builds the package: it is built without isolation.
lock: setup
	@$(BIN)/python -m pip install --quiet uv
	@$(COMPILE) --extra dev --upgrade -o requirements-dev.lock
	@$(BIN)/python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(COMPILE) - --upgrade -c requirements-dev.lock -o requirements.lock

clean:
	rm -rf $(VENV) build dist docs/_build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

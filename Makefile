# One door for people and for machines: every target sets up what it needs first.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
RUN_ARGUMENTS ?=
FUZZ_SECONDS ?= 600

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long fuzz mutants lint format clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Build .venv with pinned dependencies; does nothing when it is up to date

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "potp2p needs Python 3.11 or newer, and no python3 is on PATH" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "potp2p needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=/path/to/python3.11 setup" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: setup  ## Run a network of 4 validators and 3 miners that trains a model on this machine
	@$(BIN)/potp2p devnet --example digits --validators 4 --miners 3 --out out/digits $(RUN_ARGUMENTS)

test: lint  ## Lint, check types and contracts, and run the tests
	$(BIN)/python -m pytest $(RUN_ARGUMENTS)

test-long: setup  ## Run the tests that take minutes
	$(BIN)/python -m pytest -m long $(RUN_ARGUMENTS)

fuzz: setup  ## Fuzz every decoder of peers', disk and operators' bytes for FUZZ_SECONDS (600)
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(RUN_ARGUMENTS)

mutants: setup  ## Plant bugs in copies of the consensus code and show which tests catch them
	@$(BIN)/python -m tests.mutants $(RUN_ARGUMENTS)

lint: setup  ## Lint, check formatting, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## Format the sources
	$(BIN)/ruff check --fix --quiet
	$(BIN)/ruff format

clean:  ## Remove what can be built again, .venv included
	rm -rf $(VENV) build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything a contributor runs. `make help` lists it; nothing here needs root, Docker or a running service.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
# Of tests; one more than two cores: a quarter of their time is waiting for what is killed, frozen or due later.
PROCESSES ?= 3

$(STAMP): requirements/dev.txt pyproject.toml
	@set -e; \
	for candidate in python3.13 python3.12 python3.11 python3; do \
	    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$${python:-}" ]; then \
	    echo "Syncline needs Python 3.11 or newer with its venv module (Debian: apt install python3-venv)." >&2; exit 1; \
	fi; \
	[ -x $(BIN)/python ] || "$$python" -m venv $(VENV); \
	echo "Installing the pinned requirements into $(VENV) …"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: install demo test test-unit check format bench matrix mutants chaos damage model lock clean help

install: $(STAMP) ## Create .venv with the pinned requirements

demo: $(STAMP) ## Play the reference application on private engines (make demo ARGS=split|migrate, ARGS="--help")
	@$(BIN)/syncline demo --app examples/$(if $(filter split,$(ARGS)),backoffice,$(if $(filter migrate,$(ARGS)),taskboard,studybuddy)) $(ARGS)

# Commands under test are processes: without kept bytecode each one compiles all of Syncline before it begins.
unexport PYTHONDONTWRITEBYTECODE

# The tests use the MongoDB engine, which is under the SSPL and never bundled: it is fetched on first use.
test: export SYNCLINE_ACCEPT_SSPL = 1
test: $(STAMP) ## Run all tests (make test ARGS="-k fence")
	@echo "SYNCLINE_ACCEPT_SSPL=1: the tests fetch and run the MongoDB engine under its licence, the SSPL."
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

test-unit: $(STAMP) ## Run the tests that need no database engine
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal -m "not engines" tests/unit $(ARGS)

check: $(STAMP) ## Formatting, lint, types, layers, mutants that fit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.mutants --check

format: $(STAMP) ## Format and apply the safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench matrix mutants chaos damage: export SYNCLINE_ACCEPT_SSPL ?= 1
bench: $(STAMP) ## Measure (ARGS="--against COMMIT": beside another commit); the MongoDB engine is under the SSPL
	@echo "SYNCLINE_ACCEPT_SSPL=$$SYNCLINE_ACCEPT_SSPL: this may fetch and run the MongoDB engine under its licence, the SSPL." >&2
	@$(BIN)/python -m benchmarks $(ARGS)

matrix: $(STAMP) ## Run the tests that use PostgreSQL on 14 to 18, those of Django on 5.2 and 6 (ARGS="--only 14"; hours on two cores)
	@echo "SYNCLINE_ACCEPT_SSPL=$$SYNCLINE_ACCEPT_SSPL: this may fetch and run the MongoDB engine under its licence, the SSPL."
	@nice $(BIN)/python -m tests.versions $(ARGS)

mutants: $(STAMP) ## Take out each mechanism and see that a test fails (ARGS="--only NAME")
	@echo "SYNCLINE_ACCEPT_SSPL=$$SYNCLINE_ACCEPT_SSPL: this may fetch and run the MongoDB engine under its licence, the SSPL."
	@$(BIN)/python -m tests.mutants $(ARGS)

chaos: $(STAMP) ## Kill everything at random, for as long as you like (ARGS)
	@echo "SYNCLINE_ACCEPT_SSPL=$$SYNCLINE_ACCEPT_SSPL: this may fetch and run the MongoDB engine under its licence, the SSPL."
	@$(BIN)/python -m tests.chaos $(patsubst migrate,--migrate,$(patsubst split,--split,$(ARGS)))

damage: $(STAMP) ## Damage the target by hand: found exactly, and mended (ARGS="--rows 1000000"; ARGS=migrate: documents and rows)
	@echo "SYNCLINE_ACCEPT_SSPL=$$SYNCLINE_ACCEPT_SSPL: this may fetch and run the MongoDB engine under its licence, the SSPL."
	@$(BIN)/python -m tests.chaos --damage $(patsubst migrate,--migrate,$(ARGS))

model: $(STAMP) ## Check the design's model exhaustively
	@$(BIN)/python -m tests.model $(ARGS)

lock: $(STAMP) ## Pin the newest allowed requirements again (ARGS="--upgrade")
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --no-emit-find-links --all-extras --group dev $(ARGS) \
	    pyproject.toml requirements/build.in -o requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --no-emit-find-links --extra sqlalchemy --extra web --extra metrics --extra tracing --extra redis \
	    --group studybuddy --constraint requirements/dev.txt pyproject.toml requirements/build.in -o requirements/app.txt
	@if grep -nE '://|^--(extra-)?index|^--find-links' requirements/dev.txt requirements/app.txt; \
	    then echo "requirements must not name a host" >&2; exit 1; fi

clean: ## Remove what the targets above created in this folder
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

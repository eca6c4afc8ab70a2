# Every target sets itself up: it needs Python 3.11 or newer and pip, nothing else. `make` alone lists them.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Test processes side by side: more than cores, because a third of the suites wait for the servers they start.
JOBS ?= 3
# Seeds of `make simulate`; `make test` runs a couple of hundred.
SEEDS ?= 5000
# How long `make soak` breaks things.
SECONDS ?= 60
# More arguments for the tool behind a target: `make test ARGS="tests/cli -k exit"`.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint lint-style lint-format lint-types lint-spelling types format bench proto docs pins transcripts simulate mutants soak cluster compat wheel

help: ## List the targets, a sentence each.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with everything that developing needs; the other targets do it by themselves.

# A system Python without ensurepip (Debian's) still has pip: let that one put pip into the new environment.
# The exact versions of pins/ make today's verdict everybody's; ranges would let a newer checker decide otherwise tomorrow.
$(STAMP): pyproject.toml pins/development.txt
	@echo "Setting up $(VENV), once; this takes about a minute."
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found. Install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 \
		|| $(PYTHON) -m venv --clear $(VENV) 2>/dev/null \
		|| { $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --editable . --group dev --constraint pins/development.txt
	@touch $@

demo: $(STAMP) ## Start an engine and workers, run the sticky, priority and label workflows, check the promises.
	$(BIN)/limpet demo $(ARGS)

test: $(STAMP) ## Run every test of the short tier; minutes.
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow" $(ARGS)

lint: lint-style lint-format lint-types lint-spelling ## Check style, formatting, types and spelling.

lint-style: $(STAMP)
	$(BIN)/ruff check .

lint-format: $(STAMP)
	$(BIN)/ruff format --check .

lint-types: $(STAMP)
	$(BIN)/mypy

lint-spelling: $(STAMP)
	$(BIN)/codespell

types: $(STAMP) ## Check with pyright that every symbol of every room has a type; half a minute.
	$(BIN)/python -m pytest tests/house/test_types.py $(ARGS)

format: $(STAMP) ## Format the code and mend what the linter can mend by itself.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Measure speed and memory on this machine, some six minutes; writes bench/results and the table.
	$(BIN)/python -m bench --run $(ARGS)

proto: $(STAMP) ## Generate src/limpet/contracts from proto/.
	$(BIN)/python proto/generate.py

docs: $(STAMP) ## Draw the pages that are made from code: limits, command line, lifecycle.
	$(BIN)/python docs/draw.py

pins: $(STAMP) ## Raise the pinned versions of the development environment; read the difference before you commit it.
	$(BIN)/python pins/renew.py

transcripts: $(STAMP) ## Write the core's transcripts anew; read the difference before you commit it.
	$(BIN)/python -m tests.core.transcript --rewrite

simulate: $(STAMP) ## Run the simulation with many more seeds than `make test` does.
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

mutants: $(STAMP) ## Plant known bugs one by one; the simulation must find each.
	$(BIN)/python -m tests.simulation.mutants $(ARGS)

soak: $(STAMP) ## Real servers, workers and clients under random kills for SECONDS; the auditor must find nothing lost.
	$(BIN)/python -m tests.soak --seconds $(SECONDS) $(ARGS)

cluster: $(STAMP) ## Two servers on one PostgreSQL, one named fault after another; minutes, root for the full disk.
	$(BIN)/python -m pytest tests/cluster $(ARGS)

compat: $(STAMP) ## Run the unchanged official clients against the engine over both stores, ten idle minutes included.
	$(BIN)/python -m pytest -m compat $(ARGS)

wheel: $(STAMP) ## Build the wheel, install it into an empty environment, play the demo there.
	$(BIN)/python -m pytest tests/house/test_wheel.py $(ARGS)

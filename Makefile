# CI runs `make test`, and `make unit` on a second Python.
COHORT ?= config/cohorts/demo
VENV ?= .venv
CORES ?= all
PYTEST ?= -n 2 --dist loadfile --no-loadscope-reorder --durations=20 # tests of a file share finished runs
PYTHON := $(shell sh envs/find_python.sh)
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run cohorts test unit science bench bench-large lint lock clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

run: $(VENV)/cpu.done ## run the workflow on COHORT (the demo unless given) and print where its report lies
	$(BIN)/snakemake --cores $(CORES) --config cohort=$(COHORT)

TRIALS := pancreatic_nk gastric_rak gastric_conversion
cohorts: $(VENV)/cpu.done ## run the three trials under config/cohorts (simulated) and print where their reports lie
	for name in $(TRIALS); do $(BIN)/snakemake --cores $(CORES) --config cohort=config/cohorts/$$name || exit 1; done
	@for name in $(TRIALS); do echo "Report of $$name: $(CURDIR)/results/$$name/report.html"; done

test: lint ## everything CI checks: lint, types, tests
	$(BIN)/python -m pytest $(PYTEST)

unit: $(VENV)/dev.done ## the unit and fault tests alone
	$(BIN)/python -m pytest $(PYTEST) tests/unit tests/faults tests/workflow/test_one_name.py

science: $(VENV)/dev.done ## simulations and published values in full: a table, and results/science.json
	$(BIN)/python -m pytest $(PYTEST) tests/science --science-full --science-json=results/science.json

BENCH := benchmarks/results
bench: $(VENV)/cpu.done ## time the heavy steps beside plain scanpy and brisc, 20,000 and 100,000 cells: JSON, figures, README
	$(BIN)/python benchmarks/time_core.py $(BENCH) 20000 100000
	$(BIN)/python benchmarks/show_core.py $(BENCH) README.md

bench-large: $(VENV)/cpu.done ## the same for 300,000 and 1,000,000 cells; after `make bench`, on 40 GB of free disk
	$(BIN)/python benchmarks/time_core.py $(BENCH) 300000 1000000
	$(BIN)/python benchmarks/show_core.py $(BENCH) README.md

lint: $(VENV)/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

lock: $(VENV)/dev.done ## resolve envs/*.in anew and rewrite everything that pins versions
	$(BIN)/python envs/lock.py

clean: ## remove environments and everything a run wrote
	rm -rf .venv* .snakemake logs results/* .pytest_cache .mypy_cache .ruff_cache

# The lock is complete, so nothing is resolved and every file is checked against its hash. uv is much the faster;
# where it cannot be had or finds no index (it does not read pip.conf), pip does the same.
INSTALL = --no-deps --require-hashes --requirement
$(VENV)/%.done: envs/%.txt envs/uv.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found on PATH"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(INSTALL) envs/uv.txt 2>$(VENV)/install.log \
	  && $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode $(INSTALL) $< 2>>$(VENV)/install.log \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(INSTALL) $<
	@touch $@

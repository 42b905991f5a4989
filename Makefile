# `make repro` and `make test` are all one needs; each makes the virtual environment first if it has to.
# Others: `make help`. Another environment: VENV=folder. More arguments: make test ARGS="tests/data -x".

SHELL := /bin/bash
VENV ?= .venv
ARGS ?=
# Tests of one file stay together, since they share what is made once for them.
AT_ONCE ?= -n logical --dist loadfile

PYTHON_IN_VENV = "$(VENV)/bin/python"
# DVC starts the stages with `python`: that must be the environment's.
WITH_VENV_FIRST = PATH="$$(cd "$(VENV)/bin" && pwd):$$PATH"

# One thread per process: the stacked models are small, and two OpenMP threads make them slower.
export OMP_NUM_THREADS ?= 1
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := 1
export MPLBACKEND := Agg

.DEFAULT_GOAL := help
.PHONY: help setup repro test bench lint format ui clean

help: ## what can be made
	@echo "ftl: federated transfer learning on the telemetry of computing fleets"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name what; do \
		printf '%-14s %s\n' "$$name" "$$what"; done

setup: ## the virtual environment in .venv (every other target does this first)
	@scripts/setup.sh "$(VENV)"

repro: setup ## run the pipeline: whatever changed, and nothing else (ARGS go to dvc repro)
	@$(PYTHON_IN_VENV) -m ftl.interruption
	@$(WITH_VENV_FIRST) "$(VENV)/bin/dvc" repro $(ARGS)

test: setup ## run all tests, as many at once as there are cores (ARGS go to pytest; AT_ONCE= one after the other)
	$(PYTHON_IN_VENV) -m pytest $(AT_ONCE) $(ARGS)

bench: setup ## measure the speed of training and print a table
	$(PYTHON_IN_VENV) -m pytest tests/benchmarks -s $(ARGS)

lint: setup ## ruff, mypy and the import contracts
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m mypy ftl pipelines
	"$(VENV)/bin/lint-imports"

format: setup ## let ruff put the code in order
	$(PYTHON_IN_VENV) -m ruff check --fix .
	$(PYTHON_IN_VENV) -m ruff format .

ui: setup ## the MLflow UI on this machine, with every run (ARGS go to ftl ui)
	"$(VENV)/bin/ftl" ui $(ARGS)

clean: ## remove what tools cached; results, DVC's cache and .venv stay
	rm -rf build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find ftl pipelines tests -name __pycache__ -type d -prune -exec rm -rf {} +

# make demo and make test set a fresh machine up by themselves; all they need is Python 3.11 or newer.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
comma := ,
EXTRAS := demo,explain,export,serve,sweep,wandb
TASK ?= image_classification

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format golden fuzz chaos bench audit release

help: ## show these lines
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-9s %s\n", $$1, $$2}'

install: .venv/installed ## fill .venv with tested versions

.venv/installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a minute or two, the first time only) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt --editable '.[$(EXTRAS),dev]'
	@touch $@

demo: install ## train on bundled data and show the score beside its baselines; TASK=NAME picks the task
	@$(BIN)/python train.py task=$(TASK)

test: lint ## check style and types, run all tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal --durations 15

lint: install ## check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

golden: install ## compare the first steps of all tasks with tests/golden, strictly (for one machine)
	@$(BIN)/python -m tests.golden.record

fuzz: install ## try two thousand hostile files, command lines, models and requests on each reader
	@FUZZ=2000 $(BIN)/python -m pytest -n 2 tests/data/test_fuzz.py tests/config/test_fuzz.py tests/inference/test_fuzz.py

chaos: install ## kill a hundred runs at any moment, and compare how they end after resuming
	@CHAOS=100 $(BIN)/python -m pytest -n 2 tests/chaos

bench: install ## time a block beside other libraries, and compare with docs/performance.json (two minutes)
	@$(BIN)/python scripts/benchmark.py quick --threads 1

audit: install ## look up known vulnerabilities of the tested versions (needs the network)
	@$(BIN)/uv tool run pip-audit --disable-pip --no-deps --requirement constraints.txt

release: install ## build the wheel, and beside it the tested versions with their hashes
	@$(BIN)/uv build --quiet --wheel --out-dir dist
	@$(BIN)/uv pip compile --quiet pyproject.toml --extra $(subst $(comma), --extra ,$(EXTRAS)) --constraint constraints.txt --generate-hashes \
		--no-header --output-file dist/requirements.txt
	@echo "pip install --require-hashes -r dist/requirements.txt && pip install --no-deps dist/*.whl"

format: install ## fix style
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

# make demo   train on the built-in glyphs, see tables and pictures      make test   the whole suite
# make venv   .venv with runtime and test packages                       make lint   ruff, lint and format
# make bench  the benchmark table                                        make test-fast   the units alone
# make types  pyright, rules of pyproject.toml                           make compare-demo  four losses by one protocol
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_LOGS ?= logs
THREADS ?= 2

.PHONY: demo compare-demo test test-fast venv lint types bench clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.tests: requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	touch $@

venv: $(VENV)/.tests

demo: $(VENV)/.runtime
	$(BIN)/python code/train.py --dataset glyphs --eval-first --wandb disabled --run-name demo --log-dir $(DEMO_LOGS)
	@echo "Next: source $(VENV)/bin/activate && python code/train.py --dataset folder --data-dir PHOTOS"

compare-demo: $(VENV)/.tests
	$(BIN)/python code/compare.py plans/glyphs.toml --out $(DEMO_LOGS)/compare/glyphs --jobs $(THREADS)

test: venv
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest

test-fast: venv
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -m "not slow"

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/basedpyright --pythonpath $(BIN)/python

bench: venv
	$(BIN)/python scripts/benchmark.py

clean:
	rm -rf $(VENV)

# Everything a person or CI does in a clone. Each target installs what it needs first; `make help` lists them.

PYTHON ?= python3# the interpreter that the environment is made from; used once
TORCH := $(shell sed -n 's/^torch==//p' requirements.lock)
BIN := .venv/bin
PY := $(BIN)/python
INSTALLED := .venv/.installed
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test check docs-config lock

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile

install: $(INSTALLED) ## make .venv with the locked versions; nothing to do while requirements.lock and pyproject.toml stand

# The stamp is written last: an installation that was cut off is taken up again. DS_BUILD_OPS=0: DeepSpeed
# compiles its kernels on first use, if ever.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "sea needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name another: make $(or $(MAKECMDGOALS),install) PYTHON=python3.11" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv .venv
	DS_BUILD_OPS=0 $(PY) -m pip install --quiet -r requirements.lock
	$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED) ## the method end to end on the embedded model, offline: align, measure, report; run again after a kill, it continues
	PYTHON=$(PY) bash recipes/micro-llava/run.sh

test: $(INSTALLED) ## the test suite; e.g. make test PYTEST_ARGS="tests/test_config.py -x"
	$(PY) -m pytest -n 2 $(PYTEST_ARGS)

check: $(INSTALLED) ## formatting, lint and types; pre-commit and CI run this same target
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

docs-config: $(INSTALLED) ## write docs/config/*.yaml anew after a default has changed
	$(PY) docs/build_config.py

lock: ## renew requirements.lock: the newest versions that pyproject.toml allows, with torch as it is
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	DS_BUILD_OPS=0 .venv-lock/bin/python -m pip install --quiet torch==$(TORCH) -e ".[dev]"
	.venv-lock/bin/python -m pip check
	{ sed -n '/^#/p' requirements.lock; .venv-lock/bin/python -m pip freeze --all --exclude pip --exclude sea-align | sed 's/+cpu//'; } > requirements.lock.new
	mv requirements.lock.new requirements.lock
	rm -rf .venv-lock

# make quickstart   the main job on the bundled digits (ARGS="--dataset mnist")
# make test         every test                          (ARGS="-k shrink")
# make check        linter, types, import floors
# make clean        removes the virtual environment and the quickstart's files
#
# The first use installs into .venv; later ones do so again only after
# pyproject.toml or constraints.txt changed.

VENV ?= .venv
JOBS ?= 2
ARGS ?=
BIN := $(VENV)/bin
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help quickstart test check clean

help:
	@sed -n 's/^# //p' Makefile | head -4

quickstart: $(VENV)/.installed-datasets
	$(BIN)/keras-kd quickstart $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) quickstart

$(VENV)/.installed-%: pyproject.toml constraints.txt $(VENV)/.made
	@echo "Installing keras-kd[$*] into $(VENV): a few minutes the first time."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e '.[$*]'
	@touch $@

$(VENV)/.made:
	@$(if $(PYTHON),,echo "keras-kd needs Python 3.11, 3.12 or 3.13, and none \
	is on PATH. Name it: make PYTHON=/path/to/python3.11" >&2; exit 1)
	@$(PYTHON) -c '$(SUPPORTED)' || { echo "keras-kd needs Python 3.11, 3.12 \
	or 3.13. Received: PYTHON=$(PYTHON). Name another: \
	make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

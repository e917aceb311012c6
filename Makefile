# make quickstart   the main job on the bundled digits (ARGS="--data mnist")
# make test         what guards behaviour, in minutes  (ARGS="-k shrink")
# make test-slow    the rest: long matrices, kill storms, clusters, examples
# make test-all     both
# make test-beam    what needs Apache Beam, in an environment of its own
# make check        linter, types, import floors
# make clean        removes the virtual environments and the quickstart's files
#
# The first use installs into .venv; later ones do so again only after
# pyproject.toml or constraints.txt changed. EXTRAS=ci installs every extra, so
# that no test is skipped for want of a package.

VENV ?= .venv
EXTRAS ?= dev
JOBS ?= 2
ARGS ?=
BIN := $(VENV)/bin
BEAM := $(VENV)-beam
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-slow test-all test-beam check clean
.PRECIOUS: %/.made

help:
	@sed -n 's/^# //p' Makefile | grep '^make '

quickstart: $(VENV)/.installed-datasets,report
	$(BIN)/keras-kd quickstart $(ARGS)

test: $(VENV)/.installed-$(EXTRAS)
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(VENV)/.installed-$(EXTRAS)
	KERAS_KD_TRACED=1 $(PYTEST) -m "slow or eager" $(ARGS)

test-all: $(VENV)/.installed-$(EXTRAS)
	KERAS_KD_TRACED=1 $(PYTEST) $(ARGS)

test-beam: $(BEAM)/.installed-beam
	$(BEAM)/bin/python -m pytest $(ARGS) tests/teachers/cache/test_beam.py

check: $(VENV)/.installed-$(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) $(BEAM) quickstart

$(VENV)/.installed-%: pyproject.toml constraints.txt $(VENV)/.made
	@echo "Installing keras-kd[$*] into $(VENV): a few minutes the first time."
	$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e '.[$*]'
	@touch $@

# The first version of a package that is named counts: Beam's.
$(BEAM)/.installed-beam: pyproject.toml constraints-beam.txt constraints.txt \
		$(BEAM)/.made
	@echo "Installing keras-kd[beam] into $(BEAM): a few minutes the first time."
	awk -F== '!seen[$$1]++' constraints-beam.txt constraints.txt \
		> $(BEAM)/constraints.txt
	$(BEAM)/bin/python $(PIP_INSTALL) -c $(BEAM)/constraints.txt \
		-e '.[beam]' pytest
	@touch $@

%/.made:
	@$(if $(PYTHON),,echo "keras-kd needs Python 3.11, 3.12 or 3.13, and none \
	is on PATH. Name it: make PYTHON=/path/to/python3.11" >&2; exit 1)
	@$(PYTHON) -c '$(SUPPORTED)' || { echo "keras-kd needs Python 3.11, 3.12 \
	or 3.13. Received: PYTHON=$(PYTHON). Name another: \
	make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $*
	@touch $@

# Two commands: `make demo` and `make test`. Both make the virtual environment if it is missing.
#
#   PYTHON=python3.12   the Python to use; a torch that it has is used too
#   VENV=.venv          where the environment is made
#   TORCH=torch==2.13.0 what pip installs if PYTHON has no torch
#   JOBS=2              test processes

# The first Python that is there and not too old or new.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.10 python3.9; do \
	$$python -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && echo $$python && break; done)
VENV ?= .venv
TORCH ?= torch==2.13.0
JOBS ?= 2

RUN := $(VENV)/bin/python
# The script writes it last, so an installation that was killed has none and is made anew.
STAMP := $(VENV)/.mmseg_robust_complete

.DELETE_ON_ERROR:
.PHONY: help demo test lint clean

help:
	@echo "make demo   train and measure on synthetic scenes: no data and no GPU needed"
	@echo "make test   run the tests"
	@echo "make lint   check style and types"
	@echo "make clean  remove what these made, .venv included"

$(STAMP): setup.py pyproject.toml scripts/make_venv.py $(wildcard requirements/*.txt)
	@test -n "$(PYTHON)" || { echo "error: no Python 3.9 to 3.13 found. Set PYTHON=..." >&2; exit 2; }
	@$(PYTHON) scripts/make_venv.py $(VENV) --torch "$(TORCH)"

demo: $(STAMP)
	$(RUN) tools/demo.py

# One thread a process: the processes share the cores. Each takes a half of the tests in their order,
# so that what a module prepares is prepared once, and at the end some of the other's.
test: $(STAMP)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(RUN) -m pytest -n $(JOBS) --dist worksteal tests

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean:
	rm -rf .venv build dist *.egg-info work_dirs/demo .pytest_cache .mypy_cache .ruff_cache

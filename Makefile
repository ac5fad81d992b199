# make demo      the whole loop on this machine, with sample notes and a real Label Studio
# make test      the tests
# make check     format, lint, types, layers
# make slow      the tests that need the real encoder, several processes or minutes
# make servers   the tests of the database and the queue on PostgreSQL and Redis servers of their own
# make ray       the tests that kill nodes of a Ray cluster of their own
# make e2e       the tests that need a real Label Studio and a browser

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest

.PHONY: demo test check e2e slow servers ray install clean

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,offline]'
	@touch $(READY)

demo: install
	$(BIN)/annotator demo

test: install
	$(PYTEST) -q -n 2

slow: install
	$(PYTEST) -q -n 2 --dist worksteal --timeout 600 -m 'slow and not gpu and not postgres and not redis'

servers: install
	$(PYTEST) -q -n 2 --dist worksteal --timeout 600 -m '(postgres or redis) and not ray'

ray: install
	$(PYTEST) -q -m 'ray and not postgres'

# A file a process, since its tests share a Label Studio; those in integration take longest and go first.
e2e: install
	$(PYTEST) -q -n 2 --dist loadfile --no-loadscope-reorder --timeout 600 -m 'e2e' tests/integration tests/e2e

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist .annotator-demo ci-artifacts

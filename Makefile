# make demo      the whole loop on this machine, with sample notes and a real Label Studio
# make test      the tests that need nothing but the environment, in three minutes
# make check     format, lint, types, layers
# make full      these and the tests that need minutes, the real encoder, PostgreSQL, Redis, nginx
# make e2e       the tests that need a real Label Studio and a browser; the demo is one of them
# make nightly   what is not worth it at every change: nodes of Ray killed, every test of a database on
#                PostgreSQL, a story of kills there, the wheel from nothing, a killed push

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest -q $(PYTEST_OPTIONS)
SPREAD := -n 2 --dist worksteal

.PHONY: demo test check e2e full nightly install clean

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
	$(PYTEST) $(SPREAD)

full: install
	$(PYTEST) $(SPREAD) --timeout 600 -m 'not e2e and not gpu and not nightly'

# A file a process, since its tests share a Label Studio; those that take longest go first.
e2e: install
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder --timeout 600 -m 'e2e and not nightly' tests/e2e

nightly: install
	$(PYTEST) $(SPREAD) --timeout 600 -m 'nightly and not ray and not e2e'
	ANNOTATOR_TEST_NIGHT=1 $(PYTEST) $(SPREAD) --timeout 600 tests/property
	$(PYTEST) -m 'nightly and (ray or e2e)'

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist .annotator-demo ci-artifacts

# Each target does all of its own set-up: `make demo` or `make test` on a fresh checkout is enough.
# .venv holds what a user gets (base install), .venv-test what a developer needs, .venv-legacy the
# SDK of gemini-legacy, which fits in neither. Each is made anew when pyproject.toml or its
# constraints change; none is ever emptied, since a `.venv` that was here before may be yours.
PYTHON ?= python3
PIP_INSTALL = -m pip install -qq --disable-pip-version-check
T = .venv-test/bin
# Two workers: the suite decodes video, and the machines it must run on have two cores.
PYTEST_FLAGS ?= -n 2 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-legacy lint types docs lock refresh bench wheel python

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: .venv/.ready ## Install the base package into .venv and analyse made-up footage
	.venv/bin/mmcrime demo

test: .venv-test/.ready test-legacy ## Run every test
	$(T)/python -m pytest $(PYTEST_FLAGS)

# Elsewhere these are not collected, and pytest fails where it finds none to run.
test-legacy: .venv-legacy/.ready ## Run the tests of gemini-legacy, in an environment of its own
	.venv-legacy/bin/python -m pytest -q tests/providers/test_provider_gemini_legacy*.py

lint: .venv-test/.ready ## Check style, format and which room imports which
	$(T)/ruff check .
	$(T)/ruff format --check .
	$(T)/lint-imports

types: .venv-test/.ready ## Check types
	$(T)/mypy
	$(T)/mypy tools benchmarks examples/*.py examples/plugin/src tests/conftest.py

docs: .venv-test/.ready ## Build the documentation into site/; a warning is an error
	$(T)/python tools/docs.py --check
	$(T)/python tools/figures.py --check
	NO_MKDOCS_2_WARNING=1 $(T)/mkdocs build --strict --quiet
	@echo "Read it: $(T)/python -m http.server --bind 127.0.0.1 --directory site"

bench: .venv-test/.ready ## Measure the figures of the README anew (BENCH="import_time ..." for some)
	$(T)/python tools/figures.py --measure $(BENCH)

wheel: .venv-test/.ready ## Build the wheel into dist/
	rm -rf dist
	$(T)/python -m build --wheel --no-isolation --outdir dist .

lock: python ## Freeze fresh Python 3.11 environments into constraints*.txt
	$(PYTHON) tools/lock.py

refresh: .venv-test/.ready ## Update prices and the table of suggested models, as far as they can be reached
	$(T)/python tools/refresh.py

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "mmcrime needs Python 3.11 or later, and '$(PYTHON)' is not that." >&2; \
	  echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make demo PYTHON=python3.12" >&2; \
	  exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments (Debian, Ubuntu: apt install python3-venv)." >&2; \
	  exit 2; }

# `| python`: checked first, but it is no file, so it must not make the stamp look old.
.venv/.ready: pyproject.toml constraints.txt | python
	@echo "Setting up .venv (base install, once) ..."
	@$(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP_INSTALL) -c constraints.txt -e .
	@touch $@

.venv-test/.ready: pyproject.toml constraints.txt | python
	@echo "Setting up .venv-test (all extras and developer tools, once) ..."
	@$(PYTHON) -m venv .venv-test
	@.venv-test/bin/python $(PIP_INSTALL) -c constraints.txt -e '.[all,dev,docs]'
	@touch $@

.venv-legacy/.ready: pyproject.toml constraints-gemini-legacy.txt | python
	@echo "Setting up .venv-legacy (the SDK of gemini-legacy, once) ..."
	@$(PYTHON) -m venv .venv-legacy
	@.venv-legacy/bin/python $(PIP_INSTALL) -c constraints-gemini-legacy.txt \
	  -e '.[gemini-legacy]' hypothesis jsonschema-rs pytest
	@touch $@

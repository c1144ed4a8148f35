# The project's commands; `make help` lists them.
SHELL := /bin/sh
# Which Python to install with, for example `make demo PYTHON=python3.12`; python3 if it fits, else the first that does.
PYTHON ?=
PY := .venv/bin/python
STACK := PYTHONPATH="$(CURDIR)/include:$(CURDIR)/plugins" $(PY) -m sandbox.stack
N ?= 1
DAMAGED ?=
ONLY ?=
ALL ?=
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header \
    --no-annotate --upgrade
# What the fast tests leave out: everything that starts servers, CASA, Airflow or a browser.
FAST := not servers and not casa and not airflow and not browser and not team
# Two at a time, whatever the machine, in the groups and the order that tests/conftest.py says.
PYTEST := $(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=10 -m "not team"
# The floor is what the fast tests alone reach (76 %), in which measuring costs more than half as much again: so only the
# whole suite is measured, which mostly waits. Processes that tests start are not counted.
COVERAGE := --cov --cov-report=term:skip-covered --cov-fail-under=90
# What the pages of the documentation are made of, laid side by side so that their links lead to each other.
PAGES := README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md docs include

.DEFAULT_GOAL := help
.PHONY: help install demo demo-alma stop clean status observe check health bench compose-secrets test test-tools test-team test-fast lint docs format lock

help:  ## lists the commands
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install:  ## installs everything into the project's own folders (once)
	@for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11); do \
	    command -v "$$python" >/dev/null 2>&1 && exec "$$python" include/sandbox/install.py --python "$(PYTHON)"; \
	done; \
	echo "No Python was found$(if $(PYTHON), under the name $(PYTHON)): install Python 3.11, 3.12 or 3.13 with its venv module." >&2; exit 1

demo: install  ## brings everything up, ingests one observation and follows its calibration
	@$(STACK) demo

demo-alma: install  ## likewise with a simulated ALMA observation, for which a user asks for images
	@$(STACK) demo-alma

stop:  ## stops exactly what `make demo` started
	@test ! -x $(PY) || $(STACK) stop

clean:  ## stops the demo and forgets its data
	@test ! -x $(PY) || $(STACK) clean

status: install  ## shows servers and pipeline runs
	@$(STACK) status

observe: install  ## observes N more execution blocks (N=2), DAMAGED=1 with a damaged antenna
	@$(STACK) observe --count "$(N)" $(if $(filter-out 0 no false,$(DAMAGED)),--damaged)

check: install  ## checks the settings and everything that they point to
	@$(STACK) check

bench: install  ## takes the short figures in docs/benchmarks.md again (ALL=1: all, for hours; ONLY="fetch-* pack": these)
	@$(PY) -m bench $(if $(filter-out 0 no false,$(ALL)),--all) $(ONLY)

compose-secrets:  ## makes .env, with generated secrets, for docker compose
	@python3 include/compose/make_secrets.py

health: install  ## report whether the demo's workflows are alive, as for a monitoring system
	@$(STACK) health

test: install test-tools lint docs  ## everything that proves the project
	@$(PYTEST) $(COVERAGE)

test-tools: install  ## brings what tests need and no Python registry has: a browser, a connection pooler
	@PYTHONPATH=include $(PY) -m sandbox.test_tools

test-team: install  ## what a team adds, on a real Docker, Slurm and HTCondor: as root, with Debian's packages
	@PYTHONPATH=include $(PY) -m sandbox.test_tools --team
	@$(PY) -m pytest -q -m team --durations=10

test-fast: install lint  ## style, types and the tests that start nothing, in about a minute
	@$(PYTEST) -m "$(FAST)"

lint: install  ## style, types, import rules, spelling and changelog fragments
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/hadolint Dockerfile tests/compose/*/Dockerfile
	@PYTHONPATH=plugins .venv/bin/lint-imports --no-logo
	@PYTHONPATH=plugins:include .venv/bin/lint-imports --no-logo --config include/sandbox/imports.toml
	@.venv/bin/codespell
	@.venv/bin/towncrier build --draft --version next >/dev/null

docs: install  ## builds the documentation, with an API reference, into build/site; a warning is an error
	@mkdir -p build/pages && ln -sfn $(addprefix ../../,$(PAGES)) build/pages/
	@.venv/bin/properdocs build --strict >build/docs.log 2>&1 || { grep -v '^INFO' build/docs.log; exit 1; }

format: install  ## writes the code as the style wants it
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

lock: install  ## pins everything below requirements*.txt again
	@$(COMPILE) -o requirements.lock requirements.txt include/sandbox/requirements.txt requirements-dev.txt
	@$(COMPILE) -o requirements-casa.lock include/casa/requirements-casa.txt
	@cp requirements.lock requirements-team.lock  # what both have, in the same release where that can be
	@$(subst --upgrade,,$(COMPILE)) -o requirements-team.lock requirements-team.txt

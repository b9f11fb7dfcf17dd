# `make help` lists what there is. Everything lives in .venv (`make test-python` has one for each interpreter); nothing
# outside this folder is changed, except that `make test`, run as root, installs the Debian packages that some tests need.

SHELL := /bin/sh
VENV := .venv
PYTHON_IN := $(VENV)/bin/python
# Compiled modules are kept: tests start some thousand processes of Rain.
PYTEST := PYTHONDONTWRITEBYTECODE= $(PYTHON_IN) -m pytest
AT_ONCE := -n auto --dist worksteal --durations 10
PREPARE := VENV=$(VENV) sh tools/prepare.sh

.PHONY: help demo test test-costs test-python test-engines test-jupyters test-wheels lint bench bench-asked soak lab docs notebooks screenshots frontend clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo  ## runs the cross-validation notebook on a private cluster, prints its accuracies, writes it and a report as HTML
	@sh tools/debian.sh demo
	@$(PYTHON_IN) tools/demo.py

test: $(VENV)/.test debian  ## all tests and checks (as root it first installs the Debian packages that they need)
	$(PYTEST) $(AT_ONCE) $(ARGS)

test-costs: $(VENV)/.test debian  ## all tests, and what they cost in processor time with all processes that they start (as root)
	$(PYTEST) $(AT_ONCE) -p tests.support.costs $(ARGS)

test-python:  ## all tests on another interpreter, in an environment of its own: make test-python PYTHON=python3.14
	@version=$$('$(PYTHON)' -c 'import sys; v = sys.version_info; print("%d.%d" % v[:2]); sys.exit(v < (3, 11))') || \
		{ echo 'Name an interpreter, 3.11 or newer: make test-python PYTHON=python3.14' >&2; exit 2; }; \
	$(MAKE) --no-print-directory test VENV=".venv-$$version"

test-engines: $(VENV)/.test  ## tests on a real Slurm, on hosts over ssh and in a Dask cluster, in namespaces of their own (as root; else they are skipped)
	@sh tools/debian.sh engines
	@sh tools/engines.sh $(PYTEST) --engines -m engines --durations 5 $(ARGS)

test-jupyters: $(VENV)/.test debian  ## notebooks in versions of JupyterLab and Notebook, in marimo and Voilà, in environments of their own (3 GB, a quarter of an hour)
	@$(PYTHON_IN) tools/jupyters.py
	$(PYTEST) --jupyters -m jupyters -v tests/browser/test_jupyters.py tests/browser/test_pages.py $(ARGS)

test-wheels: $(VENV)/.test  ## what is published, in fresh environments of each Python 3.11 to 3.14 that is found here: make test-wheels PYTHONS=…
	@$(PYTHON_IN) tools/wheels.py $(PYTHONS)

lint: $(VENV)/.test  ## ruff, mypy and the import rules
	@$(PYTHON_IN) tools/lint.py

bench: $(VENV)/.test  ## the benchmarks beside concurrent.futures (and Dask and Ray where installed), as a table
	@$(PYTHON_IN) benchmarks/run.py $(ARGS)

bench-asked: $(VENV)/.test  ## what is asked of Rain's speed and what is measured, as a table: make bench-asked ARGS='W7 --base PATH'
	@$(PYTHON_IN) benchmarks/asked.py $(ARGS)

soak: $(VENV)/.test debian  ## the long tests: many more simulated histories, kills and cycles (up to an hour)
	@sh tools/debian.sh engines
	$(PYTEST) --soak --engines -m soak $(ARGS)

lab: $(VENV)/.lab  ## JupyterLab on the example notebooks
	@$(VENV)/bin/jupyter lab --notebook-dir=notebooks $(QUIET) $(ARGS)

docs: $(VENV)/.docs  ## the site of docs/, the examples and the docstrings, in build/docs (a warning is an error)
	@$(PYTHON_IN) tools/docs.py

notebooks: $(VENV)/.test  ## runs the example notebooks and renews the outputs that they are committed with
	@$(PYTHON_IN) tools/notebooks.py

screenshots: $(VENV)/.test debian  ## take the pictures in docs/images
	@$(PYTHON_IN) tools/screenshots.py

frontend: $(VENV)/.test  ## build the browser part of the notebook (needs node and npm; its result is committed)
	@PYTHONPATH=. $(PYTHON_IN) tools/protocol_ts.py && cd frontend && npm ci --no-audit --no-fund && npm run build

clean:  ## remove the environment and what tools left behind
	rm -rf .venv .venv-* demo-out build frontend/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info

# Neither news nor updates are looked for; root may run it, for instance in a container.
QUIET := --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	$(if $(filter 0,$(shell id -u)),--allow-root)

# A stamp is as new as the last installation of that set of libraries.
$(VENV)/.%: pyproject.toml tools/prepare.sh
	@$(PREPARE) $*

.PHONY: debian
debian:
	@sh tools/debian.sh

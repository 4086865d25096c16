# make demo: everything from a fresh machine to tables.   make test: every test.
SHELL := /bin/bash
VENV := .venv
PYTHON ?= python3
RUN := . $(VENV)/bin/activate &&
LINT_CONFIG := --configfile tests/dag/lint.yaml

.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster faults lint format docs reference clean venv tools

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

tools: ## install the missing bioinformatics tools (envs/apt.txt)
	@scripts/setup_tools.sh

venv: $(VENV)/.ready ## the Python environment (requirements.txt)

# Debian's python3 needs the package python3-venv for a virtual environment, and gcc and python3-dev for the kernels.
VENV_FIRST := $(shell $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || echo tools)
COMPILER_FIRST := $(shell scripts/find_compiler.sh $(PYTHON) >/dev/null 2>&1 || echo tools)
KERNELS := $(shell find workflow/baekman/kernels -name '*.p[yx][xd]')

$(VENV)/.packages: requirements.txt requirements-oracles.txt | $(VENV_FIRST)
	@scripts/setup_venv.sh $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.ready: $(VENV)/.packages pyproject.toml setup.py $(KERNELS) | $(COMPILER_FIRST)
	@scripts/setup_package.sh $(VENV)
	@touch $@

demo: ## run two deliveries of the small test genome, from reads to tables and a release
	@$(MAKE) --silent --no-print-directory -j2 tools venv
	@$(RUN) scripts/demo.sh

test: tools venv ## every test
	@$(RUN) PYTHONDONTWRITEBYTECODE= python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGUMENTS)

test-cluster: tools venv ## what takes minutes: a Slurm that the tests start, with and without accounts; pages (25 minutes)
	@scripts/setup_cluster.sh
	@$(RUN) python -m pytest tests/cluster tests/e2e -m cluster $(PYTEST_ARGUMENTS)

faults: tools venv ## every fault on every command; writes the table of docs/reliability.md (hours)
	@$(RUN) BAEKMAN_FAULTS=$${BAEKMAN_FAULTS:-full} python -m pytest -q tests/faults $(PYTEST_ARGUMENTS)

lint: venv ## ruff, mypy, import-linter, cython-lint, snakefmt, snakemake --lint
	@$(RUN) ruff check . && ruff format --check . && mypy && lint-imports && cython-lint workflow/baekman/kernels \
	  && snakefmt --check Snakefile rules workflow/Snakefile \
	  && snakemake --lint $(LINT_CONFIG)

format: venv ## rewrite all files in the project's style
	@$(RUN) ruff format . && ruff check --fix . && snakefmt Snakefile rules workflow/Snakefile

reference: venv ## the reference pages and tables, made of the code
	@$(RUN) python scripts/documentation/reference.py

docs: venv ## the site of the documentation in site/; it needs no network
	@$(RUN) NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet && echo "open site/index.html"

clean: ## remove the files of make demo and the tests
	rm -rf demo site .pytest_cache .mypy_cache .ruff_cache .hypothesis .snakemake

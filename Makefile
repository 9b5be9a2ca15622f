# Every target sets up what it needs; `make backtest` and `make test` work on an empty machine.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Pinned, because an unpinned torch may bring gigabytes of GPU libraries to a machine without a GPU.
TORCH ?= torch==2.13.0
BIN := .venv/bin
# Installing is silent unless it fails; then the whole log is shown.
INSTALL = $(BIN)/pip install --disable-pip-version-check
QUIETLY = > .venv/install.log 2>&1 || { cat .venv/install.log; exit 1; }
WORKERS ?= 2

.PHONY: backtest test check bench docs clean

backtest: .venv/.base
	$(BIN)/foremargin backtest --workers $(WORKERS)

test: .venv/.dev .cache/node/.solc
	FOREMARGIN_SOLC=$${FOREMARGIN_SOLC:-$(CURDIR)/.cache/node/node_modules/solc} $(BIN)/pytest -n $(WORKERS)

check: .venv/.dev .venv/.docs .cache/types/foremargin
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	MYPYPATH=.cache/types $(BIN)/mypy -p foremargin
	$(BIN)/lint-imports
	$(MAKE) docs

bench: .venv/.dev
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

docs: .venv/.docs
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf .venv .cache build dist *.egg-info docs/_build .mypy_cache .ruff_cache .pytest_cache

.venv/bin/pip:
	@echo "setting up .venv (some minutes the first time)"
	@$(PYTHON) -m venv .venv

.venv/.base: pyproject.toml | .venv/bin/pip
	@$(INSTALL) "$(TORCH)" $(QUIETLY)
	@$(INSTALL) --editable . $(QUIETLY)
	@touch $@

.venv/.dev: .venv/.base
	@$(INSTALL) --editable ".[dev]" $(QUIETLY)
	@touch $@

.venv/.docs: .venv/.base
	@$(INSTALL) --editable ".[docs]" $(QUIETLY)
	@touch $@

# Type checkers need a package name that does not depend on the folder of the clone.
.cache/types/foremargin:
	mkdir -p .cache/types && ln -sfn ../.. $@

# The Solidity compiler for the tests of the contract, which are skipped, and say so, without npm.
.cache/node/.solc:
	@mkdir -p .cache/node
	@command -v npm > /dev/null && npm install --silent --no-fund --no-audit --prefix .cache/node solc@0.8.37 \
	  || echo "no npm, or it failed: the tests of the contract will be skipped"
	@touch $@

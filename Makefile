# make train | evaluate | test | check | benchmarks; each sets up what it needs in .venv first.
#   ARGS="model=bilstm seed=1"   passes overrides to train and evaluate
#   PYTHON=python3.13            chooses the interpreter (3.11 or newer)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: train evaluate test check benchmarks clean

train: $(VENV)/.core
	$(BIN)/python train.py $(ARGS)

evaluate: $(VENV)/.core
	$(BIN)/python evaluate.py $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The ratios of docs/benchmarks.md that need no arguments; slower checks have their own commands there.
RATIOS = baseline metrics bootstrap predict loader page clockwork leaderboard

benchmarks: $(VENV)/.dev
	for name in $(RATIOS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "genome_lm needs Python 3.11 or newer; $(PYTHON) is older: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing genome_lm and what it needs into $(VENV) (once)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing genome_lm and its development tools into $(VENV) (once)"
	@$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.core

# make test and make demo set everything up by themselves; nothing is installed outside .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: all test check lint demo bench clean
all: test

# torch comes first, pinned and alone, so that nothing else pulls another build of it.
.venv/.ready: pyproject.toml constraints.txt $(wildcard src/lowdose/infer/engines/winograd/*.h src/lowdose/infer/engines/winograd/*.cpp)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "needs the venv module (Debian: apt-get install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

lint: .venv/.ready
	$(BIN)/ruff format --check --quiet src tests benchmarks
	$(BIN)/ruff check --quiet src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

check: .venv/.ready
	$(BIN)/python -m pytest

test: lint check

demo: .venv/.ready
	rm -rf demo-out
	$(BIN)/lowdose demo demo-out

# The speed of everything, side by side; about 40 minutes. Figures and how to read them: docs/performance.md.
bench: .venv/.ready
	PYTHON=$(BIN)/python benchmarks/performance/bench.sh bench-out

clean:
	rm -rf .venv demo-out bench-out build .mypy_cache .ruff_cache .import_linter_cache

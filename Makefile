# make test and make demo set everything up by themselves; nothing is installed outside .venv.
PYTHON ?= python3
BIN := .venv/bin
# Else each of the processes that run tests, and each that a test starts, would compile what it imports anew.
unexport PYTHONDONTWRITEBYTECODE
# Processes that run tests side by side.
WORKERS ?= 2
# A process that dies ends the run as a failure; started anew under --dist loadfile, pytest would wait for it for ever.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart=0

.PHONY: all test test-all coverage check lint demo bench bench-quick furnace furnace-status furnace-pause furnace-resume furnace-stop clean
all: test

# torch comes first, pinned and alone, so that nothing else pulls another build of it.
.venv/.ready: pyproject.toml constraints.txt $(wildcard src/lowdose/infer/engines/winograd/*.h src/lowdose/infer/engines/winograd/*.cpp)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "needs the venv module (Debian: apt-get install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

lint: .venv/.ready
	$(BIN)/ruff format --check --quiet src tests benchmarks experiments examples
	$(BIN)/ruff check --quiet src tests benchmarks experiments examples
	$(BIN)/mypy
	$(BIN)/lint-imports

# For every change: all tests but those that are slow, need a GPU, or read scans from outside the repository.
check: lint
	$(PYTEST) -m "not slow and not long and not gpu and not data"

# Before a merge: all tests but the long ones.
test: lint
	$(PYTEST) -m "not long"

# The same tests, and the modules of which they reach least; a fifth slower, though COVERAGE_CORE=ctrace is the fastest
# way to count lines in Python 3.11.
coverage: .venv/.ready
	COVERAGE_CORE=ctrace $(PYTEST) -m "not long" --cov=lowdose --cov-report=
	@$(BIN)/coverage report --sort=cover | sed -n '1,17p;/^TOTAL/p'

# Before a release: every test.
test-all: lint
	$(PYTEST)

demo: .venv/.ready
	rm -rf demo-out
	$(BIN)/lowdose demo --out demo-out

# The speed of everything, side by side: about 40 minutes, or a part of it in under 6.
bench bench-quick: .venv/.ready
	$(BIN)/python -m experiments.furnace pause --process $$$$; \
	PYTHON=$(BIN)/python benchmarks/performance/run_all.sh bench-out $(if $(findstring quick,$@),quick,all)

# Long training in the background, at the lowest priority, for as long as it takes (docs/furnace.md). CT: folder with
# normal-dose, more, blocks and pairs; without it, digital patients.
CT ?= $(wildcard ../shared/ct)
furnace: .venv/.ready
	@nohup $(BIN)/python -m experiments.furnace run $(if $(CT),--ct $(CT)) >/dev/null 2>&1 & \
	sleep 3; $(BIN)/python -m experiments.furnace status

furnace-status furnace-pause furnace-resume furnace-stop: .venv/.ready
	@$(BIN)/python -m experiments.furnace $(@:furnace-%=%)

clean:
	rm -rf .venv demo-out bench-out build .mypy_cache .ruff_cache .import_linter_cache

# make test                                                        what CI runs
# make test TORCH_INDEX=https://download.pytorch.org/whl/cpu       the same, torch from a CPU-only index
# make test PYTHON=python3.12                                      the same, another Python for a new .venv
PYTHON ?= python3
TORCH_INDEX ?=
BENCH ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -q -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

CHROMIUM := { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: demo test test-browser check bench fix clean help

# A broken or half-made .venv is made anew; the stamp is written last, so an interrupted install is simply tried again.
.venv/.installed: pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(PIP) torch==2.13.0
	$(PIP) -e '.[dev]'
	@touch $@

demo: .venv/.installed  ## train on the names that ship with harken, compare, print, draw
	$(BIN)/harken demo

test: .venv/.installed  ## all tests: two workers with one thread each, then the serial ones with two threads
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -m "not serial and not slow" -q
	OMP_NUM_THREADS=2 NUMBA_NUM_THREADS=2 $(BIN)/pytest -m "serial and not slow" -q || test $$? -eq 5  # 5: none collected

test-browser: .venv/.installed  ## the pages in a real Chromium, which is installed where there is none (Debian, Ubuntu)
	$(PIP) -e '.[dev,browser]'
	@$(CHROMIUM) || $(if $(filter-out 0,$(shell id -u)),sudo) sh -c "apt-get update -q && apt-get install -y -q --no-install-recommends chromium" || true
	@$(CHROMIUM) || { echo "there is no Chromium here: install one as chromium, chromium-browser or google-chrome, then run this again" >&2; exit 1; }
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/pytest tests/view/test_browser.py tests/server/test_browser.py -q

check: .venv/.installed  ## lint, formatting, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

bench: .venv/.installed  ## speed, as ratios against named peers: make bench BENCH="--quick", or --write for docs/speed.md
	$(BIN)/python bench/run.py $(BENCH)

fix: .venv/.installed  ## repair what ruff can repair
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## remove caches and builds; .venv and runs stay
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

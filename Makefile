# make book   set up .venv, execute the chapters that changed, build the site, print where it is
# make test   set up .venv, look at style and types, run every test; shares the executed chapters with make book
# make lint   style and types alone: ruff and mypy
# make sync   regenerate what is derived: the .ipynb files and the list of chapters in README.md
# make clean  remove everything that was set up or built
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: book test lint sync clean

book: .venv/installed
	@$(BIN)/python book/_tools/build.py

# One thread in each of the two workers: two cores are not faster with four.
test: lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/installed
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy

sync: .venv/installed
	@$(BIN)/python book/_tools/sync.py

# Written last, so that an interrupted set-up starts again. torch goes first, alone and exact:
# asked for together with the rest, pip may take a CUDA build of several gigabytes.
.venv/installed: pyproject.toml .ci/constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv && $(PYTHON) -m venv .venv; }
	@echo "setting up .venv (some minutes the first time)"
	@$(PIP) install "$$(grep '^torch==' .ci/constraints.txt)"
	@$(PIP) install -c .ci/constraints.txt -e ".[book,test]"
	@touch $@

clean:
	rm -rf .venv .cache _build

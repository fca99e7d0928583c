# make book   set up .venv, execute the chapters that changed, build the site, print where it is
# make test   set up .venv, run every test; shares the executed chapters with make book
# make sync   regenerate what is derived: the .ipynb files and every copy of the repository's address
# make clean  remove everything that was set up or built
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: book test sync clean

book: .venv/installed
	@$(BIN)/python book/_tools/build.py

# One thread in each of the two workers: two cores are not faster with four.
test: .venv/installed
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

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

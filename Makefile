# make probe: set up and run the whole chain on CartPole-v1. make test: set up and run every test.
# make coverage: the same with coverage and its floor, in half as much time again.
# make quick: the tests that are not slow and need no browser. make lint: the linters. make docs: the documentation, in site/.
# make results: docs/results.md and the README's table from the committed results. make picture: docs/picture.png.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: probe test coverage quick lint docs results picture clean

probe: .venv/installed
	$(BIN)/irl-probe probe CartPole-v1 --out runs/probe/CartPole-v1-$$(date +%Y%m%d-%H%M%S)

test: .venv/tested
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(COVERAGE)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || echo "Left out: the report in a real browser (no Chromium was found; on Debian: apt-get install chromium)."

coverage: COVERAGE = --cov --cov-report=term
coverage: test

quick: .venv/tested
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not browser"

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

results: .venv/installed
	$(BIN)/python docs/make_results.py

picture: .venv/installed
	$(BIN)/python docs/make_picture.py

docs: .venv/documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/tested: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch .venv/installed $@

.venv/documented: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch .venv/installed $@

clean:
	rm -rf .venv

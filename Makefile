# Needs Python 3.11+ and make; everything else is installed into .venv from the hashed lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# How many processes share the tests, each with a Kafka of its own; 0: this one runs them all, one after the other.
AT_ONCE ?= 2
export PYTHONHASHSEED := 0

.PHONY: setup demo test faults chaos lint check bench lock clean

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

setup: $(VENV)/.ready

demo: setup
	@$(BIN)/streamml demo $(ARGS)

test: setup lint
	$(BIN)/python -m pytest -m "not faults" -n $(AT_ONCE) --dist loadfile $(ARGS)

faults: setup
	$(BIN)/python -m pytest -m faults $(ARGS)

chaos: setup
	PYTHONPATH=tests $(BIN)/python -m chaos $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python benchmarks/full_loop.py $(ARGS)

lock:
	$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --universal --python-version 3.11 build-requirements.in -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Everything that is done with this repository, in short. `make` alone lists it.

PYTHON ?= python3
ARGS ?=
BIN = .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test lint format types clean

help:    ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run:     ## start Anmei on http://127.0.0.1:8000 (ARGS="--port 9000" for another port)
	@PYTHON=$(PYTHON) scripts/venv requirements.txt
	@exec $(BIN)/python run.py $(ARGS)

test:    ## run the whole suite (ARGS="tests/db -k sync" for a part of it)
	@PYTHON=$(PYTHON) scripts/venv requirements-test.txt
	@scripts/test-needs
	@exec $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint:    ## look for mistakes and for formatting that differs
	@PYTHON=$(PYTHON) scripts/venv requirements-test.txt
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format:  ## mend what `make lint` can mend by itself
	@PYTHON=$(PYTHON) scripts/venv requirements-test.txt
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types:   ## check the types
	@PYTHON=$(PYTHON) scripts/venv requirements-test.txt
	@$(BIN)/mypy

clean:   ## remove .venv and every cache; ./data stays
	@rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

-include loadtest/targets.mk

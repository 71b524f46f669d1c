PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV = .venv
BIN = $(VENV)/bin

.PHONY: help setup demo test lint bench clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ -/' | sed 's/^/make /'

setup: $(VENV)/.ready  ## a virtual environment in .venv with everything installed

$(VENV)/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "Python 3.11 to 3.13 is needed: make PYTHON=/path/to/python3.11 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: setup  ## train O-GAN on the embedded cartoon faces, about 10 minutes on 2 CPU cores
	$(BIN)/python ogan/train.py --dataset toy_faces --preset quick --steps 1500 --resume

test: $(VENV)/.ready-dev  ## all tests, and the scripts end to end on TensorFlow and JAX
	$(BIN)/python -m ruff check . && $(BIN)/python -m ruff format --check .
	$(BIN)/python -m pytest

lint: $(VENV)/.ready-dev  ## the style checks alone
	$(BIN)/python -m ruff check . && $(BIN)/python -m ruff format --check .

clean:  ## remove the environment and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache *.egg-info

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
# an environment that is active (venv, uv, conda but its base) is used; make VENV=/path names another
CONDA = $(if $(filter-out base,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX))
VENV ?= $(or $(VIRTUAL_ENV),$(CONDA),.venv)
ifneq ($(word 2,$(VENV)),)
$(error the path of the environment has a blank: $(VENV); name another one with make VENV=/path)
endif
PY = $(VENV)/bin/python
ON_JAX = tests/common/training tests/common/test_backend.py tests/common/losses/test_gradient_penalties.py tests/flow/test_training.py tests/dynamics/test_optimizers.py \
  tests/energy_gan/test_blackjax.py tests/couplet/test_networks.py tests/dcgan/test_scripts.py::test_dcgan_trains_and_goes_on \
  tests/flow/test_scripts.py::test_a_flow_on_images tests/glann/test_scripts.py::test_glann_trains tests/fgan/test_gaussian.py::test_script \
  tests/rsgan/test_scripts.py::test_a_gan_trains_and_goes_on
IS_YOURS = test $(VENV) != .venv -a -x $(PY)
# an environment that uv has made has no pip
INSTALL = if $(PY) -m pip --version >/dev/null 2>&1; then $(PY) -m pip install --quiet --disable-pip-version-check $(1); \
  else uv pip install --quiet --python $(PY) $(1); fi
EXTRAS = -e ".[hub,fits,verse]" pandas

REPRODUCE_FLAGS = $(if $(PRESET),--preset "$(PRESET)") $(if $(DATASET),--dataset "$(DATASET)") $(if $(ONLY),--only "$(ONLY)") \
  $(if $(PART),--part "$(PART)") $(if $(DATA_DIR),--data-dir "$(DATA_DIR)") $(if $(JOBS),--jobs "$(JOBS)") $(if $(IMAGES),--images "$(IMAGES)") \
  $(if $(FORMAT),--format "$(FORMAT)")
OUT_FLAG = $(if $(OUT),--out "$(OUT)")

.PHONY: help setup demo play reproduce-all compare site figures article test test-cluster extras test-extras test-of-extras lint format notebooks notebooks-run notebooks-check bench peers clean
.DEFAULT_GOAL := help

help:  ## list these commands
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(VENV)/.ready  ## install everything: into VENV=, else the active environment, else a new .venv

# Installed again only when the requirements change.
$(VENV)/.ready: requirements.txt pyproject.toml
	@"$$($(IS_YOURS) && echo $(PY) || echo "$(PYTHON)")" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.11 ..."; exit 2; }
	@echo "installing into $(VENV) (a minute or two)"
	@$(IS_YOURS) || "$(PYTHON)" -m venv $(VENV)
	@$(call INSTALL,-r requirements.txt)
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	@$(call INSTALL,-r requirements-dev.txt)
	@touch $@

$(VENV)/.ready-play: requirements-play.txt $(VENV)/.ready
	@echo "installing gradio (a minute)"
	@$(call INSTALL,-r requirements-play.txt)
	@touch $@

play: $(VENV)/.ready-play  ## open a local page to try the articles on, without training: HOST= PORT=
	$(PY) -m play $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)")

demo: setup  ## train O-GAN on cartoon faces drawn by code: about five minutes on 2 CPU cores
	$(PY) ogan/train.py --dataset toy_faces --preset quick --steps 1000 --resume --new

reproduce-all: setup  ## run every experiment; options: PRESET=quick ONLY=ogan,flow/nice DATASET= DATA_DIR= IMAGES= FORMAT=svg OUT= JOBS= PART=2/8
	$(PY) -m common.reproduce $(REPRODUCE_FLAGS) $(OUT_FLAG)

compare: setup  ## write the page that sets the articles beside your results: runs/report/index.html
	$(PY) -m common.reproduce.report $(if $(ONLY),--only "$(ONLY)") $(OUT_FLAG)

site: setup  ## write that page and the READMEs as one folder of static files: runs/site/index.html
	$(PY) -m common.reproduce.site $(OUT_FLAG)

figures: setup  ## collect the figures of all runs, with captions, in one folder: runs/figures/index.md
	$(PY) -m common.reproduce.figures $(OUT_FLAG)

article: setup  ## begin an article of your own, with a loss to edit: NAME=my_gan
	@$(PY) -m common.reproduce.new_article $(if $(NAME),"$(NAME)")

test: lint  ## run ruff and all tests: formulas, and the scripts end to end on TensorFlow and JAX
	$(PY) -m pytest -n 2 --dist worksteal
	KERAS_BACKEND=jax $(PY) -m pytest -n 2 --dist worksteal $(ON_JAX) -k "not (entropy or a_start_imports)"

test-cluster: $(VENV)/.ready-dev  ## train in two processes, as on a cluster, and compare with one: one to two minutes
	$(PY) tests/cluster.py

extras: $(VENV)/.ready-dev  ## install the extras hub, fits and verse, and pandas for a test
	@echo "installing the extras into $(VENV) (half a minute)"
	@$(call INSTALL,$(EXTRAS))

test-extras: extras test-of-extras  ## install the extras and run the tests that need them

test-of-extras:
	$(PY) -m pytest tests/albert/test_hub.py tests/enlarge/test_hub.py tests/spectra/test_files.py tests/couplet/test_data.py \
	  tests/vocabulary/test_contrast.py

lint: $(VENV)/.ready-dev  ## check the style: ruff check and ruff format --check
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(VENV)/.ready-dev  ## fix the style: ruff check --fix and ruff format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

notebooks: setup  ## open the notebooks, in the browser
	@$(call INSTALL,-r notebooks/requirements.txt)
	$(PY) -m jupyterlab notebooks

notebooks-run: $(VENV)/.ready-dev  ## run the notebooks in full and write their outputs: about 10 minutes on 2 CPU cores
	$(PY) -m common.reproduce.notebooks

notebooks-check: $(VENV)/.ready-dev  ## run every notebook with a few steps, and write nothing
	$(PY) -m common.reproduce.notebooks --smoke

PEER = $(if $(PEERS),--peer .venv-peers/bin/python)

bench: setup $(if $(PEERS),.venv-peers/.ready)  ## measure speeds, as ratios within one run; PEERS=1: also beside PyTorch
	$(PY) bench/gan.py $(PEER)
	$(PY) ogan/bench.py
	$(PY) flow/bench.py $(PEER)
	$(PY) rsgan/bench.py
	$(PY) fgan/bench.py
	$(PY) energy_gan/bench.py $(PEER)

# PyTorch and the libraries that these scripts compare with, which nothing else here needs
.venv-peers/.ready: bench/peers/requirements.txt
	@echo "installing into .venv-peers (PyTorch: a few minutes)"
	@"$(PYTHON)" -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers/requirements.txt
	@touch $@

peers: .venv-peers/.ready  ## train what others would use instead (PyTorch), to compare: bench/peers/README.md
	@for script in bench/peers/*.py; do PYTHONPATH=. .venv-peers/bin/python $$script || exit 1; done

clean:  ## remove .venv, .venv-peers and the caches; keep runs/ and an environment of your own
	rm -rf .venv .venv-peers .pytest_cache .ruff_cache *.egg-info

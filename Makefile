# Two commands matter: `make demo` and `make test`. Both set up what they need, from a bare Debian 12 with Python 3.11.
PYTHON ?= python3
# Where a CPU-only torch is taken from when your own pip configuration knows none. Never a CUDA build.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

export PYTHON TORCH_INDEX
BIN := .venv/bin

.PHONY: help demo test unit lint lock clean setup setup-dev models sandbox browser

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.installed ## set up, start the service, give it one real task, and show all that happens
	@$(BIN)/atlas models pull
	@bash .ci/docker.sh image
	@$(BIN)/python examples/demo.py

test: .venv/.installed-dev models sandbox browser lint ## every check there is; sets up models, Docker and Chromium first
	$(BIN)/pytest

unit: .venv/.installed-dev ## the quick tests: no socket, no engine, no model
	$(BIN)/pytest tests/unit

lint: .venv/.installed-dev ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/mypy

setup: .venv/.installed ## the virtual environment, to run Atlas

setup-dev: .venv/.installed-dev ## the virtual environment, to work on Atlas

models: .venv/.installed ## the model that serves, and the small one that tests use
	@$(BIN)/atlas models pull
	@$(BIN)/atlas models pull qwen2.5-coder-0.5b

sandbox: .venv/.installed ## a Docker engine (as root, from Debian's packages) and the sandbox's images
	@bash .ci/docker.sh

browser: ## a Chromium for tests (as root, from Debian's packages)
	@bash .ci/browser.sh

lock: ## write down the versions and hashes of all that pyproject.toml asks for; keeps what is locked
	@bash .ci/lock.sh

clean: ## remove what was built here; models and data sets stay in the cache
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info

.venv/.installed: .ci/setup.sh requirements.lock pyproject.toml
	@bash .ci/setup.sh run

.venv/.installed-dev: .venv/.installed requirements-dev.lock
	@bash .ci/setup.sh dev

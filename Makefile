# The verbs of this repository; `make` alone tells them. CI runs them too, so none can go stale.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Each interpreter has an environment of its own: .venv, and beside it .venv-python3.13 for PYTHON=python3.13.
VENV := .venv$(if $(PYTHON),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
PY := $(BIN)/python
# These have private nodes, whatever broker there is besides.
BREAKERS := test docker faults bench profile
SOURCES := service tests deploy/dev
# The lock is the same wherever it is made: no index address, no path, no option of this machine.
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url \
	--no-emit-trusted-host --no-emit-find-links --no-emit-options --strip-extras --allow-unsafe $(UPGRADE)

.PHONY: help setup run test docker faults soak fuzz lint format types schemas docs lock bench profile clean

help: ## Tell what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv as locked, and install RabbitMQ where nothing else offers a broker
	@VENV=$(VENV) deploy/dev/setup.sh
	@$(if $(filter $(BREAKERS),$(MAKECMDGOALS)),deploy/dev/setup.sh node)

run: setup ## Run service and gateway with a broker of their own, until Ctrl-C
	@exec $(PY) deploy/dev/run.py

test: setup lint types ## Lint, type-check and run the whole test suite with coverage (PYTHON=python3.13 on another)
	@$(PY) -m pytest --numprocesses=$(or $(PROCESSES),2) --dist=loadscope --deselect=tests/faults --cov --cov-report=
	@# How soon a service is back is told of a machine that does nothing else.
	@$(PY) -m pytest tests/faults --cov --cov-append --cov-report=term:skip-covered

docker: setup ## Prove image and compose file, and the service with the broker in a container; makes an engine if root on Debian
	@PY=$(PY) tests/docker/with-engine.sh tests/docker/prove.sh

faults: setup ## Run the fault lab in its long form: half an hour, and the soak's FAULTS_SOAK_S=3600 on top
	@FAULTS=long $(PY) -m pytest tests/faults -m "long or not long" -p no:randomly --durations=0

soak: setup ## Run 100,000 tasks of which one in a hundred misbehaves, and stop many: three minutes (SOAK_TASKS=1000000, SOAK_SEED=1)
	@$(PY) -m pytest tests/integration/test_pool_soak.py -m long --timeout $$(($(or $(SOAK_LIMIT_S),1800) + 60)) -p no:randomly

fuzz: setup ## Send 20,000 odd values in at each way, and look for them at every door: half an hour (FUZZ_EXAMPLES=300)
	@FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),20000) $(PY) -m pytest tests/security/test_every_door.py tests/property/test_values.py \
		--timeout 0 -p no:randomly

lint: setup ## Check rules, format and the floors that imports keep to
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/lint-imports

types: setup ## Check types, strictly
	@$(BIN)/mypy

format: setup ## Put the sources into the one format, and mend what can be mended
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

schemas: setup ## Write schemas/ from the wire models
	@$(PY) -m kazoo_tasks schemas schemas/

docs: setup ## Write the settings table of README.md from the settings model
	@$(PY) -m kazoo_tasks docs README.md

lock: setup ## Write deploy/requirements*.txt from pyproject.toml (UPGRADE=--upgrade for new versions)
	@$(COMPILE) --output-file deploy/requirements.txt pyproject.toml
	@$(COMPILE) --extra dev --constraint deploy/requirements.txt --output-file deploy/requirements-dev.txt pyproject.toml

bench: setup ## Measure beside the peers and write tests/bench/RESULTS.md (ONLY=P1,P5 for some, RUNS=5)
	@PYTHONPATH=tests:deploy/dev $(PY) -m bench $(if $(ONLY),--only $(ONLY)) $(if $(RUNS),--runs $(RUNS))

profile: setup ## Show where a request's time goes in the running service (ONLY=P1, P2 or P3 for one load)
	@PYTHONPATH=tests:deploy/dev $(PY) -m bench.profile $(if $(ONLY),--only $(ONLY))

# The peers' lock, made like ours and holding to our versions of what both have.
tests/bench/requirements.txt: tests/bench/requirements.in deploy/requirements.txt
	@$(subst "make lock","make $@",$(COMPILE)) --output-file $@ $<

clean: ## Remove what was built, run and cached here
	@rm -rf .run build dist service/*.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	@find service tests deploy -name __pycache__ -type d -prune -exec rm -rf {} +

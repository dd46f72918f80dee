# `make` or `make help` lists the commands.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup repro retrain test check ui benchmark benchmark-train study bm3d lock clean

# The first Python here that will do; or name one: make repro PYTHON=python3.13
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; \
	done)
PORT ?= 5000
ARGS ?=

VENV := .venv
INSTALLED := $(VENV)/installed
STARTED := $(VENV)/started
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
# pip's hundreds of lines as one that counts
COUNT := awk -v total="$$(grep -c == requirements.lock)" ' \
	/-r requirements.lock/ || /^Ignoring/ { name = $$1 == "Requirement" ? $$4 : $$2; sub(".*/", "", name); \
		printf "\r  %3d of %d  %-40.40s", ++n, total, name } \
	/^Installing collected/ { printf "\r  unpacking them all  %40s", "" } \
	{ fflush() } END { print "" }'

help: ## list these commands
	@echo 'usage: make COMMAND'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## create .venv with the pinned packages and degrain itself

# Touched last: an installation that was cut short starts again.
$(INSTALLED): requirements.lock pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo 'degrain needs Python 3.11, 3.12 or 3.13; name yours: make setup PYTHON=...' >&2; exit 1; }
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo 'Installing requirements.lock into $(VENV); the first time takes some minutes'
	@$(PIP) install --requirement requirements.lock | $(COUNT)
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

repro: $(INSTALLED) ## run what changed of the pipeline, print the results
	@touch $(STARTED)
	@$(RUN) dvc repro
	@echo; $(RUN) degrain table
	@[ -n "$$(find data models reports -type f -newer $(STARTED) ! -name sources.csv)" ] || \
		{ echo; echo 'Nothing changed: every result is from an earlier run.'; }
	@echo
	@echo 'Runs, curves, sample pictures:  make ui'
	@echo 'Report:                         reports/table.md, reports/pictures/'
	@echo 'Curves in a browser:            $(VENV)/bin/dvc plots show --open'

# The steps of .ci/retrain; docs/retraining.md has those for cron.
STEPS ?= restore update check train gate report
retrain: $(INSTALLED) ## train anew what changed, ask the gate, write a report; PARAMS='KEY=VALUE ...' sets params
	@$(RUN) bash .ci/retrain $(STEPS)
	@echo 'Report: build/retrain/report.md'

test: $(INSTALLED) ## run the tests; ARGS='-m slow' and the like go to pytest
	@$(RUN) python -m pytest $(ARGS)

check: $(INSTALLED) ## lint, format, types, layers, the files of the CIs
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy
	@$(RUN) PYTHONPATH=src lint-imports --no-logo
	@$(RUN) check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(RUN) check-jsonschema --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci .gitlab-ci.yml
	@$(RUN) zizmor --offline --quiet .github/workflows

# The job executor serves nothing here, and starts slowly.
ui: export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
ui: export PYTHONWARNINGS := ignore
# Without the first MLflow opens on a page about language models; the second is the columns that degrain sets.
ui: VIEW := \#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=degrain
ui: STORE = $(or $(MLFLOW_TRACKING_URI),sqlite:///$(CURDIR)/mlflow.db)
ui: $(INSTALLED) ## serve the runs with MLflow; PORT=5000
	@case '$(STORE)' in http*) echo 'The runs are at $(STORE)'; exit;; esac; \
	echo 'The runs, in some seconds: http://127.0.0.1:$(PORT)/$(VIEW)'; echo 'Ctrl-C ends it'; \
	$(RUN) mlflow ui --backend-store-uri '$(STORE)' --host 127.0.0.1 --port $(PORT) --workers 1

benchmark: $(INSTALLED) ## measure every method on the standard sets; DEGRAIN_MIRROR=FOLDER where they are at hand
	@$(RUN) PYTHONPATH=src python -m benchmarks.standard $(ARGS)

benchmark-train: $(INSTALLED) ## measure training against its convolutions alone, after `make repro`
	@$(RUN) PYTHONPATH=src python -m benchmarks.train_floor

study: $(INSTALLED) ## compare adversarial losses and stabilisers (docs/adversarial.md); ARGS=unattended
	@$(RUN) PYTHONPATH=src python -m experiments.adversarial $(ARGS)

bm3d: $(INSTALLED) ## measure BM3D for the table (its package is free for non-commercial use only)
	@$(PIP) install --quiet --constraint requirements.lock --no-build-isolation --editable '.[bm3d]'
	@$(RUN) PYTHONPATH=src python -m degrain.bm3d

lock: $(VENV)/bin/uv ## write requirements.lock anew from pyproject.toml; ARGS=--upgrade
	@$(RUN) uv pip compile --quiet --group dev --output-file requirements.lock $(ARGS) pyproject.toml

$(VENV)/bin/uv:
	@$(MAKE) --no-print-directory setup

clean: ## remove .venv and the tools' caches; results and runs stay
	rm -rf $(VENV) build dist src/*.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -prune -exec rm -rf {} +

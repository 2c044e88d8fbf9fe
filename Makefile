# Each target sets up .venv by itself; nothing needs root. `make` lists the targets.
# pip's own configuration (index, proxy, cache) applies. You can override PYTHON, JOBS, DEMO, SHARED,
# BENCH (make bench BENCH=--full), RESULTS (make results RESULTS="--device cuda"), MINUTES and SEED.
# IMAGENET (make paper IMAGENET=ILSVRC2012_val) takes ImageNet's photographs instead of SHARED, and
# PAPER has more options of studies.paper (make paper PAPER="--labels val.txt --dry-run").

PYTHON ?= python3
JOBS ?= 2
DEMO ?= demo
SHARED ?= ../shared
MINUTES ?= 60
SEED ?= 0

BIN := .venv/bin
READY := .venv/.ready
# JOBS processes with one thread each, since more threads than cores slow each other down; the tests
# of a file stay together, since they share its fixtures. Bytecode is kept even where the environment
# forbids it: without, each process and all that it starts compile the tests and the package again.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

SHARED_OR_STOP = [ -d "$(SHARED)/models" ] || { \
	echo "needs photographs and classifiers: make $@ SHARED=folder" >&2; exit 1; }

.PHONY: help release-check demo test test-slow test-all reliability coverage lint bench measurements results paper paper-search retrained classifiers policies results-page demo-model comdefend-model fixtures site docs clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(firstword $(MAKEFILE_LIST)) | \
		awk -F '\t' '{ printf "make %-15s %s\n", $$1, $$2 }'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "rsparse needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "setting up .venv (once, some minutes)" >&2
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)  ## Learn, attack, purify and classify the embedded photographs, into demo/
	@$(BIN)/rsparse demo -o $(DEMO) --overwrite

test: $(READY)  ## Run the tests that take seconds
	@$(PYTEST) -m "not slow and not shared"

test-slow: $(READY)  ## Run the tests that take minutes, and those that need ../shared
	@$(PYTEST) -m "slow or shared"

reliability: $(READY)  ## Kill, starve and feed the commands, into docs/reliability.md (1 hour; MINUTES=10 for less)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.reliability --minutes $(MINUTES) --seed $(SEED) \
		--jobs $(JOBS) --work bench-work/reliability --write docs/reliability.md

test-all: test test-slow  ## Run all tests

coverage: $(READY)  ## Run all tests and list the lines that they miss
	@$(PYTEST) --cov --cov-report=term-missing:skip-covered

lint: $(READY)  ## Check style, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

bench: $(READY)  ## Compare speed and memory with other programs, into docs/benchmarks.md (15 minutes)
	@$(BIN)/python benchmarks/report.py $(if $(wildcard $(SHARED)/photos),--shared "$(SHARED)") $(BENCH)

measurements: $(READY)  ## Print the tables of docs/measurements.md (1 hour; needs ../shared)
	@$(SHARED_OR_STOP)
	@$(BIN)/python benchmarks/attacks.py --shared "$(SHARED)"
	@$(BIN)/python benchmarks/gpu.py --shared "$(SHARED)" --images 256 --batch-size 64
	@$(BIN)/python -m studies.epoch --shared "$(SHARED)" --work bench-work/results

results: $(READY)  ## Evaluate all defenses on real classifiers, into docs/results/ (3 to 5 hours; needs ../shared)
	@$(SHARED_OR_STOP)
	@$(BIN)/python -m studies.results --shared "$(SHARED)" --work bench-work/results \
		--jobs $(JOBS) $(ONLY) $(RESULTS)

paper: $(READY)  ## Run the paper's figures and tables by its settings (hours; needs ../shared or IMAGENET=)
	@$(if $(IMAGENET),,$(SHARED_OR_STOP);) $(BIN)/python -m studies.paper --jobs $(JOBS) \
		$(if $(IMAGENET),--images "$(IMAGENET)" --work bench-work/imagenet,--shared "$(SHARED)" \
		--work bench-work/paper --docs docs) $(PAPER)

paper-search: $(READY)  ## Search for settings that reach the paper's figures (2 hours; needs ../shared)
	@$(SHARED_OR_STOP)
	@$(BIN)/python -m studies.paper.search --shared "$(SHARED)" --work bench-work/paper/search \
		--jobs $(JOBS)
	@$(BIN)/python -m studies.pages

retrained: ONLY := --only retrained-mobilenet-v2 retrained-inception-v3
retrained: results  ## Retrain two classifiers and evaluate them, into docs/results/ (5 to 6 hours; needs ../shared)

classifiers: $(READY)  ## Measure top-1 and activation by depth, into docs/results/ (6 minutes; needs ../shared)
	@$(SHARED_OR_STOP)
	@$(BIN)/python -m studies.top1 --shared "$(SHARED)"
	@$(BIN)/python -m studies.inception_activations --shared "$(SHARED)" \
		--work bench-work/inception
	@$(BIN)/python -m studies.pages

policies: $(READY)  ## Evaluate candidates for the default policy, into docs/policies/ (2 hours; needs ../shared)
	@$(SHARED_OR_STOP)
	@$(BIN)/python -m studies.calibrate --shared "$(SHARED)" --work bench-work/calibrate
	@$(BIN)/python -m studies.pages

results-page: $(READY)  ## Render docs/results.md and docs/policies.md from their CSV tables
	@$(BIN)/python -m studies.pages

demo-model: $(READY)  ## Train the embedded classifier again
	@$(BIN)/python scripts/demo_model.py

comdefend-model: $(READY)  ## Train ComDefend's networks again (30 minutes; needs ../shared)
	@$(BIN)/python scripts/comdefend_model.py "$(SHARED)/train" --stop-after 6750

fixtures: $(READY)  ## Make the tests' fixtures again
	@$(BIN)/python scripts/make_fixtures.py

release-check: $(READY)  ## Build twice, compare, install in empty environments and run (TAG=v0.2.0 for a release)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check 'twine>=6'
	@$(BIN)/python scripts/release_check.py --output dist $(if $(TAG),--tag $(TAG))

site: $(READY)  ## Build the documentation as a site, into build/site/index.html (warnings are errors)
	@OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -W -n --keep-going -c docs/site -d build/doctrees . build/site
	@echo build/site/index.html

docs: $(READY)  ## Update the help texts, manual pages and pictures in README.md, docs/ and man/
	@$(BIN)/python scripts/update_docs.py
	@$(BIN)/python scripts/docs_pictures.py
	@$(BIN)/python scripts/method_pictures.py

clean:  ## Remove all files that the targets made, except .venv
	@rm -rf demo build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache
	@find rsparse tests scripts benchmarks studies -name __pycache__ -type d -prune -exec rm -rf {} +

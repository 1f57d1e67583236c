# Two commands on a fresh machine: `make demo` and `make test`. Each makes its own .venv and installs into it.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check
# Arguments for pytest, or for the program behind the target: make test ARGS="-k cancel -x"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo up test test-slow check bench story faults faults-long quality install install-dev clean

help:
	@echo "make demo         see it work: 1,000 images through the whole service"
	@echo "make up           start the service here (gonogo up)"
	@echo "make test         install what the tests need and run all but the slow ones"
	@echo "make test-slow    run the slow tests, half an hour"
	@echo "make check        ruff, mypy and the import rules"
	@echo "make bench        measure speed      make quality  measure the models"
	@echo "make damage       harm image files of every format and see which are still judged"
	@echo "make fuzz         fuzz archives, forms, options, cursors, artifacts and images, about an hour"
	@echo "make faults       break it on purpose, 30 minutes      make faults-long  an hour"
	@echo "make story        tell a model's life on one line, against a running service"
	@echo "make clean        remove .venv, caches and the demo's images"

demo: install
	@$(PY) -m shared.cli.main demo $(ARGS)

up: install
	@exec $(PY) -m shared.cli.main up $(ARGS)

test: install-dev
	@$(PY) -m tests $(ARGS)

test-slow: install-dev
	@$(PY) -m pytest -m "slow" $(ARGS)

check: install-dev
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

bench: install-dev
	@$(PIP) -q -c .ci/constraints.txt -e '.[dev,bench]'
	@$(PY) -m bench $(ARGS)

story: install-dev
	@$(PY) -m tests.story $(ARGS)

faults: install-dev
	@$(PY) -m tests.faults $(ARGS)

faults-long: install-dev
	@$(PY) -m tests.faults soak $(ARGS)

quality: install-dev
	@$(PIP) -q -c .ci/constraints.txt -e '.[dev,quality]'
	@$(PY) -m training.proof.quality $(ARGS)

damage: install-dev
	@$(PY) -m tests.damage $(ARGS)

fuzz: install-dev
	@$(PY) -m pytest tests/unit/web/upload tests/fuzz -k "fuzz or differential" --hypothesis-profile=hour -o timeout=0 $(ARGS)
	@GONOGO_DOCUMENT_S=600 $(PY) -m pytest tests/integration/test_http_document.py -o timeout=0
	@$(PY) -m tests.damage.fuzz 600

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

$(VENV)/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || { echo "gonogo: no $(PYTHON) here: install Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "gonogo: $$($(PYTHON) -V) is too old: name a newer one, make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "gonogo: $(PYTHON) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# The stamps are written last, so an install that was broken off is begun again.
$(VENV)/.installed: pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "installing gonogo into $(VENV) (a minute or two, about 300 MB)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml .ci/constraints.txt .ci/lock/dev.txt | $(VENV)/pyvenv.cfg
	@echo "installing what tests and training need into $(VENV) (some minutes, about 6 GB with torch)"
ifdef CI
	@$(PIP) --require-hashes -r .ci/lock/dev.txt
	@$(PIP) --no-deps -e .
else
	@$(PIP) -c .ci/constraints.txt -e '.[dev]'
endif
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo-data build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find web worker shared training tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# Two commands: `make demo` (train, export, verify, print) and `make test` (the whole suite).
# Needs python3 with pip; everything else comes from PyPI into .venv.
PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt

.PHONY: demo test lint clean

demo: .venv/ready
	$(BIN)/python examples/digits.py --out build/demo

test: .venv/ready lint
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

lint: .venv/ready
	$(BIN)/ruff check .

# Debian's python3 may lack ensurepip (package python3-venv): then virtualenv makes the same.
.venv/ready: setup.py pyproject.toml constraints.txt
	@echo "Installing into .venv: about a minute and 3 GB (TensorFlow)."
	$(PYTHON) -m venv .venv || { \
	  rm -rf .venv; \
	  $(PYTHON) -m pip install -q --target .tools virtualenv && \
	  PYTHONPATH=.tools $(PYTHON) -m virtualenv -q .venv; }
	$(BIN)/python -m pip install -q --no-compile -e ".[export,cli,mcu,report,tfmot,dev]"
	touch $@

clean:
	rm -rf build dist .venv .tools *.egg-info

# Every target sets up what it needs by itself; `make demo` and `make test` work on a fresh machine.
#
#   make demo             train on 1,797 real digits and name two photographs
#   make test             the tests
#   make test-all         all of them: also the slow ones and the comparisons with other frameworks; REST=1 leaves out
#                         what make test runs, GRIDS=0 long grids of cases too
#   make check            ruff, types, the floors of the house (seconds)
#   make sanitize         a fuzz of the kernels under sanitizers; needs gcc (two minutes)
#   make accept TOPIC=road  what a topic must show (minutes to hours); ONLY=2,5 picks lines; without TOPIC, the topics
#   make bench            speed and memory against peers, alternated (half an hour); ONLY=training,memory picks
#                         sections, QUICK=1 runs one round of each; writes docs/benchmarks.md; the peers of detection
#                         take 6 GB, other sections need them not
#   make setup            only the environment, .venv, and the kernels
#   make clean            remove caches and environments

.PHONY: help setup setup-oracle setup-peers setup-detectors demo test test-all check sanitize accept bench clean
.DEFAULT_GOAL := help

PYTHON ?= python3
# -qq: errors only; index folders that are empty are warned about one by one otherwise.
PIP := -m pip install -qq --disable-pip-version-check
BIN := .venv/bin/python

help:
	@sed -n 's/^#  //p' Makefile

# An environment is out of date when what it was made from is newer than its stamp.
.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Striate needs Python 3.11 or newer; name one with: make PYTHON=python3.11 ...")'
	@echo "setting up .venv (a few minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN) $(PIP) --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Oracles and peers never enter the project's own environment; they exchange arrays by file.
.venv-oracle/.ready: tests/oracle/requirements.txt
	@echo "setting up .venv-oracle (what the oracle tests compare with)"
	@$(PYTHON) -m venv .venv-oracle
	@.venv-oracle/bin/python $(PIP) --requirement tests/oracle/requirements.txt
	@touch $@

.venv-peers/.ready: bench/requirements.txt
	@echo "setting up .venv-peers (what the benchmarks run against)"
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python $(PIP) --requirement bench/requirements.txt
	@touch $@

.venv-detectors/.ready: bench/requirements-detectors.txt
	@echo "setting up .venv-detectors (6 GB: the detectors that the benchmarks run against)"
	@$(PYTHON) -m venv .venv-detectors
	@.venv-detectors/bin/python $(PIP) --requirement bench/requirements-detectors.txt
	@touch $@

# The installation builds the kernels; here they are built again when their sources are newer.
KERNELS := $(wildcard striate/ops/native/*.[ch] striate/base/compiling/*.py)
.venv/.kernels: .venv/.ready $(KERNELS)
	@$(BIN) -c "from striate.base.compiling import installing, sources; installing.build(sources.INSTALLED, print)"
	@touch $@

setup: .venv/.kernels
setup-oracle: .venv-oracle/.ready
setup-peers: .venv-peers/.ready
setup-detectors: .venv-detectors/.ready

# Its threads wait for each other as those of the command line do (striate/base/spinning.py).
demo: setup
	@GOMP_SPINCOUNT=$${GOMP_SPINCOUNT:-1500} $(BIN) examples/demo.py

test: setup
	$(BIN) -m pytest -m "not slow and not oracle"

test-all: setup setup-oracle
	$(BIN) -m pytest $(if $(REST),-m "slow or oracle") $(if $(filter 0,$(GRIDS)),--no-grids)

check: setup
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m mypy
	$(BIN) -m pytest -q tests/test_architecture.py

sanitize: setup
	@$(BIN) -m tests.ops.native.sanitize

accept: setup
	@$(BIN) -m accept $(TOPIC) $(if $(ONLY),--only $(ONLY))

# Of all sections, or of those that are named, only detection has these peers.
bench: setup setup-peers $(if $(findstring detection,$(or $(ONLY),detection)),setup-detectors)
	@$(BIN) -m bench $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

clean:
	rm -rf striate/ops/native/built .venv .venv-oracle .venv-peers .venv-detectors .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

# Sets itself up: needs Python 3.10 or newer, a C++ compiler and make. `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD := build/editable

# What is tested is what is installed.
unexport PYTHONPATH

# Stamps: each step runs again only when what it rests on has changed.
TOOLS := $(VENV)/.tools
INSTALLED := $(VENV)/.installed
FRAMEWORKS := $(VENV)/.frameworks
PEERS := $(VENV)/.peers
NATIVE := CMakeLists.txt cpp/CMakeLists.txt cuda/CMakeLists.txt cmake/cuda.cmake \
          $(shell find cpp/bindings cpp/include cpp/src cuda/bindings cuda/src -name "*.[ch]*")

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test cpp-test install lint types stubs stubs-check sanitize gpu smoke clean \
        bench bench-check bench-baseline bench-document \
        instructions instructions-baseline instructions-program

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

demo: $(INSTALLED)  ## train five small networks on real digits, audit them, write demo/report.html
	$(BIN)/neurocensus demo --out demo

test: cpp-test $(FRAMEWORKS) $(PEERS)  ## the C++ unit tests, the Python tests, each benchmark once
	$(BIN)/python -m pytest benchmarks --short -q
	$(BIN)/python -m pytest

cpp-test: $(INSTALLED)  ## the C++ unit tests
	$(BIN)/cmake --build $(BUILD) --target cpp_tests
	$(BIN)/ctest --test-dir $(BUILD) --output-on-failure

install: $(INSTALLED)  ## set up .venv and build the compiled core (other targets do it by themselves)

$(TOOLS): constraints.txt pyproject.toml scripts/preflight.sh
	@sh scripts/preflight.sh "$(PYTHON)"
	@echo "Setting up $(VENV); the first time takes a few minutes."
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	@touch $@

# Editable: changes in Python need no step at all. Built incrementally in $(BUILD).
$(INSTALLED): $(TOOLS) $(NATIVE) src/neurocensus/_version.py
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[experiments,pandas,prune]'
	@touch $@

# What neurocensus plugs into: the tests use the real packages, the demo needs none of them.
$(FRAMEWORKS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable \
	    '.[keras,lightning,ray,tensorboard,transformers,wandb]'
	@touch $@

# What the benchmarks set neurocensus beside.
$(PEERS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	@touch $@

lint: $(INSTALLED)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(FRAMEWORKS)  ## mypy --strict
	$(BIN)/mypy

stubs: $(INSTALLED)  ## write src/neurocensus/_core.pyi from the compiled core
	$(BIN)/python scripts/stubs.py

stubs-check: $(INSTALLED)  ## is it what the compiled core says?
	$(BIN)/python scripts/stubs.py --check

sanitize: $(TOOLS)  ## the C++ unit tests under the address and undefined-behaviour sanitizers
	$(BIN)/cmake --preset sanitize -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja
	$(BIN)/cmake --build --preset sanitize
	$(BIN)/ctest --preset sanitize

# Benchmarks that are to be believed need a machine that does nothing else.
bench: $(PEERS)  ## all benchmarks, about 20 minutes: build/bench.json, and its tables in build/bench.md
	mkdir -p build
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-quiet --benchmark-json=build/bench.json
	$(BIN)/python -m benchmarks.harness report build/bench.json > build/bench.md

bench-document:  ## docs/benchmarks.md and its plots, from build/bench.json
	@test -e build/bench.json || { echo "build/bench.json is not there; make bench writes it" >&2; exit 1; }
	$(BIN)/python -m benchmarks.harness document build/bench.json

RUNS ?= 5
bench-check: $(PEERS)  ## has a ratio become worse than its baseline on this machine? up to 5 minutes
	$(BIN)/python -m benchmarks.harness check

bench-baseline: $(PEERS)  ## write that baseline, from RUNS=5 whole runs
	$(BIN)/python -m benchmarks.harness baseline --runs $(RUNS)

instructions-program: $(INSTALLED)
	$(BIN)/cmake --preset instructions -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja
	$(BIN)/cmake --build --preset instructions

instructions: instructions-program  ## count the core's instructions under valgrind: no more than the baseline's?
	$(BIN)/python -m benchmarks.instructions

instructions-baseline: instructions-program  ## write that baseline
	$(BIN)/python -m benchmarks.instructions --write

# No .venv here: a machine with a GPU often reaches no registry, and has a Python with torch on it.
OUT ?= build/gpu/out
STAGES ?=
ARCHITECTURES ?=
gpu:  ## build with CUDA, test and measure on this machine's GPU, download nothing; see benchmarks/
	@command -v "$(PYTHON)" >/dev/null || \
	    { echo "no '$(PYTHON)' found; name the Python that holds torch: make gpu PYTHON=/path/to/python3" >&2; exit 1; }
	@PYTHONPATH="$(PYTHONPATH)" "$(PYTHON)" -m benchmarks.gpu --out "$(OUT)" --stages "$(STAGES)" \
	    --architectures "$(ARCHITECTURES)"

smoke: $(TOOLS)  ## sdist, then wheel, then a clean environment that uses it
	sh scripts/smoke.sh $(BIN)/python

clean:  ## remove everything that these targets made
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks

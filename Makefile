# autointerp: `make help` lists what can be made.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH ?= quick
STAMP := $(VENV)/.setup-stamp
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check format browser interop llama contracts bench bench-judge wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything pinned (torch first: a CPU machine then takes the CPU build)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "autointerp needs Python 3.11 or newer; set PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[models,dev]'
	@touch $@

demo: setup ## measure the embedded subject end to end, offline, and print its leaderboard
	$(BIN)/autointerp demo

browser: ## install Chromium for the report page's tests, where that is allowed
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq >/dev/null 2>&1; apt-get install -yqq --no-install-recommends chromium >/dev/null 2>&1; fi; \
	  command -v chromium >/dev/null || echo "no Chromium: the report page's browser tests will be skipped (apt-get install chromium)"; }

test: setup browser ## run the tests (small versions of everything)
	$(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder -m "not full and not cuda"

test-all: setup browser ## run every test, the long ones too
	$(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder --hypothesis-profile many

check: setup ## ruff, pyright, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: setup ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

interop: setup ## SAELens and sparsify read what we export, and the fixtures of all tools are made anew and compared
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/interop/make_fixtures.py --check
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/interop/read_back.py

bench-judge: setup ## measure how judges are asked, against other clients, BENCH=quick or full (results/bench)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.judge_speed --size $(BENCH)

llama: setup ## build llama-cpp-python's server (10 minutes) and hold the judge against it (needs ../shared/data)
	@test -x benchmarks/.envs/llama_cpp/bin/python || $(PYTHON) -m venv benchmarks/.envs/llama_cpp
	CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_OPENMP=OFF" benchmarks/.envs/llama_cpp/bin/python -m pip install --quiet \
	  --disable-pip-version-check 'llama-cpp-python[server]==0.3.36' gguf==0.19.0
	$(PYTEST) tests/integration/test_real_server.py -m llama

contracts: setup ## read the interface of the pinned vLLM wheel (330 MB, downloaded once) and fail where the record differs
	$(BIN)/python tests/contracts/record_vllm.py --check

bench: setup ## measure speed and memory against the peers, BENCH=quick or full (results/bench)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.training_speed --size $(BENCH)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.inference_speed --size $(BENCH)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.encoder_speed --size $(BENCH)

wheel: setup ## build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## remove the environment and everything built
	rm -rf $(VENV) build dist

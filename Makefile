# Everything from a fresh clone; see `make help`. Needs Python 3.11 or newer with venv and pip, a
# C++20 compiler (gcc 12 or newer, or clang) and make; the rest comes from PyPI into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST_ARGS ?=
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
# the whole suite goes to a few processes, each with a torch of its own; chosen tests to one
WORKERS ?= $(if $(PYTEST_ARGS),0,$(shell echo $$(( $(JOBS) < 4 ? $(JOBS) : 4 ))))
PYTEST := python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

# a compiler that the user named, not make's own default
CXX_ASKED := $(if $(filter default undefined,$(origin CXX)),,$(CXX))

# a virtual environment that is active, or PYTHONPATH, must not leak into ours
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)

# Python sources are used in place; these are what a build depends on. A directory is newer when a
# file in it came or went.
cpp_sources := $(shell find cpp -type f 2>/dev/null)
build_sources := pyproject.toml CMakeLists.txt $(cpp_sources) src/tensorcast/__init__.py \
                 src/tensorcast/formats.py src/tensorcast/policy.py src/tensorcast/errors.py \
                 $(shell find src -type d -not -name __pycache__)

# prints the requirements of some extras: $(call extras,test lint)
extras = $(BIN)/python -c 'import sys, tomllib; \
	extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	print(*(line for name in sys.argv[1:] for line in extras[name]), sep="\n")' $(1)

.PHONY: help
help:  ## print this
	@echo "make <target>, each from a fresh clone:"
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
	  | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo "PYTHON=... picks the interpreter, CXX=... the compiler, PYTEST_ARGS=... goes to pytest."

# -- environment and build ------------------------------------------------------------------------

# PYTHON, or else the first of these that is 3.11 or newer and can make environments
$(STAMPS)/venv:
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	      2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "no Python 3.11 or newer with venv and ensurepip found; install one, or name it:" \
	       "make PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$($$found --version)"; \
	$$found -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# pip install . would fetch these into a fresh environment for every build; kept here, a rebuild
# is incremental and needs no network
$(STAMPS)/build-tools: $(STAMPS)/venv pyproject.toml | compiler
	@echo "installing the build tools"
	@$(PIP) install "scikit-build-core>=0.11" "cmake>=3.26" ninja
	@touch $@

$(STAMPS)/dependencies: $(STAMPS)/venv pyproject.toml
	@echo "installing what tensorcast needs"
	@$(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
	  | $(PIP) install -r /dev/stdin
	@touch $@

$(STAMPS)/built: $(STAMPS)/build-tools $(STAMPS)/dependencies $(build_sources)
	@echo "building and installing tensorcast: one to two minutes the first time"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

# one sentence in place of what CMake and pip would say
.PHONY: compiler
compiler:
	@for name in $(or $(CXX_ASKED),c++ g++ clang++); do \
	  if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	echo "No C++ compiler was found$(if $(CXX_ASKED), under the name $(CXX_ASKED))." \
	  "Install g++ 12 or newer, or clang, then repeat." >&2; \
	echo "Debian and Ubuntu: apt install g++. Fedora: dnf install gcc-c++. macOS: xcode-select" \
	  "--install. If one is installed elsewhere: make CXX=/path/to/g++" >&2; \
	exit 1

.PHONY: build
build: $(STAMPS)/built  ## build, and install into .venv; Python sources are used in place

# -- jobs -----------------------------------------------------------------------------------------

.PHONY: demo
demo: announcement $(STAMPS)/built  ## convert real weights (MiniLM) to bfloat16, say what was lost, verify
	@$(BIN)/python examples/demo.py

# first of all, so that nobody waits without a word
.PHONY: announcement
announcement:
	@if [ ! -e $(STAMPS)/built ]; then \
	  echo "The demo takes two to four minutes the first time. Its steps:"; \
	  echo "  1. make a Python environment in $(VENV) and install the build tools"; \
	  echo "  2. build tensorcast: one to two minutes"; \
	  echo "  3. download the weights of a small model (84 MB)"; \
	  echo "  4. convert them to bfloat16, show what was lost, compare the two: seconds"; \
	fi

$(STAMPS)/test-tools: $(STAMPS)/venv pyproject.toml
	@echo "installing the test tools"
	@$(call extras,test) | $(PIP) install -r /dev/stdin
	@touch $@

# torch, transformers and the real weights are tried; a test that lacks one is skipped by name
.PHONY: interop
interop: $(STAMPS)/built $(STAMPS)/test-tools
	@if [ ! -e $(STAMPS)/interop -o pyproject.toml -nt $(STAMPS)/interop ]; then \
	  echo "installing torch and transformers for the tests"; \
	  if $(call extras,test-interop) | $(PIP) install -r /dev/stdin; then \
	    touch $(STAMPS)/interop; \
	  else \
	    echo "not installed: the tests that need torch or transformers are skipped" >&2; \
	  fi; \
	fi
	@$(BIN)/python examples/demo.py --only-weights \
	  || echo "not fetched: the tests that need real weights are skipped" >&2

# cpp/tests as programs: $(call native,DIRECTORY,SANITIZERS)
native = mkdir -p $(1); \
	$(BIN)/cmake -S . -B $(1) -G Ninja \
	  -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python \
	  -DTENSORCAST_NATIVE_TESTS=ON -DTENSORCAST_SANITIZE=$(2) >$(1)/configure.log \
	  || { cat $(1)/configure.log; exit 1; }; \
	$(BIN)/cmake --build $(1)

.PHONY: native
native: $(STAMPS)/build-tools  ## build cpp/tests into build/native, for the tests to run
	@$(call native,build/native,)

.PHONY: test
test: interop native  ## the tests, in a few minutes
	@$(BIN)/$(PYTEST)

.PHONY: test-quick
test-quick: interop native  ## a part of the tests, for work: under two minutes
	@$(BIN)/$(PYTEST) --quick

# the other frameworks, which only the full run installs: close to a gigabyte
.PHONY: frameworks
frameworks: interop
	@if [ ! -e $(STAMPS)/frameworks -o pyproject.toml -nt $(STAMPS)/frameworks ]; then \
	  echo "installing JAX, TensorFlow, pyarrow and Pillow for the tests"; \
	  if $(call extras,interop) | $(PIP) install -r /dev/stdin; then \
	    touch $(STAMPS)/frameworks; \
	  else \
	    echo "not installed: the tests that need them are skipped" >&2; \
	  fi; \
	fi

.PHONY: test-exhaustive
test-exhaustive: frameworks native  ## the full run: every kernel against the reference, fuzzing
	@$(BIN)/$(PYTEST) --exhaustive

# use counts are private interfaces of torch: tried against another version than the tests' own
TORCH ?= 2.6.0
OTHER := build/venvs/torch-$(TORCH)
.PHONY: test-torch
test-torch: $(STAMPS)/venv  ## the tests of casts in place against another torch, TORCH=2.6.0
	@[ -x $(OTHER)/bin/python ] || $(BIN)/python -m venv $(OTHER)
	@$(OTHER)/bin/python -m pip --disable-pip-version-check --quiet install torch==$(TORCH) ".[test]"
	@$(OTHER)/bin/python -m pytest tests/inplace/test_inplace.py tests/inplace/test_inplace_modules.py tests/inplace/test_inplace_pages.py \
	  tests/inplace/test_inplace_sharing.py $(PYTEST_ARGS)

.PHONY: test-sanitize
test-sanitize: $(STAMPS)/build-tools  ## cpp/tests under ASan + UBSan, then under TSan
	@for sanitizers in address,undefined thread; do \
	  echo "== $$sanitizers"; \
	  dir=build/sanitize-$${sanitizers%,*}; \
	  $(call native,$$dir,$$sanitizers); \
	  $(without_aslr) $(BIN)/ctest --test-dir $$dir --output-on-failure --no-tests=error; \
	done

# the extension itself under ASan + UBSan, in a copy of the package, by the tests of what it reads and
# writes: SANITIZED_TESTS=tests/kernels/test_fast.py runs one file
SANITIZED := build/sanitize-extension
SANITIZED_TESTS ?= $(addprefix tests/,kernels/test_fast.py kernels/test_stream.py core/test_loss.py \
  bridges/test_sequences.py bridges/test_pil.py bridges/test_pil_rows.py \
  bridges/test_bridge_properties.py bridges/test_lifetimes.py api/test_images.py api/test_arrays.py \
  api/test_tensors.py api/test_tensors_numpy.py api/test_packed.py api/test_way_out.py \
  inplace/test_inplace.py inplace/test_inplace_modules.py inplace/test_inplace_pages.py \
  test_buffer.py checkpoint/work/test_running.py)
# in place of the editable install, whose finder comes before any path
define sanitized
import sys
sys.meta_path[:] = [each for each in sys.meta_path if "Redirecting" not in type(each).__name__]
sys.path.insert(0, "$(SANITIZED)/src")
import pytest, tensorcast._core
assert "$(SANITIZED)" in tensorcast._core.__file__, tensorcast._core.__file__
sys.exit(pytest.main(sys.argv[1:]))
endef
test-sanitize-extension: export sanitized := $(sanitized)
.PHONY: test-sanitize-extension
test-sanitize-extension: interop  ## the Python tests on an extension built with ASan + UBSan (gcc)
	@mkdir -p $(SANITIZED)/build
	@$(BIN)/cmake -S . -B $(SANITIZED)/build -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	  -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -DTENSORCAST_SANITIZE=address,undefined >/dev/null
	@$(BIN)/cmake --build $(SANITIZED)/build
	@rm -rf $(SANITIZED)/src && cp -r src $(SANITIZED)/src
	@cp $(SANITIZED)/build/_core*.so $(SANITIZED)/src/tensorcast/_core.abi3.so
	@cc=$(or $(CC),gcc); libraries() { for name in "$$@"; do $$cc -print-file-name=$$name; done; }; \
	LD_PRELOAD="$$(libraries libasan.so libubsan.so libstdc++.so.6 | tr '\n' ' ')" \
	  ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1 \
	  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 PYTHONMALLOC=malloc \
	  $(BIN)/python -c "$$sanitized" -p no:cacheprovider $(SANITIZED_TESTS) $(PYTEST_ARGS)

# gcc 12's ThreadSanitizer cannot map its shadow under the address randomization of newer kernels
without_aslr = $(shell setarch -R true 2>/dev/null && echo setarch -R)

.PHONY: bench
bench: interop  ## the benchmarks; results as JSON in bench/results
	@$(BIN)/python -m bench

$(STAMPS)/lint-tools: $(STAMPS)/venv pyproject.toml
	@echo "installing ruff and mypy"
	@$(call extras,lint) | $(PIP) install -r /dev/stdin
	@touch $@

.PHONY: lint
lint: interop $(STAMPS)/lint-tools  ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: format
format: $(STAMPS)/lint-tools  ## let ruff format and fix the Python sources
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: clean
clean:  ## remove the environment and everything built
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# The project's commands. Each works in an environment of its own, made from the lists in pyproject.toml and nothing
# else, so that a missing dependency shows. They need python3 (>= 3.11, with venv), make and a C compiler.

PYTHON ?= python3
DATA ?=
AARCH64 ?= aarch64-linux-gnu-

# What each environment holds: an extra and groups of pyproject.toml.
EXTRA_demo := [demo]
EXTRA_test := [demo]
EXTRA_oracle := [demo]
EXTRA_bench := [plot]
EXTRA_sklearn := [sklearn,progress]
GROUPS_test := --group test
GROUPS_oracle := --group test --group oracle
GROUPS_bench := --group bench
GROUPS_peers := --group peers
GROUPS_lint := --group test --group lint

EDITABLE := .venv/build/editable
PYX := $(shell find src -name '*.pyx')
CSRC := $(shell find csrc -name '*.[ch]')
COMPILED := setup.py csrc/isa/levels.toml $(PYX) $(CSRC) $(shell find src -name '*.pxd')
MODULES := $(subst /,.,$(PYX:src/%.pyx=%))

.PHONY: help demo test test-all test-sklearn test-sanitized mutants kills fuzz limits bench bench-ops bench-sweep \
	bench-peers bench-calls bench-sklearn bench-diagnosis instructions docs-figures lint stubtest check-isa check-neon format wheel clean
.SECONDARY:
.NOTPARALLEL:

help:
	@echo "make demo      train the demo net and compare (DATA=DIR: where the IDX files are)"
	@echo "make test      the test suite without its slow tests, some cases of long ones; make test-all: all"
	@echo "make test-sklearn: the estimators with each version of scikit-learn (VERSIONS=\"1.6 1.9\" for some)"
	@echo "make mutants   change terms of compiled kernels, and see that tests fail"
	@echo "make fuzz      change files at random, and diagnose random trainings: is there a clean answer each time?"
	@echo "make kills     kill fits with checkpoints at random times, and see that resumed fits have the same bits"
	@echo "make limits    what one core can do at most: multiply-adds, divisions, bandwidth"
	@echo "make bench     the limits, the benchmarks, then their speed-ups and the steps' shares of their rooflines"
	@echo "make bench-ops: where a step's time goes; make bench-sweep: its time by width, batch and depth"
	@echo "make bench-peers: the same steps, epochs and kernels in other libraries (a large install)"
	@echo "make bench-calls: one prediction, one step, one kernel: what a call costs, here and in other libraries"
	@echo "make instructions: whether steps and calls take more instructions than the kept counts (needs valgrind)"
	@echo "make bench-sklearn: fits and predictions beside scikit-learn's (DATA=DIR: where the IDX files are)"
	@echo "make bench-diagnosis: how often fastnn.diagnose finds faults, and how often it finds some in healthy nets"
	@echo "make docs-figures: keep what the benchmarks have measured, write the tables and draw the pictures of docs"
	@echo "make lint      every static check; make format: mend what can be mended"
	@echo "make wheel     sdist and wheel in dist/, checked"
	@echo "make clean     remove environments and build products"

demo: .venv/demo/ready build/native
	.venv/demo/bin/python -m fastnn demo $(if $(DATA),--data $(DATA))

# A worker for each core: all take whatever test is next. ARGS="-n 0" for a debugger. pytest-benchmark has nothing to do
# here, and would warn of workers.
SHARED := -n auto --dist worksteal -p no:benchmark

test: .venv/test/ready build/native
	.venv/test/bin/python -m pytest $(SHARED) -m "not slow" $(ARGS)

# With PyTorch, which some tests compare with and are skipped without.
test-all: .venv/oracle/ready build/native
	.venv/oracle/bin/python -m pytest bench -q --benchmark-disable $(ARGS)
	.venv/oracle/bin/python -m pytest $(SHARED) $(ARGS)

# Does a test fail when a term of a compiled kernel is changed? Takes some minutes, in a copy of the checkout.
mutants: .venv/test/ready .venv/build/ready
	.venv/test/bin/python tools/mutate.py --builder .venv/build/bin/python $(ARGS)

# Does a fit that is killed at any time end as one that is not? Takes some minutes. ARGS="--kills 20" for a few kills.
kills: .venv/test/ready build/native
	.venv/test/bin/python tools/kills.py $(ARGS)

# Is every damaged file refused cleanly? ARGS="--seconds 60 --seed 1" for other lengths and files.
fuzz: .venv/test/ready build/native
	.venv/test/bin/python tools/fuzz_files.py --seconds 300 $(ARGS)
	.venv/test/bin/python tools/fuzz_diagnose.py --seconds 300 $(ARGS)

# The estimators with each version of scikit-learn that they support, and libraries of its time: the groups sklearn-* of
# pyproject.toml. VERSIONS="1.6 1.9" for some of them.
VERSIONS ?= $(shell sed -n 's/^"sklearn-\(.*\)" = .*/\1/p' pyproject.toml)
test-sklearn: $(VERSIONS:%=test-sklearn-%)

$(VERSIONS:%=test-sklearn-%): test-sklearn-%: .venv/sklearn-%/ready build/native
	.venv/sklearn-$*/bin/python -m pytest $(SHARED) tests/sklearn src/fastnn/sklearn $(ARGS)

# The suite over code that checks its own memory accesses and arithmetic, but for the time of an import. The sanitizers'
# runtime is loaded first.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
test-sanitized: private export CFLAGS := $(SANITIZE)
test-sanitized: private export LDFLAGS := $(SANITIZE)
test-sanitized: private export FASTNN_DEBUG := 1
test-sanitized: .venv/test/ready
	rm -rf build && find src -name '*.so' -delete
	.venv/build/bin/python setup.py --quiet build_ext --inplace
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
		.venv/test/bin/python -m pytest --capture=sys -m "not slow" \
		--deselect tests/test_import.py::test_import_is_light $(ARGS)
	rm -rf build && find src -name '*.so' -delete

limits: .venv/bench/ready build/native
	.venv/bench/bin/python -m bench.run.limits build/limits.json

bench: limits
	.venv/bench/bin/python -m pytest bench -q --benchmark-only --benchmark-sort=name \
		--benchmark-columns=median,iqr,rounds --benchmark-json=build/bench.json $(ARGS)
	.venv/bench/bin/python -m bench.run.ratios build/ratios.json
	.venv/bench/bin/python -m bench.run.limits --steps build/ratios.json build/limits.json
	.venv/bench/bin/python -m bench.run.ratios --table build/ratios.json

# bench-ops and bench-sweep use the limits of an earlier run, so that they can be resumed.
build/limits.json:
	$(MAKE) limits

bench-ops: .venv/bench/ready build/native build/limits.json
	.venv/bench/bin/python -m bench.run.ops $(ARGS) build/ops.json
	.venv/bench/bin/python -m bench.run.ops --isa avx2 $(ARGS) build/ops-avx2.json

bench-sweep: .venv/bench/ready build/native build/limits.json
	.venv/bench/bin/python -m bench.run.sweep $(ARGS)

# At the best level and at avx2, where the peers are limited to that level too.
bench-peers: .venv/peers/ready build/native
	.venv/peers/bin/python -m bench.run.peers $(ARGS) build/peers.json
	.venv/peers/bin/python -m bench.run.peers --isa avx2 $(ARGS) build/peers-avx2.json
	.venv/peers/bin/python -m bench.run.peers --table build/peers.json build/peers-avx2.json

bench-calls: .venv/peers/ready build/native
	.venv/peers/bin/python -m bench.run.calls $(ARGS) build/calls.json
	.venv/peers/bin/python -m bench.run.calls --table build/calls.json

# DATA=DIR names the folder of Fashion-MNIST's IDX files.
bench-sklearn: .venv/peers/ready build/native
	.venv/peers/bin/python -m bench.run.estimators $(if $(DATA),--data $(DATA)) $(ARGS) build/sklearn.json

# With the environment of the tests, which has scikit-learn, whose data are among the tasks.
bench-diagnosis: .venv/test/ready build/native
	.venv/test/bin/python -m bench.run.diagnosis --published --proof $(ARGS) build/diagnosis.json

instructions: .venv/bench/ready build/native
	.venv/bench/bin/python -m bench.run.instructions --compare bench/results/instructions.json

docs-figures: .venv/bench/ready
	.venv/bench/bin/python -m bench.run.pages --keep --figures
	.venv/bench/bin/python -m bench.run.findings

lint: .venv/lint/ready build/native stubtest check-isa check-neon
	.venv/lint/bin/ruff check .
	.venv/lint/bin/ruff format --check .
	.venv/lint/bin/mypy
	PATH="$(CURDIR)/.venv/lint/bin:$$PATH" cython-lint src
	.venv/lint/bin/clang-format --dry-run -Werror $(CSRC)
	.venv/lint/bin/codespell
	.venv/lint/bin/python tools/mutate.py --check

# Do the stubs say what the compiled modules have?
stubtest: .venv/lint/ready build/native
	.venv/lint/bin/python -m mypy.stubtest --mypy-config-file pyproject.toml --ignore-disjoint-bases \
		--allowlist tools/stubtest-allow.txt $(MODULES)

# Are the instructions of an ISA level only in its own units?
check-isa: .venv/lint/ready build/native
	.venv/lint/bin/python tools/check_isa.py

# Do the NEON units compile, with the flags of csrc/isa/levels.toml? Needs a cross compiler, and passes without one.
check-neon: .venv/lint/ready build/native
	@if command -v $(AARCH64)gcc >/dev/null; then \
		CC=$(AARCH64)gcc AR=$(AARCH64)ar _PYTHON_HOST_PLATFORM=linux-aarch64 \
		.venv/build/bin/python setup.py --quiet build_clib && echo "the NEON units compile"; \
	else echo "no $(AARCH64)gcc here: the NEON units are not compiled"; fi

format: .venv/lint/ready
	.venv/lint/bin/ruff check --fix-only .
	.venv/lint/bin/ruff format .
	.venv/lint/bin/clang-format -i $(CSRC)

wheel: .venv/wheel/ready
	rm -rf dist build/lib.* build/bdist.*
	.venv/wheel/bin/python -m build
	.venv/wheel/bin/twine check --strict dist/*
	.venv/wheel/bin/check-wheel-contents dist
	.venv/wheel/bin/python tools/check_wheel.py dist/*.whl

clean:
	rm -rf .venv build dist src/*.egg-info
	find src tests bench tools -name '__pycache__' -prune -exec rm -rf {} +
	find src -name '*.so' -delete

# $(call environment,name,what): a fresh environment .venv/name that holds what.
define environment
	rm -rf .venv/$1
	$(PYTHON) -m venv .venv/$1
	.venv/$1/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv/$1/bin/python -m pip install --quiet $2
	touch .venv/$1/ready
endef

.venv/build/ready .venv/wheel/ready: .venv/%/ready: pyproject.toml
	$(call environment,$*,--group $*)

# What `pip install -e .` makes before it installs, made once for all environments.
$(EDITABLE)/made: .venv/build/ready
	rm -rf $(EDITABLE)
	.venv/build/bin/python -c "from setuptools import build_meta; build_meta.build_editable('$(EDITABLE)')" \
		>.venv/build/log 2>&1 || { cat .venv/build/log; exit 1; }
	touch $@

# The compiled parts in src/, up to date with their sources.
build/native: $(EDITABLE)/made $(COMPILED)
	.venv/build/bin/python setup.py --quiet build_ext --inplace
	touch $@

.venv/sklearn-%/ready: $(EDITABLE)/made
	$(call environment,sklearn-$*,"$$(echo $(EDITABLE)/*.whl)$(EXTRA_sklearn)" --group test --group sklearn-$*)

.venv/%/ready: $(EDITABLE)/made
	$(call environment,$*,"$$(echo $(EDITABLE)/*.whl)$(EXTRA_$*)" $(GROUPS_$*))

"""Benchmarks run on one core and one thread; their JSON has the machine and the versions."""

import functools

import pytest

from bench.lib import machine


def pytest_configure(config):
    if not config.getoption("benchmark_disable"):
        machine.prepare()


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["fastnn"] = machine.describe()


def isa():
    from fastnn import _native  # imports NumPy, which must follow `prepare`

    return _native.isa()


@functools.lru_cache(maxsize=1)
def functions_of(case):
    return case.make(case)


@pytest.fixture
def measure(benchmark):
    """Return a function that times one implementation of a case, in a group with the others.

    In pytest-benchmark's JSON the implementation is called "side".
    """

    def run(case, side):
        import numpy as np  # after `prepare`

        benchmark.group = case.id
        benchmark.extra_info.update(
            family=case.family,
            name=case.name,
            shape=case.shape,
            dtype=case.dtype,
            side=side,
            count=case.count,
            isa=isa(),
        )
        with np.errstate(over="ignore"):  # some hand-written formulas overflow, and yet the result is right
            benchmark(functions_of(case)[side])

    return run

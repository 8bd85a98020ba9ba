"""Benchmarks run on one core and one thread; their JSON says on what machine and with which versions."""

import functools

import machine
import pytest


def pytest_configure(config):
    if not config.getoption("benchmark_disable"):
        machine.prepare()


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["fastnn"] = machine.describe()


def isa():
    from fastnn import _native  # not before `prepare`

    return _native.isa()


@functools.lru_cache(maxsize=1)
def sides_of(case):
    return case.make(case)


@pytest.fixture
def measure(benchmark):
    """Return a function that times one side of a case, in a group with the others."""

    def run(case, side):
        import numpy as np  # not before `prepare`

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
        with np.errstate(over="ignore"):  # some formulas by hand overflow on their way to a right result
            benchmark(sides_of(case)[side])

    return run

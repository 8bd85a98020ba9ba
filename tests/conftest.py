"""Fixtures of all tests: the implementation under test, dtypes and random numbers."""

import contextlib
import signal
import zlib

import numpy as np
import pytest

import fastnn
from fastnn import _native

# Shells start background jobs with SIGINT ignored; tests that wait for Ctrl-C would then hang.
signal.signal(signal.SIGINT, signal.default_int_handler)

LEVELS = tuple(level for level, supported in _native.levels().items() if supported)


@contextlib.contextmanager
def implementation(name):
    """Run the block on the reference backend, or on the native one at the named ISA level."""
    if name == "reference":
        with fastnn.backend("reference"):
            yield name
        return
    before = _native.isa()
    _native.set_isa(name)
    try:
        with fastnn.backend("native"):
            yield name
    finally:
        _native.set_isa(before)


def pytest_collection_modifyitems(items):
    """Leave to `make test-all` what adds little.

    - The levels below the best one, except for the kernels, which alone differ by level.
    - All but one in n of the cases of a test that is marked ``sampled(n)``: of each backend at least one.
    """
    groups = {}
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        level = parameters.get("impl", parameters.get("native"))
        if level in LEVELS[:-1] and "/tests/kernels/" not in item.path.as_posix():
            item.add_marker(pytest.mark.slow)
        sampled = item.get_closest_marker("sampled")
        if sampled and not item.get_closest_marker("slow"):
            is_reference = "reference" in (level, parameters.get("backend"))
            group = item.nodeid.partition("[")[0], is_reference, sampled.args[0]
            groups.setdefault(group, []).append(item)
    for (_, _, n), cases in groups.items():
        cases.sort(key=lambda item: zlib.crc32(item.name.encode()))  # a choice that stays, and prefers no parameter
        for item in cases[-(-len(cases) // n) :]:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=("reference", *LEVELS))
def impl(request):
    """Run the test on the reference backend, and on the native one at every ISA level of this machine."""
    with implementation(request.param) as name:
        yield name


@pytest.fixture(params=LEVELS)
def native(request):
    """Run the test on the native backend at every ISA level of this machine."""
    with implementation(request.param) as name:
        yield name


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def rng(request):
    """Return a random generator whose seed depends on the test's name alone."""
    return np.random.default_rng(list(request.node.name.encode()))

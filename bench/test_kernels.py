"""Benchmarks of every kernel of the tests' table: native, reference, and NumPy by hand. ``-k dense`` picks a family.

`test_small_kernel` has what a call costs: kernels with `out=` at 64 x 64, beside NumPy's expressions with `out=`.
"""

import inspect

import numpy as np
import pytest

from bench.lib import small_kernels
from bench.lib.cases import IMPLEMENTATIONS, KERNELS, arguments_of, make_arguments
from fastnn import kernels, reference
from tests.specs import EXACT, SPECS, same_bits


@pytest.mark.parametrize(
    ("case", "side"),
    [pytest.param(case, name, id=f"{case.id}-{name}") for case in KERNELS for name in IMPLEMENTATIONS],
)
@pytest.mark.benchmark(max_time=0.1, min_rounds=3, disable_gc=True)
def test_kernel(case, side, measure):
    measure(case, side)
    if side == "native":
        spec, arguments = KERNELS[case][0], arguments_of(case)
        got = spec.call(kernels, arguments)
        if set(spec.tiers.values()) == {EXACT}:  # the oracles of these are slow Python code
            expected = spec.call(reference, arguments)
            for name in spec.tiers:
                same_bits(got[name], expected[name], name)
        else:
            spec.check(got, arguments)


@pytest.mark.parametrize(
    ("case", "side"),
    [
        pytest.param(case, name, id=f"{case.id}-{name}")
        for case in small_kernels.KERNELS
        for name in ("native", "numpy")
    ],
)
@pytest.mark.benchmark(max_time=0.1, min_rounds=3, disable_gc=True)
def test_small_kernel(case, side, measure):
    measure(case, side)


def draws(spec):
    """Whether a kernel draws random numbers: the NumPy code draws others."""
    return "seed" in inspect.signature(getattr(kernels, spec.function or spec.name)).parameters


# The NumPy code has no weights of rows.
SAME = [spec for spec in SPECS if not draws(spec) and "weighted" not in spec.name]


@pytest.mark.parametrize("spec", SAME, ids=lambda spec: spec.name.replace(" ", "_"))
def test_numpy_computes_the_same(spec):
    arguments = make_arguments(spec, spec.bench_shapes[0], "float64")
    expected = spec.call(kernels, arguments)
    with np.errstate(over="ignore"):
        got = spec.numpy(**arguments)
    if spec.out:
        names = (*spec.returns, spec.out) if spec.out == "grad" else spec.returns
        got = dict(zip(names, got if isinstance(got, tuple) else (got,), strict=False))
    else:
        got = {name: arguments[name] for name in spec.in_place}
    for name, value in got.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-10, err_msg=name)

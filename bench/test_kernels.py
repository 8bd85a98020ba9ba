"""Every kernel of the tests' table, in groups: native, reference, and NumPy by hand. ``-k dense`` picks a family."""

import numpy as np
import pytest
from cases import KERNELS, SIDES, arguments_of, make_arguments
from specs import EXACT, SPECS, same_bits

from fastnn import kernels, reference


@pytest.mark.parametrize(("case", "side"), [pytest.param(c, s, id=f"{c.id}-{s}") for c in KERNELS for s in SIDES])
@pytest.mark.benchmark(max_time=0.1, min_rounds=3, disable_gc=True)
def test_kernel(case, side, measure):
    measure(case, side)
    if side == "native":
        spec, arguments = KERNELS[case][0], arguments_of(case)
        got = spec.call(kernels, arguments)
        if set(spec.tiers.values()) == {EXACT}:  # oracles of these take Python's time
            expected = spec.call(reference, arguments)
            for name in spec.tiers:
                same_bits(got[name], expected[name], name)
        else:
            spec.check(got, arguments)


# By hand, random numbers are others, and weights of rows are left out.
SAME = [spec for spec in SPECS if spec.family != "dropout" and "weighted" not in spec.name]


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

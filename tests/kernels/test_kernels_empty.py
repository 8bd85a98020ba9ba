"""Empty arrays take no time and no memory, however many rows or columns without an entry they have."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import implementation
from specs import BY_NAME, SPECS

from fastnn import kernels

MANY = 2**40
PRIMES = (3, 5, 7)  # lengths of the axes, by which they are recognised in every argument


def empty_arguments(spec, many):
    """Return arguments with one length of 2**40 and all others 0; None where an argument would not be empty."""
    ndim = len(spec.shapes[-1])
    arguments = spec.make(np.random.default_rng(0), PRIMES[:ndim], np.dtype(np.float32))
    lengths = dict.fromkeys(PRIMES, 0) | {PRIMES[many]: MANY}
    for name, array in spec.inputs(arguments).items():
        shape = tuple(lengths.get(n, n) for n in array.shape)
        if 0 not in shape and MANY in shape:
            return None
        arguments[name] = np.empty(shape, array.dtype) if 0 in shape else array
    return arguments


CASES = [
    (spec.name, many)
    for spec in SPECS
    for many in range(len(spec.shapes[-1]))
    if empty_arguments(spec, many) is not None
]


def run(impl):
    """Print each case before it is called, so that the last line names the call that does not return."""
    with implementation(impl):
        for name, many in CASES:
            print(name, many, flush=True)
            spec = BY_NAME[name]
            try:
                results = spec.call(kernels, empty_arguments(spec, many))
            except (
                ValueError,
                MemoryError,
            ):  # some kernels refuse a batch without rows; some results have 2**40 entries
                continue
            assert all(np.size(a) < MANY for a in results.values())


@pytest.mark.parametrize("impl", ["reference", "native"])
def test_empty_arrays_take_no_time(impl):
    assert len(CASES) > len(SPECS)
    lines = [f"import sys; sys.path[:0] = {sys.path!r}", "import test_kernels_empty as t"]
    lines += ["from fastnn import _native", f"t.run({impl!r} if {impl!r} == 'reference' else _native.isa())"]
    command = [sys.executable, "-c", "\n".join(lines)]
    folder = str(Path(__file__).parent)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    try:
        printed, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        printed, _ = process.communicate()
        pytest.fail(f"it did not return within a minute: {printed.splitlines()[-1]}")
    assert process.returncode == 0, errors
    assert len(printed.splitlines()) == len(CASES)


@pytest.mark.parametrize("shape", [(MANY, 0), (0, MANY)])
def test_results_of_empty_arrays_have_their_shapes(shape, impl):
    x = np.empty(shape, np.float32)
    assert kernels.softmax(x).shape == kernels.log_softmax(x).shape == shape
    assert kernels.prelu(x, [0.5]).shape == shape
    dx, dslope = kernels.prelu_backward(x, x, np.array([0.5], np.float32))
    assert (dx.shape, dslope.tolist(), dslope.dtype) == (shape, [0], np.float32)
    assert kernels.softmax_backward(x, x).shape == kernels.log_softmax_backward(x, x).shape == shape
    assert kernels.limit_norms(x, 1.0) is x

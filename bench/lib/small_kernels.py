"""Public kernels on arrays of 64 x 64, with `out=`, beside NumPy's expressions, which allocate nothing either.

So small an array fits in the first-level cache, and what a call costs shows.
"""

import functools

import numpy as np

from bench.lib.cases import Case, copy_updated, make_arguments
from bench.lib.timing import fastest
from bench.lib.written import call_of, with_out
from fastnn import kernels
from tests.specs import SPECS

SHAPES = {"dense": (64, 64, 64), "optimizers": (4096,)}  # by family: of all arrays about 4096 entries
SMALL = (64, 64)
FAMILIES = ("dense", "activations", "normalization", "losses", "optimizers", "joins")


def shape_of(spec):
    of_family = SHAPES.get(spec.family, SMALL)
    return of_family if of_family in spec.bench_shapes else SMALL


def is_small(spec):
    """Whether a spec is measured: an update, or a kernel with `out` of these families that this fastnn has."""
    known = hasattr(kernels, spec.function or spec.name)
    return (
        known and spec.family in FAMILIES and (spec.out == "out" or "w" in spec.in_place) and "columns" not in spec.name
    )


def numpy_function(spec, arguments):
    """Return the faster form of the spec's NumPy expression: as it is written, or with `out=` everywhere.

    Some cannot be written with `out=`, as those that call functions of Python's `math`.
    """
    forms = {"as written": functools.partial(spec.numpy, **copy_updated(spec, arguments))}
    try:
        forms["with out="] = with_out(spec.numpy, copy_updated(spec, arguments))
    except ValueError:
        return forms["as written"]
    with np.errstate(all="ignore"):  # some expressions overflow, and yet the result is right
        return forms[fastest(forms)]


def functions_of(case):
    """Return the kernel and its NumPy expression."""
    spec, shape = KERNELS[case]
    arguments = make_arguments(spec, shape, case.dtype)
    more = {spec.out: spec.call(kernels, arguments)[spec.out]} if spec.out else {}
    ours = call_of(getattr(kernels, spec.function or spec.name), copy_updated(spec, arguments) | more)
    return {"native": ours, "numpy": numpy_function(spec, arguments)}


KERNELS = {
    Case("kernel", spec.name, "x".join(map(str, shape_of(spec))), "float32", functions_of): (spec, shape_of(spec))
    for spec in SPECS
    if is_small(spec)
}

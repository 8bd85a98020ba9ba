"""The specs of all kernels: what tests and benchmarks call them with, and what the results must be.

How to read a spec
------------------
A spec describes one kernel, or one variant of its arguments: "dense without bias" is a variant of the kernel `dense`.
There is a module for each family of kernels.

Which kernel it is:

- `name` is unique. `function` is the function of `fastnn.kernels`, where the name is not that itself.
- `family` is the module of kernels. `twin` is the function of the family's NumPy twin, `_<family>_ref.py`.

Its arguments:

- `make(rng, shape, dtype)` returns them by name. What a shape means is in the first line of the family's module.
- `shapes` are what most tests go through, empty ones among them. Those that need a single shape take `shapes[3]` or
  `shapes[4]`, which are small and not empty, or `shapes[-2]`, which has whole vectors and a remainder.
- `large_shape` is large enough to be split into blocks and over threads.
- `bench_shapes` are those of the benchmarks.

Its results:

- `returns` names what the kernel returns.
- `out` names the argument that takes a result: "out", "grad", or None if there is none.
- `in_place` names the arguments that the kernel updates.

What the results must be:

- `oracle(**arguments)` returns the value of each result in `tiers`, in that order. It is written from the formula, in
  wider arithmetic or with a rounding after each operation, and never from the kernel or its twin.
- `tiers` says of each result how close it must be: see below.
- `numpy(**arguments)` is what a user would write in NumPy: benchmarks compare with its time. It may overflow.

What is tested besides:

- `elementwise`: any input may be passed as `out`. `out_may_be` names the inputs of other kernels that may be.
- `row_arguments`: row i of the result depends on row i of these arguments, and on no other row.
- `edge_arguments` take NaN, infinities, denormals and zeros in a separate test: `edge_values`, or all kinds of
  floats where that is None. A spec names its values where others have no single right result, as sums that overflow.

Tiers
-----
EXACT
    The same bits.
Ulp(k), Ulp(k, argument_units=m)
    Within k units in the last place of the true value; with m, of the true value at some argument within m units of x.
    With m, the oracle returns the value and how far m units of x move it.
BOUND
    The oracle returns the value and a bound b for each element, in units of u, half the spacing of the dtype at 1. The
    result is within b u of the value. b is a forward error analysis: the number of roundings times the magnitudes that
    they apply to (Higham, 2002, chapter 3). The count is derived beside each bound. Where more is allowed than was
    counted, both numbers are there. Over all shapes, edge values, dtypes and levels of x86-64, the largest error
    measured is 0.58 of its bound.

An example
----------
`dense` is ``x @ w + b``. A shape is (rows, features, units):

>>> import numpy as np
>>> from fastnn import kernels
>>> from specs import BY_NAME
>>> spec = BY_NAME["dense"]
>>> arguments = spec.make(np.random.default_rng(0), (2, 3, 4), np.dtype("float32"))
>>> {name: array.shape for name, array in arguments.items()}
{'x': (2, 3), 'w': (3, 4), 'b': (4,)}
>>> spec.tiers
{'out': 'bound'}

Each of the three terms of an entry is rounded as a product and in at most three additions, the bias's among them, so
the bound is 4 |x| |w| + 4 |b|:

>>> value, bound = spec.oracle(**arguments)
>>> x, w, b = (np.abs(a.astype(np.float64)) for a in arguments.values())
>>> bool(np.allclose(bound, 4 * (x @ w + b), rtol=1e-15, atol=0))
True

`call` returns the results by name, and `check` raises AssertionError where one is not within its tier:

>>> results = spec.call(kernels, arguments)
>>> spec.check(results, arguments)
>>> spec.check({"out": results["out"] * np.float32(1.00001)}, arguments)  # doctest: +ELLIPSIS
Traceback (most recent call last):
AssertionError: dense: out ...

A new kernel needs a spec in its family's module. Tests, benchmarks and the table of docs/numerics.md take it from
there.
"""

from . import (
    activations,
    augmentation,
    dense,
    dropout,
    embedding,
    gather,
    joins,
    losses,
    normalization,
    numeric,
    optimizers,
    scaling,
    statistics,
)
from .dropout import mask_bits, philox_block
from .spec import BOUND, EXACT, Spec, Ulp, same_bits

__all__ = ["BOUND", "BY_NAME", "EXACT", "SPECS", "Spec", "Ulp", "mask_bits", "philox_block", "same_bits"]

# docs/numerics.md has this order.
FAMILIES = (
    dense,
    activations,
    dropout,
    normalization,
    losses,
    optimizers,
    gather,
    joins,
    embedding,
    scaling,
    numeric,
    augmentation,
    statistics,
)
SPECS = [spec for family in FAMILIES for spec in family.SPECS]
BY_NAME = {spec.name: spec for spec in SPECS}

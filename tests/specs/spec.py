"""The class of a spec, the tiers, the comparison of a result with its oracle, and helpers that the families share.

The package's docstring says how to read a spec.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# ---- the tiers: how close a result has to be ----

EXACT = "exact"
BOUND = "bound"


@dataclass(frozen=True)
class Ulp:
    """Within `k` units in the last place of the true value, at an argument within `argument_units` units of x."""

    k: float
    argument_units: int = 0

    def __str__(self):
        moved = f" at some x' within {self.argument_units} ULP of x" if self.argument_units else ""
        return f"{self.k:g} ULP{moved}"


# ---- the spec ----


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One kernel, or one variant of its arguments. The package's docstring says what each field means."""

    # Which kernel
    name: str
    function: str = ""
    family: str
    twin: str

    # Its arguments
    make: Callable[..., dict[str, Any]]
    shapes: tuple[tuple[int, ...], ...]
    large_shape: tuple[int, ...]
    bench_shapes: tuple[tuple[int, ...], ...]

    # Its results
    returns: tuple[str, ...] = ("out",)
    out: str | None = "out"
    in_place: tuple[str, ...] = ()

    # What the results must be
    oracle: Callable[..., Any]
    tiers: dict[str, Any]
    numpy: Callable[..., Any]

    # Which properties are tested besides
    elementwise: bool = False
    out_may_be: tuple[str, ...] = ()
    row_arguments: tuple[str, ...] = ()
    edge_arguments: tuple[str, ...] = ()
    edge_values: tuple[float, ...] | None = None

    @property
    def id(self):
        """The name, as part of a test's id."""
        return self.name.replace(" ", "_").replace(",", "")

    def call(self, module, arguments, **more):
        """Call the kernel of `module` on copies of the arrays that it updates, and return its results by name."""
        arguments = {k: a.copy() if k in self.in_place else a for k, a in arguments.items()}
        if self.out == "grad" and "grad" not in more:
            first = next(iter(arguments.values()))
            single = isinstance(first, np.ndarray) and first.itemsize == 4
            more["grad"] = np.empty(np.shape(first), np.float32 if single else np.float64)
        value = getattr(module, self.function or self.name)(**arguments, **more)
        results = dict(zip(self.returns, value if isinstance(value, tuple) else (value,), strict=True))
        results |= {k: arguments[k] for k in self.in_place}
        if self.out == "grad":
            results["grad"] = more["grad"]
        return results

    def inputs(self, arguments):
        """Return the arrays among the arguments."""
        return {k: a for k, a in arguments.items() if isinstance(a, np.ndarray)}

    def shareable(self, arguments):
        """Return the arrays that `out` may be."""
        return {k: a for k, a in self.inputs(arguments).items() if self.elementwise or k in self.out_may_be}

    def check(self, results, arguments, note=""):
        """Compare results with the oracle, each by its tier."""
        dtypes = [a.dtype for a in self.inputs(arguments).values() if a.dtype in (np.float32, np.float64)]
        dtype = dtypes[0] if dtypes else np.float64
        with np.errstate(all="ignore"):
            expected = self.oracle(**arguments)
            expected = dict(zip(self.tiers, expected if len(self.tiers) > 1 else (expected,), strict=True))
            for name, tier in self.tiers.items():
                compare(results[name], expected[name], tier, f"{self.name}: {name} {note}", dtype)


# ---- the comparison ----

# n roundings change a sum of magnitudes by at most n u / (1 - n u) of it (Higham, 2002, 3.1). An oracle's bound says
# n u; 1.01 covers the difference while n u < 0.0099, up to 166 000 roundings in float32. The shapes make a few
# thousand.
GAMMA_OVER_N_U = 1.01

# Below the normal numbers a result is rounded by up to half of `smallest_subnormal`, however small it is, and factors
# multiply that error later. The largest factors are batch norm's: 1 / sqrt(eps) = 316 times a gamma of about 4, 2^10.3.
# 2^14 allows 26 such roundings in a result. The largest error measured beyond a bound is about 5 units.
SUBNORMAL_UNITS = 2**14


def compare(got, expected, tier, note="", dtype=np.float64):
    """Assert that a result is within its tier, for arithmetic in this dtype.

    `expected` is what an oracle returns for the tier: the value, or the value and an error that is allowed.
    """
    got = np.asarray(got)
    if tier == EXACT:
        same_bits(got, expected, note)
        return
    has_error = tier == BOUND or tier.argument_units > 0
    value, error_allowed = expected if has_error else (expected, 0)
    assert got.shape == np.shape(value), f"{note}: shape {got.shape}, expected {np.shape(value)}"
    rounded = np.asarray(value).astype(got.dtype)
    special = ~np.isfinite(rounded)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    assert same[special].all(), f"{note}: {got[special & ~same]}, expected {rounded[special & ~same]}"
    if tier == BOUND:
        info = np.finfo(dtype)
        u = info.eps / 2
        allowed = GAMMA_OVER_N_U * error_allowed * u + SUBNORMAL_UNITS * info.smallest_subnormal
    else:
        allowed = tier.k * np.spacing(np.abs(rounded)) + error_allowed
    error = np.abs(got - value)
    wrong = ~special & ~(error <= allowed)
    assert not wrong.any(), (
        f"{note}: {wrong.sum()} of {wrong.size}, the first {got[wrong][0]!r}, "
        f"expected {np.asarray(value)[wrong][0]!r}; error / allowed is {np.max((error / allowed)[wrong])}"
    )


def same_bits(got, expected, note=""):
    """Assert equality of dtype, shape and bits, except that any NaN equals any other."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype and got.shape == expected.shape, (
        f"{note}: {got.dtype} {got.shape}, expected {expected.dtype} {expected.shape}"
    )
    if got.dtype.kind == "c":
        got, expected = (np.stack([each.real, each.imag]) for each in (got, expected))
    if got.dtype.kind == "f":
        differ = ~((got == expected) & (np.signbit(got) == np.signbit(expected)) | np.isnan(got) & np.isnan(expected))
    else:
        differ = got != expected
    assert not differ.any(), (
        f"{note}: {differ.sum()} of {differ.size} differ, the first {got[differ][0]!r}, "
        f"expected {expected[differ][0]!r}"
    )


# ---- arithmetic for oracles ----


def wide(a):
    """Return an array in a type with more digits: float64 for float32, long double for float64."""
    return a.astype(np.float64 if a.dtype == np.float32 else np.longdouble)


def rounder(a):
    """Return a function that rounds float64 to the dtype of `a`, and returns it as float64.

    An exact oracle rounds after each operation. For float32, rounding an operation to float64 and then to float32
    gives the same bits as rounding once, as float64 has more than twice as many digits (Figueroa, 1995).
    """
    return lambda value: np.asarray(value).astype(a.dtype).astype(np.float64)


def rounded_to(dtype, *values):
    """Return arrays or numbers, rounded to a dtype, as float64."""
    return [np.asarray(value).astype(dtype).astype(np.float64) for value in values]


# ---- arguments ----


def normal(rng, shape, dtype, scale=1.0):
    """Return normally distributed numbers."""
    return np.asarray(scale * rng.standard_normal(shape), dtype)


# Spec fields of kernels that work on any number of elements. The lengths are those around multiples of the vector
# widths, 2 to 16 elements; 2053 is a prime, larger than several groups of vectors.
ELEMENTWISE_SHAPES = {
    "shapes": (*((n,) for n in (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 61, 127, 2053)), (), (3, 5), (2, 3, 7)),
    "large_shape": (1_200_007,),
}
ELEMENTWISE = {**ELEMENTWISE_SHAPES, "bench_shapes": ((64, 64), (1024, 1024)), "elementwise": True}

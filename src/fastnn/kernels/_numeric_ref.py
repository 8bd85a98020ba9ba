"""NumPy twins of the encodings of columns of numbers, and of a factor for each column."""

import numpy as np

from fastnn._typing import Array
from fastnn.kernels._bins import Bins, numbers


@np.errstate(all="ignore")
def piecewise_linear(x: Array, bins: Bins, out: Array, threads: int) -> None:
    """Compute, for each bin of each column: 0 left of it, 1 right of it, (x - left) / width within it."""
    first = 0
    for column, edges in zip(x.T, bins, strict=True):
        left, scale, lower, upper = numbers(edges, x.dtype)
        z = column[:, np.newaxis]
        inside = np.where(z >= upper, 1, (z - left) * scale)
        out[:, first : first + len(left)] = np.where(z < lower, 0, inside)
        first += len(left)


@np.errstate(all="ignore")
def piecewise_linear_backward(dy: Array, x: Array, bins: Bins, out: Array, threads: int) -> None:
    """Add dy / width of the bin that has x."""
    first, rows = 0, np.arange(len(x))
    for j, edges in enumerate(bins):
        _, scale, _, upper = numbers(edges, x.dtype)
        bin_of_x = np.searchsorted(upper[:-1], x[:, j], side="right")
        slope = dy[rows, first + bin_of_x] * scale[bin_of_x]
        out[:, j] += np.where(np.isnan(x[:, j]), x[:, j], slope)
        first += len(scale)


def _cos_sin(turns: Array) -> tuple[Array, Array]:
    """Compute cos(2 pi t) and sin(2 pi t): what is left of t after the nearest quarter turn is exact."""
    part = np.fmod(turns, 4)
    quarters = np.rint(4 * part)
    angle = 2 * np.pi * (part - quarters / 4).astype(np.float64)
    cos, sin, n = np.cos(angle), np.sin(angle), np.nan_to_num(quarters).astype(np.int64) % 4
    return np.choose(n, [cos, -sin, -cos, sin]), np.choose(n, [sin, cos, -sin, -cos])


@np.errstate(all="ignore")
def periodic(x: Array, frequencies: Array, out: Array, threads: int) -> None:
    """Compute, for each column: cos(2 pi c x) of all its frequencies c, then sin(2 pi c x)."""
    cos, sin = _cos_sin(x[:, :, np.newaxis] * frequencies)
    out[...] = np.concatenate([cos, sin], axis=2).reshape(out.shape)


def _angle_gradient(dy: Array, y: Array, frequencies: Array) -> Array:
    """Compute the gradient by 2 pi c x: cos * dsin - sin * dcos."""
    n, k = frequencies.shape
    (cos, sin), (dcos, dsin) = (np.moveaxis(a.reshape(len(a), n, 2, k), 2, 0).astype(np.float64) for a in (y, dy))
    result: Array = cos * dsin - sin * dcos
    return result


@np.errstate(all="ignore")
def periodic_grad_input(dy: Array, y: Array, frequencies: Array, out: Array, threads: int) -> None:
    """Add 2 pi times the sums of c * (cos * dsin - sin * dcos) over the frequencies c of each column."""
    out += (2 * np.pi * (_angle_gradient(dy, y, frequencies) * frequencies).sum(axis=2)).astype(out.dtype)


@np.errstate(all="ignore")
def periodic_grad_frequencies(dy: Array, x: Array, y: Array, out: Array, threads: int) -> None:
    """Compute 2 pi times the sums of x * (cos * dsin - sin * dcos) over the rows."""
    out[...] = 2 * np.pi * (_angle_gradient(dy, y, out) * x[:, :, np.newaxis]).sum(axis=0)


@np.errstate(all="ignore")
def scale_columns(x: Array, scale: Array, out: Array, threads: int) -> None:
    """Multiply each column by its factor."""
    np.multiply(x, scale, out=out)


@np.errstate(all="ignore")
def scale_columns_backward(dy: Array, x: Array, scale: Array, out: Array, dscale: Array, threads: int) -> None:
    """Compute dy * scale, and the sums of dy * x over the rows, the gradients by the factors."""
    dscale[...] = (dy.astype(np.float64) * x).sum(axis=0)
    out[...] = dy * scale

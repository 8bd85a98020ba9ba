"""NumPy twins of what joins and splits the branches of a net."""

import numpy as np

from fastnn._typing import Array


@np.errstate(all="ignore")
def add(x: Array, x2: Array, out: Array, threads: int) -> None:
    """Add two arrays."""
    np.add(x, x2, out=out)


@np.errstate(all="ignore")
def multiply(x: Array, x2: Array, out: Array, threads: int) -> None:
    """Multiply two arrays, element by element."""
    np.multiply(x, x2, out=out)


def take_columns(x: Array, columns: Array, out: Array, threads: int) -> None:
    """Copy these columns of x into the columns of out, in order."""
    out[...] = x[:, columns]


def put_columns(x: Array, columns: Array, out: Array, clear: bool, threads: int) -> None:
    """Copy the columns of x, in order, into these columns of out; with `clear` the others become 0."""
    if clear:
        out[...] = 0
    out[:, columns] = x

"""The gradient of a table of embeddings."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fastnn import _validation as check
from fastnn._typing import Array
from fastnn.kernels._arguments import Arguments

__all__ = ["embedding_grad"]

_EMBEDDING_GRAD: Arguments[Array] = Arguments("embedding", "dy[B W] num_embeddings#S ids[B]<S out![S W]")


def embedding_grad(
    dy: ArrayLike,
    ids: ArrayLike,
    num_embeddings: int,
    *,
    padding_idx: int | None = None,
    out: Array | None = None,
) -> Array:
    """Compute the gradient of a table of embeddings: row k is the sum of ``dy[i]`` over all i with ``ids[i] == k``.

    The rows of the table for these ids are ``gather(table, ids)``; `dy` is the gradient of that.

    Parameters
    ----------
    dy : array_like, shape (N, D)
        The gradients of the rows that were read.
    ids : array_like of integers, shape (N,)
        Their row numbers, from 0 to ``num_embeddings - 1``.
    num_embeddings : int
        The number of rows of the table.
    padding_idx : int, optional
        A row whose gradient is 0.
    out : ndarray, shape (num_embeddings, D), optional
        Where to write the result: C-contiguous, not overlapping the inputs.

    Returns
    -------
    ndarray, shape (num_embeddings, D)
        `out`, or a new array: float32 if `dy` is float32, else float64. Rows are added in their order, from 0 on, for
        any number of threads.

    Raises
    ------
    TypeError
        If `dy` is no array of real numbers, `ids` contains no integers, or `out` has another dtype.
    ValueError
        If shapes do not match, an id or `padding_idx` is out of range, or `out` overlaps an input.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.embedding_grad([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [2, 0, 2], 3)
    array([[3., 4.],
           [0., 0.],
           [6., 8.]])
    """
    module, threads, ready, result = _EMBEDDING_GRAD(dy, num_embeddings, ids, out)
    size = num_embeddings
    if not ready:
        (dy,) = check.floats(dy=dy)
        check.shape("dy", dy, ("rows", "columns"))
        size = check.integer("num_embeddings", num_embeddings, 1)
        ids = check.indices("ids", ids, size, "rows")
        check.shape("ids", ids, (len(dy),))
        result = check.output(out, (size, dy.shape[1]), dy.dtype, {"dy": dy, "ids": ids})
    padding = -1 if padding_idx is None else check.integer("padding_idx", padding_idx, 0, size - 1)
    module.embedding_grad(dy, ids, padding, result, threads)
    return result

"""Embeddings of categories: tables of vectors, read by the row numbers in columns of the net's input."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import Builder
from fastnn.nn import init as _init
from fastnn.nn import initializers
from fastnn.nn.init import Initializer
from fastnn.nn.layers import Layer, Shapes

__all__ = ["Embedding", "Embeddings"]

_MOST_ROWS = 2**53  # row numbers that float64 holds
_T = TypeVar("_T", bound=Layer)


class _Tables(Layer, abstract=True):
    """What an embedding of one column and one of several columns share.

    Attributes
    ----------
    unknown : str
    sparse : bool
    """

    unknown: str
    sparse: bool
    padding_idx: int | None = None
    reads_ids = True
    _kept_as: ClassVar[dict[str, str]] = {"init": "_init"}
    _initializers = ("init",)
    _init: Initializer | None

    def _set_options(self, unknown: str, sparse: bool, init: str | Initializer | None) -> None:
        self._set_unchecked(
            unknown=v.choice("unknown", unknown, ("error", "own")),
            sparse=v.boolean("sparse", sparse),
            _init=initializers.named("init", init),
        )

    @abstractmethod
    def _tables(self) -> list[tuple[str, int, int]]:
        """Return name, number of categories and width of each table, by column."""

    def parameters(self) -> Shapes:
        """Return the shapes of the tables."""
        own_row = self.unknown == "own"
        return {name: (size + own_row, width) for name, size, width in self._tables()}

    @property
    def saved_as_is(self) -> tuple[str, ...]:
        """The tables: PyTorch's have the same orientation."""
        return tuple(self.parameters())

    @property
    def tables_with_own_row(self) -> tuple[str, ...]:
        """The tables, if unknown categories have a row."""
        return tuple(self.parameters()) if self.unknown == "own" else ()

    @property
    def sparse_parameters(self) -> tuple[str, ...]:
        """The tables, if their updates are sparse."""
        return tuple(self.parameters()) if self.sparse else ()

    def emit(self, builder: Builder, x: str) -> str:
        """Append the reading of the tables."""
        columns, start, padding_idx = builder.input_columns(x), 0, self.padding_idx
        if columns is None:
            must = "read columns of the net's input, alone or within nn.Columns"
            v.refuse(ValueError, v.shown(self), must, "the output of another layer", "embed the column first")
        y = builder.rows(sum(width for _, _, width in self._tables()))
        tables, shown = self.roles(**{name: name for name in self.parameters()}), v.shown(self)
        for column, (name, size, width) in zip(columns, self._tables(), strict=True):
            ids = builder.row_ids(column, size, self.unknown == "own", shown)
            buffers = {"ids": ids, "w": tables[name], "y": y}
            written = tuple(range(start, start + width))
            builder.op("embedding", buffers, columns=written, padding_idx=padding_idx, sparse=self.sparse)
            start += width
        return y

    def reset(self, seed: int, default: Initializer) -> None:
        """Draw the tables."""
        initializer, stream = self._init or _init.normal(), 2 * self._number + 1
        for index, (name, shape) in enumerate(self.parameters().items()):
            random = _init.Random(seed, stream, step=index)
            self.array(name)[...] = initializers.draw("init", initializer, shape, random)


_OPTIONS = """unknown : {"error", "own"}, default "error"
        What happens to numbers that are no rows of a column's table: an error, or they all have a row of their own, the
        last one of the weight. With "own" these are whole numbers below 0 or too large, infinity and NaN. Fractions are
        an error even so.
    sparse : bool, default False
        Whether updates change the rows of the batch only. By default they change whole tables, as those of PyTorch's
        dense gradients do: moments of Adam decay in all rows. Sparse updates are those of PyTorch's `SparseAdam` for
        `optim.Adam`, and those of `SGD` without momentum and `Adagrad`; other optimisers, and weight decay of these
        parameters, are refused. For many categories they are much faster.
    init : callable or str, optional
        Initialiser, by default N(0, 1) as in PyTorch."""


def _with_options(kind: type[_T]) -> type[_T]:
    """Describe the settings that both classes have."""
    kind.__doc__ = (kind.__doc__ or "").replace("{options}", _OPTIONS)
    return kind


@_with_options
class Embedding(_Tables):
    """A table of vectors for the categories in a column: ``y = weight[x]``.

    The column has whole numbers from 0, the rows of the table. It is a column of the net's input: embed one of several
    columns with `Columns`. Its numbers are read as they are in X, before X is cast to the net's dtype and scaled.
    float32 holds whole numbers up to 2**24: X must be float64 or integers for larger tables. Each batch is checked when
    it is read.

    Parameters
    ----------
    num_embeddings : int
        Number of categories, at least 1.
    dim : int
        Width of the vectors, at least 1.
    padding_idx : int, optional
        A row of the table that starts at 0 and has no gradient: for "no category".
    {options}

    Attributes
    ----------
    weight : ndarray, shape (num_embeddings, dim), with ``unknown="own"`` (num_embeddings + 1, dim)
        A view of the net's parameters. State dicts have it in the same orientation, as PyTorch does.
    in_features : int
        1.
    out_features : int
        `dim`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of range. In a net: if its input is no column of the net's input.

    Examples
    --------
    >>> from fastnn import nn
    >>> table = nn.Sequential(nn.Embedding(3, 2), seed=0)
    >>> table[0].weight[...] = [[0, 1], [2, 3], [4, 5]]
    >>> table.predict([[2], [0]])
    array([[4., 5.],
           [0., 1.]], dtype=float32)

    Two numbers and a category:

    >>> inputs = nn.Parallel(nn.Columns([0, 1]), nn.Columns([2], nn.Embedding(3, 4)))
    >>> net = nn.Sequential(inputs, nn.Dense(6, 16), nn.ReLU(), nn.Dense(16, 1))
    >>> net.predict([[0.5, -1.0, 2]]).shape
    (1, 1)
    """

    num_embeddings: int
    dim: int
    _fixes: ClassVar[Mapping[str, str]] = {
        "from_pretrained": "write nn.Embedding(*table.shape), and in the net layer.weight[...] = table",
    }

    in_pytorch = True

    def __init__(
        self,
        num_embeddings: int,
        dim: int,
        padding_idx: int | None = None,
        *,
        unknown: str = "error",
        sparse: bool = False,
        init: str | Initializer | None = None,
    ) -> None:
        super().__init__()
        size = v.integer("num_embeddings", num_embeddings, 1, _MOST_ROWS)
        self._set_unchecked(
            num_embeddings=size,
            dim=v.integer("dim", dim, 1),
            padding_idx=None if padding_idx is None else _row(padding_idx, size),
            in_features=1,
        )
        self._set_unchecked(out_features=self.dim)
        self._set_options(unknown, sparse, init)

    def _tables(self) -> list[tuple[str, int, int]]:
        return [("weight", self.num_embeddings, self.dim)]

    @property
    def weight(self) -> Array:
        """A view of the net's parameters."""
        return self.array("weight")

    def reset(self, seed: int, default: Initializer) -> None:
        """Draw the table, and set its row `padding_idx` to 0."""
        super().reset(seed, default)
        if self.padding_idx is not None:
            self.weight[self.padding_idx] = 0


@_with_options
class Embeddings(_Tables):
    """A table for each of several columns; their vectors are side by side in the output.

    It computes what an `Embedding` for each column and a `Parallel` compute, without copies. See `Embedding` for what
    the columns have.

    Parameters
    ----------
    cardinalities : sequence of int
        The number of categories of each column.
    dims : int or sequence of int
        The width of the vectors of each column; one number is that of all.
    {options}

    Attributes
    ----------
    weights : tuple of ndarray
        The tables, by column: views of the net's parameters "0.weight", "1.weight", ...
    in_features : int
        The number of columns.
    out_features : int
        The sum of the widths.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of range, or there is not a width for each column. In a net: if its
        input is not made of columns of the net's input.

    Examples
    --------
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Embeddings([2, 3], [1, 2]), seed=0)
    >>> net[0].weights[0][...] = [[7], [8]]
    >>> net[0].weights[1][...] = [[0, 1], [2, 3], [4, 5]]
    >>> net.predict([[1, 2]])
    array([[8., 4., 5.]], dtype=float32)
    """

    cardinalities: tuple[int, ...]
    dims: tuple[int, ...]

    def __init__(
        self,
        cardinalities: Sequence[int],
        dims: int | Sequence[int],
        *,
        unknown: str = "error",
        sparse: bool = False,
        init: str | Initializer | None = None,
    ) -> None:
        super().__init__()
        sizes = _integers("cardinalities", cardinalities)
        one = not isinstance(dims, Iterable)
        widths = (v.integer("dims", dims, 1),) * len(sizes) if one else _integers("dims", dims)
        if len(widths) != len(sizes):
            v.refuse(ValueError, "dims", f"be one number, or {len(sizes)}, as many as cardinalities", len(widths))
        self._set_unchecked(cardinalities=sizes, dims=widths, in_features=len(sizes), out_features=sum(widths))
        self._set_options(unknown, sparse, init)

    def _tables(self) -> list[tuple[str, int, int]]:
        pairs = zip(self.cardinalities, self.dims, strict=True)
        return [(f"{i}.weight", size, width) for i, (size, width) in enumerate(pairs)]

    @property
    def weights(self) -> tuple[Array, ...]:
        """The tables: views of the net's parameters."""
        return tuple(self.array(name) for name in self.parameters())


def _row(padding_idx: Any, size: int) -> int:
    """Return the number of a row of a table, checked."""
    if isinstance(padding_idx, int | np.integer) and -size <= padding_idx < 0:
        fix = f"write {int(padding_idx) + size}, as rows are counted from the first"
        v.refuse(ValueError, "padding_idx", f"be an integer from 0 to {size - 1}", padding_idx, fix)
    return v.integer("padding_idx", padding_idx, 0, size - 1)


def _integers(name: str, values: Any) -> tuple[int, ...]:
    """Return a sequence of integers above 0 as a tuple."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        v.refuse(TypeError, name, "be a sequence of integers", v.shown(values), "write a list with one for each column")
    numbers = tuple(v.integer(f"{name}[{i}]", each, 1, _MOST_ROWS) for i, each in enumerate(values))
    if not numbers:
        v.refuse(ValueError, name, "have a number for each column", "none")
    return numbers

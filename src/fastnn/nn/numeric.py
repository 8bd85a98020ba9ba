"""Layers for columns of numbers: embeddings of each column, piecewise linear and periodic, and a factor for each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import Builder
from fastnn.kernels import _bins
from fastnn.nn import activations, initializers
from fastnn.nn import init as _init
from fastnn.nn.init import Initializer, Random
from fastnn.nn.layers import Layer, Shapes

__all__ = ["Periodic", "PiecewiseLinear", "ScaleColumns"]

_MOST_FEATURES = 2**20  # of a periodic embedding: there is a list with an entry for each
_MOST_MAPS = 10_000

_MOST_SHOWN = 24  # edges that `repr` shows in full


class ScaleColumns(Layer):
    """A learned factor for each column: ``y = x * scale``.

    Directly behind the input it learns how much each column counts, as in RealMLP (Holzmüller, Grinsztajn and
    Steinwart, 2024); a learning rate of its own is ``optim.Group("0.scale", lr_scale=6.0)``.

    Parameters
    ----------
    features : int
        Width of input and output, at least 1.

    Attributes
    ----------
    scale : ndarray, shape (features,)
        A parameter, initially 1: a view of the net's parameters.

    Raises
    ------
    TypeError, ValueError
        If `features` is not a positive integer.

    Examples
    --------
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.ScaleColumns(2))
    >>> net[0].scale[...] = [10, -1]
    >>> net.predict([[1.0, 2.0]])
    array([[10., -2.]], dtype=float32)
    """

    in_features: int
    out_features: int
    _kept_as: ClassVar[Mapping[str, str]] = {"features": "in_features"}

    def __init__(self, features: int) -> None:
        super().__init__()
        width = v.integer("features", features, 1)
        self._set_unchecked(in_features=width, out_features=width)

    def parameters(self) -> Shapes:
        """Return the shape of the factors."""
        return {"scale": (self.in_features,)}

    @property
    def scale(self) -> Array:
        """A view of the net's parameters."""
        return self.array("scale")

    def emit(self, builder: Builder, x: str) -> str:
        """Append the product."""
        y = builder.rows(self.in_features)
        builder.op("scale_columns", {"x": x, **self.roles(gamma="scale"), "y": y})
        return y

    def reset(self, seed: int, default: Initializer) -> None:
        """Set the factors to 1."""
        self.scale[...] = 1


class _ColumnEmbedding(Layer, abstract=True):
    """What both embeddings share: an encoding of each column, then perhaps a linear map of its own and an activation.

    Attributes
    ----------
    dim : int or None
    activation : str or None
    """

    in_features: int
    out_features: int
    dim: int | None
    activation: str | None
    _kept_as: ClassVar[Mapping[str, str]] = {"init": "_init"}
    _initializers = ("init",)
    _init: Initializer | None

    def _set_maps(self, dim: int | None, activation: str | None, init: str | Initializer | None) -> None:
        """Keep the settings of the linear maps, and the widths."""
        for name, value in (("activation", activation), ("init", init)):
            if dim is None and value is not None:
                v.refuse(
                    ValueError, name, "be None without dim", v.shown(value), "give dim, the width of the embeddings"
                )
        width = None if dim is None else v.integer("dim", dim, 1)
        if width is not None and self.in_features > _MOST_MAPS:
            must = f"be None for more than {_MOST_MAPS} columns, as each has a map of its own"
            v.refuse(ValueError, "dim", must, f"{width} for {self.in_features} columns")
        known = None if activation is None else v.activation(activation, {})[0]
        self._set_unchecked(dim=width, activation=known, _init=initializers.named("init", init))
        total = sum(self._entries()) if width is None else self.in_features * width
        weights = () if width is None else tuple(f"{j}.weight" for j in range(self.in_features))
        self._set_unchecked(out_features=total, penalized=weights)

    @abstractmethod
    def _entries(self) -> Sequence[int]:
        """Return how many entries the encoding of each column has."""

    @abstractmethod
    def _encode(self, builder: Builder, arrays: Mapping[str, str], x: str, y: str, column: int, n_columns: int) -> None:
        """Append the encoding of some columns; `arrays` are the buffers of the parameters by name."""

    def parameters(self) -> Shapes:
        """Return the shapes of weight and bias of each column's map."""
        if self.dim is None:
            return {}
        shapes = ({"weight": (entries, self.dim), "bias": (self.dim,)} for entries in self._entries())
        return {f"{j}.{name}": shape for j, column in enumerate(shapes) for name, shape in column.items()}

    @property
    def weights(self) -> tuple[Array, ...]:
        """The weights of the columns' maps: views of the net's parameters."""
        return tuple(self.array(name) for name in self.parameters() if name.endswith(".weight"))

    @property
    def biases(self) -> tuple[Array, ...]:
        """The biases of the columns' maps: views of the net's parameters."""
        return tuple(self.array(name) for name in self.parameters() if name.endswith(".bias"))

    def emit(self, builder: Builder, x: str) -> str:
        """Append the encodings, the maps and the activations, and put the columns' outputs side by side."""
        y, arrays = builder.rows(self.out_features), self.roles(**{name: name for name in self.parameters()})
        if self.dim is None:
            self._encode(builder, arrays, x, y, 0, self.in_features)
            return y
        for j, entries in enumerate(self._entries()):
            encoded, z = builder.rows(entries), builder.rows(self.dim)
            self._encode(builder, arrays, x, encoded, j, 1)
            builder.op("dense", {"x": encoded, "w": arrays[f"{j}.weight"], "b": arrays[f"{j}.bias"], "y": z})
            if self.activation is not None:
                name, values = v.activation(self.activation, {})
                before, z = z, builder.rows(self.dim)
                builder.op("activation", {"x": before, "y": z}, activation=name, parameters=values)
            builder.op("put_columns", {"x": z, "y": y}, columns=tuple(range(j * self.dim, (j + 1) * self.dim)))
        return y

    def reset(self, seed: int, default: Initializer) -> None:
        """Draw the weights of the maps; the biases stay 0."""
        initializer = self._init or default
        for j, weight in enumerate(self.weights):
            weight[...] = initializers.draw("init", initializer, weight.shape, self._random(seed, j))

    def _random(self, seed: int, step: int) -> Random:
        return Random(seed, 2 * self._number + 1, step)

    def init_before(self) -> Initializer:
        """Return Xavier's, as there is no activation between."""
        return _init.XAVIER_UNIFORM

    def default_initializers(self, after: Initializer) -> list[Initializer]:
        """Return that of the maps: by the layer's activation, or by what comes after the layer."""
        own = None if self.activation is None else activations.activation(self.activation).init_before()
        return [own or after]


_DIM = """dim : int, optional
        Width of each column's embedding: the entries of its encoding go through a linear map of its own. By default
        there is none, and the encodings are the output."""

_MAP_SETTINGS = """activation : str, optional
        An activation after the linear maps: a name that `fastnn.kernels.activation` takes, such as "relu". Only with
        `dim`.
    init : callable or str, optional
        Initialiser of the linear maps, with the default of `Dense`: by the activation after it. Biases start at 0.
        (rtdl_num_embeddings draws both uniformly from ±1/sqrt(entries).) Only with `dim`."""

_MAP_ATTRIBUTES = """weights, biases : tuple of ndarray
        Of the columns' linear maps, of shapes (entries, dim) and (dim,): views of the net's parameters "0.weight",
        "0.bias", "1.weight", ...; empty without `dim`."""


class PiecewiseLinear(_ColumnEmbedding):
    """Piecewise linear embeddings of columns of numbers (Gorishniy, Rubachev and Babenko, 2022, arXiv 2203.05556).

    Bin t of a column, from edge b_(t-1) to b_t, has the entry ``(x - b_(t-1)) / (b_t - b_(t-1))`` within it, 0 left of
    it and 1 right of it. The first bin goes on to the left, below 0, and the last to the right, above 1; a single bin
    does both. Entries of neighbouring numbers differ little, and a linear map of them is any function that is linear
    within the bins.

    `data.quantile_bins` finds bins. They are in the unit of the layer's input: fit them on scaled numbers if the net
    has a scaler. For some columns of the input alone write
    ``nn.Columns(columns, nn.PiecewiseLinear(data.quantile_bins(X, columns=columns), dim=8))``.

    With `dim` this is the "Q-L" of the paper, and "Q-LR" with ``activation="relu"``.

    Parameters
    ----------
    bins : sequence of array_like
        The edges of each column's bins: at least 2, finite, strictly increasing. Their numbers may differ.
    {dim}
    {map_settings}

    Attributes
    ----------
    bins : tuple of tuple of float
    {attributes}
    in_features : int
        The number of columns.
    out_features : int
        ``in_features * dim``; without `dim` the number of bins of all columns.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of range, or edges are wrong.

    See Also
    --------
    fastnn.data.quantile_bins : Bins from data.
    fastnn.kernels.piecewise_linear : The encoding as a function.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Sequential(nn.PiecewiseLinear([[0, 1, 2, 4]])).predict([[0.5], [3.0], [5.0]])
    array([[0.5, 0. , 0. ],
           [1. , 1. , 0.5],
           [1. , 1. , 1.5]], dtype=float32)
    >>> nn.PiecewiseLinear([[0, 1, 2, 4], [-1, 1]], dim=8, activation="relu").out_features
    16
    """

    bins: tuple[tuple[float, ...], ...]

    def __init__(
        self,
        bins: Sequence[npt.ArrayLike],
        dim: int | None = None,
        activation: str | None = None,
        init: str | Initializer | None = None,
    ) -> None:
        super().__init__()
        edges = _bins.checked("bins", bins)
        self._set_unchecked(bins=edges, in_features=len(edges))
        self._set_maps(dim, activation, init)

    def _entries(self) -> Sequence[int]:
        return [len(edges) - 1 for edges in self.bins]

    def _encode(self, builder: Builder, arrays: Mapping[str, str], x: str, y: str, column: int, n_columns: int) -> None:
        bins = self.bins[column : column + n_columns]
        builder.op("piecewise_linear", {"x": x, "y": y}, column=column, n_columns=n_columns, bins=bins)

    def _text(self, arguments: Mapping[str, Any]) -> str:
        bins = arguments["bins"]
        if sum(map(len, bins)) > _MOST_SHOWN:  # more would hide the other layers of a net
            shown = [(edges[0], ..., edges[-1]) if len(edges) > 3 else edges for edges in bins]
            bins = (*shown[:2], ..., shown[-1]) if len(shown) > 4 else tuple(shown)
        return super()._text({**arguments, "bins": bins})


class Periodic(_ColumnEmbedding):
    """Periodic embeddings of columns of numbers (Gorishniy, Rubachev and Babenko, 2022, arXiv 2203.05556).

    Each column becomes ``cos(2 pi c x)`` of its learned frequencies c, then ``sin(2 pi c x)``, in the order of the
    authors' package rtdl_num_embeddings. Its `PeriodicEmbeddings(features, 24, lite=False)`, the "PLR" of the paper, is
    ``Periodic(features, dim=24, activation="relu")``, and "PL" has no activation.

    The phase ``c * x``, in turns, is rounded once; cosine and sine of it are within 2 units in the last place for every
    phase, however large. Infinity gives NaN.

    Parameters
    ----------
    features : int
        The number of columns, from 1 to 2**20.
    frequencies : int, default 48
        How many each column has, at least 1.
    {dim}
    scale : float, default 0.01
        Standard deviation of the initial frequencies, above 0: N(0, scale**2) without what is beyond 3 standard
        deviations, as the package draws them. It matters most of all settings: for standardised columns the paper tries
        0.01 to 100. A column then starts with about ``scale`` turns in one standard deviation.
    {map_settings}

    Attributes
    ----------
    frequencies : ndarray, shape (features, frequencies)
        A view of the net's parameters. State dicts have it in the same orientation.
    {attributes}
    in_features : int
        The number of columns.
    out_features : int
        ``in_features * dim``; without `dim` ``2 * in_features * frequencies``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or out of range.

    See Also
    --------
    fastnn.kernels.periodic : The encoding as a function.

    Examples
    --------
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Periodic(1, 2))
    >>> net[0].frequencies[...] = [[1.0, 2.0]]
    >>> net.predict([[0.25], [3.5]])
    array([[ 0., -1.,  1.,  0.],
           [-1.,  1.,  0.,  0.]], dtype=float32)
    """

    scale: float
    _kept_as: ClassVar[Mapping[str, str]] = {
        **_ColumnEmbedding._kept_as,
        "features": "in_features",
        "frequencies": "_n_frequencies",
    }
    _n_frequencies: int

    def __init__(
        self,
        features: int,
        frequencies: int = 48,
        dim: int | None = None,
        scale: float = 0.01,
        activation: str | None = None,
        init: str | Initializer | None = None,
    ) -> None:
        super().__init__()
        self._set_unchecked(
            in_features=v.integer("features", features, 1),
            _n_frequencies=v.integer("frequencies", frequencies, 1),
            scale=v.real("scale", scale, 0, excluded=True),
        )
        if self.in_features > _MOST_FEATURES:
            v.refuse(ValueError, "features", f"be at most {_MOST_FEATURES}", self.in_features)
        self._set_maps(dim, activation, init)

    def _entries(self) -> Sequence[int]:
        return [2 * self._n_frequencies] * self.in_features

    def parameters(self) -> Shapes:
        """Return the shapes of the frequencies, and of weight and bias of each column's map."""
        return {"frequencies": (self.in_features, self._n_frequencies), **super().parameters()}

    @property
    def frequencies(self) -> Array:
        """A view of the net's parameters."""
        return self.array("frequencies")

    @property
    def saved_as_is(self) -> tuple[str, ...]:
        """The frequencies: a row of them is a column's, as in rtdl_num_embeddings."""
        return ("frequencies",)

    def _encode(self, builder: Builder, arrays: Mapping[str, str], x: str, y: str, column: int, n_columns: int) -> None:
        buffers = {"x": x, "w": arrays["frequencies"], "y": y}
        builder.op("periodic", buffers, column=column, n_columns=n_columns)

    def reset(self, seed: int, default: Initializer) -> None:
        """Draw the frequencies and the weights of the maps."""
        super().reset(seed, default)
        normal = _init.trunc_normal(0.0, self.scale, -3 * self.scale, 3 * self.scale)
        self.frequencies[...] = normal(self.frequencies.shape, self._random(seed, self.in_features))


for _kind in (PiecewiseLinear, Periodic):
    for _name, _text in (("dim", _DIM), ("map_settings", _MAP_SETTINGS), ("attributes", _MAP_ATTRIBUTES)):
        _kind.__doc__ = (_kind.__doc__ or "").replace(f"{{{_name}}}", _text)

"""Predictors: compiled callables over copies of nets' values."""

from __future__ import annotations

import inspect
import weakref
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from fastnn import _config
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine._plain_calls import BasePredictor, PlainCalls, PlainNet
from fastnn.nn._runners import PREDICT_ROWS
from fastnn.nn._scaler_attributes import SCALERS
from fastnn.nn.layers import Layer

if TYPE_CHECKING:
    from fastnn.nn._predictions import Predictions

__all__ = ["Predictor"]

_SIGNATURE = inspect.Signature(
    [
        inspect.Parameter("x", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        inspect.Parameter("out", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None),
    ]
)


class Snapshot(NamedTuple):
    """Copies of what a predictor predicts with.

    Attributes
    ----------
    nets : tuple of Sequential
        The copies, which nobody trains.
    plain : tuple of PlainNet
        The same nets for plain calls; none on the NumPy backend.
    predict : callable
        Predicts any rows: ``predict(name, x, out)``. Messages call the rows `name`.
    in_features : int
    out_features : int or None
        The number of columns of a result; None if it has one axis.
    dtype : numpy.dtype
        Of a result.
    """

    nets: tuple[Predictions, ...]
    plain: tuple[PlainNet, ...]
    predict: Callable[[str, Any, Array | None], Array]
    in_features: int
    out_features: int | None
    dtype: np.dtype[Any]


class Predictor(BasePredictor):
    """A compiled callable that predicts with values as they were: ``p(x, out=None)``.

    `Sequential.predictor`, `Ensemble.predictor` and the estimators' `predictor` make it. It has copies of all values,
    and of the scalers; `update` takes the present ones. Its results are those of `predict`, bit for bit.

    Called with `x`, rows as `predict` takes them, it returns the result in a new array, or in `out`: an array of the
    result's shape and dtype, C-contiguous, that overlaps neither `x` nor the predictor's own values. Errors are those
    of `predict`. Calls with few rows in an ndarray run in compiled code alone (docs/calls.md says which); all others
    give the same results, in more time.

    Attributes
    ----------
    rows : int or None
        The most rows of one call.
    backend : str
        The backend with which it computes, whatever the current one is.
    in_features : int
        The width of `x`.
    out_features : int or None
        The number of columns of a result; None if results have one axis.
    dtype : numpy.dtype
        Of a result: that of the net, float64 for an ensemble.

    Notes
    -----
    Several threads, and signal handlers, may call one predictor and update it: each call sees all values before an
    update or all after it. It works in the child of a fork. It does not keep alive what made it: once that is gone,
    `update` raises a RuntimeError, and predictions go on. It cannot be pickled or copied: make another one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(2, 3), nn.Tanh(), nn.Dense(3, 1), seed=0)
    >>> p = net.predictor()
    >>> x, out = np.ones((1, 2), np.float32), np.empty((1, p.out_features), p.dtype)
    >>> p(x, out) is out
    True
    >>> bool(out == net.predict(x))
    True
    """

    _article, _source = "a", "net"  # what made it, in messages

    def __init__(self, rows: int | None) -> None:
        self._rows = None if rows is None else v.integer("rows", rows, 1)
        self._backend = _config.get_backend()
        self.__signature__ = _SIGNATURE  # for inspect: the compiled __call__ has none
        self._show(self._new_calls())

    rows = property(lambda self: self._rows, doc="The most rows of one call, or None.")
    backend = property(lambda self: self._backend, doc="The backend with which it computes.")
    in_features = property(lambda self: self._present().in_features, doc="The width of `x`.")
    out_features = property(
        lambda self: self._present().out_features, doc="The number of columns of a result, or None."
    )
    dtype = property(lambda self: self._present().dtype, doc="The dtype of a result.")

    def update(self) -> None:
        """Take the present values and scalers of what made the predictor.

        Raises
        ------
        RuntimeError
            If that does not exist any more.
        """
        calls = self._take_spare()
        if calls is None or not self._refill(calls.snapshot):
            calls = self._new_calls()
        self._show(calls)

    @abstractmethod
    def _new_calls(self) -> PlainCalls:
        """Return the plain calls of a new snapshot of the present values."""

    @abstractmethod
    def _refill(self, snapshot: Any) -> bool:
        """Write the present values into a snapshot that no call uses; return False if its nets are others."""

    @property
    def _plain_rows(self) -> int:
        """The most rows of a plain call."""
        return PREDICT_ROWS if self._rows is None else min(self._rows, PREDICT_ROWS)

    def _existing(self, reference: weakref.ref[Any]) -> Any:
        """Return what a weak reference refers to, or refuse to go on without it."""
        source = reference()
        if source is None:
            fix = f"keep a reference to the {self._source} as long as the predictor is updated"
            v.refuse_state(f"the {self._source} of this predictor does not exist any more", fix)
        return source

    def _general(self, snapshot: Any, x: npt.ArrayLike, out: Array | None) -> Array:
        """Predict any rows with a snapshot."""
        if _config.get_backend() == self._backend:
            return self._predict(snapshot, x, out)
        with _config.backend(self._backend):
            return self._predict(snapshot, x, out)

    def _predict(self, snapshot: Snapshot, x: Any, out: Array | None) -> Array:
        if self._rows is not None:
            x = snapshot.nets[0].as_input("x", x)
            self._check_rows("x", len(x))
        return snapshot.predict("x", x, out)

    def _check_rows(self, name: str, rows: int) -> None:
        if self._rows is not None and rows > self._rows:
            must = f"have at most {self._rows} rows, as this predictor was made for"
            v.refuse(ValueError, name, must, rows, f"write predictor(rows={rows})")

    def __repr__(self) -> str:
        width = self.out_features
        results = f"{width} column{'s' * (width != 1)}" if width else "one axis"
        limit = "" if self._rows is None else f", at most {self._rows} rows"
        shapes = f"{self.in_features} features, results of {results} and {self.dtype}"
        return f"<Predictor of {self._article} {self._source}: {shapes}{limit}, {self._backend}>"

    def __reduce__(self) -> NoReturn:
        fix = f"pickle or copy the {self._source}, and call its method predictor there"
        v.refuse(TypeError, "a predictor", "be made where it is used", "an attempt to copy it", fix)


class NetPredictor(Predictor):
    """A `Predictor` of one net, or of the mean of several."""

    def __init__(self, nets: Sequence[Predictions], rows: int | None, result: str = "", link: str = "") -> None:
        self._references = tuple(weakref.ref(net) for net in nets)
        self._result_and_link = result, link
        super().__init__(rows)

    def _new_calls(self) -> PlainCalls:
        copies = tuple(self._existing(each).copy() for each in self._references)
        native = self._backend == "native"
        plain = tuple(plain_snapshot(net, self._plain_rows) for net in copies) if native else ()
        return PlainCalls(plain, self._plain_rows, *self._result_and_link, snapshot=self._snapshot(copies, plain))

    def _snapshot(self, copies: tuple[Predictions, ...], plain: tuple[PlainNet, ...]) -> Snapshot:
        net = copies[0]
        return Snapshot(copies, plain, net.predict_any_rows, net.in_features, net.out_features, net.dtype)

    def _refill(self, snapshot: Snapshot) -> bool:
        nets = [self._existing(each) for each in self._references]
        for net, own in zip(nets, snapshot.nets, strict=True):
            copy_values(net, own)
        for plain, own in zip(snapshot.plain, snapshot.nets, strict=False):
            plain.keep(own.input_scaling, own.output_scaling)
        return True


def refuse_own_predictions(what: object) -> None:
    """Refuse a net or an ensemble of a user's class that predicts in its own way, which a copy would not do."""
    must = "predict as those of fastnn do, to have a predictor"
    v.refuse(TypeError, f"the class {type(what).__name__}", must, "predictions of its own", "call its method predict")


def plain_snapshot(net: Predictions, rows: int, link: Layer | None = None) -> PlainNet:
    """Return a net of plain calls over the arrays of a net that nobody trains, with a layer after its last one."""
    plain = net.make_plain_net(rows, link)
    plain.keep(net.input_scaling, net.output_scaling)
    return plain


def copy_values(net: Predictions, to: Predictions) -> None:
    """Copy all values and scalers of a net, of one moment between its steps, into another net of the same layers."""
    with net.lock.reading():
        held = {name: value for each in SCALERS for name, value in each.held(net).items()}
        copied = (to.params.data, net.params.data), (to.state.data, net.state.data)
        to.lock.mix(net.lock, (), copied, 1.0, ((to.__dict__, held),))

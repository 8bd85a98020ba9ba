"""Predictors: compiled callables over copies of nets' values."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import numpy.typing as npt

from fastnn import _config
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import make_plain_net
from fastnn.engine._plain_calls import PlainCalls, PlainNet
from fastnn.nn._runners import PLAIN_ROWS, PREDICT_ROWS
from fastnn.nn._scaler_attributes import SCALERS
from fastnn.nn.layers import Layer

if TYPE_CHECKING:
    from fastnn.nn._predictions import Predictions

__all__ = ["Predictor"]


class Predictor(PlainCalls):
    """A compiled callable that predicts with values as they were: ``p(x, out=None)``.

    `Sequential.predictor`, `Ensemble.predictor` and the estimators' `predictor` make it. It has copies of all values,
    and of the scalers; `update` takes the present ones.

    A call with few rows in an ndarray of float32, float64 or uint8 runs in compiled code alone and takes no lock. Any
    other call gives the same results, in more time. `out` is C-contiguous, of the result's shape and dtype, and does
    not overlap `x`.

    Attributes
    ----------
    rows : int or None
        The most rows of one call.
    backend : str
        The backend with which it computes, whatever the current one is.

    Notes
    -----
    Several threads, and signal handlers, may call one predictor and update it: each call sees the values before an
    update or after it. It works in the child of a fork. It does not keep its net alive: when that is gone, `update`
    raises a RuntimeError, and predictions go on. It cannot be pickled or copied: make another one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(2, 3), nn.Tanh(), nn.Dense(3, 1), seed=0)
    >>> p = net.predictor()
    >>> x, out = np.ones((1, 2), np.float32), np.empty((1, 1), np.float32)
    >>> p(x, out) is out
    True
    >>> bool(out == net.predict(x))
    True
    """

    rows: int | None
    backend: str

    def __init__(self, nets: Sequence[Predictions], rows: int | None, result: str = "", link: str = "") -> None:
        self.rows = None if rows is None else v.integer("rows", rows, 1)
        self.backend = _config.get_backend()
        self._nets_now = tuple(weakref.ref(net) for net in nets)
        self._copies = tuple(net.copy() for net in nets)
        self._made_of_outputs = result, link
        super().__init__(self._plain_nets(), self._plain_rows, result, link)

    @property
    def _plain_rows(self) -> int:
        """The most rows of a plain call."""
        return PLAIN_ROWS if self.rows is None else min(self.rows, PREDICT_ROWS)

    def _plain_nets(self, link: Layer | None = None) -> tuple[PlainNet, ...]:
        """Return nets of plain calls over the arrays of the copies, which nobody trains."""
        return tuple(plain_snapshot(net, self._plain_rows, link) for net in self._copies if self.backend == "native")

    def update(self) -> None:
        """Take the present values and scalers of the net; of an ensemble, those of its members.

        Raises
        ------
        RuntimeError
            If the net does not exist any more.
        """
        nets = tuple(reference() for reference in self._nets_now)
        if None in nets:
            v.refuse_state("the net of this predictor does not exist any more", "keep a reference to the net")
        if any(threading.get_ident() in copy.lock.holders for copy in self._copies):
            # A signal handler that has interrupted a prediction of the copies, which goes on with them.
            self._copies = tuple(net.copy() for net in nets if net is not None)
            PlainCalls.__init__(self, self._plain_nets(), self._plain_rows, *self._made_of_outputs)
            return
        moves = []
        for net, copy in zip(nets, self._copies, strict=True):
            assert net is not None
            copied = (copy.params.data, net.params.data), (copy.state.data, net.state.data)
            held = {name: value for each in SCALERS for name, value in each.held(net).items()}
            moves.append((copy.lock, net.lock, copied, ((copy.__dict__, held),), net.input_scaling, net.output_scaling))
        self.take(tuple(moves))

    def _general(self, x: npt.ArrayLike, out: Array | None) -> Array:
        """Predict any rows."""
        with _config.backend(self.backend):
            return self._predict_rows(self._checked_rows(x), out)

    def _checked_rows(self, x: npt.ArrayLike) -> Array:
        """Return rows as executors read them, at most as many as a call may have."""
        rows = self._copies[0].as_input("x", x)
        if self.rows is not None and len(rows) > self.rows:
            must = f"have at most {self.rows} rows, as this predictor was made for"
            v.refuse(ValueError, "x", must, len(rows), f"write predictor(rows={len(rows)})")
        return rows

    def _predict_rows(self, x: Array, out: Array | None) -> Array:
        return self._copies[0].predict_in_general("x", x, out)

    def __dir__(self) -> list[str]:
        return [name for name in object.__dir__(self) if name not in vars(PlainCalls) or name[:2] == "__"]

    def __repr__(self) -> str:
        net = self._copies[0]
        limit = "" if self.rows is None else f", at most {self.rows} rows"
        return f"<{type(self).__name__}: {net.in_features} -> {net.out_features} features{limit}, {self.backend}>"

    def __reduce__(self) -> NoReturn:
        fix = "pickle or copy the net, and call its method predictor there"
        v.refuse(TypeError, "a predictor", "be made where it is used", "an attempt to copy it", fix)


def plain_snapshot(net: Predictions, rows: int, link: Layer | None = None) -> PlainNet:
    """Return a net of plain calls over the arrays of a net that nobody trains, with a layer after its last one."""
    plain = make_plain_net(net.inference_program(link), net.dtype, rows, net.params, net.state)
    plain.keep_values()
    plain.set_scaling(net.input_scaling, net.output_scaling)
    return plain

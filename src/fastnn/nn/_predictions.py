"""Predictions of a net: its output in evaluation mode, as the net is at each call, or as it was in a snapshot."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from fastnn import _config
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import (
    Builder,
    NetLock,
    Program,
    Scaling,
    lower_inference,
    make_executor,
    make_plain_net,
)
from fastnn.nn._checks import as_rows, is_native
from fastnn.nn._runners import PREDICT_ROWS
from fastnn.nn._values import NetValues
from fastnn.nn.container_base import emit, emit_in_sequence
from fastnn.nn.layers import Layer
from fastnn.nn.scaling import unscale

if TYPE_CHECKING:
    from fastnn.engine._plain_calls import PlainNet


class Predictions(NetValues):
    """The part of `Sequential` that predicts."""

    @abstractmethod
    def copy(self, dtype: npt.DTypeLike | None = None) -> Self:
        """Return a new net with the same layers and values."""

    def predict(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return the last layer's output in evaluation mode, with an `output_scaler` in the unit of the targets.

        Each row of the output depends on that row of `X` alone, bit for bit, whatever the other rows are.

        Parameters
        ----------
        X : array_like, shape (n, in_features)
            float32, float64 and uint8 arrays are read in place, others are converted to the net's dtype. NaN is
            allowed.
        out : ndarray, shape (n, out_features), optional
            Where to write the result: C-contiguous, of the net's dtype. It overlaps neither `X` nor the net's
            parameters.

        Returns
        -------
        ndarray, shape (n, out_features)
            `out`, or a new array.

        Raises
        ------
        TypeError
            If `X` is no array of real numbers, or `out` has another dtype.
        ValueError
            If shapes do not match, `X` has a number that an embedding refuses, or `out` overlaps `X` or the parameters.

        Examples
        --------
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(0.5)), nn.Sigmoid())
        >>> net.predict([[1, -1]])
        array([[0.5]], dtype=float32)
        """
        plain = self._runners.plain
        z = None if plain is None else plain.now(X, out, (self.__dict__,))
        if z is None:
            z = self.predict_any_rows("X", X, out)
            if plain is None and len(z) <= PREDICT_ROWS:
                self._runners.keep_plain(self.make_plain_net(PREDICT_ROWS, lock=self.lock))
        return z

    def scaled_outputs(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return the last layer's output in evaluation mode, as losses take it; write that of `predict` to `out`."""
        if self._output_scaling is None:
            return self._outputs(X, out)[0]
        z, scaling = self._outputs(X)
        if out is not None:
            out[...] = z
            if scaling is not None:
                unscale(out, scaling)
        return z

    def predict_any_rows(self, name: str, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Do what `predict` does, for any rows; messages call them `name`."""
        z, scaling = self._outputs(X, out, name)
        return z if scaling is None else unscale(z, scaling)

    def _outputs(self, X: npt.ArrayLike, out: Array | None = None, name: str = "X") -> tuple[Array, Scaling | None]:
        """Return the last layer's output in evaluation mode, and the numbers of the output's scaler at that moment."""
        x = self.as_input(name, X)
        apart = {name: x} if out is None else {name: x, "the net's parameters": self.params.data}
        out = v.output(out, (len(x), self.out_features), self.dtype, apart)
        backend, threads = _config.get_backend(), _config.get_num_threads()
        executor = self._runners.take(self.inference_program, backend, len(x))
        with self.lock.reading():  # the executor reads under the lock, too: the scalers are of the same moment
            scaling = self._output_scaling
            executor.predict(x, out, threads, self.lock, self._scaling)
        self._runners.put_back(backend, executor)
        return out, scaling

    def __call__(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return ``predict(X, out)``."""
        return self.predict(X, out)

    def activations(self, X: npt.ArrayLike) -> list[Array]:
        """Return the output of each of `layers` in evaluation mode; that of a container is one.

        Parameters
        ----------
        X : array_like, shape (n, in_features)
            As for `predict`.

        Returns
        -------
        list of ndarray
            One array (n, width) for each layer, of the net's dtype: entry i is ``net[: i + 1].predict(X)``, bit for
            bit, and the last one ``net.predict(X)``. A dropout's output is its input; a dropout that comes first has
            the scaled `X`. All are of the same moment, even while another thread trains the net.

        Raises
        ------
        TypeError, ValueError
            As `predict` does.

        Examples
        --------
        The share of units in each layer that are 0 for all rows, such as dead ReLUs:

        >>> import numpy as np
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(1, 2), nn.ReLU(), nn.Dense(2, 1), seed=0)
        >>> net[0].weight[...], net[0].bias[...] = [[1.0, -1.0]], [0.0, -5.0]
        >>> [float(np.mean((h == 0).all(axis=0))) for h in net.activations([[1.0], [2.0]])]
        [0.0, 0.5, 0.0]
        """
        x = self.as_input("X", X)
        builder, names = self._emit_layers(training=False)
        program = lower_inference(builder, names[-1], names)
        threads, capacity = _config.get_num_threads(), max(1, min(len(x), PREDICT_ROWS))
        executor = make_executor(program, self.dtype, capacity, self.params, self.state)
        results = [np.empty((len(x), builder.batch[name]), self.dtype) for name in names]
        with self.lock.reading():
            for start in range(0, len(x), capacity):
                rows = slice(start, start + capacity)
                part, out = x[rows], results[-1][rows]
                executor.predict(part, out, threads, self.lock, self._scaling)
                for name, result in zip(names, results[:-1], strict=False):
                    if name == program.input:  # the executor may have read it in place
                        executor.load(part, threads, self._scaling)
                    result[rows] = out if name == program.output else executor.array(name, len(part))
        if (scaling := self._output_scaling) is not None:
            unscale(results[-1], scaling)
        return results

    # ---- for trainers, executors and gradient checks ----

    def emit(self, training: bool) -> tuple[Builder, str]:
        """Return a builder with the net's forward ops, and the output's buffer."""
        builder, names = self._emit_layers(training)
        return builder, names[-1]

    def _emit_layers(self, training: bool) -> tuple[Builder, list[str]]:
        """Return a builder with the net's forward ops, and the buffer of each layer's output."""
        builder = Builder(self.in_features, training, self.params.frozen)
        return builder, emit_in_sequence(self.layers, builder, builder.input)

    def inference_program(self, link: Layer | None = None) -> Program:
        """Return the net's program for inference, with a layer after the last one, if it is given."""
        builder, output = self.emit(training=False)
        if link is not None:
            output = emit(link, builder, output, "link")
        return lower_inference(builder, output)

    def make_plain_net(self, rows: int, link: Layer | None = None, lock: NetLock | None = None) -> PlainNet:
        """Return a net of plain calls over the present arrays, with a layer after the last one, if it is given.

        `lock` is the net's own, unless nobody trains it.
        """
        return make_plain_net(self.inference_program(link), self.dtype, rows, self.params, self.state, lock)

    def plain_net(self) -> PlainNet | None:
        """Return the net of plain calls; None before the first prediction, and for classes with their own `predict`."""
        return self._runners.plain_net if self.predicts_plainly else None

    @property
    def predicts_plainly(self) -> bool:
        """Whether `predict` is that of this class, not of a subclass."""
        return type(self).predict is Predictions.predict

    def as_input(self, name: str, value: npt.ArrayLike) -> Array:
        """Return `value` as executors read it: float32, float64 or uint8, native and aligned, (n, in_features)."""
        if type(value) is np.ndarray and value.shape[1:] == self._row_shape and is_native(value):
            return value  # the usual case: the checks below would take longer than the prediction of one row
        widest = max(self.id_columns, key=lambda each: each.size, default=None)
        if widest is None or widest.size <= v.WHOLE_NUMBERS_OF_FLOAT32:
            return as_rows(name, value, self.in_features, self.dtype)
        rows = as_rows(name, value, self.in_features, np.dtype(np.float64))
        if rows.dtype == np.float32:
            must = f"be float64, as column {widest.column} has {widest.size} categories and float32 ends at 2**24"
            fix = f"make {name} float64 or integers from the start, as float32 has rounded its ids"
            v.refuse(ValueError, name, must, "float32", fix)
        return rows

"""Nets: layers one after another over flat arenas."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastnn import _config, kernels
from fastnn import _validation as v
from fastnn._activations import ACTIVATIONS
from fastnn._typing import Array
from fastnn.engine import (
    Arena,
    Builder,
    Executor,
    Layout,
    Op,
    Program,
    Update,
    lower_inference,
    lower_training,
    make_executor,
    told_from,
    told_from_input,
)
from fastnn.nn._sharing import SharedLock
from fastnn.nn.init import Initializer, xavier_uniform
from fastnn.nn.layers import BatchNorm, Layer
from fastnn.nn.losses import Loss, as_loss

__all__ = ["Sequential"]

PREDICT_ROWS = 512  # rows that a prediction takes at a time: their activations stay in the second-level cache


class Scaling(Protocol):
    """What `Sequential.scaler` takes: the input becomes ``(x - center) * scale``."""

    @property
    def center(self) -> Any:
        """What is subtracted from each column, or from all."""

    @property
    def scale(self) -> Any:
        """What each column, or all, is multiplied by."""


class Sequential:
    """A net of layers, each of which takes what the one before it gives.

    Parameters
    ----------
    *layers : Layer
        At least one `Dense` or `BatchNorm`, which say how wide the input is. A layer belongs to one net.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and of all that is computed.
    seed : int, default 0
        From 0 to 2**64 - 1; initial weights, dropout masks and the order of rows in training are functions of it.

    Attributes
    ----------
    layers : tuple of Layer
    dtype : numpy.dtype
    seed : int
    in_features, out_features : int
    params, state, grads : Arena
        The flat buffers of parameters, of running statistics, and of the gradients of the last `backward`.
    training_steps : int
        Forward passes in training mode so far, which number the dropout masks.

    Raises
    ------
    TypeError
        If something is not a layer, or `seed` not an integer.
    ValueError
        If neighbours' widths differ, a layer is part of a net already, or the width of the input is not known.

    Notes
    -----
    `predict` may run in several threads at once, and while another thread trains the net: it waits for the end of the
    steps under way, and never sees half of one. Training itself is for one thread at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 3), seed=1)
    >>> net.predict(np.zeros((2, 4))).shape
    (2, 3)
    """

    def __init__(self, *layers: Layer, dtype: npt.DTypeLike = "float32", seed: int = 0) -> None:
        self._assemble(layers, dtype, seed)
        try:
            for index, layer in enumerate(layers):
                layer.reset(self.seed, _initializer(layers[index + 1 :]))
        except BaseException:
            for layer in layers:
                Layer.__init__(layer)
            raise

    def _assemble(self, layers: tuple[Layer, ...], dtype: npt.DTypeLike, seed: int) -> None:
        """All but the layers' values, which a copy need not draw."""
        self.layers = layers
        self.dtype = _dtype(dtype)
        self.seed = v.integer("seed", seed, 0, 2**64 - 1)
        self.in_features, self.out_features = _widths(layers)
        shapes = [
            {f"{i}.{name}": shape for name, shape in layer.parameters().items()} for i, layer in enumerate(layers)
        ]
        kept = [{f"{i}.{name}": shape for name, shape in layer.buffers().items()} for i, layer in enumerate(layers)]
        for name, shape in {name: shape for group in shapes for name, shape in group.items()}.items():
            v.size(name, shape, self.dtype)
        self.params = Arena(Layout({name: shape for group in shapes for name, shape in group.items()}), self.dtype)
        self.state = Arena(Layout({name: shape for group in kept for name, shape in group.items()}), self.dtype)
        self.training_steps = 0
        self._grads: Arena | None = None
        self._scaling: tuple[Array, Array] | None = None
        self._predictors: dict[tuple[str, bool], list[Executor]] = {}
        self._tape: tuple[Executor, int, int] | None = None  # what forward ran on, with its rows and step
        self._tapes: dict[tuple[str, bool], Executor] = {}
        self.lock = SharedLock()
        self.fitting = threading.Lock()
        for index, layer in enumerate(layers):
            layer.bind(index, self.params, self.state)

    def __repr__(self) -> str:
        inner = "".join(f"    {layer!r},\n" for layer in self.layers)
        return f"Sequential(\n{inner}    dtype={str(self.dtype)!r}, seed={self.seed},\n)"

    # ---- running ----

    def predict(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return the last layer's output in evaluation mode.

        A row's output depends on that row alone, bit for bit, whatever rows come with it.

        Parameters
        ----------
        X : array_like, shape (n, in_features)
            float32, float64 and uint8 arrays are read in place, others converted to the net's dtype. NaN may be there.
        out : ndarray, shape (n, out_features), optional
            Where to write: C-contiguous, of the net's dtype, apart from `X`.

        Returns
        -------
        ndarray, shape (n, out_features)
            `out`, or a new array.

        Raises
        ------
        TypeError
            If `X` is no array of real numbers, or `out` of another dtype.
        ValueError
            If shapes do not match or `out` overlaps `X`.

        Examples
        --------
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(0.5)), nn.Sigmoid())
        >>> net.predict([[1, -1]])
        array([[0.5]], dtype=float32)
        """
        x = self.readable("X", X)
        out = v.output(out, (len(x), self.out_features), self.dtype, {"X": x})
        backend, threads = _config.get_backend(), _config.get_num_threads()
        with self.lock.reading():
            executor = self._predictor(backend, len(x))
            if self._scaling is None:
                executor.predict(x, out, threads)
            else:
                for start in range(0, len(x), executor.capacity):
                    rows = slice(start, start + executor.capacity)
                    executor.predict(self._scaled(x[rows]), out[rows], threads)
        self._predictors[backend, executor.capacity == 1].append(executor)
        return out

    def forward(self, x: npt.ArrayLike, training: bool = False, input_grad: bool = False) -> Array:
        """Run the net, in training mode so that `backward` can follow.

        In training mode batch norms use and follow the batch's statistics, and dropout draws the next mask.

        Parameters
        ----------
        x : array_like, shape (n, in_features)
        training : bool, default False
            If False, this is `predict`.
        input_grad : bool, default False
            Whether `backward` shall return the derivative by `x`.

        Returns
        -------
        ndarray, shape (n, out_features)

        Raises
        ------
        TypeError, ValueError
            As `predict` does; and ValueError if there is no row, or one row where batch statistics are wanted.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import kernels, nn
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(0.5)))
        >>> z = net.forward([[1.0, 3.0]], training=True)
        >>> dz = np.empty_like(z)
        >>> kernels.mean_squared_error(z, np.array([[1.0]], z.dtype), grad=dz)
        1.0
        >>> net.backward(dz)
        >>> net.gradients()["0.weight"]
        array([[2.],
               [6.]], dtype=float32)
        """
        if not training:
            return self.predict(x)
        checked = self.readable("x", x)
        rows = len(checked)
        executor = self._training_executor(rows, bool(input_grad))
        v.at_least("x", checked, 0, 2 if executor.program.has_batch_statistics else 1, "rows for training")
        with self.lock.writing():
            self._tape = None
            step = self.training_steps
            self.training_steps += 1
            _fill(executor.array(executor.program.input, rows), self._scaled(checked))
            try:
                executor.run("forward", rows, step % 2**32, None, _config.get_num_threads())
            except Exception:  # a custom layer's
                self.training_steps = step
                raise
            self._tape = executor, rows, step
            return executor.array(executor.program.output, rows).copy()

    def backward(self, dz: npt.ArrayLike) -> Array | None:
        """Compute the gradients of the last `forward(training=True)` from the derivative by its result.

        They replace those of the call before, see `gradients`.

        Parameters
        ----------
        dz : array_like, shape (n, out_features)
            The loss's derivative by the net's output.

        Returns
        -------
        ndarray, shape (n, in_features), or None
            The derivative by the input, if that `forward` was told ``input_grad=True``.

        Raises
        ------
        RuntimeError
            If there was no such forward pass.
        TypeError, ValueError
            If `dz` is no array of real numbers of that shape.
        """
        if self._tape is None:
            raise RuntimeError("backward: expected a forward(x, training=True) before it, came none")
        executor, rows, step = self._tape
        program = executor.program
        array = v.numeric("dz", dz)
        v.shape("dz", array, (rows, self.out_features))
        _fill(executor.array(program.output_grad, rows), array)
        executor.run("backward", rows, step % 2**32, None, _config.get_num_threads())
        if not program.input_grad:
            return None
        dx = executor.array(program.input_grad, rows).copy()
        return dx if self._scaling is None else dx * self._scaling[1]

    # ---- values ----

    @property
    def grads(self) -> Arena:
        """The gradients' arena, made when first needed."""
        if self._grads is None:
            self._grads = Arena(self.params.layout, self.dtype)
        return self._grads

    def parameters(self) -> dict[str, Array]:
        """Every parameter by name ("0.weight", ...), as views: assigning to their entries changes the net."""
        return self.params.views()

    def gradients(self) -> dict[str, Array]:
        """The gradients of the last `backward` by the parameters' names, as views.

        A step of a `Trainer` passes its gradients on to the optimiser: what it leaves here is not to be relied on.
        """
        return self.grads.views()

    @property
    def scaler(self) -> tuple[Array, Array] | None:
        """Center and scale of the input, ``(x - center) * scale``, or None.

        It takes anything with the attributes `center` and `scale`, numbers or one entry a column, such as a
        `fastnn.data.Scaler`. The net then scales whatever it is given, in training and in evaluation; uint8 input stays
        uint8 until its rows are gathered.
        """
        return self._scaling

    @scaler.setter
    def scaler(self, scaler: Scaling | None) -> None:
        if scaler is None:
            self._scaling = None
            return
        vectors = []
        for name in ("center", "scale"):
            array = v.numeric(f"scaler.{name}", getattr(scaler, name))
            if array.ndim:
                v.shape(f"scaler.{name}", array, (self.in_features,))
            with np.errstate(all="ignore"):
                vector = np.full(self.in_features, array, self.dtype)
            if not np.isfinite(vector).all():
                v.fail(ValueError, f"scaler.{name}", f"finite numbers, as {self.dtype}", "NaN or infinity")
            vectors.append(vector)
        self._scaling = vectors[0], vectors[1]

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and running statistics by PyTorch's keys, in PyTorch's orientation.

        Returns
        -------
        dict of str to ndarray
            "0.weight" (out_features, in_features), "0.bias", ...; "1.running_mean", "1.running_var" and
            "1.num_batches_tracked" (int64, shape ()) of batch norms: the keys of the same ``torch.nn.Sequential``.

        Examples
        --------
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 3), nn.BatchNorm(3))
        >>> {name: array.shape for name, array in net.state_dict().items()}
        {'0.weight': (3, 2), '0.bias': (3,), '1.weight': (3,), '1.bias': (3,), '1.running_mean': (3,),
         '1.running_var': (3,), '1.num_batches_tracked': ()}
        """
        values: dict[str, Array] = {}
        with self.lock.reading():
            for index, layer in enumerate(self.layers):
                for arena, names in ((self.params, layer.parameters()), (self.state, layer.buffers())):
                    for name in names:
                        values[f"{index}.{name}"] = np.ascontiguousarray(arena.view(f"{index}.{name}").T.copy("C"))
                if isinstance(layer, BatchNorm):
                    values[f"{index}.num_batches_tracked"] = np.array(self.training_steps, dtype=np.int64)
        return values

    def load_state_dict(self, state_dict: Mapping[str, npt.ArrayLike]) -> None:
        """Take over all values of a `state_dict`, or of a ``torch.nn.Sequential``'s.

        Parameters
        ----------
        state_dict : mapping of str to array_like
            With exactly the keys and shapes of `state_dict`; values are converted to the net's dtype.

        Raises
        ------
        TypeError
            If it is no mapping, or a value no array of real numbers.
        ValueError
            If a key is missing or unknown, a shape differs or a variance is negative; the net is as before.
        """
        if not isinstance(state_dict, Mapping):
            v.fail(TypeError, "state_dict", "a mapping of names to arrays", type(state_dict).__name__)
        wanted = self.state_dict()
        missing, unknown = [k for k in wanted if k not in state_dict], [k for k in state_dict if k not in wanted]
        if missing or unknown:
            v.fail(ValueError, "state_dict", "the net's own names", f"missing {missing}, unknown {unknown}")
        for name in wanted:
            array = v.numeric(f"state_dict[{name!r}]", state_dict[name])
            v.shape(f"state_dict[{name!r}]", array, wanted[name].shape)
            if name.endswith("num_batches_tracked"):
                v.integer(f"state_dict[{name!r}]", array.item(), 0)
            elif name.endswith("running_var") and np.any(array < 0):
                v.fail(ValueError, f"state_dict[{name!r}]", "no number below 0", array.min())
            wanted[name] = array
        with self.lock.writing(), np.errstate(all="ignore"):  # what is too large for the dtype becomes infinite
            for name, array in wanted.items():
                if name.endswith("num_batches_tracked"):
                    self.training_steps = int(array)
                else:
                    arena = self.params if name in self.params.layout.shapes else self.state
                    arena.view(name)[...] = array.T

    def copy(self, dtype: npt.DTypeLike | None = None) -> Sequential:
        """Return a net of its own with the same layers and values.

        Parameters
        ----------
        dtype : {"float32", "float64"}, optional
            The net's own by default.

        Returns
        -------
        Sequential
        """
        layers = [layer.detached() for layer in self.layers]
        with self.lock.reading():
            return _restore(
                layers, self.dtype if dtype is None else dtype, self.seed, self.params.data, self.state.data,
                self.training_steps, self._scaling,
            )  # fmt: skip

    def astype(self, dtype: npt.DTypeLike) -> Sequential:
        """Return `copy` with this dtype."""
        return self.copy(dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        layers = [layer.detached() for layer in self.layers]
        with self.lock.reading():
            arenas = self.params.data.copy(), self.state.data.copy()
        return _restore, (layers, self.dtype.name, self.seed, *arenas, self.training_steps, self._scaling)

    def summary(self) -> str:
        """Return a table of the layers, their widths and the number of their parameters.

        Examples
        --------
        >>> from fastnn import nn
        >>> print(nn.Sequential(nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 3)).summary())
           layer        output  parameters
        0  Dense(4, 8)       8          40
        1  ReLU()            8           0
        2  Dense(8, 3)       3          27
           total                        67
        """
        rows = [("", "layer", "output", "parameters")]
        width, total = self.in_features, 0
        for index, layer in enumerate(self.layers):
            width = layer.out_features or width
            count = sum(self.params.layout.elements(f"{index}.{name}") for name in layer.parameters())
            total += count
            rows.append((str(index), repr(layer), str(width), str(count)))
        rows.append(("", "total", "", str(total)))
        a, b, c, d = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(f"{i:>{a}}  {name:<{b}}  {out:>{c}}  {count:>{d}}" for i, name, out, count in rows)

    # ---- for the trainer and diagnosis ----

    def sides(self) -> bytes:
        """On which side of each kink of an activation the last `forward(training=True)` has been, entry by entry."""
        if self._tape is None:
            raise RuntimeError("sides: expected a forward(x, training=True) before it, came none")
        executor, rows, _ = self._tape
        packed = []
        for op in executor.program.sections["forward"]:
            for buffer, kink in _kinks(op):
                values = executor.array(buffer, rows)
                packed += [np.packbits(values > kink), np.packbits(values >= kink)]
        return b"".join(array.tobytes() for array in packed)

    def last_rows(self) -> int:
        """Return how many rows the last `forward(training=True)` took."""
        if self._tape is None:
            raise RuntimeError("last_rows: expected a forward(x, training=True) before it, came none")
        return self._tape[1]

    def emit(self, training: bool) -> tuple[Builder, str]:
        """Return a builder with the net's forward ops, and the buffer of the output."""
        builder = Builder(self.in_features, training)
        x = builder.input
        for layer in self.layers:
            x = layer.emit(builder, x)
        return builder, x

    def training_program(
        self, *, loss: str | Loss = "", target: str = "", optimizer: Update | str = "", input_grad: bool = False
    ) -> Program:
        """Return the net's program for training.

        Parameters
        ----------
        loss : str or Loss
            By `target`, "labels" or "rows"; "" for hand-written loops.
        target, optimizer, input_grad
            See `fastnn.engine.lower_training`.
        """
        builder, output = self.emit(training=True)
        call = as_loss(loss, self.out_features).bind(self.out_features, target) if loss else None
        return lower_training(builder, output, loss=call, optimizer=optimizer, input_grad=input_grad)

    def readable(self, name: str, value: npt.ArrayLike) -> Array:
        """Return `value` as what executors read: float32, float64 or uint8, native and aligned, (n, in_features)."""
        if type(value) is np.ndarray and value.shape[1:] == (self.in_features,) and in_place(value):
            return value  # the usual case, without the checks' own time: one row takes less than they do
        array = v.numeric(name, value)
        v.shape(name, array, ("n", self.in_features))
        return gatherable(name, array, self.dtype)

    def _scaled(self, x: Array) -> Array:
        if self._scaling is None:
            return x
        center, scale = self._scaling
        with np.errstate(all="ignore"):
            return (x.astype(self.dtype) - center) * scale

    def _predictor(self, backend: str, rows: int) -> Executor:
        """An inference executor that no other thread uses; small ones serve single rows."""
        single = rows == 1
        idle = self._predictors.setdefault((backend, single), [])
        try:
            return idle.pop()
        except IndexError:
            program = lower_inference(*self.emit(training=False))
            return make_executor(
                program, self.dtype, 1 if single else PREDICT_ROWS, self.params, self.state, backend=backend
            )

    def _training_executor(self, rows: int, input_grad: bool) -> Executor:
        key = _config.get_backend(), input_grad
        executor = self._tapes.get(key)
        if executor is None or executor.capacity < rows:
            program = self.training_program(input_grad=input_grad)
            executor = self._tapes[key] = make_executor(
                program, self.dtype, rows, self.params, self.state, self.grads, (), self.seed, key[0]
            )
        return executor


_GATHERED = frozenset(map(np.dtype, (np.float32, np.float64, np.uint8)))  # byte-swapped ones compare unequal


def in_place(array: Array) -> bool:
    """Whether executors can read the array where it is."""
    return array.dtype in _GATHERED and array.flags.aligned


def _fill(array: Array, values: Array) -> None:
    """Copy values, of which what is too large for the array's dtype becomes infinite."""
    if values.dtype == array.dtype:
        array[...] = values
        return
    with np.errstate(all="ignore"):
        array[...] = values


def gatherable(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """Return `array` itself where executors can read it in place, else a copy of this dtype."""
    return array if in_place(array) else v.contiguous(name, array, dtype)


def _dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError):
        name = v.shown(dtype, str)
    return np.dtype(v.choice("dtype", name, ("float32", "float64")))


def _widths(layers: tuple[Layer, ...]) -> tuple[int, int]:
    """Check that the layers can be one net; its input's and output's widths."""
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            v.fail(TypeError, f"layers[{index}]", "a layer", type(layer).__name__)
        if layer.bound or any(layer is other for other in layers[:index]):
            v.fail(ValueError, f"layers[{index}]", "a layer that is part of no net yet", repr(layer))
    wide = [(index, layer) for index, layer in enumerate(layers) if layer.in_features is not None]
    if not wide:
        v.fail(ValueError, "layers", "at least one Dense or BatchNorm", repr(list(layers)))
    for (_, before), (index, layer) in pairwise(wide):
        if before.out_features != layer.in_features:
            expected = f"input of width {before.out_features}, that of {before!r} before it"
            v.fail(ValueError, f"layers[{index}]", expected, repr(layer))
    first, last = wide[0][1].in_features, wide[-1][1].out_features
    assert first is not None and last is not None
    return first, last


def _kinks(op: Op) -> Iterator[tuple[str, float]]:
    """The kinks of an op's function, each as a buffer and a number in it."""
    if op.kind == "prelu":
        yield op.buffers["x"], 0.0
    if "activation" not in op.attrs:
        return
    row = ACTIVATIONS[op.attrs["activation"]]
    parameters = dict(zip((p.name for p in row.parameters), op.attrs["parameters"], strict=True))
    for kink in row.kinks:
        x = parameters[kink] if isinstance(kink, str) else kink
        # Where only the output is kept, it is that of a function that rises.
        at = x if told_from_input(op) else kernels.activation(op.attrs["activation"], x, **parameters).item()
        yield told_from(op), at


def _initializer(layers: tuple[Layer, ...]) -> Initializer:
    """What a `Dense` is initialised by that these layers follow."""
    said = (layer.init_before() for layer in layers)
    return next((each for each in said if each is not None), xavier_uniform())


def _restore(
    layers: list[Layer],
    dtype: npt.DTypeLike,
    seed: int,
    params: Array,
    state: Array,
    training_steps: int,
    scaling: tuple[Array, Array] | None,
) -> Sequential:
    """A net with these layers and values."""
    net = Sequential.__new__(Sequential)
    net._assemble(tuple(layers), dtype, seed)
    net.params.data[...] = params
    net.state.data[...] = state
    net.training_steps = training_steps
    if scaling is not None:
        net._scaling = scaling[0].astype(net.dtype), scaling[1].astype(net.dtype)
    return net

"""Nets: a sequence of layers, whose parameters and statistics are in flat arenas."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from fastnn import _config, kernels
from fastnn import _validation as v
from fastnn._activations import ACTIVATIONS
from fastnn._settings import FixedAttributes
from fastnn._typing import Array
from fastnn.engine import (
    Arena,
    Builder,
    Counter,
    Executor,
    Layout,
    NetLock,
    Op,
    Program,
    TrainingClaim,
    Update,
    derivative_buffer,
    derivative_needs_input,
    lower_inference,
    lower_training,
    make_executor,
    read_only,
)
from fastnn.nn.init import XAVIER_UNIFORM, Initializer
from fastnn.nn.layers import Layer
from fastnn.nn.losses import Loss, as_loss

__all__ = ["Sequential"]

SCALER_KEYS = ("scaler.center", "scaler.scale")  # of a state dict
PREDICT_ROWS = 512  # rows predicted at a time, so that their activations stay in the second-level cache


class Scaling(Protocol):
    """The type of `Sequential.scaler`: the input becomes ``(x - center) * scale``."""

    @property
    def center(self) -> Any:
        """A number for all columns or one for each, subtracted from the input."""

    @property
    def scale(self) -> Any:
        """A number for all columns or one for each, by which the difference is multiplied."""


class Sequential(FixedAttributes):
    """A net of layers: the output of each is the input of the next.

    Parameters
    ----------
    *layers : Layer
        At least one `Dense` or `BatchNorm`, which define the width of the input. A layer belongs to one net.
    dtype : {"float32", "float64"}, default "float32"
        The type of the parameters and of all computations.
    seed : int, optional
        From 0 to 2**64 - 1. Initial weights, dropout masks and the order of rows in training are functions of it. The
        default is 63 random bits from the operating system, so that two nets differ; `repr` and ``net.seed`` show it.

    Attributes
    ----------
    layers : tuple of Layer
    dtype : numpy.dtype
    seed : int
    in_features, out_features : int
        Widths of input and output.
    params, state, grads : Arena
        The flat buffers of parameters, of running statistics, and of the gradients of the last `backward`.
    training_steps : int
        Number of forward passes in training mode, which selects the dropout masks. It may be set.

    Raises
    ------
    TypeError
        If something is not a layer, or `seed` is no integer. ``int(rng.integers(2**63))`` draws a seed from a NumPy
        generator.
    ValueError
        If the widths of neighbours differ, a layer is already part of a net, or no layer defines the width of the
        input.

    Notes
    -----
    `predict`, `state_dict`, copying and pickling may be called by several threads at once, while another thread trains
    the net, and by a signal handler: they see the net as it is after a complete step. Only one thread can train the net
    at a time. Training and `load_state_dict` are refused in a signal handler that interrupts a training of the net.

    Layers, dtype and seed cannot be changed: make a new net for others.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 3), seed=1)
    >>> net.predict(np.zeros((2, 4))).shape
    (2, 3)
    """

    _settable = frozenset({"scaler", "training_steps"})
    _read_only = frozenset(
        {"dtype", "grads", "in_features", "layers", "lock", "out_features", "params", "seed", "state", "training_claim"}
    )
    _fixes: ClassVar[Mapping[str, str]] = {
        "dtype": "write net.astype(dtype)",
        "layers": "make a new net for other layers",
        "params": "write net.load_state_dict(values), or net.params.data[...] = values",
        "state": "write net.load_state_dict(values), or net.state.data[...] = values",
        "seed": "give the seed when making the net",
        "trainable": 'give the optimiser a group with rate 0: optim.Adam(groups=[optim.Group("0.*", lr_scale=0.0)])',
        "training": "write net.forward(x, training=True) or net.predict(x)",
    }

    def __init__(self, *layers: Layer, dtype: npt.DTypeLike = "float32", seed: int | None = None) -> None:
        self._assemble(layers, dtype, seed)
        try:
            for layer, default in zip(layers, _initializers(layers), strict=True):
                layer.reset(self.seed, default)
        except BaseException:
            for layer in layers:
                layer.unbind()
            raise

    def _assemble(self, layers: tuple[Layer, ...], dtype: npt.DTypeLike, seed: int | None) -> None:
        """Do what `__init__` does, except drawing initial values, which copies do not need."""
        if "layers" in self.__dict__:
            v.refuse_attribute("Sequential.layers", "cannot be set again", "make a new net for other layers")
        seed = check_seed(seed)
        kind, (in_features, out_features) = _dtype(dtype), _widths(layers)
        params, state = (
            {f"{i}.{name}": shape for i, shapes in enumerate(group) for name, shape in shapes.items()}
            for group in ([layer.parameters() for layer in layers], [layer.buffers() for layer in layers])
        )
        for name, shape in params.items():
            v.size(name, shape, kind)
        lock = NetLock()
        self.__dict__.update(
            layers=layers, dtype=kind, seed=seed, in_features=in_features, out_features=out_features, lock=lock,
            training_claim=TrainingClaim(),
            params=Arena(Layout(params), kind, lock), state=Arena(Layout(state), kind, lock),
        )  # fmt: skip
        self._forward_counter = Counter()
        self._grads: Arena | None = None
        self._has_gradients = False
        self._scaling: tuple[Array, Array] | None = None
        self._idle_predictors: dict[tuple[str, bool], list[Executor]] = {}
        self._last_forward: tuple[Executor, int, int] | None = None  # of training: executor, rows, step
        self._forward_executors: dict[tuple[str, bool], Executor] = {}
        for index, layer in enumerate(layers):
            layer.bind(index, self.params, self.state)

    def __repr__(self) -> str:
        inner = "".join(f"    {layer!r},\n" for layer in self.layers)
        scaler = "" if self._scaling is None else f"    # scaler: {_scaler_text(*self._scaling)}\n"
        return f"Sequential(\n{inner}    dtype={str(self.dtype)!r}, seed={self.seed},\n{scaler})"

    layers: tuple[Layer, ...]
    dtype: np.dtype[Any]
    seed: int
    in_features: int
    out_features: int
    params: Arena
    state: Arena
    lock: NetLock
    training_claim: TrainingClaim

    @property
    def training_steps(self) -> int:
        """Number of forward passes in training mode."""
        return self._forward_counter.value

    @training_steps.setter
    def training_steps(self, steps: int) -> None:
        self.training_claim.refuse_change("training_steps")
        self._forward_counter.value = v.integer("training_steps", steps, 0)

    # ---- running ----

    def predict(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return the last layer's output in evaluation mode.

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
            If shapes do not match, or `out` overlaps `X` or the net's parameters.

        Examples
        --------
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(0.5)), nn.Sigmoid())
        >>> net.predict([[1, -1]])
        array([[0.5]], dtype=float32)
        """
        x = self.as_input("X", X)
        apart = {"X": x} if out is None else {"X": x, "the net's parameters": self.params.data}
        out = v.output(out, (len(x), self.out_features), self.dtype, apart)
        backend, threads = _config.get_backend(), _config.get_num_threads()
        executor = self._predictor(backend, len(x))
        if self._scaling is None:
            executor.predict(x, out, threads, self.lock)
        else:
            executor.predict(x, out, threads, self.lock, *self._scaling)
        self._idle_predictors[backend, executor.capacity == 1].append(executor)
        return out

    def forward(self, x: npt.ArrayLike, training: bool = False, input_grad: bool = False) -> Array:
        """Run the net; in training mode, `backward` can be called next.

        In training mode, batch norms use the batch's statistics and update the running ones, and dropout draws the next
        mask.

        Parameters
        ----------
        x : array_like, shape (n, in_features)
            The batch.
        training : bool, default False
            If False, this is `predict`.
        input_grad : bool, default False
            Whether `backward` is to return the derivative with respect to `x`.

        Returns
        -------
        ndarray, shape (n, out_features)
            The last layer's output.

        Raises
        ------
        TypeError, ValueError
            As `predict` does. In training mode also a ValueError if there is no row, or a single row in a net with
            batch norms.
        RuntimeError
            If another thread is training the net, or a signal handler calls this in the middle of a training.

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
        checked = self.as_input("x", x)
        rows = len(checked)
        executor = self._training_executor(rows, bool(input_grad))
        if executor.program.has_batch_statistics:
            v.at_least("x", checked, 0, 2, "rows for training")
        else:
            v.at_least("x", checked, 0, 1, "row for training")
        with self.training_claim:
            self._last_forward = None
            step, threads = self._forward_counter.value, _config.get_num_threads()
            _fill(executor.array(executor.program.input, rows), self._scaled(checked))
            executor.run("forward", rows, step % 2**32, None, threads, 0.0, self.lock, (self._forward_counter,))
            self._last_forward = executor, rows, step
            return executor.array(executor.program.output, rows).copy()

    def backward(self, dz: npt.ArrayLike) -> Array | None:
        """Compute the gradients of the last `forward(training=True)` from the derivative with respect to its result.

        They replace the previous gradients, see `gradients`.

        Parameters
        ----------
        dz : array_like, shape (n, out_features)
            The derivative of the loss with respect to the net's output.

        Returns
        -------
        ndarray, shape (n, in_features), or None
            The derivative with respect to the input, if that `forward` was called with ``input_grad=True``.

        Raises
        ------
        RuntimeError
            If there was no such forward pass, or for the reasons given at `forward`.
        TypeError, ValueError
            If `dz` is no array of real numbers of that shape.
        """
        with self.training_claim:
            if self._last_forward is None:
                v.refuse_state("call forward(x, training=True) before backward")
            executor, rows, step = self._last_forward
            program = executor.program
            array = v.numeric("dz", dz)
            v.shape("dz", array, (rows, self.out_features))
            _fill(executor.array(program.output_grad, rows), array)
            executor.run("backward", rows, step % 2**32, None, _config.get_num_threads())
            if not self._has_gradients:
                self._has_gradients = True
            if not program.input_grad:
                return None
            dx = executor.array(program.input_grad, rows).copy()
            return dx if self._scaling is None else dx * self._scaling[1]

    # ---- values ----

    @property
    def grads(self) -> Arena:
        """The gradients' arena. `Trainer.step` uses the gradients written to it."""
        self._has_gradients = True
        return self.gradient_arena()

    def gradient_arena(self) -> Arena:
        """Return the gradients' arena, which is made when first needed."""
        if self._grads is None:
            self._grads = Arena(self.params.layout, self.dtype)
        return self._grads

    def parameters(self) -> dict[str, Array]:
        """Return all parameters by name ("0.weight", ...) as views: assigning to their entries changes the net."""
        return self.params.views()

    def gradients(self) -> dict[str, Array]:
        """Return the gradients of the last `backward` by the parameters' names, as views.

        After a step of a `Trainer` their contents are undefined.
        """
        return self.grads.views()

    @property
    def scaler(self) -> tuple[Array, Array] | None:
        """Center and scale of the input, ``(x - center) * scale``, or None.

        Assign any object with the attributes `center` and `scale`, such as a `fastnn.data.Scaler`; each is a number or
        has one entry for each column. The net copies the numbers, and from then on scales all its input, in training
        and in evaluation; uint8 input stays uint8 until its rows are gathered. In `state_dict` they are
        ``scaler.center`` and ``scaler.scale``. The arrays are read-only: to change them, assign another scaler.
        """
        if self._scaling is None:
            return None
        center, scale = map(read_only, self._scaling)
        return center, scale

    @scaler.setter
    def scaler(self, scaler: Scaling | tuple[Any, Any] | None) -> None:
        if scaler is not None and not isinstance(scaler, tuple):
            for name in ("center", "scale"):
                if not hasattr(scaler, name):
                    must, fix = "have the attributes center and scale, or be None", "write fastnn.data.Scaler.fit(X)"
                    v.refuse(TypeError, "scaler", must, v.kind_of(scaler), fix)
            scaler = scaler.center, scaler.scale
        scaling = None if scaler is None else self._check_scaling(scaler, "scaler.")
        self.training_claim.refuse_change("scaler")
        self._scaling = scaling

    def _check_scaling(self, pair: tuple[Any, ...], prefix: str) -> tuple[Array, Array]:
        """Return center and scale as new, read-only vectors."""
        if len(pair) != 2:
            v.refuse(ValueError, "scaler", "be a pair of center and scale", f"{len(pair)} values")
        vectors = []
        for name, value in zip(("center", "scale"), pair, strict=True):
            array = v.numeric(prefix + name, value)
            if array.ndim:
                v.shape(prefix + name, array, (self.in_features,))
            with np.errstate(all="ignore"):
                vector = np.full(self.in_features, array, self.dtype)
            if not np.isfinite(vector).all():
                v.refuse(
                    ValueError, prefix + name, f"contain numbers that are finite in {self.dtype}", "NaN or infinity"
                )
            vector.flags.writeable = False
            vectors.append(vector)
        return vectors[0], vectors[1]

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and running statistics, with PyTorch's keys and PyTorch's shapes.

        Returns
        -------
        dict of str to ndarray
            The keys are those of the same ``torch.nn.Sequential``: "0.weight" (out_features, in_features), "0.bias",
            ...; and for batch norms "1.running_mean", "1.running_var" and "1.num_batches_tracked" (int64, shape ()). A
            net with a `scaler` has "scaler.center" and "scaler.scale" (in_features,) as well.

        Examples
        --------
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 3), nn.BatchNorm(3))
        >>> {name: array.shape for name, array in net.state_dict().items()}
        {'0.weight': (3, 2), '0.bias': (3,), '1.weight': (3,), '1.bias': (3,), '1.running_mean': (3,),
         '1.running_var': (3,), '1.num_batches_tracked': ()}
        """
        (params, state), (steps,), _ = self.lock.snapshot((self.params.data, self.state.data), (self._forward_counter,))
        values: dict[str, Array] = {}
        for index, layer in enumerate(self.layers):
            parts = (params, self.params.layout, layer.parameters()), (state, self.state.layout, layer.buffers())
            for flat, layout, names in parts:
                for name in names:
                    values[f"{index}.{name}"] = np.ascontiguousarray(layout.view(flat, f"{index}.{name}").T.copy("C"))
            if layer.uses_batch_statistics:
                values[f"{index}.num_batches_tracked"] = np.array(steps, dtype=np.int64)
        if self._scaling is not None:
            values |= zip(SCALER_KEYS, (vector.copy() for vector in self._scaling), strict=True)
        return values

    def load_state_dict(self, state_dict: Mapping[str, npt.ArrayLike]) -> None:
        """Load all values from a `state_dict` of a net or of a ``torch.nn.Sequential``.

        Parameters
        ----------
        state_dict : mapping of str to array_like
            With exactly the keys and shapes of `state_dict`; values are converted to the net's dtype. The scaler's keys
            may be left out: the net then keeps its scaler.

        Raises
        ------
        TypeError
            If `state_dict` is no mapping, or a value is no array of real numbers.
        ValueError
            If a key is missing or unknown, a shape differs or a variance is negative; the net is unchanged.
        RuntimeError
            In a signal handler that interrupts a training of the net.
        """
        if not isinstance(state_dict, Mapping):
            v.refuse(TypeError, "state_dict", "be a mapping of names to arrays", v.kind_of(state_dict))
        wanted = self.state_dict()
        given = dict(state_dict)
        scaler_keys = [key for key in SCALER_KEYS if key in given]
        if len(scaler_keys) == 1:
            must = f"contain both {' and '.join(SCALER_KEYS)}, or neither"
            v.refuse(ValueError, "state_dict", must, f"only {scaler_keys[0]}")
        pair = tuple(given.pop(key) for key in scaler_keys)
        scaling = self._check_scaling(pair, "scaler.") if pair else self._scaling
        for key in SCALER_KEYS:
            wanted.pop(key, None)
        missing = [f"no {key!r}" for key in wanted if key not in given]
        unknown = [f"an unknown {v.shown(key)}" for key in given if key not in wanted]
        if missing or unknown:
            fix = "load the state of a trainer by trainer.load_state_dict" if "optimizer" in given else ""
            got = ", ".join(missing + unknown)
            v.refuse(ValueError, "state_dict", "have the keys of net.state_dict() and no others", got, fix)
        arenas = tuple((arena, np.zeros(arena.layout.size, self.dtype)) for arena in (self.params, self.state))
        steps = self._forward_counter.value
        for name in wanted:
            array = v.numeric(f"state_dict[{name!r}]", given[name])
            v.shape(f"state_dict[{name!r}]", array, wanted[name].shape)
            if name.endswith("num_batches_tracked"):
                steps = v.integer(f"state_dict[{name!r}]", array.item(), 0)
                continue
            if name.endswith("running_var") and np.any(array < 0):
                v.refuse(ValueError, f"state_dict[{name!r}]", "contain no number below 0", array.min())
            flat, layout = next((flat, arena.layout) for arena, flat in arenas if name in arena.layout.shapes)
            with np.errstate(all="ignore"):  # numbers too large for the dtype become infinite
                layout.view(flat, name)[...] = array.T
        self.training_claim.refuse_change("the net's values", elsewhere=False)
        pairs = tuple((arena.data, flat) for arena, flat in arenas)
        self.lock.assign(pairs, ((self._forward_counter, steps),), ((self.__dict__, {"_scaling": scaling}),))

    def copy(self, dtype: npt.DTypeLike | None = None) -> Sequential:
        """Return a new net with the same layers and values.

        Parameters
        ----------
        dtype : {"float32", "float64"}, optional
            Of the new net; by default the same.

        Returns
        -------
        Sequential
            The new net.
        """
        (params, state), (steps,), _ = self.lock.snapshot((self.params.data, self.state.data), (self._forward_counter,))
        return self.with_values(params, state, steps, self.dtype if dtype is None else _dtype(dtype))

    def astype(self, dtype: npt.DTypeLike) -> Sequential:
        """Return a `copy` with this dtype."""
        return self.copy(dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        layers = [layer.detached() for layer in self.layers]
        arenas, (steps,), _ = self.lock.snapshot((self.params.data, self.state.data), (self._forward_counter,))
        return _restore, (layers, self.dtype.name, self.seed, *arenas, steps, self._scaling)

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
        if self._scaling is not None:
            rows.append(("", "scaler", str(self.in_features), "0"))
        width, total = self.in_features, 0
        for index, layer in enumerate(self.layers):
            width = layer.out_features or width
            count = sum(self.params.layout.elements(f"{index}.{name}") for name in layer.parameters())
            total += count
            rows.append((str(index), repr(layer), str(width), str(count)))
        rows.append(("", "total", "", str(total)))
        a, b, c, d = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(f"{i:>{a}}  {name:<{b}}  {out:>{c}}  {count:>{d}}" for i, name, out, count in rows)

    # ---- for trainers and gradient checks ----

    def with_values(self, params: Array, state: Array, steps: int, dtype: np.dtype[Any]) -> Sequential:
        """Return a new net of the same layers; `params` and `state` are the contents of its arenas."""
        layers = [layer.detached() for layer in self.layers]
        return _restore(layers, dtype, self.seed, params, state, steps, self._scaling)

    def kink_sides(self) -> bytes:
        """Return bits that say on which side of each activation's kinks the last `forward(training=True)` was."""
        if self._last_forward is None:
            v.refuse_state("call forward(x, training=True) before kink_sides")
        executor, rows, _ = self._last_forward
        packed = []
        for op in executor.program.sections["forward"]:
            for buffer, kink in _kinks(op):
                values = executor.array(buffer, rows)
                packed += [np.packbits(values > kink), np.packbits(values >= kink)]
        return b"".join(array.tobytes() for array in packed)

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether a layer's output in training depends on the other rows of the batch."""
        return any(layer.uses_batch_statistics for layer in self.layers)

    def penalized(self) -> frozenset[str]:
        """Return the names of the parameters that a penalty on large weights applies to."""
        return frozenset(f"{i}.{name}" for i, layer in enumerate(self.layers) for name in layer.penalized)

    def max_norms(self) -> dict[str, float]:
        """Return the upper limits of the column norms of parameters, by name."""
        return {f"{i}.{name}": limit for i, layer in enumerate(self.layers) for name, limit in layer.max_norms.items()}

    def last_rows(self) -> int:
        """Return the number of rows of the last `forward(training=True)`."""
        if self._last_forward is None:
            v.refuse_state("call forward(x, training=True) before last_rows")
        return self._last_forward[1]

    def emit(self, training: bool) -> tuple[Builder, str]:
        """Return a builder with the net's forward ops, and the output's buffer."""
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
            The loss; "" for hand-written loops.
        target : {"labels", "rows"}
            The kind of targets that the loss gets.
        optimizer, input_grad
            See `fastnn.engine.lower_training`.
        """
        builder, output = self.emit(training=True)
        call = as_loss(loss, self.out_features).bind(self.out_features, target) if loss else None
        return lower_training(builder, output, loss=call, optimizer=optimizer, input_grad=input_grad)

    def as_input(self, name: str, value: npt.ArrayLike) -> Array:
        """Return `value` as executors read it: float32, float64 or uint8, native and aligned, (n, in_features)."""
        if type(value) is np.ndarray and value.shape[1:] == (self.in_features,) and is_native(value):
            return value  # the usual case: the checks below would take longer than the prediction of one row
        array = v.numeric(name, value)
        v.shape(name, array, ("n", self.in_features))
        return as_native(name, array, self.dtype)

    def _scaled(self, x: Array) -> Array:
        if self._scaling is None:
            return x
        center, scale = self._scaling
        with np.errstate(all="ignore"):
            return (x.astype(self.dtype) - center) * scale

    def _predictor(self, backend: str, rows: int) -> Executor:
        """Return an executor for inference that no other thread uses; single rows have small executors."""
        single = rows == 1
        idle = self._idle_predictors.setdefault((backend, single), [])
        try:
            return idle.pop()
        except IndexError:
            program = lower_inference(*self.emit(training=False))
            return make_executor(
                program, self.dtype, 1 if single else PREDICT_ROWS, self.params, self.state, backend=backend
            )

    def _training_executor(self, rows: int, input_grad: bool) -> Executor:
        key = _config.get_backend(), input_grad
        executor = self._forward_executors.get(key)
        if executor is None or executor.capacity < rows:
            program = self.training_program(input_grad=input_grad)
            executor = self._forward_executors[key] = make_executor(
                program, self.dtype, rows, self.params, self.state, self.gradient_arena(), (), self.seed, key[0]
            )
        return executor


_NATIVE_DTYPES = frozenset(map(np.dtype, (np.float32, np.float64, np.uint8)))  # byte-swapped ones compare unequal


def is_native(array: Array) -> bool:
    """Whether executors can read the array without a copy."""
    return array.dtype in _NATIVE_DTYPES and array.flags.aligned


def _fill(array: Array, values: Array) -> None:
    """Copy values into an array; those too large for its dtype become infinite."""
    if values.dtype == array.dtype:
        array[...] = values
        return
    with np.errstate(all="ignore"):
        array[...] = values


def as_native(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """Return `array` itself if executors can read it, else a copy of this dtype."""
    return array if is_native(array) else v.contiguous(name, array, dtype)


def _dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError):
        name = v.shown(dtype, str)
    return np.dtype(v.choice("dtype", name, ("float32", "float64")))


# How to draw a seed from objects that users give in its place, by the names of their classes.
_SEEDS = {
    "Generator": "int(rng.integers(2**63))",
    "BitGenerator": "int(np.random.Generator(bits).integers(2**63))",
    "RandomState": "int(rng.randint(2**63, dtype=np.int64))",
    "SeedSequence": "int(sequence.generate_state(1, np.uint64)[0])",
    "Random": "rng.getrandbits(63)",
}


def as_net(name: str, value: object) -> Sequential:
    """Return `value`, a net, or refuse it with what to write."""
    fix = "write trainer.net" if hasattr(value, "net") else ""
    if isinstance(value, Layer | list | tuple):
        fix = "write nn.Sequential(...)"
    net: Sequential = v.instance(name, value, Sequential, "be a Sequential", fix)
    return net


def check_seed(seed: int | None) -> int:
    """Return the seed, or one drawn from the operating system for None."""
    if seed is None:
        return int.from_bytes(os.urandom(8), "little") >> 1
    for kind in type(seed).__mro__:
        if kind.__name__ in _SEEDS:
            v.refuse(TypeError, "seed", "be an integer", type(seed).__name__, f"write seed={_SEEDS[kind.__name__]}")
    return v.integer("seed", seed, 0, 2**64 - 1)


def _widths(layers: tuple[Layer, ...]) -> tuple[int, int]:
    """Check that the layers can form a net, and return the widths of its input and output."""
    for index, layer in enumerate(layers):
        v.instance(f"layers[{index}]", layer, Layer, "be a layer", _layer_fix(layer))
        if layer.bound or any(layer is other for other in layers[:index]):
            fix = "write layer.detached() for a new layer with the same settings"
            v.refuse(ValueError, f"layers[{index}]", "be a layer that is not part of a net yet", v.shown(layer), fix)
    wide = [(index, layer) for index, layer in enumerate(layers) if layer.in_features is not None]
    if not wide:
        must = "contain a Dense or BatchNorm, which define the width of the input"
        v.refuse(ValueError, "layers", must, v.shown(list(layers)))
    for (_, before), (index, layer) in pairwise(wide):
        if before.out_features != layer.in_features:
            must = f"take inputs of width {before.out_features}, the output of {v.shown(before)} before it"
            v.refuse(ValueError, f"layers[{index}]", must, v.shown(layer))
    first, last = wide[0][1].in_features, wide[-1][1].out_features
    assert first is not None and last is not None
    return first, last


def _layer_fix(value: object) -> str:
    """Return what to write in place of a value that other libraries take as a layer, or as all layers."""
    if isinstance(value, list | tuple):
        return "write nn.Sequential(*layers)"
    if isinstance(value, Sequential):
        return "write *[layer.detached() for layer in net.layers]"
    return f"write nn.activation({value!r})" if isinstance(value, str) and value in ACTIVATIONS else ""


def _kinks(op: Op) -> Iterator[tuple[str, float]]:
    """Yield the kinks of an op's activation: each as a buffer, and the value at which the buffer crosses the kink."""
    if op.kind == "prelu":
        yield op.buffers["x"], 0.0
    if "activation" not in op.attrs:
        return
    row = ACTIVATIONS[op.attrs["activation"]]
    parameters = dict(zip((p.name for p in row.parameters), op.attrs["parameters"], strict=True))
    for kink in row.kinks:
        x = parameters[kink] if isinstance(kink, str) else kink
        # Where only the output is kept, the function is increasing: the output is compared with its value at the kink.
        at = x if derivative_needs_input(op) else kernels.activation(op.attrs["activation"], x, **parameters).item()
        yield derivative_buffer(op), at


def _initializers(layers: tuple[Layer, ...]) -> list[Initializer]:
    """Return the default initialiser of each layer's weights, which depends on the layers after it."""
    found: list[Initializer] = [XAVIER_UNIFORM]
    for layer in reversed(layers[1:]):
        found.append(layer.init_before() or found[-1])
    return found[::-1]


def _scaler_text(center: Array, scale: Array) -> str:
    return ", ".join(
        f"{name}={np.array2string(array, threshold=6, separator=', ')}"
        for name, array in (("center", center), ("scale", scale))
    )


def _restore(
    layers: list[Layer],
    dtype: npt.DTypeLike,
    seed: int,
    params: Array,
    state: Array,
    training_steps: int,
    scaling: tuple[Array, Array] | None,
) -> Sequential:
    """Make a net with these layers and values. All are checked, as they may come from a damaged file.

    Raises
    ------
    TypeError, ValueError
        If a value is of a wrong kind, shape or range.
    """
    if not isinstance(layers, list | tuple):
        v.refuse(TypeError, "layers", "be a list", v.kind_of(layers))
    net = Sequential.__new__(Sequential)
    net._assemble(tuple(layers), dtype, v.integer("seed", seed, 0, 2**64 - 1))
    for name, arena, flat in (("params", net.params, params), ("state", net.state, state)):
        if type(flat) is not np.ndarray or flat.dtype not in v.FLOATS:
            got = f"dtype {flat.dtype}" if type(flat) is np.ndarray else v.kind_of(flat)
            v.refuse(TypeError, name, "be an ndarray of float32 or float64", got)
        if flat.shape != arena.data.shape:
            v.refuse(ValueError, name, f"have shape {arena.data.shape}, to fit the layers", f"shape {flat.shape}")
        with np.errstate(all="ignore"):
            arena.data[...] = flat
    for name in net.state.layout:
        if name.endswith("running_var") and np.any(net.state.view(name) < 0):
            v.refuse(ValueError, name, "contain no number below 0", net.state.view(name).min())
    net._forward_counter.value = v.integer("training_steps", training_steps, 0)
    if scaling is not None:
        if not isinstance(scaling, tuple):
            v.refuse(TypeError, "scaler", "be a pair of center and scale", v.kind_of(scaling))
        net._scaling = net._check_scaling(scaling, "scaler.")
    return net

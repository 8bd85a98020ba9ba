"""Nets: layers one after another over flat arenas."""

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
from fastnn._settings import Guarded
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
    derivative_from,
    derivative_from_input,
    lower_inference,
    lower_training,
    make_executor,
    read_only,
)
from fastnn.nn.init import XAVIER_UNIFORM, Initializer
from fastnn.nn.layers import BatchNorm, Layer
from fastnn.nn.losses import Loss, as_loss

__all__ = ["Sequential"]

SCALER_KEYS = ("scaler.center", "scaler.scale")  # of a state dict
PREDICT_ROWS = 512  # rows that a prediction takes at a time: their activations stay in the second-level cache


class Scaling(Protocol):
    """What `Sequential.scaler` takes: the input becomes ``(x - center) * scale``."""

    @property
    def center(self) -> Any:
        """What is subtracted from each column, or from all."""

    @property
    def scale(self) -> Any:
        """What each column, or all, is multiplied by."""


class Sequential(Guarded):
    """A net of layers, each of which takes what the one before it gives.

    Parameters
    ----------
    *layers : Layer
        At least one `Dense` or `BatchNorm`, which say how wide the input is. A layer belongs to one net.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and of all that is computed.
    seed : int, optional
        From 0 to 2**64 - 1; initial weights, dropout masks and the order of rows in training are functions of it. By
        default it is 63 random bits of the operating system, so that two nets differ; `repr` and ``net.seed`` tell it.

    Attributes
    ----------
    layers : tuple of Layer
    dtype : numpy.dtype
    seed : int
    in_features, out_features : int
    params, state, grads : Arena
        The flat buffers of parameters, of running statistics, and of the gradients of the last `backward`.
    training_steps : int
        Forward passes in training mode so far, which number the dropout masks. It may be set.

    Raises
    ------
    TypeError
        If something is not a layer, or `seed` not an integer: a generator of NumPy's gives one by
        ``int(rng.integers(2**63))``.
    ValueError
        If neighbours' widths differ, a layer is part of a net already, or the width of the input is not known.

    Notes
    -----
    `predict`, `state_dict`, copies and pickles may be asked for by several threads at once, while another thread trains
    the net, and by a signal's handler: they see the net as it is after whole steps. Training itself is for one thread
    at a time; it and `load_state_dict` are refused in a handler that interrupts a training of the net.

    Layers, dtype and seed stay as they are: another net is made for others.

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
        {"dtype", "fitting", "grads", "in_features", "layers", "lock", "out_features", "params", "seed", "state"}
    )
    _instead: ClassVar[Mapping[str, str]] = {
        "dtype": "write net.astype(dtype)",
        "layers": "make a new net",
        "params": "write net.load_state_dict(values), or net.params.data[...] = values",
        "state": "write net.load_state_dict(values), or net.state.data[...] = values",
        "seed": "give it when the net is made",
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
        """All but the layers' values, which a copy need not draw."""
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
        self._last_forward: tuple[Executor, int, int] | None = None  # what forward ran on, with its rows and step
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
        """Forward passes in training mode so far."""
        return self._forward_counter.value

    @training_steps.setter
    def training_steps(self, steps: int) -> None:
        self.training_claim.refuse_change("training_steps")
        self._forward_counter.value = v.integer("training_steps", steps, 0)

    # ---- running ----

    def predict(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Return the last layer's output in evaluation mode.

        A row's output depends on that row alone, bit for bit, whatever rows come with it.

        Parameters
        ----------
        X : array_like, shape (n, in_features)
            float32, float64 and uint8 arrays are read in place, others converted to the net's dtype. NaN may be there.
        out : ndarray, shape (n, out_features), optional
            Where to write: C-contiguous, of the net's dtype, apart from `X` and the net's own arrays.

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
        RuntimeError
            If another thread is training the net, or the code that this signal handler has interrupted.

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
        with self.training_claim:
            self._last_forward = None
            step, threads = self._forward_counter.value, _config.get_num_threads()
            _fill(executor.array(executor.program.input, rows), self._scaled(checked))
            executor.run("forward", rows, step % 2**32, None, threads, 0.0, self.lock, (self._forward_counter,))
            self._last_forward = executor, rows, step
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
            If there was no such forward pass, or as `forward` does.
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
        """The gradients' arena. What is written to it is what `Trainer.step` takes."""
        self._has_gradients = True
        return self.gradient_arena()

    def gradient_arena(self) -> Arena:
        """Return that arena, made when first needed."""
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
        `fastnn.data.Scaler`, whose numbers the net copies. The net then scales whatever it is given, in training and in
        evaluation; uint8 input stays uint8 until its rows are gathered. `state_dict` has it as ``scaler.center`` and
        ``scaler.scale``. It is set by assigning another: the arrays cannot be written.
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
                    v.refuse(TypeError, "scaler", "be an object with center and scale, or None", type(scaler).__name__)
            scaler = scaler.center, scaler.scale
        scaling = None if scaler is None else self._check_scaling(scaler, "scaler.")
        self.training_claim.refuse_change("scaler")
        self._scaling = scaling

    def _check_scaling(self, pair: tuple[Any, ...], prefix: str) -> tuple[Array, Array]:
        """Return center and scale as vectors of one's own."""
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
                v.refuse(ValueError, prefix + name, f"be finite numbers, as {self.dtype}", "NaN or infinity")
            vector.flags.writeable = False
            vectors.append(vector)
        return vectors[0], vectors[1]

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and running statistics by PyTorch's keys, in PyTorch's orientation.

        Returns
        -------
        dict of str to ndarray
            "0.weight" (out_features, in_features), "0.bias", ...; "1.running_mean", "1.running_var" and
            "1.num_batches_tracked" (int64, shape ()) of batch norms: the keys of the same ``torch.nn.Sequential``. A
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
            if isinstance(layer, BatchNorm):
                values[f"{index}.num_batches_tracked"] = np.array(steps, dtype=np.int64)
        if self._scaling is not None:
            values |= zip(SCALER_KEYS, (vector.copy() for vector in self._scaling), strict=True)
        return values

    def load_state_dict(self, state_dict: Mapping[str, npt.ArrayLike]) -> None:
        """Take over all values of a `state_dict`, or of a ``torch.nn.Sequential``'s.

        Parameters
        ----------
        state_dict : mapping of str to array_like
            With exactly the keys and shapes of `state_dict`; values are converted to the net's dtype. The scaler's may
            be left out: the net then keeps its own.

        Raises
        ------
        TypeError
            If it is no mapping, or a value no array of real numbers.
        ValueError
            If a key is missing or unknown, a shape differs or a variance is negative; the net is as before.
        RuntimeError
            In a signal's handler that interrupts a training of the net.
        """
        if not isinstance(state_dict, Mapping):
            v.refuse(TypeError, "state_dict", "be a mapping of names to arrays", type(state_dict).__name__)
        wanted = self.state_dict()
        given = dict(state_dict)
        pair = tuple(given.pop(key) for key in SCALER_KEYS if key in given)
        if len(pair) == 1:
            expected = f"both {' and '.join(SCALER_KEYS)}, or neither of them"
            v.refuse(ValueError, "state_dict", f"be a mapping with {expected}", "one")
        scaling = self._check_scaling(pair, "scaler.") if pair else self._scaling
        for key in SCALER_KEYS:
            wanted.pop(key, None)
        missing, unknown = [k for k in wanted if k not in given], [k for k in given if k not in wanted]
        if missing or unknown:
            v.refuse(ValueError, "state_dict", "be the net's own names", f"missing {missing}, unknown {unknown}")
        arenas = tuple((arena, np.zeros(arena.layout.size, self.dtype)) for arena in (self.params, self.state))
        steps = self._forward_counter.value
        for name in wanted:
            array = v.numeric(f"state_dict[{name!r}]", given[name])
            v.shape(f"state_dict[{name!r}]", array, wanted[name].shape)
            if name.endswith("num_batches_tracked"):
                steps = v.integer(f"state_dict[{name!r}]", array.item(), 0)
                continue
            if name.endswith("running_var") and np.any(array < 0):
                v.refuse(ValueError, f"state_dict[{name!r}]", "be no number below 0", array.min())
            flat, layout = next((flat, arena.layout) for arena, flat in arenas if name in arena.layout.shapes)
            with np.errstate(all="ignore"):  # what is too large for the dtype becomes infinite
                layout.view(flat, name)[...] = array.T
        self.training_claim.refuse_change("the net's values", elsewhere=False)
        pairs = tuple((arena.data, flat) for arena, flat in arenas)
        self.lock.assign(pairs, ((self._forward_counter, steps),), ((self.__dict__, {"_scaling": scaling}),))

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
        (params, state), (steps,), _ = self.lock.snapshot((self.params.data, self.state.data), (self._forward_counter,))
        return self.with_values(params, state, steps, self.dtype if dtype is None else _dtype(dtype))

    def astype(self, dtype: npt.DTypeLike) -> Sequential:
        """Return `copy` with this dtype."""
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

    # ---- for the trainer and diagnosis ----

    def with_values(self, params: Array, state: Array, steps: int, dtype: np.dtype[Any]) -> Sequential:
        """Return a net of the same layers with these values, laid out as those of its arenas."""
        layers = [layer.detached() for layer in self.layers]
        return _restore(layers, dtype, self.seed, params, state, steps, self._scaling)

    def kink_sides(self) -> bytes:
        """On which side of each kink of an activation the last `forward(training=True)` has been, entry by entry."""
        if self._last_forward is None:
            v.refuse_state("call forward(x, training=True) before kink_sides")
        executor, rows, _ = self._last_forward
        packed = []
        for op in executor.program.sections["forward"]:
            for buffer, kink in _kinks(op):
                values = executor.array(buffer, rows)
                packed += [np.packbits(values > kink), np.packbits(values >= kink)]
        return b"".join(array.tobytes() for array in packed)

    def last_rows(self) -> int:
        """Return how many rows the last `forward(training=True)` took."""
        if self._last_forward is None:
            v.refuse_state("call forward(x, training=True) before last_rows")
        return self._last_forward[1]

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


# What gives an integer, of objects that people have in a seed's place, by the names of their classes.
_SEEDS = {
    "Generator": "int(rng.integers(2**63))",
    "BitGenerator": "int(np.random.Generator(bits).integers(2**63))",
    "RandomState": "int(rng.randint(2**63, dtype=np.int64))",
    "SeedSequence": "int(sequence.generate_state(1, np.uint64)[0])",
    "Random": "rng.getrandbits(63)",
}


def check_seed(seed: int | None) -> int:
    """Return a seed, drawn from the operating system if there is none."""
    if seed is None:
        return int.from_bytes(os.urandom(8), "little") >> 1
    for kind in type(seed).__mro__:
        if kind.__name__ in _SEEDS:
            v.refuse(TypeError, "seed", f"be an integer, such as seed={_SEEDS[kind.__name__]}", type(seed).__name__)
    return v.integer("seed", seed, 0, 2**64 - 1)


def _widths(layers: tuple[Layer, ...]) -> tuple[int, int]:
    """Check that the layers can be one net; its input's and output's widths."""
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            v.refuse(TypeError, f"layers[{index}]", "be a layer", type(layer).__name__)
        if layer.bound or any(layer is other for other in layers[:index]):
            v.refuse(ValueError, f"layers[{index}]", "be a layer that is part of no net yet", v.shown(layer))
    wide = [(index, layer) for index, layer in enumerate(layers) if layer.in_features is not None]
    if not wide:
        v.refuse(ValueError, "layers", "be at least one Dense or BatchNorm", v.shown(list(layers)))
    for (_, before), (index, layer) in pairwise(wide):
        if before.out_features != layer.in_features:
            expected = f"input of width {before.out_features}, that of {before!r} before it"
            v.refuse(ValueError, f"layers[{index}]", f"be {expected}", v.shown(layer))
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
        at = x if derivative_from_input(op) else kernels.activation(op.attrs["activation"], x, **parameters).item()
        yield derivative_from(op), at


def _initializers(layers: tuple[Layer, ...]) -> list[Initializer]:
    """Return the default initialiser of a `Dense` at each place, which depends on what follows it."""
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
    """Make a net with these layers and values, which may be those of a damaged file: all are looked at.

    Raises
    ------
    TypeError, ValueError
        If a value is of a wrong kind, shape or range.
    """
    if not isinstance(layers, list | tuple):
        v.refuse(TypeError, "layers", "be a list", type(layers).__name__)
    net = Sequential.__new__(Sequential)
    net._assemble(tuple(layers), dtype, v.integer("seed", seed, 0, 2**64 - 1))
    for name, arena, flat in (("params", net.params, params), ("state", net.state, state)):
        if type(flat) is not np.ndarray or flat.dtype not in v.FLOATS:
            v.refuse(TypeError, name, "be an ndarray of float32 or float64", type(flat).__name__)
        if flat.shape != arena.data.shape:
            v.refuse(ValueError, name, f"be of shape {arena.data.shape}, as the layers are", f"shape {flat.shape}")
        with np.errstate(all="ignore"):
            arena.data[...] = flat
    for name in net.state.layout:
        if name.endswith("running_var") and np.any(net.state.view(name) < 0):
            v.refuse(ValueError, name, "be without numbers below 0", net.state.view(name).min())
    net._forward_counter.value = v.integer("training_steps", training_steps, 0)
    if scaling is not None:
        if not isinstance(scaling, tuple):
            v.refuse(TypeError, "scaler", "be a pair of center and scale", type(scaling).__name__)
        net._scaling = net._check_scaling(scaling, "scaler.")
    return net

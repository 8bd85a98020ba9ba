"""Nets: a sequence of layers, whose parameters and statistics are in flat arenas."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from fastnn import _records
from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn._typing import Array
from fastnn.engine import (
    Program,
    Step,
    Update,
    lower_training,
    mixes_targets,
)
from fastnn.nn._checks import as_native, check_seed, float_dtype
from fastnn.nn._passes import TrainingPasses
from fastnn.nn._scaler_attributes import SCALERS
from fastnn.nn._state_keys import refuse_shapes
from fastnn.nn.container_base import Chain, initializers_of, layer_at
from fastnn.nn.init import XAVIER_UNIFORM
from fastnn.nn.layers import Layer
from fastnn.nn.losses import Loss, as_loss
from fastnn.nn.scaling import AnyScaler

if TYPE_CHECKING:
    from fastnn.nn.predictor import Predictor

__all__ = ["Sequential", "as_native", "as_net", "check_seed"]


class Sequential(TrainingPasses, Sequence[Layer]):
    """A net of layers: the output of each is the input of the next.

    Parameters
    ----------
    *layers : Layer, Sequential or str
        At least one layer that defines the width of the input, such as `Dense` or `BatchNorm`; without one the
        `Sequential` can only be a part of a net. Names stand for activations, as in `nn.activation`. The net binds
        copies of the layers. A `Sequential` among them stands for its layers. Layers of another net bring their values,
        frozen as they are there, if that net was given a seed, or if its values have been read: by a prediction, a
        training, `state_dict`, a copy or a slice, or an attribute such as `weight`. All others are drawn, with the new
        net's seed.
    dtype : {"float32", "float64"}, default "float32"
        The type of the parameters and of all computations.
    seed : int, optional
        From 0 to 2**64 - 1. Initial weights, dropout masks and the order of rows in training are functions of it. The
        default is 63 random bits from the operating system, so that two nets differ; `repr` and ``net.seed`` show it.

    Attributes
    ----------
    layers : tuple of Layer
        The layers, bound to the net: ``net[0].weight`` is a view of its values, ``net[0][1]`` a layer in a container.
    dtype : numpy.dtype
    seed : int
    in_features, out_features : int
        Widths of input and output.
    params, state, grads : Arena
        The flat buffers of parameters, of running statistics, and of the gradients of the last `backward`.
    training_steps : int
        Number of forward passes in training mode, which selects the dropout masks. It may be set.
    scaler : Scaler, RobustScaler or QuantileScaler of fastnn.data, or None
        What scales the input; it may be set, also to a pair of center and scale.
    output_scaler : Scaler, RobustScaler or QuantileScaler of fastnn.data, or None
        What scales the targets, and whose inverse `predict` applies to the output; it may be set in the same way.
    frozen : tuple of str
        The names of the parameters that training leaves as they are; see `freeze`.

    Raises
    ------
    TypeError
        If something is not a layer, or `seed` is no integer. ``int(rng.integers(2**63))`` draws a seed from a NumPy
        generator.
    ValueError
        If there is no layer, the widths of neighbours differ, or one object with parameters is given twice. In a call
        that runs the net: if no layer defines the width of the input.

    Notes
    -----
    A net is a sequence of its layers: ``len(net)``, ``net[-1]``, ``for layer in net``, ``nn.ReLU() in net``. A slice
    such as ``net[:-1]`` is a new net with copies of the values, and with the same dtype, seed and `training_steps`; if
    it begins with the first layer, also with the same scaler, and if it ends with the last one, with the same output
    scaler. Nets share no values. Two nets are equal only if they are
    the same object.

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

    _internal = frozenset(
        {
            "as_input", "emit", "inference_program", "kink_sides", "last_rows", "plain_net", "predicts_plainly",
            "predict_any_rows", "make_plain_net", "scaled_outputs", "training_program",
            "with_values",
        }
    )  # fmt: skip
    _settable = frozenset({"output_scaler", "scaler", "training_steps"})
    _read_only = frozenset(
        {
            "dtype",
            "frozen",
            "grads",
            "in_features",
            "layers",
            "lock",
            "out_features",
            "params",
            "seed",
            "state",
            "training_claim",
        }
    )  # fmt: skip
    _fixes: ClassVar[Mapping[str, str]] = {
        "dtype": "write net.astype(dtype)",
        "layers": "make a new net for other layers",
        "params": "write net.load_state_dict(values), or net.params.data[...] = values",
        "state": "write net.load_state_dict(values), or net.state.data[...] = values",
        "seed": "give the seed when making the net",
        "frozen": 'write net.freeze("0.*") or net.unfreeze("0.*")',
        "trainable": 'write net.freeze("0.*") to freeze layer 0',
        "training": "write net.forward(x, training=True) or net.predict(x)",
        # Methods of PyTorch's and Keras's nets, and of scikit-learn's estimators.
        "train": "write net.forward(x, training=True), or fastnn.Trainer(net).fit(X, y)",
        "eval": "write net.predict(X), which is in evaluation mode",
        "zero_grad": "leave it out, as net.backward(dz) replaces the gradients",
        "append": "write nn.Sequential(*net, layer), as layers bring their values",
        "add": "write nn.Sequential(*net, layer), as layers bring their values",
        "extend": "write nn.Sequential(*net, *layers), as layers bring their values",
        "insert": "write nn.Sequential(*net[:i], layer, *net[i:]), as layers bring their values",
        "pop": "write net[:-1], a net without the last layer",
        "requires_grad_": 'write net.freeze("0.*") to freeze layer 0',
        "to": 'leave it out for a device, as nets run on the CPU; for a dtype write net.astype("float64")',
        "cpu": "leave it out, as nets run on the CPU",
        "cuda": "leave it out, as nets run on the CPU",
        "double": 'write net.astype("float64")',
        "float": 'write net.astype("float32")',
        "named_parameters": "write net.parameters().items()",
        "modules": "write net.layers",
        "children": "write net.layers",
        "fit": "write fastnn.Trainer(net).fit(X, y)",
        "compile": "leave it out, and write fastnn.Trainer(net, loss=..., optimizer=...)",
        "evaluate": "write fastnn.Trainer(net).evaluate(X, y)",
        "get_weights": "write net.parameters() or net.state_dict()",
        "set_weights": "write net.load_state_dict(values)",
        "weights": "write net.parameters()",
        "trainable_variables": "write net.parameters()",
        "trainable_weights": "write net.parameters()",
        "count_params": "write net.summary()",
        "predict_proba": "write nn.Sequential(*net, nn.Softmax()).predict(X)",
    }

    @with_hints
    def __init__(
        self, *layers: Layer | Sequence[Layer] | str, dtype: npt.DTypeLike = "float32", seed: int | None = None
    ) -> None:
        given = self._assemble(layers, dtype, seed)
        defaults = initializers_of(self.layers, XAVIER_UNIFORM)
        for source, layer, default in zip(given, self.leaves, defaults, strict=True):
            if not source.in_use:
                layer.reset(self.seed, default)
        self.copy_values(given)
        self.params.used = self.state.used = seed is not None or any(layer.in_use for layer in given)

    def _as_part(self, name: str) -> Chain:
        """Return the net's layers as a layer of another net, which messages call `name`."""
        self._refuse_scalers(name)
        return Chain(*self.layers)

    def config(self) -> dict[str, Any]:
        """Return layers, dtype and seed as plain values, which JSON holds; `fastnn.from_config` makes a net of them.

        The values of the parameters are not part of it: the new net draws its own, which are a function of the seed.
        See `state_dict`.

        Returns
        -------
        dict of str to str, int or list

        Raises
        ------
        TypeError, ValueError
            If a layer has no config, as those of users' classes have none.

        Examples
        --------
        >>> import fastnn
        >>> from fastnn import nn
        >>> fastnn.from_config(nn.Sequential(nn.Dense(2, 1), seed=0).config())
        Sequential(
            Dense(2, 1),
            dtype='float32', seed=0,
        )  # 3 parameters
        """
        return _records.to_config(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the net into a file, in the safetensors format; `fastnn.load` reads it.

        The file has everything that the net is: layers, dtype, seed, values, `training_steps`, scalers and what is
        frozen. It contains no code, so functions are left out or refused:

        - Activations of your own are saved by the names that `nn.register_activation` gave them, with the parameters
          given to `nn.activation`; register them before you load the file.
        - Initialisers that are functions of yours become None, the default: they have drawn the values already.

        Tensors have PyTorch's names and orientation, as in `state_dict`. Names of what PyTorch does not have, such as
        scalers and registered activations, begin with "fastnn.".

        Parameters
        ----------
        path : path-like
            Its folder must exist. A file of this name is replaced, once the new one is complete.

        Raises
        ------
        TypeError, ValueError
            If the net or a layer is of a class of yours, or a layer has a function, and it was not made by a name that
            `nn.register_activation` knows; or if the file would be beyond the limits of `fastnn.load`.
        OSError
            If the file cannot be written. A file of this name is then as before.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastnn
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 3), nn.ReLU(), seed=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "net.safetensors")
        ...     net.save(path)
        ...     again = fastnn.load(path)
        >>> bool((again.predict([[1.0, 2.0]]) == net.predict([[1.0, 2.0]])).all())
        True
        """
        from fastnn.io._nets import save_net

        save_net(self, path)

    def _saved(self) -> tuple[str, dict[str, Any]]:
        return "nn.Sequential", {"layers": self.layers, "dtype": self.dtype.name, "seed": self.seed}

    # ---- a sequence of layers ----

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Layer: ...

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Layer | Sequential:
        """Return a layer, or for a slice a new net with copies of the values."""
        if isinstance(index, slice):
            return self._part(range(len(self))[index])
        return layer_at(self.layers, index)

    def __setitem__(self, index: object, layer: object) -> NoReturn:
        """Raise TypeError: the message says how to make a net with another layer."""
        where, fix = v.shown(index), "write nn.Sequential(*net[:i], layer, *net[i + 1:]), as layers bring their values"
        if isinstance(index, int) and -len(self) <= index < len(self):
            i = index % len(self)
            before, after = f"*net[:{i}], " * (i > 0), f", *net[{i + 1}:]"
            if i == len(self) - 1:
                before, after = "*net[:-1], ", ""
            fix = f"write nn.Sequential({before}layer{after}), as layers bring their values"
        v.refuse(TypeError, "the layers of a net", "be given when it is made", f"net[{where}] = {v.shown(layer)}", fix)

    def _part(self, indices: range) -> Sequential:
        """Return a new net of some layers, with values after one and the same step."""
        values, (steps,), _ = self.lock.snapshot((self.params.data, self.state.data), (self._forward_counter,))
        net = Sequential.__new__(Sequential)
        given = net._assemble([self.layers[index] for index in indices], self.dtype, self.seed)
        net.copy_values(given, {id(self.params): (values[0], values[1])})
        net._forward_counter.value = steps
        net._take_scalers(self, first=indices[0] == 0, last=indices[-1] == len(self) - 1)
        return net

    # ---- predictors and copies ----

    def predictor(self, rows: int | None = None) -> Predictor:
        """Return a compiled callable that predicts with the net as it is now: ``p(x, out=None)``.

        It is for calls of few rows, one after the other: a control loop, an audio callback, a request handler. It has
        copies of the net's values, which later changes of the net do not reach until ``p.update()``. Its results are
        those of `predict`, bit for bit.

        Parameters
        ----------
        rows : int, optional
            The most rows of one call. By default there is no limit.

        Returns
        -------
        Predictor
            Several threads may call it at once. It computes with the backend that is current now.

        Raises
        ------
        TypeError, ValueError
            If `rows` is no integer of at least 1, or the net is of a class with its own `predict`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 1, init=nn.init.constant(0.5)), nn.Sigmoid())
        >>> p = net.predictor(rows=1)
        >>> p(np.array([[1.0, -1.0]]))
        array([[0.5]], dtype=float32)
        >>> net[0].bias[...] = 1000.0
        >>> p.update()
        >>> p(np.array([[1.0, -1.0]]))
        array([[1.]], dtype=float32)
        """
        from fastnn.nn.predictor import NetPredictor, refuse_own_predictions

        if not self.predicts_plainly:
            refuse_own_predictions(self)
        return NetPredictor((self,), rows)

    def copy_from(self, other: Sequential, tau: float = 1.0) -> None:
        """Copy another net's values, or move a part of the way towards them: ``tau * other + (1 - tau) * self``.

        Target networks follow the trained net so (Polyak averaging; Lillicrap et al., 2016, Continuous control with
        deep reinforcement learning).

        Parameters
        ----------
        other : Sequential
            A net whose parameters and running statistics have the same shapes; those of another dtype are converted.
        tau : float, default 1.0
            From 0 to 1. Each parameter becomes ``tau * other + (1 - tau) * self``, where `tau` and ``1 - tau`` are
            rounded to the net's dtype, and so are both products and their sum. For 1 it becomes that of `other`, and
            for 0 it stays, bit for bit. Running statistics and the scalers are copied, whatever `tau` is; dtype, seed,
            `training_steps` and what is frozen stay.

        Raises
        ------
        TypeError, ValueError
            If `other` is no net of the same shapes, or `tau` no number from 0 to 1. The net is unchanged.
        RuntimeError
            In a signal handler that interrupts a training of the net.

        Examples
        --------
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(1, 1, init=nn.init.constant(4.0)))
        >>> target = net.copy()
        >>> net[0].weight[...] = 8.0
        >>> target.copy_from(net, tau=0.25)
        >>> target[0].weight
        array([[5.]], dtype=float32)
        """
        other = as_net("other", other)
        tau = v.real("tau", tau, 0, 1, closed=True)
        params, state = self.params, self.state
        if params.layout.shapes != other.params.layout.shapes or state.layout.shapes != other.state.layout.shapes:
            refuse_shapes(params.layout, other.params.layout, state.layout, other.state.layout)
        self.training_claim.refuse_change("the net's values", elsewhere=False)
        if other is self:
            return
        if other.dtype != self.dtype:
            other = other.copy(self.dtype)
        scalers = tuple((self.__dict__, each.held(other)) for each in SCALERS)
        mixed, copied = (params.data, other.params.data), (state.data, other.state.data)
        self.lock.mix(other.lock, (mixed,), (copied,), tau, scalers)

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
        return self.with_values(*self._snapshot(), self.dtype if dtype is None else float_dtype(dtype))

    def astype(self, dtype: npt.DTypeLike) -> Sequential:
        """Return a `copy` with this dtype."""
        return self.copy(dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        scalers = self._scalers_of_copy(self.dtype)
        return _restore, (self.layers, self.dtype.name, self.seed, *self._snapshot(), *scalers, self.frozen)

    # ---- for trainers and gradient checks ----

    def with_values(self, params: Array, state: Array, steps: int, dtype: np.dtype[Any]) -> Sequential:
        """Return a new net of the same layers; `params` and `state` are the contents of its arenas."""
        scaler, output_scaler = self._scalers_of_copy(dtype)
        return _restore(self.layers, dtype, self.seed, params, state, steps, scaler, output_scaler, self.frozen)

    def training_program(
        self,
        *,
        loss: str | Loss = "",
        target: str = "",
        optimizer: Update | str = "",
        input_grad: bool = False,
        augment: Sequence[Step] = (),
        observed: bool = False,
    ) -> Program:
        """Return the net's program for training.

        Parameters
        ----------
        loss : str or Loss
            The loss; "" for hand-written loops.
        target : {"labels", "rows"}
            The kind of targets that are loaded. If `augment` mixes them, the loss gets rows.
        optimizer, input_grad, augment
            See `fastnn.engine.lower_training`.
        observed : bool
            Whether it is an observing program (`fastnn.engine.observe`).
        """
        builder, output = self.emit(training=True)
        taken = "rows" if mixes_targets(augment) else target
        call = as_loss(loss, self.out_features).bind(self.out_features, taken) if loss else None
        layout = self.params.layout
        return lower_training(
            builder,
            output,
            loss=call,
            target=target,
            optimizer=optimizer,
            input_grad=input_grad,
            augment=augment,
            observed={name: layout.elements(name) for name in layout} if observed else None,
        )


def as_net(name: str, value: object) -> Sequential:
    """Return `value`, a net, or refuse it with what to write."""
    fix = "write trainer.net" if hasattr(value, "net") else ""
    if hasattr(value, "get_params"):  # an estimator
        fix = (
            "write model.net_" if hasattr(value, "net_") else "of a fitted estimator of fastnn.sklearn write model.net_"
        )
    if isinstance(value, Layer | list | tuple):
        fix = "write nn.Sequential(...)"
    net: Sequential = v.instance(name, value, Sequential, "be a Sequential", fix)
    return net


def _restore(
    layers: Sequence[Layer],
    dtype: npt.DTypeLike,
    seed: int,
    params: Array,
    state: Array,
    training_steps: int,
    scaler: AnyScaler | None,
    output_scaler: AnyScaler | None = None,
    frozen: tuple[str, ...] = (),
) -> Sequential:
    """Make a net with these layers and values. All are checked, as they may come from a damaged file."""
    if not isinstance(layers, list | tuple):
        v.refuse(TypeError, "layers", "be a list", v.kind_of(layers))
    net = Sequential.__new__(Sequential)
    net._assemble(tuple(layers), dtype, v.integer("seed", seed, 0, 2**64 - 1))
    net.restore((params, state), training_steps, (scaler, output_scaler), frozen)
    return net


_records.register(Sequential)

"""The values of a net: its arenas, counts and scalers, how they are saved and loaded, and the layers that view them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fastnn import _html
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.engine import Arena, Builder, Counter, Executor, IdColumn, Layout, NetLock, Scaling, TrainingClaim
from fastnn.nn import _text
from fastnn.nn._checks import check_seed, float_dtype
from fastnn.nn._freezing import Freezing, patterns_of
from fastnn.nn._runners import Runners
from fastnn.nn._scaler_attributes import SCALERS
from fastnn.nn._state_keys import fix_of_shape, refuse_keys
from fastnn.nn._structure import NoWidth, check_once, widths
from fastnn.nn.container_base import as_layers, check_not_empty, emit_in_sequence
from fastnn.nn.layers import Layer

_T = TypeVar("_T")

MOST_STEPS = 2**62  # so that counting on never exceeds int64
COUNT = "num_batches_tracked"  # of a batch norm: PyTorch's name
VARIANCE = "running_var"

Values = tuple[Array, Array]  # the contents of a net's arenas: parameters and running statistics


class IncompatibleKeys(NamedTuple):
    """What `Sequential.load_state_dict` returns, as PyTorch's method does."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def fill(array: Array, values: Array) -> None:
    """Copy values into an array; those too large for its dtype become infinite."""
    if values.dtype == array.dtype:
        array[...] = values
        return
    with np.errstate(all="ignore"):
        array[...] = values


class NetValues(Freezing):
    """Layers bound to arenas, and all values of a net; `Sequential` has the documentation of its attributes."""

    layers: tuple[Layer, ...]
    leaves: tuple[Layer, ...]
    dtype: np.dtype[Any]
    seed: int
    in_features: int = NoWidth()  # type: ignore[assignment]
    out_features: int = NoWidth()  # type: ignore[assignment]
    id_columns: tuple[IdColumn, ...]
    params: Arena
    state: Arena
    lock: NetLock
    training_claim: TrainingClaim

    _internal = frozenset(
        {
            "copy_values", "forward_counter", "gradient_arena", "id_columns", "input_scaling", "leaves", "lock",
            "max_norms", "output_scaling", "penalized", "restore", "sparse_parameters", "training_claim",
            "uses_batch_statistics",
        }
    )  # fmt: skip

    def _assemble(self, given: Sequence[object], dtype: npt.DTypeLike, seed: int | None) -> tuple[Layer, ...]:
        """Do what `__init__` does, except drawing initial values, which copies do not need.

        Returns the given layers without the containers, one for each of `leaves`.
        """
        if "layers" in self.__dict__:
            v.refuse_attribute("Sequential.layers", "cannot be set again", "make a new net for other layers")
        seed, layers = check_seed(seed), as_layers("layers", given)
        check_not_empty("layers", layers)
        check_once(layers)
        kind, known = float_dtype(dtype), widths(layers)
        params, state = (
            {f"{i}.{name}": shape for i, shapes in enumerate(group) for name, shape in shapes.items()}
            for group in ([layer.parameters() for layer in layers], [layer.buffers() for layer in layers])
        )
        for name, shape in params.items():
            v.size(name, shape, kind)
        saved_as_is = frozenset(f"{i}.{name}" for i, layer in enumerate(layers) for name in layer.saved_as_is)
        lock = NetLock()
        self.__dict__.update(
            layers=(), dtype=kind, seed=seed, lock=lock, training_claim=TrainingClaim(),
            params=Arena(Layout(params, saved_as_is), kind, lock), state=Arena(Layout(state), kind, lock),
        )  # fmt: skip
        if known is not None:
            self.__dict__.update(in_features=known[0], out_features=known[1])
        self._forward_counter = Counter()
        self._grads: Arena | None = None
        self._has_gradients = False
        for each in SCALERS:
            self.__dict__.update(each.attributes(self, None))
        self._runners = Runners(kind, self.params, self.state, seed)
        self._input_grad = False  # of the last `forward`
        self._scaled_rows: tuple[Scaling, Array] | None = None  # of the last `forward` with `input_grad`
        self._last_forward: tuple[Executor, int, int] | None = None  # of training: executor, rows, step
        numbers = itertools.count()
        bound = tuple(layer.bound_to(str(i), numbers, self.params, self.state) for i, layer in enumerate(layers))
        self.__dict__.update(layers=bound, leaves=tuple(leaf for layer in bound for leaf in layer.leaves()))
        self.__dict__["id_columns"] = self._find_id_columns() if known is not None else ()
        # The shape of a row of X that may need no further check: float32 does not hold the ids of the largest tables.
        large = any(each.size > v.WHOLE_NUMBERS_OF_FLOAT32 for each in self.id_columns)
        self._row_shape = (-1,) if known is None or large else known[:1]
        return tuple(leaf for layer in layers for leaf in layer.leaves())

    def _find_id_columns(self) -> tuple[IdColumn, ...]:
        """Return the columns of the input that embeddings read, and check that they read nothing else."""
        if not any(leaf.reads_ids for leaf in self.leaves):
            return ()
        builder = Builder(self.in_features, training=False)
        emit_in_sequence(self.layers, builder, builder.input)
        return tuple(builder.ids.values())

    def __repr__(self) -> str:
        inner = "".join(f"{line}\n" for layer in self.layers for line in _text.tree(layer, "    "))
        numbers = {each.name: self.__dict__[each.scaling] for each in SCALERS}
        scalers = "".join(
            f"    # {name}: {_text.scaling(some)}\n" for name, some in numbers.items() if some is not None
        )
        settings = f"    dtype={str(self.dtype)!r}, seed={self.seed},\n"
        frozen = ", ".join(patterns_of(self.layers, self.params.frozen))
        notes = scalers + (f"    # frozen: {frozen}\n" if frozen else "")
        return f"Sequential(\n{inner}{settings}{notes}){_text.count(*self.layers)}"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the table of `summary`."""
        return _html.fragment(self._summary_table())

    def _summary_table(self) -> str:
        header, *rows = self._summarised(_text.summary_rows)
        return _html.table(header, rows, texts=2)

    @property
    def forward_counter(self) -> Counter:
        """The counter of `training_steps`, which executors increase."""
        return self._forward_counter

    @property
    def training_steps(self) -> int:
        """Number of forward passes in training mode."""
        return self._forward_counter.value

    @training_steps.setter
    def training_steps(self, steps: int) -> None:
        self.training_claim.refuse_change("training_steps")
        self._forward_counter.value = v.integer("training_steps", steps, 0, MOST_STEPS)

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

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and running statistics, with PyTorch's keys and PyTorch's shapes.

        Returns
        -------
        dict of str to ndarray
            The keys are those of the same ``torch.nn.Sequential``: "0.weight" (out_features, in_features), "0.bias",
            ...; and for batch norms "1.running_mean", "1.running_var" and "1.num_batches_tracked" (int64, shape ()).
            Those of a layer in a container begin with the numbers of both, "2.0.weight". A net with a `scaler` has
            those of its fields as well: "scaler.center", "scaler.scale", "scaler.limit" and "scaler.fill"
            (in_features,), "scaler.quantiles" (n, in_features). So has one with an `output_scaler`.

        Examples
        --------
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 3), nn.BatchNorm(3))
        >>> {name: array.shape for name, array in net.state_dict().items()}
        {'0.weight': (3, 2), '0.bias': (3,), '1.weight': (3,), '1.bias': (3,), '1.running_mean': (3,),
         '1.running_var': (3,), '1.num_batches_tracked': ()}
        """
        params, state, steps = self._snapshot()
        values: dict[str, Array] = {}
        for layer in self.leaves:
            parts = (params, self.params.layout, layer.parameters()), (state, self.state.layout, layer.buffers())
            for flat, layout, names in parts:
                for name in names:
                    key = f"{layer.path}.{name}"
                    values[key] = layout.saved(flat, key)
            if layer.uses_batch_statistics:
                key = f"{layer.path}.{COUNT}"
                values[key] = np.array(values[key][0] if key in values else steps, dtype=np.int64)
        for each in SCALERS:
            values |= each.saved(self)
        return values

    def load_state_dict(self, state_dict: Mapping[str, npt.ArrayLike], strict: bool = True) -> IncompatibleKeys:
        """Load all values from a `state_dict` of a net or of a ``torch.nn.Sequential``.

        Parameters
        ----------
        state_dict : mapping of str to array_like
            With the keys and shapes of `state_dict`; values are converted to the net's dtype. The keys of a
            scaler say what kind of scaler the net has then; without any the net keeps its own.
        strict : bool, default True
            Whether a missing or an unknown key is an error. If not, the values with known keys are loaded, and the net
            keeps its others.

        Returns
        -------
        IncompatibleKeys
            A named tuple of two lists, `missing_keys` and `unexpected_keys`; both are empty if `strict`.

        Raises
        ------
        TypeError
            If `state_dict` is no mapping, or a value is no array of real numbers.
        ValueError
            If a key is missing or unknown and `strict` is True, a shape differs or a variance is negative. The net is
            unchanged.
        RuntimeError
            In a signal handler that interrupts a training of the net.

        Examples
        --------
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(2, 3), nn.ReLU(), nn.Dense(3, 1))
        >>> net.load_state_dict({"0.bias": [1, 2, 3], "epoch": 7}, strict=False)
        IncompatibleKeys(missing_keys=['0.weight', '2.weight', '2.bias'], unexpected_keys=['epoch'])
        >>> net[0].bias
        array([1., 2., 3.], dtype=float32)
        """
        v.instance("state_dict", state_dict, Mapping, "be a mapping of names to arrays")
        strict, given = v.boolean("strict", strict), dict(state_dict)
        scalers = {name: value for each in SCALERS for name, value in each.loaded(self, given).items()}
        given = {key: value for key, value in given.items() if not _is_of_scalers(key)}
        wanted = {key: array.shape for key, array in self.state_dict().items() if not _is_of_scalers(key)}
        keys = IncompatibleKeys([k for k in wanted if k not in given], [k for k in given if k not in wanted])
        if strict and any(keys):
            refuse_keys(wanted, given, *keys)
        own_rows = {f"{layer.path}.{name}" for layer in self.leaves for name in layer.tables_with_own_row}
        pairs, steps = [], self._forward_counter.value
        for key in (each for each in wanted if each in given):
            name = f"state_dict[{key!r}]"
            array = v.numeric(name, given[key])
            v.shape(name, array, wanted[key], fix_of_shape(wanted[key], array.shape, key in own_rows))
            if key.endswith(COUNT):
                batches = v.integer(name, array.item(), 0, MOST_STEPS)
                if key not in self.state.layout.shapes:  # the layer has no count of its own
                    steps = batches
                    continue
            _check_variance(name, key, array)
            arena = self.params if key in self.params.layout.shapes else self.state
            values = np.empty(arena.layout.shapes[key], self.dtype)
            fill(values, arena.layout.turned(array, key))
            pairs.append((arena.layout.view(arena.data, key), values))
        self.training_claim.refuse_change("the net's values", elsewhere=False)
        self.lock.assign(tuple(pairs), ((self._forward_counter, steps),), ((self.__dict__, scalers),))
        return keys

    def _snapshot(self) -> tuple[Array, Array, int]:
        """Return copies of the arenas' contents, and the training steps, all of one moment."""
        (params, state), (steps,), _ = self.lock.snapshot((self.params.data, self.state.data), (self._forward_counter,))
        return params, state, steps

    def copy_values(self, given: Sequence[Layer], snapshots: dict[int, Values] | None = None) -> None:
        """Copy the values of those given layers that belong to nets into the layers made from them.

        Parameters
        ----------
        given : sequence of Layer
            One for each of `leaves`: layers of any nets, or of none.
        snapshots : dict of int to pair of ndarray
            Contents of nets' arenas by the `id` of their parameters' arena. Others are taken, one for each net, so
            that the values are those after a complete step.
        """
        snapshots = {} if snapshots is None else snapshots
        for mine, layer in zip(self.leaves, given, strict=True):
            if not layer.in_use:
                continue
            params, state = layer._arenas
            if id(params) not in snapshots:
                assert params.lock is not None
                first, second = params.lock.snapshot((params.data, state.data))[0]
                snapshots[id(params)] = first, second
            targets = (self.params, layer.parameters()), (self.state, layer.buffers())
            for source, flat, (target, names) in zip((params, state), snapshots[id(params)], targets, strict=True):
                for name in names:
                    fill(target.view(f"{mine.path}.{name}"), source.layout.view(flat, f"{layer.path}.{name}"))
            self.params.frozen |= {
                f"{mine.path}.{name}" for name in layer.parameters() if f"{layer.path}.{name}" in params.frozen
            }

    def restore(self, values: tuple[object, object], steps: object, scalers: Sequence[object], frozen: object) -> None:
        """Give a new net its values, which are checked, as they may come from a damaged file.

        Parameters
        ----------
        values : pair of ndarray
            The contents of its arenas.
        steps : int
            Its training steps.
        scalers : sequence of Scaler or None
            One for each of `SCALERS`.
        frozen : tuple of str
            The names of its frozen parameters.

        Raises
        ------
        TypeError, ValueError
            If a value is of a wrong kind, shape or range.
        """
        for name, arena, flat in zip(("params", "state"), (self.params, self.state), values, strict=True):
            if type(flat) is not np.ndarray or flat.dtype not in v.FLOATS:
                got = f"dtype {flat.dtype}" if type(flat) is np.ndarray else v.kind_of(flat)
                v.refuse(TypeError, name, "be an ndarray of float32 or float64", got)
            if flat.shape != arena.data.shape:
                v.refuse(ValueError, name, f"have shape {arena.data.shape}, to fit the layers", f"shape {flat.shape}")
            fill(arena.data, flat)
        for name in self.state.layout:
            _check_variance(name, name, self.state.view(name))
        self._forward_counter.value = v.integer("training_steps", steps, 0, MOST_STEPS)
        for each, scaler in zip(SCALERS, scalers, strict=True):
            self.__dict__.update(each.attributes(self, scaler))
        self._restore_frozen(frozen)

    def summary(self) -> str:
        """Return a table of the layers, their widths and the number of their parameters.

        Returns
        -------
        str
            In an interactive session it is shown as a table, without `print`. A container has a row of its own, with
            the number of all its parameters in brackets. If parameters are frozen, a further column has the number of
            those that are not.

        Examples
        --------
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Dense(4, 8), nn.ReLU(), nn.Dense(8, 3))
        >>> net.summary()
           layer        output  parameters
        0  Dense(4, 8)       8          40
        1  ReLU()            8           0
        2  Dense(8, 3)       3          27
           total                        67
        >>> net.freeze("0.*")
        >>> net.summary()
           layer        output  parameters  trainable
        0  Dense(4, 8)       8          40          0
        1  ReLU()            8           0          0
        2  Dense(8, 3)       3          27         27
           total                        67         27
        """
        return self._summarised(_text.summary)

    def _summarised(self, by: Callable[..., _T]) -> _T:
        scaled = {each.name: self.__dict__[each.scaling] is not None for each in SCALERS}
        return by(self.layers, self.__dict__.get("in_features"), self.params.frozen, **scaled)

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether a layer's output in training depends on the other rows of the batch."""
        frozen = self.params.frozen
        return any(layer.uses_batch_statistics and not layer.keeps_statistics(frozen) for layer in self.leaves)

    def penalized(self) -> frozenset[str]:
        """Return the names of the parameters that a penalty on large weights applies to."""
        return frozenset(f"{layer.path}.{name}" for layer in self.leaves for name in layer.penalized)

    def sparse_parameters(self) -> frozenset[str]:
        """Return the names of the parameters whose updates change only the rows of the batch."""
        return frozenset(f"{layer.path}.{name}" for layer in self.leaves for name in layer.sparse_parameters)

    def max_norms(self) -> dict[str, float]:
        """Return the upper limits of the column norms of parameters, by name."""
        return {f"{layer.path}.{name}": limit for layer in self.leaves for name, limit in layer.max_norms.items()}


def _is_of_scalers(key: object) -> bool:
    return any(each.has_key(key) for each in SCALERS)


def _check_variance(name: str, key: str, array: Array) -> None:
    if key.endswith(VARIANCE) and np.any(array < 0):
        v.refuse(ValueError, name, "contain no number below 0", array.min())

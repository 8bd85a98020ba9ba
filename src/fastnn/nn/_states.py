"""The values of a net: its state dict, values given by files or other nets, and the checks of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.nn.layers import Layer

if TYPE_CHECKING:
    from fastnn.nn.sequential import Sequential

SCALER_KEYS = ("scaler.center", "scaler.scale")  # of a state dict

Values = tuple[Array, Array]  # the contents of a net's arenas: parameters and running statistics
Scaling = tuple[Array, Array]  # center and scale


class Scaler(Protocol):
    """The type of `Sequential.scaler`: the input becomes ``(x - center) * scale``."""

    @property
    def center(self) -> Any:
        """A number for all columns or one for each, subtracted from the input."""

    @property
    def scale(self) -> Any:
        """A number for all columns or one for each, by which the difference is multiplied."""


def fill(array: Array, values: Array) -> None:
    """Copy values into an array; those too large for its dtype become infinite."""
    if values.dtype == array.dtype:
        array[...] = values
        return
    with np.errstate(all="ignore"):
        array[...] = values


def scaling(net: Sequential, pair: tuple[Any, ...]) -> Scaling:
    """Return center and scale as new, read-only vectors."""
    if len(pair) != 2:
        v.refuse(ValueError, "scaler", "be a pair of center and scale", f"{len(pair)} values")
    vectors = []
    for name, value in zip(SCALER_KEYS, pair, strict=True):
        array = v.numeric(name, value)
        if array.ndim:
            v.shape(name, array, (net.in_features,))
        with np.errstate(all="ignore"):
            vector = np.full(net.in_features, array, net.dtype)
        if not np.isfinite(vector).all():
            v.refuse(ValueError, name, f"contain numbers that are finite in {net.dtype}", "NaN or infinity")
        vector.flags.writeable = False
        vectors.append(vector)
    return vectors[0], vectors[1]


def scaling_of(net: Sequential, scaler: Any) -> Scaling | None:
    """Return center and scale of a scaler, or of a pair of them; None stays None."""
    if scaler is not None and not isinstance(scaler, tuple):
        for name in ("center", "scale"):
            if not hasattr(scaler, name):
                must, fix = "have the attributes center and scale, or be None", "write fastnn.data.Scaler.fit(X)"
                v.refuse(TypeError, "scaler", must, v.kind_of(scaler), fix)
        scaler = scaler.center, scaler.scale
    return None if scaler is None else scaling(net, scaler)


def scaled(net: Sequential, x: Array) -> Array:
    """Return the input as the net's scaler makes it."""
    if net._scaling is None:
        return x
    center, scale = net._scaling
    with np.errstate(all="ignore"):
        return (x.astype(net.dtype) - center) * scale


# ---- state dicts ----


def state_dict(net: Sequential) -> dict[str, Array]:
    """Return copies of all values, with PyTorch's keys and shapes."""
    (params, state), (steps,), _ = net.lock.snapshot((net.params.data, net.state.data), (net._forward_counter,))
    values: dict[str, Array] = {}
    for index, layer in enumerate(net.layers):
        parts = (params, net.params.layout, layer.parameters()), (state, net.state.layout, layer.buffers())
        for flat, layout, names in parts:
            for name in names:
                values[f"{index}.{name}"] = np.ascontiguousarray(layout.view(flat, f"{index}.{name}").T.copy("C"))
        if layer.uses_batch_statistics:
            values[f"{index}.num_batches_tracked"] = np.array(steps, dtype=np.int64)
    if net._scaling is not None:
        values |= zip(SCALER_KEYS, (vector.copy() for vector in net._scaling), strict=True)
    return values


def load_state_dict(net: Sequential, state_dict: Mapping[str, Any]) -> None:
    """Check a state dict and assign its values to the net."""
    v.instance("state_dict", state_dict, Mapping, "be a mapping of names to arrays")
    given, wanted = dict(state_dict), _without_scaler(net)
    pair = {key: given.pop(key) for key in SCALER_KEYS if key in given}
    if len(pair) == 1:
        must = f"contain both {' and '.join(SCALER_KEYS)}, or neither"
        v.refuse(ValueError, "state_dict", must, f"only {next(iter(pair))}")
    vectors = scaling(net, tuple(pair.values())) if pair else net._scaling
    missing = [f"no {key!r}" for key in wanted if key not in given]
    unknown = [f"an unknown {v.shown(key)}" for key in given if key not in wanted]
    if missing or unknown:
        fix = "load the state of a trainer by trainer.load_state_dict" if "optimizer" in given else ""
        got = ", ".join(missing + unknown)
        v.refuse(ValueError, "state_dict", "have the keys of net.state_dict() and no others", got, fix)
    arenas = tuple((arena, np.zeros(arena.layout.size, net.dtype)) for arena in (net.params, net.state))
    steps = net._forward_counter.value
    for key, present in wanted.items():
        name = f"state_dict[{key!r}]"
        array = v.numeric(name, given[key])
        v.shape(name, array, present.shape)
        if key.endswith("num_batches_tracked"):
            steps = v.integer(name, array.item(), 0)
            continue
        _check_variance(name, key, array)
        flat, layout = next((flat, arena.layout) for arena, flat in arenas if key in arena.layout.shapes)
        fill(layout.view(flat, key), array.T)
    net.training_claim.refuse_change("the net's values", elsewhere=False)
    pairs = tuple((arena.data, flat) for arena, flat in arenas)
    net.lock.assign(pairs, ((net._forward_counter, steps),), ((net.__dict__, {"_scaling": vectors}),))


def _without_scaler(net: Sequential) -> dict[str, Array]:
    """Return a state dict without the scaler's keys, which a state dict to load may leave out."""
    return {key: array for key, array in state_dict(net).items() if key not in SCALER_KEYS}


def _check_variance(name: str, key: str, array: Array) -> None:
    if key.endswith("running_var") and np.any(array < 0):
        v.refuse(ValueError, name, "contain no number below 0", array.min())


# ---- values of other nets, and of pickles ----


def copy_values(net: Sequential, given: Sequence[Layer], snapshots: dict[int, Values] | None = None) -> None:
    """Copy the values of those given layers that belong to nets into the layers of `net` made from them.

    Parameters
    ----------
    net : Sequential
        Has one layer for each given one.
    given : sequence of Layer
        Layers of any nets, or of none.
    snapshots : dict of int to pair of ndarray
        Contents of nets' arenas by the `id` of their parameters' arena. Others are taken, one for each net, so that the
        values are those after a complete step.
    """
    snapshots = {} if snapshots is None else snapshots
    for index, layer in enumerate(given):
        if not layer.bound:
            continue
        params, state = layer._arenas
        if id(params) not in snapshots:
            assert params.lock is not None
            first, second = params.lock.snapshot((params.data, state.data))[0]
            snapshots[id(params)] = first, second
        targets = (net.params, layer.parameters()), (net.state, layer.buffers())
        for source, flat, (target, names) in zip((params, state), snapshots[id(params)], targets, strict=True):
            for name in names:
                fill(target.view(f"{index}.{name}"), source.layout.view(flat, layer._prefix + name))


def restore(net: Sequential, values: tuple[object, object], steps: object, pair: object) -> None:
    """Give a new net its values, which are checked, as they may come from a damaged file.

    Parameters
    ----------
    net : Sequential
        Has layers, but no values yet.
    values : pair of ndarray
        The contents of its arenas.
    steps : int
        Its training steps.
    pair : pair of ndarray, or None
        Center and scale of its scaler.

    Raises
    ------
    TypeError, ValueError
        If a value is of a wrong kind, shape or range.
    """
    for name, arena, flat in zip(("params", "state"), (net.params, net.state), values, strict=True):
        if type(flat) is not np.ndarray or flat.dtype not in v.FLOATS:
            got = f"dtype {flat.dtype}" if type(flat) is np.ndarray else v.kind_of(flat)
            v.refuse(TypeError, name, "be an ndarray of float32 or float64", got)
        if flat.shape != arena.data.shape:
            v.refuse(ValueError, name, f"have shape {arena.data.shape}, to fit the layers", f"shape {flat.shape}")
        fill(arena.data, flat)
    for name in net.state.layout:
        _check_variance(name, name, net.state.view(name))
    net._forward_counter.value = v.integer("training_steps", steps, 0)
    if pair is not None:
        if not isinstance(pair, tuple):
            v.refuse(TypeError, "scaler", "be a pair of center and scale", v.kind_of(pair))
        net._scaling = scaling(net, pair)

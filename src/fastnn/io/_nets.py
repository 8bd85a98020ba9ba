"""Nets in files: their layers and settings as plain values, their arrays as tensors with PyTorch's names."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import _records
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.io._content import OWN, ContentReader, ContentWriter, reading
from fastnn.io._messages import refuse_file
from fastnn.io._tensors import SIZES
from fastnn.nn import Layer, Sequential
from fastnn.nn._scaler_attributes import SCALERS
from fastnn.nn._values import COUNT
from fastnn.nn.container_base import Container, check_not_empty, walk_in_sequence, width_into
from fastnn.nn.containers import width_of_columns
from fastnn.nn.scaling import ColumnScaler

MOST_COLUMNS = 40_000

KEYS = ("config", "training_steps", "frozen", *(each.name for each in SCALERS))
"""The keys of a net in the content of a file."""

FIX = 'register it, nn.register_activation("name", make), and write nn.activation("name") as the layer'
"""What messages say that refuse a net with functions."""


def save_net(net: Sequential, path: str | os.PathLike[str]) -> None:
    """Write a net into a file; see `Sequential.save`."""
    content = ContentWriter(FIX)
    content.write(path, "net", pack_net(copy_of(net, "net"), content))


def load(path: str | os.PathLike[str], *, allow_nonfinite: bool = False) -> Sequential:
    """Return the net in a file that `Sequential.save` has written.

    The net is the one that was saved: its predictions have the same bits, and a training continues with the same
    dropout masks. Files hold no code, and nothing in them is executed, imported or looked up as a path. Everything is
    checked: the file against its SHA-256, settings by the constructors of the layers, arrays by dtype and shape. That
    finds damage; whoever writes a file can write any weights into it.

    Parameters
    ----------
    path : path-like
    allow_nonfinite : bool, default False
        Whether arrays may contain NaN and infinity, as those of a training that diverged do.

    Returns
    -------
    Sequential

    Raises
    ------
    TypeError
        If `path` is no path.
    OSError
        If the file cannot be read.
    ValueError
        If it is no file of a net, was written in another format, is damaged, contains NaN or infinity that is not
        allowed, or names an activation that is not registered.

    Notes
    -----
    Activations of your own have to be registered before, by `nn.register_activation` and under the same name; their
    functions are called with the parameters from the file.

    A file has at most 10,000 tensors, a header of at most 16 MiB, and settings of at most 64 lists and objects within
    each other. Sizes are compared with that of the file before memory is taken; loading takes at most three times the
    file's size, and 32 MiB. The file is read, not mapped, and closed.

    `fastnn.Ensemble` has a method `load` of its own, as have others that write files; a message says which.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import fastnn
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(2, 3), nn.ReLU(), nn.Dense(3, 1), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "net.safetensors")
    ...     net.save(path)
    ...     again = fastnn.load(path)
    >>> again
    Sequential(
        Dense(2, 3),
        ReLU(),
        Dense(3, 1),
        dtype='float32', seed=0,
    )  # 13 parameters
    >>> bool((again.predict([[1.0, 2.0]]) == net.predict([[1.0, 2.0]])).all())
    True
    """
    allow_nonfinite = v.boolean("allow_nonfinite", allow_nonfinite)
    with reading(path, "net") as saved:
        return unpack_net(saved, saved.content, allow_nonfinite=allow_nonfinite)


# ---- to plain values ----


def check_net_class(net: Sequential, name: str) -> None:
    """Refuse a net of a user's class, which messages call `name`."""
    if type(net) is not Sequential:
        fix = "write net.copy(), an nn.Sequential with its layers and values"
        v.refuse(TypeError, name, "be an nn.Sequential, as files contain no classes of yours", v.kind_of(net), fix)


def copy_of(net: Sequential, name: str) -> Sequential:
    """Return a copy of a net to pack, which nobody trains; messages call the net `name`."""
    check_net_class(net, name)
    return net.copy()


def pack_net(net: Sequential, content: ContentWriter, prefix: str = "", where: str = "") -> dict[str, Any]:
    """Return a net as plain values, and add its arrays to the content.

    Parameters
    ----------
    net : Sequential
        One that nobody trains meanwhile, such as `copy_of` returns.
    content : ContentWriter
    prefix : str
        What the names of its tensors begin with.
    where : str
        What the names of its scalers' tensors and of parts in messages begin with.
    """
    scalers = {each.name: getattr(net, each.name) for each in SCALERS}
    packed = {
        "config": _records.to_config(net, f"{where}net", content),
        "training_steps": net.training_steps,
        "frozen": list(net.frozen),
        **{name: _records.plain(record, f"{where}{name}", content) for name, record in scalers.items()},
    }
    values = net.state_dict()  # its scalers are rounded to the net's dtype; the records have all digits
    for key, name in _names(net, prefix).items():
        content.put(name, values[key])
    _check_columns(net.layers, f"{where}net", sum(array.nbytes for array in content.tensors.values()))
    return packed


def _names(net: Sequential, prefix: str) -> dict[str, str]:
    """Return the names in the file of a net's arrays, by their keys in its state dict."""
    others = tuple(f"{path}." for path, _ in registered_layers(net.layers))
    names: dict[str, str] = {}
    for leaf in net.leaves:
        of_pytorch = leaf.in_pytorch and not f"{leaf.path}.".startswith(others)
        count = (COUNT,) if leaf.uses_batch_statistics else ()
        for name in (*leaf.parameters(), *leaf.buffers(), *count):
            key = f"{leaf.path}.{name}"
            names[key] = prefix + key if of_pytorch else f"{OWN}{prefix}{key}"
    return names


def registered_layers(layers: Iterable[Layer], path: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield place and layer of what registered functions have made: PyTorch has neither it nor what is in it."""
    for index, layer in enumerate(layers):
        if layer._registered is not None:
            yield f"{path}{index}", layer
        elif isinstance(layer, Container):
            yield from registered_layers(layer.layers, f"{path}{index}.")


# ---- from plain values ----


def unpack_net(
    saved: ContentReader, part: Any, prefix: str = "", where: str = "net", *, allow_nonfinite: bool = False
) -> Sequential:
    """Return the net of a part of a file's content. Sizes are checked before memory is taken for its arrays."""
    part = saved.part(part, where, KEYS)
    config, layers = layers_of(saved, part, where)
    for place, layer in registered_layers(layers):
        _check_registered(saved, layer, f"{OWN}{prefix}{place}.", place)
    _check_sizes(saved, layers, prefix)
    _check_columns(layers, where, saved.file.size)
    dtype = v.choice(f"{where}.config.dtype", config["dtype"], ("float32", "float64"))
    net = Sequential.__new__(Sequential)
    net._assemble(layers, dtype, v.integer(f"{where}.seed", config["seed"], 0, 2**64 - 1))
    values: dict[str, Array] = {}
    for key, name in _names(net, prefix).items():
        wanted = np.dtype(np.int64) if key.endswith(COUNT) else net.dtype
        values[key] = saved.take(name, dtypes=(wanted,), allow_nonfinite=allow_nonfinite)
    net.load_state_dict(values)
    del values
    net.training_steps = part["training_steps"]
    for each in SCALERS:
        if part[each.name] is not None:
            scaler = saved.value(part[each.name], f"{where}.{each.name}")
            v.instance(f"{where}.{each.name}", scaler, ColumnScaler, "be a scaler")
            net.__dict__.update(each.attributes(net, scaler))
    frozen = part["frozen"]
    v.instance(f"{where}.frozen", frozen, list, "be a list")
    net._restore_frozen(tuple(frozen))
    return net


def layers_of(saved: ContentReader, part: dict[str, Any], where: str) -> tuple[dict[str, Any], tuple[Layer, ...]]:
    """Return the config of a net, and its layers, which have no values yet."""
    config = saved.part(part["config"], f"{where}.config", ("kind", "layers", "dtype", "seed"))
    if config["kind"] != "nn.Sequential":
        v.refuse(ValueError, f"{where}.config.kind", "be 'nn.Sequential'", v.shown(config["kind"]))
    layers = saved.value(config["layers"], f"{where}.layers")
    v.instance(f"{where}.layers", layers, list, "be a list")
    check_not_empty(f"{where}.layers", layers)
    for index, layer in enumerate(layers):
        v.instance(f"{where}.layers[{index}]", layer, Layer, "be a layer")
    return config, tuple(layers)


def _check_registered(saved: ContentReader, layer: Layer, start: str, place: str) -> None:
    """Refuse a layer of a registered function with other arrays than the file has, under names that begin so."""
    entries = saved.file.entries.items()
    kept = {name.removeprefix(start): entry.shape for name, entry in entries if name.startswith(start)}
    shapes = {**layer.parameters(), **layer.buffers()}
    made = {name: shape if name in layer.saved_as_is else shape[::-1] for name, shape in shapes.items()}
    counts = [name for name in kept if name.endswith(COUNT) and name not in made]
    if {name: shape for name, shape in kept.items() if name not in counts} != made:
        assert layer._registered is not None
        must = f"make a layer with {_shapes(kept)}, as layer {place} of the file has"
        fix = "register the function that the net was made with"
        v.refuse(ValueError, f"the function registered as {layer._registered[0]!r}", must, _shapes(made), fix)


def _shapes(arrays: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in arrays.items()) or "no arrays"


def _check_sizes(saved: ContentReader, layers: Sequence[Layer], prefix: str) -> None:
    """Refuse layers with more or larger arrays than the file has, before memory is taken for them."""
    for index, layer in enumerate(layers):
        for name, shape in {**layer.parameters(), **layer.buffers()}.items():
            key = f"{prefix}{index}.{name}"
            entry = saved.file.entries.get(key) or saved.file.entries.get(OWN + key)
            if entry is None:
                refuse_file(saved.file.path, f"have the tensor {key!r}", "none")
            if SIZES[entry.kind] < 4:  # the net's arrays would be larger than the file
                must = "be of float32, float64 or int64, of 4 or 8 bytes"
                v.refuse(ValueError, f"the tensor {key!r}", must, entry.dtype_name)
            if math.prod(entry.shape) != math.prod(shape):
                must = f"have {math.prod(shape)} entries, for {v.shown(layer)}"
                v.refuse(ValueError, f"the tensor {key!r}", must, f"shape {entry.shape}")


def _check_columns(layers: Sequence[Layer], where: str, size: int) -> None:
    """Refuse a net with an embedding that has very many columns: to find what it reads takes memory for each of them.

    A net of any use with so many columns has weights for them, and so a large file.
    """
    if not any(leaf.reads_ids for layer in layers for leaf in layer.leaves()):
        return
    width, most = width_into(layers) or width_of_columns(layers[0]), MOST_COLUMNS + size // 50
    columns = sum(each or 0 for _, each in walk_in_sequence(layers, width)) + (width or 0)
    if columns > most:
        must = f"have at most {most} columns in all layers together, for an embedding in a file of this size"
        v.refuse(ValueError, f"{where}.layers", must, columns)

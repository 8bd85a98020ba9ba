"""Nets in files: their layers and settings as plain values, their arrays as tensors with PyTorch's names."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _records
from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.io._files import OWN, Content, Saved, reading
from fastnn.nn import Layer, Sequential
from fastnn.nn._scaler_attributes import SCALERS
from fastnn.nn._values import COUNT
from fastnn.nn.container_base import walk_in_sequence, width_into
from fastnn.nn.containers import width_of_columns

MOST_COLUMNS = 40_000
_KEYS = ("config", "training_steps", "frozen", *(each.name for each in SCALERS))
_FIX = 'register it, nn.register_activation("name", make), and write nn.activation("name") as the layer'


def save_net(net: Sequential, path: str | os.PathLike[str]) -> None:
    """Write a net into a file; see `Sequential.save`."""
    content = Content(_FIX)
    content.write(path, "net", pack_net(net.copy(), content))


def load(path: str | os.PathLike[str], *, allow_nonfinite: bool = False) -> Sequential:
    """Return the net in a file that `Sequential.save` has written."""
    allowed = v.boolean("allow_nonfinite", allow_nonfinite)
    with reading(path, "net") as saved:
        return unpack_net(saved, saved.content, allow_nonfinite=allowed)


def pack_net(net: Sequential, content: Content, prefix: str = "", where: str = "") -> dict[str, Any]:
    """Return a net as plain values, and add its arrays to the content.

    Parameters
    ----------
    net : Sequential
        One that nobody trains meanwhile, such as a copy.
    content : Content
    prefix : str
        What the names of its tensors begin with.
    where : str
        What the names of its scalers' tensors and of parts in messages begin with.
    """
    values = net.state_dict()  # its scalers are rounded to the net's dtype; the records have all digits
    for key, name in _names(net, prefix).items():
        content.put(name, values[key])
    scalers = {each.name: getattr(net, each.name) for each in SCALERS}
    return {
        "config": _records.to_config(net, f"{where}net", content),
        "training_steps": net.training_steps,
        "frozen": list(net.frozen),
        **{name: _scaler(record, f"{where}{name}", content) for name, record in scalers.items()},
    }


def _scaler(record: Any, where: str, content: Content) -> Any:
    return None if record is None else _records.to_config(record, where, content)


def _names(net: Sequential, prefix: str) -> dict[str, str]:
    """Return the names in the file of a net's arrays, by their keys in its state dict."""
    names: dict[str, str] = {}
    for leaf in net.leaves:
        count = (COUNT,) if leaf.uses_batch_statistics else ()
        for name in (*leaf.parameters(), *leaf.buffers(), *count):
            key = f"{leaf.path}.{name}"
            names[key] = prefix + key if leaf.in_pytorch else f"{OWN}{prefix}{key}"
    return names


def unpack_net(
    saved: Saved, part: Any, prefix: str = "", where: str = "net", *, allow_nonfinite: bool = False
) -> Sequential:
    """Return the net of a part of a file's content. Sizes are checked before memory is taken for its arrays."""
    part = saved.part(part, where, _KEYS)
    config = saved.part(part["config"], f"{where}.config", ("kind", "layers", "dtype", "seed"))
    if config["kind"] != "nn.Sequential":
        v.refuse(ValueError, f"{where}.config.kind", "be 'nn.Sequential'", v.shown(config["kind"]))
    layers = saved.value(config["layers"], f"{where}.layers")
    v.instance(f"{where}.layers", layers, list, "be a list")
    _check_sizes(saved, layers, prefix, where)
    _check_columns(saved, layers, where)
    dtype = v.choice(f"{where}.config.dtype", config["dtype"], ("float32", "float64"))
    net = Sequential.__new__(Sequential)
    net._assemble(tuple(layers), dtype, v.integer(f"{where}.seed", config["seed"], 0, 2**64 - 1))
    values: dict[str, Array] = {}
    for key, name in _names(net, prefix).items():
        values[key] = array = saved.take(name)
        wanted = np.dtype(np.int64) if key.endswith(COUNT) else net.dtype
        label = f"the tensor {name!r} of {saved.file.path}"
        if array.dtype != wanted:
            v.refuse(ValueError, label, f"be of dtype {wanted}", array.dtype)
        if array.dtype.kind == "f" and not (allow_nonfinite or v.all_finite(array)):
            v.refuse(ValueError, label, "be finite", "NaN or infinity", "pass allow_nonfinite=True if it has to be")
    net.load_state_dict(values)
    del values
    net.training_steps = part["training_steps"]
    for each in SCALERS:
        scaler = None if part[each.name] is None else saved.value(part[each.name], f"{where}.{each.name}")
        net.__dict__.update(each.attributes(net, scaler))
    frozen = part["frozen"]
    v.instance(f"{where}.frozen", frozen, list, "be a list")
    net._restore_frozen(tuple(frozen))
    return net


def _check_sizes(saved: Saved, layers: Sequence[object], prefix: str, where: str) -> None:
    """Refuse layers with more or larger arrays than the file has, before memory is taken for them."""
    for index, layer in enumerate(layers):
        v.instance(f"{where}.layers[{index}]", layer, Layer, "be a layer")
        assert isinstance(layer, Layer)
        for name, shape in {**layer.parameters(), **layer.buffers()}.items():
            key = f"{prefix}{index}.{name}"
            entry = saved.file.entries.get(key) or saved.file.entries.get(OWN + key)
            if entry is None:
                v.refuse(ValueError, saved.file.path, f"have the tensor {key!r}", "none")
            if entry.dtype.itemsize < 4:  # the net's arrays would be larger than the file
                v.refuse(ValueError, f"the tensor {key!r} of {saved.file.path}", "be of 4 or 8 bytes", entry.dtype)
            if math.prod(entry.shape) != math.prod(shape):
                must = f"have {math.prod(shape)} entries, for {v.shown(layer)}"
                v.refuse(ValueError, f"the tensor {key!r} of {saved.file.path}", must, f"shape {entry.shape}")


def _check_columns(saved: Saved, layers: Sequence[Layer], where: str) -> None:
    """Refuse a net with an embedding that has very many columns: to find what it reads takes memory for each of them.

    A net of any use with so many columns has weights for them, and so a large file.
    """
    if not any(leaf.reads_ids for layer in layers for leaf in layer.leaves()):
        return
    width, most = width_into(layers) or width_of_columns(layers[0]), MOST_COLUMNS + saved.file.size // 50
    columns = sum(each or 0 for _, each in walk_in_sequence(layers, width)) + (width or 0)
    if columns > most:
        must = f"have at most {most} columns in all layers together, for an embedding in a file of this size"
        v.refuse(ValueError, f"{where}.layers", must, columns)

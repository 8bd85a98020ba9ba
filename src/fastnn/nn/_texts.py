"""Nets as text: what `repr` and `summary` show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn._typing import Array

if TYPE_CHECKING:
    from fastnn.nn.sequential import Sequential


def net_text(net: Sequential) -> str:
    """Return the call that makes the net, with its scaler as a comment."""
    inner = "".join(f"    {layer!r},\n" for layer in net.layers)
    scaler = "" if net._scaling is None else f"    # scaler: {scaling_text(net._scaling)}\n"
    return f"Sequential(\n{inner}    dtype={str(net.dtype)!r}, seed={net.seed},\n{scaler})"


def summary(net: Sequential) -> str:
    """Return a table of the layers."""
    rows = [("", "layer", "output", "parameters")]
    if net._scaling is not None:
        rows.append(("", "scaler", str(net.in_features), "0"))
    width, total = net.in_features, 0
    for index, layer in enumerate(net.layers):
        width = layer.out_features or width
        count = sum(net.params.layout.elements(f"{index}.{name}") for name in layer.parameters())
        total += count
        rows.append((str(index), repr(layer), str(width), str(count)))
    rows.append(("", "total", "", str(total)))
    a, b, c, d = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{i:>{a}}  {name:<{b}}  {out:>{c}}  {count:>{d}}" for i, name, out, count in rows)


def scaling_text(vectors: tuple[Array, Array]) -> str:
    """Return center and scale as `repr` shows them."""
    shown = (np.array2string(vector, threshold=6, separator=", ") for vector in vectors)
    return ", ".join(f"{name}={text}" for name, text in zip(("center", "scale"), shown, strict=True))

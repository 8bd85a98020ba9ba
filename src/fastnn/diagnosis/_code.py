"""The code of a change: what to write so that a training becomes another one."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from fastnn.diagnosis._setup import Setup
from fastnn.nn import Sequential
from fastnn.optim import FullBatch

WIDTH = 96


def code_of(setup: Setup, apply: Callable[[Setup], Setup]) -> str:
    """Return the statements that make a change, of the names `net`, `trainer`, `X` and `y`; "" if it does not fit."""
    try:
        changed = apply(setup)
    except (TypeError, ValueError):
        return ""
    lines, before, net = list[str](), setup.net, changed.net
    new_net = _layers(before) != _layers(net) or setup.draws != changed.draws
    if changed.y is not setup.y and not _same(changed.y, setup.y):
        one_hot = setup.y.ndim == 2 and setup.y.shape[1] > 1
        lines.append("y = y.argmax(axis=1)" if one_hot else "y = np.unique(y, return_inverse=True)[1]")
    if new_net:
        kept = [name for name in ("scaler", "output_scaler") if _is_kept(before, net, name)]
        lines += [f"{name} = net.{name}" for name in kept]
        lines.append(_wrapped(f"net = {_of_net(net)}"))
        lines += [f"net.{name} = {name}" for name in kept]
    if net.scaler is not None and net.scaler != before.scaler:
        columns = [j for j in range(net.in_features) if j not in {each.column for each in net.id_columns}]
        some = f", columns={columns}" if len(columns) < net.in_features else ""
        lines.append(f"net.scaler = fastnn.data.Scaler.fit(X{some})")
    if net.output_scaler is not None and net.output_scaler != before.output_scaler:
        lines.append(
            f"net.output_scaler = fastnn.data.Scaler.fit({'y' if changed.y.ndim == 2 else 'y.reshape(-1, 1)'})"
        )
    if new_net or _of_trainer(setup) != _of_trainer(changed):
        lines.append(_wrapped(_of_trainer(changed)))
    if _of_fit(setup) != _of_fit(changed):
        lines.append(_of_fit(changed))
    return "\n".join(lines)


def _is_kept(before: Sequential, net: Sequential, name: str) -> bool:
    scaler = getattr(before, name)
    return scaler is not None and scaler == getattr(net, name)


def _same(one: Any, other: Any) -> bool:
    return np.shape(one) == np.shape(other) and bool((np.asarray(one) == np.asarray(other)).all())


def _layers(net: Sequential) -> list[str]:
    return [repr(each) for each in net.layers]


def _of_net(net: Sequential) -> str:
    layers = [in_module("nn", each) for each in _layers(net)]
    if net.dtype != np.float32:
        layers.append(f'dtype="{net.dtype.name}"')
    return f"nn.Sequential({', '.join(layers)})"


def in_module(module: str, text: str) -> str:
    """Return the text of a record with the names of classes as users write them: ``nn.Dense(2, 1)``."""
    return re.sub(r"(?<![\w.'\"])([A-Z]\w*(?=\()|init\.|activation(?=\())", rf"{module}.\1", text)


def _of_trainer(setup: Setup) -> str:
    optimizer = setup.optimizer
    if not isinstance(optimizer, FullBatch):
        optimizer = replace(cast(Any, optimizer), lr=setup.lr)
    arguments = {"loss": in_module("nn", repr(setup.loss)), "optimizer": in_module("optim", repr(optimizer))}
    if setup.schedule is not None:
        arguments["schedule"] = in_module("optim", repr(setup.schedule))
    if setup.penalty.l1 or setup.penalty.l2:
        arguments["penalty"] = in_module("optim", repr(setup.penalty))
    limits = {"clip_value": setup.clip_value, "clip_norm": setup.clip_norm}
    arguments |= {name: f"{limit:g}" for name, limit in limits.items() if limit != math.inf}
    if setup.accumulate > 1:
        arguments["accumulate"] = str(setup.accumulate)
    if setup.average is not None:
        arguments["average"] = in_module("optim", repr(setup.average))
    return f"trainer = fastnn.Trainer(net, {', '.join(f'{name}={value}' for name, value in arguments.items())})"


def _of_fit(setup: Setup) -> str:
    more = "" if setup.shuffle else ", shuffle=False"
    more += ", augment=augment" if setup.augment else ""
    more += ", validation_data=(X_val, y_val)" if setup.validation is not None else ""
    more += ", sample_weight=sample_weight" if setup.sample_weight is not None else ""
    return f"trainer.fit(X, y, epochs={setup.epochs}, batch_size={setup.batch_size}{more})"


def _wrapped(line: str) -> str:
    """Return a statement in lines that a terminal shows whole."""
    indent = " " * (line.index("(") + 1)
    parts = textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts)

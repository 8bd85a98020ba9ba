"""Ensembles in files: their nets, and the histories of their trainings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from fastnn import _validation as v
from fastnn.io._content import ContentWriter, reading
from fastnn.io._histories import pack_history, unpack_history
from fastnn.io._nets import FIX, copy_of, pack_net, unpack_net
from fastnn.nn import Sequential

_KEYS = ("output", "members", "histories")
Epochs = Sequence[Mapping[str, Any]]  # of one history


def save_ensemble(
    path: str | os.PathLike[str], members: Sequence[Sequential], output: str, histories: Sequence[Epochs]
) -> None:
    """Write the parts of an ensemble into a file; the names of its tensors are those of a ``ModuleList`` of nets."""
    content = ContentWriter(FIX)
    nets = [copy_of(net, f"members[{index}]") for index, net in enumerate(members)]
    packed = {
        "output": output,
        "members": [pack_net(net, content, f"{index}.", f"members[{index}].") for index, net in enumerate(nets)],
        "histories": [pack_history(each, content, f"histories[{index}]") for index, each in enumerate(histories)],
    }
    content.write(path, "ensemble", packed)


def load_ensemble(
    path: str | os.PathLike[str], *, allow_nonfinite: bool
) -> tuple[list[Sequential], Any, list[list[dict[str, Any]]]]:
    """Return members, output and histories, as `save_ensemble` was given; the ensemble checks whether they fit."""
    allow_nonfinite = v.boolean("allow_nonfinite", allow_nonfinite)
    with reading(path, "ensemble") as saved:
        part = saved.part(saved.content, "ensemble", _KEYS)
        for key in _KEYS[1:]:
            v.instance(f"ensemble.{key}", part[key], list, "be a list")
        count = len(part["members"])
        if len(part["histories"]) not in (0, count):
            v.refuse(ValueError, "histories", f"be {count}, one for each member, or none", len(part["histories"]))
        members = [
            unpack_net(saved, each, f"{index}.", f"members[{index}]", allow_nonfinite=allow_nonfinite)
            for index, each in enumerate(part["members"])
        ]
        histories = [unpack_history(saved, each, f"histories[{index}]") for index, each in enumerate(part["histories"])]
        return members, part["output"], histories

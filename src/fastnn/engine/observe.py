"""Observing programs: steps that also describe outputs, gradients and updates, for whoever watches a training.

Nothing of such a program is fused, so that the output of each layer, the gradient by it and the gradients of the
parameters are each in a buffer at some time. There an op `observe` describes them. Fused and unfused ops give the same
bits, so one step of a fit may be that of the observing program, and the next that of the ordinary one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from fastnn._activations import ACTIVATIONS
from fastnn._typing import Array
from fastnn.engine.ops import Op, make_op
from fastnn.kernels.statistics import EntryStatistics

INPUT = "input"
"""The name of the net's input among the layers."""


What = Literal["output", "output_gradient", "parameter", "gradient", "change"]


class Measured(NamedTuple):
    """What a row of an executor's table of observations is about.

    Attributes
    ----------
    what : {"output", "output_gradient", "parameter", "gradient", "change"}
        The output of a layer or the loss's gradient by it; a parameter after its update, its gradient as the update
        takes it, before penalties and clipping, or its change, before minus after.
    name : str
        The path of the layer, or the name of the parameter.
    buffer : str
    saturates : bool
        Whether the output is that of an activation that saturates.
    size : int
        The number of a parameter's entries.
    op : str
        The kind of the op that writes an output: "dense" for that of a `Dense`.
    """

    what: What
    name: str
    buffer: str
    saturates: bool = False
    size: int = 0
    op: str = ""


def empty_table(measured: Collection[Measured]) -> Array:
    """Return a table of observations without figures yet: they are NaN."""
    return np.full((len(measured), len(EntryStatistics._fields)), np.nan)


class ObservingOps:
    """The ops of an observing program, added to the lists of an ordinary one.

    Parameters
    ----------
    forward : iterable of Op
        The forward list, not fused.
    paths : dict of str to str
        Buffer -> path of the layer that writes it.
    frozen : collection of str
        The parameters that are not trained.
    sizes : dict of str to int
        The numbers of entries of all parameters.

    Attributes
    ----------
    measured : list of Measured
        For each row of the table.
    kept : dict of str to int
        The vectors that the program needs besides, with their lengths.
    """

    def __init__(
        self, forward: Iterable[Op], paths: Mapping[str, str], frozen: Collection[str], sizes: Mapping[str, int]
    ) -> None:
        last = {paths[op.buffers["y"]]: op.buffers["y"] for op in forward}
        self._layer_of = {y: path for path, y in last.items() if path}  # the last buffer that a layer writes
        self._sizes = {name: size for name, size in sizes.items() if name not in frozen}
        self.measured: list[Measured] = []
        self.kept = {f"vector:before:{name}": size for name, size in self._sizes.items()}

    def _observe(
        self, measured: Measured, kind: str = "observe", limits: tuple[float, float] | None = None, **more: str
    ) -> Op:
        self.measured.append(measured)
        attrs = {} if limits is None else {"low": limits[0], "high": limits[1]}
        return make_op(kind, {"x": measured.buffer, **more}, entry=len(self.measured) - 1, **attrs)

    def forward(self, ops: Iterable[Op], source: str) -> list[Op]:
        """Return the forward list with an op after each layer's last one; first, if it is given, one for the input."""
        ops = list(ops)
        last_writer = {op.buffers["y"]: i for i, op in enumerate(ops)}
        result = [self._observe(Measured("output", INPUT, source))] if source else []
        for i, op in enumerate(ops):
            result.append(op)
            y = op.buffers["y"]
            if y in self._layer_of and last_writer[y] == i:
                limits = saturation(op)
                measured = Measured("output", self._layer_of[y], y, limits is not None, op=op.kind)
                result.append(self._observe(measured, limits=limits))
        return result

    def gradient(self, y: str, d: str) -> list[Op]:
        """Return the ops that describe the gradient of an output, the first time that it is asked for."""
        if y not in self._layer_of or any(m[:2] == ("output_gradient", self._layer_of[y]) for m in self.measured):
            return []
        return [self._observe(Measured("output_gradient", self._layer_of[y], d))]

    def update(self, ops: Iterable[Op]) -> list[Op]:
        """Return the update's list with ops for each parameter: before `update` for its gradient, then its change."""
        result: list[Op] = []
        for op in ops:
            if op.kind == "update":
                result += self._before()
            result.append(op)
            if op.kind == "update":
                result += self._after()
        return result

    def _before(self) -> list[Op]:
        gradients = [
            self._observe(Measured("gradient", name, f"grad:{name}", size=n)) for name, n in self._sizes.items()
        ]
        keep = [make_op("keep", {"x": f"param:{name}", "y": f"vector:before:{name}"}) for name in self._sizes]
        return [*gradients, *keep]

    def _after(self) -> list[Op]:
        result = []
        for name, size in self._sizes.items():
            result.append(self._observe(Measured("parameter", name, f"param:{name}", size=size)))
            change = Measured("change", name, f"param:{name}", size=size)
            result.append(self._observe(change, "observe_change", y=f"vector:before:{name}"))
        return result


def saturation(op: Op) -> tuple[float, float] | None:
    """Return the limits of an activation's output where its derivative is nearly 0; None if the op has none."""
    name = op.attrs.get("activation", "identity")
    row = ACTIVATIONS[name]
    if row.saturation is None:
        return None
    values = dict(zip((each.name for each in row.parameters), op.attrs["parameters"], strict=True))
    low, high = (values[limit] if isinstance(limit, str) else limit for limit in row.saturation)
    return low, high

"""The scaling of targets by a net's `output_scaler`, in the units of its outputs."""

from __future__ import annotations

from typing import Protocol

from fastnn import _validation as v
from fastnn.engine import Scaling
from fastnn.nn import Loss

__all__ = ["target_scaling"]


class HasOutputs(Protocol):
    """A net, or what stands for one in an evaluation."""

    @property
    def out_features(self) -> int:
        """Number of outputs."""

    @property
    def output_scaling(self) -> Scaling | None:
        """The numbers of its `output_scaler`."""


def target_scaling(net: HasOutputs, loss: Loss) -> Scaling | None:
    """Return what scales the targets of a loss, or None: the numbers of `output_scaler`, one for each target.

    Raises
    ------
    ValueError
        If outputs and targets of the loss have no unit that could be scaled, or the outputs that predict one target
        are scaled differently.
    """
    scaling = net.output_scaling
    if scaling is None:
        return None
    groups = loss.outputs_by_target("loss", net.out_features)
    for column, group in enumerate(groups):
        first = scaling.columns(group[:1])
        for index in group[1:]:
            if not scaling.columns([index]).equals(first):
                must = f"scale outputs {group[0]} to {group[-1]} alike, as all of them predict column {column} of y"
                fix = f"write Scaler.fit(np.repeat(y, {len(group)}, axis=1)), with y of shape (n, {len(groups)})"
                v.refuse(ValueError, "output_scaler", must, f"other numbers for output {index}", fix)
    return scaling.columns([group[0] for group in groups])

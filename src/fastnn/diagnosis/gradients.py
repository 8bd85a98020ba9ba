"""`check_gradients`: the gradients of the backward pass compared with finite differences of the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._habits import with_hints
from fastnn._typing import Array
from fastnn.nn import Loss, Sequential
from fastnn.nn.losses import as_loss
from fastnn.nn.scaling import scale_targets
from fastnn.nn.sequential import as_net
from fastnn.training.examples import Examples, validated_examples
from fastnn.training.scaled_targets import target_scaling

__all__ = ["BlockReport", "GradientReport", "check_gradients"]


@dataclass(frozen=True)
class BlockReport:
    """The comparison of one gradient array: that of a parameter array, or of the input.

    Attributes
    ----------
    name : str
        "0.weight", ..., or "input".
    error : float
        The largest difference ``|analytic - numeric|``.
    largest : float
        The largest absolute entry of the analytic gradient.
    bound : float
        The largest error that is accepted.
    checked, skipped : int
        Number of entries compared, and number of entries skipped because the difference crosses a kink of an
        activation.
    """

    name: str
    error: float
    largest: float
    bound: float
    checked: int
    skipped: int

    @property
    def ok(self) -> bool:
        """Whether at least one entry was compared, and no error exceeds the bound."""
        return self.checked > 0 and self.error <= self.bound


@dataclass(frozen=True)
class GradientReport:
    """The result of a gradient check; ``str(report)`` is a table.

    ``bool(report)`` says whether all gradients are right.

    Attributes
    ----------
    blocks : tuple of BlockReport
    frozen : tuple of str
        The frozen parameters, which were left out.
    """

    blocks: tuple[BlockReport, ...]
    frozen: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all blocks are right."""
        return all(block.ok for block in self.blocks)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        width = max(len(block.name) for block in self.blocks)
        lines = [f"{'block':{width}}  {'|error|':>9}  {'bound':>9}  {'largest':>9}  checked  skipped"]
        lines += [
            f"{b.name:{width}}  {b.error:9.2e}  {b.bound:9.2e}  {b.largest:9.2e}  {b.checked:7d}  {b.skipped:7d}"
            f"  {'ok' if b.ok else 'WRONG'}"
            for b in self.blocks
        ]
        if self.frozen:
            lines.append(f"left out, as they are frozen: {', '.join(self.frozen)}")
        return "\n".join(lines)


@with_hints
def check_gradients(
    net: Sequential,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    loss: str | Loss = "cross_entropy",
    rtol: float = 1e-7,
    atol: float = 1e-9,
    step: float | None = None,
    max_per_block: int | None = None,
) -> GradientReport:
    """Compare the net's gradients with two-sided differences of the loss, ``(L(w + h) - L(w - h)) / 2h``.

    Columns that embeddings read are left out: a loss is no smooth function of ids. So are frozen parameters, whose
    gradients are not computed.

    The check uses a float64 copy of the net in training mode, with the dropout masks of the net's next step. The net
    itself does not change. The default bound is for float64, whatever the net's dtype.

    Parameters
    ----------
    net : Sequential
    X, y, sample_weight
        A batch, as for `fastnn.Trainer.fit`.
    loss : str or Loss, default "cross_entropy"
    rtol, atol : float
        The bound of a block is ``rtol * largest + atol``, with its largest absolute entry.
    step : float, optional
        The difference h, by default 6e-6 * max(1, |w|); 6e-6 is about the cube root of float64's precision.
    max_per_block : int, optional
        The largest number of entries to check in each block, evenly spread; by default all.

    Returns
    -------
    GradientReport

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, shape or range.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn
    >>> net = nn.Sequential(nn.Dense(3, 4), nn.Tanh(), nn.Dense(4, 2), seed=0)
    >>> X = np.random.default_rng(0).normal(size=(5, 3))
    >>> report = fastnn.check_gradients(net, X, [0, 1, 1, 0, 1])
    >>> report.ok
    True
    >>> [block.name for block in report.blocks]
    ['input', '0.weight', '0.bias', '2.weight', '2.bias']
    """
    rtol, atol = v.real("rtol", rtol, 0), v.real("atol", atol, 0)
    step = None if step is None else v.real("step", step, np.finfo(float).tiny)
    most = None if max_per_block is None else v.integer("max_per_block", max_per_block, 1)
    as_net("net", net)
    checked_loss = as_loss(loss, net.out_features)
    twin = net.copy("float64")
    examples = validated_examples(twin, checked_loss, X, y, sample_weight, finite=True)
    probe = _Probe(twin, checked_loss, examples)

    dz = np.empty((len(probe.x), twin.out_features))
    probe.run(grad=dz)
    dx = twin.backward(dz)
    assert dx is not None
    trained = {name: array.copy() for name, array in twin.gradients().items() if name not in twin.params.frozen}
    analytic = {"input": dx} | trained
    values = {"input": probe.x} | twin.parameters()

    blocks = []
    for name, gradient in analytic.items():
        indices = np.arange(gradient.size)
        if name == "input":
            indices = indices[~np.isin(indices % net.in_features, [each.column for each in net.id_columns])]
        if most is not None and most < len(indices):
            indices = indices[np.linspace(0, len(indices) - 1, most).round().astype(np.int64)]
        if not len(indices):
            continue
        numeric = _differences(values[name].reshape(-1), indices, step, probe.run)
        smooth = ~np.isnan(numeric)
        largest = float(np.abs(gradient).max())
        error = np.abs(gradient.reshape(-1)[indices] - numeric)[smooth]
        checked = int(smooth.sum())
        worst = float(error.max()) if checked else 0.0
        blocks.append(BlockReport(name, worst, largest, rtol * largest + atol, checked, len(indices) - checked))
    return GradientReport(tuple(blocks), twin.frozen)


def _differences(values: Array, indices: Array, step: float | None, run: Callable[[], tuple[float, bytes]]) -> Array:
    """Return two-sided differences of the loss by some entries of `values`; NaN where they cross a kink."""
    numeric = np.empty(len(indices))
    for position, index in enumerate(indices):
        value = values[index]
        h = 6e-6 * max(1.0, abs(value)) if step is None else step
        above, below = value + h, value - h
        values[index] = above
        loss_above, kinks_above = run()
        values[index] = below
        loss_below, kinks_below = run()
        values[index] = value
        # The difference of the rounded values is the exact one; it is not always 2 h.
        numeric[position] = (loss_above - loss_below) / (above - below) if kinks_above == kinks_below else np.nan
    return numeric


class _Probe:
    """The loss of one batch as a function of the net's parameters and of `x`, which the caller changes in place."""

    def __init__(self, net: Sequential, loss: Loss, examples: Examples) -> None:
        self.net = net
        self.x = examples.x.astype(np.float64)
        self._y, self._sample_weight = examples.y, examples.sample_weight
        if (scaling := target_scaling(net, loss)) is not None:
            self._y = scale_targets(examples.y, scaling, np.float64)
        self._loss = loss
        self._step = net.training_steps

    def run(self, grad: Array | None = None) -> tuple[float, bytes]:
        """Return the loss, and the side of its kinks on which each activation's input is."""
        net = self.net
        net.training_steps = self._step  # the same dropout masks every time
        z = net.forward(self.x, training=True, input_grad=True)
        loss = self._loss(z, self._y, self._sample_weight, grad=grad)
        return loss, net.kink_sides()

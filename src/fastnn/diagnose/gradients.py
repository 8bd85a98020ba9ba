"""Gradient check: the backward pass against differences of the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._typing import Array
from fastnn.nn import Loss, Sequential
from fastnn.nn.losses import as_loss
from fastnn.training.examples import Examples, check_examples

__all__ = ["BlockReport", "GradientReport", "check_gradients"]


@dataclass(frozen=True)
class BlockReport:
    """What was found for one parameter array, or for the input.

    Attributes
    ----------
    name : str
        "0.weight", ..., or "input".
    error : float
        The largest ``|analytic - numeric|``.
    largest : float
        The largest absolute analytic entry.
    bound : float
        What `error` must not exceed.
    checked, skipped : int
        Entries compared, and entries passed over because the difference crosses a kink of an activation.
    """

    name: str
    error: float
    largest: float
    bound: float
    checked: int
    skipped: int

    @property
    def ok(self) -> bool:
        """Whether some entry was compared and all are within the bound."""
        return self.checked > 0 and self.error <= self.bound


@dataclass(frozen=True)
class GradientReport:
    """The blocks of a gradient check; as a string it is a table.

    Attributes
    ----------
    blocks : tuple of BlockReport
    """

    blocks: tuple[BlockReport, ...]

    @property
    def ok(self) -> bool:
        """Whether all blocks are."""
        return all(block.ok for block in self.blocks)

    def __str__(self) -> str:
        width = max(len(block.name) for block in self.blocks)
        lines = [f"{'block':{width}}  {'|error|':>9}  {'bound':>9}  {'largest':>9}  checked  skipped"]
        lines += [
            f"{b.name:{width}}  {b.error:9.2e}  {b.bound:9.2e}  {b.largest:9.2e}  {b.checked:7d}  {b.skipped:7d}"
            f"  {'ok' if b.ok else 'WRONG'}"
            for b in self.blocks
        ]
        return "\n".join(lines)


def check_gradients(
    net: Sequential,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: str | Loss = "cross_entropy",
    sample_weight: npt.ArrayLike | None = None,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    step: float | None = None,
    max_per_block: int | None = None,
) -> GradientReport:
    """Compare the net's gradients with two-sided differences of the loss, ``(L(w + h) - L(w - h)) / 2h``.

    It works on a float64 copy of the net in training mode, with the dropout masks of the net's next step; the net
    itself does not change. The bound holds for float64 alone, whatever the net's dtype.

    Parameters
    ----------
    net : Sequential
    X, y, sample_weight
        A batch, as for `fastnn.Trainer.fit`.
    loss : str or Loss, default "cross_entropy"
    rtol, atol : float
        The bound of a block is ``rtol * largest entry + atol``.
    step : float, optional
        The difference h. By default 6e-6 (about the cube root of float64's precision) times max(1, |w|).
    max_per_block : int, optional
        Check this many entries of each block, evenly spread, rather than all.

    Returns
    -------
    GradientReport

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind, shape or range.

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
    checked_loss = as_loss(loss, net.out_features)
    shadow = net.copy("float64")
    examples = check_examples(shadow, checked_loss, X, y, sample_weight, finite=True)
    probe = _Probe(shadow, checked_loss, examples)

    dz = np.empty((len(probe.x), shadow.out_features))
    probe.run(grad=dz)
    dx = shadow.backward(dz)
    assert dx is not None
    analytic = {"input": dx} | {name: array.copy() for name, array in shadow.gradients().items()}
    values = {"input": probe.x} | shadow.parameters()

    blocks = []
    for name, gradient in analytic.items():
        indices = np.arange(gradient.size)
        if most is not None and most < gradient.size:
            indices = np.linspace(0, gradient.size - 1, most).round().astype(np.int64)
        numeric = _differences(values[name].reshape(-1), indices, step, probe.run)
        smooth = ~np.isnan(numeric)
        largest = float(np.abs(gradient).max())
        error = np.abs(gradient.reshape(-1)[indices] - numeric)[smooth]
        checked = int(smooth.sum())
        worst = float(error.max()) if checked else 0.0
        blocks.append(BlockReport(name, worst, largest, rtol * largest + atol, checked, len(indices) - checked))
    return GradientReport(tuple(blocks))


def _differences(values: Array, indices: Array, step: float | None, run: Callable[[], tuple[float, bytes]]) -> Array:
    """Two-sided differences of the loss by some entries of `values`; NaN where they cross a kink."""
    numeric = np.empty(len(indices))
    for position, index in enumerate(indices):
        held = values[index]
        h = 6e-6 * max(1.0, abs(held)) if step is None else step
        above, below = held + h, held - h
        values[index] = above
        loss_above, sides_above = run()
        values[index] = below
        loss_below, sides_below = run()
        values[index] = held
        # what was really added, rather than h, is what the loss has seen
        numeric[position] = (loss_above - loss_below) / (above - below) if sides_above == sides_below else np.nan
    return numeric


class _Probe:
    """The loss of one batch as a function of whatever is written into the parameters and `x`."""

    def __init__(self, net: Sequential, loss: Loss, examples: Examples) -> None:
        self.net = net
        self.x = examples.x.astype(np.float64)
        self._examples = examples
        self._loss = loss
        self._step = net.training_steps

    def run(self, grad: Array | None = None) -> tuple[float, bytes]:
        """Return the loss, and on which side of its kinks every activation is."""
        net = self.net
        net.training_steps = self._step  # the same dropout masks every time
        z = net.forward(self.x, training=True, input_grad=True)
        loss = self._loss(z, self._examples.y, self._examples.sample_weight, grad=grad)
        return loss, net.kink_sides()

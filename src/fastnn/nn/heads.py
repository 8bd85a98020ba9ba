"""`HeadsLoss`, the sum of the losses of a net's heads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastnn import _losses
from fastnn import _validation as v
from fastnn._settings import settings
from fastnn._typing import Array
from fastnn.kernels import losses as kernels
from fastnn.nn.loss_base import Loss
from fastnn.nn.losses import as_loss

__all__ = ["HeadsLoss"]

_ENTRY = "(loss, width) or (loss, width, weight)"


@settings()
class HeadsLoss(Loss):
    """The weighted sum of the losses of a net's heads: ``weight_0 * loss_0 + weight_1 * loss_1 + ...``.

    The columns of the net's output are those of the heads, side by side, in their order. So are the columns of the
    target, one matrix for all heads:

    - A loss that takes classes has one column with their numbers, integers in any dtype. Losses that take classes or
      rows, such as the cross entropy, take classes here.
    - Any other loss has as many columns as it takes: the width of the head, if the loss has no other number.

    Each loss is the mean over the rows of the batch, as it would be alone. Sample weights are those of the rows, and
    apply to all heads.

    Parameters
    ----------
    heads : list of (loss, width) or (loss, width, weight)
        For each head its loss, the name of one or a loss of `fastnn.nn`; the number of its outputs, at most 2**24, as
        float32 has every class number up to there; and its weight in the sum, above 0 and 1 by default. The widths
        together are the number of the net's outputs.

    Raises
    ------
    TypeError, ValueError
        If an entry is of a wrong kind or out of range, or a loss does not fit its width. Refused are also a `HeadsLoss`
        as the loss of a head, as its heads can stand in the one list, and weights of classes, by whose sum a head's
        mean would be divided; weigh the rows instead. A weight of 0 is refused, as it would not stop NaN; a head that
        is not to be trained yet can have a weight such as 1e-6.

    Notes
    -----
    A net with several heads has no accuracy and no `Trainer.predict_proba` of its own; functions of the columns of a
    head give its figures, see the example.

    Examples
    --------
    A net that tells apart three classes, and predicts one number:

    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import nn, optim
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> classes, number = np.digitize(X[:, 0], [-0.5, 0.5]), X[:, 0] * X[:, 1]
    >>> y = np.column_stack([classes, number])
    >>> heads = nn.Parallel(nn.Dense(32, 3), nn.Dense(32, 1), join="concat")
    >>> net = nn.Sequential(nn.Dense(2, 32), nn.Tanh(), heads, seed=0)
    >>> loss = nn.HeadsLoss([("cross_entropy", 3), ("mean_squared_error", 1, 0.5)])
    >>> trainer = fastnn.Trainer(net, loss, optim.Adam(lr=1e-2))
    >>> history = trainer.fit(X, y, epochs=100, batch_size=20, verbose=0)
    >>> def hits(y, z):
    ...     return (z[:, :3].argmax(axis=1) == y[:, 0]).mean()
    >>> def error(y, z):
    ...     return ((z[:, 3] - y[:, 1]) ** 2).mean()
    >>> figures = trainer.evaluate(X, y, metrics=[hits, error])
    >>> figures["hits"] > 0.95, figures["error"] < 0.1
    (True, True)
    """

    heads: tuple[tuple[str | Loss, int, float], ...]

    _internal = frozenset({"target_columns"})

    def __post_init__(self) -> None:
        """Check the heads, and convert them to tuples with weights."""
        given: object = self.heads
        if not isinstance(given, list | tuple):
            fix = 'write [("cross_entropy", 3), ("mean_squared_error", 1)], for example'
            v.refuse(TypeError, "heads", f"be a list of {_ENTRY}", v.kind_of(given), fix)
        if not given:
            v.refuse(ValueError, "heads", "have at least one entry", "none")
        object.__setattr__(self, "heads", tuple(_checked(f"heads[{i}]", each) for i, each in enumerate(given)))

    @cached_property
    def _terms(self) -> tuple[Loss, ...]:
        return tuple(as_loss(loss, width) for loss, width, _ in self.heads)

    @cached_property
    def _call(self) -> kernels.LossCall:
        heads: list[kernels.HeadCall] = []
        output = column = 0
        for loss, (_, width, weight) in zip(self._terms, self.heads, strict=True):
            call = _weighted(loss.bind(width, _target(loss, width)), weight)
            columns = 1 if call.target == "labels" else call.target_width
            heads.append(kernels.HeadCall(call, range(output, output + width), range(column, column + columns)))
            output, column = output + width, column + columns
        return kernels.LossCall("heads", "rows", column, heads=tuple(heads))

    @cached_property
    def spec(self) -> _losses.LossSpec:
        """The targets that the loss takes."""
        specs = [loss.spec for loss in self._terms]
        return _losses.LossSpec(
            "HeadsLoss",
            "Losses of heads",
            {"rows": "heads"},
            "sum(weight * loss)",
            "those of the heads, side by side",
            signed=any(each.signed for each in specs),
            negative_weights=all(each.negative_weights for each in specs),
        )

    @property
    def target_columns(self) -> str:
        """What the columns of the target are, in words."""
        parts = []
        for index, (call, _, targets) in enumerate(self._call.heads):
            some = f"{len(targets)} column{'s' * (len(targets) > 1)} of numbers"
            parts.append(f"{'the class numbers' if call.target == 'labels' else some} of heads[{index}]")
        return ", ".join(parts)

    def bind(self, k: int, target: str) -> kernels.LossCall:
        """Return the call of the loss in a program."""
        widths = [width for _, width, _ in self.heads]
        if sum(widths) != k:
            got = f"{' + '.join(map(str, widths))} = {sum(widths)}" if len(widths) > 1 else widths[0]
            v.refuse(ValueError, "the widths of heads", f"have the sum {k}, the number of the net's outputs", got)
        return self._call

    @property
    def takes_mixtures(self) -> bool:
        """Whether those of all heads are targets; the classes of a head are numbers in a column."""
        calls = [call for call, _, _ in self._call.heads]
        return all(t.takes_mixtures and c.target == "rows" for t, c in zip(self._terms, calls, strict=True))

    def outputs_by_target(self, name: str, k: int) -> list[range]:
        """Return the outputs that predict each column of the target, those of all heads."""
        found: list[range] = []
        for index, (loss, (_, outputs, _)) in enumerate(zip(self._terms, self.bind(k, "rows").heads, strict=True)):
            found += [
                outputs[each.start : each.stop] for each in loss.outputs_by_target(f"heads[{index}]", len(outputs))
            ]
        return found

    def check_rows(self, name: str, target: Array, *, finite: bool = True) -> None:
        """Refuse rows of targets for which a head's loss is meaningless; with `finite` also NaN and infinity."""
        for index, (loss, (call, outputs, targets)) in enumerate(zip(self._terms, self._call.heads, strict=True)):
            where = f"{column_name(name, targets)} (heads[{index}])"
            part = target[:, targets.start : targets.stop]
            if call.target == "labels":
                _check_classes(where, column_name(name, targets), part[:, 0], len(outputs))
            else:
                loss.check_rows(where, part, finite=finite)

    def column_rules(self, k: int) -> tuple[_losses.ColumnRule, ...] | None:
        """Return all that `check_rows` checks; None if a head's loss, or a subclass, checks something of its own."""
        if type(self).check_rows is not HeadsLoss.check_rows:
            return None
        rules: list[_losses.ColumnRule] = []
        for loss, (call, outputs, targets) in zip(self._terms, self.bind(k, "rows").heads, strict=True):
            classes = (_losses.ColumnRule("whole", 0, len(outputs) - 1, 0, 1),)
            of_head = classes if call.target == "labels" else loss.column_rules(len(outputs))
            if of_head is None:
                return None
            start = targets.start
            rules += [rule._replace(first=start + rule.first, last=start + rule.last) for rule in of_head]
        return tuple(rules)

    def __call__(
        self,
        outputs: npt.ArrayLike,
        target: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        grad: Array | None = None,
    ) -> float:
        """Compute the loss, and its gradient into `grad`."""
        (z,) = v.floats(outputs=outputs)
        v.shape("outputs", z, ("rows", self._call.heads[-1].outputs.stop))
        t = v.numeric("target", target)
        v.shape("target", t, (len(z), self._call.target_width), f"its columns are {self.target_columns}")
        self.check_rows("target", t, finite=False)
        t, weight = kernels.check_batch(
            "outputs", z, t, self._call, sample_weight, grad, negative_weights=self.spec.negative_weights
        )
        return kernels.run_heads(self._call, z, t, weight, grad)


def column_name(name: str, columns: range) -> str:
    """Return how columns of a matrix are written in NumPy."""
    return f"{name}[:, {columns.start}{f':{columns.stop}' * (len(columns) > 1)}]"


def _checked(where: str, entry: object) -> tuple[str | Loss, int, float]:
    """Return an entry as a tuple of three, checked."""
    if not isinstance(entry, list | tuple) or len(entry) not in (2, 3):
        fix = 'write ("mean_squared_error", 1), for example'
        v.refuse(TypeError, where, f"be {_ENTRY}", v.kind_and_length(entry), fix)
    loss, width, weight = cast(Iterable[Any], (*entry, 1.0)[:3])
    width = v.integer(f"{where}[1], the width,", width, 1, v.WHOLE_NUMBERS_OF_FLOAT32)
    weight = v.real(f"{where}[2], the weight,", weight, 0, excluded=True)
    if isinstance(loss, str):
        loss = v.named(f"{where}[0]", loss, _losses.NAMES)
    if isinstance(loss, HeadsLoss):
        v.refuse(ValueError, f"{where}[0]", "be a loss of one head", v.shown(loss), "write all heads in one list")
    with v.part(where):
        record = as_loss(loss, width, f"{where}[0]")
        record.spec.kinds_of(width)  # refuses a width without any
    if record.spec.class_weights and getattr(record, "weight", None) is not None:
        fix = "leave the weight out, and weigh the rows by sample_weight, for all heads"
        v.refuse(ValueError, f"{where}[0]", "have no weights of classes", v.shown(record), fix)
    return loss, width, weight


def _target(loss: Loss, width: int) -> str:
    """Return the kind of target that a loss takes in a head of this width."""
    return "labels" if "labels" in loss.spec.kinds_of(width) else "rows"


def _weighted(call: kernels.LossCall, weight: float) -> kernels.LossCall:
    """Return a call whose loss and gradient are multiplied by a weight."""
    function: Callable[..., float] | None = call.function
    if weight == 1.0:
        return call
    if function is None:
        return call._replace(value=call.value * weight, slope=call.slope * weight)

    def weighted(z: Array, grad: Array | None, t: Array, weights: Array | None) -> float:
        loss = function(z, grad, t, weights)
        if grad is not None:
            with np.errstate(all="ignore"):
                np.multiply(grad, weight, out=grad)
        return weight * loss

    return call._replace(function=weighted)


def _check_classes(where: str, column: str, numbers: Array, classes: int) -> None:
    """Refuse a column that has other numbers than those of the classes."""
    for start in range(0, len(numbers), v.CHUNK):
        part = numbers[start : start + v.CHUNK]
        good = (part >= 0) & (part < classes) & (np.floor(part) == part)
        if not good.all():
            row = int(good.argmin())
            fix = f"number the classes from 0, as np.unique({column}, return_inverse=True)[1] does"
            must = f"contain integers from 0 to {classes - 1}"
            v.refuse(ValueError, where, must, f"{part[row]} in row {start + row}", fix)

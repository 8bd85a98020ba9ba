"""`check_gradients`: the gradients of the backward pass compared with finite differences of the loss.

`check_gradient` does the same for a function that is written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn import kernels
from fastnn._habits import with_hints
from fastnn._typing import Array
from fastnn.diagnosis.differences import Differences, rounding_of
from fastnn.diagnosis.gradient_reports import BlockReport, EntryReport, GradientReport, compared
from fastnn.nn import Loss, Sequential
from fastnn.nn.losses import as_loss
from fastnn.nn.scaling import scale_targets
from fastnn.nn.sequential import as_net
from fastnn.optim import Penalty
from fastnn.training import Trainer
from fastnn.training._arguments import as_penalty
from fastnn.training.examples import Examples, validated_examples
from fastnn.training.scaled_targets import target_scaling

__all__ = ["BlockReport", "EntryReport", "GradientReport", "check_gradient", "check_gradients"]


@with_hints
def check_gradients(
    net: Sequential | Trainer,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    loss: str | Loss | None = None,
    penalty: Penalty | None = None,
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
    net : Sequential or Trainer
        With a trainer, loss and penalty are its own.
    X, y, sample_weight
        A batch, as for `fastnn.Trainer.fit`.
    loss : str or Loss, default "cross_entropy"
    penalty : Penalty, optional
        It is added to the loss, and its gradient to that of the loss.
    rtol, atol : float
        The bound of a block is ``rtol * largest + atol``, with its largest absolute entry.
    step : float, optional
        The difference h, by default 6e-6 * max(1, |w|); 6e-6 is about the cube root of float64's precision. Entries
        that such a step does not change, as rounding swallows it, are skipped.
    max_per_block : int, optional
        The largest number of entries to check in each block, evenly spread; by default all.

    Returns
    -------
    GradientReport

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, shape or range.

    Notes
    -----
    Where the difference at this step is not within the bound, because the loss is strongly curved, or because its
    rounding shows, other steps are tried: a factor of about 10 apart, up and down. The entry is judged by the best of
    them, and an error is accepted that is within four times the estimate of that difference's own.

    An entry is skipped, not wrong, at a kink of an activation or a loss, where there is no derivative, and where no
    step gives three digits, as rounding hides them: with inputs of 1e10 that are not scaled, for example, or with an
    activation that computes in float32 inside. A gradient below `atol` passes, whatever it is.

    Errors of one-sided differences, ``(L(w + h) - L(w)) / h``, are shown for comparison: they fall as h, those of
    two-sided differences as ``h**2``.

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
    step = _checked_step(step)
    most = None if max_per_block is None else v.integer("max_per_block", max_per_block, 1)
    net, checked_loss, checked_penalty = objective(net, loss, penalty)
    twin = net.copy("float64")
    examples = validated_examples(twin, checked_loss, X, y, sample_weight, finite=True)
    probe = _Probe(twin, checked_loss, checked_penalty, examples)
    _, analytic = probe.gradients()
    entries = {name: np.arange(array.size) for name, array in probe.values.items()}
    ids = [each.column for each in net.id_columns]
    entries["input"] = entries["input"][~np.isin(entries["input"] % net.in_features, ids)]
    flat = {name: array.reshape(-1) for name, array in probe.values.items()}
    rounding, off = rounding_of(probe.gradients, [(flat[name], entries[name]) for name in flat])

    blocks = []
    for name, gradient in analytic.items():
        indices = entries[name]
        if most is not None and most < len(indices):
            indices = indices[np.linspace(0, len(indices) - 1, most).round().astype(np.int64)]
        if len(indices):
            differences = Differences(flat[name], probe.run, rounding, step)
            blocks.append(compared(name, gradient, off[name], indices, differences, rtol, atol))
    return GradientReport(tuple(blocks), twin.frozen)


def _checked_step(step: float | None) -> float | None:
    return None if step is None else v.real("step", step, np.finfo(float).tiny)


def objective(
    net: Sequential | Trainer, loss: str | Loss | None, penalty: Penalty | None
) -> tuple[Sequential, Loss, Penalty]:
    """Return net, loss and penalty, which a trainer has and a net is given."""
    if isinstance(net, Trainer):
        for name, value in (("loss", loss), ("penalty", penalty)):
            if value is not None:
                fix = f"pass trainer.net for another {name}"
                v.refuse(ValueError, name, "be left out with a trainer, which has its own", v.shown(value), fix)
        return net.net, net.loss, net.penalty
    as_net("net", net)
    return net, as_loss("cross_entropy" if loss is None else loss, net.out_features), as_penalty(penalty)


class _Probe:
    """The loss of one batch as a function of the net's parameters and of the input, which the caller changes in place.

    Attributes
    ----------
    values : dict
        These arrays, by name.
    """

    def __init__(self, net: Sequential, loss: Loss, penalty: Penalty, examples: Examples) -> None:
        self.net = net
        self._x = examples.x.astype(np.float64)
        self.values: dict[str, Array] = {"input": self._x} | net.parameters()
        self._y, self._sample_weight = examples.y, examples.sample_weight
        if (scaling := target_scaling(net, loss)) is not None:
            self._y = scale_targets(examples.y, scaling, np.float64)
        self._loss = loss
        self._step = net.training_steps
        weight = examples.row_weight
        total = len(self._x) if weight is None else float(np.abs(weight).sum())
        factor = 1 / total if penalty.per_batch else 1.0
        self._l1, self._l2 = penalty.l1 * factor, penalty.l2 * factor
        penalized = sorted(net.penalized() - set(net.params.frozen)) if self._l1 or self._l2 else []
        self._penalized = {name: self.values[name] for name in penalized}

    def run(self, grad: Array | None = None) -> tuple[float, bytes]:
        """Return the loss, and the side of its kinks on which each activation's input, or penalised weight, is."""
        net = self.net
        net.training_steps = self._step  # the same dropout masks every time
        z = net.forward(self._x, training=True, input_grad=True)
        loss = float(self._loss(z, self._y, self._sample_weight, grad=grad))
        sides = net.kink_sides()
        for w in self._penalized.values():
            loss += self._l1 * float(np.abs(w).sum()) + self._l2 / 2 * float(np.square(w).sum())
            sides += np.sign(w).astype(np.int8).tobytes() if self._l1 else b""
        return loss, sides

    def gradients(self) -> tuple[float, dict[str, Array]]:
        """Return the loss and the gradients of the backward pass: of the input, and of what is not frozen."""
        net = self.net
        dz = np.empty((len(self._x), net.out_features))
        loss, _ = self.run(grad=dz)
        dx = net.backward(dz)
        assert dx is not None
        trained = {name: array.copy() for name, array in net.gradients().items() if name not in net.params.frozen}
        for name, w in self._penalized.items():
            trained[name] = kernels.regularize(w, trained[name], l1=self._l1, l2=self._l2)
        return loss, {"input": dx} | trained


@with_hints
def check_gradient(
    f: Callable[[Any], Any],
    df: Callable[[Any], Any],
    x: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    step: float | None = None,
) -> GradientReport:
    """Compare the gradient of a function, written by hand, with differences of the function.

    Parameters
    ----------
    f : callable
        ``f(x)`` returns a number.
    df : callable
        ``df(x)`` returns the gradient, of the shape of x; a mapping if x is one.
    x : float, array_like or mapping of str to array_like
        Where to compare. The functions get float64: a float for a number, else arrays, or a dict of these. An integer
        is converted. They may change what they get.
    rtol, atol : float
        The bound is ``rtol * largest + atol``, with the largest absolute entry of the gradient.
    step : float, optional
        The difference h, by default 6e-6 * max(1, |x|); 6e-6 is about the cube root of float64's precision. Entries
        that such a step does not change, as rounding swallows it, are skipped.

    Returns
    -------
    GradientReport
        With a block for each array. `str` also shows the numbers of the worst entry, and the relative error of all.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, shape or range, `f` returns no finite number at x, or two different ones, or
        `df` returns another shape than that of x. Where `f` raises ArithmeticError or ValueError beside x, it counts as
        not finite.

    Notes
    -----
    ``report.ok`` judges each entry, as `check_gradients` does. ``report.relative_error`` is one figure for all,
    ``norm(a - n) / (norm(a) + norm(n))`` with the gradients a and the two-sided differences n. Ng's course takes 1e-7
    or less as right, 1e-5 as worth a second look and 1e-3 as wrong, with a step of 1e-7 [1]_. CS231n, which divides by
    ``max(|a|, |n|)`` instead, says: above 1e-2 probably wrong, from 1e-2 to 1e-4 not to be trusted, 1e-4 fine only with
    kinks, 1e-7 or less right; and that deep nets add up errors, so that 1e-2 may be right for ten layers [2]_.

    Entries at a kink are skipped. There the slopes to the left and to the right stay apart however small the step is;
    of a smooth function their difference falls with the step. This depends on `f` alone, so a wrong gradient of a
    smooth function never counts as a kink.

    References
    ----------
    .. [1] Andrew Ng, "Improving Deep Neural Networks", week 1, "Gradient checking".
    .. [2] CS231n, "Neural Networks Part 3", https://cs231n.github.io/neural-networks-3/#gradcheck

    Examples
    --------
    >>> import fastnn
    >>> report = fastnn.check_gradient(lambda x: x**3, lambda x: 3 * x**2, 1.0, step=0.01)
    >>> report.ok
    True
    >>> worst = report.blocks[0].worst
    >>> round(worst.two_sided, 6), round(worst.one_sided, 6)
    (3.0001, 3.0301)
    """
    v.function("f", f)
    v.function("df", df)
    rtol, atol, step = v.real("rtol", rtol, 0), v.real("atol", atol, 0), _checked_step(step)
    function = _Function(f, df, x)
    with np.errstate(all="ignore"):
        analytic = function.gradients()[1]
        flat = {name: array.reshape(-1) for name, array in function.values.items()}
        entries = {name: np.arange(len(array)) for name, array in flat.items()}
        rounding, off = rounding_of(function.gradients, [(flat[name], entries[name]) for name in flat])
        blocks = []
        for name, gradient in analytic.items():
            differences = Differences(flat[name], function.run, rounding, step)
            blocks.append(compared(name, gradient, off[name], entries[name], differences, rtol, atol))
    return GradientReport(tuple(blocks), shows_entries=True)


class _Function:
    """A user's function of numbers, which the caller changes in place, and its gradient.

    Attributes
    ----------
    values : dict
        The arrays, by name; "x" if there is one.
    """

    def __init__(
        self, f: Callable[[Any], Any], df: Callable[[Any], Any], x: npt.ArrayLike | Mapping[str, npt.ArrayLike]
    ) -> None:
        self._f, self._df = f, df
        self._is_mapping = isinstance(x, Mapping)
        given = dict(x) if isinstance(x, Mapping) else {"x": x}
        _refuse_list_of_arrays(x)
        if not given or not all(isinstance(name, str) for name in given):
            v.refuse(TypeError, "x", "have names of arrays as keys", v.shown(list(given)))
        self.values: dict[str, Array] = {}
        for name, value in given.items():
            label = f"x[{name!r}]" if self._is_mapping else "x"
            array = np.array(v.numeric(label, value), dtype=np.float64)
            if not array.size:
                v.refuse(ValueError, label, "have at least one number", f"shape {array.shape}")
            if not v.all_finite(array):
                v.refuse(ValueError, label, "contain finite numbers", array[~np.isfinite(array)][0])
            self.values[name] = array
        with np.errstate(all="ignore"):
            first, second = (self._value() for _ in range(2))
        if first != second:
            fix = "draw random numbers once, before the check"
            v.refuse(ValueError, "f", "return the same number each time", f"{first} and {second}", fix)

    def _argument(self) -> Any:
        """Return a copy of the numbers in the form in which they were given."""
        if self._is_mapping:
            return {name: array.copy() for name, array in self.values.items()}
        array = self.values["x"]
        return array.copy() if array.ndim else float(array)

    def _value(self) -> float:
        """Return the function's value at x, which must be finite."""
        try:
            result = self._f(self._argument())
        except ArithmeticError as error:
            v.refuse(ValueError, "f(x)", "be finite", f"{type(error).__name__}: {error}")
        number = _number(result)
        if not np.isfinite(number):
            v.refuse(ValueError, "f(x)", "be finite", number)
        return number

    def run(self) -> tuple[float, bytes]:
        """Return the function's value, NaN where it has none; it has no kinks that are known."""
        try:
            result = self._f(self._argument())
        except (ArithmeticError, ValueError):  # such as the logarithm of a number below 0: it had a value at x
            return float("nan"), b""
        return _number(result), b""

    def gradients(self) -> tuple[float, dict[str, Array]]:
        """Return the value, and the gradients, which are checked."""
        result = self._df(self._argument())
        if not self._is_mapping:
            result = {"x": result}
        elif not isinstance(result, Mapping) or set(result) != set(self.values):
            got = v.shown(list(result)) if isinstance(result, Mapping) else v.kind_of(result)
            v.refuse(ValueError, "df(x)", f"be a mapping with the keys of x, {', '.join(self.values)}", got)
        found = {}
        for name, array in self.values.items():
            label = f"df(x)[{name!r}]" if self._is_mapping else "df(x)"
            gradient = v.numeric(label, result[name])
            v.shape(label, gradient, array.shape, "a gradient has the shape of x")
            found[name] = gradient.astype(np.float64)
        return self.run()[0], found


def _number(value: Any) -> float:
    """Return what a user's function has returned, which must be a number."""
    if isinstance(value, list | tuple):
        fix = "return the cost alone, without its gradient"
        v.refuse(TypeError, "f(x)", "be a number", v.kind_and_length(value), fix)
    array = v.numeric("f(x)", value)
    if array.ndim:
        fix = "return a sum or a mean, such as np.sum(...)"
        v.refuse(ValueError, "f(x)", "be a number", f"shape {array.shape}", fix)
    return float(array)


def _refuse_list_of_arrays(x: Any) -> None:
    """Refuse a list of arrays of several shapes."""
    if not isinstance(x, list | tuple) or not any(isinstance(each, np.ndarray) for each in x):
        return
    shapes = [each.shape for each in x if isinstance(each, np.ndarray)]
    if len(shapes) < len(x) or len(set(shapes)) > 1:
        got = f"a {type(x).__name__} of arrays of shapes {', '.join(map(str, shapes))}"
        fix = 'give a dict of arrays, {"W1": W1, "b1": b1}'
        v.refuse(ValueError, "x", "be one array, or a dict of arrays", got, fix)

"""The registry of losses: one row for each, used by kernels, checks, the classes of `fastnn.nn` and documentation.

A loss has a row here, a line for each kind of target in ``FNN_LOSSES`` of csrc/fastnn.h, in the same order, and for
each a function of that name in the NumPy twin (CONTRIBUTING.md lists all places). Where libraries differ, formulas and
settings are PyTorch's.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _validation as v
from fastnn._names import Names
from fastnn._typing import Array

# How far the sum of a row of probabilities may be from 1: allows float16, and three probabilities with three decimals.
SUM_TOLERANCE = 2e-3
SURE_SUM_TOLERANCE = SUM_TOLERANCE * (1 - 1e-9)  # not at the edge, where a sum depends on the order of adding


class ColumnRule(NamedTuple):
    """What the numbers in some columns of the targets have to be, besides finite.

    Attributes
    ----------
    kind : str
        One of:

        - "between": from `low` to `high`
        - "whole": whole numbers from `low` to `high`
        - "either": `low` or `high`
        - "probabilities": from `low` to `high`, and the sum of each row is 1 to within `SUM_TOLERANCE`, whatever the
          order of adding; rows at its edge are left to `check_rows`
    low, high : float
    first, last : int
        The columns from `first` to before `last`.
    """

    kind: str
    low: float
    high: float
    first: int
    last: int


class BatchRules(NamedTuple):
    """What a step checks of a batch's targets and weights, besides that all are finite.

    Attributes
    ----------
    columns : tuple of ColumnRule
        For rows of targets; labels need none.
    may_be_vector : bool
        Whether rows of one number may be a vector.
    negative_weights : bool
        Whether weights may be below 0.
    row_weights : callable, optional
        For a loss with class weights. It takes labels and sample weights (or None), and returns the product of sample
        weight and class weight for each row.
    """

    columns: tuple[ColumnRule, ...] = ()
    may_be_vector: bool = False
    negative_weights: bool = False
    row_weights: Callable[[Array, Array | None], Array | None] | None = None


class Setting(NamedTuple):
    """A setting of a loss: a truth value, a number with low <= value < high (an integer: value <= high), or an array.

    Attributes
    ----------
    name : str
    default : bool, int, float or None
        Its type is that of the setting, unless this is an array.
    text : str
        The sentence of the docstrings that says what it is.
    low, high : float
    excluded : bool
        Whether the value must be above `low`.
    array : str
        The shape of an array, as the docstrings say it; "" for a number.
    check_array : callable, optional
        Takes the name, the value and the number of outputs, None if it is not known yet; returns the numbers, checked.
    """

    name: str
    default: Any
    text: str
    low: float = -math.inf
    high: float = math.inf
    excluded: bool = False
    array: str = ""
    check_array: Callable[[str, Any, int | None], Any] | None = None

    def check(self, value: Any, k: int | None) -> Any:
        """Return the value for `k` outputs, checked."""
        if self.check_array is not None:
            return None if value is self.default is None else self.check_array(self.name, value, k)
        if type(self.default) is float:
            return v.real(self.name, value, self.low, self.high, excluded=self.excluded)
        if type(self.default) is bool:
            return v.boolean(self.name, value)
        return v.integer(self.name, value, int(self.low), int(self.high))

    @property
    def annotation(self) -> str:
        """Its type, as source text."""
        optional = " | None" if self.default is None else ""
        return f"ArrayLike{optional}" if self.array else type(self.default).__name__

    @property
    def entry(self) -> str:
        """Its entry in the section Parameters of a docstring."""
        kind, default, text = type(self.default).__name__, f"default {self.default}", self.text
        if type(self.default) is int:
            kind = f"{{{', '.join(map(str, range(int(self.low), int(self.high) + 1)))}}}"
        elif self.high < math.inf:
            text += f" {'Above' if self.excluded else 'At least'} {self.low:g} and below {self.high:g}."
        elif self.low > -math.inf:
            text += f" Above {self.low:g}." if self.excluded else " Not negative."
        if self.array:
            kind = (
                f"array_like, shape {self.array}"
                if self.default is None
                else f"float or array_like, shape {self.array}"
            )
            default = "optional" if self.default is None else default
        return f"{self.name} : {kind}, {default}\n    {text}\n"


@dataclass(frozen=True, eq=False, repr=False)  # these methods would take as long to make as the rest of the module
class LossSpec:
    """One loss: its kernels, its settings, the targets for which it is meaningful, and what docstrings say of it.

    Attributes
    ----------
    torch : str
        The name of its class in `fastnn.nn`: that of PyTorch's class, where PyTorch has one.
    title : str
        What it is, in words.
    kinds : mapping of str to str
        The kernel's name in csrc for each kind of target: "labels" (a class for each row) or "rows" (of numbers).
    formula, gradient : str
        A term of the loss for output z and target t, and its derivative in z; settings by their names.
    source : str
        The same loss in other libraries, and the publication.
    about : str
        More that both docstrings say; not its first line.
    of_class : str
        More that only the class's docstring says.
    outputs : {"prediction", "logits"}
        The name of the kernel's first argument.
    z, t : str
        What outputs and targets are, in words.
    examples : tuple of (str, str, str)
        Outputs and target, settings, and the loss to six decimals.
    settings : tuple of Setting
        In the order of the arguments.
    pack : callable, optional
        Takes the number of outputs and the checked settings, and returns the kernel's parameters; by default these are
        the settings in order.
    averaged : bool
        Whether the mean is over rows and columns, not over the rows only.
    low, high : float
        Bounds of the numbers in a target.
    among : tuple of (float, float), or ()
        The only two numbers allowed in a target, in ascending order; () for no such restriction.
    probabilities : bool
        Whether the numbers of a row are probabilities with sum 1.
    signed : bool
        Whether a row's loss may be below 0.
    exclusive : tuple of str
        The kinds of target with mutually exclusive classes, which need at least two outputs.
    class_weights : bool
        Whether the settings are `weight`, of the classes, and `label_smoothing`. The mean over rows with labels is
        then by the rows' weights times those of their classes.
    grouped : bool
        Whether there are several outputs for each target: as many as the first parameter says.
    links : mapping of str to str
        The function of the outputs that predicts the target, by the kind of target: "softmax" and "sigmoid" for
        probabilities, "exp" for rates; none for outputs that are predictions themselves.
    link_setting : str
        The setting without which there is no such function, if there is one.
    negative_weights : bool
        Whether sample weights may be below 0; the mean is then by their absolute values.
    """

    torch: str
    title: str
    kinds: Mapping[str, str]
    formula: str
    gradient: str
    source: str = ""
    _: KW_ONLY
    about: str = ""
    of_class: str = ""
    outputs: str = "prediction"
    z: str = "predictions z"
    t: str = "targets t"
    examples: tuple[tuple[str, str, str], ...] = ()
    settings: tuple[Setting, ...] = ()
    pack: Callable[..., tuple[float, ...]] | None = None
    averaged: bool = True
    low: float = -math.inf
    high: float = math.inf
    among: tuple[()] | tuple[float, float] = ()
    probabilities: bool = False
    signed: bool = False
    exclusive: tuple[str, ...] = ()
    class_weights: bool = False
    grouped: bool = False
    links: Mapping[str, str] = field(default_factory=dict)
    link_setting: str = ""
    negative_weights: bool = False

    @property
    def can_be_scaled(self) -> bool:
        """Whether outputs and targets are numbers of one unit, in any unit: the loss makes sense for both scaled."""
        return "rows" in self.kinds and self.outputs == "prediction" and not (self.column_rules(1) or self.links)

    @property
    def takes_mixtures(self) -> bool:
        """Whether mixtures of targets are targets: rows of numbers that need not be one of a few."""
        return "rows" in self.kinds and not self.among

    def parameters(self, k: int | None, given: Mapping[str, Any]) -> tuple[float, ...]:
        """Check the given settings, and return the kernel's parameters for `k` outputs, None if it is not known yet."""
        if not self.settings:
            return ()
        values = [setting.check(given[setting.name], k) for setting in self.settings]
        return self.pack(k, *values) if self.pack else tuple(values)

    def kinds_of(self, k: int) -> Collection[str]:
        """Return the kinds of target for which the loss of `k` outputs is meaningful; refuse a `k` without any."""
        if k > 1:
            return self.kinds
        kinds = [kind for kind in self.kinds if kind not in self.exclusive]
        if not kinds:
            fix = 'for labels 0 and 1 write loss="binary_cross_entropy" or end the net with nn.Dense(..., 2), '
            fix += 'for real targets loss="mean_squared_error"'
            must = "be at least 2 for a loss of classes, such as cross entropy"
            v.refuse(ValueError, "the number of outputs", must, k, fix)
        return kinds

    def column_rules(self, columns: int) -> tuple[ColumnRule, ...]:
        """Return what `check_rows` checks of rows of so many columns, besides that all numbers are finite."""
        rules = []
        if self.low > -math.inf or self.high < math.inf:
            rules.append(ColumnRule("between", self.low, self.high, 0, columns))
        if self.among:
            rules.append(ColumnRule("either", *self.among, 0, columns))
        if self.probabilities:
            rules.append(ColumnRule("probabilities", 0.0, math.inf, 0, columns))
        return tuple(rules)

    def check_rows(self, name: str, target: Array, *, finite: bool = True) -> None:
        """Refuse rows for which the loss is meaningless; with `finite`, for every loss also NaN and infinity."""
        if finite or self.column_rules(target.shape[1]):
            v.in_range(name, target, self.low, self.high, self.among)
        if not self.probabilities:
            return
        step = max(1, v.CHUNK // target.shape[1])
        for start in range(0, len(target), step):
            rows = target[start : start + step]
            sums, least = rows.sum(axis=1, dtype=np.float64), rows.min(axis=1)
            bad = (least < 0) | (np.abs(sums - 1) > SUM_TOLERANCE)
            if bad.any():
                row = int(bad.argmax())
                must = f"contain rows of probabilities, none below 0 and with sum 1 (to within {SUM_TOLERANCE:g})"
                got = f"{least[row]:g}" if least[row] < 0 else f"a sum of {sums[row]:g}"
                fix = 'for real targets write loss="mean_squared_error", '
                fix += 'for several classes per row loss="binary_cross_entropy"'
                v.refuse(ValueError, name, must, f"{got} in row {start + row}", fix)


# ---- settings that are arrays, and parameters that are not the settings in order ----


def _per_output(name: str, value: npt.ArrayLike, k: int | None) -> list[float]:
    """Return the weights of the outputs."""
    array = v.numeric(name, value)
    v.shape(name, array, ("outputs" if k is None else k,))
    weights = v.weights(name, array, len(array))
    assert weights is not None
    return list(weights.tolist())


def _levels(name: str, value: npt.ArrayLike, k: int | None) -> list[float]:
    """Return the quantiles; their number divides that of the outputs."""
    levels = np.atleast_1d(v.numeric(name, value)).astype(np.float64)
    v.shape(name, levels, ("quantiles",))
    v.at_least(name, levels, 0, 1, "quantile")
    for index, level in enumerate(levels.tolist()):
        if not 0 < level < 1:
            v.real(f"{name}[{index}]" if np.ndim(value) else name, level, 0, 1, excluded=True)
    if k is not None and k % len(levels):
        must = f"have a length that divides the number of outputs, {k}"
        v.refuse(ValueError, name, must, f"length {len(levels)}")
    return list(levels.tolist())


def _smoothing_and_weights(k: int | None, weight: list[float] | None, smoothing: float) -> tuple[float, ...]:
    if weight is None:
        return () if smoothing == 0 else (smoothing, *[1.0] * (k or 0))
    return smoothing, *weight


def _poisson(_k: int | None, log_input: bool, full: bool, deviance: bool, eps: float) -> tuple[float, ...]:
    if full and deviance:
        v.refuse(ValueError, "deviance", "be False with full=True", deviance)
    return float(log_input), 1.0 if full else 2.0 * deviance, eps


# ---- the rows ----

LOSSES: Mapping[str, LossSpec] = {
    "cross_entropy": LossSpec(
        "CrossEntropyLoss",
        "Cross entropy of classes",
        {"labels": "cross_entropy_labels", "rows": "cross_entropy"},
        "-sum(u * log(softmax(z)))",
        "softmax(z) * sum(u) - u",
        "PyTorch's `cross_entropy`, and scikit-learn's `log_loss` of the softmax. Label smoothing: Szegedy et al.,\n"
        "2016, Rethinking the Inception architecture for computer vision",
        about="u is ``weight * ((1 - label_smoothing) * t + label_smoothing / K)``, t a row of probabilities, or 1\n"
        "for the row's class and 0 for the others; without settings it is t. The mean for classes is weighted by the\n"
        "rows' weights times those of their classes, the mean for rows of probabilities by the rows' weights alone.\n"
        "\n"
        "A class with a logit of -inf has probability 0, and one with the only +inf of a row probability 1; two of\n"
        "+inf give NaN.",
        of_class="A row of probabilities has no number below 0, and sum 1 to within 0.002. The net has at least two\n"
        "outputs: with a single one the loss would always be 0. The number of class weights is compared with that of\n"
        "the outputs when the loss is used.",
        outputs="logits",
        z="logits z",
        t="classes from 0 to K - 1, or rows of probabilities t",
        examples=(
            ("[[0.0, 0.0]], [1]", "", "0.693147"),
            ("[[0.0, 0.0]], [[0.5, 0.5]]", "", "0.693147"),
            ("[[2.0, 0.0]], [0]", "weight=[1.0, 3.0], label_smoothing=0.1", "0.439621"),
        ),
        settings=(
            Setting(
                "weight",
                None,
                "Weights of the classes, finite and not negative; with label smoothing, all above 0.",
                array="(K,)",
                check_array=_per_output,
            ),
            Setting("label_smoothing", 0.0, "The fraction of the target that is spread evenly over the classes.", 0, 1),
        ),
        pack=_smoothing_and_weights,
        averaged=False,
        probabilities=True,
        exclusive=("labels", "rows"),
        class_weights=True,
        links={"labels": "softmax", "rows": "softmax"},
    ),
    "binary_cross_entropy": LossSpec(
        "BCEWithLogitsLoss",
        "Binary cross entropy of each column",
        {"rows": "binary_cross_entropy"},
        "pos_weight * t * log1p(exp(-z)) + (1 - t) * log1p(exp(z))",
        "(1 - t) * sigmoid(z) - pos_weight * t * sigmoid(-z)",
        "PyTorch's `binary_cross_entropy_with_logits`, if all sample weights are equal",
        about="It is the binary loss of each column, for binary targets and several labels a row, computed without\n"
        "overflow; without `pos_weight`, as ``max(z, 0) - z * t + log1p(exp(-|z|))`` with the derivative\n"
        "``sigmoid(z) - t``. At a logit of +inf the loss is 0 for the target 1, at -inf for the target 0; for all\n"
        "others it is infinite.",
        of_class='With ``columns="sum"`` it is the log loss of scikit-learn\'s perceptrons, summed over the columns.',
        outputs="logits",
        z="logits z of binary targets",
        t="probabilities t of the positive class",
        examples=(
            ("[[0.0]], [[1.0]]", "", "0.693147"),
            ("[[0.0]], [[1.0]]", "pos_weight=[3.0]", "2.079442"),
        ),
        settings=(
            Setting(
                "pos_weight",
                None,
                "Weight of the positive class in each column, finite and not negative; 1 by default.",
                array="(K,)",
                check_array=_per_output,
            ),
        ),
        pack=lambda _k, weights: tuple(weights or ()),
        low=0,
        high=1,
        links={"rows": "sigmoid"},
    ),
    "log_loss": LossSpec(
        "LogLoss",
        "Log loss, the clipped cross entropy that scikit-learn reports",
        {"labels": "log_loss_labels", "rows": "log_loss"},
        "-log(clip(p, eps, 1 - eps))",
        "p - t",
        "scikit-learn's log loss, as its perceptrons report it",
        about="p is the probability of the target, and eps that of the dtype. For classes it is `cross_entropy`, for\n"
        "columns of 0 and 1 `binary_cross_entropy` with the sum over the columns in place of their mean. Gradients\n"
        "are the same, without clipping: there p is the softmax of a row, or the sigmoid of each entry.",
        outputs="logits",
        z="logits z",
        t="classes from 0 to K - 1, or columns t of 0 and 1",
        examples=(("[[0.0, 100.0]], [0]", "", "36.043653"), ("[[0.0, 100.0]], [[1, 1]]", "", "0.693147")),
        averaged=False,
        among=(0, 1),
        exclusive=("labels",),
        links={"labels": "softmax", "rows": "sigmoid"},
    ),
    "mean_squared_error": LossSpec(
        "MSELoss",
        "Mean squared error",
        {"rows": "mean_squared_error"},
        "(z - t)**2",
        "2 * (z - t)",
        "PyTorch's `mse_loss`, without a factor of 1/2",
        of_class="scikit-learn's perceptrons report half of the mean over rows and columns, but use a gradient that\n"
        "is not divided by the number of columns, ``(z - t) / sum(w)``: that is\n"
        '``MSELoss(factor=0.5, gradient_columns="sum")``.',
        examples=(("[[1.0], [5.0]], [[1.0], [2.0]]", "", "4.5"),),
    ),
    "mean_absolute_error": LossSpec(
        "L1Loss",
        "Mean absolute error",
        {"rows": "mean_absolute_error"},
        "|z - t|",
        "sign(z - t), 0 where z = t",
        "PyTorch's `l1_loss`",
        examples=(("[[1.0], [5.0]], [[1.0], [2.0]]", "", "1.5"),),
    ),
    "huber": LossSpec(
        "HuberLoss",
        "Huber loss, quadratic near the target and linear far from it",
        {"rows": "huber"},
        "d**2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), with d = z - t",
        "clip(d, -delta, delta)",
        "PyTorch's `huber_loss`; Huber, 1964, Robust estimation of a location parameter",
        examples=(
            ("[[0.5], [5.0]], [[0.0], [2.0]]", "", "1.3125"),
            ("[[1.0], [5.0]], [[0.0], [0.0]]", "delta=2.0", "4.25"),
        ),
        settings=(Setting("delta", 1.0, "Where the parabola becomes a line.", 0, excluded=True),),
    ),
    "log_cosh": LossSpec(
        "LogCoshLoss",
        "Log-cosh loss, a smooth form of the absolute error",
        {"rows": "log_cosh"},
        "log(cosh(z - t))",
        "tanh(z - t)",
        "Keras's `LogCosh`",
        about="It is smooth: about ``d**2 / 2`` near the target, d = z - t, and about ``|d| - log(2)`` far from it.",
        examples=(("[[1.0], [1000.0]], [[0.0], [0.0]]", "", "499.870317"),),
    ),
    "poisson": LossSpec(
        "PoissonNLLLoss",
        "Poisson loss of counts, from the logarithms of their rates",
        {"rows": "poisson"},
        "exp(z) - t * z",
        "exp(z) - t",
        "PyTorch's `poisson_nll_loss`",
        about="It is minus the logarithm of the Poisson likelihood of t. If `log_input` is False, it is\n"
        "``z - t * log(z + eps)``, NaN where z is below -eps. Where exp(z) overflows in float64 the loss is infinite.",
        of_class="scikit-learn's perceptrons report the half deviance, summed over the columns:\n"
        '``PoissonNLLLoss(deviance=True, columns="sum")``.',
        z="logarithms z of rates (or rates)",
        t="counts t of at least 0",
        examples=(("[[0.0], [0.0]], [[1.0], [3.0]]", "", "1.0"), ("[[0.0]], [[1.0]]", "deviance=True", "0.0")),
        settings=(
            Setting("log_input", True, "Whether z is the logarithm of the rate, not the rate itself."),
            Setting(
                "full",
                False,
                "Whether to add ``t * log(t) - t + log(2 * pi * t) / 2`` where t > 1, Stirling's approximation of\n"
                "    log(t!).",
            ),
            Setting(
                "deviance",
                False,
                "Whether to add ``t * log(t) - t``, so that the loss is 0 where the rate is t, as scikit-learn's half\n"
                "    Poisson deviance is. Not together with `full`.",
            ),
            Setting("eps", 1e-8, "Keeps the logarithm finite if `log_input` is False.", 0, excluded=True),
        ),
        pack=_poisson,
        low=0,
        signed=True,
        links={"rows": "exp"},
        link_setting="log_input",
    ),
    "quantile": LossSpec(
        "QuantileLoss",
        "Quantile (pinball) loss",
        {"rows": "quantile"},
        "max(q * (t - z), (q - 1) * (t - z))",
        "-q where z < t, 1 - q where z > t, else 0",
        "scikit-learn's `mean_pinball_loss`; Koenker and Bassett, 1978, Regression quantiles",
        about="Its mean is least if z is quantile q of t, for one quantile or several at once. For T targets and Q\n"
        "quantiles there are K = T * Q outputs: column ``j * Q + k`` is quantile k of target j, so that\n"
        "``z.reshape(B, T, Q)`` separates them.",
        examples=(("[[1.0, 3.0]], [[2.0]]", "quantiles=[0.25, 0.75]", "0.25"),),
        settings=(Setting("quantiles", 0.5, "The quantiles.", 0, 1, excluded=True, array="(Q,)", check_array=_levels),),
        pack=lambda _k, levels: (float(len(levels)), *levels),
        grouped=True,
    ),
    "hinge": LossSpec(
        "HingeLoss",
        "Hinge loss of two classes",
        {"rows": "hinge"},
        "max(0, 1 - t * z)",
        "-t where t * z < 1, else 0",
        "Keras's `Hinge`, scikit-learn's `hinge_loss`: the loss of support vector machines",
        z="scores z",
        t="targets t of -1 and 1",
        examples=(("[[0.5], [3.0]], [[1.0], [1.0]]", "", "0.25"),),
        among=(-1, 1),
    ),
    "squared_hinge": LossSpec(
        "SquaredHingeLoss",
        "Squared hinge loss of two classes",
        {"rows": "squared_hinge"},
        "max(0, 1 - t * z)**2",
        "-2 * t * max(0, 1 - t * z)",
        "Keras's `SquaredHinge`",
        z="scores z",
        t="targets t of -1 and 1",
        examples=(("[[0.5], [3.0]], [[1.0], [1.0]]", "", "0.125"),),
        among=(-1, 1),
    ),
    "multi_margin": LossSpec(
        "MultiMarginLoss",
        "Hinge loss of several classes",
        {"labels": "multi_margin"},
        "max(0, margin - z[y] + z[i])**p for i != y, else 0",
        "p * max(0, margin - z[y] + z[i])**(p - 1) by z[i], minus the sum of these by z[y]",
        "PyTorch's `multi_margin_loss`, without class weights; Weston and Watkins, 1999, Support vector machines for\n"
        "multi-class pattern recognition",
        about="y is the class of the row. For p = 1 the derivative by z[i] is 1 where the term is above 0.",
        z="scores z of the classes",
        t="classes y from 0 to K - 1",
        examples=(
            ("[[0.0, 2.0, 1.5]], [1]", "", "0.166667"),
            ("[[0.0, 2.0, 1.5]], [1]", "p=2, margin=2.0", "0.75"),
        ),
        settings=(
            Setting("p", 1, "The power.", 1, 2),
            Setting("margin", 1.0, "The least difference without a loss.", 0),
        ),
        exclusive=("labels",),
    ),
}

_TAKES_LOGITS = 'in Keras and others it takes probabilities: write "{}", which takes logits, and leave the {} out'
_NO_LOSS = 'it is a metric: write metrics=["{}"]'

ELSEWHERE = {
    "bce": _TAKES_LOGITS.format("binary_cross_entropy", "Sigmoid"),
    "bce_loss": _TAKES_LOGITS.format("binary_cross_entropy", "Sigmoid"),
    "categorical_crossentropy": _TAKES_LOGITS.format("cross_entropy", "Softmax"),
    "kl_div": 'write "cross_entropy", whose gradient is the same',
    "kl_div_loss": 'write "cross_entropy", whose gradient is the same',
    "kl_divergence": 'write "cross_entropy", whose gradient is the same',
    "l2": 'in TensorFlow it is half the sum of squares: write "mean_squared_error"',
    "l2_loss": 'in TensorFlow it is half the sum of squares: write "mean_squared_error"',
    "nll": 'in PyTorch it takes logarithms of probabilities: write "cross_entropy", which takes logits',
    "nll_loss": 'in PyTorch it takes logarithms of probabilities: write "cross_entropy", which takes logits',
    "sparse_categorical_crossentropy": _TAKES_LOGITS.format("cross_entropy", "Softmax"),
    "squared_error": 'scikit-learn\'s perceptrons halve it: write "mean_squared_error", or for the half '
    'nn.MSELoss(factor=0.5, gradient_columns="sum")',
}
"""Names that mean something else in other libraries, with what to write."""

NAMES = Names(
    LOSSES,
    {row.torch: name for name, row in LOSSES.items()}
    | {
        "absolute_error": "mean_absolute_error",
        "bce_with_logits": "binary_cross_entropy",
        "binary_cross_entropy_with_logits": "binary_cross_entropy",
        "l1": "mean_absolute_error",
        "mae": "mean_absolute_error",
        "mse": "mean_squared_error",
        "pinball": "quantile",
        "pinball_loss": "quantile",
        "poisson_nll": "poisson",
        "smooth_l1": "huber",
        "smooth_l1_loss": "huber",
        "softmax_cross_entropy": "cross_entropy",
    },
    ELSEWHERE
    | {name: _NO_LOSS.format(name) for name in ("accuracy", "balanced_accuracy", "r2")}
    | dict.fromkeys(("rmse", "root_mean_squared_error"), 'write "mean_squared_error", with metrics=["rmse"]'),
)
"""The names that trainers and estimators take."""

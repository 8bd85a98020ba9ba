"""The registry of optimisers' updates: one row for each, used by kernels, checks, optimisers and documentation.

An update has a row here, one in ``FNN_UPDATES`` of csrc/fastnn.h, in the same order, and a function of its name in the
NumPy twin (CONTRIBUTING.md lists all places). Where libraries differ, the formula is PyTorch's.
"""

import functools
import math
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from fastnn import _validation as v


@dataclass(frozen=True, eq=False)
class Slot:
    """An array that an update keeps between steps, as large as the parameters and filled with zeros at first.

    `squares` says whether its numbers are squares, which are never negative: the update takes their roots.
    """

    name: str
    text: str
    _: KW_ONLY
    squares: bool = False


@dataclass(frozen=True, eq=False)
class Setting:
    """A finite number that an update takes, with low <= value < high.

    Attributes
    ----------
    name : str
    default : float or None
        None if it has to be given. What is 0 by default may be left out where scalars are computed, too.
    text : str
        What it is, if the name does not say that.
    low, high : float
        Bounds. `closed` allows `high` itself, `excluded` excludes `low`.
    note : str
        More sentences about it.
    fixed : bool
        Whether it is a single number for all steps, where other settings may be arrays with a number for each step.
    """

    name: str
    default: float | None
    text: str = ""
    _: KW_ONLY
    low: float = 0
    high: float = math.inf
    closed: bool = False
    excluded: bool = False
    note: str = ""
    fixed: bool = False

    @property
    def bounds(self) -> str:
        """The bounds in words: "not negative"."""
        if self.high < math.inf:
            return f"from {self.low} to {'' if self.closed else 'less than '}{self.high}"
        return f"above {self.low}" if self.excluded else "not negative" if self.low == 0 else f"at least {self.low}"

    @property
    def described(self) -> str:
        """Text, bounds and note as sentences."""
        words = f"{self.text}, {self.bounds}." if self.text else f"{self.bounds.capitalize()}."
        return f"{words} {self.note}".rstrip()

    def check(self, value: object, name: str = "") -> float:
        """Return a value that is a number within the bounds; messages call it by `name`."""
        return v.real(name or self.name, value, self.low, self.high, closed=self.closed, excluded=self.excluded)


@dataclass(frozen=True, eq=False)
class Update:
    """One update.

    Attributes
    ----------
    title : str
        Name and source, after "Update by".
    formula : tuple of str
        What it computes, step by step. The slots are written before `w`.
    settings : tuple of Setting
        The numbers that it takes, besides the number of the step.
    scalars : tuple of str
        The numbers of a step that the kernel takes, as Python computes them from the settings and from `step`, which
        is 1 for the first update. Powers are written ``name**name``. Functions: `sqrt` and those of
        kernels/_scalars.py.
    example : (str, str)
        A call of the kernel, and what it returns as NumPy prints it.
    slots : tuple of Slot
    where : tuple of str
        Assignments before `scalars` are computed.
    options : tuple of str
        Options of the scalars, False for the kernel.
    note : str
        Sentences about the formula.
    optimizer : str
        The class of `fastnn.optim` that is made from this row, under PyTorch's name where PyTorch has one; "" if a
        class that is written there chooses between updates or has settings of its own. Settings `beta1` and `beta2`
        are its setting `betas`.
    idea : str
        The same update in a few words, after the class's title.
    sparse : dict of str to bool, optional
        The options with which the scalars are those of the update of some rows of a matrix only, as PyTorch computes it
        for sparse gradients; None if there is no such update.
    weight_decay : {"coupled", "decoupled", "optional"}
        How that class applies weight decay; "optional" gives it the setting `decoupled_weight_decay`.
    """

    title: str
    _: KW_ONLY
    formula: tuple[str, ...]
    settings: tuple[Setting, ...]
    scalars: tuple[str, ...]
    example: tuple[str, str]
    slots: tuple[Slot, ...] = ()
    where: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    note: str = ""
    optimizer: str = ""
    idea: str = ""
    sparse: dict[str, bool] | None = None
    weight_decay: Literal["coupled", "decoupled", "optional"] = "coupled"

    @functools.cached_property
    def takes_step(self) -> bool:
        """Whether the scalars depend on the number of the step."""
        return any("step" in line for line in (*self.where, *self.scalars))

    @functools.cached_property
    def arguments(self) -> tuple[str, ...]:
        """The names of what scalars are computed from: "step", if they depend on it, settings and options."""
        return (*("step",) * self.takes_step, *(setting.name for setting in self.settings), *self.options)

    @property
    def explanation(self) -> str:
        """Formula and note as a part of a docstring."""
        formula = "".join(f"        {line}\n" for line in self.formula)
        return f"    The formula::\n\n{formula}" + (self.note and f"\n    {self.note}\n")

    @property
    def defaults(self) -> dict[str, float]:
        """The defaults of those settings that have one, by name."""
        return {each.name: each.default for each in self.settings if each.default is not None}


def _lr(default: float | None = None) -> Setting:
    return Setting("lr", default, "Learning rate")


def _eps(default: float) -> Setting:
    return Setting("eps", default)


def _share(name: str, default: float, of: str, *, fixed: bool = False) -> Setting:
    return Setting(name, default, f"Weight of the old value in the running {of}", high=1, fixed=fixed)


_MOMENTUM = Setting("momentum", 0.9, high=1)
_BUFFER = Slot("buf", "The momentum")
_VELOCITY = Slot("buf", "The velocity")
_MEAN = Slot("m", "The mean")
_MEAN_SQUARE = Slot("v", "The mean square", squares=True)

_RMSPROP = _lr(1e-2), _share("alpha", 0.99, "means"), _eps(1e-8)
_RMSPROP_SCALARS = "lr", "alpha", "1 - alpha", "eps"
_SQUARE = "v = alpha * v + (1 - alpha) * g**2"
_CENTER = "mean = mean + (1 - alpha) * (g - mean)"
_VARIANCE_NOTE = "The variance in place of the mean square. Where rounding would make it negative, it is 0."

_ADAM = _lr(1e-3), _share("beta1", 0.9, "mean"), _share("beta2", 0.999, "mean square"), _eps(1e-8)
_MOMENTS = "m = m + (1 - beta1) * (g - m)", "v = beta2 * v + (1 - beta2) * g**2"
_ADAM_SCALARS = "lr * c / (1 - beta1**step)", "1 - beta1", "beta2", "1 - beta2", "eps if eps_hat else eps * c"
_CORRECTION = "c = sqrt(1 - beta2**step)"

UPDATES: dict[str, Update] = {
    "sgd": Update(
        "gradient descent",
        formula=("w -= lr * g",),
        settings=(_lr(),),
        scalars=("lr",),
        example=("sgd(np.ones(2), [1.0, 2.0], lr=0.5)", "[0.5, 0. ]"),
        sparse={},
    ),
    "momentum": Update(
        "gradient descent with momentum (Polyak, 1964)",
        formula=("buf = momentum * buf + (1 - dampening) * g", "w -= lr * buf"),
        settings=(
            _lr(),
            _MOMENTUM,
            Setting(
                "dampening", 0.0, high=1, closed=True, note="PyTorch's optimiser does not apply it in the first update."
            ),
        ),
        scalars=("lr", "momentum", "1 - dampening"),
        example=("momentum(np.ones(2), [1.0, 2.0], np.zeros(2), lr=0.5)", "[0.5, 0. ]"),
        slots=(_BUFFER,),
    ),
    "nesterov": Update(
        "gradient descent with Nesterov's momentum (1983) in PyTorch's form",
        formula=("buf = momentum * buf + g", "w -= lr * (g + momentum * buf)"),
        settings=(_lr(), _MOMENTUM),
        scalars=("lr", "momentum"),
        example=("nesterov(np.ones(2), [1.0, 2.0], np.zeros(2), lr=0.5, momentum=0.5)", "[ 0.25, -0.5 ]"),
        slots=(_BUFFER,),
    ),
    "velocity": Update(
        "gradient descent with momentum whose buffer contains the rate",
        formula=("buf = momentum * buf - lr * g", "w += buf"),
        settings=(_lr(), _MOMENTUM),
        scalars=("lr", "momentum"),
        example=("velocity(np.ones(2), [1.0, 2.0], np.ones(2), lr=0.5, momentum=0.5)", "[1. , 0.5]"),
        slots=(_VELOCITY,),
        note="The form of Sutskever et al. (2013), Caffe and scikit-learn. While the rate is constant, `w` changes as\n"
        "    by `momentum`; when the rate changes, the past gradients in `buf` keep the old rate.",
    ),
    "nesterov_velocity": Update(
        "gradient descent with Nesterov's momentum whose buffer contains the rate",
        formula=("buf = momentum * buf - lr * g", "w += momentum * buf - lr * g"),
        settings=(_lr(), _MOMENTUM),
        scalars=("lr", "momentum"),
        example=("nesterov_velocity(np.ones(2), [1.0, 2.0], np.ones(2), lr=0.5, momentum=0.5)", "[ 0.5 , -0.25]"),
        slots=(_VELOCITY,),
        note="scikit-learn's form.",
    ),
    "adagrad": Update(
        "Adagrad (Duchi, Hazan and Singer, 2011) in PyTorch's form",
        formula=("v = v + g**2", "w -= lr * g / (sqrt(v) + eps)"),
        settings=(_lr(1e-2), _eps(1e-10)),
        scalars=("lr", "eps"),
        example=("adagrad(np.ones(2), [3.0, -3.0], np.array([0.0, 16.0]), lr=0.5)", "[0.5, 1.3]"),
        slots=(Slot("v", "The sum of squares", squares=True),),
        sparse={},
        note="`v`, which may also be a constant at first, only grows, so the factor of an entry's gradient only falls.",
    ),
    "adadelta": Update(
        "Adadelta (Zeiler, 2012) in PyTorch's form",
        formula=(
            "v = rho * v + (1 - rho) * g**2",
            "d = sqrt(u + eps) / sqrt(v + eps) * g",
            "u = rho * u + (1 - rho) * d**2",
            "w -= lr * d",
        ),
        settings=(_lr(1.0), _share("rho", 0.9, "means"), _eps(1e-6)),
        scalars=("lr", "rho", "1 - rho", "eps"),
        example=("adadelta(np.ones(1), [2.0], np.zeros(1), np.ones(1), rho=0.75, eps=0.0)", "[-1.]"),
        slots=(_MEAN_SQUARE, Slot("u", "The mean square of moves", squares=True)),
        note="The paper's form has no `lr`.",
        optimizer="Adadelta",
        idea="scale the gradient by the root mean square of past moves",
    ),
    "rmsprop": Update(
        "RMSprop (Tieleman and Hinton, 2012)",
        formula=(_SQUARE, "w -= lr * g / (sqrt(v) + eps)"),
        settings=_RMSPROP,
        scalars=_RMSPROP_SCALARS,
        example=("rmsprop(np.ones(1), [2.0], np.zeros(1), lr=0.5, alpha=0.75, eps=0.0)", "[0.]"),
        slots=(_MEAN_SQUARE,),
        note="As in PyTorch, and unlike TensorFlow, `eps` is added after the root.",
    ),
    "rmsprop_momentum": Update(
        "RMSprop with momentum",
        formula=(_SQUARE, "buf = momentum * buf + g / (sqrt(v) + eps)", "w -= lr * buf"),
        settings=(*_RMSPROP, _MOMENTUM),
        scalars=(*_RMSPROP_SCALARS, "momentum"),
        example=(
            "rmsprop_momentum(np.ones(1), [2.0], np.zeros(1), np.ones(1), lr=0.5, alpha=0.75, eps=0.0, momentum=0.5)",
            "[-0.25]",
        ),
        slots=(_MEAN_SQUARE, _BUFFER),
        note="As in PyTorch, the buffer does not contain the learning rate.",
    ),
    "rmsprop_centered": Update(
        "centred RMSprop",
        formula=(_SQUARE, _CENTER, "w -= lr * g / (sqrt(v - mean**2) + eps)"),
        settings=_RMSPROP,
        scalars=_RMSPROP_SCALARS,
        example=("rmsprop_centered(np.ones(1), [2.0], np.zeros(1), np.zeros(1), lr=0.5, alpha=0.5, eps=0.0)", "[0.]"),
        slots=(_MEAN_SQUARE, Slot("mean", "The mean")),
        note=_VARIANCE_NOTE,
    ),
    "rmsprop_centered_momentum": Update(
        "centred RMSprop with momentum",
        formula=(_SQUARE, _CENTER, "buf = momentum * buf + g / (sqrt(v - mean**2) + eps)", "w -= lr * buf"),
        settings=(*_RMSPROP, _MOMENTUM),
        scalars=(*_RMSPROP_SCALARS, "momentum"),
        example=(
            "rmsprop_centered_momentum(np.ones(1), [2.0], np.zeros(1), np.zeros(1), np.ones(1), lr=0.5, eps=0.0)",
            "[-4.47518908]",
        ),
        slots=(_MEAN_SQUARE, Slot("mean", "The mean"), _BUFFER),
        note=_VARIANCE_NOTE,
    ),
    "adam": Update(
        "Adam (Kingma and Ba, 2014) in PyTorch's form",
        formula=(*_MOMENTS, "w -= lr / (1 - beta1**step) * m / (sqrt(v) / sqrt(1 - beta2**step) + eps)"),
        settings=_ADAM,
        scalars=_ADAM_SCALARS,
        example=("adam(np.ones(1), [3.0], np.zeros(1), np.zeros(1), step=1, lr=0.5)", "[0.5]"),
        slots=(_MEAN, _MEAN_SQUARE),
        where=(_CORRECTION,),
        options=("eps_hat",),
        sparse={"eps_hat": True},
        note="`eps` is added after the correction of the bias; scikit-learn adds it before.",
    ),
    "amsgrad": Update(
        "AMSGrad (Reddi, Kale and Kumar, 2018) in PyTorch's form",
        formula=(
            *_MOMENTS,
            "top = max(top, v)",
            "w -= lr / (1 - beta1**step) * m / (sqrt(top) / sqrt(1 - beta2**step) + eps)",
        ),
        settings=_ADAM,
        scalars=_ADAM_SCALARS,
        example=("amsgrad(np.ones(1), [3.0], np.zeros(1), np.zeros(1), np.zeros(1), step=1, lr=0.5)", "[0.5]"),
        slots=(_MEAN, _MEAN_SQUARE, Slot("top", "The largest mean square so far", squares=True)),
        where=(_CORRECTION,),
        options=("eps_hat",),
        note="`adam` with the largest mean square so far. The maximum is taken before the correction of the bias.",
    ),
    "nadam": Update(
        "NAdam (Dozat, 2016) in PyTorch's form",
        formula=(
            *_MOMENTS,
            "mu(t) = beta1 * (1 - 0.96**(t * momentum_decay) / 2)",
            "M(t) = mu(1) * ... * mu(t)",
            "mean = (1 - mu(step)) / (1 - M(step)) * g + mu(step + 1) / (1 - M(step + 1)) * m",
            "w -= lr * mean / (sqrt(v) / sqrt(1 - beta2**step) + eps)",
        ),
        settings=(
            _lr(2e-3),
            _share("beta1", 0.9, "mean", fixed=True),
            _share("beta2", 0.999, "mean square"),
            _eps(1e-8),
            Setting("momentum_decay", 4e-3, "How fast `mu` grows to `beta1`", fixed=True),
        ),
        scalars=(
            "lr * c * (1 - mu) / (1 - M)",
            "lr * c * mu_next / (1 - M_next)",
            "1 - beta1",
            "beta2",
            "1 - beta2",
            "eps * c",
        ),
        example=("nadam(np.ones(1), [3.0], np.zeros(1), np.zeros(1), step=1, lr=0.5, eps=0.0).round(6)", "[0.471774]"),
        slots=(_MEAN, _MEAN_SQUARE),
        where=(_CORRECTION, "mu, mu_next, M, M_next = momentum_of_nadam(step, beta1, momentum_decay)"),
        optimizer="NAdam",
        idea="Adam with Nesterov's momentum",
        weight_decay="optional",
    ),
}

OPTIONS = {"eps_hat": "Whether `eps` is added before the correction of the bias."}
"""What the options of scalars are."""

SLOTS = {name: tuple(slot.name for slot in row.slots) for name, row in UPDATES.items()}
"""The names of each update's slots."""

SQUARES = {slot.name for row in UPDATES.values() for slot in row.slots if slot.squares}
"""The names of slots of squares."""

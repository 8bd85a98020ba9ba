"""Initialisers under PyTorch's names. They draw from counter-based streams, so that a net is a function of its seed.

An initialiser is any callable ``(shape, random) -> array`` that takes a `Random` and
``shape = (in_features, out_features)``, for biases ``(out_features,)``. Those made here are records of their settings.
Normal distributions are truncated only where the docstring says so.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from fastnn import _validation as v
from fastnn import kernels
from fastnn._activations import ALIASES
from fastnn._names import Names
from fastnn._settings import Settings, settings
from fastnn._typing import Array

__all__ = [
    "INITIALIZERS",
    "Initializer",
    "Random",
    "calculate_gain",
    "constant",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "trunc_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


def __dir__() -> list[str]:
    return __all__


_BLOCK = 1 << 15  # numbers drawn at a time, so that temporaries stay small
_TRUNCATED_STD = 0.87962566103423978  # standard deviation of the standard normal distribution truncated to [-2, 2]
_LEAST_PROBABILITY = 1e-290  # between the bounds of a truncated normal distribution, so that quantiles can be computed


@settings()
class Random(Settings):
    """Random numbers in float64 from one (seed, stream, step): the same in every call and on every backend.

    Attributes
    ----------
    seed, stream, step : int
        As in `fastnn.kernels.random_bits`.

    Examples
    --------
    >>> random = Random(seed=0, stream=1, step=0)
    >>> bool((random.uniform(100) == random.uniform(100)).all())
    True
    """

    seed: int
    stream: int
    step: int

    _shown_in = "init."

    def uniform(self, n: int) -> Array:
        """Return `n` numbers strictly between 0 and 1: ``(bits + 0.5) / 2**32``."""
        out = np.empty(n)
        for start in range(0, n, _BLOCK):
            block = out[start : start + _BLOCK]
            bits = kernels.random_bits(len(block), seed=self.seed, stream=self.stream, step=self.step, first=start)
            block[...] = (bits + 0.5) * 2.0**-32
        return out

    def normal(self, n: int) -> Array:
        """Return `n` standard normal numbers, by Box and Muller's transform of pairs of uniform numbers."""
        out = self.uniform(n + n % 2)
        for start in range(0, n, _BLOCK):
            block = out[start : start + _BLOCK]
            radius, angle = np.sqrt(-2.0 * np.log(block[::2])), 2.0 * np.pi * block[1::2]
            block[::2], block[1::2] = radius * np.cos(angle), radius * np.sin(angle)
        return out[:n]


Initializer = Callable[[tuple[int, ...], Random], Array]


# ---- drawing ----


def _uniform(low: float, high: float, shape: tuple[int, ...], random: Random) -> Array:
    values = random.uniform(math.prod(shape)).reshape(shape)
    values *= high - low
    values += low
    return values


def _normal(mean: float, std: float, shape: tuple[int, ...], random: Random) -> Array:
    values = random.normal(math.prod(shape)).reshape(shape)
    values *= std
    values += mean
    return values


def _probabilities(mean: float, std: float, low: float, high: float) -> tuple[float, float, float]:
    """Return a sign, and the cumulative probabilities of the two bounds of ``sign * x`` for a normal x.

    The sign is -1 if both bounds are above the mean: in the upper tail, cumulative probabilities would all round to 1.
    """
    low, high = (low - mean) / std, (high - mean) / std
    sign = -1.0 if low > 0 else 1.0
    bounds = sorted((sign * low, sign * high))
    return sign, math.erfc(-bounds[0] / math.sqrt(2)) / 2, math.erfc(-bounds[1] / math.sqrt(2)) / 2


def _truncated_normal(
    mean: float, std: float, low: float, high: float, shape: tuple[int, ...], random: Random
) -> Array:
    """Draw from the normal distribution conditioned on [low, high]."""
    from statistics import NormalDist

    sign, first, last = _probabilities(mean, std, low, high)
    values, quantile = random.uniform(math.prod(shape)), NormalDist().inv_cdf
    values *= last - first
    values += first
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        block[...] = np.fromiter(map(quantile, block.tolist()), np.float64, len(block))
    values *= sign * std
    values += mean
    return np.clip(values, low, high).reshape(shape)


def _normal_within_two_std(std: float, shape: tuple[int, ...], random: Random) -> Array:
    """Draw from the normal distribution truncated at two standard deviations, which has this standard deviation."""
    whole = std / _TRUNCATED_STD
    return _truncated_normal(0.0, whole, -2.0 * whole, 2.0 * whole, shape, random) if whole else np.zeros(shape)


_FANS: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}

# Distributions with mean 0, as functions of standard deviation, shape and random numbers.
_DISTRIBUTIONS: dict[str, Callable[[float, tuple[int, ...], Random], Array]] = {
    "normal": lambda std, shape, random: _normal(0.0, std, shape, random),
    "truncated_normal": _normal_within_two_std,
    "uniform": lambda std, shape, random: _uniform(-math.sqrt(3.0) * std, math.sqrt(3.0) * std, shape, random),
}


def _check_matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) != 2:
        fix = "for bias_init write nn.init.constant, uniform, normal or trunc_normal"
        v.refuse(ValueError, "shape", "be (in_features, out_features)", shape, fix)
    return shape[0], shape[1]


_GAINS: dict[str, Callable[[float], float]] = {
    "linear": lambda a: 1.0,
    "identity": lambda a: 1.0,
    "sigmoid": lambda a: 1.0,
    "tanh": lambda a: 5.0 / 3.0,
    "relu": lambda a: math.sqrt(2.0),
    "selu": lambda a: 0.75,
    "leaky_relu": lambda a: math.sqrt(2.0 / (1.0 + a * a)),
}


def calculate_gain(nonlinearity: str, a: float = 0.01) -> float:
    """Return the factor of the weights' spread that keeps the size of signals through an activation.

    PyTorch's function of that name.

    Parameters
    ----------
    nonlinearity : {"linear", "identity", "sigmoid", "tanh", "relu", "selu", "leaky_relu"}
        Name of the activation.
    a : float, default 0.01
        Slope of the leaky ReLU.

    Returns
    -------
    float
        1 for linear and sigmoid, 5/3 for tanh, sqrt(2) for ReLU, 3/4 for SELU and sqrt(2 / (1 + a**2)) for leaky ReLU.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown, or the slope of a leaky ReLU no finite number.

    Examples
    --------
    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    known = v.named("nonlinearity", nonlinearity, _CHOICES["nonlinearity"])
    if known == "leaky_relu":
        v.real("a", a, -math.inf)
    return _GAINS[known](a)


# ---- initialisers: records that are called with shape and random numbers, under PyTorch's lower-case names ----


_LEAST = {"gain": 0, "scale": 0, "std": 0}
_CHOICES = {
    "distribution": Names(_DISTRIBUTIONS, {"untruncated_normal": "normal"}),
    "mode": Names(_FANS),
    "nonlinearity": Names(_GAINS, ALIASES),
}


class _Formula(Settings, ABC):
    """Base of this module's initialisers."""

    _how_to_change = "make a new initialiser, {call}, a new layer and a new net"
    _shown_in = "init."

    def __post_init__(self) -> None:
        """Check the settings; numbers become floats, and names are spelled as messages list them."""
        for name, value in self._arguments().items():
            choices = _CHOICES.get(name)
            checked = (
                v.real(name, value, _LEAST.get(name, -math.inf)) if choices is None else v.named(name, value, choices)
            )
            self._set_unchecked(**{name: checked})

    @abstractmethod
    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        """Return an array of this shape."""

    def _as_argument(self) -> str:
        """Return the name alone, which layers take, if all arguments have their defaults."""
        text = repr(self)
        return repr(type(self).__name__) if text.endswith("()") else text


class MatrixInitializer(_Formula):
    """Base of the initialisers that need both numbers of features."""


class _Scaled(MatrixInitializer):
    """Base of distributions with mean 0 and standard deviation gain / sqrt(fan)."""

    distribution: str
    mode: str

    @abstractmethod
    def _gain(self) -> float:
        """Return the factor of the standard deviation."""

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        std = self._gain() / math.sqrt(_FANS[self.mode](*_check_matrix(shape)))
        return _DISTRIBUTIONS[self.distribution](std, shape, random)


@settings()
class constant(_Formula):
    """Set all entries to `value`.

    Parameters
    ----------
    value : float
        Finite.
    """

    value: float

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        return np.full(shape, self.value)


@settings()
class zeros(_Formula):
    """Set all entries to 0."""

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        return np.zeros(shape)


@settings()
class ones(_Formula):
    """Set all entries to 1."""

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        return np.ones(shape)


@settings()
class uniform(_Formula):
    """Draw from the uniform distribution between `low` and `high`.

    Parameters
    ----------
    low, high : float, default 0.0, 1.0
        Finite.
    """

    low: float = 0.0
    high: float = 1.0

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        return _uniform(self.low, self.high, shape, random)


@settings()
class normal(_Formula):
    """Draw from the normal distribution with this mean and standard deviation.

    Parameters
    ----------
    mean : float, default 0.0
        Finite.
    std : float, default 1.0
        Not negative.
    """

    mean: float = 0.0
    std: float = 1.0

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        return _normal(self.mean, self.std, shape, random)


@settings()
class trunc_normal(_Formula):
    """Draw from the normal distribution truncated to the interval from `a` to `b`.

    As in PyTorch, `mean` and `std` are those of the distribution before truncation; truncated, it has a smaller
    standard deviation. `variance_scaling` takes the variance after truncation.

    Parameters
    ----------
    mean : float, default 0.0
        Mean of the distribution before truncation.
    std : float, default 1.0
        Its standard deviation, above 0.
    a, b : float, default -2.0, 2.0
        The bounds themselves, not multiples of `std`.

    Raises
    ------
    TypeError, ValueError
        If a number is of a wrong kind or out of range, or the probability of the interval is below 1e-290.

    Examples
    --------
    >>> values = trunc_normal(std=0.5, a=-1.0, b=1.0)((200, 300), Random(0, 0, 0))
    >>> (values.std() / 0.5).round(2), bool(abs(values).max() <= 1)
    (np.float64(0.88), True)
    """

    mean: float = 0.0
    std: float = 1.0
    a: float = -2.0
    b: float = 2.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        v.real("std", self.std, 0, excluded=True)
        if self.a >= self.b:
            v.refuse(ValueError, "b", f"be above a, which is {self.a}", self.b)
        _, first, last = _probabilities(self.mean, self.std, self.a, self.b)
        if last - first < _LEAST_PROBABILITY:
            must = f"have a probability of at least {_LEAST_PROBABILITY:g} under the normal distribution"
            v.refuse(ValueError, "the interval from a to b", must, f"[{self.a}, {self.b}]")

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        return _truncated_normal(self.mean, self.std, self.a, self.b, shape, random)


@settings()
class variance_scaling(_Scaled):
    """Draw with mean 0 and variance scale / fan: the general form of the LeCun, Kaiming and Xavier initialisers.

    JAX and Keras have a function of this name. Use it where the factor of the variance is a hyper-parameter: a `scale`
    of 1 gives LeCun's variance, 2 gives He's (Kaiming), and 1 with ``mode="fan_avg"`` gives Glorot's (Xavier).

    Parameters
    ----------
    scale : float, default 1.0
        Not negative.
    mode : {"fan_in", "fan_out", "fan_avg"}
        What fan is: the number of inputs, of outputs, or their mean.
    distribution : {"truncated_normal", "normal", "uniform"}
        The truncated normal distribution is cut at two standard deviations and then scaled by 1 / 0.8796..., so that
        all three have the same variance.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind, out of range or unknown.

    Examples
    --------
    >>> values = variance_scaling(2.0)((200, 300), Random(0, 0, 0))
    >>> values.std().round(2), float(abs(values).max()) < 2 * 0.1 / 0.8796
    (np.float64(0.1), True)
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"

    def _gain(self) -> float:
        return math.sqrt(self.scale)


@settings()
class orthogonal(MatrixInitializer):
    """Draw a matrix with orthonormal columns, or rows if there are fewer rows, times `gain` (Saxe et al., 2013).

    The distribution is uniform over all such matrices: a matrix of normal numbers is factorised into Q R, and each
    column of Q is multiplied by the sign of R's diagonal entry. LAPACK computes the factors: the last bits may differ
    between machines.

    Parameters
    ----------
    gain : float, default 1.0
        Not negative.

    Examples
    --------
    >>> q = orthogonal()((5, 3), Random(0, 0, 0))
    >>> bool(abs(q.T @ q - np.eye(3)).max() < 1e-15 * 5)
    True
    """

    gain: float = 1.0

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        fans = _check_matrix(shape)
        q, r = np.linalg.qr(random.normal(math.prod(fans)).reshape(max(fans), min(fans)))
        q *= np.where(np.diagonal(r) < 0, -self.gain, self.gain)
        return q if fans[0] >= fans[1] else q.T


@settings()
class xavier_uniform(_Scaled):
    """Draw uniformly from ±gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    Parameters
    ----------
    gain : float, default 1.0
        Not negative.
    """

    _internal = frozenset({"distribution", "mode"})
    distribution = "uniform"
    mode = "fan_avg"

    gain: float = 1.0

    def _gain(self) -> float:
        return self.gain


@settings()
class xavier_normal(xavier_uniform):
    """Draw normally with standard deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    Parameters
    ----------
    gain : float, default 1.0
        Not negative.
    """

    distribution = "normal"


@settings()
class kaiming_uniform(_Scaled):
    """Draw uniformly from ±gain * sqrt(3 / fan), where fan counts inputs or outputs (He et al., 2015).

    Parameters
    ----------
    a : float, default 0.0
        Slope of the leaky ReLU that follows.
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
        What fan is: the number of inputs, of outputs, or their mean.
    nonlinearity : str, default "leaky_relu"
        The activation that follows, by its name in `calculate_gain`, which gives the gain.
    """

    _internal = frozenset({"distribution"})
    distribution = "uniform"

    a: float = 0.0
    mode: str = "fan_in"
    nonlinearity: str = "leaky_relu"

    def _gain(self) -> float:
        return calculate_gain(self.nonlinearity, self.a)


@settings()
class kaiming_normal(kaiming_uniform):
    """Draw normally with standard deviation gain / sqrt(fan), where fan counts inputs or outputs (He et al., 2015).

    Parameters
    ----------
    a : float, default 0.0
        Slope of the leaky ReLU that follows.
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
        What fan is: the number of inputs, of outputs, or their mean.
    nonlinearity : str, default "leaky_relu"
        The activation that follows, by its name in `calculate_gain`, which gives the gain.

    Examples
    --------
    >>> kaiming_normal(nonlinearity="relu")((200, 300), Random(0, 0, 0)).std().round(2)
    np.float64(0.1)
    """

    distribution = "normal"


@settings()
class lecun_uniform(_Scaled):
    """Draw uniformly from ±sqrt(3 / fan_in) (LeCun et al., 1998)."""

    _internal = frozenset({"distribution", "mode"})
    distribution = "uniform"
    mode = "fan_in"

    def _gain(self) -> float:
        return 1.0


@settings()
class lecun_normal(lecun_uniform):
    """Draw normally with standard deviation 1 / sqrt(fan_in) (LeCun et al., 1998)."""

    distribution = "normal"


# The layers' default initialisers, made once.
XAVIER_UNIFORM, KAIMING_NORMAL, LECUN_NORMAL = xavier_uniform(), kaiming_normal(), lecun_normal()

# All initialisers by name.
INITIALIZERS: dict[str, Callable[..., Initializer]] = {
    kind.__name__: kind
    for kind in (
        zeros, ones, constant, uniform, normal, trunc_normal, variance_scaling, lecun_uniform, lecun_normal,
        kaiming_uniform, kaiming_normal, xavier_uniform, xavier_normal, orthogonal,
    )
}  # fmt: skip

"""Initialisers by PyTorch's names, which draw from counter-based streams: a net is a function of its seed.

An initialiser is any callable ``(shape, random) -> array`` with a `Random` and ``shape = (in_features, out_features)``,
for biases ``(out_features,)``. The functions here return one. Normal ones are not truncated, but for those that say so.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np

from fastnn import _validation as v
from fastnn import kernels
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


_BLOCK = 1 << 15  # numbers that are drawn together, so that no large temporaries are made
LARGEST = sys.float_info.max  # of what is finite
_CUT_STD = 0.87962566103423978  # standard deviation of the standard normal distribution cut to [-2, 2]
_LEAST = 1e-290  # of the probabilities whose normal quantiles are computed


@settings()
class Random(Settings):
    """Random numbers in float64 of one (seed, stream, step): the same at every call, on every backend.

    Attributes
    ----------
    seed, stream, step : int

    Examples
    --------
    >>> random = Random(seed=0, stream=1, step=0)
    >>> bool((random.uniform(100) == random.uniform(100)).all())
    True
    """

    seed: int
    stream: int
    step: int

    def uniform(self, n: int) -> Array:
        """Return `n` numbers between 0 and 1, neither included: ``(bits + 0.5) / 2**32``."""
        out = np.empty(n)
        for start in range(0, n, _BLOCK):
            block = out[start : start + _BLOCK]
            bits = kernels.random_bits(len(block), seed=self.seed, stream=self.stream, step=self.step, first=start)
            block[...] = (bits + 0.5) * 2.0**-32
        return out

    def normal(self, n: int) -> Array:
        """Return `n` standard normal numbers, by Box and Muller's transform of pairs of uniform ones."""
        out = self.uniform(n + n % 2)
        for start in range(0, n, _BLOCK):
            block = out[start : start + _BLOCK]
            radius, angle = np.sqrt(-2.0 * np.log(block[::2])), 2.0 * np.pi * block[1::2]
            block[::2], block[1::2] = radius * np.cos(angle), radius * np.sin(angle)
        return out[:n]


Initializer = Callable[[tuple[int, ...], Random], Array]


class _Formula(Settings):
    """An initialiser of this module."""

    _instead = "make a new initialiser, a new layer and a new net"


@settings()
class _Uniform(_Formula):
    low: float
    high: float

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        values = random.uniform(math.prod(shape)).reshape(shape)
        values *= self.high - self.low
        values += self.low
        return values


@settings()
class _Normal(_Formula):
    mean: float
    std: float

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        values = random.normal(math.prod(shape)).reshape(shape)
        values *= self.std
        values += self.mean
        return values


@settings()
class _TruncatedNormal(_Formula):
    """Normal, given that it is in [low, high]."""

    mean: float
    std: float
    low: float
    high: float

    def probabilities(self) -> tuple[float, float, float]:
        """Side, and the two ends' places in the distribution from that side, where small ones are told apart."""
        low, high = (self.low - self.mean) / self.std, (self.high - self.mean) / self.std
        side = -1.0 if low > 0 else 1.0
        ends = sorted((side * low, side * high))
        return side, math.erfc(-ends[0] / math.sqrt(2)) / 2, math.erfc(-ends[1] / math.sqrt(2)) / 2

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        from statistics import NormalDist

        side, first, last = self.probabilities()
        values, quantile = random.uniform(math.prod(shape)), NormalDist().inv_cdf
        values *= last - first
        values += first
        for start in range(0, len(values), _BLOCK):
            block = values[start : start + _BLOCK]
            block[...] = np.fromiter(map(quantile, block.tolist()), np.float64, len(block))
        values *= side * self.std
        values += self.mean
        return np.clip(values, self.low, self.high).reshape(shape)


@settings()
class _Orthogonal(_Formula):
    gain: float

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        fans = _two(shape)
        q, r = np.linalg.qr(random.normal(math.prod(fans)).reshape(max(fans), min(fans)))
        q *= np.where(np.diagonal(r) < 0, -self.gain, self.gain)
        return q if fans[0] >= fans[1] else q.T


@settings()
class _Constant(_Formula):
    value: float

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        return np.full(shape, self.value)


_FANS: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}

# Distributions of mean 0, by their standard deviation.
_DISTRIBUTIONS: dict[str, Callable[[float], Initializer]] = {
    "normal": lambda std: _Normal(0.0, std),
    "truncated_normal": lambda std: _cut(std / _CUT_STD),
    "uniform": lambda std: _Uniform(-math.sqrt(3.0) * std, math.sqrt(3.0) * std),
}


def _cut(std: float) -> Initializer:
    """Normal, cut at two of its standard deviations."""
    return _TruncatedNormal(0.0, std, -2.0 * std, 2.0 * std) if std else _Constant(0.0)


def _two(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) != 2:
        v.refuse(ValueError, "shape", "have two dimensions, for numbers of inputs and outputs", shape)
    return shape[0], shape[1]


@settings()
class _Scaled(_Formula):
    """Mean 0 and standard deviation gain / sqrt(fan)."""

    distribution: str
    gain: float
    mode: str

    def __call__(self, shape: tuple[int, ...], random: Random) -> Array:
        std = self.gain / math.sqrt(_FANS[self.mode](*_two(shape)))
        return _DISTRIBUTIONS[self.distribution](std)(shape, random)


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
    """Return the gain that keeps the signal's size through an activation, as PyTorch's function of that name.

    Parameters
    ----------
    nonlinearity : {"linear", "identity", "sigmoid", "tanh", "relu", "selu", "leaky_relu"}
    a : float, default 0.01
        Slope of the leaky ReLU.

    Returns
    -------
    float
        1 for linear and sigmoid, 5/3 for tanh, sqrt(2) for ReLU, 3/4 for SELU and sqrt(2 / (1 + a**2)) for leaky ReLU.

    Raises
    ------
    ValueError
        If the name is not known.

    Examples
    --------
    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    return _GAINS[v.choice("nonlinearity", nonlinearity, _GAINS)](a)


def constant(value: float) -> Initializer:
    """All entries `value`."""
    return _Constant(v.real("value", value, -LARGEST))


def zeros() -> Initializer:
    """All entries 0."""
    return _Constant(0.0)


def ones() -> Initializer:
    """All entries 1."""
    return _Constant(1.0)


def uniform(low: float = 0.0, high: float = 1.0) -> Initializer:
    """Uniform between `low` and `high`."""
    return _Uniform(v.real("low", low, -LARGEST), v.real("high", high, -LARGEST))


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """Normal with this mean and standard deviation."""
    return _Normal(v.real("mean", mean, -LARGEST), v.real("std", std, 0))


def trunc_normal(mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Initializer:
    """Normal with this mean and standard deviation, given that it is from `a` to `b`.

    As in PyTorch `std` is that of the whole distribution; what is between `a` and `b` has a smaller one. For a given
    variance after the cut see `variance_scaling`.

    Parameters
    ----------
    mean : float, default 0.0
    std : float, default 1.0
        Above 0.
    a, b : float, default -2.0, 2.0
        The bounds, not as multiples of `std`.

    Raises
    ------
    TypeError, ValueError
        If a number is of a wrong kind or out of range, or next to nothing of the distribution lies between the bounds.

    Examples
    --------
    >>> values = trunc_normal(std=0.5, a=-1.0, b=1.0)((200, 300), Random(0, 0, 0))
    >>> (values.std() / 0.5).round(2), bool(abs(values).max() <= 1)
    (np.float64(0.88), True)
    """
    low, high = v.real("a", a, -LARGEST), v.real("b", b, -LARGEST)
    kind = _TruncatedNormal(v.real("mean", mean, -LARGEST), v.real("std", std, 0), low, high)
    if kind.std == 0.0:
        v.refuse(ValueError, "std", "be a number above 0", std)
    if low >= high:
        v.refuse(ValueError, "b", f"be a number above a, which is {low}", high)
    _, first, last = kind.probabilities()
    if last - first < _LEAST:
        v.refuse(ValueError, "b", "have bounds that hold some of the distribution", f"[{low}, {high}]")
    return kind


def variance_scaling(scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal") -> Initializer:
    """Mean 0 and variance scale / fan: what `lecun`, `kaiming` and `xavier` are cases of.

    JAX and Keras have it by this name, and so it is where the variance's multiplier is a hyper-parameter: 1 is LeCun's
    variance, 2 He's, and with ``mode="fan_avg"`` 1 is Glorot's.

    Parameters
    ----------
    scale : float, default 1.0
        Not negative.
    mode : {"fan_in", "fan_out", "fan_avg"}
        What fan is: the number of inputs, of outputs, or their mean.
    distribution : {"truncated_normal", "normal", "uniform"}
        The first is cut at two standard deviations and then spread by 1 / 0.8796..., so that its variance is that of
        the others.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong kind, out of range or not known.

    Examples
    --------
    >>> values = variance_scaling(2.0)((200, 300), Random(0, 0, 0))
    >>> values.std().round(2), float(abs(values).max()) < 2 * 0.1 / 0.8796
    (np.float64(0.1), True)
    """
    gain = math.sqrt(v.real("scale", scale, 0))
    return _Scaled(v.choice("distribution", distribution, _DISTRIBUTIONS), gain, v.choice("mode", mode, _FANS))


def orthogonal(gain: float = 1.0) -> Initializer:
    """Orthonormal columns, or rows where there are fewer of those, times `gain` (Saxe et al., 2013).

    It is uniform over all such matrices: the factor Q of a matrix of normal numbers, each column with the sign of R's
    entry on the diagonal. LAPACK factorises, so that last bits may differ from machine to machine.

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
    return _Orthogonal(v.real("gain", gain, 0))


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """Uniform in ±gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return _Scaled("uniform", v.real("gain", gain, 0), "fan_avg")


def xavier_normal(gain: float = 1.0) -> Initializer:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return _Scaled("normal", v.real("gain", gain, 0), "fan_avg")


def kaiming_uniform(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """Uniform in ±gain * sqrt(3 / fan), where fan counts inputs or outputs (He et al., 2015).

    Parameters
    ----------
    a : float, default 0.0
        Slope of the leaky ReLU that follows.
    mode : {"fan_in", "fan_out", "fan_avg"}
    nonlinearity : str, default "leaky_relu"
        What `calculate_gain` is asked for.
    """
    return _Scaled("uniform", calculate_gain(nonlinearity, a), v.choice("mode", mode, _FANS))


def kaiming_normal(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """Normal with standard deviation gain / sqrt(fan), where fan counts inputs or outputs (He et al., 2015).

    Parameters
    ----------
    a : float, default 0.0
        Slope of the leaky ReLU that follows.
    mode : {"fan_in", "fan_out", "fan_avg"}
    nonlinearity : str, default "leaky_relu"
        What `calculate_gain` is asked for.

    Examples
    --------
    >>> kaiming_normal(nonlinearity="relu")((200, 300), Random(0, 0, 0)).std().round(2)
    np.float64(0.1)
    """
    return _Scaled("normal", calculate_gain(nonlinearity, a), v.choice("mode", mode, _FANS))


def lecun_uniform() -> Initializer:
    """Uniform in ±sqrt(3 / fan_in) (LeCun et al., 1998)."""
    return _Scaled("uniform", 1.0, "fan_in")


def lecun_normal() -> Initializer:
    """Normal with standard deviation 1 / sqrt(fan_in) (LeCun et al., 1998)."""
    return _Scaled("normal", 1.0, "fan_in")


# What layers say that they are initialised by, made once.
XAVIER_UNIFORM, KAIMING_NORMAL, LECUN_NORMAL = xavier_uniform(), kaiming_normal(), lecun_normal()

# Those that a layer may be given by name.
INITIALIZERS: dict[str, Callable[..., Initializer]] = {
    function.__name__: function
    for function in (
        zeros, ones, constant, uniform, normal, trunc_normal, variance_scaling, lecun_uniform, lecun_normal,
        kaiming_uniform, kaiming_normal, xavier_uniform, xavier_normal, orthogonal,
    )
}  # fmt: skip


def named(name: str, value: str | Initializer | None) -> Initializer | None:
    """Return the initialiser that an argument of this name stands for; None stays None."""
    if isinstance(value, str):
        return INITIALIZERS[v.choice(name, value, INITIALIZERS)]()
    if value is not None and not callable(value):
        v.refuse(TypeError, name, "be an initialiser, or the name of one", type(value).__name__)
    return value


def draw(name: str, initializer: Initializer, shape: tuple[int, ...], random: Random) -> Array:
    """Return an initialiser's values, if they are numbers of that shape."""
    values = v.numeric(name, initializer(shape, random))
    v.shape(name, values, shape)
    return values

"""Initialisers by PyTorch's names, which draw from counter-based streams: a net is a function of its seed.

An initialiser is any callable ``(shape, random) -> array`` with ``shape = (in_features, out_features)`` and a `Random`.
Normal ones are not truncated.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastnn import _validation as v
from fastnn import kernels
from fastnn._typing import Array

__all__ = [
    "Initializer",
    "Random",
    "calculate_gain",
    "constant",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


_BLOCK = 1 << 15  # numbers that are drawn together, so that no large temporaries are made
_LOWEST = -sys.float_info.max  # of what is finite


@dataclass(frozen=True)
class Random:
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


Initializer = Callable[[tuple[int, int], Random], Array]


@dataclass(frozen=True)
class _Uniform:
    low: float
    high: float

    def __call__(self, shape: tuple[int, int], random: Random) -> Array:
        values = random.uniform(math.prod(shape)).reshape(shape)
        values *= self.high - self.low
        values += self.low
        return values


@dataclass(frozen=True)
class _Normal:
    mean: float
    std: float

    def __call__(self, shape: tuple[int, int], random: Random) -> Array:
        values = random.normal(math.prod(shape)).reshape(shape)
        values *= self.std
        values += self.mean
        return values


@dataclass(frozen=True)
class _Constant:
    value: float

    def __call__(self, shape: tuple[int, int], random: Random) -> Array:
        return np.full(shape, self.value)


_FANS: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "mean": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}


@dataclass(frozen=True)
class _Scaled:
    """Mean 0 and standard deviation gain / sqrt(fan), normal or uniform."""

    kind: type[_Normal | _Uniform]
    gain: float
    fan: str

    def __call__(self, shape: tuple[int, int], random: Random) -> Array:
        std = self.gain / math.sqrt(_FANS[self.fan](*shape))
        if self.kind is _Normal:
            return _Normal(0.0, std)(shape, random)
        bound = math.sqrt(3.0) * std
        return _Uniform(-bound, bound)(shape, random)


_GAINS: dict[str, Callable[[float], float]] = {
    "linear": lambda a: 1.0,
    "identity": lambda a: 1.0,
    "sigmoid": lambda a: 1.0,
    "tanh": lambda a: 5.0 / 3.0,
    "relu": lambda a: math.sqrt(2.0),
    "leaky_relu": lambda a: math.sqrt(2.0 / (1.0 + a * a)),
}


def calculate_gain(nonlinearity: str, a: float = 0.01) -> float:
    """Return the gain that keeps the signal's size through an activation, as PyTorch's function of that name.

    Parameters
    ----------
    nonlinearity : {"linear", "identity", "sigmoid", "tanh", "relu", "leaky_relu"}
    a : float, default 0.01
        Slope of the leaky ReLU.

    Returns
    -------
    float
        1 for linear and sigmoid, 5/3 for tanh, sqrt(2) for ReLU and sqrt(2 / (1 + a**2)) for leaky ReLU.

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
    return _Constant(v.real("value", value, _LOWEST))


def zeros() -> Initializer:
    """All entries 0."""
    return _Constant(0.0)


def uniform(low: float = 0.0, high: float = 1.0) -> Initializer:
    """Uniform between `low` and `high`."""
    return _Uniform(v.real("low", low, _LOWEST), v.real("high", high, _LOWEST))


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """Normal with this mean and standard deviation."""
    return _Normal(v.real("mean", mean, _LOWEST), v.real("std", std, 0))


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """Uniform in ±gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return _Scaled(_Uniform, v.real("gain", gain, 0), "mean")


def xavier_normal(gain: float = 1.0) -> Initializer:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return _Scaled(_Normal, v.real("gain", gain, 0), "mean")


def kaiming_uniform(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """Uniform in ±gain * sqrt(3 / fan), fan the number of inputs or outputs (He et al., 2015).

    Parameters
    ----------
    a : float, default 0.0
        Slope of the leaky ReLU that follows.
    mode : {"fan_in", "fan_out"}
    nonlinearity : str, default "leaky_relu"
        What `calculate_gain` is asked for.
    """
    return _Scaled(_Uniform, calculate_gain(nonlinearity, a), v.choice("mode", mode, ("fan_in", "fan_out")))


def kaiming_normal(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """Normal with standard deviation gain / sqrt(fan), fan the number of inputs or outputs (He et al., 2015).

    Parameters
    ----------
    a : float, default 0.0
        Slope of the leaky ReLU that follows.
    mode : {"fan_in", "fan_out"}
    nonlinearity : str, default "leaky_relu"
        What `calculate_gain` is asked for.

    Examples
    --------
    >>> kaiming_normal(nonlinearity="relu")((200, 300), Random(0, 0, 0)).std().round(2)
    np.float64(0.1)
    """
    return _Scaled(_Normal, calculate_gain(nonlinearity, a), v.choice("mode", mode, ("fan_in", "fan_out")))


def lecun_uniform() -> Initializer:
    """Uniform in ±sqrt(3 / fan_in) (LeCun et al., 1998)."""
    return _Scaled(_Uniform, 1.0, "fan_in")


def lecun_normal() -> Initializer:
    """Normal with standard deviation 1 / sqrt(fan_in) (LeCun et al., 1998)."""
    return _Scaled(_Normal, 1.0, "fan_in")

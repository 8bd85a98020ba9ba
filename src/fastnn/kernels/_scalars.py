"""The scalars of the updates: the numbers of a step, computed from the settings as the rows of the registry say.

Of plain numbers they are computed in plain Python: NumPy would take longer than the update of a small net.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn._typing import Array
from fastnn._updates import UPDATES
from fastnn.kernels._dispatch import backend_module
from fastnn.kernels._from_rows import define

_NUMBERS = {float, int, bool}


def scalars(kind: str, arguments: Sequence[Any]) -> Array:
    """Return the scalars of an update along a last axis, from the row's `arguments` in their order."""
    if _NUMBERS.issuperset(map(type, arguments)):
        return np.array(of_a_step[kind](*arguments), np.float64)
    columns = _of_steps[kind](*arguments)
    table = np.empty((*_shape([each for each in columns if type(each) is not float]), len(columns)))
    for i, column in enumerate(columns):
        table[..., i] = column
    return table


def _shape(values: Sequence[ArrayLike]) -> tuple[int, ...]:
    """Return the common shape, in a fraction of NumPy's time if there is only one array."""
    return np.shape(values[0]) if len(values) == 1 else np.broadcast(*values).shape


def momentum_of_nadam(step: ArrayLike, beta1: float, decay: float) -> tuple[Any, Any, Any, Any]:
    """Return mu at the step and at the next, and M at both; the formula is at `nadam`."""
    steps = np.asarray(step, np.int64)
    table = _products(beta1, decay, int(steps.max(initial=0)) + 1)
    at, at_next = (table[np.minimum(each, len(table) - 1)] for each in (steps, steps + 1))
    return _momentum_at(steps, beta1, decay), _momentum_at(steps + 1, beta1, decay), at, at_next


def _momentum_at(step: Array, beta1: float, decay: float) -> Any:
    return beta1 * (1 - 0.5 * _power(0.96, step * decay))


def _products(beta1: float, decay: float, last: int) -> Array:
    """Return M(0), M(1), ... at least up to M(last), or until 1 - M rounds to 1 in float64."""
    enough = 2 if beta1 == 0 else math.ceil(-40 / math.log(beta1)) + 1  # exp(-40) is less than half a spacing of 1
    return _product_table(beta1, decay, min(enough, 1 << max(last, 1).bit_length()))


@functools.lru_cache(maxsize=8)
def _product_table(beta1: float, decay: float, length: int) -> Array:
    table: Array = np.cumprod(np.append(1.0, _momentum_at(np.arange(1, length + 1), beta1, decay)))
    return table


def _power(base: Any, exponent: ArrayLike) -> Any:
    """Return powers as Python computes them: the last bits of NumPy's depend on the processor's vector unit."""
    shape = _shape([exponent] if type(base) is float else [base, exponent])
    powers, exponents = np.empty(shape), np.empty(shape)
    powers[...], exponents[...] = base, exponent
    backend_module("optimizers").power(powers.reshape(-1), exponents.reshape(-1))
    return powers


def _wide(value: Any) -> Any:
    return value if type(value) is float else np.asarray(value, np.float64)


class _Functions(dict[str, Callable[..., tuple[Any, ...]]]):
    """By update, the functions that compute scalars from a row's `arguments`; each is made when it is first used."""

    def __init__(self, name: str, **names: Callable[..., Any]) -> None:
        self.name = f"{__name__}.{name}"  # of this dict
        self.names = names  # the functions that the rows use

    def __missing__(self, kind: str) -> Callable[..., tuple[Any, ...]]:
        row = UPDATES[kind]
        names: dict[str, Any] = {"__name__": self.name, "momentum_of_nadam": momentum_of_nadam, **self.names}
        fixed = {*row.options, *(setting.name for setting in row.settings if setting.fixed)}
        lines = [*row.where, f"return {', '.join(row.scalars)},"]
        if "power" in names:
            lines = [re.sub(r"(\w+)\*\*(\w+)", r"power(\1, \2)", line) for line in lines]
            lines = [f"{name} = wide({name})" for name in row.arguments if name not in fixed] + lines
        source = f"def {kind}({', '.join(row.arguments)}):\n    " + "\n    ".join(lines)
        define(names, kind, source, "")
        self[kind] = names[kind]
        return self[kind]


of_a_step = _Functions("of_a_step", sqrt=math.sqrt)
"""Functions of plain numbers."""

_of_steps = _Functions("_of_steps", sqrt=np.sqrt, power=_power, wide=_wide)
"""The same functions of arrays with a number for each step."""

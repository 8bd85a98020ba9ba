"""Initialisers as arguments of layers: by name or as objects, and the values that they draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fastnn import _validation as v
from fastnn._names import Names
from fastnn._typing import Array
from fastnn.nn.init import INITIALIZERS, Initializer, MatrixInitializer, Random, constant, variance_scaling

__all__ = ["NAMES", "draw", "named"]

_BY_NAME: Mapping[str, Callable[[], Initializer]] = {
    **{name: kind for name, kind in INITIALIZERS.items() if kind is not constant},
    # In Keras and JAX these two are truncated, unlike `kaiming_normal` and `xavier_normal`.
    "glorot_normal": partial(variance_scaling, 1.0, "fan_avg"),
    "he_normal": partial(variance_scaling, 2.0, "fan_in"),
}
_KERAS = "write nn.init.{}, for example: fastnn's default is another than Keras's"

NAMES = Names(
    _BY_NAME,
    {"glorot_uniform": "xavier_uniform", "he_uniform": "kaiming_uniform"},
    {
        "constant": "write nn.init.constant(0.1)",
        "glorot": 'write "xavier_uniform"',
        "he": 'write "kaiming_normal"',
        "kaiming": 'write "kaiming_normal"',
        "lecun": 'write "lecun_normal"',
        "random_normal": _KERAS.format("normal(std=0.05)"),
        "random_uniform": _KERAS.format("uniform(-0.05, 0.05)"),
        "truncated_normal": _KERAS.format("trunc_normal(std=0.05, a=-0.1, b=0.1)"),
        "xavier": 'write "xavier_uniform"',
    },
)
"""The names that layers take."""


def named(name: str, value: Any) -> Initializer | None:
    """Return the initialiser given as argument `name`, itself or by its name; None stays None."""
    if value is None:
        return None
    if isinstance(value, str):
        return _BY_NAME[v.named(name, value, NAMES, f"be an initialiser, or one of the names {', '.join(NAMES)}")]()
    must = "be an initialiser, or the name of one"
    if isinstance(value, type):  # not called: it would be called with shape and random
        call = "nn.init.constant(0.1)" if value is constant else f"nn.init.{value.__name__}()"
        fix = f"write {name}={call}" if value in INITIALIZERS.values() else "give an object of the class"
        v.refuse(TypeError, name, must, v.kind_of(value), fix)
    if not (v.is_function(value) or type(value) in INITIALIZERS.values()):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fix = f"write {name}=nn.init.constant({v.shown(value)})" if number else ""
        v.refuse(TypeError, name, must, v.kind_of(value), fix)
    initializer: Initializer = value
    return initializer


def draw(name: str, initializer: Initializer, shape: tuple[int, ...], random: Random) -> Array:
    """Return the values of an initialiser, checked to be real numbers of this shape."""
    if len(shape) != 2 and isinstance(initializer, MatrixInitializer):
        fix = "write nn.init.constant(...), uniform(...), normal(...) or trunc_normal(...)"
        v.refuse(ValueError, name, "be an initialiser for vectors", "one for matrices", fix)
    values = v.numeric(f"the result of {name}", initializer(shape, random))
    v.shape(f"the result of {name}", values, shape)
    return values

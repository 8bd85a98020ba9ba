"""The functions of `fastnn.kernels` on the reference backend: each runs its NumPy twin, whatever backend is set.

The twins are formulas to read, and the reference that the kernels are tested against.
"""

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastnn import _config, kernels

if TYPE_CHECKING:
    from fastnn.kernels import *

__all__ = kernels.__all__


def _pin(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def pinned(*args: Any, **kwargs: Any) -> Any:
        with _config.backend("reference"):
            return function(*args, **kwargs)

    return pinned


for _name in kernels.__all__:
    _member = getattr(kernels, _name)
    globals()[_name] = _pin(_member) if inspect.isfunction(_member) else _member

"""The functions of `fastnn.kernels` on the reference backend: each runs its NumPy twin, whatever backend is set.

The twins are formulas to read, and the reference that the kernels are tested against. ``inspect.getsource(function)``,
in IPython ``function??``, shows the twin's code.
"""

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastnn import _config, kernels
from fastnn import _validation as check
from fastnn.kernels import (
    _activations_ref,
    _augmentation_ref,
    _dense_ref,
    _dropout_ref,
    _embedding_ref,
    _gather_ref,
    _joins_ref,
    _losses_ref,
    _normalization_ref,
    _numeric_ref,
    _optimizers_ref,
    _scaling_ref,
    _statistics_ref,
)
from fastnn.kernels._scalars import of_a_step

if TYPE_CHECKING:
    from fastnn.kernels import *

__all__ = kernels.__all__

_TWINS = (
    _activations_ref, _augmentation_ref, _dense_ref, _dropout_ref, _embedding_ref, _gather_ref, _joins_ref,
    _losses_ref, _normalization_ref, _numeric_ref, _optimizers_ref, _scaling_ref, _statistics_ref,
)  # fmt: skip

# Functions whose twin has another name.
_NAMES = {"batch_norm_inference": "affine", "dropout_backward": "dropout"}


def _twin(name: str) -> Callable[..., Any]:
    """Return the function with the formula of a kernel."""
    if name.endswith("_scalars"):
        return of_a_step[name.removesuffix("_scalars")]
    name = _NAMES.get(name, name)
    twin: Callable[..., Any] = next(vars(module)[name] for module in _TWINS if name in vars(module))
    return twin


def _pin(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function on the reference backend; its source is that of its twin."""
    twin = _twin(name)

    @functools.wraps(function)
    def pinned(*args: Any, **kwargs: Any) -> Any:
        with _config.backend("reference"):
            return function(*args, **kwargs)

    first, _, rest = (inspect.getdoc(function) or "").partition("\n\n")
    source = f"The code of its twin is shown by ``inspect.getsource(fastnn.reference.{name})``:\n`{twin.__name__}` in"
    pinned.__doc__ = f"{first}\n\n{source} {twin.__module__}.\n\n{rest}"
    pinned.__module__ = __name__
    pinned.__dict__["__signature__"] = inspect.signature(function)
    pinned.__dict__["__wrapped__"] = twin  # what `inspect` takes the source from
    return pinned


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Make a function when it is first used, in a fraction of the time that all take."""
        if name not in __all__:
            check.refuse_attribute(f"module {__name__!r}", f"has no attribute {name!r}")
        member = getattr(kernels, name)
        globals()[name] = _pin(name, member) if inspect.isfunction(member) else member
        return globals()[name]


def __dir__() -> list[str]:
    return __all__

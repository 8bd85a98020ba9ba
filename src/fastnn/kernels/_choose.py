"""The one place where a public kernel chooses between the compiled module of its family and the NumPy twin."""

import functools
import importlib
from typing import Any

from fastnn import _config

_SUFFIX = {"native": "cy", "reference": "ref"}


@functools.cache
def _module(family: str, backend: str) -> Any:
    return importlib.import_module(f"fastnn.kernels._{family}_{_SUFFIX[backend]}")


def inner(family: str) -> Any:
    """Return the family's module for the backend in force; both have the same functions."""
    return _module(family, _config.get_backend())


threads = _config.get_num_threads

"""Dispatch of the public kernels to the compiled module of their family, or to its NumPy twin."""

import functools
import importlib
from typing import Any

from fastnn import _config

_SUFFIX = {"native": "cy", "reference": "ref"}


@functools.cache
def module_of(family: str, backend: str) -> Any:
    """Return the family's module for a backend; both modules have the same functions."""
    return importlib.import_module(f"fastnn.kernels._{family}_{_SUFFIX[backend]}")


def backend_module(family: str) -> Any:
    """Return the family's module for the current backend."""
    return module_of(family, _config.get_backend())


threads = _config.get_num_threads

"""The one place where a public kernel chooses between the compiled module of its family and the NumPy twin."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

from fastnn import _config

_SUFFIX = {"native": "cy", "reference": "ref"}


@functools.cache
def _module(family: str, backend: str) -> Any:
    return importlib.import_module(f"fastnn.kernels._{family}_{_SUFFIX[backend]}")


@functools.cache
def _ready(backend: str) -> Callable[..., bool]:
    return importlib.import_module("fastnn._native").ready if backend == "native" else lambda *_: False


def inner(family: str) -> Any:
    """Return the family's module for the backend in force; both have the same functions."""
    return _module(family, _get_backend())


def inner_and_ready(family: str) -> tuple[Any, Callable[..., bool]]:
    """Return that module, and what tells of arrays that an elementwise kernel can take them without further checks."""
    backend = _get_backend()
    return _module(family, backend), _ready(backend)


_get_backend = _config.get_backend
threads = _config.get_num_threads

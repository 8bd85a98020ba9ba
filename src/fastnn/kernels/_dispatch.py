"""Dispatch of the public kernels to the compiled module of their family, or to its NumPy twin."""

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
def _fast_check(backend: str) -> Callable[..., bool]:
    return importlib.import_module("fastnn._native").ready if backend == "native" else lambda *_: False


def backend_module(family: str) -> Any:
    """Return the family's module for the current backend; both modules have the same functions."""
    return _module(family, _get_backend())


def module_and_fast_check(family: str) -> tuple[Any, Callable[..., bool]]:
    """Return that module, and a function that says whether arrays can go to an elementwise kernel unchecked."""
    backend = _get_backend()
    return _module(family, backend), _fast_check(backend)


_get_backend = _config.get_backend
threads = _config.get_num_threads

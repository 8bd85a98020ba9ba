"""`show_config`: the version, the build and the current settings, such as ISA level, threads and backend."""

import importlib
import os
import platform
from typing import Any

import numpy as np

from fastnn import _config
from fastnn import _validation as check
from fastnn._version import __version__

__all__ = ["show_config"]

_VARIABLES = ("FASTNN_ISA", "FASTNN_BACKEND", "FASTNN_NUM_THREADS", "OMP_NUM_THREADS")


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print the build and the current settings, as ``python -m fastnn`` does.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default "stdout"
        Whether to print, or to return a dict; the argument is that of `numpy.show_config`.

    Returns
    -------
    dict or None
        None when printing. The dict has the keys ``fastnn`` (the version), ``backend``, ``isa`` (a dict: the level
        ``chosen``, the levels ``built``, lowest first, and those ``supported`` by this machine), ``threads``,
        ``compiler``, ``python``, ``numpy``, ``platform`` and ``environment`` (those variables that fastnn reads and
        that are set).

    Raises
    ------
    TypeError, ValueError
        If an environment variable has an invalid value, or `mode` is unknown.
    ImportError
        If the compiled modules are missing, or the machine does not support the lowest level.

    Examples
    --------
    >>> import fastnn
    >>> config = fastnn.show_config(mode="dicts")
    >>> config["isa"]["chosen"] in config["isa"]["supported"]
    True
    """
    check.choice("mode", mode, ("stdout", "dicts"))
    native = importlib.import_module("fastnn._native")  # imported late, as the reference backend does not need it
    levels = native.levels()
    config = {
        "fastnn": __version__,
        "backend": _config.get_backend(),
        "isa": {
            "chosen": native.isa(),
            "built": list(levels),
            "supported": [level for level, supported in levels.items() if supported],
        },
        "threads": _config.get_num_threads(),
        "compiler": native.compiler(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }
    if mode == "dicts":
        return config
    print("\n".join(_lines(config)))
    return None


def _lines(config: dict[str, Any]) -> list[str]:
    isa = config["isa"]
    text = dict(config)
    text["isa"] = (
        f"{isa['chosen']} (built: {', '.join(isa['built'])}; this machine runs: {', '.join(isa['supported'])})"
    )
    text["environment"] = " ".join(f"{name}={value}" for name, value in config["environment"].items()) or "nothing set"
    width = max(map(len, text))
    return [f"{key:<{width}}  {value}" for key, value in text.items()]

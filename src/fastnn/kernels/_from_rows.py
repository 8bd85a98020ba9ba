"""Functions made from the rows of a registry."""

from __future__ import annotations

from typing import Any


def define(namespace: dict[str, Any], name: str, source: str, doc: str) -> None:
    """Define a function in a module's namespace.

    Parameters
    ----------
    namespace : dict
        The ``globals()`` of the module, which has the names that the source uses.
    name : str
    source : str
        The function's source text, so that it really has the signature that it shows. Annotations stay strings.
    doc : str
        The docstring.
    """
    exec(compile(source, f"<{name}>", "exec"), namespace)  # noqa: S102
    namespace[name].__doc__ = doc

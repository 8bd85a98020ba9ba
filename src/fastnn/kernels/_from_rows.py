"""Functions made from the rows of a registry."""

from __future__ import annotations

import linecache
from typing import Any


def define(namespace: dict[str, Any], name: str, source: str, doc: str) -> None:
    """Define a function in a module's namespace.

    Parameters
    ----------
    namespace : dict
        The ``globals()`` of the module, which has the names that the source uses, and `__name__`.
    name : str
    source : str
        The function's source text, so that it really has the signature that it shows. Annotations stay strings.
    doc : str
        The docstring.
    """
    file = f"<{namespace['__name__']}.{name}>"
    linecache.cache[file] = (
        len(source),
        None,
        source.splitlines(keepends=True),
        file,
    )  # what `inspect` and tracebacks show
    exec(compile(source, file, "exec"), namespace)  # noqa: S102
    namespace[name].__doc__ = doc

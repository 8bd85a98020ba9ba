"""Messages about a file: its path is in front of each, once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NoReturn, Protocol, cast

from fastnn import _validation as v


class _Named(Protocol):
    """An error of `refuse_file`, with the path that its message begins with."""

    _path: str


def refuse_file(path: str, must: str, got: object, fix: str = "") -> NoReturn:
    """Raise ValueError about a file: ``net.safetensors must be ..., got ...``; `in_file` leaves it as it is."""
    try:
        v.refuse(ValueError, path, must, got, fix)
    except ValueError as error:
        cast(_Named, error)._path = path
        raise


@contextlib.contextmanager
def in_file(path: str) -> Iterator[None]:
    """Prefix the messages raised within by the path of the file that is read, but those of `refuse_file`."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError) or getattr(error, "_path", None) == path:
            raise
        raise v.prefixed(path, error) from error

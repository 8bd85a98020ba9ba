"""Ctrl-C that waits until a step and its book-keeping are both done."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

# `_signal` is what lies under `signal`, whose functions look for each handler among constants, an exception apiece: up
# to Python 3.12 a context would take as long with them as half a step of a small net.


class deferred_interrupt:
    """A context inside which SIGINT is noted, and after which it takes its usual course.

    Python runs a signal's handler as soon as a call into compiled code returns, which is before the call's result is
    bound to a name: an interrupt would lose the count of the steps just made. Only the main thread gets signals, so in
    others there is nothing to do, nor where Python does not handle SIGINT.
    """

    def __init__(self) -> None:
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        self._came: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            handler = _signal.getsignal(signal.SIGINT)
            if callable(handler):
                self._handler = handler
                _signal.signal(signal.SIGINT, self._note)

    def __exit__(self, *error: object) -> None:
        if self._handler is not None:
            _signal.signal(signal.SIGINT, self._handler)
            if self._came is not None:
                self._handler(*self._came)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = number, frame

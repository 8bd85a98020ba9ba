"""A lock that many readers may hold at once, or one writer; first come, first served, so that neither starves."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from weakref import WeakSet


class SharedLock:
    """Guards a net's arenas: predictions read them, steps of training write them.

    Attributes
    ----------
    settle : callable, optional
        What a writer leaves to be run before the next reads or writes, unless that one is ``settled=False``.

    Examples
    --------
    >>> lock = SharedLock()
    >>> with lock.reading(), lock.reading():
    ...     pass
    >>> with lock.writing():
    ...     pass
    """

    def __init__(self) -> None:
        self.settle: Callable[[], None] | None = None
        self._open()
        _locks.add(self)

    def _open(self) -> None:
        self.mutex = threading.Lock()
        self.condition = threading.Condition(self.mutex)
        self.waiting: deque[Hold] = deque()
        self.holding: set[Hold] = set()
        self.writer: Hold | None = None

    def reading(self) -> Hold:
        """A context in which nobody writes."""
        return Hold(self, exclusive=False)

    def writing(self, *, settled: bool = True) -> Hold:
        """A context in which nobody else reads or writes."""
        return Hold(self, exclusive=True, settled=settled)


_locks: WeakSet[SharedLock] = WeakSet()


def _open_all() -> None:
    for lock in _locks:
        lock._open()
        if lock.settle is not None:
            lock.settle()


if hasattr(os, "register_at_fork"):  # the threads that held or awaited a lock are not there in a child
    os.register_at_fork(after_in_child=_open_all)


class Hold:
    """One use of a `SharedLock`. Leaving undoes whatever entering has done, so that an interrupt may fall anywhere."""

    __slots__ = ("_exclusive", "_lock", "_settled", "_thread")

    def __init__(self, lock: SharedLock, *, exclusive: bool, settled: bool = True) -> None:
        self._lock = lock
        self._exclusive = exclusive
        self._settled = settled
        self._thread = threading.get_ident()

    def __enter__(self) -> None:
        lock = self._lock
        try:
            with lock.mutex:
                if lock.waiting or not self._free():
                    if any(hold._thread == self._thread for hold in lock.holding):  # it would wait for itself
                        raise RuntimeError("net: expected a function of a layer or loss that leaves its net alone")
                    lock.waiting.append(self)
                    lock.condition.wait_for(lambda: lock.waiting[0] is self and self._free())
                    lock.waiting.popleft()
                    lock.condition.notify_all()
                lock.holding.add(self)
                if self._exclusive:
                    lock.writer = self
                if self._settled and lock.settle is not None:
                    lock.settle()
                    lock.settle = None
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        lock = self._lock
        with lock.mutex:
            lock.holding.discard(self)
            if lock.writer is self:
                lock.writer = None
            if lock.waiting:
                if self in lock.waiting:
                    lock.waiting.remove(self)
                lock.condition.notify_all()

    def _free(self) -> bool:
        return not self._lock.holding if self._exclusive else self._lock.writer is None

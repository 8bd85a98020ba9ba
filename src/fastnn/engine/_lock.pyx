"""Who reads, writes and trains a net: locks that other threads, signal handlers and forks cannot upset.

Python runs a signal's handler in the main thread, between two bytecodes. A lock written in Python can therefore be
interrupted half-way: the handler that predicts with the net waits for the thread that it has interrupted, and an
exception that it raises skips the release. Nothing here runs bytecode while it changes a lock, so that no handler ever
sees one half-changed, and no exception of one can fall between a native call and the count of its steps.

What must hold a lock while Python code runs (the reference backend, functions of custom layers and losses) uses
`NetLock.writing()`, which defers the handlers of all signals until the lock is free again.
"""

import _signal  # what `signal` wraps; the wrappers are Python code and look each handler up in an enumeration
import os
import signal
import threading
import weakref
from _thread import allocate_lock

import numpy as np

from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastnn._validation import refuse, refuse_state

cdef unsigned long main_thread = threading.main_thread().ident
cdef tuple SIGNALS = tuple(sorted(map(int, signal.valid_signals())))
# What a child of fork has to look at, by address. A WeakSet would do, but its callbacks are Python code, in which an
# interrupt is lost.
cdef dict alive = {}


cdef class Counter:
    """A count that compiled code raises: no handler runs between a step and its count.

    Attributes
    ----------
    value : int
        From 0 to 2**63 - 1.
    """

    def __init__(self, int64_t value=0):
        self.value = value

    def append_and_count(self, list items, item):
        """Append to a list and count it, at one moment."""
        items.append(item)
        self.value += 1


cdef class Ticket:
    """A thread's place in the queue of a lock."""

    cdef unsigned long thread
    cdef object waiter          # acquired by the thread that waits, released by who wakes it

    def __cinit__(self):
        self.thread = PyThread_get_thread_ident()
        self.waiter = allocate_lock()
        self.waiter.acquire()


cdef class NetLock:
    """Many readers or one writer; first come, first served, so that neither starves.

    A thread that reads may read again. One that would wait for itself gets a RuntimeError: who reads and wants to
    write, or writes and wants either.

    Attributes
    ----------
    order_restorer : callable or None
        What has to be run before anybody else looks: it brings arrays back from an order of the executor's own.

    Examples
    --------
    >>> lock = NetLock()
    >>> with lock.reading(), lock.reading():
    ...     pass
    >>> with lock.writing():
    ...     pass
    """

    def __cinit__(self):
        self._readers = {}
        self._queue = []
        alive[<size_t> <void *> self] = weakref.ref(self)

    def __dealloc__(self):
        alive.pop(<size_t> <void *> self, None)

    @property
    def holders(self):
        """The threads that hold the lock."""
        return {*self._readers, *([self._writer] if self._writer else [])}

    def reading(self):
        """Return a context in which nobody writes."""
        return Hold(self, False)

    def writing(self):
        """Return a context in which nobody else reads or writes, and signals' handlers wait."""
        return Hold(self, True)

    def restore_order(self):
        """Bring the arrays back into the order of their views; wait for who writes."""
        if self.order_restorer is not None:
            self.acquire(True)
            self.release(True)

    def restore_order_if_idle(self):
        """The same, or nothing where somebody holds the lock: a look at an array waits for nobody."""
        if self.order_restorer is not None and self._free(True):
            self.order_restorer()
            self.order_restorer = None

    def snapshot(self, tuple arrays, tuple counters=(), tuple lists=()):
        """Return copies of C-contiguous arrays, values of counters, copies of lists: of one moment between steps."""
        cdef list copies = [np.empty_like(array) for array in arrays]
        self.acquire(False)
        try:
            for array, copied in zip(arrays, copies):
                copy_memory(copied, array)
            return (tuple(copies), tuple([(<Counter?> counter).value for counter in counters]),
                    tuple([list(each) for each in lists]))
        finally:
            self.release(False)

    def assign(self, tuple pairs, tuple counters=(), tuple dicts=()):
        """Give arrays, counters and dicts new values, all at one moment between two steps.

        Parameters
        ----------
        pairs : tuple of (ndarray, ndarray)
            Of one shape and dtype, C-contiguous: where to, and what.
        counters : tuple of (Counter, int)
        dicts : tuple of (dict, dict)
            What to update, and by what: attributes of objects.
        """
        for to, values in pairs:
            if to.shape != values.shape or to.dtype != values.dtype or not values.flags.c_contiguous:
                refuse(ValueError, "values", f"be C-contiguous, of shape {to.shape} and {to.dtype}",
                       f"shape {values.shape} of {values.dtype}")
        self.acquire(True)
        try:
            for to, values in pairs:
                copy_memory(to, values)
            for counter, value in counters:
                (<Counter?> counter).value = value
            for attributes, values in dicts:
                (<dict?> attributes).update(values)
        finally:
            self.release(True)

    cdef bint _free(self, bint exclusive) noexcept:
        return self._writer == 0 and not (exclusive and self._readers)

    cdef int acquire(self, bint exclusive, bint keep_order=False, bint has_written=True) except -1:
        """Wait until the lock is free, and hold it. Signals are handled while it waits, and not after.

        `has_written` is False where the holder has not changed anything yet: a handler may read until it does.
        """
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef bint again = me in self._readers
        if (self._writer == me and (exclusive or self._has_written)) or (exclusive and again):
            refuse_state("the net is in use by what this code interrupts or serves",
                         "a function of a layer or loss must leave its net alone, and a signal handler must not set "
                         "its values now")
        if not again and self._writer != me and (self._queue or not self._free(exclusive)):
            self._wait(me, exclusive)
        if exclusive:
            self._writer, self._has_written = me, has_written
        else:
            self._readers[me] = self._readers.get(me, 0) + 1
        if not keep_order and self.order_restorer is not None:
            self.order_restorer()
            self.order_restorer = None
        return 0

    cdef int release(self, bint exclusive) except -1:
        cdef unsigned long me = PyThread_get_thread_ident()
        if exclusive:
            self._writer = 0
        elif self._readers[me] > 1:
            self._readers[me] -= 1
        else:
            del self._readers[me]
        if self._queue:
            self._wake()
        return 0

    cdef int _wait(self, unsigned long me, bint exclusive) except -1:
        cdef Ticket ticket = Ticket()
        # A handler that runs while its thread waits goes first: what it has interrupted cannot go on before it ends.
        cdef Py_ssize_t place = 0
        while place < len(self._queue) and (<Ticket> self._queue[place]).thread != me:
            place += 1
        self._queue.insert(place, ticket)
        try:
            while self._queue[0] is not ticket or not self._free(exclusive):
                ticket.waiter.acquire()
        finally:
            self._queue.remove(ticket)
            self._wake()
        return 0

    cdef int _wake(self) except -1:
        """Let the first in the queue look again."""
        if self._queue:
            waiter = (<Ticket> self._queue[0]).waiter
            if waiter.locked():
                waiter.release()
        return 0

    def _forked(self):
        """Forget the threads that a child of fork does not have."""
        cdef unsigned long me = PyThread_get_thread_ident()
        self._readers = {me: self._readers[me]} if me in self._readers else {}
        self._queue = [ticket for ticket in self._queue if (<Ticket> ticket).thread == me]
        if self._writer != me:
            self._writer = 0
        self.restore_order_if_idle()


cdef int copy_memory(to, values) except -1:
    """Copy without bytecode, warnings or casts; both are C-contiguous."""
    cdef const unsigned char[::1] source
    cdef unsigned char[::1] target
    if values.size:
        source, target = memoryview(values).cast("B"), memoryview(to).cast("B")
        memcpy(&target[0], &source[0], source.shape[0])
    return 0


cdef class Hold:
    """One use of a `NetLock` while Python code runs."""

    def __cinit__(self, NetLock lock, bint exclusive):
        self._lock, self._exclusive = lock, exclusive
        self._handlers, self._pending = {}, []

    def __enter__(self):
        self.enter(False)

    def __exit__(self, *error):
        self.leave()

    cdef int enter(self, bint keep_order) except -1:
        self._lock.acquire(self._exclusive, keep_order, False)
        if self._exclusive:
            try:
                self._defer_signals()
            except BaseException:
                self._lock.release(True)
                raise
            self._lock._has_written = True
        return 0

    cdef int leave(self) except -1:
        self._lock.release(self._exclusive)
        error = self._restore_handlers()
        if error is not None:
            raise error
        return 0

    cdef int _defer_signals(self) except -1:
        """Note signals from here on instead of handling them. Only the main thread handles any."""
        if PyThread_get_thread_ident() != main_thread:
            return 0
        self._deferring_handler = self._defer
        try:
            for number in SIGNALS:
                handler = _signal.getsignal(number)
                if callable(handler):
                    _signal.signal(number, self._deferring_handler)  # which first handles what has come before
                    self._handlers[number] = handler
        except BaseException:
            self._restore_handlers()
            raise
        return 0

    def _defer(self, number, frame):
        self._pending.append((number, frame))

    cdef object _restore_handlers(self):
        """Put the handlers back and run those whose signals came; return the first error."""
        first = None
        while self._handlers:
            number, handler = self._handlers.popitem()
            while _signal.getsignal(number) == self._deferring_handler:  # else somebody has set another
                try:
                    _signal.signal(number, handler)
                except BaseException as error:  # of a handler that it has run before
                    first = error if first is None else first
        came, self._pending = self._pending, []
        for number, frame in came:
            handler = _signal.getsignal(number)
            if callable(handler):
                try:
                    handler(number, frame)
                except BaseException as error:
                    first = error if first is None else first
        return first


cdef class TrainingClaim:
    """Who trains a net: one thread at a time, and no signal handler within another training.

    While callbacks run, inside `in_callbacks()`, the claim's owner may train the net, load or set its values.
    """

    cdef unsigned long _owner
    cdef int _open
    cdef list _outer            # for a training within a callback, how open the one around it was
    cdef object __weakref__

    def __cinit__(self):
        self._outer = []
        alive[<size_t> <void *> self] = weakref.ref(self)

    def __dealloc__(self):
        alive.pop(<size_t> <void *> self, None)

    def acquire(self, blocking=False):
        """Claim the net for this thread: whether it was free."""
        cdef unsigned long me = PyThread_get_thread_ident()
        if self._owner == 0:
            self._owner = me
        elif self._owner != me or not self._open:
            return False
        self._outer.append(self._open)
        self._open = 0
        return True

    def release(self):
        """Give the net back."""
        self._open = self._outer.pop()
        if not self._outer:
            self._owner = 0

    def __enter__(self):
        if not self.acquire():
            self._refuse()

    def __exit__(self, *error):
        self.release()

    cdef int _refuse(self) except -1:
        if self._owner != PyThread_get_thread_ident():
            refuse_state("the net is being trained in another thread")
        refuse_state("the net is being trained already",
                     "a callback, a signal handler or a function of a layer or loss must not train it")

    def refuse_nested_fit(self):
        """Refuse a fit within a training, callbacks included."""
        if self._owner != 0:
            self._refuse()

    @property
    def taken(self):
        """Whether the net is being trained."""
        return self._owner != 0

    def refuse_change(self, str what, bint elsewhere=True):
        """Refuse to change something in the middle of a training, or (`elsewhere`) from another thread."""
        if self._owner == 0 or self._open and self._owner == PyThread_get_thread_ident():
            return
        if self._owner == PyThread_get_thread_ident():
            refuse_state(f"{what} cannot be set by a signal handler or a function of a layer or loss while the net is "
                         "being trained", "set it in a callback, or after the training")
        if elsewhere:
            refuse_state(f"{what} cannot be set while the net is being trained in another thread",
                         "set it in a callback of that training, or after it")

    def in_callbacks(self):
        """Return a context for callbacks."""
        return CallbackContext(self)

    def _forked(self):
        if self._owner != PyThread_get_thread_ident():
            self._owner, self._open, self._outer = 0, 0, []


cdef class CallbackContext:
    cdef TrainingClaim _claim

    def __cinit__(self, TrainingClaim claim):
        self._claim = claim

    def __enter__(self):
        self._claim._open += 1

    def __exit__(self, *error):
        self._claim._open -= 1


def _after_fork_in_child():
    global main_thread
    main_thread = PyThread_get_thread_ident()
    for reference in list(alive.values()):
        held = reference()
        if held is not None:
            held._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

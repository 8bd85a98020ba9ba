"""A net's lock, its claim by the thread that trains it, and its counters, safe with threads, signal handlers and forks.

Python runs signal handlers in the main thread, between two bytecodes. So a handler can interrupt a lock that is written
in Python in the middle of a change: a handler that predicts with the net would wait for the thread that it has
interrupted, and an exception that it raises would skip the release. The code here runs no bytecode while it changes a
lock. So no handler finds one half-changed, and no handler's exception can come between a native call and the count of
its steps (docs/decisions, 18).

Code that holds a lock while Python code runs (the reference backend, functions of custom layers and losses) uses
`NetLock.writing()`, which defers the handlers of all signals until the lock is free again.
"""

import _signal  # `signal` wraps it in Python code, which looks up every handler in an enumeration (docs/decisions, 17)
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
# Weak references to all locks and claims, by address, for the child of a fork. The callbacks of a WeakSet would be
# Python code, in which an interrupt is lost.
cdef dict instances = {}


cdef class Counter:
    """A count that compiled code increments, so that no signal handler runs between a step and its count.

    Attributes
    ----------
    value : int
        From 0 to 2**63 - 1.
    """

    def __init__(self, int64_t value=0):
        self.value = value

    def append_and_count(self, list items, item):
        """Append an item to a list and increment the count; no signal handler runs between the two."""
        items.append(item)
        self.value += 1


cdef class Ticket:
    """A thread's place in the queue of a lock."""

    cdef unsigned long thread
    cdef object waiter          # the waiting thread acquires it, the one that wakes it releases it

    def __cinit__(self):
        self.thread = PyThread_get_thread_ident()
        self.waiter = allocate_lock()
        self.waiter.acquire()


cdef class NetLock:
    """A lock for many readers or one writer. Threads are served in the order of their requests, so that none starves.

    A thread that reads may read again. A thread that would wait for itself gets a RuntimeError: one that reads may not
    write, and one that writes may not write again nor, once it has changed the net, read.

    Attributes
    ----------
    order_restorer : callable or None
        Called once, before the next holder of the lock reads or writes: it brings the net's arrays out of panels
        (docs/panels.md).

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
        instances[<size_t> <void *> self] = weakref.ref(self)

    def __dealloc__(self):
        instances.pop(<size_t> <void *> self, None)

    @property
    def holders(self):
        """The identifiers of the threads that hold the lock."""
        return {*self._readers, *([self._writer] if self._writer else [])}

    def reading(self):
        """Return a context that holds the lock to read: no thread writes."""
        return LockContext(self, False)

    def writing(self):
        """Return a context that holds the lock to write. No other thread reads or writes; signals are deferred."""
        return LockContext(self, True)

    def restore_order(self):
        """Bring the arrays back into the order of their views. Waits until no other thread holds the lock."""
        if self.order_restorer is not None:
            self.acquire(True)
            self.release(True)

    def restore_order_if_idle(self):
        """Bring the arrays back into the order of their views, unless a thread holds the lock. Never waits."""
        if self.order_restorer is not None and self._is_free(True):
            self.order_restorer()
            self.order_restorer = None

    def snapshot(self, tuple arrays, tuple counters=(), tuple lists=()):
        """Return copies of C-contiguous arrays, values of counters and copies of lists, of one moment between steps."""
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
        """Set arrays, counters and dicts to new values, all at one moment between steps.

        Parameters
        ----------
        pairs : tuple of (ndarray, ndarray)
            A target and its new values: equal shape and dtype, C-contiguous.
        counters : tuple of (Counter, int)
            A counter and its new value.
        dicts : tuple of (dict, dict)
            The attributes of an object and the new values of some of them.
        """
        for to, values in pairs:
            if to.shape != values.shape or to.dtype != values.dtype or not values.flags.c_contiguous:
                refuse(ValueError, "values", f"be C-contiguous, with shape {to.shape} and dtype {to.dtype}",
                       f"shape {values.shape} and dtype {values.dtype}")
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

    def mix(self, NetLock source, tuple mixed, tuple copied, double tau, tuple dicts=()):
        """Move arrays towards those that another lock guards, at one moment between the steps of both nets.

        Parameters
        ----------
        source : NetLock
            Another lock than this one.
        mixed, copied : tuple of (ndarray, ndarray)
            A target and the array of the other net, of equal size and dtype, C-contiguous. Those in `mixed` become
            ``tau * values + (1 - tau) * target``, for a `tau` of 1 `values`; those in `copied` become `values`.
        tau : float
            From 0 to 1. The two factors are rounded to the arrays' dtype.
        dicts : tuple of (dict, dict)
            The attributes of an object and the new values of some of them.
        """
        # Of two threads that copy between two nets in opposite directions, both take the locks in the same order.
        cdef bint self_first = <size_t> <void *> self < <size_t> <void *> source
        cdef NetLock first = self if self_first else source, second = source if self_first else self
        first.acquire(self_first, False, False)
        try:
            second.acquire(not self_first, False, False)
            try:
                self._has_written = True
                for to, values in mixed:
                    mix_memory(to, values, tau)
                for to, values in copied:
                    copy_memory(to, values)
                for attributes, values in dicts:
                    (<dict?> attributes).update(values)
            finally:
                second.release(not self_first)
        finally:
            first.release(self_first)

    cdef bint is_at_rest(self) noexcept:
        """Whether code that keeps the GIL may read without the lock: nobody writes or waits, and the order is right."""
        return self._writer == 0 and self.order_restorer is None and not self._queue

    cdef bint _is_free(self, bint exclusive) noexcept:
        return self._writer == 0 and not (exclusive and self._readers)

    cdef int acquire(self, bint exclusive, bint keep_panels=False, bint has_written=True) except -1:
        """Wait until the lock is free, then hold it. Signals are handled while it waits, not afterwards.

        With `keep_panels`, which only the executor that they belong to may pass, arrays stay in panels. `has_written`
        is False if the holder has not changed the net yet: until it does, a signal handler may read.
        """
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef bint again = len(self._readers) > 0 and me in self._readers
        if (self._writer == me and (exclusive or self._has_written)) or (exclusive and again):
            refuse_state("the net is in use by code that waits for this call to return",
                         "a function of a layer or loss must leave its net alone, and a signal handler must not set "
                         "the net's values now")
        if not again and self._writer != me and (self._queue or not self._is_free(exclusive)):
            self._wait(me, exclusive)
        if exclusive:
            self._writer, self._has_written = me, has_written
        else:
            self._readers[me] = self._readers.get(me, 0) + 1
        if not keep_panels and self.order_restorer is not None:
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
        # A signal handler's ticket goes before that of the code that it interrupted, which waits for the handler's end.
        cdef Py_ssize_t index = 0
        while index < len(self._queue) and (<Ticket> self._queue[index]).thread != me:
            index += 1
        self._queue.insert(index, ticket)
        try:
            while self._queue[0] is not ticket or not self._is_free(exclusive):
                ticket.waiter.acquire()
        finally:
            self._queue.remove(ticket)
            self._wake()
        return 0

    cdef int _wake(self) except -1:
        """Wake the first thread of the queue, which checks whether the lock is free for it."""
        if self._queue:
            waiter = (<Ticket> self._queue[0]).waiter
            if waiter.locked():
                waiter.release()
        return 0

    def _forked(self):
        """In the child of a fork: forget the threads that the child does not have."""
        cdef unsigned long me = PyThread_get_thread_ident()
        self._readers = {me: self._readers[me]} if me in self._readers else {}
        self._queue = [ticket for ticket in self._queue if (<Ticket> ticket).thread == me]
        if self._writer != me:
            self._writer = 0
        self.restore_order_if_idle()


cdef int copy_memory(to, values) except -1:
    """Copy a C-contiguous array into another of the same size, without bytecode, warnings or casts."""
    cdef const unsigned char[::1] source
    cdef unsigned char[::1] target
    if values.size:
        source, target = memoryview(values).cast("B"), memoryview(to).cast("B")
        memcpy(&target[0], &source[0], source.shape[0])
    return 0


ctypedef fused real:
    float
    double


cdef void mix_reals(real[::1] to, const real[::1] values, real tau, real rest) noexcept:
    cdef Py_ssize_t i
    for i in range(to.shape[0]):
        to[i] = tau * values[i] + rest * to[i]


cdef int mix_memory(to, values, double tau) except -1:
    """Compute ``tau * values + (1 - tau) * to`` in `to`, without temporaries."""
    if tau == 1.0:
        return copy_memory(to, values)
    if tau == 0.0:
        return 0
    if to.itemsize == sizeof(float):
        mix_reals[float](to, values, <float> tau, <float> (1.0 - tau))
    else:
        mix_reals[double](to, values, tau, 1.0 - tau)
    return 0


cdef class LockContext:
    """A context that holds a `NetLock` while Python code runs.

    A context to write defers signals in the main thread: their handlers run when the lock is free again. That takes 11
    us (docs/decisions, 18).
    """

    def __cinit__(self, NetLock lock, bint exclusive):
        self._lock, self._exclusive = lock, exclusive
        self._handlers, self._pending = {}, []

    def __enter__(self):
        self.enter(False)

    def __exit__(self, *error):
        self.leave()

    cdef int enter(self, bint keep_panels) except -1:
        self._lock.acquire(self._exclusive, keep_panels, False)
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
        """Replace all signal handlers with `_defer`. Only the main thread handles signals."""
        if PyThread_get_thread_ident() != main_thread:
            return 0
        self._deferring_handler = self._defer
        try:
            for number in SIGNALS:
                handler = _signal.getsignal(number)
                if callable(handler):
                    _signal.signal(number, self._deferring_handler)  # handles pending signals first
                    self._handlers[number] = handler
        except BaseException:
            self._restore_handlers()
            raise
        return 0

    def _defer(self, number, frame):
        """Handle a signal by noting it for `_restore_handlers`."""
        self._pending.append((number, frame))

    cdef object _restore_handlers(self):
        """Restore the handlers, run those of deferred signals, and return the first exception or None."""
        first = None
        while self._handlers:
            number, handler = self._handlers.popitem()
            while _signal.getsignal(number) == self._deferring_handler:  # unless Python code has set another handler
                try:
                    _signal.signal(number, handler)
                except BaseException as error:  # of another signal's handler, which `signal` has run first
                    first = error if first is None else first
        deferred, self._pending = self._pending, []
        for number, frame in deferred:
            handler = _signal.getsignal(number)
            if callable(handler):
                try:
                    handler(number, frame)
                except BaseException as error:
                    first = error if first is None else first
        return first


cdef class TrainingClaim:
    """The right to train a net. One thread has it at a time.

    The owner may not claim the net again, so that a signal handler cannot train it in the middle of a training. Only
    while callbacks run, inside `in_callbacks()`, may the owner take single steps, load the net or set its values; a fit
    inside a fit is always refused (`refuse_nested_fit`).
    """

    cdef unsigned long _owner       # a thread, or 0
    cdef int _callback_depth        # how many callbacks run, one inside the other, in the current training
    cdef list _outer_depths         # the same for the outer trainings, in whose callbacks this one runs
    cdef object __weakref__

    def __cinit__(self):
        self._outer_depths = []
        instances[<size_t> <void *> self] = weakref.ref(self)

    def __dealloc__(self):
        instances.pop(<size_t> <void *> self, None)

    def acquire(self, blocking=False):
        """Claim the net for this thread. Return False if that is not possible. Never waits, whatever `blocking` is."""
        cdef unsigned long me = PyThread_get_thread_ident()
        if self._owner == 0:
            self._owner = me
        elif self._owner != me or not self._callback_depth:
            return False
        self._outer_depths.append(self._callback_depth)
        self._callback_depth = 0
        return True

    def release(self):
        """End this training's claim."""
        self._callback_depth = self._outer_depths.pop()
        if not self._outer_depths:
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
                     "a callback must not fit it, and a signal handler or a function of a layer or loss must not train "
                     "it")

    def refuse_nested_fit(self):
        """Raise RuntimeError if the net is being trained, also in a callback of the training."""
        if self._owner != 0:
            self._refuse()

    @property
    def taken(self):
        """Whether the net is being trained."""
        return self._owner != 0

    def refuse_change(self, str what, bint elsewhere=True):
        """Raise RuntimeError for a change during a training.

        The thread that trains may change the net in callbacks. With `elsewhere`, other threads may not change it.
        """
        if self._owner == 0 or self._callback_depth and self._owner == PyThread_get_thread_ident():
            return
        if self._owner == PyThread_get_thread_ident():
            refuse_state(f"{what} cannot be set by a signal handler or a function of a layer or loss while the net is "
                         "being trained", "set it in a callback, or after the training")
        if elsewhere:
            refuse_state(f"{what} cannot be set while the net is being trained in another thread",
                         "set it in a callback of that training, or after it")

    def in_callbacks(self):
        """Return a context for running callbacks."""
        return CallbackContext(self)

    def _forked(self):
        if self._owner != PyThread_get_thread_ident():
            self._owner, self._callback_depth, self._outer_depths = 0, 0, []


cdef class CallbackContext:
    """A context in which the thread that trains may take single steps, load the net or set its values."""

    cdef TrainingClaim _claim

    def __cinit__(self, TrainingClaim claim):
        self._claim = claim

    def __enter__(self):
        self._claim._callback_depth += 1

    def __exit__(self, *error):
        self._claim._callback_depth -= 1


def _after_fork_in_child():
    global main_thread
    main_thread = PyThread_get_thread_ident()
    for reference in list(instances.values()):
        instance = reference()
        if instance is not None:
            instance._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

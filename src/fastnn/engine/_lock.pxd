# _lock.pxd: a net's lock and counters, for the executor.

from libc.stdint cimport int64_t

cdef class Counter:
    cdef public int64_t value

cdef class NetLock:
    cdef dict _readers          # thread -> how many times it holds the lock to read
    cdef unsigned long _writer  # a thread, or 0
    cdef bint _has_written      # whether the writer may have changed the net
    cdef list _queue            # tickets of the threads that wait, in the order in which they are served
    cdef public object order_restorer
    cdef object __weakref__
    cdef bint is_at_rest(self) noexcept
    cdef bint _is_free(self, bint exclusive) noexcept
    cdef int _wait(self, unsigned long me, bint exclusive) except -1
    cdef int _wake(self) except -1
    cdef int acquire(self, bint exclusive, bint keep_panels=*, bint has_written=*) except -1
    cdef int release(self, bint exclusive) except -1

cdef class LockContext:
    cdef NetLock _lock
    cdef bint _exclusive
    cdef dict _handlers         # signal -> its handler, which `_defer` has replaced
    cdef list _pending          # deferred signals: number and frame
    cdef object _deferring_handler  # the bound method `_defer`
    cdef int enter(self, bint keep_panels) except -1
    cdef int leave(self) except -1
    cdef int _defer_signals(self) except -1
    cdef object _restore_handlers(self)

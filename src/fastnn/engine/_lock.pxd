# _lock.pxd: who reads and who writes a net, for the executor.

from libc.stdint cimport int64_t

cdef class Counter:
    cdef public int64_t value

cdef class NetLock:
    cdef dict _readers          # thread -> how many holds it has
    cdef unsigned long _writer  # a thread, or 0
    cdef bint _has_written            # whether the writer may have left the net half-changed
    cdef list _queue            # tickets of those that wait, in the order in which they are served
    cdef public object order_restorer
    cdef object __weakref__
    cdef bint _free(self, bint exclusive) noexcept
    cdef int _wait(self, unsigned long me, bint exclusive) except -1
    cdef int _wake(self) except -1
    cdef int acquire(self, bint exclusive, bint keep_order=*, bint has_written=*) except -1
    cdef int release(self, bint exclusive) except -1

cdef class Hold:
    cdef NetLock _lock
    cdef bint _exclusive
    cdef dict _handlers         # of signals, whose place `_defer` has taken
    cdef list _pending             # signals meanwhile
    cdef object _deferring_handler
    cdef int enter(self, bint keep_order) except -1
    cdef int leave(self) except -1
    cdef int _defer_signals(self) except -1
    cdef object _restore_handlers(self)

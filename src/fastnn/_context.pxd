# _context.pxd: the settings of a context, for compiled code.

cdef class Setting:
    cdef object _override
    cdef readonly object _default
    cdef object _find_default
    cdef public object before_threads

cdef bint backend_is_native() except -1
cdef int current_settings(bint *native, int *threads) except -1

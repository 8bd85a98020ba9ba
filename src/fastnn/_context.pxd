# _context.pxd: the settings of a context, for compiled code.

cdef class Setting:
    cdef readonly object _override
    cdef public object _default
    cdef public object on_several
    cdef object _find_default

cdef int current_settings(bint *native, int *threads) except -1

# _gather_cy.pxd: gathering the rows of a batch, for the engine.

from cpython.buffer cimport Py_buffer

from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef class Source:
    cdef Py_buffer view     # released with this object
    cdef int kind           # FNN_FLOAT32, FNN_FLOAT64 or FNN_UINT8
    cdef const char *data
    cdef fnn_size rows
    cdef fnn_size cols
    cdef fnn_size row_bytes
    cdef fnn_size col_bytes

cdef struct source:
    # A Source's memory as a struct, for code without the GIL. The Source must exist as long.
    int kind
    const char *data
    fnn_size cols
    fnn_size row_bytes
    fnn_size col_bytes

cdef source struct_of(Source array) noexcept
cdef void gather_rows(const fnn_kernels *kernels, const source *x, const int64_t *rows, fnn_size n, char *out,
                      fnn_size out_row, int threads) noexcept nogil

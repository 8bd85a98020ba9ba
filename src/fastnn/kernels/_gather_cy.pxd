# _gather_cy.pxd: an array that rows are taken from, for the engine.

from cpython.buffer cimport Py_buffer

from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef class Source:
    # A held view of a 2-D array of float32, float64 or uint8, any strides.
    cdef Py_buffer view
    cdef int kind
    cdef const char *data
    cdef fnn_size rows
    cdef fnn_size cols
    cdef fnn_size row_bytes
    cdef fnn_size col_bytes

cdef struct source:
    # The same without its owner, for code that holds no GIL.
    int kind
    const char *data
    fnn_size cols
    fnn_size row_bytes
    fnn_size col_bytes

cdef source plain(Source held) noexcept
cdef void gather_rows(const fnn_kernels *kernels, const source *x, const int64_t *rows, fnn_size n, char *out,
                      int threads) noexcept nogil

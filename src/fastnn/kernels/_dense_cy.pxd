# _dense_cy.pxd: sums of columns, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef void sum_columns(const fnn_kernels *kernels, const char *x, fnn_size rows, fnn_size cols, char *out,
                      int threads) noexcept nogil

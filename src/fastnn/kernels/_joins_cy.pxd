# _joins_cy.pxd: sums and products of two arrays and copies of columns, for the engine.

from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_run_of_columns, fnn_kernels, fnn_size

ctypedef void (*join_function)(const void *x, const void *x2, void *y, fnn_size n) noexcept nogil

# A copy of columns of x to columns of y, both without gaps between the rows.
cdef struct columns_copy:
    const fnn_kernels *kernels
    const char *x
    char *y
    fnn_size x_cols
    fnn_size y_cols
    fnn_size rows
    const fnn_run_of_columns *runs
    fnn_size n_runs
    bint clear              # first set all of y to 0

cdef fnn_size find_runs(const int64_t *columns, fnn_size n, bint put, fnn_run_of_columns *runs) noexcept nogil
cdef void copy_columns(columns_copy *c, int threads) noexcept nogil

# _numeric_cy.pxd: encodings of columns of numbers, and a factor for each column, over a whole batch, for the engine.

from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_kernels, fnn_size

# The encodings of n neighbouring columns of x, side by side in y.
cdef struct encoding:
    const fnn_kernels *kernels
    fnn_size rows
    const char *x
    fnn_size x_cols             # of x and dx
    fnn_size column             # the first that is encoded
    fnn_size n
    char *y
    fnn_size y_cols             # of y and dy
    const char *dy              # backward
    char *dx                    # changed: the gradients are added
    # piecewise linear: see kernels/_bins.py
    const char *table
    const int64_t *starts
    # periodic
    const char *frequencies     # k numbers of each column
    char *dfrequencies
    fnn_size k

# A factor for each column.
cdef struct column_factors:
    const fnn_kernels *kernels
    fnn_size rows
    fnn_size cols
    const char *x
    const char *scale
    char *y                     # forward
    const char *dy              # backward
    char *dx
    char *dscale

cdef void encode_piecewise_linear(encoding *e, int threads) noexcept nogil
cdef void piecewise_linear_gradients(encoding *e, int threads) noexcept nogil
cdef void encode_periodic(encoding *e, int threads) noexcept nogil
cdef void periodic_input_gradients(encoding *e, int threads) noexcept nogil
cdef void periodic_frequency_gradients(encoding *e, int threads) noexcept nogil
cdef void scale_all(column_factors *c, int threads) noexcept nogil
cdef void scale_gradients(column_factors *c, int threads) noexcept nogil

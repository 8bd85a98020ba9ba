# _scaling_cy.pxd: the numbers of a scaler, and what applies them to rows, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

# The numbers of a scaler, in the type of the kernels: an entry for each column, or NULL.
cdef struct scaling_numbers:
    bint given              # whether there is a scaler
    const char *center      # y = (x - center) * scale
    const char *scale
    const char *limit       # of smooth clipping
    const char *fill        # in place of NaN
    const char *quantiles   # n_quantiles for each column
    fnn_size n_quantiles

cdef void scale_rows(const fnn_kernels *kernels, const scaling_numbers *by, char *x, fnn_size cols, fnn_size rows,
                     const char *zeros) noexcept nogil
cdef int work_of_scaling(const scaling_numbers *by) noexcept nogil

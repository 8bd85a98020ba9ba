# _losses_cy.pxd: losses over a batch, for the engine.

from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef enum loss_kind:
    CROSS_ENTROPY
    BINARY_CROSS_ENTROPY
    SQUARED_ERROR

cdef struct loss_batch:
    const fnn_kernels *kernels
    loss_kind kind
    const char *z
    const int64_t *labels   # classes, or NULL
    const char *target      # rows as wide as z's, or NULL
    const double *weight    # a row's weight, or NULL for 1
    char *grad              # or NULL
    fnn_size rows
    fnn_size cols
    double *partial         # partials(rows) doubles
    double total_weight     # out

cdef fnn_size partials(fnn_size rows) noexcept nogil
cdef double mean_loss(loss_batch *batch, int threads) noexcept nogil

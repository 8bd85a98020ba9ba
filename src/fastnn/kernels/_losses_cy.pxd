# _losses_cy.pxd: losses over a batch, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_row_function, fnn_size

cdef struct loss_batch:
    const fnn_kernels *kernels
    int kind
    const char *z
    const char *target          # of the first row: an int64_t, or numbers
    fnn_size target_bytes       # from a row's target to the next one's
    const double *weight        # a row's weight, or NULL for 1
    const double *parameters    # of this kind, or NULL
    double value                # what the mean is multiplied by
    double slope                # what its derivatives are multiplied by
    char *grad                  # or NULL
    fnn_size rows
    fnn_size cols
    double *partial             # partials(rows) doubles
    double total_weight         # out

cdef struct rows_job:
    const fnn_row_function *function
    fnn_size itemsize
    const char *dy              # NULL for forward
    const char *x               # or, where dy is given, y
    char *out
    fnn_size rows
    fnn_size cols

cdef fnn_size partials(fnn_size rows) noexcept nogil
cdef double mean_loss(loss_batch *batch, int threads) noexcept nogil
cdef void run_row_function(rows_job *j, int threads) noexcept nogil

# _losses_cy.pxd: losses over a batch, and functions of rows (softmax), for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_row_function, fnn_size

cdef struct loss_batch:
    const fnn_kernels *kernels
    int kind
    const char *z
    const char *target          # of the first row: an int64_t, or a row of numbers
    fnn_size target_bytes       # from one row's target to the next
    const double *weight        # of each row, or NULL for 1
    const double *parameters    # of the loss, or NULL
    double value                # the factor of the mean
    double slope                # the factor of the derivatives
    char *grad                  # or NULL
    fnn_size rows
    fnn_size cols
    double *partial             # room for partials(rows) sums
    double total_weight         # set by mean_loss

cdef struct rows_job:
    const fnn_row_function *function
    fnn_size itemsize
    const char *dy              # NULL: forward
    const char *x               # with dy: y
    char *out
    fnn_size rows
    fnn_size cols

cdef fnn_size partials(fnn_size rows) noexcept nogil
cdef double mean_loss(loss_batch *batch, int threads) noexcept nogil
cdef void run_row_function(rows_job *j, int threads) noexcept nogil

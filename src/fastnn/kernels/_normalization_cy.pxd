# _normalization_cy.pxd: batch norm over a batch, and the norms of rows, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef struct wide_column:
    # A column whose mean or variance its type cannot represent: both in double, of its entries times `unit`.
    fnn_size column
    double unit
    double mean
    double var
    double inv_std
    double running          # the new running statistic, until those of all columns are computed

cdef struct norm:
    const fnn_kernels *kernels
    fnn_size rows
    fnn_size cols
    fnn_size strip          # columns of one task
    const char *x
    const char *gamma
    double eps
    char *mean
    char *var
    char *inv_std
    char *scale             # gamma * inv_std
    wide_column *wide       # set by norm_statistics, or NULL; norm_running and wide_rows read it; the caller frees it
    fnn_size n_wide
    # backward
    const char *dy
    char *dx
    char *dgamma
    char *dbeta

cdef struct row_norm:
    # Layer norm; without a mean, which is then NULL, root mean square norm.
    const fnn_kernels *kernels
    fnn_size rows
    fnn_size cols
    fnn_size each           # rows of one task
    const char *x
    const char *gamma
    const char *beta        # or NULL
    double eps
    char *out
    char *mean
    char *inv_std
    # backward
    const char *dy
    char *dx
    char *dgamma
    char *dbeta             # or NULL
    char *partial           # the sums of the tasks but the first

cdef void norm_statistics(norm *n, int threads) noexcept nogil
cdef void norm_gradients(norm *n, int threads) noexcept nogil
cdef void norm_scale(const fnn_kernels *kernels, const char *gamma, const char *var, double eps, char *inv_std,
                     char *scale, fnn_size n) noexcept nogil
cdef void norm_running(const norm *n, char *running_mean, char *running_var, double momentum) noexcept nogil
cdef void wide_rows(const norm *n, const char *beta, char *y, fnn_size first, fnn_size rows) noexcept nogil
cdef void row_norm_gradients(row_norm *n, int threads) noexcept nogil

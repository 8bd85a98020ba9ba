# _normalization_cy.pxd: batch norm over a batch, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef struct norm:
    const fnn_kernels *kernels
    fnn_size rows
    fnn_size cols
    fnn_size strip          # columns that a thread takes at once
    const char *x
    const char *gamma
    double eps
    char *mean
    char *var
    char *inv_std
    char *scale             # gamma * inv_std
    # backward
    const char *dy
    char *dx
    char *dgamma
    char *dbeta

cdef void norm_statistics(norm *n, int threads) noexcept nogil
cdef void norm_gradients(norm *n, int threads) noexcept nogil
cdef void norm_scale(const fnn_kernels *kernels, const char *gamma, const char *var, double eps, char *inv_std,
                     char *scale, fnn_size n) noexcept nogil
cdef void norm_running(const fnn_kernels *kernels, char *running_mean, char *running_var, const char *mean,
                       const char *var, double momentum, fnn_size rows, fnn_size n) noexcept nogil

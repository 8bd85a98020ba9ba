"""Batch norm over a batch.  Statistics and gradients are taken by strips of columns, each in one thread."""

from libc.math cimport sqrt
from libc.stdlib cimport free, malloc

from fastnn._fastnn cimport fnn_kernels, fnn_size
from fastnn._native cimport kernels_for, real, table
from fastnn.kernels._dense_cy cimport worth

cdef fnn_size STRIP = 64     # columns: whole vectors at every level
cdef fnn_size ROWS = 64


cdef void _scale(const real *gamma, const real *var, double eps, real *inv_std, real *scale, fnn_size n) noexcept nogil:
    cdef fnn_size j
    for j in range(n):
        inv_std[j] = <real> (1.0 / sqrt(<double> var[j] + eps))
        scale[j] = gamma[j] * inv_std[j]


cdef void norm_scale(const fnn_kernels *kernels, const char *gamma, const char *var, double eps, char *inv_std,
                     char *scale, fnn_size n) noexcept nogil:
    """inv_std = 1 / sqrt(var + eps); scale = gamma * inv_std"""
    if kernels.itemsize == sizeof(float):
        _scale(<const float *> gamma, <const float *> var, eps, <float *> inv_std, <float *> scale, n)
    else:
        _scale(<const double *> gamma, <const double *> var, eps, <double *> inv_std, <double *> scale, n)


cdef void _running(real *running_mean, real *running_var, const real *mean, const real *var, double momentum,
                   fnn_size rows, fnn_size n) noexcept nogil:
    cdef double unbias = <double> rows / (rows - 1) if rows > 1 else 1.0
    cdef fnn_size j
    for j in range(n):
        running_mean[j] = <real> ((1.0 - momentum) * running_mean[j] + momentum * mean[j])
        running_var[j] = <real> ((1.0 - momentum) * running_var[j] + momentum * (var[j] * unbias))


cdef void norm_running(const fnn_kernels *kernels, char *running_mean, char *running_var, const char *mean,
                       const char *var, double momentum, fnn_size rows, fnn_size n) noexcept nogil:
    """running = (1 - momentum) * running + momentum * batch, the variance unbiased"""
    if kernels.itemsize == sizeof(float):
        _running(<float *> running_mean, <float *> running_var, <const float *> mean, <const float *> var, momentum,
                 rows, n)
    else:
        _running(<double *> running_mean, <double *> running_var, <const double *> mean, <const double *> var,
                 momentum, rows, n)


cdef void statistics_strip(void *context, fnn_size index) noexcept nogil:
    cdef const norm *n = <const norm *> context
    cdef fnn_size first = index * STRIP, cols = min(STRIP, n.cols - index * STRIP), at = first * n.kernels.itemsize
    n.kernels.column_moments(n.x + at, n.cols, n.rows, cols, n.mean + at, n.var + at)
    norm_scale(n.kernels, n.gamma + at, n.var + at, n.eps, n.inv_std + at, n.scale + at, cols)


cdef void norm_statistics(norm *n, int threads) noexcept nogil:
    """mean, var, inv_std and scale of each column"""
    table.parallel(statistics_strip, n, (n.cols + STRIP - 1) // STRIP, worth(4.0 * n.rows * n.cols, threads))


cdef void gradient_strip(void *context, fnn_size index) noexcept nogil:
    cdef const norm *n = <const norm *> context
    cdef const fnn_kernels *kn = n.kernels
    cdef fnn_size first = index * STRIP, cols = min(STRIP, n.cols - index * STRIP), at = first * kn.itemsize
    kn.norm_reduce(n.dy + at, n.cols, n.x + at, n.cols, n.rows, cols, n.mean + at, n.inv_std + at, n.dbeta + at,
                   n.dgamma + at)
    kn.norm_backward(n.dy + at, n.cols, n.x + at, n.cols, n.dx + at, n.cols, n.rows, cols, n.rows, n.mean + at,
                     n.inv_std + at, n.gamma + at, n.dbeta + at, n.dgamma + at)


cdef void norm_gradients(norm *n, int threads) noexcept nogil:
    """dx, dgamma and dbeta"""
    table.parallel(gradient_strip, n, (n.cols + STRIP - 1) // STRIP, worth(8.0 * n.rows * n.cols, threads))


cdef struct affine_job:
    const fnn_kernels *kernels
    const char *x
    char *out
    fnn_size rows
    fnn_size cols
    const char *center
    const char *scale
    const char *shift


cdef void affine_rows(void *context, fnn_size index) noexcept nogil:
    cdef const affine_job *j = <const affine_job *> context
    cdef fnn_size first = index * ROWS, at = first * j.cols * j.kernels.itemsize
    j.kernels.affine(j.x + at, j.cols, j.out + at, j.cols, min(ROWS, j.rows - first), j.cols, j.center, j.scale,
                     j.shift)


cdef void affine_all(affine_job *j, int threads) noexcept nogil:
    table.parallel(affine_rows, j, (j.rows + ROWS - 1) // ROWS, worth(2.0 * j.rows * j.cols, threads))


def affine(const real[:, ::1] x, const real[::1] center, const real[::1] scale, const real[::1] shift,
           real[:, ::1] out, int threads):
    """out = (x - center) * scale + shift"""
    cdef affine_job j
    j.kernels, j.rows, j.cols = kernels_for(sizeof(real)), x.shape[0], x.shape[1]
    j.x, j.out = <const char *> &x[0, 0], <char *> &out[0, 0]
    j.center, j.scale, j.shift = <const char *> &center[0], <const char *> &scale[0], <const char *> &shift[0]
    with nogil:
        affine_all(&j, threads)


def batch_norm(const real[:, ::1] x, const real[::1] gamma, const real[::1] beta, double eps, real[:, ::1] out,
               real[::1] mean, real[::1] var, real[::1] inv_std, int threads):
    """out = gamma * (x - mean) * inv_std + beta by the batch's own mean and biased variance"""
    cdef norm n
    cdef affine_job j
    n.kernels, n.rows, n.cols, n.eps = kernels_for(sizeof(real)), x.shape[0], x.shape[1], eps
    n.x, n.gamma = <const char *> &x[0, 0], <const char *> &gamma[0]
    n.mean, n.var, n.inv_std = <char *> &mean[0], <char *> &var[0], <char *> &inv_std[0]
    n.scale = <char *> malloc((n.cols + 1) * sizeof(real))
    if n.scale is NULL:
        raise MemoryError("no memory for a batch norm's scale")
    j.kernels, j.rows, j.cols, j.x, j.out = n.kernels, n.rows, n.cols, n.x, <char *> &out[0, 0]
    j.center, j.scale, j.shift = n.mean, n.scale, <const char *> &beta[0]
    with nogil:
        norm_statistics(&n, threads)
        affine_all(&j, threads)
    free(n.scale)


def batch_norm_backward(const real[:, ::1] dy, const real[:, ::1] x, const real[::1] gamma, const real[::1] mean,
                        const real[::1] inv_std, real[:, ::1] out, real[::1] dgamma, real[::1] dbeta, int threads):
    """out = dx; dgamma = sum of dy * xhat; dbeta = sum of dy"""
    cdef norm n
    n.kernels, n.rows, n.cols = kernels_for(sizeof(real)), x.shape[0], x.shape[1]
    n.x, n.dy, n.gamma = <const char *> &x[0, 0], <const char *> &dy[0, 0], <const char *> &gamma[0]
    n.mean, n.inv_std, n.dx = <char *> &mean[0], <char *> &inv_std[0], <char *> &out[0, 0]
    n.dgamma, n.dbeta = <char *> &dgamma[0], <char *> &dbeta[0]
    with nogil:
        norm_gradients(&n, threads)

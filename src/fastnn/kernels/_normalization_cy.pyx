"""Batch norm over a batch.  Statistics and gradients are taken by strips of columns, each in one thread."""

from libc.math cimport sqrt
from libc.stdlib cimport free, malloc

from fastnn._fastnn cimport fnn_kernels, fnn_size
from fastnn._native cimport memory, memory_of, reading, real, table, writing
from fastnn.kernels._dense_cy cimport worth

# Columns that a thread takes: whole cache lines, and enough of them that rows are read in long runs.
cdef fnn_size STRIP = 1024
cdef fnn_size STRIP_UNIT = 64
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


cdef void _blend(real *running, const real *batch, double momentum, double factor, fnn_size n) noexcept nogil:
    cdef fnn_size j
    for j in range(n):
        running[j] = <real> ((1.0 - momentum) * running[j] + momentum * (factor * batch[j]))


cdef void blend(const fnn_kernels *kernels, char *running, const char *batch, double momentum, double factor,
                fnn_size n) noexcept nogil:
    if kernels.itemsize == sizeof(float):
        _blend(<float *> running, <const float *> batch, momentum, factor, n)
    else:
        _blend(<double *> running, <const double *> batch, momentum, factor, n)


cdef void norm_running(const fnn_kernels *kernels, char *running_mean, char *running_var, const char *mean,
                       const char *var, double momentum, fnn_size rows, fnn_size n) noexcept nogil:
    """running = (1 - momentum) * running + momentum * batch, the variance unbiased; either may be NULL"""
    if running_mean is not NULL:
        blend(kernels, running_mean, mean, momentum, 1.0, n)
    if running_var is not NULL:
        blend(kernels, running_var, var, momentum, <double> rows / (rows - 1) if rows > 1 else 1.0, n)


cdef fnn_size cut(norm *n, int threads) noexcept nogil:
    """Sets the width of strips, and returns their number."""
    cdef fnn_size units = (n.cols + STRIP_UNIT - 1) // STRIP_UNIT
    n.strip = min(STRIP, (units + threads - 1) // threads * STRIP_UNIT)
    return (n.cols + n.strip - 1) // n.strip if n.cols > 0 else 0


cdef void statistics_strip(void *context, fnn_size index) noexcept nogil:
    cdef const norm *n = <const norm *> context
    cdef fnn_size first = index * n.strip, cols = min(n.strip, n.cols - first), at = first * n.kernels.itemsize
    n.kernels.column_moments(n.x + at, n.cols, n.rows, cols, n.mean + at, n.var + at)
    norm_scale(n.kernels, n.gamma + at, n.var + at, n.eps, n.inv_std + at, n.scale + at, cols)


cdef void norm_statistics(norm *n, int threads) noexcept nogil:
    """mean, var, inv_std and scale of each column"""
    threads = worth(4.0 * n.rows * n.cols, threads)
    table.parallel(statistics_strip, n, cut(n, threads), threads)


cdef void gradient_strip(void *context, fnn_size index) noexcept nogil:
    cdef const norm *n = <const norm *> context
    cdef const fnn_kernels *kn = n.kernels
    cdef fnn_size first = index * n.strip, cols = min(n.strip, n.cols - first), at = first * kn.itemsize
    kn.norm_reduce(n.dy + at, n.cols, n.x + at, n.cols, n.rows, cols, n.mean + at, n.inv_std + at, n.dbeta + at,
                   n.dgamma + at)
    kn.norm_backward(n.dy + at, n.cols, n.x + at, n.cols, n.dx + at, n.cols, n.rows, cols, n.rows, n.mean + at,
                     n.inv_std + at, n.gamma + at, n.dbeta + at, n.dgamma + at)


cdef void norm_gradients(norm *n, int threads) noexcept nogil:
    """dx, dgamma and dbeta"""
    threads = worth(8.0 * n.rows * n.cols, threads)
    table.parallel(gradient_strip, n, cut(n, threads), threads)


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


def affine(x, center, scale, shift, out, int threads):
    """out = (x - center) * scale + shift"""
    cdef memory m = memory_of(x)
    cdef affine_job j
    j.kernels, j.rows, j.cols, j.x, j.out = m.kernels, m.rows, m.cols, m.data, writing(out, &m)
    j.center, j.scale, j.shift = reading(center, &m), reading(scale, &m), reading(shift, &m)
    with nogil:
        affine_all(&j, threads)


def batch_norm(x, gamma, beta, double eps, out, mean, var, inv_std, running_mean, running_var, double momentum,
               int threads):
    """out = gamma * (x - mean) * inv_std + beta by the batch's own mean and biased variance, which is also what the
    running statistics, arrays or None, move towards, the variance unbiased"""
    cdef memory m = memory_of(x)
    cdef norm n
    cdef affine_job j
    n.kernels, n.rows, n.cols, n.x, n.eps, n.gamma = m.kernels, m.rows, m.cols, m.data, eps, reading(gamma, &m)
    n.mean, n.var, n.inv_std = writing(mean, &m), writing(var, &m), writing(inv_std, &m)
    j.kernels, j.rows, j.cols, j.x, j.out = n.kernels, n.rows, n.cols, n.x, writing(out, &m)
    j.center, j.shift = n.mean, reading(beta, &m)
    cdef char *moving_mean = writing(running_mean, &m)
    cdef char *moving_var = writing(running_var, &m)
    n.scale = <char *> malloc((n.cols + 1) * m.kernels.itemsize)
    if n.scale is NULL:
        raise MemoryError("no memory for a batch norm's scale")
    j.scale = n.scale
    with nogil:
        norm_statistics(&n, threads)
        norm_running(n.kernels, moving_mean, moving_var, n.mean, n.var, momentum, n.rows, n.cols)
        affine_all(&j, threads)
    free(n.scale)


def batch_norm_backward(dy, x, gamma, mean, inv_std, out, dgamma, dbeta, int threads):
    """out = dx; dgamma = sum of dy * xhat; dbeta = sum of dy"""
    cdef memory m = memory_of(x)
    cdef norm n
    n.kernels, n.rows, n.cols, n.x = m.kernels, m.rows, m.cols, m.data
    n.dy, n.gamma, n.mean, n.inv_std = reading(dy, &m), reading(gamma, &m), reading(mean, &m), reading(inv_std, &m)
    n.dx, n.dgamma, n.dbeta = writing(out, &m), writing(dgamma, &m), writing(dbeta, &m)
    with nogil:
        norm_gradients(&n, threads)

"""Batch norm over a batch: statistics and gradients, in strips of columns, each in one thread; the affine map.
Layer norm and root mean square norm: rows and their gradients, in runs of rows, each in one thread.

The square of a float32 overflows from 1.8e19 on. A "wide" column, whose sums are not finite or whose variance loses
digits below the normal numbers, is computed again in double, one entry after the other.
"""

from libc.float cimport FLT_MIN
from libc.math cimport fabs, isfinite, ldexp, sqrt
from libc.stdlib cimport free, malloc

from fastnn._fastnn cimport FNN_SCRATCH, fnn_kernels, fnn_size
from fastnn._native cimport memory, memory_of, reading, real, reserve_scratch, table, writing
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION, WORK_OF_MAP, WORK_OF_TWO_PASSES, threads_for

from fastnn._validation import refuse_memory

# The width of a strip, one thread's task: a multiple of STRIP_UNIT, whole cache lines, up to STRIP columns, so that
# rows are read in long runs (docs/decisions, 9, compares widths).
cdef fnn_size STRIP = 1024
cdef fnn_size STRIP_UNIT = 64
# Rows of one task of the affine map.
cdef fnn_size ROWS = 64

# A column with a larger entry is multiplied by 2^-600, as the squares may overflow in double too.
cdef double LARGE = 1e140
cdef enum:
    LARGE_EXPONENT = -600


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


cdef double unbiased(const norm *n) noexcept nogil:
    """Return the factor that makes a biased variance unbiased."""
    return <double> n.rows / (n.rows - 1) if n.rows > 1 else 1.0


cdef void _blend(const norm *n, real *running, const real *batch, bint squares, double momentum,
                 double factor) noexcept nogil:
    cdef fnn_size i, j
    cdef wide_column *w
    for i in range(n.n_wide):
        w = &n.wide[i]
        w.running = momentum * (factor * (w.var if squares else w.mean)) / w.unit / (w.unit if squares else 1.0)
        w.running += (1.0 - momentum) * running[w.column]
    for j in range(n.cols):
        running[j] = <real> ((1.0 - momentum) * running[j] + momentum * (factor * batch[j]))
    for i in range(n.n_wide):
        running[n.wide[i].column] = <real> n.wide[i].running


cdef void blend(const norm *n, char *running, const char *batch, bint squares, double momentum,
                double factor) noexcept nogil:
    if n.kernels.itemsize == sizeof(float):
        _blend(n, <float *> running, <const float *> batch, squares, momentum, factor)
    else:
        _blend(n, <double *> running, <const double *> batch, squares, momentum, factor)


cdef void norm_running(const norm *n, char *running_mean, char *running_var, double momentum) noexcept nogil:
    """running = (1 - momentum) * running + momentum * batch, the variance unbiased; either may be NULL"""
    if running_mean is not NULL:
        blend(n, running_mean, n.mean, False, momentum, 1.0)
    if running_var is not NULL:
        blend(n, running_var, n.var, True, momentum, unbiased(n))


cdef fnn_size cut_strips(norm *n, int threads) noexcept nogil:
    """Set the width of strips and return their number."""
    cdef fnn_size units = (n.cols + STRIP_UNIT - 1) // STRIP_UNIT
    n.strip = min(STRIP, (units + threads - 1) // threads * STRIP_UNIT)
    return (n.cols + n.strip - 1) // n.strip if n.cols > 0 else 0


cdef void statistics_strip(void *context, fnn_size index) noexcept nogil:
    cdef const norm *n = <const norm *> context
    cdef fnn_size first = index * n.strip, cols = min(n.strip, n.cols - first), offset = first * n.kernels.itemsize
    n.kernels.column_moments(n.x + offset, n.cols, n.rows, cols, n.mean + offset, n.var + offset)
    norm_scale(n.kernels, n.gamma + offset, n.var + offset, n.eps, n.inv_std + offset, n.scale + offset, cols)


cdef bint _is_wide(double var, double eps, real *of_type) noexcept nogil:
    """Whether a variance is not finite or, in float32, has lost digits below the normal numbers."""
    return not (isfinite(var) and (sizeof(of_type[0]) != sizeof(float) or var + eps >= FLT_MIN))


cdef bint _moments(const norm *n, const real *x, wide_column *w) noexcept nogil:
    """Compute a column's mean and variance in double. False if an entry is not finite."""
    cdef fnn_size i
    cdef double largest = 0.0, first, total = 0.0, squares = 0.0, d
    for i in range(n.rows):
        if not isfinite(x[i * n.cols]):
            return False
        largest = max(largest, fabs(<double> x[i * n.cols]))
    w.unit = ldexp(1.0, LARGE_EXPONENT) if largest > LARGE else 1.0
    first = x[0] * w.unit
    for i in range(n.rows):
        total += x[i * n.cols] * w.unit - first
    w.mean = first + total / n.rows
    for i in range(n.rows):
        d = x[i * n.cols] * w.unit - w.mean
        squares += d * d
    w.var = squares / n.rows
    w.inv_std = 1.0 / sqrt(w.var + n.eps * w.unit * w.unit)
    return True


cdef void _find_wide(norm *n, const real *x, const real *gamma, real *mean, real *var, real *inv_std,
                     real *scale) noexcept nogil:
    cdef fnn_size j, count = 0
    cdef wide_column *w
    for j in range(n.cols):
        count += _is_wide(var[j], n.eps, var)
    if count == 0:
        return
    n.wide = <wide_column *> malloc(count * sizeof(wide_column))
    if n.wide is NULL:
        return  # without memory these columns stay as they are
    for j in range(n.cols):
        w = &n.wide[n.n_wide]
        if not _is_wide(var[j], n.eps, var) or not _moments(n, x + j, w):
            continue
        w.column = j
        mean[j], var[j] = <real> (w.mean / w.unit), <real> (w.var / w.unit / w.unit)
        inv_std[j] = <real> (w.unit * w.inv_std)
        scale[j] = gamma[j] * inv_std[j]
        n.n_wide += 1


cdef void norm_statistics(norm *n, int threads) noexcept nogil:
    """Compute mean, var, inv_std and scale of each column, and list the wide columns."""
    threads = threads_for(<double> WORK_OF_TWO_PASSES * n.rows * n.cols, threads)
    table.parallel(statistics_strip, n, cut_strips(n, threads), threads)
    n.wide, n.n_wide = NULL, 0
    if n.kernels.itemsize == sizeof(float):
        _find_wide(n, <const float *> n.x, <const float *> n.gamma, <float *> n.mean, <float *> n.var,
                   <float *> n.inv_std, <float *> n.scale)
    else:
        _find_wide(n, <const double *> n.x, <const double *> n.gamma, <double *> n.mean, <double *> n.var,
                   <double *> n.inv_std, <double *> n.scale)


cdef void _wide_rows(const norm *n, const real *x, const real *gamma, const real *beta, real *y, fnn_size first,
                     fnn_size rows) noexcept nogil:
    cdef fnn_size i, k, offset
    cdef const wide_column *w
    for k in range(n.n_wide):
        w = &n.wide[k]
        for i in range(first, first + rows):
            offset = i * n.cols + w.column
            y[offset] = <real> ((x[offset] * w.unit - w.mean) * w.inv_std * gamma[w.column] + beta[w.column])


cdef void wide_rows(const norm *n, const char *beta, char *y, fnn_size first, fnn_size rows) noexcept nogil:
    """Compute rows first..first+rows of y for the wide columns."""
    if n.kernels.itemsize == sizeof(float):
        _wide_rows(n, <const float *> n.x, <const float *> n.gamma, <const float *> beta, <float *> y, first, rows)
    else:
        _wide_rows(n, <const double *> n.x, <const double *> n.gamma, <const double *> beta, <double *> y, first, rows)


cdef void backward_columns(const norm *n, fnn_size first, fnn_size cols) noexcept nogil:
    cdef fnn_size offset = first * n.kernels.itemsize
    if cols > 0:
        n.kernels.norm_backward(n.dy + offset, n.cols, n.x + offset, n.cols, n.dx + offset, n.cols, n.rows, cols,
                                n.rows, n.mean + offset, n.inv_std + offset, n.gamma + offset, n.dbeta + offset,
                                n.dgamma + offset)


cdef double _x_hat(real x, real mean, real inv_std) noexcept nogil:
    """Return (x - mean) * inv_std. The difference may exceed the range of double, a quarter of it does not."""
    return (0.25 * <double> x - 0.25 * <double> mean) * inv_std * 4.0


cdef bint _wide_gradient(const norm *n, fnn_size j, const real *dy, const real *x, const real *gamma, const real *mean,
                         const real *inv_std, real *dx, real *dgamma, real *dbeta) noexcept nogil:
    """Compute a column's gradients in double if its sums overflowed; False if not, or if an entry is not finite."""
    cdef fnn_size i, offset
    cdef double sum_dy = 0.0, sum_dy_x_hat = 0.0, slope
    if isfinite(dgamma[j]) and isfinite(dbeta[j]):
        return False
    for i in range(n.rows):
        offset = i * n.cols + j
        if not (isfinite(dy[offset]) and isfinite(x[offset])):
            return False
        sum_dy += dy[offset]
        sum_dy_x_hat += dy[offset] * _x_hat(x[offset], mean[j], inv_std[j])
    dgamma[j], dbeta[j] = <real> sum_dy_x_hat, <real> sum_dy
    for i in range(n.rows):
        offset = i * n.cols + j
        slope = dy[offset] - sum_dy / n.rows - _x_hat(x[offset], mean[j], inv_std[j]) * (sum_dy_x_hat / n.rows)
        dx[offset] = <real> (<double> gamma[j] * inv_std[j] * slope)
    return True


cdef bint wide_gradient(const norm *n, fnn_size j) noexcept nogil:
    if n.kernels.itemsize == sizeof(float):
        return _wide_gradient(n, j, <const float *> n.dy, <const float *> n.x, <const float *> n.gamma,
                              <const float *> n.mean, <const float *> n.inv_std, <float *> n.dx, <float *> n.dgamma,
                              <float *> n.dbeta)
    return _wide_gradient(n, j, <const double *> n.dy, <const double *> n.x, <const double *> n.gamma,
                          <const double *> n.mean, <const double *> n.inv_std, <double *> n.dx, <double *> n.dgamma,
                          <double *> n.dbeta)


cdef void gradient_strip(void *context, fnn_size index) noexcept nogil:
    cdef const norm *n = <const norm *> context
    cdef const fnn_kernels *kn = n.kernels
    cdef fnn_size first = index * n.strip, cols = min(n.strip, n.cols - first), offset = first * kn.itemsize, j
    kn.norm_reduce(n.dy + offset, n.cols, n.x + offset, n.cols, n.rows, cols, n.mean + offset, n.inv_std + offset,
                   n.dbeta + offset, n.dgamma + offset)
    for j in range(first, first + cols):
        if wide_gradient(n, j):  # dx may be dy, so each column is written only once
            backward_columns(n, first, j - first)
            cols -= j + 1 - first
            first = j + 1
    backward_columns(n, first, cols)


cdef void norm_gradients(norm *n, int threads) noexcept nogil:
    """Compute dx, dgamma and dbeta."""
    threads = threads_for(<double> WORK_OF_FUNCTION * n.rows * n.cols, threads)
    table.parallel(gradient_strip, n, cut_strips(n, threads), threads)


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
    cdef fnn_size first = index * ROWS, offset = first * j.cols * j.kernels.itemsize
    j.kernels.affine(j.x + offset, j.cols, j.out + offset, j.cols, min(ROWS, j.rows - first), j.cols, j.center, j.scale,
                     j.shift)


cdef void affine_all(affine_job *j, int threads) noexcept nogil:
    if j.cols > 0:
        table.parallel(affine_rows, j, (j.rows + ROWS - 1) // ROWS,
                       threads_for(<double> WORK_OF_MAP * j.rows * j.cols, threads))


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
    """out = gamma * (x - mean) * inv_std + beta, with the batch's mean and biased variance

    The running statistics, arrays or None, move towards the batch's mean and unbiased variance.
    """
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
        refuse_memory("a batch norm's scale")
    j.scale = n.scale
    with nogil:
        norm_statistics(&n, threads)
        norm_running(&n, moving_mean, moving_var, momentum)
        affine_all(&j, threads)
        wide_rows(&n, j.shift, j.out, 0, n.rows)
    free(n.wide)
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


# ---- each row by its own statistics: layer norm, and root mean square norm, which has no mean ----

cdef enum:
    # Elements of one task, and the fewest rows of one: each task has sums of dgamma and dbeta of its own.
    TASK_ELEMENTS = 16384
    LEAST_ROWS = 64


cdef void norm_some_rows(void *context, fnn_size index) noexcept nogil:
    cdef const row_norm *n = <const row_norm *> context
    cdef fnn_size first = index * n.each, size = n.kernels.itemsize, offset = first * n.cols * size
    n.kernels.row_norm(n.mean is not NULL, n.x + offset, n.out + offset, min(n.each, n.rows - first), n.cols, n.gamma,
                       n.beta, n.eps, NULL if n.mean is NULL else n.mean + first * size, n.inv_std + first * size)


cdef void row_norm_values(row_norm *n, int threads) noexcept nogil:
    """Compute out, inv_std and, unless it is NULL, mean of all rows."""
    n.each = max(LEAST_ROWS, TASK_ELEMENTS // max(1, n.cols))
    table.parallel(norm_some_rows, n, (n.rows + n.each - 1) // n.each,
                   threads_for(<double> WORK_OF_TWO_PASSES * n.rows * n.cols, threads))


cdef void some_row_gradients(void *context, fnn_size index) noexcept nogil:
    """Compute dx of one task's rows, and what they add to dgamma and dbeta: for the first task in those themselves."""
    cdef const row_norm *n = <const row_norm *> context
    cdef fnn_size first = index * n.each, size = n.kernels.itemsize, offset = first * n.cols * size
    cdef char *dgamma = n.dgamma if index == 0 else n.partial + (2 * index - 2) * n.cols * size
    cdef char *dbeta = n.dbeta if index == 0 or n.dbeta is NULL else dgamma + n.cols * size
    n.kernels.row_norm_backward(n.dy + offset, n.x + offset, n.dx + offset, min(n.each, n.rows - first), n.cols,
                                n.gamma, NULL if n.mean is NULL else n.mean + first * size,
                                n.inv_std + first * size, dgamma, dbeta)


cdef void row_norm_gradients(row_norm *n, int threads) noexcept nogil:
    """Compute dx, dgamma and, unless it is NULL, dbeta.

    The number of tasks depends on the shape alone, and their sums are added in order. They are in this thread's scratch
    memory, which the caller has reserved and which limits their number.
    """
    cdef fnn_size size = n.cols * n.kernels.itemsize, task
    cdef fnn_size most = 1 + <fnn_size> FNN_SCRATCH // (2 * max(1, size))
    n.each = max(LEAST_ROWS, TASK_ELEMENTS // max(1, n.cols), (n.rows + most - 1) // most)
    n.each += n.each & 1  # csrc takes rows in pairs
    cdef fnn_size tasks = max(1, (n.rows + n.each - 1) // n.each)
    n.partial = <char *> table.scratch()
    table.parallel(some_row_gradients, n, tasks,
                   threads_for(<double> WORK_OF_FUNCTION * n.rows * n.cols, threads))
    for task in range(tasks - 1):
        n.kernels.add(n.dgamma, n.partial + 2 * task * size, n.dgamma, n.cols)
        if n.dbeta is not NULL:
            n.kernels.add(n.dbeta, n.partial + (2 * task + 1) * size, n.dbeta, n.cols)


cdef int _normalise_rows(x, gamma, beta, double eps, out, mean, inv_std, int threads) except -1:
    cdef memory m = memory_of(x)
    cdef row_norm n
    n.kernels, n.rows, n.cols, n.x, n.eps = m.kernels, m.rows, m.cols, m.data, eps
    n.gamma, n.beta = reading(gamma, &m), reading(beta, &m)
    n.out, n.mean, n.inv_std = writing(out, &m), writing(mean, &m), writing(inv_std, &m)
    with nogil:
        row_norm_values(&n, threads)
    return 0


cdef int _row_gradients(dy, x, gamma, mean, inv_std, out, dgamma, dbeta, int threads) except -1:
    cdef memory m = memory_of(x)
    cdef row_norm n
    n.kernels, n.rows, n.cols, n.x = m.kernels, m.rows, m.cols, m.data
    n.dy, n.gamma, n.mean, n.inv_std = reading(dy, &m), reading(gamma, &m), reading(mean, &m), reading(inv_std, &m)
    n.dx, n.dgamma, n.dbeta = writing(out, &m), writing(dgamma, &m), writing(dbeta, &m)
    reserve_scratch()
    with nogil:
        row_norm_gradients(&n, threads)
    return 0


def layer_norm(x, gamma, beta, double eps, out, mean, inv_std, int threads):
    """out = (x - mean) * inv_std * gamma + beta, with each row's mean and biased variance; beta may be None"""
    _normalise_rows(x, gamma, beta, eps, out, mean, inv_std, threads)


def layer_norm_backward(dy, x, gamma, mean, inv_std, out, dgamma, dbeta, int threads):
    """out = dx; dgamma = sum of dy * xhat; dbeta = sum of dy"""
    _row_gradients(dy, x, gamma, mean, inv_std, out, dgamma, dbeta, threads)


def rms_norm(x, gamma, double eps, out, inv_rms, int threads):
    """out = x * inv_rms * gamma, with each row's mean square"""
    _normalise_rows(x, gamma, None, eps, out, None, inv_rms, threads)


def rms_norm_backward(dy, x, gamma, inv_rms, out, dgamma, int threads):
    """out = dx; dgamma = sum of dy * xhat"""
    _row_gradients(dy, x, gamma, None, inv_rms, out, dgamma, None, threads)

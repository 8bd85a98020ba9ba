"""What scalers of columns do: they fill NaN, clip smoothly, map quantiles to the normal, in parts for the threads."""

from fastnn._fastnn cimport fnn_size
from fastnn._native cimport memory, memory_of, reading, table, writing
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION, WORK_OF_MAP, ceil_div, threads_for

cdef enum:
    WORK_OF_QUANTILES = 64  # a binary search with wrong predictions, and two polynomials
    PIECE = 1 << 14         # elements of one task


cdef void scale_rows(const fnn_kernels *kernels, const scaling_numbers *by, char *x, fnn_size cols, fnn_size rows,
                     const char *zeros) noexcept nogil:
    """Scale rows in place; `zeros` are as many as columns."""
    if by.fill is not NULL:
        kernels.fill_nan(x, cols, x, cols, rows, cols, by.fill)
    if by.quantiles is not NULL:
        kernels.quantile_normal(x, cols, x, cols, rows, cols, by.quantiles, by.n_quantiles)
    if by.center is not NULL:
        kernels.affine(x, cols, x, cols, rows, cols, by.center, by.scale, zeros)
    if by.limit is not NULL:
        kernels.smooth_clip(x, cols, x, cols, rows, cols, by.limit)


cdef int work_of_scaling(const scaling_numbers *by) noexcept nogil:
    """Return the work for one element."""
    cdef int work = WORK_OF_MAP
    if by.quantiles is not NULL:
        work += WORK_OF_QUANTILES
    return work if by.limit is NULL else work + WORK_OF_FUNCTION


cdef struct scaling_job:
    const scaling_numbers *by
    const memory *x
    char *out


cdef fnn_size rows_of_a_task(const memory *x) noexcept nogil:
    return max(1, PIECE // max(1, x.cols))


cdef void scale_piece(void *context, fnn_size index) noexcept nogil:
    """Apply the one thing that is given to the rows of a task."""
    cdef const scaling_job *j = <const scaling_job *> context
    cdef fnn_size cols = j.x.cols, each = rows_of_a_task(j.x), first = index * each, rows = min(each, j.x.rows - first)
    cdef fnn_size bytes = first * cols * j.x.kernels.itemsize
    if j.by.fill is not NULL:
        j.x.kernels.fill_nan(j.x.data + bytes, cols, j.out + bytes, cols, rows, cols, j.by.fill)
    elif j.by.limit is not NULL:
        j.x.kernels.smooth_clip(j.x.data + bytes, cols, j.out + bytes, cols, rows, cols, j.by.limit)
    else:
        j.x.kernels.quantile_normal(j.x.data + bytes, cols, j.out + bytes, cols, rows, cols, j.by.quantiles,
                                    j.by.n_quantiles)


cdef int apply_scaling(const memory *x, const scaling_numbers *by, out, int threads) except -1:
    cdef scaling_job j
    j.by, j.x, j.out = by, x, writing(out, x)
    if x.cols > 0:
        with nogil:
            table.parallel(scale_piece, &j, ceil_div(x.rows, rows_of_a_task(x)),
                           threads_for(<double> work_of_scaling(by) * x.rows * x.cols, threads))
    return 0


cdef scaling_numbers no_scaling() noexcept:
    cdef scaling_numbers by
    by.given, by.n_quantiles = False, 0
    by.center = by.scale = by.limit = by.fill = by.quantiles = NULL
    return by


def fill_nan(x, fill, out, int threads):
    """out = x, or the column's fill where x is NaN"""
    cdef memory m = memory_of(x)
    cdef scaling_numbers by = no_scaling()
    by.fill = reading(fill, &m)
    apply_scaling(&m, &by, out, threads)


def smooth_clip(x, limit, out, int threads):
    """out = x / sqrt(1 + (x / limit)^2)"""
    cdef memory m = memory_of(x)
    cdef scaling_numbers by = no_scaling()
    by.limit = reading(limit, &m)
    apply_scaling(&m, &by, out, threads)


def quantile_normal(x, quantiles, out, int threads):
    """out = the normal distribution's quantile of the share of each column below x; there is a row for each column"""
    cdef memory m = memory_of(x)
    cdef scaling_numbers by = no_scaling()
    by.quantiles, by.n_quantiles = reading(quantiles, &m), quantiles.shape[1]
    apply_scaling(&m, &by, out, threads)

"""Encodings of columns of numbers, and factors of columns: tasks are groups of rows, or strips for sums over rows."""

from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_bins, fnn_size
from fastnn._native cimport memory, memory_of, reading, table, writing
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION, WORK_OF_MAP, WORK_OF_TWO_PASSES, ceil_div, threads_for

from fastnn.kernels._bins import table as bin_table

cdef fnn_size PIECE = 1 << 12    # elements of one task
cdef fnn_size STRIP = 64         # columns of a strip: whole vectors at every level

ctypedef void (*task_run)(void *context, fnn_size index) noexcept nogil


# ---- the rows of a task ----

cdef fnn_size rows_of_a_task(const encoding *e) noexcept nogil:
    return max(1, PIECE // max(1, e.y_cols))


cdef encoding part(const encoding *e, fnn_size index) noexcept nogil:
    """Return the encoding of a task's rows; x and dx begin at the first column."""
    cdef encoding p = e[0]
    cdef fnn_size each = rows_of_a_task(e), first = index * each, size = e.kernels.itemsize
    cdef fnn_size of_x = (first * e.x_cols + e.column) * size, of_y = first * e.y_cols * size
    p.rows = min(each, e.rows - first)
    if e.x is not NULL:
        p.x = e.x + of_x
    if e.dx is not NULL:
        p.dx = e.dx + of_x
    p.y = e.y + of_y
    if e.dy is not NULL:
        p.dy = e.dy + of_y
    return p


cdef void encode_by_rows(encoding *e, task_run run, int work, int threads) noexcept nogil:
    table.parallel(run, e, ceil_div(e.rows, rows_of_a_task(e)), threads_for(<double> work * e.rows * e.y_cols, threads))


# ---- piecewise linear ----

cdef fnn_bins bins_of(const encoding *e, fnn_size j) noexcept nogil:
    """Return the bins of a column: parts of the four rows of the table."""
    cdef fnn_size row = e.starts[e.n] * e.kernels.itemsize
    cdef const char *first = e.table + e.starts[j] * e.kernels.itemsize
    cdef fnn_bins bins
    bins.n = e.starts[j + 1] - e.starts[j]
    bins.left, bins.scale, bins.lower, bins.upper = first, first + row, first + 2 * row, first + 3 * row
    return bins


cdef void piecewise_linear_rows(void *context, fnn_size index) noexcept nogil:
    cdef encoding p = part(<const encoding *> context, index)
    cdef fnn_size size = p.kernels.itemsize, j
    cdef fnn_bins bins
    for j in range(p.n):
        bins = bins_of(&p, j)
        p.kernels.piecewise_linear(p.x + j * size, p.x_cols, p.y + p.starts[j] * size, p.y_cols, p.rows, &bins)


cdef void encode_piecewise_linear(encoding *e, int threads) noexcept nogil:
    """Compute y."""
    encode_by_rows(e, piecewise_linear_rows, WORK_OF_TWO_PASSES, threads)


cdef void piecewise_linear_backward_rows(void *context, fnn_size index) noexcept nogil:
    cdef encoding p = part(<const encoding *> context, index)
    cdef fnn_size size = p.kernels.itemsize, j
    cdef fnn_bins bins
    for j in range(p.n):
        bins = bins_of(&p, j)
        p.kernels.piecewise_linear_backward(p.dy + p.starts[j] * size, p.y_cols, p.x + j * size, p.dx + j * size,
                                            p.x_cols, p.rows, &bins)


cdef void piecewise_linear_gradients(encoding *e, int threads) noexcept nogil:
    """Add the gradients of the columns to dx."""
    encode_by_rows(e, piecewise_linear_backward_rows, WORK_OF_MAP, threads)


# ---- periodic ----

cdef void periodic_rows(void *context, fnn_size index) noexcept nogil:
    cdef encoding p = part(<const encoding *> context, index)
    cdef fnn_size size = p.kernels.itemsize, j
    for j in range(p.n):
        p.kernels.periodic(p.x + j * size, p.x_cols, p.y + 2 * j * p.k * size, p.y_cols, p.rows, p.k,
                           p.frequencies + j * p.k * size)


cdef void encode_periodic(encoding *e, int threads) noexcept nogil:
    """Compute y."""
    encode_by_rows(e, periodic_rows, WORK_OF_FUNCTION, threads)


cdef void periodic_input_rows(void *context, fnn_size index) noexcept nogil:
    cdef encoding p = part(<const encoding *> context, index)
    cdef fnn_size size = p.kernels.itemsize, j, offset
    for j in range(p.n):
        offset = 2 * j * p.k * size
        p.kernels.periodic_grad_input(p.dy + offset, p.y + offset, p.y_cols, p.dx + j * size, p.x_cols, p.rows, p.k,
                                      p.frequencies + j * p.k * size)


cdef void periodic_input_gradients(encoding *e, int threads) noexcept nogil:
    """Add the gradients of the columns to dx."""
    encode_by_rows(e, periodic_input_rows, WORK_OF_TWO_PASSES, threads)


cdef void periodic_frequency_strip(void *context, fnn_size index) noexcept nogil:
    """Compute the gradients by some frequencies of one column, whose rows are added in ascending order."""
    cdef const encoding *e = <const encoding *> context
    cdef fnn_size strips = ceil_div(e.k, STRIP), j = index // strips, first = index % strips * STRIP
    cdef fnn_size size = e.kernels.itemsize, offset = (2 * j * e.k + first) * size
    e.kernels.periodic_grad_frequencies(e.dy + offset, e.y + offset, e.y_cols, e.x + (e.column + j) * size, e.x_cols,
                                        e.rows, e.k, min(STRIP, e.k - first), e.dfrequencies + (j * e.k + first) * size)


cdef void periodic_frequency_gradients(encoding *e, int threads) noexcept nogil:
    """Compute dfrequencies."""
    table.parallel(periodic_frequency_strip, e, e.n * ceil_div(e.k, STRIP),
                   threads_for(<double> WORK_OF_TWO_PASSES * e.rows * e.y_cols, threads))


# ---- a factor for each column ----

cdef fnn_size rows_of_factors(const column_factors *c) noexcept nogil:
    return max(1, PIECE // max(1, c.cols))


cdef void scale_rows(void *context, fnn_size index) noexcept nogil:
    cdef const column_factors *c = <const column_factors *> context
    cdef fnn_size each = rows_of_factors(c), first = index * each, offset = first * c.cols * c.kernels.itemsize
    c.kernels.scale_columns(c.x + offset, c.y + offset, min(each, c.rows - first), c.cols, c.scale)


cdef void scale_all(column_factors *c, int threads) noexcept nogil:
    """Compute y."""
    if c.cols == 0:
        return
    table.parallel(scale_rows, c, ceil_div(c.rows, rows_of_factors(c)),
                   threads_for(<double> WORK_OF_MAP * c.rows * c.cols, threads))


cdef void scale_strip(void *context, fnn_size index) noexcept nogil:
    cdef const column_factors *c = <const column_factors *> context
    cdef fnn_size first = index * STRIP, offset = first * c.kernels.itemsize
    c.kernels.scale_columns_backward(c.dy + offset, c.x + offset, c.dx + offset, c.cols, c.rows,
                                     min(STRIP, c.cols - first), c.scale + offset, c.dscale + offset)


cdef void scale_gradients(column_factors *c, int threads) noexcept nogil:
    """Compute dx and dscale."""
    table.parallel(scale_strip, c, ceil_div(c.cols, STRIP),
                   threads_for(<double> WORK_OF_TWO_PASSES * c.rows * c.cols, threads))


# ---- functions for kernels/numeric.py ----

cdef encoding encoding_of_matrices(const memory *x, const memory *y) noexcept:
    """Return the encoding of all columns of x, or of a matrix of its shape."""
    cdef encoding e
    e.kernels, e.x_cols, e.column, e.n, e.y, e.y_cols = x.kernels, x.cols, 0, x.cols, y.data, y.cols
    e.rows = x.rows if x.cols > 0 else 0    # a matrix without columns may have 2**40 rows
    e.x = e.dy = e.table = e.frequencies = NULL
    e.dx = e.dfrequencies = NULL
    e.starts, e.k = NULL, 0
    return e


def piecewise_linear(x, bins, out, int threads):
    """out = the encodings of all columns"""
    cdef memory m = memory_of(x), to = memory_of(out)
    cdef encoding e = encoding_of_matrices(&m, &to)
    numbers, starts = bin_table(bins, x.dtype)
    cdef const int64_t[::1] starts_view = starts
    e.x, e.y, e.table, e.starts = m.data, writing(out, &m), reading(numbers, &m), &starts_view[0]
    with nogil:
        encode_piecewise_linear(&e, threads)


def piecewise_linear_backward(dy, x, bins, out, int threads):
    """out += dx"""
    cdef memory m = memory_of(x), d = memory_of(dy)
    cdef encoding e = encoding_of_matrices(&m, &d)
    numbers, starts = bin_table(bins, x.dtype)
    cdef const int64_t[::1] starts_view = starts
    e.x, e.dy, e.dx, e.table, e.starts = m.data, d.data, writing(out, &m), reading(numbers, &m), &starts_view[0]
    with nogil:
        piecewise_linear_gradients(&e, threads)


def periodic(x, frequencies, out, int threads):
    """out = cos(2 pi c x) of each column's frequencies c, then sin(2 pi c x)"""
    cdef memory m = memory_of(x), to = memory_of(out), c = memory_of(frequencies)
    cdef encoding e = encoding_of_matrices(&m, &to)
    e.x, e.y, e.frequencies, e.k = m.data, writing(out, &m), reading(frequencies, &m), c.cols
    with nogil:
        encode_periodic(&e, threads)


def periodic_grad_input(dy, y, frequencies, out, int threads):
    """out += dx"""
    cdef memory m = memory_of(out), of_y = memory_of(y), c = memory_of(frequencies)
    cdef encoding e = encoding_of_matrices(&m, &of_y)
    e.dy, e.dx, e.frequencies, e.k = reading(dy, &m), writing(out, &m), reading(frequencies, &m), c.cols
    with nogil:
        periodic_input_gradients(&e, threads)


def periodic_grad_frequencies(dy, x, y, out, int threads):
    """out = the gradients by the frequencies"""
    cdef memory m = memory_of(x), of_y = memory_of(y), c = memory_of(out)
    cdef encoding e = encoding_of_matrices(&m, &of_y)
    e.x, e.dy, e.dfrequencies, e.k = m.data, reading(dy, &m), writing(out, &m), c.cols
    with nogil:
        periodic_frequency_gradients(&e, threads)


def scale_columns(x, scale, out, int threads):
    """out = x * scale"""
    cdef memory m = memory_of(x)
    cdef column_factors c
    c.kernels, c.rows, c.cols, c.x, c.y = m.kernels, m.rows, m.cols, m.data, writing(out, &m)
    c.scale = reading(scale, &m)
    with nogil:
        scale_all(&c, threads)


def scale_columns_backward(dy, x, scale, out, dscale, int threads):
    """out = dx; dscale = the gradients by the factors"""
    cdef memory m = memory_of(x)
    cdef column_factors c
    c.kernels, c.rows, c.cols, c.x, c.dy, c.dx = m.kernels, m.rows, m.cols, m.data, reading(dy, &m), writing(out, &m)
    c.scale, c.dscale = reading(scale, &m), writing(dscale, &m)
    with nogil:
        scale_gradients(&c, threads)

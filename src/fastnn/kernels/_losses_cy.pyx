"""Losses over a batch, with their gradients; softmax and log softmax over whole arrays.

Rows are added up in groups of a fixed size, and the groups in order, so that the sum does not depend on the number of
threads.
"""

from libc.math cimport isfinite
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastnn._fastnn cimport fnn_kernels, fnn_size
from fastnn._native cimport doubles, integers, loss_index, memory, memory_of, reading, table, writing
from fastnn.kernels._parallel cimport WORK_OF_SOFTMAX, threads_for

from fastnn._validation import refuse_memory

cdef fnn_size GROUP = 64    # rows of one task, and of one partial sum

cdef enum:
    MAX_LANES = 16          # of a vector, at any level


cdef fnn_size partials(fnn_size rows) noexcept nogil:
    """Return the number of groups."""
    return (rows + GROUP - 1) // GROUP


cdef double share_of(const loss_batch *b, fnn_size i) noexcept nogil:
    """Return a row's weight divided by the sum of weights."""
    if b.total_weight <= 0.0:
        return 0.0
    return (1.0 if b.weight is NULL else b.weight[i]) / b.total_weight


cdef double sum_rows(const loss_batch *b, fnn_size first, fnn_size rows) noexcept nogil:
    """Return the sum of share times loss for rows first..first+rows, in order; rows <= lanes.

    A row of weight 0 is not part of the batch, whatever its entries are: its loss is not computed and its gradient is
    0.
    """
    cdef const fnn_kernels *kn = b.kernels
    cdef fnn_size row_bytes = b.cols * kn.itemsize, i
    cdef const char *z = b.z + first * row_bytes
    cdef const char *target = b.target + first * b.target_bytes
    cdef char *grad = NULL if b.grad is NULL else b.grad + first * row_bytes
    cdef bint together = kn.loss_block[b.kind] is not NULL and b.parameters is NULL and b.cols <= kn.lanes
    cdef double loss = 0.0
    cdef double share[MAX_LANES]
    cdef double slope[MAX_LANES]
    cdef double of_row[MAX_LANES]
    for i in range(rows):  # without weights all shares are equal: one division is enough (docs/decisions, 16)
        share[i] = share[0] if b.weight is NULL and i > 0 else share_of(b, first + i)
        slope[i] = share[i] * b.slope
    if together:
        kn.loss_block[b.kind](z, <const int64_t *> target, b.cols, rows, slope, grad, of_row)
    for i in range(rows):
        if share[i] != 0.0:
            if not together:
                of_row[i] = kn.loss[b.kind](z + i * row_bytes, target + i * b.target_bytes, b.cols, slope[i],
                                            NULL if grad is NULL else grad + i * row_bytes, b.parameters)
            if not isfinite(of_row[i]):
                of_row[i] = table.loss_wide(b.kind, kn.itemsize, z + i * row_bytes, target + i * b.target_bytes, b.cols,
                                            slope[i], NULL if grad is NULL else grad + i * row_bytes, b.parameters)
            loss += share[i] * of_row[i]
        elif grad is not NULL:
            memset(grad + i * row_bytes, 0, row_bytes)
    return loss


cdef void loss_group(void *context, fnn_size index) noexcept nogil:
    cdef const loss_batch *b = <const loss_batch *> context
    cdef fnn_size i = index * GROUP, end = min(b.rows, i + GROUP)
    b.partial[index] = 0.0
    while i < end:
        b.partial[index] += sum_rows(b, i, min(b.kernels.lanes, end - i))
        i += b.kernels.lanes


cdef double mean_loss(loss_batch *b, int threads) noexcept nogil:
    """Return the weighted mean. A batch of total weight 0 has loss 0 and derivatives 0."""
    cdef double loss = 0.0
    cdef fnn_size i
    b.total_weight = 0.0
    if b.weight is NULL:
        b.total_weight = <double> b.rows
    else:
        for i in range(b.rows):
            b.total_weight += b.weight[i]
    table.parallel(loss_group, b, partials(b.rows), threads_for(<double> WORK_OF_SOFTMAX * b.rows * b.cols, threads))
    for i in range(partials(b.rows)):
        loss += b.partial[i]
    return loss * b.value


def loss(str kind, logits, target, weight, parameters, double value, double slope, grad):
    """Return the weighted mean of the rows' losses of one kind; target has classes (1-D int64) or rows of numbers."""
    cdef loss_batch b
    cdef memory m = memory_of(logits)
    cdef double mean
    b.kernels, b.z, b.rows, b.cols, b.grad = m.kernels, m.data, m.rows, m.cols, writing(grad, &m)
    if target.ndim == 1:
        b.target, b.target_bytes = <const char *> integers(target), sizeof(int64_t)
    else:
        b.target, b.target_bytes = reading(target, &m), target.shape[1] * m.kernels.itemsize
    b.kind, b.value, b.slope = loss_index(kind), value, slope
    b.weight, b.parameters = doubles(weight), doubles(parameters) if len(parameters) > 0 else NULL
    b.partial = <double *> malloc((partials(b.rows) + 1) * sizeof(double))
    if b.partial is NULL:
        refuse_memory("a loss's partial sums")
    with nogil:
        mean = mean_loss(&b, 1)
    free(b.partial)
    return mean


# ---- functions of rows ----

cdef void row_group(void *context, fnn_size index) noexcept nogil:
    cdef const rows_job *j = <const rows_job *> context
    cdef fnn_size i, offset, row_bytes = j.cols * j.itemsize
    for i in range(index * GROUP, min(j.rows, (index + 1) * GROUP)):
        offset = i * row_bytes
        if j.dy is NULL:
            j.function.forward(j.x + offset, j.out + offset, j.cols)
        else:
            j.function.backward(j.dy + offset, j.x + offset, j.out + offset, j.cols)


cdef void run_row_function(rows_job *j, int threads) noexcept nogil:
    """Apply a function to all rows. Without columns there may be any number of rows, and nothing to do."""
    if j.cols > 0:
        table.parallel(row_group, j, partials(j.rows), threads_for(<double> WORK_OF_SOFTMAX * j.rows * j.cols, threads))


cdef int on_rows(bint log, dy, x, out, int threads) except -1:
    cdef rows_job j
    cdef memory m = memory_of(x)
    j.function = &m.kernels.log_softmax if log else &m.kernels.softmax
    j.itemsize, j.dy, j.x, j.out, j.rows, j.cols = (m.kernels.itemsize, reading(dy, &m), m.data, writing(out, &m),
                                                    m.rows, m.cols)
    with nogil:
        run_row_function(&j, threads)
    return 0


def softmax(x, out, int threads):
    """out = exp(x) / sum of exp(x), by row"""
    on_rows(False, None, x, out, threads)


def softmax_backward(dy, y, out, int threads):
    """out = y * (dy - sum of dy * y), by row"""
    on_rows(False, dy, y, out, threads)


def log_softmax(x, out, int threads):
    """out = log of softmax(x), by row"""
    on_rows(True, None, x, out, threads)


def log_softmax_backward(dy, y, out, int threads):
    """out = dy - exp(y) * sum of dy, by row"""
    on_rows(True, dy, y, out, threads)

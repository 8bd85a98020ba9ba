"""Dense layers: outputs, the gradients of input and weight as products, the gradient of the bias as sums of columns."""

from fastnn._fastnn cimport FNN_MAX_PARAMETERS, fnn_kernels, fnn_size
from fastnn._native cimport (activation_index, fill_parameters, memory, memory_of, reading, reserve_scratch, table,
                             writing)
from fastnn.kernels._parallel cimport WORK_OF_SUM, ceil_div, threads_for
from fastnn.kernels._product_cy cimport block_done, multiply, product


cdef struct column_sums:
    const fnn_kernels *kernels
    const char *x
    fnn_size rows
    fnn_size cols
    fnn_size each
    char *out


cdef void sum_part(void *context, fnn_size index) noexcept nogil:
    cdef const column_sums *s = <const column_sums *> context
    cdef fnn_size first = index * s.each, offset = first * s.kernels.itemsize
    s.kernels.column_sum(s.x + offset, s.cols, s.rows, min(s.each, s.cols - first), s.out + offset)


cdef void sum_columns(const fnn_kernels *kernels, const char *x, fnn_size rows, fnn_size cols, char *out,
                      int threads) noexcept nogil:
    """out[j] = sum over i, ascending, of x[i, j]"""
    cdef column_sums s
    cdef int parts = threads_for(<double> WORK_OF_SUM * rows * cols, threads)
    s.kernels, s.x, s.rows, s.cols, s.out = kernels, x, rows, cols, out
    s.each = ceil_div(ceil_div(cols, parts), kernels.tile_cols) * kernels.tile_cols
    if cols > 0:
        table.parallel(sum_part, &s, ceil_div(cols, s.each), threads)


cdef struct epilogue:
    const fnn_kernels *kernels
    int activation
    double parameters[FNN_MAX_PARAMETERS]
    fnn_size n


cdef void activate(void *context, char *c, fnn_size c_row, fnn_size first, fnn_size rows, fnn_size col,
                   fnn_size cols) noexcept nogil:
    cdef const epilogue *e = <const epilogue *> context
    cdef fnn_size _
    if cols == e.n:
        e.kernels.activation[e.activation].forward(c, c, rows * cols, e.parameters)
        return
    for _ in range(rows):
        e.kernels.activation[e.activation].forward(c, c, cols, e.parameters)
        c += c_row * e.kernels.itemsize


cdef int run_product(out, const memory *a, fnn_size a_row, fnn_size a_k, const memory *b, fnn_size b_k, fnn_size b_col,
                     fnn_size k, bias, block_done done, void *context, int threads) except -1:
    cdef product p
    cdef memory c = memory_of(out)
    p.kernels, p.m, p.n, p.k = a.kernels, c.rows, c.cols, k
    p.a, p.a_row, p.a_k = a.data, a_row, a_k
    p.b, p.b_k, p.b_col = b.data, b_k, b_col
    p.bias, p.c, p.done, p.context, p.discard_result = reading(bias, a), writing(out, b), done, context, False
    p.b_panels = p.c_panels = False
    reserve_scratch()
    with nogil:
        multiply(&p, threads)
    return 0


def dense(x, w, b, out, str activation, tuple parameters, int threads):
    """out = activation(x @ w + b); b may be None"""
    cdef epilogue e
    cdef memory left = memory_of(x), right = memory_of(w)
    e.kernels, e.activation, e.n = left.kernels, activation_index(activation), right.cols
    fill_parameters(parameters, e.parameters)
    run_product(out, &left, left.cols, 1, &right, right.cols, 1, left.cols, b,
                activate if e.activation > 0 else <block_done> NULL, &e, threads)


def dense_grad_input(dy, w, out, int threads):
    """out = dy @ w.T"""
    cdef memory left = memory_of(dy), right = memory_of(w)
    run_product(out, &left, left.cols, 1, &right, 1, right.cols, left.cols, None, NULL, NULL, threads)


def dense_grad_weight(x, dy, out, int threads):
    """out = x.T @ dy"""
    cdef memory left = memory_of(x), right = memory_of(dy)
    run_product(out, &left, 1, left.cols, &right, right.cols, 1, left.rows, None, NULL, NULL, threads)


def dense_grad_bias(dy, out, int threads):
    """out = dy.sum(axis=0)"""
    cdef memory m = memory_of(dy)
    cdef char *to = writing(out, &m)
    with nogil:
        if m.cols > 0:
            sum_columns(m.kernels, m.data, m.rows, m.cols, to, threads)

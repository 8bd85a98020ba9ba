"""The bodies of the ops that encode or scale columns of numbers, and their backward ops."""

from libc.string cimport memset

from fastnn.engine._op_cy cimport DGAMMA, DW, DX, DY, GAMMA, W, X, Y, op, shared
from fastnn.kernels._numeric_cy cimport (column_factors, encode_periodic, encode_piecewise_linear, encoding,
                                         periodic_frequency_gradients, periodic_input_gradients,
                                         piecewise_linear_gradients, scale_all, scale_gradients)
from fastnn.kernels._optimizers_cy cimport update_run


cdef encoding encoding_of_op(const op *o, const shared *s) noexcept nogil:
    """Return the encoding of the op's columns: of its x or dx, which have the same width, and of y or dy."""
    cdef encoding e
    e.kernels, e.rows, e.column, e.n = s.kernels, s.rows, o.first_column, o.n_columns
    e.x, e.dx, e.x_cols = o.data[X], o.data[DX], max(o.width[X], o.width[DX])
    e.y, e.dy, e.y_cols = o.data[Y], o.data[DY], max(o.width[Y], o.width[DY])
    e.table, e.starts, e.k = o.bins, o.starts, o.width[W]
    e.frequencies = NULL if o.data[W] is NULL else o.data[W] + e.column * e.k * s.kernels.itemsize
    e.dfrequencies = NULL if o.data[DW] is NULL else o.data[DW] + e.column * e.k * s.kernels.itemsize
    return e


cdef void run_piecewise_linear(op *o, shared *s) noexcept nogil:
    cdef encoding e = encoding_of_op(o, s)
    encode_piecewise_linear(&e, s.threads)


cdef void run_piecewise_linear_backward(op *o, shared *s) noexcept nogil:
    cdef encoding e = encoding_of_op(o, s)
    piecewise_linear_gradients(&e, s.threads)


cdef void run_periodic(op *o, shared *s) noexcept nogil:
    cdef encoding e = encoding_of_op(o, s)
    encode_periodic(&e, s.threads)


cdef void run_periodic_grad_input(op *o, shared *s) noexcept nogil:
    cdef encoding e = encoding_of_op(o, s)
    periodic_input_gradients(&e, s.threads)


cdef void run_periodic_grad_frequencies(op *o, shared *s) noexcept nogil:
    """Compute the gradients of the columns' frequencies, and update these: other ops have the other rows."""
    cdef encoding e = encoding_of_op(o, s)
    periodic_frequency_gradients(&e, s.threads)
    if o.updates:
        update_run(&o.first, e.column * e.k, e.n * e.k, e.dfrequencies)


cdef column_factors factors_of(const op *o, const shared *s) noexcept nogil:
    cdef column_factors c
    c.kernels, c.rows, c.cols, c.x, c.scale = s.kernels, s.rows, o.width[X], o.data[X], o.data[GAMMA]
    c.y, c.dy, c.dx = o.data[Y], o.data[DY], o.data[DX]
    c.dscale = s.vectors if o.data[DGAMMA] is NULL else o.data[DGAMMA]  # a frozen factor has no gradient
    return c


cdef void run_scale_columns(op *o, shared *s) noexcept nogil:
    cdef column_factors c = factors_of(o, s)
    scale_all(&c, s.threads)


cdef void run_scale_columns_backward(op *o, shared *s) noexcept nogil:
    cdef column_factors c = factors_of(o, s)
    scale_gradients(&c, s.threads)
    if o.updates:
        update_run(&o.first, 0, c.cols, c.dscale)


cdef void run_zeros(op *o, shared *s) noexcept nogil:
    memset(o.data[Y], 0, s.rows * o.width[Y] * s.kernels.itemsize)

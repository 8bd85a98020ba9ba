"""The ops that observe: what the entries of outputs, gradients, parameters and updates are like."""

from libc.string cimport memcpy

from fastnn.engine._op_cy cimport X, Y, op, shared
from fastnn.kernels._statistics_cy cimport describe_entries, entries_job


cdef void describe(op *o, shared *s, int role) noexcept nogil:
    cdef entries_job j
    j.kernels, j.x, j.low, j.high = s.kernels, o.data[role], o.observed.low, o.observed.high
    j.figures, j.matrix, j.columns = o.observed.figures, o.observed.entries == 0, o.observed.columns
    j.rows, j.cols = s.rows, o.width[role]
    if not j.matrix:
        j.rows, j.cols = o.observed.entries, 1
    describe_entries(&j, s.threads)


cdef void run_observe(op *o, shared *s) noexcept nogil:
    """Describe a buffer; of one with rows of the batch, the columns are units."""
    describe(o, s, X)


cdef void run_keep(op *o, shared *s) noexcept nogil:
    memcpy(o.data[Y], o.data[X], o.observed.entries * s.kernels.itemsize)


cdef void run_observe_change(op *o, shared *s) noexcept nogil:
    s.kernels.regularize(o.data[X], o.data[Y], o.data[Y], o.observed.entries, 0.0, -1.0)    # without l1: y - x
    describe(o, s, Y)

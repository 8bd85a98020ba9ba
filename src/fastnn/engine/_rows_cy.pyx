"""Ops that threads share by rows."""

from fastnn._fastnn cimport fnn_size
from fastnn._native cimport table
from fastnn.engine._op_cy cimport op, shared
from fastnn.kernels._parallel cimport threads_for

cdef enum:
    # Elements of one task of an op by rows: 8 or 16 KiB, so that they stay in the first-level cache.
    TASK_ELEMENTS = 2048

cdef struct op_rows:
    op *o
    shared *s
    rows_run run
    fnn_size each               # rows of a task


cdef void run_rows(void *context, fnn_size index) noexcept nogil:
    cdef const op_rows *j = <const op_rows *> context
    j.run(j.o, j.s, index * j.each, min(j.each, j.s.rows - index * j.each))


cdef void by_rows(op *o, shared *s, fnn_size width, int work, rows_run run) noexcept nogil:
    """Run an op for all rows, in tasks whose elements stay in the first-level cache; `work` is that of an element."""
    cdef op_rows j
    j.o, j.s, j.run = o, s, run
    j.each = max(1, TASK_ELEMENTS // max(1, width))
    table.parallel(run_rows, &j, (s.rows + j.each - 1) // j.each,
                   threads_for(<double> work * s.rows * width, s.threads))

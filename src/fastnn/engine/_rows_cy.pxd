# _rows_cy.pxd: ops that threads share by rows.

from fastnn._fastnn cimport fnn_size
from fastnn.engine._op_cy cimport op, shared

# Runs an op for `rows` rows from the row `first` on.
ctypedef void (*rows_run)(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil

cdef void by_rows(op *o, shared *s, fnn_size width, int work, rows_run run) noexcept nogil

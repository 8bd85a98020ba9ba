# _observe_ops_cy.pxd: the bodies of the ops that observe.

from fastnn.engine._op_cy cimport op, shared

cdef void run_observe(op *o, shared *s) noexcept nogil
cdef void run_keep(op *o, shared *s) noexcept nogil
cdef void run_observe_change(op *o, shared *s) noexcept nogil

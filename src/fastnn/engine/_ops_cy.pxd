# _ops_cy.pxd: the bodies of the ops, and the call of a list of ops.

from fastnn.engine._op_cy cimport op_run, oplist, shared

cdef op_run body_of(str kind) except NULL
cdef void run_ops(const oplist *ops, shared *s) noexcept nogil

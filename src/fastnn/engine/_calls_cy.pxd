# _calls_cy.pxd: the ops that call Python functions, and the exception of one.

from fastnn.engine._op_cy cimport op, shared

cdef void run_call(op *o, shared *s) noexcept with gil
cdef void run_custom_augmentation(op *o, shared *s) noexcept with gil
cdef void run_custom_loss(op *o, shared *s) noexcept with gil
cdef object take_error(shared *s)

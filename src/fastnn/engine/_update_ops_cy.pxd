# _update_ops_cy.pxd: the bodies of the ops that add up gradients and update parameters after the backward pass.

from fastnn.engine._op_cy cimport op, shared

cdef void run_add_gradients(op *o, shared *s) noexcept nogil
cdef void run_mean_gradients(op *o, shared *s) noexcept nogil
cdef void run_clip_norm(op *o, shared *s) noexcept nogil
cdef void run_update(op *o, shared *s) noexcept nogil
cdef void run_average(op *o, shared *s) noexcept nogil

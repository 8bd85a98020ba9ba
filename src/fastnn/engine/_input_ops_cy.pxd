# _input_ops_cy.pxd: the bodies of the ops of the input section.

from fastnn.engine._op_cy cimport op, shared

cdef void run_gather(op *o, shared *s) noexcept nogil
cdef void run_scale_rows(op *o, shared *s) noexcept nogil
cdef void run_gather_ids(op *o, shared *s) noexcept nogil
cdef void run_gather_labels(op *o, shared *s) noexcept nogil
cdef void run_gather_target(op *o, shared *s) noexcept nogil
cdef void run_one_hot(op *o, shared *s) noexcept nogil
cdef void run_gather_weight(op *o, shared *s) noexcept nogil
cdef void run_take_labels(op *o, shared *s) noexcept nogil

# _column_ops_cy.pxd: the bodies of the ops that encode or scale columns of numbers.

from fastnn.engine._op_cy cimport op, shared

cdef void run_scale_columns(op *o, shared *s) noexcept nogil
cdef void run_scale_columns_backward(op *o, shared *s) noexcept nogil
cdef void run_piecewise_linear(op *o, shared *s) noexcept nogil
cdef void run_piecewise_linear_backward(op *o, shared *s) noexcept nogil
cdef void run_periodic(op *o, shared *s) noexcept nogil
cdef void run_periodic_grad_input(op *o, shared *s) noexcept nogil
cdef void run_periodic_grad_frequencies(op *o, shared *s) noexcept nogil
cdef void run_zeros(op *o, shared *s) noexcept nogil

# _augment_ops_cy.pxd: the bodies of the ops that augment a batch.

from fastnn.engine._op_cy cimport op, shared

cdef void keep_columns(const op *o, const shared *s) noexcept nogil
cdef void run_add_noise(op *o, shared *s) noexcept nogil
cdef void run_drop_features(op *o, shared *s) noexcept nogil
cdef void run_swap_entries(op *o, shared *s) noexcept nogil
cdef void run_swap_ids(op *o, shared *s) noexcept nogil
cdef void run_mixup(op *o, shared *s) noexcept nogil
cdef void run_shift_images(op *o, shared *s) noexcept nogil
cdef void run_flip_images(op *o, shared *s) noexcept nogil

# _embedding_ops_cy.pxd: the bodies of the ops of embeddings.

from fastnn.engine._op_cy cimport op, shared

cdef void run_embedding(op *o, shared *s) noexcept nogil
cdef void run_embedding_grad(op *o, shared *s) noexcept nogil

"""The bodies of the ops between the backward pass and the end of a step: they use whole arrays of parameters."""

from libc.math cimport sqrt

from fastnn.engine._op_cy cimport op, shared
from fastnn.kernels._optimizers_cy cimport lerp_all, square_of, update_all


cdef void run_clip_norm(op *o, shared *s) noexcept nogil:
    """Set the factor of all gradients, so that the norm of all together is at most clip_norm."""
    cdef double square = 0.0, factor
    cdef int i
    for i in range(s.n_params):
        if not s.params[i].frozen:
            square += square_of(&s.params[i], s.sums, s.threads)
    factor = s.clip_norm / (sqrt(square) + 1e-6)  # 1e-6 as in PyTorch's clip_grad_norm_
    s.update.clip = 1.0 if factor >= 1.0 else factor


cdef void run_update(op *o, shared *s) noexcept nogil:
    """Update all parameters, where the update is not fused with the gradients."""
    cdef int i
    for i in range(s.n_params):
        if not s.params[i].frozen:
            update_all(&s.params[i], s.threads)


cdef void run_average(op *o, shared *s) noexcept nogil:
    """Move the average of all parameters towards them."""
    cdef char *average = o.first.slots[0]
    lerp_all(s.kernels, average, o.first.w, average, o.first.size, s.update.scalars[o.first.group * s.update.stride],
             s.threads)

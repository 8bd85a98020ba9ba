"""The bodies of the ops between the backward pass and the end of a step: they use whole arrays of parameters."""

from libc.math cimport sqrt
from libc.string cimport memcpy

from fastnn._fastnn cimport fnn_size
from fastnn._native cimport table
from fastnn.engine._op_cy cimport op, parameter_array, shared
from fastnn.kernels._optimizers_cy cimport PIECE, lerp_all, square_of, update_all
from fastnn.kernels._parallel cimport WORK_OF_MAP, WORK_OF_TWO_PASSES, ceil_div, threads_for

# ---- the mean gradients of several batches ----

cdef struct mean_job:
    const parameter_array *p
    double share                # of the new gradients in the mean


cdef void add_piece(void *context, fnn_size index) noexcept nogil:
    """mean = (1 - share) * mean + share * g"""
    cdef const mean_job *j = <const mean_job *> context
    cdef const parameter_array *p = j.p
    cdef fnn_size first = index * PIECE, n = min(PIECE, p.size - first), offset = first * p.kernels.itemsize
    cdef char *mean = p.mean + offset
    cdef const char *g = p.g + offset
    if j.share == 1.0:          # the first gradients of a group: the old contents, whatever they are, do not count
        memcpy(mean, g, n * p.kernels.itemsize)
        return
    p.kernels.scale(mean, mean, n, 1.0 - j.share)
    p.kernels.regularize(g, mean, mean, n, 0.0, j.share)    # without l1: mean + share * g


cdef void run_add_gradients(op *o, shared *s) noexcept nogil:
    cdef mean_job j
    cdef int i
    j.share = s.share
    for i in range(s.n_params):
        j.p = &s.params[i]
        table.parallel(add_piece, &j, ceil_div(j.p.size, PIECE),
                       threads_for(<double> WORK_OF_TWO_PASSES * j.p.size, s.threads))


cdef void copy_piece(void *context, fnn_size index) noexcept nogil:
    cdef const parameter_array *p = <const parameter_array *> context
    cdef fnn_size first = index * PIECE, size = p.kernels.itemsize
    memcpy(<char *> p.g + first * size, p.mean + first * size, min(PIECE, p.size - first) * size)


cdef void run_mean_gradients(op *o, shared *s) noexcept nogil:
    cdef parameter_array *p
    cdef int i
    for i in range(s.n_params):
        p = &s.params[i]
        table.parallel(copy_piece, p, ceil_div(p.size, PIECE),
                       threads_for(<double> WORK_OF_MAP * p.size, s.threads))


# ---- update ----

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

"""Parameter updates over flat arrays, in place."""

from fastnn._fastnn cimport fnn_size
from fastnn._native cimport kernels_for, real, table, update_index
from fastnn.kernels._dense_cy cimport worth

from fastnn._native import UPDATES

cdef fnn_size PIECE = 1 << 14


cdef void update_run(const parameters *p, fnn_size first, fnn_size n) noexcept nogil:
    """Parameters first..first+n."""
    cdef void *slots[MAX_SLOTS]
    cdef fnn_size at = first * p.kernels.itemsize
    cdef int i
    for i in range(p.n_slots):
        slots[i] = p.slots[i] + at
    p.kernels.update[p.kind](p.w + at, p.g + at, slots, n, p.scalars)


cdef struct run:
    const parameters *p
    fnn_size n


cdef void update_piece(void *context, fnn_size index) noexcept nogil:
    cdef const run *r = <const run *> context
    update_run(r.p, index * PIECE, min(PIECE, r.n - index * PIECE))


cdef void update_all(const parameters *p, fnn_size n, int threads) noexcept nogil:
    cdef run r
    r.p, r.n = p, n
    table.parallel(update_piece, &r, (n + PIECE - 1) // PIECE, worth(8.0 * n, threads))


def update(str kind, real[::1] w, const real[::1] g, tuple slots, const double[::1] scalars, int threads):
    """One step of the optimiser `kind`; w and the slots change in place."""
    cdef parameters p
    cdef real[::1] slot
    cdef int i
    p.kernels = kernels_for(sizeof(real))
    p.kind, p.n_slots = update_index(kind), len(slots)
    if p.n_slots != UPDATES[kind]:
        raise ValueError(f"slots: {kind} takes {UPDATES[kind]}, got {p.n_slots}")
    p.w, p.g, p.scalars = <char *> &w[0], <const char *> &g[0], &scalars[0]
    for i in range(p.n_slots):
        slot = slots[i]
        p.slots[i] = <char *> &slot[0]
    with nogil:
        update_all(&p, w.shape[0], threads)

"""Parameter updates over flat arrays, in place, and what is done to a gradient before.

A sum is over chunks of a fixed size, added in their order, so that the number of threads does not show in it.
"""

from libc.math cimport INFINITY, pow
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastnn._fastnn cimport FNN_STRIP, fnn_kernels, fnn_size
from fastnn._native cimport memory, memory_of, reading, table, update_index, writing
from fastnn.kernels._dense_cy cimport copy_from_panels, threads_for

from fastnn._native import UPDATES
from fastnn._validation import refuse, refuse_memory

cdef fnn_size PIECE = 1 << 14


cdef void update_plain(const parameters *p, fnn_size first, fnn_size n, const char *g) noexcept nogil:
    """Parameters first..first+n, whose gradient is at g"""
    cdef void *slots[MAX_SLOTS]
    cdef fnn_size at = first * p.kernels.itemsize
    cdef int i
    for i in range(p.n_slots):
        slots[i] = p.slots[i] + at
    p.kernels.update[p.kind](p.w + at, g, slots, n, p.step.scalars + p.group * p.step.stride)


cdef const char *gradient(const parameters *p, fnn_size first, fnn_size n, const char *g, char *room) noexcept nogil:
    """The gradient g of first..first+n with the penalty's, clipped by value: in `room`, g stays as it is."""
    cdef double share = 1.0
    if p.l1 > 0.0 or p.l2 > 0.0:
        if p.per_batch:
            share = 1.0 / p.step.weight if p.step.weight > 0.0 else 0.0
        p.kernels.regularize(p.w + first * p.kernels.itemsize, g, room, n, p.l1 * share, p.l2 * share)
        g = room
    if p.clip_value < INFINITY:
        p.kernels.clip(g, room, n, p.clip_value)
        g = room
    return g


cdef void update_prepared(const parameters *p, fnn_size first, fnn_size n, const char *g, char *room) noexcept nogil:
    """The same for no more than a chunk, after all that is to be done before"""
    cdef char *w = p.w + first * p.kernels.itemsize
    cdef double decay = p.step.scalars[(p.group + 1) * p.step.stride - 1]
    g = gradient(p, first, n, g, room)
    if p.step.clip != 1.0:
        p.kernels.scale(g, room, n, p.step.clip)
        g = room
    if p.decay == COUPLED and decay != 0.0:
        p.kernels.regularize(w, g, room, n, 0.0, decay)
        g = room
    elif p.decay == DECOUPLED and decay != 1.0:
        p.kernels.scale(w, w, n, decay)
    update_plain(p, first, n, g)


cdef void update_run(const parameters *p, fnn_size first, fnn_size n, const char *g) noexcept nogil:
    """Parameters first..first+n, whose gradient is at g"""
    cdef double room[CHUNK]
    cdef fnn_size i, at, some
    if not p.prepared:
        update_plain(p, first, n, g)
        return
    for i in range(chunks(n)):
        at, some = first + i * CHUNK, min(CHUNK, n - i * CHUNK)
        update_prepared(p, at, some, g + i * CHUNK * p.kernels.itemsize, <char *> room)


cdef void update_piece(void *context, fnn_size index) noexcept nogil:
    cdef const parameters *p = <const parameters *> context
    cdef fnn_size first = index * PIECE
    update_run(p, first, min(PIECE, p.size - first), p.g + first * p.kernels.itemsize)


cdef void update_all(const parameters *p, int threads) noexcept nogil:
    table.parallel(update_piece, <void *> p, (p.size + PIECE - 1) // PIECE, threads_for(8.0 * p.size, threads))
    constrain(p, threads)


# ---- norms of columns ----

cdef struct limit_job:
    const fnn_kernels *kernels
    char *w
    fnn_size rows
    fnn_size cols
    double limit


cdef void limit_strip(void *context, fnn_size index) noexcept nogil:
    cdef const limit_job *j = <const limit_job *> context
    j.kernels.limit_norms(j.w + index * FNN_STRIP * j.kernels.itemsize, j.cols, j.rows,
                          min(FNN_STRIP, j.cols - index * FNN_STRIP), j.limit)


cdef void limit_all(const fnn_kernels *kernels, char *w, fnn_size rows, fnn_size cols, double limit,
                    int threads) noexcept nogil:
    cdef limit_job j
    j.kernels, j.w, j.rows, j.cols, j.limit = kernels, w, rows, cols, limit
    if rows > 0:
        table.parallel(limit_strip, &j, (cols + FNN_STRIP - 1) // FNN_STRIP, threads_for(4.0 * rows * cols, threads))


cdef void constrain(const parameters *p, int threads) noexcept nogil:
    """What is done to a whole matrix once it is updated"""
    if p.max_norm < INFINITY:
        limit_all(p.kernels, p.w, p.size // p.width, p.width, p.max_norm, threads)


# ---- sums ----

cdef struct sum_job:
    const fnn_kernels *kernels
    const char *x
    fnn_size n
    const parameters *p     # x is their gradient, as it is after a penalty and clipping by value; or NULL
    fnn_size width          # x is a matrix in panels of so many columns, whose sum is that of its rows; or 0
    double *partial         # of each chunk the sum of magnitudes, then that of squares


cdef fnn_size chunks(fnn_size n) noexcept nogil:
    return (n + CHUNK - 1) // CHUNK


cdef void sum_piece(void *context, fnn_size index) noexcept nogil:
    cdef const sum_job *j = <const sum_job *> context
    cdef fnn_size each = PIECE // CHUNK, i, n
    cdef double room[CHUNK]
    cdef const char *x
    for i in range(index * each, min((index + 1) * each, chunks(j.n))):
        n = min(CHUNK, j.n - i * CHUNK)
        x = j.x + i * CHUNK * j.kernels.itemsize
        if j.width > 0:
            copy_from_panels(j.kernels, j.x, j.n // j.width, j.width, i * CHUNK, n, <char *> room)
            x = <const char *> room
        if j.p is not NULL:
            x = gradient(j.p, i * CHUNK, n, x, <char *> room)
        j.kernels.sums(x, n, &j.partial[2 * i], &j.partial[2 * i + 1])


cdef void sum_all(sum_job *j, double *total, int threads) noexcept nogil:
    cdef fnn_size i
    table.parallel(sum_piece, j, (j.n + PIECE - 1) // PIECE, threads_for(4.0 * j.n, threads))
    total[0] = total[1] = 0.0
    for i in range(chunks(j.n)):
        total[0] += j.partial[2 * i]
        total[1] += j.partial[2 * i + 1]


cdef double penalty_of(const parameters *p, double *partial, int threads) noexcept nogil:
    """l1 |w| + l2 / 2 |w|^2; `partial` has room for two numbers a chunk."""
    cdef sum_job j
    cdef double total[2]
    j.kernels, j.x, j.n, j.p, j.partial = p.kernels, p.w, p.size, NULL, partial
    j.width = p.width if p.in_panels else 0
    sum_all(&j, total, threads)
    return p.l1 * total[0] + 0.5 * p.l2 * total[1]


cdef double square_of(const parameters *p, double *partial, int threads) noexcept nogil:
    """The squared norm of the gradient, after a penalty and clipping by value"""
    cdef sum_job j
    cdef double total[2]
    j.kernels, j.x, j.n, j.p, j.partial, j.width = p.kernels, p.g, p.size, p, partial, 0
    sum_all(&j, total, threads)
    return total[1]


# ---- kernels ----

def update(str kind, w, g, tuple slots, const double[::1] scalars, int threads):
    """One step of the optimiser `kind`; w and the slots change in place."""
    cdef memory m = memory_of(g)
    cdef parameters p
    cdef update_step step
    cdef int i
    memset(&p, 0, sizeof(p))
    p.kernels, p.step, p.size, p.max_norm = m.kernels, &step, m.n, INFINITY
    step.stride = 0
    p.kind, p.n_slots = update_index(kind), len(slots)
    if p.n_slots != UPDATES[kind]:
        refuse(ValueError, "slots", f"be {UPDATES[kind]} arrays for {kind}", p.n_slots)
    p.w, p.g, step.scalars = writing(w, &m), m.data, &scalars[0]
    for i in range(p.n_slots):
        p.slots[i] = writing(slots[i], &m)
    with nogil:
        update_all(&p, threads)


cdef struct element_job:
    void (*run)(const void *x, void *y, fnn_size n, double by) noexcept nogil
    fnn_size size           # of an element, in bytes
    const char *x
    char *out
    fnn_size n
    double by


cdef void element_piece(void *context, fnn_size index) noexcept nogil:
    cdef const element_job *j = <const element_job *> context
    cdef fnn_size at = index * PIECE * j.size
    j.run(j.x + at, j.out + at, min(PIECE, j.n - index * PIECE), j.by)


cdef int by_elements(element_job *j, const memory *m, out, double by, int threads) except -1:
    j.size, j.n, j.by, j.x, j.out = m.kernels.itemsize, m.n, by, m.data, writing(out, m)
    with nogil:
        table.parallel(element_piece, j, (j.n + PIECE - 1) // PIECE, threads_for(2.0 * j.n, threads))
    return 0


def clip(x, double limit, out, int threads):
    """out = x between -limit and limit"""
    cdef memory m = memory_of(x)
    cdef element_job j
    j.run = m.kernels.clip
    by_elements(&j, &m, out, limit, threads)


def scale(x, double factor, out, int threads):
    """out = factor * x"""
    cdef memory m = memory_of(x)
    cdef element_job j
    j.run = m.kernels.scale
    by_elements(&j, &m, out, factor, threads)


def limit_norms(w, double limit, int threads):
    """Columns of a norm above the limit are scaled down to it, in place."""
    cdef memory m = memory_of(w)
    writing(w, &m)
    with nogil:
        limit_all(m.kernels, m.data, m.rows, m.cols, limit, threads)


cdef struct regularize_job:
    const fnn_kernels *kernels
    const char *w
    const char *g
    char *out
    fnn_size n
    double l1
    double l2


cdef void regularize_piece(void *context, fnn_size index) noexcept nogil:
    cdef const regularize_job *j = <const regularize_job *> context
    cdef fnn_size at = index * PIECE * j.kernels.itemsize
    j.kernels.regularize(j.w + at, j.g + at, j.out + at, min(PIECE, j.n - index * PIECE), j.l1, j.l2)


def regularize(w, g, double l1, double l2, out, int threads):
    """out = g + (l2 * w + l1 * sign(w))"""
    cdef memory m = memory_of(w)
    cdef regularize_job j
    j.kernels, j.n, j.w, j.g, j.out, j.l1, j.l2 = m.kernels, m.n, m.data, reading(g, &m), writing(out, &m), l1, l2
    with nogil:
        table.parallel(regularize_piece, &j, (j.n + PIECE - 1) // PIECE, threads_for(4.0 * j.n, threads))


def sums(x, int threads):
    """The sum of |x| and that of x**2"""
    cdef memory m = memory_of(x)
    cdef sum_job j
    cdef double total[2]
    j.kernels, j.x, j.n, j.p, j.width = m.kernels, m.data, m.n, NULL, 0
    j.partial = <double *> malloc(2 * (chunks(j.n) + 1) * sizeof(double))
    if j.partial is NULL:
        refuse_memory("partial sums")
    with nogil:
        sum_all(&j, total, threads)
    free(j.partial)
    return total[0], total[1]


def power(double[::1] base, const double[::1] exponent):
    """Raise `base` to `exponent` in place, as Python does."""
    cdef Py_ssize_t i
    for i in range(base.shape[0]):
        base[i] = pow(base[i], exponent[i])

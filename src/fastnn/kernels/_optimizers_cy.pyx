"""Parameter updates over flat arrays, in place; penalties, clipping and weight decay before an update; limits of norms.

Sums are computed for chunks of a fixed size, which are added in order, so that they do not depend on the number of
threads (docs/decisions, 8).
"""

from libc.math cimport INFINITY, pow
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastnn._fastnn cimport FNN_NORM_COLS, fnn_kernels, fnn_size
from fastnn._native cimport memory, memory_of, reading, table, update_index, writing
from fastnn.kernels._panels cimport copy_from_panels
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION, WORK_OF_MAP, WORK_OF_TWO_PASSES, ceil_div, threads_for

from fastnn._native import UPDATES
from fastnn._validation import refuse, refuse_memory


cdef void update_only(const parameters *p, fnn_size first, fnn_size n, const char *g) noexcept nogil:
    """Update parameters first..first+n for their gradient g."""
    cdef void *slots[MAX_SLOTS]
    cdef fnn_size offset = first * p.kernels.itemsize
    cdef int i
    for i in range(p.n_slots):
        slots[i] = p.slots[i] + offset
    p.kernels.update[p.kind](p.w + offset, g, slots, n, p.step.scalars + p.group * p.step.stride)


cdef const char *gradient(const parameters *p, fnn_size first, fnn_size n, const char *g, char *copy) noexcept nogil:
    """Return the gradient of parameters first..first+n with that of the penalty, clipped by value.

    Changes are made in `copy`; g itself stays as it is.
    """
    cdef double share = 1.0
    if p.l1 > 0.0 or p.l2 > 0.0:
        if p.per_batch:
            share = 1.0 / p.step.weight if p.step.weight > 0.0 else 0.0
        p.kernels.regularize(p.w + first * p.kernels.itemsize, g, copy, n, p.l1 * share, p.l2 * share)
        g = copy
    if p.clip_value < INFINITY:
        p.kernels.clip(g, copy, n, p.clip_value)
        g = copy
    return g


cdef void update_chunk(const parameters *p, fnn_size first, fnn_size n, const char *g, char *copy) noexcept nogil:
    """Apply penalty, clipping and weight decay to at most a chunk, then update it."""
    cdef char *w = p.w + first * p.kernels.itemsize
    cdef double decay = p.step.scalars[(p.group + 1) * p.step.stride - 1]
    g = gradient(p, first, n, g, copy)
    if p.step.clip != 1.0:
        p.kernels.scale(g, copy, n, p.step.clip)
        g = copy
    if p.decay == COUPLED and decay != 0.0:
        p.kernels.regularize(w, g, copy, n, 0.0, decay)
        g = copy
    elif p.decay == DECOUPLED and decay != 1.0:
        p.kernels.scale(w, w, n, decay)
    update_only(p, first, n, g)


cdef void update_run(const parameters *p, fnn_size first, fnn_size n, const char *g) noexcept nogil:
    """Update parameters first..first+n for their gradient g, after penalty, clipping and weight decay, if any."""
    cdef double copy[CHUNK]
    cdef fnn_size i, start, count
    if not p.has_preparation:
        update_only(p, first, n, g)
        return
    for i in range(chunks(n)):
        start, count = first + i * CHUNK, min(CHUNK, n - i * CHUNK)
        update_chunk(p, start, count, g + i * CHUNK * p.kernels.itemsize, <char *> copy)


cdef void update_piece(void *context, fnn_size index) noexcept nogil:
    cdef const parameters *p = <const parameters *> context
    cdef fnn_size first = index * PIECE
    update_run(p, first, min(PIECE, p.size - first), p.g + first * p.kernels.itemsize)


cdef void update_marked_piece(void *context, fnn_size index) noexcept nogil:
    cdef const parameters *p = <const parameters *> context
    cdef fnn_size each = max(1, PIECE // p.width), row
    for row in range(index * each, min((index + 1) * each, p.size // p.width)):
        if p.marks[row]:
            update_run(p, row * p.width, p.width, p.g + row * p.width * p.kernels.itemsize)


cdef void update_all(const parameters *p, int threads) noexcept nogil:
    """Update a whole array and limit the norms of its columns, or update its marked rows."""
    cdef fnn_size rows
    if p.marks is not NULL:
        rows = max(1, PIECE // p.width)
        table.parallel(update_marked_piece, <void *> p, ceil_div(p.size // p.width, rows),
                       threads_for(<double> WORK_OF_FUNCTION * p.size, threads))
        return
    table.parallel(update_piece, <void *> p, ceil_div(p.size, PIECE),
                   threads_for(<double> WORK_OF_FUNCTION * p.size, threads))
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
    j.kernels.limit_norms(j.w + index * FNN_NORM_COLS * j.kernels.itemsize, j.cols, j.rows,
                          min(FNN_NORM_COLS, j.cols - index * FNN_NORM_COLS), j.limit)


cdef void limit_all(const fnn_kernels *kernels, char *w, fnn_size rows, fnn_size cols, double limit,
                    int threads) noexcept nogil:
    cdef limit_job j
    j.kernels, j.w, j.rows, j.cols, j.limit = kernels, w, rows, cols, limit
    if rows > 0:
        table.parallel(limit_strip, &j, (cols + FNN_NORM_COLS - 1) // FNN_NORM_COLS,
                       threads_for(<double> WORK_OF_TWO_PASSES * rows * cols, threads))


cdef void constrain(const parameters *p, int threads) noexcept nogil:
    """Limit the norms of the columns of a matrix after its update."""
    if p.max_norm < INFINITY:
        limit_all(p.kernels, p.w, p.size // p.width, p.width, p.max_norm, threads)


# ---- sums ----

cdef struct sum_job:
    const fnn_kernels *kernels
    const char *x
    fnn_size n
    const parameters *p     # x is their gradient, which first gets that of the penalty and is clipped by value; or NULL
    fnn_size width          # x is a matrix in panels with so many columns, added in the order of its rows; or 0
    double *partial         # for each chunk the sum of magnitudes and the sum of squares


cdef fnn_size chunks(fnn_size n) noexcept nogil:
    """Return the number of chunks of n elements."""
    return (n + CHUNK - 1) // CHUNK


cdef void sum_piece(void *context, fnn_size index) noexcept nogil:
    cdef const sum_job *j = <const sum_job *> context
    cdef fnn_size each = PIECE // CHUNK, i, n
    cdef double copy[CHUNK]
    cdef const char *x
    for i in range(index * each, min((index + 1) * each, chunks(j.n))):
        n = min(CHUNK, j.n - i * CHUNK)
        x = j.x + i * CHUNK * j.kernels.itemsize
        if j.width > 0:
            copy_from_panels(j.kernels, j.x, j.n // j.width, j.width, i * CHUNK, n, <char *> copy)
            x = <const char *> copy
        if j.p is not NULL:
            x = gradient(j.p, i * CHUNK, n, x, <char *> copy)
        j.kernels.sums(x, n, &j.partial[2 * i], &j.partial[2 * i + 1])


cdef void sum_all(sum_job *j, double *total, int threads) noexcept nogil:
    """total[0] = sum of |x|, total[1] = sum of x**2"""
    cdef fnn_size i
    table.parallel(sum_piece, j, ceil_div(j.n, PIECE),
                   threads_for(<double> WORK_OF_TWO_PASSES * j.n, threads))
    total[0] = total[1] = 0.0
    for i in range(chunks(j.n)):
        total[0] += j.partial[2 * i]
        total[1] += j.partial[2 * i + 1]


cdef double penalty_of(const parameters *p, double *partial, int threads) noexcept nogil:
    """Return l1 * sum of |w| + l2 / 2 * sum of w**2. `partial` has room for two numbers for each chunk."""
    cdef sum_job j
    cdef double total[2]
    j.kernels, j.x, j.n, j.p, j.partial = p.kernels, p.w, p.size, NULL, partial
    j.width = p.width if p.in_panels else 0
    sum_all(&j, total, threads)
    return p.l1 * total[0] + 0.5 * p.l2 * total[1]


cdef double square_of(const parameters *p, double *partial, int threads) noexcept nogil:
    """Return the squared norm of the gradient with that of the penalty, clipped by value."""
    cdef sum_job j
    cdef double total[2]
    j.kernels, j.x, j.n, j.p, j.partial, j.width = p.kernels, p.g, p.size, p, partial, 0
    sum_all(&j, total, threads)
    return total[1]


# ---- kernels ----

cdef enum:
    MAX_SCALARS = 16        # of an update


def update(str kind, w, g, tuple slots, tuple scalars, int threads):
    """Make one step of the optimiser `kind`. w and the slots change in place."""
    cdef memory m = memory_of(g)
    cdef parameters p
    cdef update_step step
    cdef double numbers[MAX_SCALARS]
    cdef int i
    memset(&p, 0, sizeof(p))
    p.kernels, p.step, p.size, p.max_norm = m.kernels, &step, m.n, INFINITY
    step.stride = 0
    p.kind, p.n_slots = update_index(kind), len(slots)
    if p.n_slots != UPDATES[kind]:
        refuse(ValueError, "slots", f"be {UPDATES[kind]} arrays for {kind}", p.n_slots)
    if len(scalars) > MAX_SCALARS:
        refuse(ValueError, "scalars", f"be at most {MAX_SCALARS}", len(scalars))
    for i in range(len(scalars)):
        numbers[i] = scalars[i]
    p.w, p.g, step.scalars = writing(w, &m), m.data, numbers
    for i in range(p.n_slots):
        p.slots[i] = writing(slots[i], &m)
    with nogil:
        update_all(&p, threads)


cdef struct element_job:
    void (*run)(const void *x, void *y, fnn_size n, double number) noexcept nogil
    fnn_size size           # of an element, in bytes
    const char *x
    char *out
    fnn_size n
    double number           # limit or factor


cdef void element_piece(void *context, fnn_size index) noexcept nogil:
    cdef const element_job *j = <const element_job *> context
    cdef fnn_size offset = index * PIECE * j.size
    j.run(j.x + offset, j.out + offset, min(PIECE, j.n - index * PIECE), j.number)


cdef int run_elementwise(element_job *j, const memory *m, out, double number, int threads) except -1:
    j.size, j.n, j.number, j.x, j.out = m.kernels.itemsize, m.n, number, m.data, writing(out, m)
    with nogil:
        table.parallel(element_piece, j, ceil_div(j.n, PIECE), threads_for(<double> WORK_OF_MAP * j.n, threads))
    return 0


def clip(x, double limit, out, int threads):
    """out = x between -limit and limit"""
    cdef memory m = memory_of(x)
    cdef element_job j
    j.run = m.kernels.clip
    run_elementwise(&j, &m, out, limit, threads)


def scale(x, double factor, out, int threads):
    """out = factor * x"""
    cdef memory m = memory_of(x)
    cdef element_job j
    j.run = m.kernels.scale
    run_elementwise(&j, &m, out, factor, threads)


cdef struct lerp_job:
    const fnn_kernels *kernels
    const char *a
    const char *b
    char *out
    fnn_size n
    double weight


cdef void lerp_piece(void *context, fnn_size index) noexcept nogil:
    cdef const lerp_job *j = <const lerp_job *> context
    cdef fnn_size offset = index * PIECE * j.kernels.itemsize
    j.kernels.lerp(j.a + offset, j.b + offset, j.out + offset, min(PIECE, j.n - index * PIECE), j.weight)


cdef void lerp_all(const fnn_kernels *kernels, const char *a, const char *b, char *out, fnn_size n, double weight,
                   int threads) noexcept nogil:
    """out = the point between a and b that `weight` says, elementwise"""
    cdef lerp_job j
    j.kernels, j.a, j.b, j.out, j.n, j.weight = kernels, a, b, out, n, weight
    table.parallel(lerp_piece, &j, ceil_div(n, PIECE), threads_for(<double> WORK_OF_MAP * n, threads))


def lerp(a, b, double weight, out, int threads):
    """out = a + weight * (b - a)"""
    cdef memory m = memory_of(a)
    cdef const char *to = reading(b, &m)
    cdef char *result = writing(out, &m)
    with nogil:
        lerp_all(m.kernels, m.data, to, result, m.n, weight, threads)


def limit_norms(w, double limit, int threads):
    """Scale columns whose norm is above the limit down to the limit, in place."""
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
    cdef fnn_size offset = index * PIECE * j.kernels.itemsize
    j.kernels.regularize(j.w + offset, j.g + offset, j.out + offset, min(PIECE, j.n - index * PIECE), j.l1, j.l2)


def regularize(w, g, double l1, double l2, out, int threads):
    """out = g + (l2 * w + l1 * sign(w))"""
    cdef memory m = memory_of(w)
    cdef regularize_job j
    j.kernels, j.n, j.w, j.g, j.out, j.l1, j.l2 = m.kernels, m.n, m.data, reading(g, &m), writing(out, &m), l1, l2
    with nogil:
        table.parallel(regularize_piece, &j, ceil_div(j.n, PIECE),
                       threads_for(<double> WORK_OF_TWO_PASSES * j.n, threads))


def sums(x, int threads):
    """Return the sum of |x| and the sum of x**2."""
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
    """Raise `base` to `exponent` in place, with C's pow, as Python does. NumPy's powers differ between vector units."""
    cdef Py_ssize_t i
    for i in range(base.shape[0]):
        base[i] = pow(base[i], exponent[i])

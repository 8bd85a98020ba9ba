"""What the entries of an array are like. Chunks of a fixed size are described one by one and joined in their order.

The parts that threads work on depend on the size alone, so that no figure depends on the number of threads.
"""

from libc.math cimport INFINITY, NAN, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastnn._fastnn cimport fnn_entries, fnn_size
from fastnn._native cimport memory, memory_of, table
from fastnn.kernels._parallel cimport WORK_OF_TWO_PASSES, ceil_div, threads_for

from fastnn._validation import refuse_memory

cdef enum:
    CHUNK = 512     # entries that are in the first-level cache for both passes, and of a partial sum
    PARTS = 64      # at most so many parts, whose figures need no memory of their own

cdef fnn_size PIECE = 1 << 14   # the fewest entries of a part

cdef struct parts_job:
    const entries_job *job
    fnn_size n
    fnn_size each               # entries of a part
    fnn_entries part[PARTS]


cdef void join(fnn_entries *a, const fnn_entries *b) noexcept nogil:
    """Make a describe the entries of both (Chan, Golub and LeVeque, 1983)."""
    cdef double n = <double> (a.n + b.n), d = b.mean - a.mean
    if b.n == 0:
        return
    if a.n == 0:
        a[0] = b[0]
        return
    a.square = a.square + b.square + d * d * (<double> a.n * <double> b.n / n)
    a.mean = a.mean + d * (<double> b.n / n)
    a.min, a.max = min(a.min, b.min), max(a.max, b.max)
    a.n, a.zeros, a.saturated = a.n + b.n, a.zeros + b.zeros, a.saturated + b.saturated
    a.nonfinite = a.nonfinite + b.nonfinite


cdef void describe_part(void *context, fnn_size index) noexcept nogil:
    cdef parts_job *p = <parts_job *> context
    cdef const entries_job *j = p.job
    cdef fnn_entries *part = &p.part[index]
    cdef fnn_entries chunk
    cdef fnn_size i = index * p.each, stop = min(p.n, i + p.each)
    part.n = 0
    while i < stop:
        j.kernels.entry_statistics(j.x + i * j.kernels.itemsize, min(<fnn_size> CHUNK, stop - i), j.low, j.high, &chunk)
        join(part, &chunk)
        i += CHUNK


cdef fnn_size zero_columns(const entries_job *j) noexcept nogil:
    """Return the number of columns that are 0 in all rows: each row looks at the columns that were so far."""
    cdef const float *narrow = <const float *> j.x
    cdef const double *wide = <const double *> j.x
    cdef bint is_narrow = j.kernels.itemsize == sizeof(float)
    cdef fnn_size left = j.cols, kept, i, k, at
    for k in range(left):
        j.columns[k] = k
    for i in range(j.rows):
        kept = 0
        for k in range(left):
            at = i * j.cols + j.columns[k]
            j.columns[kept] = j.columns[k]
            kept += narrow[at] == 0.0 if is_narrow else wide[at] == 0.0
        left = kept
        if left == 0:
            break
    return left


cdef void describe_entries(entries_job *j, int threads) noexcept nogil:
    """Write the figures of an array."""
    cdef parts_job p
    cdef fnn_entries all
    cdef fnn_size n = j.rows * j.cols, i
    cdef double *f = j.figures
    p.job, p.n = j, n
    p.each = max(PIECE, ceil_div(ceil_div(n, PARTS), CHUNK) * CHUNK)
    table.parallel(describe_part, &p, ceil_div(n, p.each), threads_for(<double> WORK_OF_TWO_PASSES * n, threads))
    memset(&all, 0, sizeof(all))
    for i in range(ceil_div(n, p.each)):
        join(&all, &p.part[i])
    f[NONFINITE], f[DEAD] = <double> all.nonfinite, 0.0
    if n == 0:
        for i in range(NONFINITE):
            f[i] = NAN
        return
    f[MEAN], f[STD] = all.mean, sqrt(all.square / <double> n)
    f[RMS] = sqrt(f[MEAN] * f[MEAN] + all.square / <double> n)
    if all.nonfinite > 0:
        f[MEAN] = f[STD] = f[RMS] = NAN
    # plus 0: never -0; and where all are NaN, so are the extremes
    f[MIN] = NAN if all.min == INFINITY and all.max == -INFINITY else all.min + 0.0
    f[MAX] = NAN if all.min == INFINITY and all.max == -INFINITY else all.max + 0.0
    f[ZEROS], f[SATURATED] = <double> all.zeros / <double> n, <double> all.saturated / <double> n
    if j.matrix and all.zeros >= j.rows:
        f[DEAD] = <double> zero_columns(j) / <double> j.cols


# ---- kernels ----

def entry_statistics(x, double low, double high, double[::1] figures, int threads):
    """Write the figures of an array; if it is a matrix, its columns are looked at too."""
    cdef memory m = memory_of(x)
    cdef entries_job j
    j.kernels, j.x, j.low, j.high, j.figures = m.kernels, m.data, low, high, &figures[0]
    j.matrix = x.ndim == 2
    j.rows, j.cols = (x.shape[0], x.shape[1]) if x.ndim == 2 else (m.n, 1)
    j.columns = <fnn_size *> malloc((j.cols + 1) * sizeof(fnn_size))
    if j.columns is NULL:
        refuse_memory("numbers of columns")
    with nogil:
        describe_entries(&j, threads)
    free(j.columns)

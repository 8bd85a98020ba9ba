"""What the entries of an array are like. Chunks of a fixed size are described one by one and joined in their order.

The parts that threads work on depend on the size alone, so that no figure depends on the number of threads.
"""

from libc.math cimport INFINITY, NAN, ldexp, sqrt
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
cdef double LARGE = 1e140       # with a larger entry all are multiplied by 2^-600, as squares may overflow
cdef double SMALL = 1e-120      # with smaller ones alone by 2^600

cdef struct parts_job:
    const entries_job *job
    fnn_size n
    fnn_size each               # entries of a part
    double unit                 # by which entries of float64 are multiplied; it is a power of 2
    fnn_entries part[PARTS]


cdef double two_sum_rest(double a, double b, double total) noexcept nogil:
    """Return what a sum has lost by rounding, exactly (Knuth's TwoSum)."""
    cdef double of_b = total - a
    return (a - (total - of_b)) + (b - of_b)


cdef void join(fnn_entries *a, const fnn_entries *b) noexcept nogil:
    """Make a describe the entries of both (Chan, Golub and LeVeque, 1983)."""
    cdef double n = <double> (a.n + b.n), d = (b.mean - a.mean) + (b.rest - a.rest), old = a.mean
    if b.n == 0:
        return
    if a.n == 0:
        a[0] = b[0]
        return
    a.square = a.square + b.square + d * d * (<double> a.n * <double> b.n / n)
    a.rest = a.rest + d * (<double> b.n / n)
    a.mean = old + a.rest
    a.rest = two_sum_rest(old, a.rest, a.mean)
    a.min, a.max = min(a.min, b.min), max(a.max, b.max)
    a.n, a.zeros, a.saturated = a.n + b.n, a.zeros + b.zeros, a.saturated + b.saturated
    a.nonfinite = a.nonfinite + b.nonfinite


cdef void describe_part(void *context, fnn_size index) noexcept nogil:
    cdef parts_job *p = <parts_job *> context
    cdef const entries_job *j = p.job
    cdef fnn_entries *part = &p.part[index]
    cdef fnn_entries chunk
    cdef fnn_size i = index * p.each, stop = min(p.n, i + p.each), n, k
    cdef const char *x
    cdef double scaled[CHUNK]
    part.n = 0
    while i < stop:
        n, x = min(<fnn_size> CHUNK, stop - i), j.x + i * j.kernels.itemsize
        if p.unit != 1.0:
            for k in range(n):
                scaled[k] = p.unit * (<const double *> x)[k]
            x = <const char *> scaled
        j.kernels.entry_statistics(x, n, j.low, j.high, &chunk)
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


cdef fnn_entries describe_parts(parts_job *p, int threads) noexcept nogil:
    """Describe all entries multiplied by the unit."""
    cdef fnn_entries all
    cdef fnn_size i
    table.parallel(describe_part, p, ceil_div(p.n, p.each), threads_for(<double> WORK_OF_TWO_PASSES * p.n, threads))
    memset(&all, 0, sizeof(all))
    for i in range(ceil_div(p.n, p.each)):
        join(&all, &p.part[i])
    return all


cdef void write_moments(parts_job *p, const fnn_entries *all, int threads) noexcept nogil:
    """Write mean, deviation and root mean square. Finite entries whose squares may leave the range are scaled first."""
    cdef double largest = max(-all.min, all.max), n = <double> p.n, mean, std, rms
    cdef double *f = p.job.figures
    cdef fnn_entries scaled = all[0]
    if all.nonfinite > 0:
        f[MEAN] = f[STD] = f[RMS] = NAN
        return
    if largest > LARGE or 0.0 < largest < SMALL:
        p.unit = ldexp(1.0, -600 if largest > LARGE else 600)
        scaled = describe_parts(p, threads)
        largest = largest * p.unit
    mean, std = scaled.mean + scaled.rest, sqrt(scaled.square / n)
    rms = sqrt(mean * mean + scaled.square / n)
    # None is beyond the largest entry, which rounding could make infinite.
    f[MEAN] = max(-largest, min(mean, largest)) / p.unit
    f[STD], f[RMS] = min(std, largest) / p.unit, min(rms, largest) / p.unit


cdef void describe_entries(entries_job *j, int threads) noexcept nogil:
    """Write the figures of an array."""
    cdef parts_job p
    cdef fnn_entries all
    cdef fnn_size n = j.rows * j.cols, i
    cdef double *f = j.figures
    p.job, p.n, p.unit = j, n, 1.0
    p.each = max(PIECE, ceil_div(ceil_div(n, PARTS), CHUNK) * CHUNK)
    all = describe_parts(&p, threads)
    f[NONFINITE], f[DEAD] = <double> all.nonfinite, 0.0
    if n == 0:
        for i in range(NONFINITE):
            f[i] = NAN
        return
    write_moments(&p, &all, threads)
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

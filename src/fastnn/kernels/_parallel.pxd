# _parallel.pxd: how work is cut into pieces, and how many threads it pays for. All inline: there is no module to load.

from fastnn._fastnn cimport FNN_LINE, fnn_size

# The work for one entry of an array, in multiply-adds.  They are estimates, not tuned by measurement, and low rather
# than high, so that a second thread starts late rather than early.  At AVX-512 in float32, docs/decisions 12 measured
# 107 ps for an entry of ReLU and 354 ps for one of GELU, where docs/decisions 10 measured 8 ps for a multiply-add.
cdef enum:
    WORK_OF_SUM = 1             # an addition for each entry: column sums
    WORK_OF_MAP = 2             # an operation or two, with a store: clip, scale, an affine map, PReLU
    WORK_OF_TWO_PASSES = 4      # more operands or passes: gather, penalties, norms, statistics, PReLU's gradients
    WORK_OF_FUNCTION = 8        # an activation, dropout, an optimiser's update, batch norm's gradients
    WORK_OF_SOFTMAX = 16        # softmax and losses: several passes over a row, with exponentials
    # Work that pays for waking a thread: an estimate, not tuned by measurement.
    WORK_PER_THREAD = 500000


cdef inline int threads_for(double work, int threads) noexcept nogil:
    """Return how many of the threads the work, in multiply-adds, keeps busy.

    Each has at least WORK_PER_THREAD, or there is only one.
    """
    cdef double useful = work / WORK_PER_THREAD
    if useful < 2.0:
        return 1
    return threads if threads < useful else <int>useful


cdef inline fnn_size ceil_div(fnn_size a, fnn_size b) noexcept nogil:
    """Return a / b rounded up.

    Where both fit, in 32 bits: a 64-bit division takes some 40 cycles or more on some processors, and the code around a
    product had 27 of them (docs/decisions, 13).
    """
    if 0 <= a < 1 << 30 and 0 < b < 1 << 30:
        return (<unsigned int> a + <unsigned int> b - 1) // <unsigned int> b
    return (a + b - 1) // b


cdef inline fnn_size unaligned_head(const void *out, fnn_size itemsize, fnn_size n) noexcept nogil:
    """Return how many of n elements precede the first start of a cache line.

    They are processed separately, so that no other store crosses the end of a line (docs/decisions, 9). NumPy's large
    arrays start 16 bytes after the start of a line.
    """
    return min(n, <fnn_size> (-<size_t> out & (FNN_LINE - 1)) // itemsize)

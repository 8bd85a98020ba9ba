"""Inverted dropout over whole arrays, random words, and permutations.

All are pure functions of (seed, stream, step, index).
"""

from libc.math cimport rint
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastnn._fastnn cimport fnn_kernels, fnn_size, fnn_stream
from fastnn._native cimport memory, memory_of, table, writing
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION, threads_for, unaligned_head

cdef fnn_size PIECE = 1 << 14    # elements of one task


cdef uint32_t threshold_of(double p) noexcept nogil:
    """Return the number below which an element's 16 random bits drop it (docs/decisions, 7)."""
    return <uint32_t> rint(p * 65536.0)


cdef double scale_of(double p) noexcept nogil:
    """Return the factor of elements that are kept."""
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0


cdef struct run:
    const fnn_kernels *kernels
    const char *x
    char *out
    fnn_size n
    fnn_size head           # elements before the first cache line
    fnn_stream stream
    double p


cdef void run_piece(void *context, fnn_size index) noexcept nogil:
    cdef const run *r = <const run *> context
    # Piece 0 is the head; the others start on a cache line.
    cdef fnn_size first = r.head + (index - 1) * PIECE if index > 0 else 0, offset = first * r.kernels.itemsize
    cdef fnn_size n = min(PIECE, r.n - first) if index > 0 else r.head
    r.kernels.dropout(r.x + offset, r.out + offset, n, first, &r.stream, threshold_of(r.p), scale_of(r.p))


def dropout(x, out, double p, uint64_t seed, uint32_t stream, uint32_t step, int threads):
    """out = x / (1 - p) where an element is kept, else 0"""
    cdef run r
    cdef memory m = memory_of(x)
    r.kernels, r.x, r.out, r.n, r.p = m.kernels, m.data, writing(out, &m), m.n, p
    r.stream.seed, r.stream.stream, r.stream.step = seed, stream, step
    r.head = unaligned_head(r.out, r.kernels.itemsize, r.n)
    with nogil:
        table.parallel(run_piece, &r, 1 + (r.n - r.head + PIECE - 1) // PIECE,
                       threads_for(<double> WORK_OF_FUNCTION * r.n, threads))


def random_bits(uint32_t[::1] out, uint64_t seed, uint32_t stream, uint32_t step, uint64_t first):
    """out[i] = the 32 random bits of index first + i"""
    cdef fnn_stream source
    source.seed, source.stream, source.step = seed, stream, step
    with nogil:
        table.f32.random_bits(&source, first, out.shape[0], &out[0])


def permutation(int64_t[::1] out, uint64_t seed, uint32_t stream, uint32_t step):
    """out = a permutation of 0..n-1"""
    cdef fnn_stream source
    source.seed, source.stream, source.step = seed, stream, step
    with nogil:
        table.permutation(&source, out.shape[0], &out[0])

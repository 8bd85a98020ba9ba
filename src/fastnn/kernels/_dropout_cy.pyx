"""Inverted dropout and the random words behind it, which are a pure function of (seed, stream, step, index)."""

from libc.math cimport rint
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastnn._fastnn cimport fnn_kernels, fnn_size, fnn_stream
from fastnn._native cimport kernels_for, real, table
from fastnn.kernels._dense_cy cimport worth

cdef fnn_size PIECE = 1 << 14


cdef uint64_t threshold_of(double p) noexcept nogil:
    """An element is dropped where its 32 bits are below this."""
    return <uint64_t> rint(p * 4294967296.0)


cdef double scale_of(double p) noexcept nogil:
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0


cdef struct run:
    const fnn_kernels *kernels
    const char *x
    char *out
    fnn_size n
    fnn_stream stream
    double p


cdef void run_piece(void *context, fnn_size index) noexcept nogil:
    cdef const run *r = <const run *> context
    cdef fnn_size first = index * PIECE, at = index * PIECE * r.kernels.itemsize
    r.kernels.dropout(r.x + at, r.out + at, min(PIECE, r.n - first), first, &r.stream, threshold_of(r.p), scale_of(r.p))


def dropout(const real[::1] x, real[::1] out, double p, uint64_t seed, uint32_t stream, uint32_t step, int threads):
    """out = x / (1 - p) where an element is kept, else 0"""
    cdef run r
    r.kernels = kernels_for(sizeof(real))
    r.x, r.out, r.n, r.p = <const char *> &x[0], <char *> &out[0], x.shape[0], p
    r.stream.seed, r.stream.stream, r.stream.step = seed, stream, step
    with nogil:
        table.parallel(run_piece, &r, (r.n + PIECE - 1) // PIECE, worth(8.0 * r.n, threads))


def random_bits(uint32_t[::1] out, uint64_t seed, uint32_t stream, uint32_t step, uint64_t first):
    """out[i] = the 32 bits of index first + i"""
    cdef fnn_stream at
    at.seed, at.stream, at.step = seed, stream, step
    with nogil:
        table.random_bits(&at, first, out.shape[0], &out[0])


def permutation(int64_t[::1] out, uint64_t seed, uint32_t stream, uint32_t step):
    """out = a permutation of 0..n-1"""
    cdef fnn_stream at
    at.seed, at.stream, at.step = seed, stream, step
    with nogil:
        table.permutation(&at, out.shape[0], &out[0])

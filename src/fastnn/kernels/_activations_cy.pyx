"""Activations over whole arrays: csrc's runs, in as many pieces as threads are worth it."""

from fastnn._fastnn cimport FNN_MAX_PARAMETERS, fnn_activation, fnn_size
from fastnn._native cimport activation_index, fill_parameters, memory, memory_of, reading, table, writing
from fastnn.kernels._dense_cy cimport head_of, worth

from fastnn._native import ACTIVATIONS as NAMES  # no-cython-lint

# Elements a piece, a multiple of every vector.
cdef fnn_size PIECE = 1 << 14


cdef struct run:
    const fnn_activation *activation
    const char *dy
    const char *x           # or, where dy is given, what the derivative is told from
    char *out
    fnn_size n
    fnn_size head
    fnn_size itemsize
    double parameters[FNN_MAX_PARAMETERS]


cdef void run_piece(void *context, fnn_size index) noexcept nogil:
    cdef const run *r = <const run *> context
    # Piece 0 is the head; the others start on a cache line.
    cdef fnn_size first = r.head + (index - 1) * PIECE if index > 0 else 0, at = first * r.itemsize
    cdef fnn_size n = min(PIECE, r.n - first) if index > 0 else r.head
    if r.dy is NULL:
        r.activation.forward(r.x + at, r.out + at, n, r.parameters)
    else:
        r.activation.backward(r.dy + at, r.x + at, r.out + at, n, r.parameters)


cdef int run_all(str name, dy, x, out, tuple parameters, int threads) except -1:
    cdef memory m = memory_of(x)
    cdef run r
    r.activation = &m.kernels.activation[activation_index(name)]
    r.dy, r.x, r.out, r.n, r.itemsize = reading(dy, &m), m.data, writing(out, &m), m.n, m.kernels.itemsize
    fill_parameters(parameters, r.parameters)
    r.head = head_of(r.out, r.itemsize, r.n)
    with nogil:
        table.parallel(run_piece, &r, 1 + (r.n - r.head + PIECE - 1) // PIECE, worth(8.0 * r.n, threads))
    return 0


def activation(str name, x, out, tuple parameters, int threads):
    """out = f(x)"""
    run_all(name, None, x, out, parameters, threads)


def activation_backward(str name, dy, told_from, out, tuple parameters, int threads):
    """out = dy * f'(x)"""
    run_all(name, dy, told_from, out, parameters, threads)

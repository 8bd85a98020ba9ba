"""Activations over whole arrays: csrc's runs, in as many pieces as threads are worth it."""

from fastnn._fastnn cimport FNN_MAX_PARAMETERS, fnn_activation, fnn_size
from fastnn._native cimport activation_index, fill_parameters, kernels_for, real, table
from fastnn.kernels._dense_cy cimport worth

from fastnn._native import ACTIVATIONS as NAMES  # no-cython-lint

# Elements a piece, a multiple of every vector.
cdef fnn_size PIECE = 1 << 14


cdef struct run:
    const fnn_activation *activation
    const char *dy
    const char *x           # or, where dy is given, what the derivative is told from
    char *out
    fnn_size n
    fnn_size itemsize
    double parameters[FNN_MAX_PARAMETERS]


cdef void run_piece(void *context, fnn_size index) noexcept nogil:
    cdef const run *r = <const run *> context
    cdef fnn_size n = min(PIECE, r.n - index * PIECE), at = index * PIECE * r.itemsize
    if r.dy is NULL:
        r.activation.forward(r.x + at, r.out + at, n, r.parameters)
    else:
        r.activation.backward(r.dy + at, r.x + at, r.out + at, n, r.parameters)


cdef void run_all(run *r, const char *dy, const char *x, char *out, fnn_size n, fnn_size itemsize, int name,
                  int threads) noexcept nogil:
    r.activation = &kernels_for(itemsize).activation[name]
    r.dy, r.x, r.out, r.n, r.itemsize = dy, x, out, n, itemsize
    table.parallel(run_piece, r, (n + PIECE - 1) // PIECE, worth(8.0 * n, threads))


def activation(str name, const real[::1] x, real[::1] out, tuple parameters, int threads):
    """out = f(x)"""
    cdef int index = activation_index(name)
    cdef run r
    fill_parameters(parameters, r.parameters)
    with nogil:
        run_all(&r, NULL, <const char *> &x[0], <char *> &out[0], x.shape[0], sizeof(real), index, threads)


def activation_backward(str name, const real[::1] dy, const real[::1] told_from, real[::1] out, tuple parameters,
                        int threads):
    """out = dy * f'(x)"""
    cdef int index = activation_index(name)
    cdef run r
    fill_parameters(parameters, r.parameters)
    with nogil:
        run_all(&r, <const char *> &dy[0], <const char *> &told_from[0], <char *> &out[0], dy.shape[0], sizeof(real),
                index, threads)

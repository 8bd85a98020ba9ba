"""Activations and their backward passes over whole arrays, in pieces for the threads; PReLU."""

from fastnn._fastnn cimport FNN_MAX_PARAMETERS, fnn_activation, fnn_size
from fastnn._native cimport activation_index, fill_parameters, memory, memory_of, reading, real, table, writing
from fastnn.kernels._parallel cimport (WORK_OF_FUNCTION, WORK_OF_MAP, WORK_OF_TWO_PASSES, threads_for,
                                       unaligned_head)

from fastnn._native import ACTIVATIONS as NAMES  # no-cython-lint

# Elements of one task: a multiple of every vector, and of a cache line.
cdef fnn_size PIECE = 1 << 14


cdef struct run:
    const fnn_activation *activation
    const char *dy          # NULL: forward
    const char *x           # with dy: what the derivative is computed from, x or y
    char *out
    fnn_size n
    fnn_size head           # elements before the first cache line
    fnn_size itemsize
    double parameters[FNN_MAX_PARAMETERS]


cdef void run_piece(void *context, fnn_size index) noexcept nogil:
    cdef const run *r = <const run *> context
    # Piece 0 is the head; the others start on a cache line.
    cdef fnn_size first = r.head + (index - 1) * PIECE if index > 0 else 0, offset = first * r.itemsize
    cdef fnn_size n = min(PIECE, r.n - first) if index > 0 else r.head
    if r.dy is NULL:
        r.activation.forward(r.x + offset, r.out + offset, n, r.parameters)
    else:
        r.activation.backward(r.dy + offset, r.x + offset, r.out + offset, n, r.parameters)


cdef int run_all(str name, dy, x, out, tuple parameters, int threads) except -1:
    cdef memory m = memory_of(x)
    cdef run r
    r.activation = &m.kernels.activation[activation_index(name)]
    r.dy, r.x, r.out, r.n, r.itemsize = reading(dy, &m), m.data, writing(out, &m), m.n, m.kernels.itemsize
    fill_parameters(parameters, r.parameters)
    r.head = unaligned_head(r.out, r.itemsize, r.n)
    with nogil:
        table.parallel(run_piece, &r, 1 + (r.n - r.head + PIECE - 1) // PIECE,
                       threads_for(<double> WORK_OF_FUNCTION * r.n, threads))
    return 0


def activation(str name, x, out, tuple parameters, int threads):
    """out = f(x)"""
    run_all(name, None, x, out, parameters, threads)


def activation_backward(str name, dy, derivative_from, out, tuple parameters, int threads):
    """out = dy * f'(x)"""
    run_all(name, dy, derivative_from, out, parameters, threads)


# ---- PReLU: tasks are groups of rows forward, strips of columns backward, so that a column's sum has one order ----

cdef fnn_size STRIP = 64     # columns of a strip: whole vectors at every level
cdef fnn_size ROWS = 64      # rows of a group


cdef void slopes_rows(void *context, fnn_size index) noexcept nogil:
    cdef const slopes *p = <const slopes *> context
    cdef fnn_size first = index * ROWS, offset = first * p.cols * p.kernels.itemsize
    p.kernels.prelu(p.x + offset, p.y + offset, min(ROWS, p.rows - first), p.cols, p.slope, p.slope_col)


cdef void prelu_values(slopes *p, int threads) noexcept nogil:
    """Compute y."""
    if p.cols > 0:
        table.parallel(slopes_rows, p, (p.rows + ROWS - 1) // ROWS,
                       threads_for(<double> WORK_OF_MAP * p.rows * p.cols, threads))


cdef void slopes_strip(void *context, fnn_size index) noexcept nogil:
    cdef const slopes *p = <const slopes *> context
    cdef fnn_size first = index * STRIP, offset = first * p.kernels.itemsize
    p.kernels.prelu_backward(p.dy + offset, p.x + offset, p.dx + offset, p.cols, p.rows, min(STRIP, p.cols - first),
                             p.slope + offset * p.slope_col, p.slope_col, p.dslope + offset)


cdef void _sum(real *values, fnn_size n) noexcept nogil:
    """Add all values, in double, and store the sum in the first."""
    cdef double total = 0.0
    cdef fnn_size i
    for i in range(n):
        total += values[i]
    if n > 0:
        values[0] = <real> total


cdef void prelu_gradients(slopes *p, int threads) noexcept nogil:
    """Compute dx and dslope."""
    table.parallel(slopes_strip, p, (p.cols + STRIP - 1) // STRIP,
                   threads_for(<double> WORK_OF_TWO_PASSES * p.rows * p.cols, threads))
    if p.slope_col == 0 and p.kernels.itemsize == sizeof(float):
        _sum(<float *> p.dslope, p.cols)
    elif p.slope_col == 0:
        _sum(<double *> p.dslope, p.cols)


def prelu(x, slope, out, int threads):
    """out = x where x > 0, else slope * x; one slope for all columns or one for each"""
    cdef memory m = memory_of(x)
    cdef slopes p
    p.kernels, p.rows, p.cols, p.x, p.y = m.kernels, m.rows, m.cols, m.data, writing(out, &m)
    p.slope, p.slope_col = reading(slope, &m), len(slope) != 1
    with nogil:
        prelu_values(&p, threads)


def prelu_backward(dy, x, slope, out, dslope, int threads):
    """out = dx; dslope, as long as a row, gets the slopes' gradients, or a shared slope's in its first entry"""
    cdef memory m = memory_of(x)
    cdef slopes p
    p.kernels, p.rows, p.cols, p.x, p.dy, p.dx = m.kernels, m.rows, m.cols, m.data, reading(dy, &m), writing(out, &m)
    p.slope, p.slope_col, p.dslope = reading(slope, &m), len(slope) != 1, writing(dslope, &m)
    with nogil:
        prelu_gradients(&p, threads)

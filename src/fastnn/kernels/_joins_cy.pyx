"""What joins and splits the branches of a net: sums, products and copies of columns, in parts for the threads."""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastnn._fastnn cimport fnn_run_of_columns, fnn_size
from fastnn._native cimport integers, memory, memory_of, reading, table, writing
from fastnn.kernels._parallel cimport WORK_OF_MAP, ceil_div, threads_for

from fastnn._validation import refuse_memory

cdef fnn_size PIECE = 1 << 14    # elements of one task


# ---- sums and products ----

cdef struct join_job:
    join_function run
    fnn_size size           # of an element, in bytes
    const char *x
    const char *x2
    char *out
    fnn_size n


cdef void join_piece(void *context, fnn_size index) noexcept nogil:
    cdef const join_job *j = <const join_job *> context
    cdef fnn_size offset = index * PIECE * j.size
    j.run(j.x + offset, j.x2 + offset, j.out + offset, min(PIECE, j.n - index * PIECE))


cdef int join_all(join_function run, const memory *m, x2, out, int threads) except -1:
    cdef join_job j
    j.run, j.size, j.n, j.x, j.x2, j.out = run, m.kernels.itemsize, m.n, m.data, reading(x2, m), writing(out, m)
    with nogil:
        table.parallel(join_piece, &j, ceil_div(j.n, PIECE), threads_for(<double> WORK_OF_MAP * j.n, threads))
    return 0


def add(x, x2, out, int threads):
    """out = x + x2"""
    cdef memory m = memory_of(x)
    join_all(m.kernels.add, &m, x2, out, threads)


def multiply(x, x2, out, int threads):
    """out = x * x2"""
    cdef memory m = memory_of(x)
    join_all(m.kernels.multiply, &m, x2, out, threads)


# ---- columns ----

cdef fnn_size find_runs(const int64_t *columns, fnn_size n, bint put, fnn_run_of_columns *runs) noexcept nogil:
    """Write the runs of neighbours among n columns, of which there are at most n, and return their number.

    The columns are those that are written (`put`) or those that are read; on the other side they follow each other.
    """
    cdef fnn_size i, n_runs = 0
    for i in range(n):
        if i > 0 and columns[i] == columns[i - 1] + 1:
            runs[n_runs - 1].n += 1
            continue
        runs[n_runs].read, runs[n_runs].written = i if put else columns[i], columns[i] if put else i
        runs[n_runs].n = 1
        n_runs += 1
    return n_runs


cdef fnn_size rows_of_a_task(const columns_copy *c) noexcept nogil:
    return max(1, PIECE // max(c.x_cols, c.y_cols))


cdef void copy_rows(void *context, fnn_size index) noexcept nogil:
    cdef const columns_copy *c = <const columns_copy *> context
    cdef fnn_size each = rows_of_a_task(c), first = index * each, rows = min(each, c.rows - first)
    cdef fnn_size size = c.kernels.itemsize
    cdef char *y = c.y + first * c.y_cols * size
    if c.clear:
        memset(y, 0, rows * c.y_cols * size)
    c.kernels.copy_columns(c.x + first * c.x_cols * size, c.x_cols, y, c.y_cols, rows, c.runs, c.n_runs)


cdef void copy_columns(columns_copy *c, int threads) noexcept nogil:
    """Copy runs of columns of x to y."""
    cdef fnn_size written = c.y_cols if c.clear else min(c.x_cols, c.y_cols)
    if c.y_cols > 0 and (c.clear or c.n_runs > 0):
        table.parallel(copy_rows, c, ceil_div(c.rows, rows_of_a_task(c)),
                       threads_for(<double> WORK_OF_MAP * c.rows * written, threads))


cdef int copy_all(x, columns, out, bint put, bint clear, int threads) except -1:
    cdef memory m = memory_of(x), to = memory_of(out)
    cdef const int64_t *numbers = integers(columns)
    cdef fnn_size n = len(columns)
    cdef columns_copy c
    cdef fnn_run_of_columns *runs
    c.kernels, c.x, c.x_cols, c.y, c.y_cols = m.kernels, m.data, m.cols, writing(out, &m), to.cols
    c.rows, c.clear = m.rows, clear
    runs = <fnn_run_of_columns *> malloc(max(1, n) * sizeof(fnn_run_of_columns))
    if runs is NULL:
        refuse_memory("the runs of columns")
    with nogil:
        c.runs, c.n_runs = runs, find_runs(numbers, n, put, runs)
        copy_columns(&c, threads)
    free(runs)
    return 0


def take_columns(x, columns, out, int threads):
    """out[:, j] = x[:, columns[j]]"""
    copy_all(x, columns, out, False, False, threads)


def put_columns(x, columns, out, bint clear, int threads):
    """out[:, columns[j]] = x[:, j]; with `clear` the other columns become 0"""
    copy_all(x, columns, out, True, clear, threads)

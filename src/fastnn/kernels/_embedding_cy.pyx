"""The gradient of a table of embeddings: for each of its rows the sum of those rows of a batch that have its id.

The rows of the batch are added in their order, from 0 on, whatever the number of threads: threads share the rows of the
table. An update of the whole table needs no array of gradients: sums are made and used in pieces that stay in the
first-level cache.
"""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastnn._fastnn cimport fnn_size
from fastnn._native cimport kernels_for, real, table
from fastnn.kernels._optimizers_cy cimport CHUNK, update_run
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION, WORK_OF_MAP, threads_for

from fastnn._validation import refuse_memory

cdef fnn_size PIECE = 1 << 14    # elements of one task


cdef void list_rows(table_gradient *t) noexcept nogil:
    """Make the lists: from the last row of the batch to the first, each becomes the head of its list."""
    cdef fnn_size i
    cdef int64_t row
    t.n_found = 0
    for i in range(t.rows - 1, -1, -1):
        row = t.ids[i]
        if row == t.padding:
            continue
        if t.first[row] < 0:
            t.found[t.n_found] = row
            t.n_found += 1
        t.next[i] = t.first[row]
        t.first[row] = <int32_t> i


cdef void add_rows(const table_gradient *t, fnn_size row, fnn_size col, fnn_size cols, char *g) noexcept nogil:
    """Add to g, which is 0, columns col..col+cols of the gradients of a row of the table."""
    cdef fnn_size size = t.kernels.itemsize
    cdef int32_t i = t.first[row]
    while i >= 0:
        t.kernels.add(g, t.dy + (i * t.dy_row + col) * size, g, cols)
        i = t.next[i]


cdef void update_rows(const table_gradient *t, fnn_size first, fnn_size rows) noexcept nogil:
    """Update some rows of the table, which have at most CHUNK elements unless it is one row."""
    cdef double g[CHUNK]
    cdef fnn_size size = t.kernels.itemsize, piece, col, cols, i
    for piece in range((t.width + CHUNK - 1) // CHUNK):
        col = piece * CHUNK
        cols = min(CHUNK, t.width - col)
        memset(g, 0, rows * cols * size)
        for i in range(rows):
            if t.first[first + i] >= 0:
                add_rows(t, first + i, col, cols, <char *> g + i * cols * size)
        update_run(t.update, first * t.width + col, rows * cols, <const char *> g)


cdef fnn_size rows_of_a_task(const table_gradient *t) noexcept nogil:
    return max(1, PIECE // t.width)


cdef void update_piece(void *context, fnn_size index) noexcept nogil:
    cdef const table_gradient *t = <const table_gradient *> context
    cdef fnn_size each = max(1, CHUNK // t.width), row = index * rows_of_a_task(t)
    cdef fnn_size stop = min(row + rows_of_a_task(t), t.n)
    while row < stop:
        update_rows(t, row, min(each, stop - row))
        row += each


cdef void write_piece(void *context, fnn_size index) noexcept nogil:
    cdef const table_gradient *t = <const table_gradient *> context
    cdef fnn_size first = index * rows_of_a_task(t), row, bytes = t.width * t.kernels.itemsize
    cdef fnn_size stop = min(first + rows_of_a_task(t), t.n)
    memset(t.dw + first * bytes, 0, (stop - first) * bytes)
    if t.marks is not NULL:
        memset(t.marks + first, 0, stop - first)
    for row in range(first, stop):
        if t.first[row] >= 0:
            add_rows(t, row, 0, t.width, t.dw + row * bytes)
            if t.marks is not NULL:
                t.marks[row] = 1


cdef void update_found_piece(void *context, fnn_size index) noexcept nogil:
    cdef const table_gradient *t = <const table_gradient *> context
    cdef fnn_size first = index * rows_of_a_task(t), i
    for i in range(first, min(first + rows_of_a_task(t), t.n_found)):
        update_rows(t, t.found[i], 1)


cdef void forget_rows(table_gradient *t) noexcept nogil:
    """Empty the lists."""
    cdef fnn_size i
    for i in range(t.n_found):
        t.first[t.found[i]] = -1


cdef void for_all_rows(table_gradient *t, void (*piece)(void *, fnn_size) noexcept nogil, fnn_size rows, int work,
                       int threads) noexcept nogil:
    table.parallel(piece, t, (rows + rows_of_a_task(t) - 1) // rows_of_a_task(t),
                   threads_for(<double> work * rows * t.width, threads))


cdef void write_gradient(table_gradient *t, int threads) noexcept nogil:
    """Write the gradient of the whole table to dw, and mark the rows that the batch has."""
    list_rows(t)
    for_all_rows(t, write_piece, t.n, WORK_OF_MAP, threads)
    forget_rows(t)


cdef void update_table(table_gradient *t, int threads) noexcept nogil:
    """Update the whole table."""
    list_rows(t)
    for_all_rows(t, update_piece, t.n, WORK_OF_FUNCTION, threads)
    forget_rows(t)


cdef void update_found_rows(table_gradient *t, int threads) noexcept nogil:
    """Update the rows that the batch has."""
    list_rows(t)
    for_all_rows(t, update_found_piece, t.n_found, WORK_OF_FUNCTION, threads)
    forget_rows(t)


def embedding_grad(const real[:, :] dy, const int64_t[::1] ids, int64_t padding, real[:, ::1] out, int threads):
    """out[k] = the sum of dy[i] over all i with ids[i] = k, in their order; 0 for the row `padding`."""
    cdef table_gradient t
    cdef fnn_size i
    memset(&t, 0, sizeof(t))
    t.kernels, t.n, t.width, t.padding = kernels_for(sizeof(real)), out.shape[0], out.shape[1], padding
    t.rows, t.dy_row = ids.shape[0], dy.strides[0] // sizeof(real)
    if t.n == 0 or t.width == 0:
        return
    t.dw = <char *> &out[0, 0]
    if t.rows > 0:
        t.dy, t.ids = <const char *> &dy[0, 0], &ids[0]
    t.first = <int32_t *> malloc(t.n * sizeof(int32_t))
    t.next = <int32_t *> malloc((t.rows + 1) * sizeof(int32_t))
    t.found = <int64_t *> malloc((t.rows + 1) * sizeof(int64_t))
    try:
        if t.first is NULL or t.next is NULL or t.found is NULL:
            refuse_memory("lists of rows")
        with nogil:
            for i in range(t.n):
                t.first[i] = -1
            write_gradient(&t, threads)
    finally:
        free(t.first)
        free(t.next)
        free(t.found)

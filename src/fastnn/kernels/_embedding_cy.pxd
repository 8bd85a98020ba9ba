# _embedding_cy.pxd: the gradient of a table of embeddings and its update, for the engine (docs/decisions, 22).

from libc.stdint cimport int32_t, int64_t, uint8_t

from fastnn._fastnn cimport fnn_kernels, fnn_size
from fastnn.kernels._optimizers_cy cimport parameters

# A table, the gradients of a batch of its rows, and the lists of the rows of the batch that have the same id.
cdef struct table_gradient:
    const fnn_kernels *kernels
    fnn_size n              # rows of the table
    fnn_size width          # its columns
    int64_t padding         # the row whose gradient is 0, or -1
    # the batch
    const char *dy          # the gradient of the first row
    fnn_size dy_row         # elements from one row of dy to the next
    const int64_t *ids
    fnn_size rows
    # the lists
    int32_t *first          # for each row of the table the first row of the batch with its id, or -1; -1 between calls
    int32_t *next           # for each row of the batch the next one with the same id, or -1
    int64_t *found          # the rows of the table that the batch has
    fnn_size n_found
    # what becomes of the sums
    char *dw                # where the gradient of the table is written, or NULL
    uint8_t *marks          # where the rows that the batch has are marked, or NULL
    const parameters *update    # the update of the table; unused with dw

cdef void write_gradient(table_gradient *t, int threads) noexcept nogil
cdef void update_table(table_gradient *t, int threads) noexcept nogil
cdef void update_found_rows(table_gradient *t, int threads) noexcept nogil

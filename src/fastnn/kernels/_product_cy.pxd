# _product_cy.pxd: the matrix product, for dense layers and the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

# What happens to a block of the product as soon as it is complete, while it is in the cache: rows first..first+rows and
# columns col..col+cols of the result. c points to the block's first element, and its rows are c_row elements apart.
ctypedef void (*block_done)(void *context, char *c, fnn_size c_row, fnn_size first, fnn_size rows, fnn_size col,
                            fnn_size cols) noexcept nogil

# The product c = bias + a @ b.  Strides are in elements: a[i, p] at a + i * a_row + p * a_k, b[p, j] at
# b + p * b_k + j * b_col.  docs/panels.md explains blocks and matrices in panels.
ctypedef struct product:
    const fnn_kernels *kernels
    fnn_size m              # rows of a and c
    fnn_size n              # columns of b and c
    fnn_size k              # terms of each sum
    const char *a
    fnn_size a_row
    fnn_size a_k
    const char *b
    fnn_size b_k
    fnn_size b_col
    const char *bias        # a row, or NULL
    char *c                 # contiguous rows of n elements
    block_done done         # or NULL
    void *context           # for `done`
    bint discard_result     # only `done` needs the result: c may stay as it is
    bint b_panels           # b is a matrix in panels (b_col is 1) or the transpose of one (b_k is 1)
    bint c_panels           # c is a matrix in panels; `done` gets a part of one panel at a time

cdef void multiply(product *p, int threads) noexcept nogil
cdef bint panels_pay(const fnn_kernels *kernels, fnn_size rows, fnn_size cols) noexcept nogil

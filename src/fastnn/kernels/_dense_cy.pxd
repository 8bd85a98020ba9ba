# _dense_cy.pxd: the matrix product over whole arrays, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

# What is done to a block of the product as soon as it is whole: rows first..first+rows of the result and its columns
# col..col+cols, at c (the block's first element, rows apart by c_row elements), while they are in the cache.
ctypedef void (*block_done)(void *context, char *c, fnn_size c_row, fnn_size first, fnn_size rows, fnn_size col,
                            fnn_size cols) noexcept nogil

# c = init + a @ b.  Strides are in elements: a[i, p] at a + i * a_row + p * a_k, b[p, j] at b + p * b_k + j * b_col.
#
# A matrix in panels has its first tile_cols columns first, row after row, then the next ones, and so on; the last panel
# is as wide as what is left.  So do weights lie that a product reads without packing them, and whose gradient it makes.
ctypedef struct product:
    const fnn_kernels *kernels
    fnn_size m
    fnn_size n
    fnn_size k
    const char *a
    fnn_size a_row
    fnn_size a_k
    const char *b
    fnn_size b_k
    fnn_size b_col
    const char *bias        # a row, or NULL
    char *c                 # rows of n, one after the other
    block_done done         # or NULL
    void *context
    bint discard_result            # c itself need not be written: it is there for `done` alone
    bint b_panels           # b is a matrix in panels (b_col is 1), or the transpose of one
    bint c_panels           # so is c; `done` is given a part of one panel at a time

cdef void multiply(product *p, int threads) noexcept nogil
cdef bint panels_pay(const fnn_kernels *kernels, fnn_size rows, fnn_size cols) noexcept nogil
cdef void into_panels(const fnn_kernels *kernels, char *matrix, fnn_size rows, fnn_size cols, char *room) noexcept nogil
cdef void out_of_panels(const fnn_kernels *kernels, char *matrix, fnn_size rows, fnn_size cols,
                        char *room) noexcept nogil
cdef void copy_from_panels(const fnn_kernels *kernels, const char *panels, fnn_size rows, fnn_size cols, fnn_size first,
                           fnn_size n, char *out) noexcept nogil
cdef void sum_columns(const fnn_kernels *kernels, const char *x, fnn_size rows, fnn_size cols, char *out,
                      int threads) noexcept nogil
cdef int threads_for(double work, int threads) noexcept nogil
cdef fnn_size head_of(const void *out, fnn_size itemsize, fnn_size n) noexcept nogil

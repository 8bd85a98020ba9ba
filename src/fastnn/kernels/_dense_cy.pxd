# _dense_cy.pxd: the matrix product over whole arrays, for the engine; how many threads work pays for, for all kernels.

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
cdef void into_panels(const fnn_kernels *kernels, char *matrix, fnn_size rows, fnn_size cols,
                      char *temporary) noexcept nogil
cdef void out_of_panels(const fnn_kernels *kernels, char *matrix, fnn_size rows, fnn_size cols,
                        char *temporary) noexcept nogil
cdef void copy_from_panels(const fnn_kernels *kernels, const char *panels, fnn_size rows, fnn_size cols, fnn_size first,
                           fnn_size n, char *out) noexcept nogil
cdef void sum_columns(const fnn_kernels *kernels, const char *x, fnn_size rows, fnn_size cols, char *out,
                      int threads) noexcept nogil
cdef fnn_size unaligned_head(const void *out, fnn_size itemsize, fnn_size n) noexcept nogil

# The number of threads for some work, measured in multiply-adds: the entries of an array times one of the constants
# below.
cdef int threads_for(double work, int threads) noexcept nogil

# The work for one entry, in multiply-adds.  They are estimates, not tuned by measurement, and low rather than high, so
# that a second thread starts late rather than early.  At AVX-512 in float32, docs/decisions 12 measured 107 ps for an
# entry of ReLU and 354 ps for one of GELU, where docs/decisions 10 measured 8 ps for a multiply-add.
cdef enum:
    WORK_OF_SUM = 1             # an addition for each entry: column sums
    WORK_OF_MAP = 2             # an operation or two, with a store: clip, scale, an affine map, PReLU
    WORK_OF_TWO_PASSES = 4      # more operands or passes: gather, penalties, norms, statistics, PReLU's gradients
    WORK_OF_FUNCTION = 8        # an activation, dropout, an optimiser's update, batch norm's gradients
    WORK_OF_SOFTMAX = 16        # softmax and losses: several passes over a row, with exponentials

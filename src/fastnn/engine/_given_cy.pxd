# _given_cy.pxd: a caller's arrays as structs, for a step that reads them as they are.

from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_size
from fastnn.kernels._gather_cy cimport source

cdef bint plain_matrix(array, source *rows, fnn_size *n) noexcept
cdef bint plain_rows(array, bint may_be_vector, double low, double high, source *rows, fnn_size *n) noexcept
cdef const int64_t *plain_integers(array, fnn_size n, int64_t *room) noexcept
cdef bint all_below(const int64_t *x, fnn_size n, int64_t bound) noexcept
cdef const double *plain_weights(array, fnn_size n) noexcept

# _given_cy.pxd: a caller's arrays as structs, for a step that reads them as they are.

from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_size
from fastnn.kernels._gather_cy cimport source

cdef bint given_matrix(array, source *rows, fnn_size *n) noexcept
cdef bint given_rows(array, bint of_one, double low, double high, source *rows, fnn_size *n) noexcept
cdef const int64_t *given_labels(array, fnn_size n, int64_t *room) noexcept
cdef const double *given_weights(array, fnn_size n) noexcept
cdef object guard_of(array)

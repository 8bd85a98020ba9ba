# _given_cy.pxd: the arrays that a caller gives to a single step.

cimport numpy as cnp
from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_size
from fastnn.kernels._gather_cy cimport source

cdef bint plain_rows(array, bint may_be_vector, source *rows, fnn_size *n) noexcept
cdef bint all_finite(const source *rows, fnn_size n) noexcept
cdef bint rules_hold(const source *rows, fnn_size n, tuple rules) except -1
cdef cnp.ndarray plain_integers(array, fnn_size n)
cdef bint all_below(const int64_t *x, fnn_size n, int64_t bound) noexcept
cdef cnp.ndarray plain_weights(array, fnn_size n, bint negative)

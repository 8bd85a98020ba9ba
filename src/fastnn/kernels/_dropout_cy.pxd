# _dropout_cy.pxd: what a rate means to csrc, for the engine.

from libc.stdint cimport uint64_t

cdef uint64_t threshold_of(double p) noexcept nogil
cdef double scale_of(double p) noexcept nogil

# _dropout_cy.pxd: what a rate means to csrc, for the engine.

from libc.stdint cimport uint32_t

cdef uint32_t threshold_of(double p) noexcept nogil
cdef double scale_of(double p) noexcept nogil

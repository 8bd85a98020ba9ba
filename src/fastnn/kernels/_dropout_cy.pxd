# _dropout_cy.pxd: csrc's threshold and scale for a dropout rate p, for the engine.

from libc.stdint cimport uint32_t

cdef uint32_t threshold_of(double p) noexcept nogil
cdef double scale_of(double p) noexcept nogil

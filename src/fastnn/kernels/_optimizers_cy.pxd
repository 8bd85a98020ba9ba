# _optimizers_cy.pxd: one update over a run of parameters, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef enum:
    MAX_SLOTS = 4

cdef struct parameters:
    const fnn_kernels *kernels
    int kind
    int n_slots
    fnn_size width          # of a row, where they are a matrix
    char *w
    const char *g
    char *slots[MAX_SLOTS]
    const double *scalars

cdef void update_run(const parameters *p, fnn_size first, fnn_size n) noexcept nogil
cdef void update_all(const parameters *p, fnn_size n, int threads) noexcept nogil

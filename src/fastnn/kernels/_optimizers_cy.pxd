# _optimizers_cy.pxd: updates of runs of parameters, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef enum:
    MAX_SLOTS = 4
    CHUNK = 512     # elements that are prepared, or summed, together

# What is the same for all parameters in one step.
cdef struct update_step:
    const double *scalars
    double weight           # of the batch, by which a penalty may be divided

# One array of parameters and how it follows its gradient.
cdef struct parameters:
    const fnn_kernels *kernels
    const update_step *step
    int kind
    int n_slots
    fnn_size size
    fnn_size width          # of a row, where they are a matrix
    char *w
    const char *g
    char *slots[MAX_SLOTS]
    bint prepared           # whether the gradient is changed, in a copy, before the update takes it
    double l1
    double l2
    bint per_batch

cdef void update_run(const parameters *p, fnn_size first, fnn_size n) noexcept nogil
cdef void update_all(const parameters *p, int threads) noexcept nogil
cdef fnn_size chunks(fnn_size n) noexcept nogil
cdef double penalty_of(const parameters *p, double *partial, int threads) noexcept nogil

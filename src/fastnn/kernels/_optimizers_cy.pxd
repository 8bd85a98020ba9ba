# _optimizers_cy.pxd: updates of runs of parameters, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef enum:
    MAX_SLOTS = 4
    CHUNK = 512     # elements that are prepared, or summed, together

cdef enum decay_form:
    NO_DECAY
    COUPLED         # decay * w is added to the gradient
    DECOUPLED       # w is multiplied by decay

# What is the same for all parameters in one step.
cdef struct update_step:
    const double *scalars   # one group's after the other's
    fnn_size stride         # from a group's to the next's
    double weight           # of the batch, by which a penalty may be divided
    double clip             # what all gradients are multiplied by

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
    fnn_size group
    bint prepared           # whether anything of what follows is to be done before the update
    double l1
    double l2
    bint per_batch
    double clip_value       # or infinity
    decay_form decay        # by the last of the group's scalars
    double max_norm         # of a column, or infinity
    bint in_panels          # w, g and the slots are matrices in panels, for a while

cdef void update_run(const parameters *p, fnn_size first, fnn_size n, const char *g) noexcept nogil
cdef void update_all(const parameters *p, int threads) noexcept nogil
cdef fnn_size chunks(fnn_size n) noexcept nogil
cdef double penalty_of(const parameters *p, double *partial, int threads) noexcept nogil
cdef double square_of(const parameters *p, double *partial, int threads) noexcept nogil
cdef void constrain(const parameters *p, int threads) noexcept nogil

# _optimizers_cy.pxd: parameter updates and what surrounds them, for the engine (docs/decisions, 8).

from libc.stdint cimport uint8_t

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef enum:
    MAX_SLOTS = 4
    CHUNK = 512     # elements of a gradient's copy, 2 or 4 KiB of the first-level cache, and of a partial sum
    PIECE = 1 << 14  # elements of one task

cdef enum decay_form:
    NO_DECAY
    COUPLED         # decay * w is added to the gradient
    DECOUPLED       # w is multiplied by decay

# The settings of one step, the same for all arrays of parameters.
cdef struct update_step:
    const double *scalars   # of the first group; the other groups follow
    fnn_size stride         # from the scalars of one group to those of the next
    double weight           # of the batch; a penalty may be divided by it
    double clip             # the factor of all gradients, from clipping by norm

# One array of parameters, its gradient and slots, and the settings of its update.
cdef struct parameters:
    const fnn_kernels *kernels
    const update_step *step
    int kind
    int n_slots
    fnn_size size
    fnn_size width          # columns of a matrix
    const uint8_t *marks    # of a matrix of which only some rows are updated: 1 for these; else NULL
    char *w
    const char *g
    char *slots[MAX_SLOTS]
    char *mean              # the mean gradients of the batches since the last update, or NULL
    fnn_size group
    bint has_preparation    # whether anything below, except max_norm, has to be done before the update
    double l1
    double l2
    bint per_batch
    double clip_value       # or infinity
    decay_form decay        # the decay is the last of the group's scalars
    double max_norm         # of a column, or infinity
    bint frozen             # the update of all arrays leaves it as it is
    bint in_panels          # w, g, the slots and the mean are in panels at the moment (docs/panels.md)

cdef void update_run(const parameters *p, fnn_size first, fnn_size n, const char *g) noexcept nogil
cdef void update_all(const parameters *p, int threads) noexcept nogil
cdef fnn_size chunks(fnn_size n) noexcept nogil
cdef double penalty_of(const parameters *p, double *partial, int threads) noexcept nogil
cdef double square_of(const parameters *p, double *partial, int threads) noexcept nogil
cdef void lerp_all(const fnn_kernels *kernels, const char *a, const char *b, char *out, fnn_size n, double weight,
                   int threads) noexcept nogil
cdef void constrain(const parameters *p, int threads) noexcept nogil

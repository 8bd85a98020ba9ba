# _op_cy.pxd: an op as a C struct, and the state that the ops of a step share.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastnn._fastnn cimport FNN_MAX_PARAMETERS, fnn_run_of_columns, fnn_kernels, fnn_size, fnn_stream
from fastnn.kernels._augmentation_cy cimport batch_change
from fastnn.kernels._embedding_cy cimport table_gradient
from fastnn.kernels._gather_cy cimport source
from fastnn.kernels._normalization_cy cimport norm
from fastnn.kernels._optimizers_cy cimport parameters as parameter_array, update_step
from fastnn.kernels._scaling_cy cimport scaling_numbers

# The order of fastnn.engine.ops.ROLES.
cpdef enum:
    X, IDS, TARGET, Y, MIXED, W, B, H, GAMMA, BETA, MEAN, VAR, A, RUNNING_MEAN, RUNNING_VAR, COUNT, INV_STD, X2, Z, DZ
    D, DY, DX, DW, DB, DGAMMA, DBETA, DA, N_ROLES

# The order of fastnn.engine.lower.SECTIONS.
cpdef enum:
    INPUT, FORWARD, LOSS, BACKWARD, REDUCE, UPDATE, OBSERVE, N_SECTIONS

ctypedef void (*op_run)(op *o, shared *s) noexcept nogil

# What an augmentation of a batch needs besides its buffers.
cdef struct augment_op:
    batch_change settings
    const double *quantiles     # of mixup's shares
    int64_t *partner            # mixup's room for the partner of each row, its own share and its weight
    double *share
    double *weight
    int64_t *ids                # room for a copy of ids, to swap from

# What an op that observes needs besides its buffers.
cdef struct observe_op:
    fnn_size entries            # of a parameter; 0 for a buffer with rows of the batch
    double low
    double high
    double *figures             # a row of the table of observations
    fnn_size *columns           # room for the numbers of all columns

cdef struct op:
    op_run run
    char *data[N_ROLES]         # NULL where an op has no such buffer
    fnn_size width[N_ROLES]     # the number of columns
    # the epilogue
    int activation
    bint derivative_needs_input     # the activation's derivative is computed from its input
    double constants[FNN_MAX_PARAMETERS]    # of the activation
    double p                    # the dropout rate
    uint32_t stream
    bint masked                 # h is the output after dropout, whose zeros also give the mask
    double factor               # of a scale
    # a copy of columns
    const fnn_run_of_columns *runs
    fnn_size n_runs
    bint clear                  # set the other columns to 0
    # embeddings and encodings
    fnn_size first_column       # of those that an embedding writes, or that are encoded
    fnn_size n_columns          # that are encoded
    const char *bins            # see kernels/_bins.py
    const int64_t *starts       # where the bins of each of the columns begin
    # batch norm
    char *scale                 # of its affine map in inference, if it is kept, or NULL: each run computes it
    double eps
    double momentum
    # the loss
    int loss                    # its kind
    double value                # the factor of the loss
    double slope                # the factor of its gradient
    const double *loss_constants
    bint adds                   # to the loss of the step, which another head has set
    int64_t *labels             # of the batch's rows: those of the op's head
    fnn_size column             # where labels or ids come from
    fnn_size n_classes          # of labels
    # ids
    fnn_size table_rows         # of the table, that for unknown ids not counted
    bint own_row                # numbers that are no row of the table have one of their own
    # the gradient of a table of embeddings
    table_gradient table
    bint sparse                 # only the rows of the batch are updated
    augment_op *augmentation    # `runs` are the columns that stay as they are; `column` is that of the ids
    observe_op *observed
    bint w_panels               # w and dw may be in panels
    # the update of w and b, or of gamma and beta, or of a
    bint updates
    parameter_array first
    parameter_array second
    void *call                  # a tuple of a Python function, its buffers and the weights; the executor keeps it alive

cdef struct oplist:
    op *ops
    int n

# The rows that the ops of the input section load from.  Their owners must exist as long.
cdef struct feed_rows:
    source x
    source y                    # rows of targets
    fnn_size n                  # the number of rows
    const int64_t *labels
    const double *weight        # or NULL
    scaling_numbers x_scaling
    scaling_numbers y_scaling

# The state that all ops of a step share.
cdef struct shared:
    const fnn_kernels *kernels
    int threads
    fnn_stream stream           # of dropout; the op sets its stream
    update_step update
    double clip_norm
    # the batch
    fnn_size rows
    const feed_rows *feed       # NULL unless steps or predictions run
    const int64_t *row_numbers  # of the feed's rows that are the batch
    bint in_range               # False if a row number or a label is not
    fnn_size n_classes
    int64_t *labels
    double *weights             # room for the weights of the rows
    const double *weight        # the same, or NULL if all are 1
    # the loss
    double loss                 # of the step
    double loss_weight          # the total weight of the step's rows
    double *recorded            # where the loss of the step is stored, or NULL
    # the batches whose gradients make one update
    fnn_size group_batches
    double share                # of the batch's weight in that of the group so far
    double *partial             # room for the partial sums of a loss
    char *vectors               # two work vectors as wide as the widest buffer
    const char *zeros           # a vector of as many zeros
    parameter_array *params     # one for every array of parameters of the net
    int n_params
    bint in_panels              # all weights with w_panels are in panels at the moment
    double *sums                # room for two numbers for each chunk of the largest of params
    const norm *wide_batch      # while a batch with wide columns is normalised
    void *error                 # the exception of a Python function: the run ends, and its caller raises it


cdef inline void add_loss(const op *o, shared *s, double loss) noexcept nogil:
    """Set the loss of the step, or add that of a further head."""
    s.loss = s.loss + loss if o.adds else loss

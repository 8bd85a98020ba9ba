"""The executor that runs programs on csrc's kernels: many training steps of an epoch, or a prediction, without the GIL.

- `run_steps` has the loop over batches: gather, forward, loss, backward, update.
- An op becomes a C struct with a pointer for each buffer, filled once. The loop over a program's ops calls `op.run`.
- Bias, activation, dropout, an affine map or the optimiser's update are applied to each block of a product while it is
  in the cache, by the product's `done` callback.
- Work is divided between threads by rows or columns, never inside a sum, so that results do not depend on their number.
- While many steps run, large weights, their slots and their gradients are in panels (docs/panels.md). No result's bits
  depend on it.
"""

import sys

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport INFINITY, isfinite, sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from fastnn._fastnn cimport FNN_MAX_PARAMETERS, fnn_kernels, fnn_row_function, fnn_size, fnn_stream
from fastnn._native cimport (activation_index, fill_parameters, kernels_for, loss_index, reserve_scratch, table,
                             update_index)
from fastnn.kernels._activations_cy cimport prelu_gradients, prelu_values, slopes
from fastnn.kernels._dense_cy cimport sum_columns
from fastnn.kernels._dropout_cy cimport scale_of, threshold_of
from fastnn.kernels._gather_cy cimport Source, gather_rows, source, struct_of
from fastnn.kernels._losses_cy cimport loss_batch, mean_loss, partials, rows_job, run_row_function
from fastnn.kernels._normalization_cy cimport (norm, norm_gradients, norm_running, norm_scale, norm_statistics,
                                               wide_rows)
from fastnn.kernels._optimizers_cy cimport (COUPLED, DECOUPLED, MAX_SLOTS, NO_DECAY, chunks, constrain, parameters,
                                            penalty_of, square_of, update_all, update_run, update_step)
from fastnn.kernels._panels cimport into_panels, out_of_panels
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION, threads_for
from fastnn.kernels._product_cy cimport multiply, panels_pay, product

from fastnn.engine._lock cimport Counter, LockContext, NetLock
from fastnn._validation import refuse, refuse_memory
from fastnn.engine.arena import aligned_zeros, resize_guards
from fastnn.engine.feed import StepResult
from fastnn.engine.program import check_slots
from fastnn.engine.program import OPS as _OPS
from fastnn.engine.program import derivative_from_input, output_holds_mask

ROLES = ("x", "w", "b", "h", "y", "gamma", "beta", "running_mean", "running_var", "mean", "var", "inv_std", "z", "dz",
         "target", "d", "dy", "dx", "dw", "db", "dgamma", "dbeta", "a", "da")

SECTIONS = ("forward", "loss", "backward", "update")

cdef double SLICE_SECONDS = 0.05    # of a prediction, before signals are handled
# The fewest steps ahead for which panels pay: to bring weights into panels and back takes about as long as a step
# (docs/decisions, 14).
cdef Py_ssize_t PANEL_STEPS = 32

cdef enum:
    # Elements of one task of an op by rows: 8 or 16 KiB, so that they stay in the first-level cache.
    TASK_ELEMENTS = 2048

cdef enum:
    FORWARD, LOSS, BACKWARD, UPDATE, N_SECTIONS

cdef enum:
    X, W, B, H, Y, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR, MEAN, VAR, INV_STD, Z, DZ, TARGET, D, DY, DX, DW, DB, DGAMMA
    DBETA, A, DA, N_ROLES

ctypedef void (*op_run)(op *o, shared *s) noexcept nogil

cdef struct op:
    op_run run
    char *data[N_ROLES]         # NULL where an op has no such buffer
    fnn_size width[N_ROLES]     # the number of columns
    bint reads_input            # x is the program's input
    bint writes_output          # y is the program's output
    # the epilogue
    int activation
    bint derivative_from_input  # the activation's derivative is computed from its input
    double parameters[FNN_MAX_PARAMETERS]   # of the activation
    double p                    # the dropout rate
    uint32_t stream
    bint masked                 # h is the output after dropout, whose zeros also give the mask
    # batch norm
    double eps
    double momentum
    # the loss
    int loss                    # its kind
    double value                # the factor of the loss
    double slope                # the factor of its gradient
    const double *loss_parameters
    bint w_panels               # w and dw may be in panels
    # the update of w and b, or of gamma and beta
    bint updates
    parameters first
    parameters second
    void *call                  # a tuple, a Python function and its arguments, which the executor keeps alive

cdef struct shared:
    # The state that all ops of a step share.
    const fnn_kernels *kernels
    fnn_size rows
    int threads
    fnn_stream stream           # of dropout; the op sets its stream
    update_step update
    double clip_norm
    const int64_t *labels
    const double *weight
    char *vectors               # two work vectors as wide as the widest buffer
    double *partial             # room for the partial sums of a loss
    double loss                 # of the step
    double loss_weight          # the total weight of the step's rows
    parameters *params          # one for every array of parameters of the net
    int n_params
    bint in_panels              # all weights with w_panels are in panels at the moment
    double *sums                # room for two numbers for each chunk of the largest of params
    const norm *wide_batch      # while a batch with wide columns is normalised
    void *error                 # the exception of a Python function: the run ends, and its caller raises it

cdef struct done_context:
    # The context of a product's `done` callback.
    op *o
    shared *s


# ---- the epilogue: an activation, then dropout ----

cdef void apply_epilogue(op *o, shared *s, char *result, fnn_size first, fnn_size n) noexcept nogil:
    """Apply the epilogue to n elements from `result` on and write y; the first has index `first` in its buffer.

    The activation's output goes to h, or to y if there is no h or h has to keep the activation's input.
    """
    cdef fnn_stream stream = s.stream
    cdef fnn_size offset = first * s.kernels.itemsize
    cdef char *y = o.data[Y] + offset
    cdef char *f = y if o.derivative_from_input or o.data[H] is NULL else o.data[H] + offset
    if o.activation > 0 or (o.p == 0.0 and f != result):
        s.kernels.activation[o.activation].forward(result, f, n, o.parameters)
        result = f
    if o.p > 0.0:
        stream.stream = o.stream
        s.kernels.dropout(result, y, n, first, &stream, threshold_of(o.p), scale_of(o.p))


cdef void undo_epilogue(op *o, shared *s, char *d, const char *h, fnn_size first, fnn_size n) noexcept nogil:
    """Turn d, the gradient of the epilogue's output, into that of its input, in place, for the same elements."""
    cdef fnn_stream stream = s.stream
    if o.masked:
        s.kernels.scale(d, d, n, scale_of(o.p))
    elif o.p > 0.0:
        stream.stream = o.stream
        s.kernels.dropout(d, d, n, first, &stream, threshold_of(o.p), scale_of(o.p))
    if o.activation > 0:
        s.kernels.activation[o.activation].backward(d, h, d, n, o.parameters)


cdef bint has_epilogue(const op *o) noexcept nogil:
    return o.activation > 0 or o.p > 0.0


cdef char *result(const op *o) noexcept nogil:
    """Return the buffer of an op's result before the epilogue."""
    return o.data[Y] if o.data[H] is NULL else o.data[H]


# ---- ops that threads share by rows ----

ctypedef void (*rows_run)(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil

cdef struct op_rows:
    op *o
    shared *s
    rows_run run
    fnn_size each               # rows of a task


cdef void run_rows(void *context, fnn_size index) noexcept nogil:
    cdef const op_rows *j = <const op_rows *> context
    j.run(j.o, j.s, index * j.each, min(j.each, j.s.rows - index * j.each))


cdef void by_rows(op *o, shared *s, fnn_size width, rows_run run) noexcept nogil:
    """Run an op for all rows, in tasks whose elements stay in the first-level cache."""
    cdef op_rows j
    j.o, j.s, j.run = o, s, run
    j.each = max(1, TASK_ELEMENTS // max(1, width))
    table.parallel(run_rows, &j, (s.rows + j.each - 1) // j.each,
                   threads_for(<double> WORK_OF_FUNCTION * s.rows * width, s.threads))


# ---- forward ----

cdef void start_product(product *p, op *o, shared *s, int a, int b, int c) noexcept nogil:
    p.kernels = s.kernels
    p.a, p.b, p.c, p.bias = o.data[a], o.data[b], o.data[c], NULL
    p.m, p.n, p.k = s.rows, o.width[c], o.width[a]
    p.a_row, p.a_k = o.width[a], 1
    p.b_k, p.b_col = o.width[b], 1
    p.done, p.context, p.discard_result, p.b_panels, p.c_panels = NULL, NULL, False, False, False


cdef void dense_done(void *context, char *c, fnn_size c_row, fnn_size first, fnn_size rows, fnn_size col,
                     fnn_size cols) noexcept nogil:
    """Apply batch norm's affine map, if any, and the epilogue to a block of x @ w + b."""
    cdef const done_context *ctx = <const done_context *> context
    cdef op *o = ctx.o
    cdef fnn_size n = o.width[Y], size = ctx.s.kernels.itemsize, offset = first * n + col, i
    cdef char *affine = ctx.s.vectors + col * size
    if o.data[GAMMA] is not NULL:
        ctx.s.kernels.affine(c, n, c, n, rows, cols, o.data[MEAN] + col * size, affine, o.data[BETA] + col * size)
    if cols == n:
        apply_epilogue(o, ctx.s, c, offset, rows * n)
        return
    for i in range(rows):
        apply_epilogue(o, ctx.s, c + i * n * size, offset + i * n, cols)


cdef void run_dense(op *o, shared *s) noexcept nogil:
    """Compute the output of a dense layer; in inference also that of a batch norm after it (docs/decisions, 1)."""
    cdef product p
    cdef done_context ctx
    cdef fnn_size n = o.width[Y]
    start_product(&p, o, s, X, W, Y)
    p.c, p.bias, p.b_panels = result(o), o.data[B], o.w_panels and s.in_panels
    ctx.o, ctx.s = o, s
    if o.data[GAMMA] is not NULL:
        norm_scale(s.kernels, o.data[GAMMA], o.data[VAR], o.eps, s.vectors + n * s.kernels.itemsize, s.vectors, n)
    if has_epilogue(o) or o.data[GAMMA] is not NULL:
        p.done, p.context = dense_done, &ctx
    multiply(&p, s.threads)


cdef void activation_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[Y], offset = first * n, bytes = offset * s.kernels.itemsize
    apply_epilogue(o, s, o.data[X] + bytes, offset, rows * n)


cdef void run_activation(op *o, shared *s) noexcept nogil:
    by_rows(o, s, o.width[Y], activation_rows)


cdef void start_prelu(slopes *p, op *o, shared *s) noexcept nogil:
    p.kernels, p.rows, p.cols = s.kernels, s.rows, o.width[X]
    p.x, p.slope, p.slope_col = o.data[X], o.data[A], 1 if o.width[A] > 1 else 0


cdef void run_prelu(op *o, shared *s) noexcept nogil:
    cdef slopes p
    start_prelu(&p, o, s)
    p.y = o.data[Y]
    prelu_values(&p, s.threads)


cdef void run_row_kernel(op *o, shared *s, const fnn_row_function *function, int dy, int x, int out) noexcept nogil:
    """Apply a function to each row; dy, x and out are roles."""
    cdef rows_job j
    j.function, j.itemsize, j.rows, j.cols = function, s.kernels.itemsize, s.rows, o.width[x]
    j.dy, j.x, j.out = o.data[dy], o.data[x], o.data[out]
    run_row_function(&j, s.threads)


cdef void run_softmax(op *o, shared *s) noexcept nogil:
    run_row_kernel(o, s, &s.kernels.softmax, DY, X, Y)


cdef void run_log_softmax(op *o, shared *s) noexcept nogil:
    run_row_kernel(o, s, &s.kernels.log_softmax, DY, X, Y)


cdef void affine_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[Y], offset = first * n, bytes = offset * s.kernels.itemsize
    cdef char *h = result(o) + bytes
    s.kernels.affine(o.data[X] + bytes, n, h, n, rows, n, o.data[MEAN], s.vectors, o.data[BETA])
    if s.wide_batch is not NULL:
        wide_rows(s.wide_batch, o.data[BETA], result(o), first, rows)
    apply_epilogue(o, s, h, offset, rows * n)


cdef void run_affine(op *o, shared *s) noexcept nogil:
    """Normalise by the running statistics: batch norm in inference."""
    cdef fnn_size n = o.width[Y]
    norm_scale(s.kernels, o.data[GAMMA], o.data[VAR], o.eps, s.vectors + n * s.kernels.itemsize, s.vectors, n)
    by_rows(o, s, n, affine_rows)


cdef void run_batch_norm(op *o, shared *s) noexcept nogil:
    """Normalise by the batch's statistics and update the running ones."""
    cdef norm n
    n.kernels, n.rows, n.cols, n.eps = s.kernels, s.rows, o.width[X], o.eps
    n.x, n.gamma, n.mean, n.inv_std = o.data[X], o.data[GAMMA], o.data[MEAN], o.data[INV_STD]
    n.scale, n.var = s.vectors, s.vectors + n.cols * s.kernels.itemsize
    norm_statistics(&n, s.threads)
    norm_running(&n, o.data[RUNNING_MEAN], o.data[RUNNING_VAR], o.momentum)
    s.wide_batch = NULL if n.wide is NULL else &n
    by_rows(o, s, n.cols, affine_rows)
    s.wide_batch = NULL
    free(n.wide)


# ---- losses ----

cdef void run_loss(op *o, shared *s) noexcept nogil:
    cdef loss_batch b
    b.kernels, b.kind, b.z, b.grad, b.target = s.kernels, o.loss, o.data[Z], o.data[DZ], o.data[TARGET]
    b.target_bytes = o.width[TARGET] * s.kernels.itemsize
    if b.target is NULL:
        b.target, b.target_bytes = <const char *> s.labels, sizeof(int64_t)
    b.parameters, b.value, b.slope = o.loss_parameters, o.value, o.slope
    b.weight, b.rows, b.cols, b.partial = s.weight, s.rows, o.width[Z], s.partial
    s.loss = mean_loss(&b, s.threads)
    s.loss_weight = b.total_weight


cdef void run_penalty(op *o, shared *s) noexcept nogil:
    """Add the penalty of all parameters to the loss."""
    cdef double penalty = 0.0
    cdef bint per_batch = False
    cdef int i
    for i in range(s.n_params):
        if s.params[i].l1 > 0.0 or s.params[i].l2 > 0.0:
            per_batch = s.params[i].per_batch
            penalty += penalty_of(&s.params[i], s.sums, s.threads)
    if per_batch:
        penalty *= 1.0 / s.loss_weight if s.loss_weight > 0.0 else 0.0
    s.loss += penalty


# ---- Python functions ----

cdef void keep_error(shared *s, error) noexcept:
    """Store a Python function's exception for the caller of the run."""
    Py_INCREF(error)
    s.error = <void *> error


cdef take_error(shared *s):
    """Return the exception that a Python function has raised, or None, and forget it."""
    if s.error is NULL:
        return None
    error = <object> s.error
    s.error = NULL
    Py_DECREF(error)
    return error


cdef void run_call(op *o, shared *s) noexcept with gil:
    """Call the function of a custom layer."""
    try:
        function, arrays = <tuple> o.call
        function(*[array[:s.rows] for array in arrays])
    except BaseException as error:
        keep_error(s, error)


cdef void run_custom_loss(op *o, shared *s) noexcept with gil:
    """Call the function of a custom loss."""
    try:
        function, (z, dz, target, weight) = <tuple> o.call
        z, dz, target = z[:s.rows], dz[:s.rows], target[:s.rows]
        weight = None if s.weight is NULL else weight[:s.rows]
        s.loss = function(z, dz, target, weight)
        s.loss_weight = s.rows if weight is None else weight.sum()
    except BaseException as error:
        keep_error(s, error)


# ---- backward ----

cdef void epilogue_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[D], offset = first * n, bytes = offset * s.kernels.itemsize
    undo_epilogue(o, s, o.data[D] + bytes, o.data[H] + bytes, offset, rows * n)


cdef void run_epilogue_backward(op *o, shared *s) noexcept nogil:
    by_rows(o, s, o.width[D], epilogue_rows)


cdef void grad_input_done(void *context, char *c, fnn_size c_row, fnn_size first, fnn_size rows, fnn_size col,
                          fnn_size cols) noexcept nogil:
    """Apply the backward pass of the epilogue to a block of dy @ w.T."""
    cdef const done_context *ctx = <const done_context *> context
    cdef op *o = ctx.o
    cdef fnn_size n = o.width[DX], size = ctx.s.kernels.itemsize, offset = first * n + col, i
    if cols == n:
        undo_epilogue(o, ctx.s, c, o.data[H] + offset * size, offset, rows * n)
        return
    for i in range(rows):
        undo_epilogue(o, ctx.s, c + i * n * size, o.data[H] + (offset + i * n) * size, offset + i * n, cols)


cdef void run_dense_grad_input(op *o, shared *s) noexcept nogil:
    """Compute the gradient of a dense layer's input, dy @ w.T; then undo the epilogue of the op before it."""
    cdef product p
    cdef done_context ctx
    start_product(&p, o, s, DY, W, DX)
    p.b_k, p.b_col, p.b_panels = 1, o.width[W], o.w_panels and s.in_panels
    ctx.o, ctx.s = o, s
    if has_epilogue(o):
        p.done, p.context = grad_input_done, &ctx
    multiply(&p, s.threads)


cdef void grad_weight_done(void *context, char *c, fnn_size c_row, fnn_size first, fnn_size rows, fnn_size col,
                           fnn_size cols) noexcept nogil:
    """Update the weights whose gradients are in this block."""
    cdef const parameters *w = <const parameters *> context
    cdef fnn_size n = w.width, offset = first * n + col, i
    if cols == n and c_row == n:
        update_run(w, offset, rows * n, c)
        return
    for i in range(rows):
        update_run(w, offset + i * n, cols, c + i * c_row * w.kernels.itemsize)


cdef void grad_panel_done(void *context, char *c, fnn_size c_row, fnn_size first, fnn_size rows, fnn_size col,
                          fnn_size cols) noexcept nogil:
    """The same for weights in panels: the block is a part of one panel."""
    cdef const parameters *w = <const parameters *> context
    update_run(w, col * (w.size // w.width) + first * cols, rows * cols, c)


cdef void run_dense_grad_weight(op *o, shared *s) noexcept nogil:
    """Compute the gradients of a dense layer's weight, x.T @ dy, and bias, and update both."""
    cdef product p
    cdef fnn_size n = o.width[DW]
    start_product(&p, o, s, X, DY, DW)
    p.m, p.k = o.width[X], s.rows
    p.a_row, p.a_k, p.c_panels = 1, o.width[X], o.w_panels and s.in_panels
    if o.updates:
        p.done, p.context, p.discard_result = grad_panel_done if p.c_panels else grad_weight_done, &o.first, True
    multiply(&p, s.threads)
    if o.data[DB] is not NULL:
        sum_columns(s.kernels, o.data[DY], s.rows, n, o.data[DB], s.threads)
        if o.updates:
            update_run(&o.second, 0, n, o.data[DB])
    if o.updates:
        constrain(&o.first, s.threads)


cdef void run_batch_norm_backward(op *o, shared *s) noexcept nogil:
    cdef norm n
    n.kernels, n.rows, n.cols = s.kernels, s.rows, o.width[X]
    n.x, n.gamma, n.mean, n.inv_std = o.data[X], o.data[GAMMA], o.data[MEAN], o.data[INV_STD]
    n.dy, n.dx, n.dgamma, n.dbeta = o.data[DY], o.data[DX], o.data[DGAMMA], o.data[DBETA]
    norm_gradients(&n, s.threads)
    if o.updates:
        update_run(&o.first, 0, n.cols, n.dgamma)
        update_run(&o.second, 0, n.cols, n.dbeta)


cdef void run_clip_norm(op *o, shared *s) noexcept nogil:
    """Set the factor of all gradients, so that the norm of all together is at most clip_norm."""
    cdef double square = 0.0, factor
    cdef int i
    for i in range(s.n_params):
        square += square_of(&s.params[i], s.sums, s.threads)
    factor = s.clip_norm / (sqrt(square) + 1e-6)  # 1e-6 as in PyTorch's clip_grad_norm_
    s.update.clip = 1.0 if factor >= 1.0 else factor


cdef void run_softmax_backward(op *o, shared *s) noexcept nogil:
    run_row_kernel(o, s, &s.kernels.softmax, DY, Y, DX)


cdef void run_log_softmax_backward(op *o, shared *s) noexcept nogil:
    run_row_kernel(o, s, &s.kernels.log_softmax, DY, Y, DX)


cdef void run_prelu_backward(op *o, shared *s) noexcept nogil:
    cdef slopes p
    cdef fnn_size bytes = o.width[A] * s.kernels.itemsize
    start_prelu(&p, o, s)
    p.dy, p.dx, p.dslope = o.data[DY], o.data[DX], s.vectors
    prelu_gradients(&p, s.threads)
    memcpy(o.data[DA], p.dslope, bytes)
    if o.updates:
        update_run(&o.first, 0, o.width[A], o.data[DA])


cdef void run_update(op *o, shared *s) noexcept nogil:
    """Update all parameters, where the update is not fused with the gradients."""
    cdef int i
    for i in range(s.n_params):
        update_all(&s.params[i], s.threads)


cdef dict RUN = {
    "dense": <size_t> &run_dense,
    "dense_affine": <size_t> &run_dense,
    "activation": <size_t> &run_activation,
    "prelu": <size_t> &run_prelu,
    "softmax": <size_t> &run_softmax,
    "log_softmax": <size_t> &run_log_softmax,
    "batch_norm": <size_t> &run_batch_norm,
    "affine": <size_t> &run_affine,
    "loss": <size_t> &run_loss,
    "custom_loss": <size_t> &run_custom_loss,
    "custom": <size_t> &run_call,
    "custom_backward": <size_t> &run_call,
    "epilogue_backward": <size_t> &run_epilogue_backward,
    "dense_grad_input": <size_t> &run_dense_grad_input,
    "dense_grad_weight": <size_t> &run_dense_grad_weight,
    "batch_norm_backward": <size_t> &run_batch_norm_backward,
    "prelu_backward": <size_t> &run_prelu_backward,
    "softmax_backward": <size_t> &run_softmax_backward,
    "log_softmax_backward": <size_t> &run_log_softmax_backward,
    "penalty": <size_t> &run_penalty,
    "clip_norm": <size_t> &run_clip_norm,
    "update": <size_t> &run_update,
}


cdef struct oplist:
    op *ops
    int n


cdef void run_ops(const oplist *ops, shared *s) noexcept nogil:
    cdef int i
    for i in range(ops.n):
        ops.ops[i].run(&ops.ops[i], s)
        if s.error is not NULL:
            return


cdef char *pointer(array) except? NULL:
    return <char *> <size_t> array.ctypes.data


cdef fnn_size columns(array) except -1:
    return array.shape[array.ndim - 1]


cdef class Executor:
    """Runs one program over its buffers and the arenas of a net. The reference executor has the documentation."""

    cdef readonly object program
    cdef readonly object dtype
    cdef readonly Py_ssize_t capacity
    cdef object _owners         # every array that a pointer below points into
    cdef object _loss_parameters
    cdef dict _buffers
    cdef oplist _sections[N_SECTIONS]
    cdef shared _shared
    cdef int64_t[::1] _labels
    cdef double[::1] _weight
    cdef int64_t[::1] _row_numbers  # 0, 1, ...
    cdef char *_input
    cdef char *_output
    cdef char *_zeros
    cdef fnn_size _output_width
    cdef bint _calls_python
    cdef fnn_size _n_groups     # of parameters; each has its own scalars
    cdef fnn_size _n_scalars    # of all groups, or 0 where the program does not state it
    cdef list _calls            # the tuples of op.call
    cdef list _panel_params     # indices of the parameters that may be in panels
    cdef object _state          # the net's state
    cdef object _state_before   # a copy, restored when a Python function raises

    def __cinit__(self):
        memset(self._sections, 0, sizeof(self._sections))
        memset(&self._shared, 0, sizeof(shared))

    def __init__(self, program, dtype, Py_ssize_t capacity, params, state, grads=None, tuple slots=(), seed=0):
        self.program = program
        self.dtype = np.dtype(dtype)
        self.capacity = capacity
        if capacity * sum(program.batch.values()) * self.dtype.itemsize > sys.maxsize:
            refuse(ValueError, "capacity", f"need buffers of at most {sys.maxsize} bytes", f"{capacity} rows")
        if len(slots) > MAX_SLOTS:
            refuse(ValueError, "slots", f"be at most {MAX_SLOTS} arrays", len(slots))
        check_slots(program, params, slots)
        reserve_scratch()
        cdef dict buffers = {name: aligned_zeros(capacity * width, self.dtype).reshape(capacity, width)
                             for name, width in program.batch.items()}
        buffers.update({name: aligned_zeros(width, self.dtype) for name, width in program.vectors.items()})
        for space, arena in (("param", params), ("state", state), ("grad", grads)):
            if arena is not None:
                buffers.update({f"{space}:{name}": view for name, view in arena.views().items()})
        self._buffers = buffers
        cdef fnn_size widest = max(program.batch.values())
        vectors = aligned_zeros(3 * widest, self.dtype)
        partial = np.zeros(partials(capacity) + 1)
        self._owners = (params, state, grads, slots, vectors, partial)
        self._labels = np.zeros(capacity, dtype=np.int64)
        self._weight = np.zeros(capacity)
        self._row_numbers = np.arange(capacity, dtype=np.int64)
        self._input, self._output = pointer(buffers[program.input]), pointer(buffers[program.output])
        self._output_width = program.batch[program.output]
        self._calls_python, self._calls = program.calls_python, []
        self._n_groups = program.update.n_groups if program.update is not None else 1
        self._n_scalars = program.update.n_scalars if program.update is not None else 0
        self._panel_params = []
        self._state, self._state_before = state.data, state.data.copy() if program.calls_python else None

        cdef shared *s = &self._shared
        s.kernels = kernels_for(self.dtype.itemsize)
        s.stream.seed = seed
        s.vectors = pointer(vectors)
        self._zeros = s.vectors + 2 * widest * s.kernels.itemsize
        s.partial = <double *> pointer(partial)
        s.labels = &self._labels[0] if capacity else NULL  # zeros until a step has labels
        cdef int i
        s.update.clip = 1.0
        if program.update is not None and grads is not None:
            s.clip_norm = program.update.clip_norm
            names = tuple(params.layout)
            largest = max((params.layout.elements(name) for name in names), default=0)
            sums = np.zeros(2 * chunks(largest) + 1)
            self._owners += (sums,)
            s.sums = <double *> pointer(sums)
            s.params = <parameters *> PyMem_Calloc(max(1, len(names)), sizeof(parameters))
            if s.params is NULL:
                refuse_memory("a program's parameters")
            s.n_params = len(names)
            for i, name in enumerate(names):
                s.params[i] = self._parameters(name, params, grads, slots)
                if self._may_be_in_panels(name, &s.params[i]):
                    self._panel_params.append(i)
        for i, name in enumerate(SECTIONS):
            self._compile(&self._sections[i], program.sections.get(name, ()), params, grads, slots)

    def __dealloc__(self):
        for i in range(N_SECTIONS):
            PyMem_Free(self._sections[i].ops)
        PyMem_Free(self._shared.params)

    cdef parameters _parameters(self, str name, params, grads, tuple slots):
        cdef parameters p
        cdef fnn_size offset = params.layout.offsets[name] * self.dtype.itemsize
        update = self.program.update
        memset(&p, 0, sizeof(p))
        p.kernels, p.step, p.kind, p.n_slots = (self._shared.kernels, &self._shared.update, update_index(update.kind),
                                                len(slots))
        p.size, p.width = params.layout.elements(name), columns(params.view(name))
        if update.has_penalty and name in update.penalized:
            p.l1, p.l2, p.per_batch = update.l1, update.l2, update.per_batch
        p.group, p.clip_value = update.groups.get(name, 0), update.clip_value
        p.decay = {"": NO_DECAY, "coupled": COUPLED, "decoupled": DECOUPLED}[update.decay]
        p.max_norm = update.max_norms.get(name, INFINITY)
        p.has_preparation = p.l1 > 0 or p.l2 > 0 or update.decay or min(update.clip_value, update.clip_norm) < INFINITY
        p.w, p.g = pointer(params.data) + offset, pointer(grads.data) + offset
        for i in range(len(slots)):
            p.slots[i] = pointer(slots[i]) + offset
        return p

    cdef bint _may_be_in_panels(self, str name, const parameters *p) except -1:
        """Return whether a weight may be in panels.

        It may if it is large enough, and only products, elementwise updates and a penalty use it during steps
        (docs/decisions, 14).
        """
        arrays = {f"param:{name}", f"grad:{name}"}
        used = {op.kind for ops in self.program.sections.values() for op in ops
                if not arrays.isdisjoint(op.buffers.values())}
        return (bool(used) and used <= {"dense", "dense_grad_input", "dense_grad_weight"}
                and not self.program.calls_python and min(p.max_norm, self._shared.clip_norm) == INFINITY
                and panels_pay(p.kernels, p.size // p.width, p.width))

    cdef int _compile(self, oplist *compiled, ops, params, grads, tuple slots) except -1:
        cdef op *o
        compiled.ops = <op *> PyMem_Calloc(max(1, len(ops)), sizeof(op))
        if compiled.ops is NULL:
            refuse_memory("a program's ops")
        compiled.n = len(ops)
        in_panels = [name for i, name in enumerate(params.layout) if i in self._panel_params]
        for i, source_op in enumerate(ops):
            o = &compiled.ops[i]
            o.run = <op_run> <size_t> RUN[source_op.kind]
            for name, where in source_op.buffers.items():
                k = ROLES.index(name)
                o.data[k] = pointer(self._buffers[where])
                o.width[k] = columns(self._buffers[where])
            o.reads_input = source_op.buffers.get("x") == self.program.input
            o.writes_output = source_op.buffers.get("y") == self.program.output
            attrs = source_op.attrs
            o.activation = activation_index(attrs.get("activation", "identity"))
            o.derivative_from_input = "activation" in attrs and derivative_from_input(source_op)
            fill_parameters(attrs.get("parameters", ()), o.parameters)
            o.p, o.stream = attrs.get("p", 0.0), attrs.get("stream", 0)
            o.masked = o.p > 0.0 and output_holds_mask(source_op)
            o.w_panels = "w" in source_op.buffers and source_op.buffers["w"].partition(":")[2] in in_panels
            o.eps, o.momentum = attrs.get("eps", 0.0), attrs.get("momentum", 0.0)
            if "function" in attrs:
                given = [self._buffers[source_op.buffers[role]] for role in _OPS[source_op.kind].buffers]
                if source_op.kind == "custom_loss":
                    target = source_op.buffers.get("target")
                    given += [self._buffers[target] if target else np.asarray(self._labels), np.asarray(self._weight)]
                call = attrs["function"], tuple(given)
                self._calls.append(call)
                o.call = <void *> call
            if "loss" in attrs:
                o.loss, o.value, o.slope = loss_index(attrs["loss"]), attrs["value"], attrs["slope"]
                if attrs["loss_parameters"]:
                    self._loss_parameters = np.array(attrs["loss_parameters"], dtype=np.float64)
                    o.loss_parameters = <const double *> pointer(self._loss_parameters)
            if attrs.get("update") and source_op.kind != "update":
                o.updates = True
                updated = [source_op.buffers[role].partition(":")[2] for role in ("w", "b", "gamma", "beta", "a")
                           if role in source_op.buffers]
                for nth, name in enumerate(updated):
                    made = self._parameters(name, params, grads, slots)
                    if nth == 0:
                        o.first = made
                    else:
                        o.second = made
        return 0

    def array(self, str name, rows):
        """The first `rows` rows of a ``batch:`` buffer, or a whole ``vector:``, sharing memory."""
        return self._buffers[name][:rows] if name.startswith("batch:") else self._buffers[name]

    cdef void _reorder(self, bint panels) noexcept:
        """Bring weights and slots into panels, or out of them.

        The gradients' memory is used as temporary storage. A fork needs the GIL, so its child never sees an array half
        moved.
        """
        cdef parameters *p
        cdef char *array
        cdef int i, k
        if self._shared.in_panels == panels:
            return
        for i in self._panel_params:
            p = &self._shared.params[i]
            for k in range(p.n_slots + 1):
                array = p.w if k == p.n_slots else p.slots[k]
                if panels:
                    into_panels(p.kernels, array, p.size // p.width, p.width, <char *> p.g)
                else:
                    out_of_panels(p.kernels, array, p.size // p.width, p.width, <char *> p.g)
            p.in_panels = panels
        self._shared.in_panels = panels

    def restore_order(self):
        """Bring the arenas back into the order of their views (docs/panels.md)."""
        self._reorder(False)

    cdef int _check_scalars(self, fnn_size n) except -1:
        if self._n_scalars and n != self._n_scalars:
            refuse(ValueError, "scalars", f"be rows of {self._n_scalars} numbers", n)
        return 0

    cdef int _check_length(self, str name, Py_ssize_t n, Py_ssize_t wanted) except -1:
        if n != wanted:
            refuse(ValueError, name, f"have {wanted} entries", n)
        return 0

    cdef LockContext _acquire(self, NetLock lock):
        """Acquire the lock to write. If the program calls Python functions, the context also defers signals."""
        cdef LockContext context = None
        # Weights that are still in this executor's panels may stay there: no other thread has taken the lock since.
        if lock is not None and self._calls_python:
            context = LockContext(lock, True)
            context.enter(self._shared.in_panels)
        elif lock is not None:
            lock.acquire(True, self._shared.in_panels)
        return context

    cdef int _release(self, NetLock lock, LockContext context) except -1:
        if context is not None:
            context.leave()
        elif lock is not None:
            lock.release(True)
        return 0

    def run(self, str section, rows, step=0, scalars=None, threads=1, double weight=0.0, NetLock lock=None,
            tuple counters=()):
        """Run one section of the program over the first `rows` rows of the buffers as they are."""
        cdef oplist *ops = &self._sections[SECTIONS.index(section)]
        cdef const double[::1] row
        cdef LockContext context
        if not 0 <= rows <= self.capacity:
            refuse(ValueError, "rows", f"be from 0 to {self.capacity}", rows)
        if scalars is not None:
            row = scalars
            self._check_scalars(row.shape[0])
        reserve_scratch()
        context = self._acquire(lock)
        try:
            self._reorder(False)
            if scalars is not None:
                self._shared.update.scalars = &row[0]
                self._shared.update.stride = row.shape[0] // self._n_groups
            self._shared.rows, self._shared.stream.step, self._shared.threads = rows, step & 0xFFFFFFFF, threads
            self._shared.update.weight = weight
            if self._calls_python:
                memcpy(pointer(self._state_before), pointer(self._state), self._state.nbytes)
            with nogil:
                table.keep_workers_awake()
                run_ops(ops, &self._shared)
                table.let_workers_sleep()
            self._shared.update.scalars = NULL
            error = take_error(&self._shared)
            if error is not None:
                memcpy(pointer(self._state), pointer(self._state_before), self._state.nbytes)
                raise error
            for counter in counters:
                (<Counter?> counter).value += 1
        finally:
            self._release(lock, context)

    def run_steps(self, feed, Py_ssize_t first, Py_ssize_t last, const double[:, ::1] scalars, step, double seconds,
                  int threads, double loss=0.0, double weight=0.0, double[::1] losses=None, Py_ssize_t ahead=0,
                  NetLock lock=None, tuple counters=(), bint stop_at_nonfinite=True):
        """Run the training steps of batches ``first, ..., last - 1``: gather, forward, loss, backward and update."""
        cdef shared *s = &self._shared
        cdef const int64_t[::1] order = feed.order
        cdef const int64_t[::1] labels = None
        cdef const double[::1] row_weight = feed.row_weight
        cdef Source x_source = Source(feed.x), y_source
        cdef source x = struct_of(x_source), y
        cdef char *target = NULL
        cdef const char *center = NULL
        cdef const char *scale = NULL
        cdef Py_ssize_t n_batches = feed.n_batches, batch_size = feed.batch_size, n_rows = feed.n_rows, start, stop, i
        cdef Py_ssize_t done = 0, epoch, batch
        cdef double began
        cdef bint finite = True, in_range = True, calls_python = self._calls_python
        cdef LockContext context
        cdef uint64_t n_classes = self._output_width, n_source = x_source.rows
        cdef fnn_size state_bytes = self._state.nbytes
        cdef char *state = pointer(self._state)
        cdef char *state_before = pointer(self._state_before) if calls_python else NULL
        cdef uint64_t number = step
        if feed.largest_batch > self.capacity:
            refuse(ValueError, "feed", f"have batches of at most {self.capacity} rows", feed.largest_batch)
        self._check_scalars(scalars.shape[1])
        if x_source.cols != self.program.batch[self.program.input]:
            refuse(ValueError, "feed.x", f"have {self.program.batch[self.program.input]} columns", x_source.cols)
        if self.program.target == "labels":
            labels = feed.y
            self._check_length("feed.y", labels.shape[0], x_source.rows)
        elif self.program.target == "rows":
            y_source = Source(feed.y)
            self._check_length("feed.y", y_source.rows, x_source.rows)
            if y_source.cols != self.program.batch["batch:target"]:
                refuse(ValueError, "feed.y", f"have {self.program.batch['batch:target']} columns", y_source.cols)
            y = struct_of(y_source)
            target = pointer(self._buffers["batch:target"])
        if row_weight is not None:
            self._check_length("feed.row_weight", row_weight.shape[0], x_source.rows)
        if feed.center is not None:
            self._check_length("feed.center", feed.center.shape[0], x_source.cols)
            self._check_length("feed.scale", feed.scale.shape[0], x_source.cols)
            center, scale = pointer(feed.center), pointer(feed.scale)
        reserve_scratch()
        context = self._acquire(lock)
        try:
            s.update.stride = scalars.shape[1] // self._n_groups
            s.threads = threads
            s.labels = NULL if labels is None else &self._labels[0]
            s.weight = NULL if row_weight is None else &self._weight[0]
            if ahead >= PANEL_STEPS:
                if lock is not None and self._panel_params:
                    lock.order_restorer = self.restore_order
                self._reorder(True)
            with nogil:
                table.keep_workers_awake()
                began = table.clock()
                while done < last - first:
                    epoch = (first + done) // n_batches
                    batch = first + done - epoch * n_batches
                    start = epoch * n_rows + batch * batch_size
                    stop = (epoch + 1) * n_rows if batch == n_batches - 1 else start + batch_size
                    s.rows = stop - start
                    # The caller's memory may change at any time, so indices are checked here, directly before their
                    # use.
                    for i in range(s.rows):
                        in_range &= <uint64_t> order[start + i] < n_source
                    if in_range and labels is not None:
                        for i in range(s.rows):
                            self._labels[i] = labels[order[start + i]]
                            in_range &= <uint64_t> self._labels[i] < n_classes
                    if not in_range:
                        break
                    s.stream.step = <uint32_t> (number + done)
                    s.update.scalars = &scalars[done, 0]
                    gather_rows(s.kernels, &x, &order[start], s.rows, self._input, threads)
                    if center is not NULL:
                        s.kernels.affine(self._input, x.cols, self._input, x.cols, s.rows, x.cols, center, scale,
                                         self._zeros)
                    if target is not NULL:
                        gather_rows(s.kernels, &y, &order[start], s.rows, target, threads)
                    if row_weight is not None:
                        for i in range(s.rows):
                            self._weight[i] = row_weight[order[start + i]]
                    if calls_python:
                        memcpy(state_before, state, state_bytes)
                    run_ops(&self._sections[FORWARD], s)
                    if s.error is NULL:
                        run_ops(&self._sections[LOSS], s)
                    if losses is not None:
                        losses[done] = s.loss
                    if stop_at_nonfinite and s.error is NULL and not isfinite(s.loss):
                        finite = False
                        break
                    s.update.weight = s.loss_weight
                    if s.error is NULL:
                        run_ops(&self._sections[BACKWARD], s)
                    if s.error is not NULL:
                        memcpy(state, state_before, state_bytes)
                        break
                    run_ops(&self._sections[UPDATE], s)
                    loss += s.loss * s.loss_weight
                    weight += s.loss_weight
                    done += 1
                    if table.clock() - began >= seconds:
                        break
                table.let_workers_sleep()
            if ahead == 0:
                self._reorder(False)
            for counter in counters:
                (<Counter?> counter).value += done
        finally:
            self._release(lock, context)
        error = take_error(s) if in_range else feed.out_of_range(first + done, n_classes)
        return StepResult(done, loss, weight, finite, s.loss, error)

    def predict(self, x, out, int threads, NetLock lock=None, center=None, scale=None):
        """Run an inference program over all rows of `x`, in chunks of the capacity."""
        cdef Source x_source = Source(x), out_source = Source(out)
        cdef const char *subtracted = NULL
        cdef const char *factor = NULL
        if x_source.cols != self.program.batch[self.program.input] or out_source.cols != self._output_width or (
                out_source.rows != x_source.rows):
            refuse(ValueError, "x and out", f"have {self.program.batch[self.program.input]} and {self._output_width} "
                   "columns and the same number of rows", f"shapes {x.shape} and {out.shape}")
        if center is not None:
            self._check_length("center", center.shape[0], x_source.cols)
            self._check_length("scale", scale.shape[0], x_source.cols)
            subtracted, factor = pointer(center), pointer(scale)
        # A Python function that refers to the caller's arrays from elsewhere could resize them.
        _guards = resize_guards(x, out) if self._calls_python else ()
        reserve_scratch()
        if lock is not None:
            lock.acquire(False)
        try:
            self._predict(x_source, out_source, threads, subtracted, factor)
        finally:
            if lock is not None:
                lock.release(False)

    cdef int _predict(self, Source x_source, Source out_source, int threads, const char *center,
                      const char *scale) except -1:
        cdef source rows = struct_of(x_source)
        cdef shared *s = &self._shared
        cdef oplist *ops = &self._sections[FORWARD]
        cdef fnn_size size = s.kernels.itemsize, start = 0, n = x_source.rows
        # Python functions get the executor's buffers, which live as long as something refers to them, never the
        # caller's memory. Programs without them write directly to `out` and, if x needs no conversion, read x in place.
        cdef bint use_own_buffers = self._calls_python
        cdef bint x_in_place = (not use_own_buffers and center is NULL and x_source.kind == out_source.kind
                                and x_source.col_bytes == size and x_source.row_bytes == x_source.cols * size)
        cdef double began
        cdef char *input
        cdef int i
        s.threads = threads
        while start < n:
            with nogil:
                table.keep_workers_awake()
                began = table.clock() if n > self.capacity else 0.0  # a row takes little longer than reading a clock
                while True:
                    s.rows = min(self.capacity, n - start)
                    if x_in_place:
                        input = <char *> rows.data
                    else:
                        gather_rows(s.kernels, &rows, &self._row_numbers[0], s.rows, self._input, threads)
                        if center is not NULL:
                            s.kernels.affine(self._input, x_source.cols, self._input, x_source.cols, s.rows,
                                             x_source.cols, center, scale, self._zeros)
                        input = self._input
                    for i in range(ops.n):
                        if ops.ops[i].reads_input:
                            ops.ops[i].data[X] = input
                        if ops.ops[i].writes_output and not use_own_buffers:
                            ops.ops[i].data[Y] = <char *> out_source.data + start * self._output_width * size
                    run_ops(ops, s)
                    if s.error is not NULL:
                        break
                    if use_own_buffers:
                        memcpy(<char *> out_source.data + start * self._output_width * size, self._output,
                               s.rows * self._output_width * size)
                    rows.data += s.rows * rows.row_bytes
                    start += s.rows
                    if start >= n or table.clock() - began >= SLICE_SECONDS:
                        break
                table.let_workers_sleep()
            if s.error is not NULL:
                raise take_error(s)
            PyErr_CheckSignals()
        return 0

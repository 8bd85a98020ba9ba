"""The bodies of the ops, on csrc's kernels: each works on the C struct of its op and on the state that ops share.

- Bias, activation, dropout, an affine map or the optimiser's update are applied to each block of a product while it is
  in the cache, by the product's `done` callback.
- Work is divided between threads by rows or columns, never inside a sum, so that results do not depend on their number.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from fastnn._fastnn cimport fnn_kernels, fnn_row_function, fnn_size, fnn_stream
from fastnn.engine._augment_ops_cy cimport (run_add_noise, run_drop_features, run_flip_images, run_mixup,
                                            run_shift_images, run_swap_entries, run_swap_ids)
from fastnn.engine._calls_cy cimport run_call, run_custom_augmentation, run_custom_loss
from fastnn.engine._embedding_ops_cy cimport run_embedding, run_embedding_grad
from fastnn.engine._column_ops_cy cimport (run_periodic, run_periodic_grad_frequencies, run_periodic_grad_input,
                                           run_piecewise_linear, run_piecewise_linear_backward, run_scale_columns,
                                           run_scale_columns_backward, run_zeros)
from fastnn.engine._input_ops_cy cimport (run_gather, run_gather_ids, run_gather_labels, run_gather_target,
                                          run_gather_weight, run_one_hot, run_scale_rows, run_take_labels)
from fastnn.engine._observe_ops_cy cimport run_keep, run_observe, run_observe_change
from fastnn.engine._op_cy cimport (A, B, BETA, COUNT, D, DA, DB, DBETA, DGAMMA, DW, DX, DY, DZ, GAMMA, H, INV_STD, MEAN,
                                   RUNNING_MEAN, RUNNING_VAR, TARGET, VAR, W, X, X2, Y, Z, add_loss, op, op_run, oplist,
                                   shared)
from fastnn.engine._rows_cy cimport by_rows
from fastnn.engine._update_ops_cy cimport (run_add_gradients, run_average, run_clip_norm, run_mean_gradients,
                                           run_update)
from fastnn.kernels._activations_cy cimport prelu_gradients, prelu_values, slopes
from fastnn.kernels._dense_cy cimport sum_columns
from fastnn.kernels._dropout_cy cimport scale_of, threshold_of
from fastnn.kernels._joins_cy cimport columns_copy, copy_columns, join_function
from fastnn.kernels._losses_cy cimport loss_batch, mean_loss, rows_job, run_row_function
from fastnn.kernels._normalization_cy cimport (norm, norm_gradients, norm_running, norm_scale, norm_statistics,
                                               row_norm, row_norm_gradients, wide_rows)
from fastnn.kernels._optimizers_cy cimport constrain, parameters as parameter_array, penalty_of, update_run
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION, WORK_OF_MAP
from fastnn.kernels._product_cy cimport multiply, product

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
    cdef char *f = y if o.derivative_needs_input or o.data[H] is NULL else o.data[H] + offset
    if o.activation > 0 or (o.p == 0.0 and f != result):
        s.kernels.activation[o.activation].forward(result, f, n, o.constants)
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
        s.kernels.activation[o.activation].backward(d, h, d, n, o.constants)


cdef bint has_epilogue(const op *o) noexcept nogil:
    return o.activation > 0 or o.p > 0.0


cdef char *result(const op *o) noexcept nogil:
    """Return the buffer of an op's result before the epilogue."""
    return o.data[Y] if o.data[H] is NULL else o.data[H]


# ---- forward ----

cdef void start_product(product *p, op *o, shared *s, int a, int b, int c) noexcept nogil:
    p.kernels = s.kernels
    p.a, p.b, p.c, p.bias = o.data[a], o.data[b], o.data[c], NULL
    p.m, p.n, p.k = s.rows, o.width[c], o.width[a]
    p.a_row, p.a_k = o.width[a], 1
    p.b_k, p.b_col = o.width[b], 1
    p.done, p.context, p.discard_result, p.b_panels, p.c_panels = NULL, NULL, False, False, False


cdef const char *scale_of_affine(const op *o, const shared *s) noexcept nogil:
    return s.vectors if o.scale is NULL else o.scale


cdef void find_scale(const op *o, shared *s) noexcept nogil:
    """Compute the scale of a batch norm in inference, unless it is kept."""
    cdef fnn_size n = o.width[Y]
    if o.scale is NULL:
        norm_scale(s.kernels, o.data[GAMMA], o.data[VAR], o.eps, s.vectors + n * s.kernels.itemsize, s.vectors, n)


cdef void dense_done(void *context, char *c, fnn_size c_row, fnn_size first, fnn_size rows, fnn_size col,
                     fnn_size cols) noexcept nogil:
    """Apply batch norm's affine map, if any, and the epilogue to a block of x @ w + b."""
    cdef const done_context *ctx = <const done_context *> context
    cdef op *o = ctx.o
    cdef fnn_size n = o.width[Y], size = ctx.s.kernels.itemsize, offset = first * n + col, i
    cdef const char *scale = scale_of_affine(o, ctx.s) + col * size
    if o.data[GAMMA] is not NULL:
        ctx.s.kernels.affine(c, n, c, n, rows, cols, o.data[MEAN] + col * size, scale, o.data[BETA] + col * size)
    if cols == n:
        apply_epilogue(o, ctx.s, c, offset, rows * n)
        return
    for i in range(rows):
        apply_epilogue(o, ctx.s, c + i * n * size, offset + i * n, cols)


cdef void run_dense(op *o, shared *s) noexcept nogil:
    """Compute the output of a dense layer; in inference also that of a batch norm after it (docs/decisions, 1)."""
    cdef product p
    cdef done_context ctx
    start_product(&p, o, s, X, W, Y)
    p.c, p.bias, p.b_panels = result(o), o.data[B], o.w_panels and s.in_panels
    ctx.o, ctx.s = o, s
    if o.data[GAMMA] is not NULL:
        find_scale(o, s)
    if has_epilogue(o) or o.data[GAMMA] is not NULL:
        p.done, p.context = dense_done, &ctx
    multiply(&p, s.threads)


cdef void activation_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[Y], offset = first * n, bytes = offset * s.kernels.itemsize
    apply_epilogue(o, s, o.data[X] + bytes, offset, rows * n)


cdef void run_activation(op *o, shared *s) noexcept nogil:
    by_rows(o, s, o.width[Y], WORK_OF_FUNCTION, activation_rows)


cdef void start_prelu(slopes *p, op *o, shared *s) noexcept nogil:
    p.kernels, p.rows, p.cols = s.kernels, s.rows, o.width[X]
    p.x, p.slope, p.slope_col = o.data[X], o.data[A], 1 if o.width[A] > 1 else 0


cdef void join_rows(op *o, shared *s, fnn_size first, fnn_size rows, join_function join) noexcept nogil:
    cdef fnn_size n = o.width[Y], offset = first * n, bytes = offset * s.kernels.itemsize
    join(o.data[X] + bytes, o.data[X2] + bytes, result(o) + bytes, rows * n)
    apply_epilogue(o, s, result(o) + bytes, offset, rows * n)


cdef void add_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    join_rows(o, s, first, rows, s.kernels.add)


cdef void multiply_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    join_rows(o, s, first, rows, s.kernels.multiply)


cdef void run_add(op *o, shared *s) noexcept nogil:
    by_rows(o, s, o.width[Y], WORK_OF_FUNCTION if has_epilogue(o) else WORK_OF_MAP, add_rows)


cdef void run_multiply(op *o, shared *s) noexcept nogil:
    by_rows(o, s, o.width[Y], WORK_OF_FUNCTION if has_epilogue(o) else WORK_OF_MAP, multiply_rows)


cdef void scale_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[Y], bytes = first * n * s.kernels.itemsize
    s.kernels.scale(o.data[X] + bytes, o.data[Y] + bytes, rows * n, o.factor)


cdef void run_scale(op *o, shared *s) noexcept nogil:
    by_rows(o, s, o.width[Y], WORK_OF_MAP, scale_rows)


cdef void run_copy_columns(op *o, shared *s) noexcept nogil:
    cdef columns_copy c
    c.kernels, c.x, c.x_cols, c.y, c.y_cols = s.kernels, o.data[X], o.width[X], o.data[Y], o.width[Y]
    c.rows, c.runs, c.n_runs, c.clear = s.rows, o.runs, o.n_runs, o.clear
    copy_columns(&c, s.threads)


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
    s.kernels.affine(o.data[X] + bytes, n, h, n, rows, n, o.data[MEAN],
                     scale_of_affine(o, s), o.data[BETA])
    if s.wide_batch is not NULL:
        wide_rows(s.wide_batch, o.data[BETA], result(o), first, rows)
    apply_epilogue(o, s, h, offset, rows * n)


cdef void run_affine(op *o, shared *s) noexcept nogil:
    """Normalise by the running statistics: batch norm in inference."""
    find_scale(o, s)
    by_rows(o, s, o.width[Y], WORK_OF_FUNCTION, affine_rows)


cdef double count_batch(const fnn_kernels *kernels, char *count) noexcept nogil:
    """Add 1 to the number of batches, and return it."""
    if kernels.itemsize == sizeof(float):
        (<float *> count)[0] += 1.0
        return (<float *> count)[0]
    (<double *> count)[0] += 1.0
    return (<double *> count)[0]


cdef void run_batch_norm(op *o, shared *s) noexcept nogil:
    """Normalise by the batch's statistics and update the running ones."""
    cdef norm n
    n.kernels, n.rows, n.cols, n.eps = s.kernels, s.rows, o.width[X], o.eps
    n.x, n.gamma, n.mean, n.inv_std = o.data[X], o.data[GAMMA], o.data[MEAN], o.data[INV_STD]
    n.scale, n.var = s.vectors, s.vectors + n.cols * s.kernels.itemsize
    norm_statistics(&n, s.threads)
    norm_running(&n, o.data[RUNNING_MEAN], o.data[RUNNING_VAR],
                 o.momentum if o.data[COUNT] is NULL else 1.0 / count_batch(s.kernels, o.data[COUNT]))
    s.wide_batch = NULL if n.wide is NULL else &n
    by_rows(o, s, n.cols, WORK_OF_FUNCTION, affine_rows)
    s.wide_batch = NULL
    free(n.wide)


cdef char *row_entry(const op *o, const shared *s, int role, fnn_size row) noexcept nogil:
    """Return a row's entry in a buffer of one column, or NULL if there is no such buffer."""
    return NULL if o.data[role] is NULL else o.data[role] + row * s.kernels.itemsize


cdef void normalise_rows(op *o, shared *s, bint centered, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[Y], offset = first * n, bytes = offset * s.kernels.itemsize
    cdef char *h = result(o) + bytes
    s.kernels.row_norm(centered, o.data[X] + bytes, h, rows, n, o.data[GAMMA], o.data[BETA], o.eps,
                       row_entry(o, s, MEAN, first), row_entry(o, s, INV_STD, first))
    apply_epilogue(o, s, h, offset, rows * n)


cdef void layer_norm_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    normalise_rows(o, s, True, first, rows)


cdef void rms_norm_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    normalise_rows(o, s, False, first, rows)


cdef void run_layer_norm(op *o, shared *s) noexcept nogil:
    by_rows(o, s, o.width[Y], WORK_OF_FUNCTION, layer_norm_rows)


cdef void run_rms_norm(op *o, shared *s) noexcept nogil:
    by_rows(o, s, o.width[Y], WORK_OF_FUNCTION, rms_norm_rows)


# ---- loss ----

cdef void run_loss(op *o, shared *s) noexcept nogil:
    cdef loss_batch b
    b.kernels, b.kind, b.z, b.grad, b.target = s.kernels, o.loss, o.data[Z], o.data[DZ], o.data[TARGET]
    b.target_bytes = o.width[TARGET] * s.kernels.itemsize
    if b.target is NULL:
        b.target, b.target_bytes = <const char *> o.labels, sizeof(int64_t)
    b.parameters, b.value, b.slope = o.loss_constants, o.value, o.slope
    b.weight, b.rows, b.cols, b.partial = s.weight, s.rows, o.width[Z], s.partial
    add_loss(o, s, mean_loss(&b, s.threads))
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
        # The update divides by the weight of all k batches of the group, so the loss shown for a batch has 1/k of the
        # penalty; exact only if the k batches weigh the same.
        penalty *= 1.0 / (s.loss_weight * s.group_batches) if s.loss_weight > 0.0 else 0.0
    s.loss += penalty


# ---- backward ----

cdef void epilogue_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[D], offset = first * n, bytes = offset * s.kernels.itemsize
    undo_epilogue(o, s, o.data[D] + bytes, o.data[H] + bytes, offset, rows * n)


cdef void run_epilogue_backward(op *o, shared *s) noexcept nogil:
    by_rows(o, s, o.width[D], WORK_OF_FUNCTION, epilogue_rows)


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
    cdef const parameter_array *w = <const parameter_array *> context
    cdef fnn_size n = w.width, offset = first * n + col, i
    if cols == n and c_row == n:
        update_run(w, offset, rows * n, c)
        return
    for i in range(rows):
        update_run(w, offset + i * n, cols, c + i * c_row * w.kernels.itemsize)


cdef void grad_panel_done(void *context, char *c, fnn_size c_row, fnn_size first, fnn_size rows, fnn_size col,
                          fnn_size cols) noexcept nogil:
    """The same for weights in panels: the block is a part of one panel."""
    cdef const parameter_array *w = <const parameter_array *> context
    update_run(w, col * (w.size // w.width) + first * cols, rows * cols, c)


cdef void update_vector(const op *o, const parameter_array *p, int role) noexcept nogil:
    """Update a vector of parameters with its gradient, whose role is given, if it is not frozen."""
    if o.updates and o.data[role] is not NULL:
        update_run(p, 0, o.width[role], o.data[role])


cdef void run_dense_grad_bias(op *o, shared *s) noexcept nogil:
    sum_columns(s.kernels, o.data[DY], s.rows, o.width[DB], o.data[DB], s.threads)
    update_vector(o, &o.first, DB)


cdef void run_dense_grad_weight(op *o, shared *s) noexcept nogil:
    """Compute the gradients of a dense layer's weight, x.T @ dy, and bias, and update both."""
    cdef product p
    start_product(&p, o, s, X, DY, DW)
    p.m, p.k = o.width[X], s.rows
    p.a_row, p.a_k, p.c_panels = 1, o.width[X], o.w_panels and s.in_panels
    if o.updates:
        p.done, p.context, p.discard_result = grad_panel_done if p.c_panels else grad_weight_done, &o.first, True
    multiply(&p, s.threads)
    if o.data[DB] is not NULL:
        sum_columns(s.kernels, o.data[DY], s.rows, o.width[DB], o.data[DB], s.threads)
        update_vector(o, &o.second, DB)
    if o.updates:
        constrain(&o.first, s.threads)


cdef char *gradient_buffer(const op *o, const shared *s, int role, fnn_size vector) noexcept nogil:
    """Return the buffer of a parameter's gradient; if it is frozen, a work vector, the first or the second."""
    return s.vectors + vector * o.width[X] * s.kernels.itemsize if o.data[role] is NULL else o.data[role]


cdef void run_batch_norm_backward(op *o, shared *s) noexcept nogil:
    cdef norm n
    n.kernels, n.rows, n.cols = s.kernels, s.rows, o.width[X]
    n.x, n.gamma, n.mean, n.inv_std = o.data[X], o.data[GAMMA], o.data[MEAN], o.data[INV_STD]
    n.dy, n.dx = o.data[DY], o.data[DX]
    n.dgamma, n.dbeta = gradient_buffer(o, s, DGAMMA, 0), gradient_buffer(o, s, DBETA, 1)
    norm_gradients(&n, s.threads)
    update_vector(o, &o.first, DGAMMA)
    update_vector(o, &o.second, DBETA)


cdef void affine_gradient_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[DX], bytes = first * n * s.kernels.itemsize
    s.kernels.scale_columns(o.data[DY] + bytes, o.data[DX] + bytes, rows, n, s.vectors)


cdef void run_affine_backward(op *o, shared *s) noexcept nogil:
    cdef fnn_size n = o.width[DX]
    norm_scale(s.kernels, o.data[GAMMA], o.data[VAR], o.eps, s.vectors + n * s.kernels.itemsize, s.vectors, n)
    by_rows(o, s, n, WORK_OF_MAP, affine_gradient_rows)


cdef void run_row_norm_backward(op *o, shared *s) noexcept nogil:
    """The gradients of layer norm, or of root mean square norm, which has no mean."""
    cdef row_norm n
    n.kernels, n.rows, n.cols = s.kernels, s.rows, o.width[X]
    n.x, n.gamma, n.mean, n.inv_std = o.data[X], o.data[GAMMA], o.data[MEAN], o.data[INV_STD]
    n.dy, n.dx, n.dgamma, n.dbeta = o.data[DY], o.data[DX], gradient_buffer(o, s, DGAMMA, 0), o.data[DBETA]
    row_norm_gradients(&n, s.threads)
    update_vector(o, &o.first, DGAMMA)
    update_vector(o, &o.second, DBETA)


cdef void accumulate_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[D], bytes = first * n * s.kernels.itemsize
    s.kernels.add(o.data[D] + bytes, o.data[DY] + bytes, o.data[D] + bytes, rows * n)


cdef void run_accumulate(op *o, shared *s) noexcept nogil:
    by_rows(o, s, o.width[D], WORK_OF_MAP, accumulate_rows)


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
    if o.data[DA] is not NULL:
        memcpy(o.data[DA], p.dslope, bytes)
    update_vector(o, &o.first, DA)


# ---- observe ----

cdef void run_record_loss(op *o, shared *s) noexcept nogil:
    if s.recorded is not NULL:
        s.recorded[0] = s.loss


# A function that is cimported is a pointer already, so it has no &.
cdef dict BODIES = {
    "gather": <size_t> <void *> run_gather,
    "scale_input": <size_t> <void *> run_scale_rows,
    "scale_target": <size_t> <void *> run_scale_rows,
    "gather_ids": <size_t> <void *> run_gather_ids,
    "gather_labels": <size_t> <void *> run_gather_labels,
    "gather_target": <size_t> <void *> run_gather_target,
    "gather_weight": <size_t> <void *> run_gather_weight,
    "take_labels": <size_t> <void *> run_take_labels,
    "one_hot": <size_t> <void *> run_one_hot,
    "add_noise": <size_t> <void *> run_add_noise,
    "drop_features": <size_t> <void *> run_drop_features,
    "swap_entries": <size_t> <void *> run_swap_entries,
    "swap_ids": <size_t> <void *> run_swap_ids,
    "mixup": <size_t> <void *> run_mixup,
    "shift_images": <size_t> <void *> run_shift_images,
    "flip_images": <size_t> <void *> run_flip_images,
    "custom_augmentation": <size_t> <void *> run_custom_augmentation,
    "dense": <size_t> &run_dense,
    "dense_affine": <size_t> &run_dense,
    "activation": <size_t> &run_activation,
    "prelu": <size_t> &run_prelu,
    "softmax": <size_t> &run_softmax,
    "log_softmax": <size_t> &run_log_softmax,
    "batch_norm": <size_t> &run_batch_norm,
    "affine": <size_t> &run_affine,
    "layer_norm": <size_t> &run_layer_norm,
    "rms_norm": <size_t> &run_rms_norm,
    "add": <size_t> &run_add,
    "multiply": <size_t> &run_multiply,
    "scale": <size_t> &run_scale,
    "scale_columns": <size_t> <void *> run_scale_columns,
    "piecewise_linear": <size_t> <void *> run_piecewise_linear,
    "periodic": <size_t> <void *> run_periodic,
    "take_columns": <size_t> &run_copy_columns,
    "put_columns": <size_t> &run_copy_columns,
    "embedding": <size_t> <void *> run_embedding,
    "embedding_grad": <size_t> <void *> run_embedding_grad,
    "custom": <size_t> <void *> run_call,
    "loss": <size_t> &run_loss,
    "custom_loss": <size_t> <void *> run_custom_loss,
    "penalty": <size_t> &run_penalty,
    "epilogue_backward": <size_t> &run_epilogue_backward,
    "dense_grad_input": <size_t> &run_dense_grad_input,
    "dense_grad_weight": <size_t> &run_dense_grad_weight,
    "dense_grad_bias": <size_t> &run_dense_grad_bias,
    "batch_norm_backward": <size_t> &run_batch_norm_backward,
    "affine_backward": <size_t> &run_affine_backward,
    "layer_norm_backward": <size_t> &run_row_norm_backward,
    "rms_norm_backward": <size_t> &run_row_norm_backward,
    "prelu_backward": <size_t> &run_prelu_backward,
    "scale_columns_backward": <size_t> <void *> run_scale_columns_backward,
    "piecewise_linear_backward": <size_t> <void *> run_piecewise_linear_backward,
    "periodic_grad_input": <size_t> <void *> run_periodic_grad_input,
    "periodic_grad_frequencies": <size_t> <void *> run_periodic_grad_frequencies,
    "zeros": <size_t> <void *> run_zeros,
    "softmax_backward": <size_t> &run_softmax_backward,
    "log_softmax_backward": <size_t> &run_log_softmax_backward,
    "custom_backward": <size_t> <void *> run_call,
    "copy": <size_t> &run_activation,
    "accumulate": <size_t> &run_accumulate,
    "add_gradients": <size_t> <void *> run_add_gradients,
    "mean_gradients": <size_t> <void *> run_mean_gradients,
    "clip_norm": <size_t> <void *> run_clip_norm,
    "update": <size_t> <void *> run_update,
    "average": <size_t> <void *> run_average,
    "record_loss": <size_t> &run_record_loss,
    "observe": <size_t> <void *> run_observe,
    "keep": <size_t> <void *> run_keep,
    "observe_change": <size_t> <void *> run_observe_change,
}


KINDS = frozenset(BODIES)


cdef op_run body_of(str kind) except NULL:
    return <op_run> <size_t> BODIES[kind]


cdef void run_ops(const oplist *ops, shared *s) noexcept nogil:
    """Run ops one after the other, as long as no Python function has raised an exception."""
    cdef int i
    for i in range(ops.n):
        if s.error is not NULL:
            return
        ops.ops[i].run(&ops.ops[i], s)

"""The executor that runs training programs: many steps of an epoch without the GIL.

- `run_slice` has the loop over batches. It works on C structs alone.
- While many steps run, large weights, their slots and their gradients are in panels (docs/panels.md). No result's bits
  depend on it.
"""

import numpy as np

cimport numpy as cnp
from libc.math cimport INFINITY, isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastnn._arrays cimport guard_of
from fastnn._fastnn cimport fnn_size
from fastnn._native cimport is_plain, plain_array, reserve_scratch, table
from fastnn.kernels._panels cimport into_panels, out_of_panels
from fastnn.kernels._gather_cy cimport Source, struct_of

from fastnn.engine._lock cimport Counter, LockContext, NetLock
from fastnn.engine._calls_cy cimport take_error
from fastnn.engine._given_cy cimport all_below, all_finite, plain_integers, plain_rows, plain_weights, rules_hold
from fastnn.engine._inference_cy cimport InferenceExecutor, check_columns, check_length, fill_scaling
from fastnn.engine._op_cy cimport (BACKWARD, FORWARD, INPUT, LOSS, OBSERVE, REDUCE, UPDATE, feed_rows, oplist,
                                   parameter_array, shared)
from fastnn.engine._ops_cy cimport run_ops
from fastnn._validation import kind_of, refuse
from fastnn.engine.feed import StepResult, refuse_ids
from fastnn.engine.lower import SECTIONS as _SECTIONS

cnp.import_array()

# The fewest steps ahead for which panels pay: to bring weights into panels and back takes about as long as a step
# (docs/decisions, 14).
cdef Py_ssize_t PANEL_STEPS = 32

# Consecutive training steps of one executor: what is to be done, and what has been done so far.
cdef struct step_slice:
    fnn_size first              # the number of the first batch
    fnn_size n                  # of steps
    fnn_size done
    # the feed
    const int64_t *order
    fnn_size n_rows             # of an epoch
    fnn_size n_batches          # of an epoch
    fnn_size batch_size
    # the updates: those of groups of batches, and the last group of an epoch may be smaller
    fnn_size accumulate         # batches of a group
    bint begins                 # the batch is the first of its group
    bint ends                   # it is the last
    double group_weight         # of the batches of the group so far
    fnn_size updates            # made so far
    # the steps
    uint64_t step               # the number of the first step
    const double *scalars       # of the first update
    fnn_size n_scalars          # of an update
    double *losses              # where the loss of each step is stored, or NULL
    bint stop_at_nonfinite
    double seconds
    # the sums of the epoch so far, and whether the last loss may be added
    double loss
    double weight
    bint finite
    # the running statistics, restored after a step that fails or whose loss is not finite; NULL where there are none
    char *state
    char *state_before
    fnn_size state_bytes


cdef void take_batch(step_slice *r, shared *s) noexcept nogil:
    """Set the rows and numbers of the next step, and check its row numbers directly before their use."""
    cdef fnn_size number = r.first + r.done, epoch = number // r.n_batches, batch = number - epoch * r.n_batches
    cdef fnn_size start = epoch * r.n_rows + batch * r.batch_size, i
    cdef fnn_size stop = (epoch + 1) * r.n_rows if batch == r.n_batches - 1 else start + r.batch_size
    cdef fnn_size position = batch % r.accumulate if r.accumulate > 1 else 0
    s.rows, s.row_numbers, s.in_range = stop - start, r.order + start, True
    for i in range(s.rows):
        s.in_range &= <uint64_t> s.row_numbers[i] < <uint64_t> s.feed.n
    s.stream.step = <uint32_t> (r.step + r.done)
    s.update.scalars = r.scalars + r.updates * r.n_scalars
    s.group_batches = min(r.accumulate, r.n_batches - batch + position)
    r.begins, r.ends = position == 0, position + 1 == s.group_batches
    s.recorded = NULL if r.losses is NULL else r.losses + r.done


cdef void join_group(step_slice *r, shared *s) noexcept nogil:
    """Add the batch's weight to that of its group, by which the update divides, and set its share in it."""
    r.group_weight = s.loss_weight if r.begins else r.group_weight + s.loss_weight
    s.share = s.loss_weight / r.group_weight if r.group_weight > 0.0 else <double> r.begins
    s.update.weight = r.group_weight


cdef void run_slice(step_slice *r, const oplist *sections, shared *s) noexcept nogil:
    """Run steps until all are done or the time is over, a loss is not finite, or a step fails."""
    cdef double began = table.clock()
    while r.done < r.n:
        take_batch(r, s)
        if s.in_range:
            run_ops(&sections[INPUT], s)
        if not s.in_range:
            return
        if r.state_before is not NULL:
            memcpy(r.state_before, r.state, r.state_bytes)
        run_ops(&sections[FORWARD], s)
        run_ops(&sections[LOSS], s)
        r.finite = not r.stop_at_nonfinite or s.error is not NULL or isfinite(s.loss)
        if r.finite:
            join_group(r, s)
            run_ops(&sections[BACKWARD], s)
            run_ops(&sections[REDUCE], s)
            if r.ends:
                run_ops(&sections[UPDATE], s)
        if s.recorded is not NULL:
            run_ops(&sections[OBSERVE], s)
        if s.error is not NULL or not r.finite:
            if r.state_before is not NULL:
                memcpy(r.state, r.state_before, r.state_bytes)
            return
        r.loss += s.loss * s.loss_weight
        r.weight += s.loss_weight
        r.done += 1
        r.updates += r.ends
        if table.clock() - began >= r.seconds:
            return


cdef class _FeedArrays:
    """The arrays of a feed, checked against a program; `rows` points into them."""

    cdef feed_rows rows
    cdef Source x
    cdef Source y
    cdef const int64_t[::1] order
    cdef const int64_t[::1] labels
    cdef const double[::1] weight

    def __init__(self, feed, program):
        cdef fnn_size width = program.batch[program.input]
        self.order, self.x, self.weight = feed.order, Source(feed.x), feed.row_weight
        check_columns("feed.x", self.x, width)
        self.rows.x, self.rows.n = struct_of(self.x), self.x.rows
        if program.target == "labels":
            self.labels = feed.y
            check_length("feed.y", self.labels.shape[0], self.x.rows)
            self.rows.labels = &self.labels[0] if self.x.rows else NULL
        elif program.target == "rows":
            self.y = Source(feed.y)
            check_length("feed.y", self.y.rows, self.x.rows)
            check_columns("feed.y", self.y, program.batch["batch:target"])
            self.rows.y = struct_of(self.y)
        if self.weight is not None:
            check_length("feed.row_weight", self.weight.shape[0], self.x.rows)
            self.rows.weight = &self.weight[0] if self.x.rows else NULL
        fill_scaling(&self.rows.x_scaling, feed.scaling, width)
        fill_scaling(&self.rows.y_scaling, feed.target_scaling, self.rows.y.cols)


cdef str described(array):
    """Return what an array is, for a message."""
    if not isinstance(array, np.ndarray):
        return kind_of(array)
    return f"dtype {array.dtype}, shape {array.shape} and strides {array.strides}"


cdef double *loss_of_step(losses) except NULL:
    """Point to where the loss of a single step is stored."""
    cdef plain_array a
    if not (is_plain(losses, &a) and a.kind == c"d" and a.ndim == 1 and a.size >= 1 and a.writable):
        refuse(ValueError, "losses", "be a vector of float64, writable, for a step", described(losses))
    return <double *> a.data


cdef const int64_t *order_of_rows(order, fnn_size n) except NULL:
    """Point to the numbers of a batch's rows in the order in which a step takes them."""
    cdef cnp.ndarray numbers = plain_integers(order, n)
    if numbers is None or numbers is not order:  # a copy would be freed before the step reads it
        refuse(ValueError, "draw_order", f"return a vector of {n} numbers of int64, C-contiguous", described(order))
    return <const int64_t *> cnp.PyArray_DATA(numbers)


cdef void reorder_array(parameter_array *p, char *array, bint panels) noexcept nogil:
    """Bring one array of a matrix of parameters into panels, or out of them."""
    if panels:
        into_panels(p.kernels, array, p.size // p.width, p.width, <char *> p.g)
    else:
        out_of_panels(p.kernels, array, p.size // p.width, p.width, <char *> p.g)


cdef class Executor(InferenceExecutor):
    """Runs one program over its buffers and the arenas of a net. The reference executor has the documentation."""

    # of the batches that `run_batch` takes
    cdef fnn_size least_rows
    cdef bint takes_labels
    cdef int64_t classes            # of which the labels are
    cdef fnn_size target_width

    def __init__(self, program, dtype, Py_ssize_t capacity, params, state, grads=None, tuple slots=(), seed=0,
                 means=None):
        InferenceExecutor.__init__(self, program, dtype, capacity, params, state, grads, slots, seed, means)
        self.least_rows = 2 if program.has_batch_statistics else 1
        self.takes_labels, self.target_width = program.target == "labels", program.batch.get("batch:target", 0)
        self.classes = program.labels[0].classes if self.takes_labels else 0

    def array(self, str name, rows):
        """The first `rows` rows of a ``batch:`` buffer, or a whole ``vector:``, sharing memory."""
        return self.buffers[name][:rows] if name.startswith("batch:") else self.buffers[name]

    cdef void _reorder(self, bint panels) noexcept:
        """Bring weights, slots, an average of the weights and mean gradients into panels, or out of them.

        The gradients' memory is used as temporary storage: between two steps nobody needs them. A fork needs the GIL,
        so its child never sees an array half moved.
        """
        cdef parameter_array *p
        cdef int i, k
        if self.shared.in_panels == panels:
            return
        for i in self.panel_params:
            p = &self.shared.params[i]
            reorder_array(p, p.w, panels)
            for k in range(len(self.slots)):  # with the average, which the update does not use
                reorder_array(p, p.slots[k], panels)
            if p.mean is not NULL:
                reorder_array(p, p.mean, panels)
            p.in_panels = panels
            if p.frozen:
                memset(<char *> p.g, 0, p.size * p.kernels.itemsize)  # its gradient is 0
        self.shared.in_panels = panels

    def restore_order(self):
        """Bring the arenas back into the order of their views (docs/panels.md)."""
        self._reorder(False)

    cdef int _check_scalars(self, fnn_size n) except -1:
        if self.n_scalars and n != self.n_scalars:
            refuse(ValueError, "scalars", f"have rows of {self.n_scalars} numbers", n)
        return 0

    cdef fnn_size _stride(self, fnn_size n_scalars) noexcept:
        """Return how many of a step's scalars each group has."""
        return (n_scalars - self.averaged) // self.n_groups

    cdef LockContext _acquire(self, NetLock lock):
        """Acquire the lock to write. If the program calls Python functions, the context also defers signals."""
        cdef LockContext context = None
        # Weights that are still in this executor's panels may stay there: no other thread has taken the lock since.
        if lock is not None and self.calls_python:
            context = LockContext(lock, True)
            context.enter(self.shared.in_panels)
        elif lock is not None:
            lock.acquire(True, self.shared.in_panels)
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
        cdef oplist *ops = &self.sections[_SECTIONS.index(section)]
        cdef shared *s = &self.shared
        cdef plain_array row
        cdef LockContext context
        if not 0 <= rows <= self.capacity:
            refuse(ValueError, "rows", f"be from 0 to {self.capacity}", rows)
        if scalars is not None:
            if not (is_plain(scalars, &row) and row.kind == c"d" and row.ndim == 1 and row.contiguous):
                refuse(ValueError, "scalars", "be a vector of float64, C-contiguous", described(scalars))
            self._check_scalars(row.size)
        reserve_scratch()
        context = self._acquire(lock)
        try:
            self._reorder(False)
            if scalars is not None:
                s.update.scalars, s.update.stride = <const double *> row.data, self._stride(row.size)
            s.rows, s.stream.step, s.threads = rows, step & 0xFFFFFFFF, threads
            s.update.weight, s.share, s.group_batches = weight, 1.0, 1
            if self.calls_python and self.kept_state is not NULL:
                memcpy(self.kept_state, self.state_data, self.state_bytes)
            with nogil:
                table.keep_workers_awake()
                run_ops(ops, s)
                table.let_workers_sleep()
            s.update.scalars = NULL
            error = take_error(s)
            if error is not None:
                if self.kept_state is not NULL:
                    memcpy(self.state_data, self.kept_state, self.state_bytes)
                raise error
            for counter in counters:
                (<Counter?> counter).value += 1
        finally:
            self._release(lock, context)

    cdef step_slice _slice(self, feed, _FeedArrays arrays, Py_ssize_t first, Py_ssize_t last,
                           const double[:, ::1] scalars, double[::1] losses) except *:
        """Return the struct of some steps, checked."""
        cdef step_slice r
        if feed.largest_batch > self.capacity:
            refuse(ValueError, "feed", f"have batches of at most {self.capacity} rows", feed.largest_batch)
        self._check_scalars(scalars.shape[1])
        if feed.accumulate > 1 and not self.program.accumulates:
            refuse(ValueError, "feed.accumulate", "be 1 for a program that does not accumulate", feed.accumulate)
        r.accumulate, r.updates = min(feed.accumulate, feed.n_batches), 0
        r.first, r.n, r.done, r.finite = first, last - first, 0, True
        r.order, r.n_rows, r.n_batches, r.batch_size = &arrays.order[0], feed.n_rows, feed.n_batches, feed.batch_size
        r.scalars, r.n_scalars = &scalars[0, 0], scalars.shape[1]
        r.losses = NULL if losses is None else &losses[0]
        r.state, r.state_before, r.state_bytes = self.state_data, self.kept_state, self.state_bytes
        return r

    cdef object _run_slice(self, step_slice *r, const feed_rows *rows, int threads):
        """Run steps without the GIL, and return the exception of a Python function, or None.

        The exception is taken while the lock is held: the release may raise that of a deferred signal handler.
        """
        cdef shared *s = &self.shared
        s.feed, s.threads, s.update.stride = rows, threads, self._stride(r.n_scalars)
        s.weight = NULL if rows.weight is NULL else s.weights
        with nogil:
            table.keep_workers_awake()
            run_slice(r, self.sections, s)
            table.let_workers_sleep()
        s.feed, s.row_numbers, s.recorded, s.update.scalars = NULL, NULL, NULL, NULL
        return take_error(s)

    def run_steps(self, feed, Py_ssize_t first, Py_ssize_t last, const double[:, ::1] scalars, step, double seconds,
                  int threads, double loss=0.0, double weight=0.0, double[::1] losses=None, Py_ssize_t ahead=0,
                  NetLock lock=None, tuple counters=(), bint stop_at_nonfinite=True, double group_weight=0.0,
                  tuple update_counters=()):
        """Run the training steps of batches ``first, ..., last - 1``: all sections of the program."""
        cdef shared *s = &self.shared
        cdef _FeedArrays arrays = _FeedArrays(feed, self.program)
        cdef step_slice r = self._slice(feed, arrays, first, last, scalars, losses)
        cdef LockContext context
        r.step, r.seconds, r.loss, r.weight, r.stop_at_nonfinite = step, seconds, loss, weight, stop_at_nonfinite
        r.group_weight = group_weight
        reserve_scratch()
        context = self._acquire(lock)
        try:
            if ahead >= PANEL_STEPS:
                if lock is not None and self.panel_params:
                    lock.order_restorer = self.restore_order
                self._reorder(True)
            error = self._run_slice(&r, &arrays.rows, threads)
            if ahead == 0:
                self._reorder(False)
            for counter in counters:
                (<Counter?> counter).value += r.done
            for counter in update_counters:
                (<Counter?> counter).value += r.updates
        finally:
            self._release(lock, context)
        if not s.in_range:
            error = feed.out_of_range(first + r.done, self.program.labels, tuple(self.program.ids.values()))
        return StepResult(r.done, r.loss, r.weight, r.finite, s.loss, error, r.updates, r.group_weight)

    def run_batch(self, x, y, weight, *, rules, scalars, Py_ssize_t row, uint64_t step, int threads, scaling=None,
                  target_scaling=None, NetLock lock=None, tuple counters=(), tuple update_counters=(), draw_order=None,
                  losses=None, bint stop_at_nonfinite=True):
        """Run one training step of all rows of arrays that nobody has checked; None if they are not plain."""
        cdef shared *s = &self.shared
        cdef step_slice r
        cdef feed_rows rows
        cdef LockContext context
        guards = guard_of(x), guard_of(y), guard_of(weight)  # first: the checks may release the GIL
        kept = self._take_batch(&rows, x, y, weight, rules)
        if kept is None:
            return None
        fill_scaling(&rows.x_scaling, scaling, rows.x.cols)
        fill_scaling(&rows.y_scaling, target_scaling, rows.y.cols)
        self._fill_step(&r, rows.n, scalars, row)
        if losses is not None:
            r.losses = loss_of_step(losses)
        order = None if draw_order is None else draw_order()
        if order is not None:
            r.order = order_of_rows(order, rows.n)
        r.step, r.stop_at_nonfinite = step, stop_at_nonfinite
        reserve_scratch()
        context = self._acquire(lock)
        try:
            self._reorder(False)
            error = self._run_slice(&r, &rows, threads)
            if r.done:
                for counter in counters:
                    (<Counter?> counter).value += 1
                for counter in update_counters:
                    (<Counter?> counter).value += 1
        finally:
            self._release(lock, context)
        del guards, kept
        if not s.in_range:
            return None
        if error is not None:
            raise error
        return s.loss if not r.finite else r.loss / r.weight if r.weight else 0.0

    cdef tuple _take_batch(self, feed_rows *rows, x, y, weight, rules):
        """Point to the arrays of one batch.

        Return the arrays of labels and weights, which the caller keeps until the step has ended; None if an array is
        not plain, or has a number that is refused.
        """
        cdef fnn_size n = 0
        cdef cnp.ndarray labels = None, weights = None
        rows.labels, rows.weight = NULL, NULL
        rows.y.cols = 0
        if not plain_rows(x, False, &rows.x, &rows.n) or rows.x.cols != self.in_features:
            return None
        if not (self.least_rows <= rows.n <= self.capacity and all_finite(&rows.x, rows.n)):
            return None
        if self.takes_labels:
            labels = plain_integers(y, rows.n)
            if labels is not None and rules.row_weights is not None:
                labels = labels.copy()  # NumPy takes them for row numbers, and other threads may write into `y`
            # Now, so that nothing is drawn for labels out of range, and again when the step reads them.
            if labels is None or not all_below(<const int64_t *> cnp.PyArray_DATA(labels), rows.n, self.classes):
                return None
            rows.labels = <const int64_t *> cnp.PyArray_DATA(labels)
        else:
            if not plain_rows(y, rules.may_be_vector, &rows.y, &n) or n != rows.n or rows.y.cols != self.target_width:
                return None
            if not all_finite(&rows.y, n) or not rules_hold(&rows.y, n, rules.columns):
                return None
        if weight is not None:
            weights = plain_weights(weight, rows.n, rules.negative_weights)
            if weights is None:
                return None
        if rules.row_weights is not None:
            weights = plain_weights(rules.row_weights(labels, weights), rows.n, False)
            if weights is None:
                return None
        if weights is not None:
            rows.weight = <const double *> cnp.PyArray_DATA(weights)
        return labels, weights

    cdef int _fill_step(self, step_slice *r, fnn_size rows, table_of_scalars, Py_ssize_t row) except -1:
        """Fill the struct of a single step of so many rows, with a row of the table of scalars."""
        cdef plain_array scalars
        if not (is_plain(table_of_scalars, &scalars) and scalars.kind == c"d" and scalars.contiguous
                and scalars.ndim == 2 and 0 <= row < scalars.shape[0]):
            refuse(ValueError, "scalars", f"be a matrix of float64, C-contiguous, with a row {row}",
                   described(table_of_scalars))
        self._check_scalars(scalars.shape[1])
        r.first, r.n, r.done, r.finite = 0, 1, 0, True
        r.order, r.n_rows, r.n_batches, r.batch_size = &self._row_numbers[0], rows, 1, rows
        r.accumulate, r.updates, r.group_weight = 1, 0, 0.0
        r.n_scalars, r.losses = scalars.shape[1], NULL
        r.scalars = <const double *> scalars.data + row * r.n_scalars
        r.seconds, r.loss, r.weight = INFINITY, 0.0, 0.0
        r.state, r.state_before, r.state_bytes = self.state_data, self.kept_state, self.state_bytes
        return 0

    def load(self, x, int threads, scaling=None):
        """Run the input section over all rows of `x`, for callers that then run other sections."""
        cdef Source x_source
        cdef shared *s = &self.shared
        cdef feed_rows rows
        guard = guard_of(x)
        if not plain_rows(x, False, &rows.x, &rows.n):
            x_source = Source(x)
            rows.x, rows.n = struct_of(x_source), x_source.rows
        if rows.n > self.capacity:
            refuse(ValueError, "x", f"have at most {self.capacity} rows", rows.n)
        if rows.x.cols != self.in_features:
            refuse(ValueError, "x", f"have {self.in_features} columns", rows.x.cols)
        fill_scaling(&rows.x_scaling, scaling, rows.x.cols)
        s.feed, s.threads, s.rows = &rows, threads, rows.n
        s.row_numbers, s.in_range = &self._row_numbers[0], True
        with nogil:
            table.keep_workers_awake()
            run_ops(&self.sections[INPUT], s)
            table.let_workers_sleep()
        s.feed, s.row_numbers = NULL, NULL
        del guard
        if not s.in_range:
            refuse_ids(x, self.program.ids.values())

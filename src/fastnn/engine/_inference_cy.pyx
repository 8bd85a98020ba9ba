"""Predictions with compiled programs, without the GIL where they take long."""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from libc.string cimport memcpy

from fastnn._fastnn cimport FNN_FLOAT32, FNN_FLOAT64, fnn_size
from fastnn._native cimport reserve_scratch, table
from fastnn.engine._calls_cy cimport take_error
from fastnn.engine._compile_cy cimport CompiledProgram, pointer, references
from fastnn.engine._lock cimport NetLock
from fastnn.engine._op_cy cimport FORWARD, GAMMA, INPUT, VAR, W, X, Y, feed_rows, op, oplist, shared
from fastnn.engine._ops_cy cimport run_ops
from fastnn.kernels._gather_cy cimport Source, struct_of
from fastnn.kernels._normalization_cy cimport norm_scale
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION
from fastnn.kernels._scaling_cy cimport scaling_numbers

from fastnn._validation import refuse
from fastnn.engine.arena import aligned_zeros, resize_guards
from fastnn.engine.feed import refuse_ids

cdef double SLICE_SECONDS = 0.05    # of a prediction, before signals are handled


cdef int check_length(str name, Py_ssize_t n, Py_ssize_t wanted) except -1:
    if n != wanted:
        refuse(ValueError, name, f"have {wanted} entries", n)
    return 0


cdef int fill_scaling(scaling_numbers *to, numbers, fnn_size cols) except -1:
    """Point to the numbers of a scaler of `cols` columns, a `Scaling`, or say that there is none."""
    to.given, to.n_quantiles = numbers is not None, 0
    to.center = to.scale = to.limit = to.fill = to.quantiles = NULL
    if numbers is None:
        return 0
    for i, array in enumerate(numbers):
        if array is not None and len(array) != cols:
            check_length(f"scaling.{numbers._fields[i]}", len(array), cols)
    to.center, to.scale = address(numbers.center), address(numbers.scale)
    to.limit, to.fill, to.quantiles = address(numbers.limit), address(numbers.fill), address(numbers.quantiles)
    if numbers.quantiles is not None:
        to.n_quantiles = numbers.quantiles.shape[1]
    return 0


cdef const char *address(array) except? NULL:
    return NULL if array is None else pointer(array)


cdef int check_columns(str name, Source array, Py_ssize_t wanted) except -1:
    if array.cols != wanted:
        refuse(ValueError, name, f"have {wanted} columns", array.cols)
    return 0


cdef void point_to(const references *to, char *address) noexcept nogil:
    cdef int i
    for i in range(to.n):
        to.at[i][0] = address


cdef class InferenceExecutor(CompiledProgram):
    """The part of the executor that predicts. The reference executor has the documentation."""

    def __init__(self, program, dtype, Py_ssize_t capacity, params, state, grads=None, tuple slots=(), seed=0,
                 means=None):
        CompiledProgram.__init__(self, program, dtype, capacity, params, state, grads, slots, seed, means)
        self._row_numbers = np.arange(capacity, dtype=np.int64)

    def predict(self, x, out, int threads, NetLock lock=None, scaling=None):
        """Run an inference program over all rows of `x`, in chunks of the capacity."""
        cdef Source x_source = Source(x), out_source = Source(out)
        cdef feed_rows rows
        if x_source.cols != self.in_features or out_source.cols != self.out_features or (
                out_source.rows != x_source.rows):
            refuse(ValueError, "x and out", f"have {self.in_features} and {self.out_features} columns and the same "
                   "number of rows", f"shapes {x.shape} and {out.shape}")
        rows.x, rows.n = struct_of(x_source), x_source.rows
        fill_scaling(&rows.x_scaling, scaling, rows.x.cols)
        # A Python function that refers to the caller's arrays from elsewhere could resize them.
        _guards = resize_guards(x, out) if self.calls_python else ()
        if lock is not None:
            lock.acquire(False)
        try:
            self._predict(&rows, <char *> out_source.data, x, threads)
        finally:
            self.shared.feed = NULL
            if lock is not None:
                lock.release(False)

    cdef bint _reads_in_place(self, const feed_rows *rows) noexcept:
        """Whether an inference program can read these rows where they are.

        Python functions get the executor's buffers, which live as long as something refers to them, never the caller's
        memory. Programs without them write directly to the result and, if x needs no conversion, read x in place; where
        the output is the input, no op writes it.
        """
        cdef fnn_size size = self.shared.kernels.itemsize
        return (not self.copies_output and not self.has_ids and not rows.x_scaling.given
                and rows.x.kind == (FNN_FLOAT32 if size == sizeof(float) else FNN_FLOAT64)
                and rows.x.col_bytes == size and rows.x.row_bytes == rows.x.cols * size)

    cdef bint _predict_chunk(self, const feed_rows *rows, fnn_size n, bint in_place, char *to) noexcept nogil:
        """Predict n rows, at most the capacity; write the result to `to`. Return whether all went well."""
        cdef shared *s = &self.shared
        s.rows = n
        if in_place:
            point_to(&self.to_input, <char *> rows.x.data)
        else:
            run_ops(&self.sections[INPUT], s)
            if not s.in_range:
                return False
        if not self.copies_output:
            point_to(&self.to_output, to)
        run_ops(&self.sections[FORWARD], s)
        if self.copies_output and s.error is NULL:
            memcpy(to, self.output, n * self.out_features * s.kernels.itemsize)
        return s.error is NULL

    cdef int _begin_prediction(self, const feed_rows *rows, int threads) except -1:
        reserve_scratch()
        self.shared.feed, self.shared.threads = rows, threads
        self.shared.row_numbers, self.shared.in_range = &self._row_numbers[0], True
        point_to(&self.to_input, self.input)
        return 0

    cdef int _predict(self, feed_rows *rows, char *to, x, int threads) except -1:
        cdef shared *s = &self.shared
        cdef fnn_size done = 0, n
        cdef bint in_place = self._reads_in_place(rows), good = True
        cdef double began
        self._begin_prediction(rows, threads)
        while done < rows.n:
            with nogil:
                table.keep_workers_awake()
                began = table.clock() if rows.n > self.capacity else 0.0  # a row takes little longer than the clock
                while True:
                    n = min(self.capacity, rows.n - done)
                    good = self._predict_chunk(rows, n, in_place, to)
                    if not good:
                        break
                    rows.x.data += n * rows.x.row_bytes
                    to += n * self.out_features * s.kernels.itemsize
                    done += n
                    if done >= rows.n or table.clock() - began >= SLICE_SECONDS:
                        break
                table.let_workers_sleep()
            if not good:
                self._refuse_prediction(x)
            PyErr_CheckSignals()
        return 0

    cdef int _refuse_prediction(self, x) except -1:
        """Raise what has ended a prediction: the exception of a Python function, or that of an id."""
        if self.shared.error is not NULL:
            raise take_error(&self.shared)
        refuse_ids(x, self.program.ids.values())
        return 0

    cdef int predict_few(self, const feed_rows *rows, char *to, x) except -1:
        """Predict at most as many rows as the capacity with one thread, and keep the GIL: nothing else runs meanwhile.

        Only for programs that call no Python function.
        """
        self._begin_prediction(rows, 1)
        cdef bint good = self._predict_chunk(rows, rows.n, self._reads_in_place(rows), to)
        self.shared.feed = NULL
        if not good:
            self._refuse_prediction(x)
        return 0

    cdef double work_of_row(self) noexcept:
        """Return about how many multiply-adds the prediction of a row takes."""
        cdef oplist *forward = &self.sections[FORWARD]
        cdef const op *o
        cdef double work = 0.0
        cdef int i
        for i in range(forward.n):
            o = &forward.ops[i]
            work += <double> WORK_OF_FUNCTION * o.width[Y] + (<double> o.width[X] * o.width[W])
        return work

    def keep_scales(self):
        """Compute the scale of each batch norm for the present values; predictions use these until the next call."""
        cdef oplist *forward = &self.sections[FORWARD]
        cdef op *o
        cdef int i
        for i in range(forward.n):
            o = &forward.ops[i]
            if o.data[VAR] is NULL:
                continue
            if o.scale is NULL:
                kept = aligned_zeros(o.width[Y], self.dtype)
                self.owners.append(kept)
                o.scale = pointer(kept)
            norm_scale(self.shared.kernels, o.data[GAMMA], o.data[VAR], o.eps,
                       self.shared.vectors + o.width[Y] * self.shared.kernels.itemsize, o.scale, o.width[Y])

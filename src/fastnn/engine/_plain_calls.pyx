"""Predictions of few rows that need no conversion, in compiled code from the checks to the result.

Such a call takes no lock: it keeps the GIL, and no Python code runs between its last check and its end, so no thread,
no signal handler and no fork comes in between, and each net's executor for it is free whenever a call begins. For every
other call the methods here return None, and the caller goes the general way: arrays that must be converted or refused,
many rows, a net that is being trained at this moment, a net with functions of Python, and the NumPy backend.
"""

import numpy as np

cimport numpy as cnp
from libc.math cimport isfinite, isnan
from libc.stdint cimport int64_t

from fastnn._arrays cimport apart, plain_array
from fastnn._context cimport backend_is_native
from fastnn._fastnn cimport FNN_FLOAT32, FNN_FLOAT64, FNN_UINT8, fnn_size
from fastnn._native cimport activation_index, is_plain, table
from fastnn.engine._compile_cy cimport pointer
from fastnn.engine._inference_cy cimport InferenceExecutor, fill_scaling
from fastnn.engine._lock cimport NetLock
from fastnn.engine._op_cy cimport feed_rows
from fastnn.kernels._parallel cimport WORK_PER_THREAD
from fastnn.kernels._scaling_cy cimport scaling_numbers

from fastnn._validation import WHOLE_NUMBERS_OF_FLOAT32 as _WHOLE_NUMBERS, refuse, refuse_state
from fastnn.engine.arena import aligned_zeros

cnp.import_array()

# Multiply-adds of a plain call at most: what does not pay for waking a thread does not pay for releasing the GIL.
cdef double MOST_WORK = WORK_PER_THREAD

# What becomes of the outputs.
cdef enum:
    AS_THEY_ARE
    COLUMN              # a single output without its axis
    MEAN                # of several nets, in float64, after a link
    BOTH_CLASSES        # a column of probabilities p becomes 1 - p and p
    CLASSES             # the most probable class of each row

cdef dict RESULTS = {"": AS_THEY_ARE, "column": COLUMN, "mean": MEAN, "both classes": BOTH_CLASSES, "classes": CLASSES}

cdef enum:
    NO_LINK
    SOFTMAX
    SIGMOID

cdef dict LINKS = {"": NO_LINK, "softmax": SOFTMAX, "sigmoid": SIGMOID}


cdef double sum_of_squares(const plain_array *x) noexcept nogil:
    """Return the sum of the squares of a contiguous array of floats; it is not finite if an entry is not."""
    cdef double total = 0.0
    cdef fnn_size i
    if x.kind == c"f":
        for i in range(x.size):
            total += <double> (<const float *> x.data)[i] * (<const float *> x.data)[i]
    else:
        for i in range(x.size):
            total += (<const double *> x.data)[i] * (<const double *> x.data)[i]
    return total


cdef void unscale(char *y, fnn_size rows, fnn_size cols, fnn_size itemsize, const scaling_numbers *by) noexcept nogil:
    """y = y / scale + center in double, rounded once, in place: the inverse of a scaler of targets."""
    cdef fnn_size i, j
    for i in range(rows):
        for j in range(cols):
            if itemsize == sizeof(float):
                (<float *> y)[i * cols + j] = <float> (
                    <double> (<float *> y)[i * cols + j] / (<const float *> by.scale)[j]
                    + (<const float *> by.center)[j])
            else:
                (<double *> y)[i * cols + j] = ((<double *> y)[i * cols + j] / (<const double *> by.scale)[j]
                                                + (<const double *> by.center)[j])


cdef class PlainNet:
    """A net of plain calls: an executor of its own, and the numbers of its scalers.

    Parameters
    ----------
    executor : InferenceExecutor
    lock : NetLock, optional
        That of a net whose arrays are read as they are. A snapshot, which nobody trains, has none.
    """

    def __init__(self, InferenceExecutor executor not None, NetLock lock=None):
        self.executor, self.lock = executor, lock
        # Of these ids float32 has rounded some; the general way refuses such rows.
        self._has_large_ids = any([each.size > _WHOLE_NUMBERS for each in executor.program.ids.values()])
        is_plain(executor.params.data, &self.params)
        self._set_scaling(None, None)

    cdef int _set_scaling(self, scaling, output_scaling) except -1:
        self.is_usable = False
        fill_scaling(&self.x_scaling, scaling, self.executor.in_features)
        fill_scaling(&self.z_scaling, output_scaling, self.executor.out_features)
        self.scaling, self.output_scaling = scaling, output_scaling
        invertible = not self.z_scaling.given or self.z_scaling.scale is not NULL and self.z_scaling.quantiles is NULL
        self.is_usable = invertible and not self.executor.calls_python and not self._has_large_ids
        return 0

    cdef int follow(self, scaling, output_scaling) except -1:
        """Take the numbers of the scalers, unless they are the present ones."""
        if scaling is not self.scaling or output_scaling is not self.output_scaling:
            self._set_scaling(scaling, output_scaling)
        return 0

    def keep(self, scaling, output_scaling):
        """Compute once what the plain calls of a snapshot need: its values and its scalers are these from now on."""
        self.executor.keep_scales()
        self.follow(scaling, output_scaling)

    cdef int run(self, const plain_array *x, char *to, array) except -1:
        """Predict all rows of x, which is `array`."""
        cdef feed_rows rows
        rows.x.kind = FNN_FLOAT32 if x.kind == c"f" else FNN_FLOAT64 if x.kind == c"d" else FNN_UINT8
        rows.x.data, rows.x.cols, rows.n = x.data, x.shape[1], x.shape[0]
        rows.x.row_bytes, rows.x.col_bytes = x.strides[0], x.strides[1]
        rows.x_scaling = self.x_scaling
        self.executor.predict_few(&rows, to, array)
        if self.z_scaling.given:
            unscale(to, rows.n, self.executor.out_features, self.executor.shared.kernels.itemsize, &self.z_scaling)
        return 0


cdef int check_net(InferenceExecutor executor, InferenceExecutor first, fnn_size most_rows) except -1:
    """Refuse an executor that is too small, or has other widths than the first."""
    if executor is None or executor.capacity < most_rows:
        refuse(ValueError, "nets", f"have executors for {most_rows} rows", "others")
    if executor.in_features != first.in_features or executor.out_features != first.out_features:
        refuse(ValueError, "nets", "have equal widths", "others")
    return 0


cdef class PlainCalls:
    """Plain calls of one net or several.

    Parameters
    ----------
    nets : tuple of PlainNet
        Of equal widths, with capacities of at least `most_rows`. Without any, no call is a plain one.
    most_rows : int
        Of a plain call.
    result : {"", "column", "mean", "both classes", "classes"}
        What becomes of the outputs. More than one net needs "mean".
    link : {"", "softmax", "sigmoid"}
        The function of each net's outputs whose results, in float64, are averaged.
    classes : ndarray, optional
        For "classes": the classes of the outputs, or two of them for a single output.
    finite : bool
        Whether rows with NaN or infinity are no plain ones.
    snapshot : object
        What predicts where a call is not a plain one.
    """

    def __init__(self, tuple nets, fnn_size most_rows, str result="", str link="", classes=None, bint finite=False,
                 snapshot=None):
        cdef InferenceExecutor executor
        self._nets, self._most_rows, self._needs_finite, self.snapshot = nets, 0, finite, snapshot
        self._result, self._link, self._classes = RESULTS[result], LINKS[link], classes
        if not nets:
            return
        for net in nets:
            executor = (<PlainNet?> net).executor
            self._width, self._in_features = executor.out_features, executor.in_features
            self._work += executor.work_of_row()
            check_net(executor, (<PlainNet> nets[0]).executor, most_rows)
        if (len(nets) > 1 and self._result != MEAN) or (self._result == COLUMN and self._width != 1) or (
                self._result == CLASSES and len(classes) < max(2, self._width)):
            refuse(ValueError, "result", "be one for these nets and classes", result)
        executor = (<PlainNet> nets[0]).executor
        self._out_features = 2 if self._result == BOTH_CLASSES else self._width
        self._kind = c"f" if self._result != MEAN and executor.shared.kernels.itemsize == sizeof(float) else c"d"
        room = most_rows * self._width if self._result > COLUMN else 0
        outputs, probabilities = aligned_zeros(room, np.float64), aligned_zeros(room, np.float64)
        self._owners = outputs, probabilities
        self._outputs, self._probabilities = pointer(outputs), <double *> pointer(probabilities)
        self._most_rows = most_rows

    def now(self, x, out, tuple attributes):
        """Return the prediction of the nets as they are at this moment, or None if the call is not a plain one.

        `attributes` are those of the nets, which have their scalers. For the NumPy backend no call is a plain one.
        """
        cdef dict held
        if not self._most_rows or len(attributes) != len(self._nets) or not backend_is_native():
            return None
        for i in range(len(attributes)):
            held = attributes[i]
            (<PlainNet> self._nets[i]).follow(held["_scaling"], held["_output_scaling"])
        return self._plain(x, out, attributes)

    cdef object _plain(self, x, out, tuple attributes=None):
        """Return the result of a plain call, else None."""
        cdef plain_array given, to
        cdef fnn_size rows
        if not (is_plain(x, &given) and given.ndim == 2 and given.shape[1] == self._in_features
                and 0 < given.shape[0] <= self._most_rows and given.shape[0] * self._work <= MOST_WORK):
            return None
        if self._needs_finite and not (given.contiguous and given.kind != c"B" and isfinite(sum_of_squares(&given))):
            return None
        if self._result == CLASSES:
            return self._most_probable(&given, x, out, attributes)
        rows = given.shape[0]
        if out is None:
            out = new_rows(rows, self._out_features, self._kind, 1 if self._result == COLUMN else 2)
            is_plain(out, &to)
        elif not (is_plain(out, &to) and self._has_right_shape(&to, rows) and to.contiguous and to.writable
                  and given.contiguous and apart(&to, &given) and self._is_apart_from_parameters(&to)):
            return None
        # From here on nothing allocates an object that the garbage collector tracks: a collection can run Python code.
        if not self._are_ready(attributes):
            return None
        if self._result == AS_THEY_ARE or self._result == COLUMN:
            (<PlainNet> self._nets[0]).run(&given, to.data, x)
        elif self._result == MEAN:
            self._mean(&given, x, <double *> to.data)
        else:
            (<PlainNet> self._nets[0]).run(&given, self._outputs, x)
            both_classes(self._outputs, to.data, rows, to.itemsize)
        return out

    cdef bint _are_ready(self, tuple attributes) noexcept:
        """Whether all nets can be read now: nobody changes one at this moment, and none calls Python functions.

        With `attributes`, also whether the nets still have the scalers that were followed.
        """
        cdef PlainNet net
        cdef dict held
        for i in range(len(self._nets)):
            net = <PlainNet> self._nets[i]
            if attributes is not None:
                held = <dict> attributes[i]
                if net.scaling is not held.get("_scaling") or net.output_scaling is not held.get("_output_scaling"):
                    return False
            if not net.is_usable or (self._link != NO_LINK and net.z_scaling.given):
                return False
            if net.lock is not None and not net.lock.is_at_rest():
                return False
        return True

    cdef bint _has_right_shape(self, const plain_array *out, fnn_size rows) noexcept:
        """Whether the result for so many rows has the type and shape of an array."""
        if self._result == COLUMN:
            return out.kind == self._kind and out.ndim == 1 and out.shape[0] == rows
        return (out.kind == self._kind and out.ndim == 2 and out.shape[0] == rows
                and out.shape[1] == self._out_features)

    cdef bint _is_apart_from_parameters(self, const plain_array *out) noexcept:
        for net in self._nets:
            if not apart(out, &(<PlainNet> net).params):
                return False
        return True

    cdef int _mean(self, const plain_array *x, array, double *mean) except -1:
        """Average the nets' outputs or probabilities, in the order of the nets."""
        cdef double *p = self._probabilities
        cdef fnn_size rows = x.shape[0], n = rows * self._width, i
        cdef char *z = self._outputs
        cdef bint first = True
        cdef PlainNet net
        for each in self._nets:
            net = <PlainNet> each
            net.run(x, z, array)
            for i in range(n):
                p[i] = (<float *> z)[i] if net.executor.shared.kernels.itemsize == sizeof(float) else (<double *> z)[i]
            if self._link == SOFTMAX:
                for i in range(rows):
                    table.f64.softmax.forward(p + i * self._width, p + i * self._width, self._width)
            elif self._link == SIGMOID:
                table.f64.activation[activation_index("sigmoid")].forward(p, p, n, NULL)
            for i in range(n):
                mean[i] = p[i] if first else mean[i] + p[i]
            first = False
        for i in range(n):
            mean[i] /= len(self._nets)
        return 0

    cdef object _most_probable(self, const plain_array *x, array, out, tuple attributes):
        """Return the most probable class of each row; None if it cannot be written to `out` directly."""
        cdef fnn_size rows = x.shape[0], i, itemsize
        cdef PlainNet net = self._nets[0]
        cdef cnp.npy_intp shape = rows
        indices = cnp.PyArray_EMPTY(1, &shape, cnp.NPY_INT64, 0)
        cdef int64_t *codes = <int64_t *> pointer(indices)
        if not (out is None or self._takes_classes(out, x)) or not self._are_ready(attributes):
            return None
        net.run(x, self._outputs, array)
        itemsize = net.executor.shared.kernels.itemsize
        for i in range(rows):
            codes[i] = code_of(self._outputs + i * self._width * itemsize, self._width, itemsize)
        return self._classes.take(indices) if out is None else self._classes.take(indices, 0, out, "clip")

    cdef bint _takes_classes(self, out, const plain_array *x):
        """Whether classes of the rows of x can be written to an array."""
        cdef cnp.ndarray to, classes = self._classes
        cdef char *first
        cdef char *end
        if not cnp.PyArray_CheckExact(out):
            return False
        to = out
        first = <char *> cnp.PyArray_DATA(to)
        end = first + cnp.PyArray_NBYTES(to)
        return (cnp.PyArray_NDIM(to) == 1 and cnp.PyArray_DIMS(to)[0] == x.shape[0] and cnp.PyArray_ISCARRAY(to)
                and cnp.PyArray_EquivArrTypes(to, classes)
                and (end <= x.data or first >= x.data + x.size * x.itemsize)
                and (end <= <char *> cnp.PyArray_DATA(classes)
                     or first >= <char *> cnp.PyArray_DATA(classes) + cnp.PyArray_NBYTES(classes)))


cdef class BasePredictor:
    """The compiled part of a `Predictor`: the plain calls of its present snapshot, else the method `_general`.

    A snapshot that a call uses is not changed. An update fills the one before the present one, if no call uses that any
    more, or a new one, and shows it to the calls from then on.
    """

    def __call__(self, x, out=None):
        """Predict the rows of `x`."""
        cdef PlainCalls calls = self._current
        if calls is None:
            refuse_state("a predictor is made by the method predictor of a net, an ensemble or an estimator")
        calls.users += 1
        try:
            result = calls._plain(x, out)
            return self._general(calls.snapshot, x, out) if result is None else result
        finally:
            calls.users -= 1

    def _general(self, snapshot, x, out):
        """Predict any rows with a snapshot."""
        refuse_state("a predictor is made by the method predictor of a net, an ensemble or an estimator")

    def _present(self):
        """Return the present snapshot."""
        return None if self._current is None else self._current.snapshot

    def _take_spare(self):
        """Return the plain calls of the snapshot before the present one, if no call uses it any more, else None.

        Nobody else gets them.
        """
        cdef PlainCalls calls = self._spare
        self._spare = None
        return None if calls is None or calls.users else calls

    def _show(self, PlainCalls calls not None):
        """Let all calls from now on see the snapshot of these plain calls."""
        self._spare, self._current = self._current, calls


cdef double entry(const char *row, fnn_size index, fnn_size itemsize) noexcept nogil:
    return (<const float *> row)[index] if itemsize == sizeof(float) else (<const double *> row)[index]


cdef fnn_size code_of(const char *p, fnn_size cols, fnn_size itemsize) noexcept nogil:
    """Return the index of the first largest probability, or of the first NaN; of one alone, whether it is above 0.5."""
    cdef fnn_size best = 0, j
    if cols == 1:
        return entry(p, 0, itemsize) > 0.5
    for j in range(cols):
        if isnan(entry(p, j, itemsize)):
            return j
        if entry(p, j, itemsize) > entry(p, best, itemsize):
            best = j
    return best


cdef void both_classes(const char *p, char *out, fnn_size rows, fnn_size itemsize) noexcept nogil:
    """Write 1 - p and p for each probability p."""
    cdef fnn_size i
    for i in range(rows):
        if itemsize == sizeof(float):
            (<float *> out)[2 * i], (<float *> out)[2 * i + 1] = 1 - (<const float *> p)[i], (<const float *> p)[i]
        else:
            (<double *> out)[2 * i], (<double *> out)[2 * i + 1] = 1 - (<const double *> p)[i], (<const double *> p)[i]


cdef object new_rows(fnn_size rows, fnn_size cols, char kind, int ndim):
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = rows, cols
    return cnp.PyArray_EMPTY(ndim, shape, cnp.NPY_FLOAT32 if kind == c"f" else cnp.NPY_FLOAT64, 0)

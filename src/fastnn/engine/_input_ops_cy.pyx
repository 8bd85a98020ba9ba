"""The bodies of the ops of the input section: the rows of a batch, loaded from the feed and checked.

The caller's memory may change at any time, so numbers that are used as indices are checked directly before their use.
"""

from libc.math cimport floor
from libc.stdint cimport int64_t, uint64_t

from fastnn._fastnn cimport fnn_size
from fastnn.engine._op_cy cimport TARGET, X, op, shared
from fastnn.engine._rows_cy cimport by_rows
from fastnn.kernels._gather_cy cimport gather_rows
from fastnn.kernels._scaling_cy cimport scale_rows, work_of_scaling


cdef void run_gather(op *o, shared *s) noexcept nogil:
    if s.feed is not NULL:
        gather_rows(s.kernels, &s.feed.x, s.row_numbers, s.rows, o.data[X], s.threads)


cdef void run_scale_input(op *o, shared *s) noexcept nogil:
    if s.feed is not NULL and s.feed.x_scaling.given:
        by_rows(o, s, o.width[X], work_of_scaling(&s.feed.x_scaling), scale_input_rows)


cdef void scale_input_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[X]
    scale_rows(s.kernels, &s.feed.x_scaling, o.data[X] + first * n * s.kernels.itemsize, n, rows, s.zeros)


cdef void run_gather_labels(op *o, shared *s) noexcept nogil:
    """Load the labels and check them directly before their use: the caller's memory may change at any time."""
    cdef fnn_size i
    if s.feed is NULL:
        return
    for i in range(s.rows):
        s.labels[i] = s.feed.labels[s.row_numbers[i]]
        s.in_range &= <uint64_t> s.labels[i] < <uint64_t> s.n_classes


cdef void run_gather_target(op *o, shared *s) noexcept nogil:
    if s.feed is not NULL:
        gather_rows(s.kernels, &s.feed.y, s.row_numbers, s.rows, o.data[TARGET], s.threads)


cdef void run_scale_target(op *o, shared *s) noexcept nogil:
    if s.feed is not NULL and s.feed.y_scaling.given:
        by_rows(o, s, o.width[TARGET], work_of_scaling(&s.feed.y_scaling), scale_target_rows)


cdef void scale_target_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size n = o.width[TARGET]
    scale_rows(s.kernels, &s.feed.y_scaling, o.data[TARGET] + first * n * s.kernels.itemsize, n, rows, s.zeros)


cdef void run_take_labels(op *o, shared *s) noexcept nogil:
    """Take the class numbers of a head from a column of the targets, and check them: the caller's memory may change."""
    cdef fnn_size i, n = o.width[TARGET]
    cdef const float *narrow = <const float *> o.data[TARGET]
    cdef const double *wide = <const double *> o.data[TARGET]
    cdef double number
    cdef bint good
    if s.feed is NULL:
        return
    for i in range(s.rows):
        number = narrow[i * n + o.column] if s.kernels.itemsize == sizeof(float) else wide[i * n + o.column]
        good = number >= 0.0 and number < o.n_classes and floor(number) == number
        o.labels[i] = <int64_t> number if good else 0
        s.in_range &= good


cdef void run_gather_weight(op *o, shared *s) noexcept nogil:
    cdef fnn_size i
    if s.feed is not NULL and s.feed.weight is not NULL:
        for i in range(s.rows):
            s.weights[i] = s.feed.weight[s.row_numbers[i]]

"""The bodies of the ops of the input section: the rows of a batch, loaded from the feed and checked.

The caller's memory may change at any time, so numbers that are used as indices are checked directly before their use.
"""

from libc.math cimport floor
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

from fastnn._fastnn cimport FNN_FLOAT32, FNN_FLOAT64, fnn_size
from fastnn.engine._op_cy cimport IDS, TARGET, X, op, shared
from fastnn.engine._rows_cy cimport by_rows
from fastnn.kernels._gather_cy cimport gather_rows, source
from fastnn.kernels._scaling_cy cimport scale_rows, scaling_numbers, work_of_scaling


cdef void run_gather(op *o, shared *s) noexcept nogil:
    if s.feed is not NULL:
        gather_rows(s.kernels, &s.feed.x, s.row_numbers, s.rows, o.data[X], o.width[X], s.threads)


cdef int scaled_role(const op *o) noexcept nogil:
    return X if o.data[TARGET] is NULL else TARGET


cdef const scaling_numbers *scaling_of(const op *o, const shared *s) noexcept nogil:
    return &s.feed.x_scaling if scaled_role(o) == X else &s.feed.y_scaling


cdef void run_scale_rows(op *o, shared *s) noexcept nogil:
    """Scale the rows of the input or of the targets: the op has one of them."""
    if s.feed is not NULL and scaling_of(o, s).given:
        by_rows(o, s, o.width[scaled_role(o)], work_of_scaling(scaling_of(o, s)), scale_some_rows)


cdef void scale_some_rows(op *o, shared *s, fnn_size first, fnn_size rows) noexcept nogil:
    cdef int role = scaled_role(o)
    cdef fnn_size n = o.width[role]
    scale_rows(s.kernels, scaling_of(o, s), o.data[role] + first * n * s.kernels.itemsize, n, rows, s.zeros)


cdef double number_at(const source *x, fnn_size row, fnn_size column) noexcept nogil:
    cdef const char *at = x.data + row * x.row_bytes + column * x.col_bytes
    if x.kind == FNN_FLOAT32:
        return (<const float *> at)[0]
    return (<const double *> at)[0] if x.kind == FNN_FLOAT64 else <double> (<const uint8_t *> at)[0]


cdef void run_gather_ids(op *o, shared *s) noexcept nogil:
    """Load the ids of a table from a column of the feed, before any cast, and check them."""
    cdef int64_t *ids = <int64_t *> o.data[IDS]
    cdef double number
    cdef bint known
    cdef fnn_size i
    if s.feed is NULL:
        return
    for i in range(s.rows):
        number = number_at(&s.feed.x, s.row_numbers[i], o.column)
        known = number >= 0.0 and number < o.table_rows and floor(number) == number
        ids[i] = <int64_t> number if known else o.table_rows if o.own_row else 0
        s.in_range &= known or o.own_row and (number != number or floor(number) == number)


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
        gather_rows(s.kernels, &s.feed.y, s.row_numbers, s.rows, o.data[TARGET], o.width[TARGET], s.threads)


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


cdef void run_one_hot(op *o, shared *s) noexcept nogil:
    """Write rows of 0 and 1 for the labels; one out of range has no 1."""
    cdef fnn_size i, n = o.width[TARGET]
    if s.feed is NULL:
        return
    memset(o.data[TARGET], 0, s.rows * n * s.kernels.itemsize)
    for i in range(s.rows):
        if <uint64_t> s.labels[i] >= <uint64_t> n:
            continue
        if s.kernels.itemsize == sizeof(float):
            (<float *> o.data[TARGET])[i * n + s.labels[i]] = 1.0
        else:
            (<double *> o.data[TARGET])[i * n + s.labels[i]] = 1.0


cdef void run_gather_weight(op *o, shared *s) noexcept nogil:
    cdef fnn_size i
    if s.feed is not NULL and s.feed.weight is not NULL:
        for i in range(s.rows):
            s.weights[i] = s.feed.weight[s.row_numbers[i]]

"""The bodies of the ops that augment a batch: each draws from a stream of its own, by the step and the place of a row.

Without a feed they do nothing, as all ops of the input section.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastnn._fastnn cimport fnn_size, fnn_stream
from fastnn._native cimport table
from fastnn.engine._op_cy cimport IDS, MIXED, TARGET, X, Y, augment_op, op, shared
from fastnn.kernels._augmentation_cy cimport (WORK_OF_NOISE, WORK_OF_SWAPS, add_noise_rows, augment, augment_run,
                                              batch_change, draw_pairs, drop_feature_rows, flip_image_rows,
                                              mix_some_rows, shift_image_rows, swap_entry_rows, swap_threshold)
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION, WORK_OF_MAP


cdef fnn_stream stream_of(const op *o, const shared *s) noexcept nogil:
    cdef fnn_stream stream = s.stream
    stream.stream = o.stream
    return stream


cdef void keep_columns(const op *o, const shared *s) noexcept nogil:
    """Copy the columns that are to stay as they are from x to y."""
    if o.n_runs > 0:
        s.kernels.copy_columns(o.data[X], o.width[X], o.data[Y], o.width[Y], s.rows, o.runs, o.n_runs)


cdef void change_rows(op *o, shared *s, augment_run run, int work, int x, int y) noexcept nogil:
    """Run an augmentation over the rows of a buffer, and write another; x and y are roles."""
    cdef batch_change *a = &o.augmentation.settings
    a.run, a.work, a.stream = run, work, stream_of(o, s)
    a.x, a.y, a.n, a.cols = o.data[x], o.data[y], s.rows, o.width[x]
    augment(a, s.threads)


cdef void change_input(op *o, shared *s, augment_run run, int work) noexcept nogil:
    if s.feed is not NULL:
        change_rows(o, s, run, work, X, Y)
        keep_columns(o, s)


cdef void run_add_noise(op *o, shared *s) noexcept nogil:
    change_input(o, s, add_noise_rows, WORK_OF_NOISE)


cdef void run_drop_features(op *o, shared *s) noexcept nogil:
    change_input(o, s, drop_feature_rows, WORK_OF_FUNCTION)


cdef void run_swap_entries(op *o, shared *s) noexcept nogil:
    change_input(o, s, swap_entry_rows, WORK_OF_SWAPS)


cdef void run_shift_images(op *o, shared *s) noexcept nogil:
    change_input(o, s, shift_image_rows, WORK_OF_MAP)


cdef void run_flip_images(op *o, shared *s) noexcept nogil:
    change_input(o, s, flip_image_rows, WORK_OF_MAP)


cdef void run_swap_ids(op *o, shared *s) noexcept nogil:
    """Swap the ids of a column as its entries are swapped."""
    cdef fnn_stream stream = stream_of(o, s)
    cdef int64_t *ids = <int64_t *> o.data[IDS]
    if s.feed is not NULL:
        memcpy(o.augmentation.ids, ids, s.rows * sizeof(int64_t))
        table.swap_ids(&stream, swap_threshold(o.augmentation.settings.p), o.augmentation.ids, ids, s.rows, o.n_columns,
                       o.column)


cdef void run_mixup(op *o, shared *s) noexcept nogil:
    """Mix the rows of the input, their targets and their weights, if there are any, each with those of its partner."""
    cdef augment_op *m = o.augmentation
    cdef fnn_stream stream = stream_of(o, s)
    cdef fnn_size i
    if s.feed is NULL:
        return
    draw_pairs(&stream, m.quantiles, s.rows, m.partner, m.share)
    m.settings.partner, m.settings.share = m.partner, m.share
    change_input(o, s, mix_some_rows, WORK_OF_MAP)
    change_rows(o, s, mix_some_rows, WORK_OF_MAP, TARGET, MIXED)
    if s.weight is not NULL:
        memcpy(m.weight, s.weights, s.rows * sizeof(double))
        for i in range(s.rows):
            s.weights[i] = m.share[i] * m.weight[i] + (1.0 - m.share[i]) * m.weight[m.partner[i]]

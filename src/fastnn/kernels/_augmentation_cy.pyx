"""Augmentation of a batch's rows, in parts for the threads.

All are pure functions of (seed, stream, step, place in the batch), so that parts do not change a bit. A draw for each
entry takes seven rounds of Philox, as a dropout mask does; a draw for each row takes the words of `random_bits`, of
ten.
"""

from libc.math cimport rint
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastnn._fastnn cimport fnn_image, fnn_size, fnn_stream
from fastnn._native cimport memory, memory_of, table, writing
from fastnn.kernels._dropout_cy cimport threshold_of
from fastnn.kernels._parallel cimport WORK_OF_FUNCTION, WORK_OF_MAP, ceil_div, threads_for

cdef enum:
    PIECE = 1 << 12     # elements of one task, at least one row
    WORDS = 256         # that are drawn at a time, for as many rows


cdef uint64_t swap_threshold(double p) noexcept nogil:
    """Return the number below which the word of an entry swaps it."""
    return <uint64_t> rint(p * 4294967296.0)


# ---- some rows of a batch ----

cdef void add_noise_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size at = first * a.cols, bytes = at * a.kernels.itemsize
    a.kernels.add_noise(a.x + bytes, a.y + bytes, rows * a.cols, at, &a.stream, a.std)


cdef void drop_feature_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size at = first * a.cols, bytes = at * a.kernels.itemsize
    a.kernels.dropout(a.x + bytes, a.y + bytes, rows * a.cols, at, &a.stream, threshold_of(a.p), 1.0)


cdef void swap_entry_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil:
    a.kernels.swap_entries(a.x, a.y, a.n, a.cols, first, rows, &a.stream, swap_threshold(a.p))


cdef void mix_some_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size i, row = a.cols * a.kernels.itemsize
    for i in range(first, first + rows):
        a.kernels.mix(a.x + i * row, a.x + a.partner[i] * row, a.y + i * row, a.cols, a.share[i])


cdef uint32_t word_of_row(const batch_change *a, fnn_size i, fnn_size first, fnn_size rows,
                          uint32_t *words) noexcept nogil:
    """Return the word of row i. The words of WORDS rows from `first` on are drawn at once."""
    if (i - first) % WORDS == 0:
        a.kernels.random_bits(&a.stream, i, min(<fnn_size> WORDS, first + rows - i), words)
    return words[(i - first) % WORDS]


cdef fnn_size shift_of(uint32_t half, fnn_size most) noexcept nogil:
    """Return a number from -most to most, chosen by 16 random bits."""
    return <fnn_size> (half * (2 * <uint64_t> most + 1) >> 16) - most


cdef void shift_image_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size i, row = a.cols * a.kernels.itemsize
    cdef uint32_t words[WORDS]
    cdef uint32_t word
    for i in range(first, first + rows):
        word = word_of_row(a, i, first, rows, words)
        a.kernels.shift_image(a.x + i * row, a.y + i * row, &a.image, shift_of(word & 0xFFFF, a.most_down),
                              shift_of(word >> 16, a.most_right), a.fill, a.edge)


cdef void flip_image_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil:
    cdef fnn_size i, row = a.cols * a.kernels.itemsize
    cdef uint32_t words[WORDS]
    for i in range(first, first + rows):
        if (word_of_row(a, i, first, rows, words) & 0xFFFF) < threshold_of(a.p):
            a.kernels.flip_image(a.x + i * row, a.y + i * row, &a.image, a.vertical)
        else:
            memcpy(a.y + i * row, a.x + i * row, row)


# ---- a whole batch ----

cdef fnn_size rows_of_a_task(const batch_change *a) noexcept nogil:
    return max(1, PIECE // max(1, a.cols))


cdef void augment_task(void *context, fnn_size index) noexcept nogil:
    cdef const batch_change *a = <const batch_change *> context
    cdef fnn_size each = rows_of_a_task(a), first = index * each
    a.run(a, first, min(each, a.n - first))


cdef void augment(const batch_change *a, int threads) noexcept nogil:
    if a.cols > 0:
        table.parallel(augment_task, <void *> a, ceil_div(a.n, rows_of_a_task(a)),
                       threads_for(<double> a.work * a.n * a.cols, threads))


cdef void draw_pairs(const fnn_stream *stream, const double *quantiles, fnn_size n, int64_t *partner,
                     double *share) noexcept nogil:
    cdef uint32_t words[2 * WORDS]
    cdef const uint32_t *word
    cdef const double *low
    cdef fnn_size i, other
    for i in range(n):
        if i % WORDS == 0:
            table.f32.random_bits(stream, 2 * i, 2 * min(<fnn_size> WORDS, n - i), words)
        word = words + 2 * (i % WORDS)
        low = quantiles + (word[0] >> 22)
        share[i] = low[0] + (word[0] & 0x3FFFFF) * (1.0 / 4194304.0) * (low[1] - low[0])
        other = i + <fnn_size> (word[1] * <uint64_t> (n - 1) >> 32) + (n > 1)
        partner[i] = other if other < n else other - n


# ---- from Python ----

cdef int set_rows(batch_change *a, x, out, uint64_t seed, uint32_t stream, uint32_t step) except -1:
    """Set the rows and the stream; an array that is no matrix has rows of one element."""
    cdef memory m = memory_of(x)
    a.kernels, a.x, a.y = m.kernels, m.data, writing(out, &m)
    a.n = m.rows if x.ndim == 2 else m.n
    a.cols = m.cols if x.ndim == 2 else 1
    a.stream.seed, a.stream.stream, a.stream.step = seed, stream, step
    return 0


cdef fnn_image image_of(tuple layout) except *:
    cdef fnn_image image
    image.outer, image.height, image.width, image.inner = layout
    return image


def add_noise(x, out, double std, uint64_t seed, uint32_t stream, uint32_t step, int threads):
    """out = x + std * z"""
    cdef batch_change a
    set_rows(&a, x, out, seed, stream, step)
    a.run, a.work, a.std = add_noise_rows, WORK_OF_NOISE, std
    with nogil:
        augment(&a, threads)


def drop_features(x, out, double p, uint64_t seed, uint32_t stream, uint32_t step, int threads):
    """out = x where an entry is kept, else 0"""
    cdef batch_change a
    set_rows(&a, x, out, seed, stream, step)
    a.run, a.work, a.p = drop_feature_rows, WORK_OF_FUNCTION, p
    with nogil:
        augment(&a, threads)


def swap_entries(x, out, double p, uint64_t seed, uint32_t stream, uint32_t step, int threads):
    """out = x, or for some entries those of another row"""
    cdef batch_change a
    set_rows(&a, x, out, seed, stream, step)
    a.run, a.work, a.p = swap_entry_rows, WORK_OF_SWAPS, p
    with nogil:
        augment(&a, threads)


def swap_ids(const int64_t[::1] ids, int64_t[::1] out, fnn_size k, fnn_size column, double p, uint64_t seed,
             uint32_t stream, uint32_t step):
    """out = ids, as `swap_entries` treats this column of a matrix with k columns"""
    cdef fnn_stream source
    source.seed, source.stream, source.step = seed, stream, step
    with nogil:
        table.swap_ids(&source, swap_threshold(p), &ids[0], &out[0], ids.shape[0], k, column)


def mixup_pairs(int64_t[::1] partner, double[::1] share, const double[::1] quantiles, uint64_t seed, uint32_t stream,
                uint32_t step):
    """The row that each row is mixed with, and its own share"""
    cdef fnn_stream source
    source.seed, source.stream, source.step = seed, stream, step
    with nogil:
        draw_pairs(&source, &quantiles[0], partner.shape[0], &partner[0], &share[0])


def mix_rows(x, const int64_t[::1] partner, const double[::1] share, out, int threads):
    """out = share * x + (1 - share) * x[partner]"""
    cdef batch_change a
    set_rows(&a, x, out, 0, 0, 0)
    a.run, a.work, a.partner, a.share = mix_some_rows, WORK_OF_MAP, &partner[0], &share[0]
    with nogil:
        augment(&a, threads)


def shift_images(x, out, tuple layout, tuple most, double fill, bint edge, uint64_t seed, uint32_t stream,
                 uint32_t step, int threads):
    """out = x, each row an image that is moved"""
    cdef batch_change a
    set_rows(&a, x, out, seed, stream, step)
    a.run, a.work, a.image, a.fill, a.edge = shift_image_rows, WORK_OF_MAP, image_of(layout), fill, edge
    a.most_down, a.most_right = most
    with nogil:
        augment(&a, threads)


def flip_images(x, out, tuple layout, double p, bint vertical, uint64_t seed, uint32_t stream, uint32_t step,
                int threads):
    """out = x, each row an image, some of them mirrored"""
    cdef batch_change a
    set_rows(&a, x, out, seed, stream, step)
    a.run, a.work, a.image, a.p, a.vertical = flip_image_rows, WORK_OF_MAP, image_of(layout), p, vertical
    with nogil:
        augment(&a, threads)

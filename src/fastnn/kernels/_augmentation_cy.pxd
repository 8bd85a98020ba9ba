# _augmentation_cy.pxd: augmentation of the rows of a batch, for the engine.

from libc.stdint cimport int64_t, uint64_t

from fastnn._fastnn cimport fnn_image, fnn_kernels, fnn_size, fnn_stream

# Computes `rows` rows of a batch, from `first` on. Any division of a batch into parts gives the same bits.
ctypedef void (*augment_run)(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil

# What becomes of a batch: its rows, and the settings of the function `run`, which is one of those below. The comment of
# each says what it uses besides kernels, x, y, n and cols.
cdef struct batch_change:
    augment_run run
    int work                # for an element, in multiply-adds
    const fnn_kernels *kernels
    const char *x           # the first row of the batch; rows have `cols` elements and no gaps between them
    char *y                 # where the first row of the result is written: another array
    fnn_size n              # rows of the batch
    fnn_size cols
    fnn_stream stream       # the numbers that are drawn depend on it, and on the place in the batch
    double std              # of the noise
    double p                # the probability
    const int64_t *partner  # for each row the row that it is mixed with, from 0 to n - 1
    const double *share     # for each row its own share
    fnn_image image         # the shape of a row
    fnn_size most_down      # pixels, below the height
    fnn_size most_right     # pixels, below the width
    double fill             # of the pixels that a shift vacates, unless `edge` is set
    bint edge               # they get the nearest pixel of the image
    bint vertical           # a flip exchanges top and bottom, not left and right

# stream, std; y may be x
cdef void add_noise_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil
# stream, p; y may be x
cdef void drop_feature_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil
# stream, p
cdef void swap_entry_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil
# partner, share
cdef void mix_some_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil
# stream, image, most_down, most_right, fill, edge
cdef void shift_image_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil
# stream, image, p, vertical
cdef void flip_image_rows(const batch_change *a, fnn_size first, fnn_size rows) noexcept nogil

# More numbers for `work`: estimates in the unit of kernels/_parallel.pxd, not tuned by measurement.
cdef enum:
    WORK_OF_NOISE = 64      # half of: a block of Philox, a logarithm, a square root, a cosine and a sine
    WORK_OF_SWAPS = 32      # a quarter of a block of Philox, and for some entries a row that may be far away

# All rows, in tasks for the threads.
cdef void augment(const batch_change *a, int threads) noexcept nogil

# The word below which swap_entry_rows swaps an entry; `table.swap_ids` takes it.
cdef uint64_t swap_threshold(double p) noexcept nogil

# Partner and share of all n rows; `quantiles` are kernels/_beta.py's.
cdef void draw_pairs(const fnn_stream *stream, const double *quantiles, fnn_size n, int64_t *partner,
                     double *share) noexcept nogil

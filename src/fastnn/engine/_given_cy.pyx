"""The arrays that a caller gives to a single step, as structs: of plain arrays, without Python code.

A plain array is an ndarray, of no subclass, that the step reads as it is: aligned, in the machine's byte order and,
except for `plain_matrix`, C-contiguous. Rows are float32, float64 or uint8, labels and row numbers int64 or int32,
weights float64. What is wrong with another array, if anything, is for `_validation` to say.

Callers take the `guard_of` an array first: the functions here may release the GIL.
"""

from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport ceil
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cimport numpy as cnp

from fastnn._fastnn cimport FNN_FLOAT32, FNN_FLOAT64, FNN_UINT8, fnn_size
from fastnn._native cimport is_plain, plain_array
from fastnn.kernels._gather_cy cimport source

import numpy as np

cnp.import_array()

cdef object ndarray = np.ndarray

cdef enum:
    MOST_WITH_GIL = 1 << 15     # entries that are checked with the GIL held; more are checked without it

ctypedef fused number:
    float
    double
    uint8_t


cdef bint within(const number *x, fnn_size n, number low, number high) noexcept nogil:
    """Whether all numbers are from low to high; NaN is not."""
    cdef bint bad = False
    cdef fnn_size i
    for i in range(n):
        bad |= (not x[i] >= low) | (not x[i] <= high)
    return not bad


cdef bint all_within(const plain_array *a, double low, double high) noexcept nogil:
    if a.kind == c"f":
        return within[float](<const float *> a.data, a.size, <float> max(low, -FLT_MAX), <float> min(high, FLT_MAX))
    if a.kind == c"d":
        return within[double](<const double *> a.data, a.size, max(low, -DBL_MAX), min(high, DBL_MAX))
    if low > 255 or high < 0:
        return a.size == 0
    return within[uint8_t](<const uint8_t *> a.data, a.size, <uint8_t> ceil(max(low, 0)), <uint8_t> min(high, 255))


cdef void fill_rows(const plain_array *a, source *rows, fnn_size *n) noexcept:
    rows.kind = FNN_FLOAT32 if a.kind == c"f" else FNN_FLOAT64 if a.kind == c"d" else FNN_UINT8
    rows.data, rows.row_bytes, n[0] = a.data, a.strides[0], a.shape[0]
    if a.ndim == 2:
        rows.cols, rows.col_bytes = a.shape[1], a.strides[1]
    else:
        rows.cols, rows.col_bytes = 1, a.itemsize


cdef bint plain_matrix(array, source *rows, fnn_size *n) noexcept:
    """Point to the rows of a matrix of any strides, and say how many they are. Return False if it is none."""
    cdef plain_array a
    if not is_plain(array, &a) or a.ndim != 2:
        return False
    fill_rows(&a, rows, n)
    return True


cdef bint plain_rows(array, bint may_be_vector, double low, double high, source *rows, fnn_size *n) noexcept:
    """Point to the rows of a matrix and say how many they are. Return False if it is none that can be read as it is.

    All its numbers are finite, and from low to high. With `may_be_vector` it may be a vector, of rows of one number.
    """
    cdef plain_array a
    if not is_plain(array, &a) or not a.contiguous or (a.ndim != 2 and not (may_be_vector and a.ndim == 1)):
        return False
    if a.size <= MOST_WITH_GIL:
        if not all_within(&a, low, high):
            return False
    else:
        with nogil:
            inside = all_within(&a, low, high)
        if not inside:
            return False
    fill_rows(&a, rows, n)
    return True


cdef const int64_t *plain_integers(array, fnn_size n, int64_t *room) noexcept:
    """Point to n integers of int64, or to a copy of int32 in `room`, if there is any. Return NULL for other arrays."""
    cdef cnp.ndarray integers
    cdef fnn_size i
    if type(array) is not ndarray:
        return NULL
    integers = array
    if (cnp.PyArray_NDIM(integers) != 1 or cnp.PyArray_DIMS(integers)[0] != n
            or not cnp.PyArray_ISCARRAY_RO(integers) or not cnp.PyTypeNum_ISSIGNED(cnp.PyArray_TYPE(integers))):
        return NULL
    if cnp.PyArray_ITEMSIZE(integers) == sizeof(int64_t):
        return <const int64_t *> cnp.PyArray_DATA(integers)
    if cnp.PyArray_ITEMSIZE(integers) != sizeof(int32_t) or room is NULL:
        return NULL
    for i in range(n):
        room[i] = (<const int32_t *> cnp.PyArray_DATA(integers))[i]
    return room


cdef bint all_below(const int64_t *x, fnn_size n, int64_t bound) noexcept:
    """Whether all integers are from 0 to below a bound."""
    cdef bint bad = False
    cdef fnn_size i
    for i in range(n):
        bad |= <uint64_t> x[i] >= <uint64_t> bound
    return not bad


cdef const double *plain_weights(array, fnn_size n) noexcept:
    """Point to the weights of n rows: float64, finite, none below 0, one above. Return NULL if they are others."""
    cdef plain_array a
    cdef double total = 0.0
    cdef fnn_size i
    if not is_plain(array, &a) or a.kind != c"d" or a.ndim != 1 or a.size != n or not a.contiguous:
        return NULL
    if not within[double](<const double *> a.data, n, 0.0, DBL_MAX):
        return NULL
    for i in range(n):
        total += (<const double *> a.data)[i]
    return <const double *> a.data if 0.0 < total <= DBL_MAX else NULL

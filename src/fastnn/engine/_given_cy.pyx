"""The arrays that a caller gives to a single step: rows as structs, read in place; labels and weights as arrays.

A plain array is an ndarray, of no subclass, aligned and in the machine's byte order. Rows are float32, float64 or uint8
and read in place, whatever their strides. Labels are any integers, weights float32 or float64; those that are not
contiguous int64 or float64 are copied. What is wrong with another array, if anything, is for `_validation` to say.

Callers take the `guard_of` an array first: the functions here may release the GIL.
"""

from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport fabs, floor
from libc.stdint cimport int64_t, uint8_t, uint64_t

cimport numpy as cnp

from fastnn._fastnn cimport FNN_FLOAT32, FNN_FLOAT64, FNN_UINT8, fnn_size
from fastnn._arrays cimport can_be_read
from fastnn._native cimport is_plain, plain_array
from fastnn.kernels._gather_cy cimport source

from fastnn._losses import SURE_SUM_TOLERANCE as _SURE_SUM_TOLERANCE
from fastnn._validation import refuse

cnp.import_array()

cdef enum:
    MOST_WITH_GIL = 1 << 15     # entries that are checked with the GIL held; more are checked without it

cdef enum kind_of_rule:
    BETWEEN, WHOLE, EITHER, PROBABILITIES

cdef tuple KINDS = ("between", "whole", "either", "probabilities")     # in the same order
cdef double sum_tolerance = _SURE_SUM_TOLERANCE

cdef struct column_rule:        # a ColumnRule
    kind_of_rule kind
    double low
    double high
    fnn_size first
    fnn_size last

ctypedef fused number:
    float
    double
    uint8_t


# ---- numbers ----

cdef bint within(const number *x, fnn_size n, number low, number high) noexcept nogil:
    """Whether all numbers are from low to high; NaN is not."""
    cdef bint bad = False
    cdef fnn_size i
    for i in range(n):
        bad |= (not x[i] >= low) | (not x[i] <= high)
    return not bad


cdef bint numbers_hold(const number *data, const source *rows, fnn_size n, const column_rule *rule) noexcept nogil:
    """Whether n rows are as a rule says; `data` is `rows.data` with its type."""
    cdef const char *row = <const char *> data + rule.first * rows.col_bytes
    cdef double x, total
    cdef fnn_size _i, j
    for _i in range(n):
        total = 0.0
        for j in range(rule.last - rule.first):
            x = (<const number *> (row + j * rows.col_bytes))[0]
            total += x
            if not (x >= rule.low and x <= rule.high):
                return False
            if (rule.kind == WHOLE and x != floor(x)) or (rule.kind == EITHER and x != rule.low and x != rule.high):
                return False
        if rule.kind == PROBABILITIES and not fabs(total - 1.0) <= sum_tolerance:
            return False
        row += rows.row_bytes
    return True


cdef bint rule_holds(const source *rows, fnn_size n, const column_rule *rule) noexcept nogil:
    """Whether n rows are as a rule says."""
    if rows.kind == FNN_FLOAT32:
        return numbers_hold[float](<const float *> rows.data, rows, n, rule)
    if rows.kind == FNN_FLOAT64:
        return numbers_hold[double](<const double *> rows.data, rows, n, rule)
    return numbers_hold[uint8_t](<const uint8_t *> rows.data, rows, n, rule)


cdef bint numbers_are_finite(const source *rows, fnn_size n) noexcept nogil:
    cdef bint contiguous = rows.row_bytes == rows.cols * rows.col_bytes
    cdef column_rule finite
    if rows.kind == FNN_FLOAT32 and rows.col_bytes == sizeof(float) and contiguous:
        return within[float](<const float *> rows.data, n * rows.cols, -FLT_MAX, FLT_MAX)
    if rows.kind == FNN_FLOAT64 and rows.col_bytes == sizeof(double) and contiguous:
        return within[double](<const double *> rows.data, n * rows.cols, -DBL_MAX, DBL_MAX)
    finite.kind, finite.low, finite.high, finite.first, finite.last = BETWEEN, -DBL_MAX, DBL_MAX, 0, rows.cols
    return rows.kind == FNN_UINT8 or rule_holds(rows, n, &finite)


cdef bint all_finite(const source *rows, fnn_size n) noexcept:
    """Whether all numbers of n rows are finite."""
    cdef bint finite
    if n * rows.cols <= MOST_WITH_GIL:
        return numbers_are_finite(rows, n)
    with nogil:
        finite = numbers_are_finite(rows, n)
    return finite


cdef bint rules_hold(const source *rows, fnn_size n, tuple rules) except -1:
    """Whether n rows of finite numbers are as all rules, each a ColumnRule, say."""
    cdef column_rule rule
    cdef bint good
    for kind, low, high, first, last in rules:
        rule.kind, rule.low, rule.high = <kind_of_rule> <int> KINDS.index(kind), low, high
        rule.first, rule.last = first, last
        if not 0 <= rule.first <= rule.last <= rows.cols:
            refuse(ValueError, "rules", f"have columns from 0 to {rows.cols}", f"{first} to {last}")
        if n * rows.cols <= MOST_WITH_GIL:
            good = rule_holds(rows, n, &rule)
        else:
            with nogil:
                good = rule_holds(rows, n, &rule)
        if not good:
            return False
    return True


# ---- arrays ----

cdef bint plain_rows(array, bint may_be_vector, source *rows, fnn_size *n) noexcept:
    """Point to the rows of a matrix of any strides, or with `may_be_vector` of a vector, rows of one number each.

    Say how many they are. Return False for another array.
    """
    cdef plain_array a
    if not is_plain(array, &a) or (a.ndim != 2 and not (may_be_vector and a.ndim == 1)):
        return False
    rows.kind = FNN_FLOAT32 if a.kind == c"f" else FNN_FLOAT64 if a.kind == c"d" else FNN_UINT8
    rows.data, rows.row_bytes, n[0] = a.data, a.strides[0], a.shape[0]
    if a.ndim == 2:
        rows.cols, rows.col_bytes = a.shape[1], a.strides[1]
    else:
        rows.cols, rows.col_bytes = 1, a.itemsize
    return True


cdef cnp.ndarray contiguous(cnp.ndarray array, int typenum):
    """Return the array itself if it is contiguous and of this dtype, else a copy that is."""
    if cnp.PyArray_TYPE(array) == typenum and cnp.PyArray_IS_C_CONTIGUOUS(array):
        return array
    return cnp.PyArray_FROMANY(array, typenum, 0, 0, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)


cdef cnp.ndarray plain_integers(array, fnn_size n):
    """Return n integers as contiguous int64, a copy only if they are not; None for another array.

    A uint64 too large for int64 becomes negative, and `all_below` refuses it.
    """
    if not (cnp.PyArray_CheckExact(array) and cnp.PyTypeNum_ISINTEGER(cnp.PyArray_TYPE(array))
            and cnp.PyArray_NDIM(array) == 1 and cnp.PyArray_DIMS(array)[0] == n and can_be_read(array)):
        return None
    return contiguous(array, cnp.NPY_INT64)


cdef bint all_below(const int64_t *x, fnn_size n, int64_t bound) noexcept:
    """Whether all integers are from 0 to below a bound."""
    cdef bint bad = False
    cdef fnn_size i
    for i in range(n):
        bad |= <uint64_t> x[i] >= <uint64_t> bound
    return not bad


cdef cnp.ndarray plain_weights(array, fnn_size n, bint negative):
    """Return the weights of n rows as contiguous float64, a copy only if they are not; None for another array.

    All are finite, and so is the sum of their absolute values, whatever the order of adding. One is not 0. None is
    below 0, unless they may be `negative`.
    """
    cdef plain_array a
    cdef cnp.ndarray found
    cdef const double *weights
    cdef double total = 0.0
    cdef fnn_size i
    if not is_plain(array, &a) or a.kind == c"B" or a.ndim != 1 or a.size != n:
        return None
    found = contiguous(array, cnp.NPY_FLOAT64)
    weights = <const double *> cnp.PyArray_DATA(found)
    if not within[double](weights, n, -DBL_MAX if negative else 0.0, DBL_MAX):
        return None
    for i in range(n):
        total += fabs(weights[i])
    return found if 0.0 < total <= DBL_MAX / 2 else None

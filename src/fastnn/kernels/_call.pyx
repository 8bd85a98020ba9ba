"""How a public kernel is called: the module that computes, the number of threads, whether its arrays need no checks.

Nearly every call gives plain arrays of the right shapes. For these a `Call` replaces the checks of `_validation`, which
take longer than the kernel of a small array; for all others they decide, with their messages.
"""

import re

cimport numpy as cnp
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t

from fastnn._arrays cimport apart, fill_plain, plain_array
from fastnn._context cimport current_settings
from fastnn._fastnn cimport fnn_size

from fastnn._validation import refuse
from fastnn.kernels import _dispatch

cnp.import_array()

cdef enum:
    MAX_ARGUMENTS = 12
    MAX_AXES = 3
    MAX_FACTORS = 3
    MAX_SIZES = 6
    UNKNOWN = -1            # a size that no array before has told
    ANY = -1                # axes of an array whose shape is that of the others


# Elements of an array that is made here; `_validation` refuses what is too large.
cdef fnn_size LARGEST = <fnn_size> 1 << 40


cdef struct axis:
    fnn_size number         # its length is this number times the factors
    bint may_be_1
    int n_factors
    int factors[MAX_FACTORS]    # sizes


cdef struct argument:
    char kind               # "r": of the float type that all have; "q": int64; "d": float64; "n": an integer
    bint may_be_none
    bint positive
    bint are_weights
    bint written
    bint made               # if it is None
    int n_axes
    axis axes[MAX_AXES]
    int size                # of an integer: which size it is; of int64: that which all entries are below
    unsigned int may_be     # bits of the arguments that may be the same array


cdef struct found:
    # What the arguments of a call are.
    plain_array arrays[MAX_ARGUMENTS]
    fnn_size sizes[MAX_SIZES]
    const plain_array *first        # whose type all have
    const plain_array *any_shape    # whose shape all others of any shape have


_ARGUMENT = re.compile(r"(\w+)([?&!+]*)(?:#(\w+)|\[([^]]*)\](?:=([\w|]+)|<(\w+)|(>=?0|:float64))?)")


cdef class Call:
    """The arguments of a public kernel: what they are in the usual call.

    Called with the arguments it returns the family's module for the current backend, the number of threads, whether the
    arguments need no further checks, and the results: the arrays that the kernel is to write. They are a tuple if there
    are several and None if there are none, or if `_validation` has to check the arguments. The NumPy backend's are
    always checked there.

    Parameters
    ----------
    family : str
        The family of kernels.
    pattern : str
        The arguments in the order of a call, with the sizes of their axes: ``"x[B I] w[I O] b?[O] out![B O]"``. A size
        is a letter, or a product such as ``2*I*K`` of letters that were before; ``[*]`` is any shape, the same for all.
        All arrays are plain, C-contiguous and aligned, of one of the two float types. Those that are written share no
        memory with others. A name is followed by ``?`` if it may be None, ``&`` if it is written, ``!`` if it is a
        result, which is made if it is None, or ``+`` if it is a result that is always made, which is no argument.
        Brackets are followed by ``=x|y`` if the argument may be the array x or y itself; ``<K`` if it has integers from
        0 to K - 1; ``>0`` if all numbers are above 0; ``>=0`` if it has weights in float64, not negative and with a
        finite sum; ``:float64`` if it has that type. ``[K|1]`` is an axis of K or of 1, ``n#S`` an integer of at least
        1, the size S.
    **least : int
        The least value of sizes; 0 by default.

    Attributes
    ----------
    family : str
    names : tuple of str
        The names of the arguments.
    """

    cdef readonly str family
    cdef readonly tuple names
    cdef int _n             # arguments, and results that are no arguments
    cdef int _n_given
    cdef int _n_results
    cdef int _n_sizes
    cdef argument _arguments[MAX_ARGUMENTS]
    cdef fnn_size _least[MAX_SIZES]
    cdef object _native     # the family's compiled module, once it is imported

    def __init__(self, str family, str pattern, **least):
        cdef list sizes = [], names = []
        self.family, self._n, self._n_results = family, 0, 0
        for name, marks, integer, axes, others, high, numbers in _ARGUMENT.findall(pattern):
            self._add(names, sizes, marks, integer, axes, others, high, numbers)
            names.append(name)
        self._n_sizes = len(sizes)
        for i, size in enumerate(sizes):
            self._least[i] = least.get(size, 0)
        self.names = tuple(names[:self._n_given])

    @classmethod
    def __class_getitem__(cls, kind):
        return cls

    cdef int _add(self, list names, list sizes, str marks, str integer, str axes, str others, str high,
                  str numbers) except -1:
        cdef argument *a = &self._arguments[self._n]
        a.kind = c"n" if integer else c"q" if high else c"d" if numbers in (">=0", ":float64") else c"r"
        a.positive, a.are_weights = numbers == ">0", numbers == ">=0"
        a.may_be_none, a.made = "?" in marks, "!" in marks or "+" in marks
        a.written, a.n_axes, a.may_be = a.made or "&" in marks, 0, 0
        a.size = index_of(sizes, integer or high) if integer or high else 0
        if axes == "*":
            a.n_axes = ANY
        else:
            for text in (axes or "").split():
                fill_axis(&a.axes[a.n_axes], text, sizes)
                a.n_axes += 1
        for other in filter(None, others.split("|")):
            a.may_be |= 1u << <int> names.index(other)
        self._n += 1
        self._n_results += a.made
        if "+" not in marks:
            self._n_given = self._n
        return 0

    def __call__(self, *given):
        cdef bint native
        cdef int threads
        cdef found f
        current_settings(&native, &threads)
        if not native:
            return _dispatch.module_of(self.family, "reference"), threads, False, None
        if self._native is None:
            self._native = _dispatch.module_of(self.family, "native")
        if not self._fits(given, &f):
            return self._native, threads, False, None
        return self._native, threads, True, self._results(given, &f) if self._n_results > 0 else None

    cdef bint _fits(self, tuple given, found *f) noexcept:
        """Whether no argument needs further checks; fill the structs of the arrays and the sizes."""
        cdef int i
        cdef argument *a
        if len(given) != self._n_given:
            return False
        f.first = f.any_shape = NULL
        for i in range(self._n_sizes):
            f.sizes[i] = UNKNOWN
        for i in range(self._n_given):
            a = &self._arguments[i]
            f.arrays[i].data, f.arrays[i].size, f.arrays[i].itemsize = NULL, 0, 0
            if given[i] is None:
                if not (a.may_be_none or a.made):
                    return False
            elif a.kind == c"n":
                if not size_of(given[i], &f.sizes[a.size]):
                    return False
            elif not (read_argument(given[i], a, &f.arrays[i]) and has_shape(a, &f.arrays[i], f)):
                return False
        for i in range(self._n_sizes):
            if f.sizes[i] < self._least[i]:
                return False
        for i in range(self._n_given):
            a = &self._arguments[i]
            if a.kind == c"q" and not are_below(&f.arrays[i], f.sizes[a.size]):
                return False
            if a.are_weights and not are_weights(&f.arrays[i]):
                return False
            if a.positive and not are_positive(&f.arrays[i]):
                return False
            if a.written and not self._is_apart(i, f):
                return False
            if a.made and given[i] is None and not can_be_made(a, f):
                return False
        return True

    cdef bint _is_apart(self, int i, const found *f) noexcept:
        """Whether an argument shares no memory with others, or is the same array as one that it may be."""
        cdef int j
        for j in range(self._n_given):
            if i != j and not apart(&f.arrays[i], &f.arrays[j]) and not (
                    self._arguments[i].may_be >> j & 1 and f.arrays[i].data == f.arrays[j].data):
                return False
        return True

    cdef object _results(self, tuple given, const found *f):
        cdef list results = []
        cdef int i
        for i in range(self._n):
            if not self._arguments[i].made:
                continue
            result = given[i] if i < self._n_given and given[i] is not None else new_array(&self._arguments[i], f)
            if self._n_results == 1:
                return result
            results.append(result)
        return tuple(results)


cdef int index_of(list sizes, str size) except -1:
    """Return the place of a size; add it if it is new."""
    if size not in sizes:
        if len(sizes) == MAX_SIZES:
            refuse(ValueError, "pattern", f"have at most {MAX_SIZES} sizes", size)
        sizes.append(size)
    return sizes.index(size)


cdef int fill_axis(axis *a, str text, list sizes) except -1:
    a.number, a.n_factors = 1, 0
    a.may_be_1 = "|" in text
    text = text.partition("|")[0]
    for factor in text.split("*"):
        if factor.isdecimal():
            a.number = int(factor)
        else:
            a.factors[a.n_factors] = index_of(sizes, factor)
            a.n_factors += 1
    return 0


def same_objects(dict a, dict b):
    """Return whether two dictionaries have the same keys, and as their values the same objects."""
    if len(a) != len(b):
        return False
    for key, value in a.items():
        if key not in b or b[key] is not value:
            return False
    return True


# ---- the checks ----

cdef bint size_of(value, fnn_size *size) noexcept:
    """Whether this is an integer of at least 1 that may be a size."""
    if type(value) is not int or not 1 <= value <= LARGEST:
        return False
    size[0] = value
    return True


cdef bint read_argument(value, const argument *a, plain_array *array) noexcept:
    """Whether this is a plain, contiguous array of the argument's kind; if so, fill its struct."""
    if not (cnp.PyArray_CheckExact(value) and fill_plain(<cnp.ndarray> value, array)):
        return False
    if not array.contiguous or (a.written and not array.writable):
        return False
    if a.kind == c"r":
        return array.kind == c"f" or array.kind == c"d"
    return array.kind == a.kind


cdef fnn_size length_of(const axis *a, const found *f) noexcept:
    """Return the length of an axis, UNKNOWN if a factor is."""
    cdef fnn_size length = a.number
    cdef int i
    for i in range(a.n_factors):
        if f.sizes[a.factors[i]] == UNKNOWN or f.sizes[a.factors[i]] > LARGEST or length > LARGEST:
            return UNKNOWN
        length *= f.sizes[a.factors[i]]
    return length


cdef bint has_shape(const argument *a, const plain_array *array, found *f) noexcept:
    """Whether an array has the type and shape that those before it ask for; store what it tells those after it."""
    cdef const axis *each
    cdef int i
    if a.kind == c"r":
        if f.first is NULL:
            f.first = array
        if array.kind != f.first.kind:
            return False
    if a.n_axes == ANY:
        if f.any_shape is NULL:
            f.any_shape = array
        if array.ndim != f.any_shape.ndim:
            return False
        for i in range(array.ndim):
            if array.shape[i] != f.any_shape.shape[i]:
                return False
        return True
    if array.ndim != a.n_axes:
        return False
    for i in range(a.n_axes):
        each = &a.axes[i]
        if each.n_factors == 1 and each.number == 1 and f.sizes[each.factors[0]] == UNKNOWN:
            f.sizes[each.factors[0]] = array.shape[i]
        elif array.shape[i] != length_of(each, f) and not (each.may_be_1 and array.shape[i] == 1):
            return False
    return True


cdef bint are_below(const plain_array *array, fnn_size high) noexcept:
    """Whether all integers are from 0 to high - 1; as unsigned, those below 0 are large."""
    cdef const int64_t *numbers = <const int64_t *> array.data
    cdef bint all_below = True
    cdef fnn_size i
    for i in range(array.size):
        all_below &= <uint64_t> numbers[i] < <uint64_t> high
    return all_below


cdef bint are_weights(const plain_array *array) noexcept:
    """Whether no number is below 0 and the sum is finite: so is each of them then."""
    cdef const double *numbers = <const double *> array.data
    cdef bint none_below = True
    cdef double total = 0.0
    cdef fnn_size i
    for i in range(array.size):
        none_below &= numbers[i] >= 0.0
        total += numbers[i]
    return none_below and isfinite(total)


cdef bint are_positive(const plain_array *array) noexcept:
    """Whether all floats are above 0."""
    cdef const float *narrow = <const float *> array.data
    cdef const double *wide = <const double *> array.data
    cdef bint all_above = True
    cdef fnn_size i
    for i in range(array.size):
        all_above &= narrow[i] > 0.0 if array.kind == c"f" else wide[i] > 0.0
    return all_above


cdef bint can_be_made(const argument *a, const found *f) noexcept:
    """Whether an array of the argument's shape is not too large."""
    cdef double size = 1.0
    cdef int i
    for i in range(max(0, a.n_axes)):
        size *= length_of(&a.axes[i], f)
    return size < LARGEST


cdef object new_array(const argument *a, const found *f):
    cdef cnp.npy_intp shape[MAX_AXES]
    cdef int i, number = cnp.NPY_FLOAT32 if f.first.kind == c"f" else cnp.NPY_FLOAT64
    if a.n_axes == ANY:
        return cnp.PyArray_SimpleNew(f.any_shape.ndim, <cnp.npy_intp *> f.any_shape.shape, number)
    for i in range(a.n_axes):
        shape[i] = length_of(&a.axes[i], f)
    return cnp.PyArray_SimpleNew(a.n_axes, shape, number)

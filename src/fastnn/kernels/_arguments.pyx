"""What every public kernel asks first: which module computes, on how many threads, whether its arrays need no checks.

Nearly every call gives plain arrays of the right shapes. For these `Arguments` replace the checks of `_validation`,
which take longer than the kernel of a small array; for all others they decide, with their messages.
"""

import re

cimport numpy as cnp
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t

from fastnn._arrays cimport apart, fill_plain, guard_of, plain_array
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
    MAX_DIGITS = 9          # of a number in a product
    MOST_DIMENSIONS = 64    # of an ndarray
    MOST_HELD = 1 << 15     # numbers that are looked at while the GIL is held
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
    bint is_looked_at       # its numbers have a condition
    bint written
    bint made               # if it is None
    bint is_given           # an argument, and not only a result
    int n_axes
    axis axes[MAX_AXES]
    int size                # of an integer: which size it is; of int64: that which all entries are below
    unsigned int may_be     # bits of the arguments that may be the same array


cdef struct found:
    # What the arguments of a call are. The arrays' shapes and strides are valid while the GIL is held.
    plain_array arrays[MAX_ARGUMENTS]
    fnn_size sizes[MAX_SIZES]
    char kind               # the type of all, 0 before the first
    int any_ndim            # the shape of all arrays of any shape; UNKNOWN before the first
    cnp.npy_intp any_shape[MOST_DIMENSIONS]


# A name with a pattern's marks. Brackets may have spaces within, other parts of an argument have none.
_PARTS = re.compile(r"(?:\[[^]]*\]|[^\s\[])+|\S")
_ARGUMENT = re.compile(r"([a-z]\w*)(?:#([A-Z])|([?&]*|!|\+)\[([^]]*)\](?:=(\w+(?:\|\w+)*)|<([A-Z])|(>=?0|:float64))?)")
_AXIS = re.compile(r"(?:(\d+)\*)?([A-Z](?:\*[A-Z])*)(\|1)?")


cdef class Arguments:
    """What the arguments of a public kernel are in the usual call.

    Called with the arguments it returns the family's module for the current backend, the number of threads, whether the
    arguments need no further checks, and the results: the arrays that the kernel is to write. They are a tuple if there
    are several and None if there are none, or if `_validation` has to check the arguments. It always has to for the
    NumPy backend.

    Parameters
    ----------
    family : str
        The family of kernels.
    pattern : str
        The arguments in the order of a call, with the sizes of their axes; see below.
    **least : int
        The least value of sizes; 0 by default.

    Attributes
    ----------
    family : str
    names : tuple of str
        The names of the arguments.

    Raises
    ------
    ValueError
        If the pattern is malformed or has too many parts, or no argument tells one of its sizes.

    Notes
    -----
    An argument is a name, marks, and the axes in brackets. Arrays are plain, C-contiguous, aligned, and, if the table
    says nothing else, of float32 or float64, the same for all. An array that is written shares no memory with others.

    ============  ==============================================================  =========================
    mark          meaning                                                         example
    ============  ==============================================================  =========================
    ``[B I]``     an array with these sizes, each a capital letter                ``x[B I]``
    ``[2*I*K]``   an axis whose size is a product of letters that came before     ``out![B 2*I*K]``
    ``[I|1]``     an axis of that size, or of 1                                   ``slope[I|1]``
    ``[*]``       an array of any shape, the same for all that have this mark     ``x[*] x2[*]``
    ``#S``        no array, but an integer of at least 1: the size S              ``num_embeddings#S``
    ``?``         may be None                                                     ``b?[O]``
    ``&``         is written, and not returned                                    ``running_mean&?[I]``
    ``!``         a result: is written and returned; made if it is None           ``out![B O]``
    ``+``         a result that is always made, and no argument; after all those  ``mean+[I]``
    ``=x|y``      if it is written: may be the array x or y itself                ``out![*]=x|x2``
    ``<K``        int64, from 0 to K - 1                                          ``target[B]<K``
    ``>0``        all numbers are above 0                                         ``limit[I]>0``
    ``>=0``       weights: float64, not negative, with a finite sum               ``sample_weight?[B]>=0``
    ``:float64``  float64, whatever the others are                                ``share[B]:float64``
    ============  ==============================================================  =========================

    ``&`` and ``!`` differ in what is returned, and so in what None is: nothing, or an array to make.

    The first array that has a letter as an axis tells the size, and so does ``#``. If no array has told a size, as all
    that could are None, the call needs the other checks.
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
        cdef set told = set()
        cdef argument *a
        self.family, self._native, self._n, self._n_given, self._n_results = family, None, 0, 0, 0
        for text in _PARTS.findall(pattern):
            match = _ARGUMENT.fullmatch(text)
            if match is None:
                refuse_pattern("consist of arguments as x[B I] or n#S", text)
            if self._n == MAX_ARGUMENTS:
                refuse_pattern(f"have at most {MAX_ARGUMENTS} arguments", text)
            a = &self._arguments[self._n]
            fill_argument(a, text, match.groups(""), names, sizes, told)
            if not a.is_given:
                self._n_results += 1
            elif self._n_given < self._n:
                refuse_pattern("have results that are no arguments at its end", text)
            else:
                self._n_given += 1
                self._n_results += a.made
            self._n += 1
        for size in sizes:
            if size not in told:
                refuse_pattern("have an argument that tells each size", size)
        self._n_sizes, self.names = len(sizes), tuple(names[:self._n_given])
        for i, size in enumerate(sizes):
            self._least[i] = least_size(size, least.pop(size, 0))
        for size in least:
            refuse(TypeError, size, "be a size of the pattern", pattern)

    # For annotations: the stub's class is generic, by the results, which a compiled class is not by itself.
    @classmethod
    def __class_getitem__(cls, kind):
        return cls

    def __call__(self, *given):
        cdef bint native
        cdef int threads
        cdef found f
        current_settings(&native, &threads)
        if not native:
            return _dispatch.module_of(self.family, "reference"), threads, False, None
        if self._native is None:
            self._native = _dispatch.module_of(self.family, "native")
        if not self._pass(given, &f):
            return self._native, threads, False, None
        return self._native, threads, True, self._results(given, &f) if self._n_results > 0 else None

    cdef bint _pass(self, tuple given, found *f) noexcept:
        """Whether the arguments need no further checks; fill the structs of the arrays and the sizes."""
        cdef int i
        cdef argument *a
        if len(given) != self._n_given:
            return False
        f.kind, f.any_ndim = 0, UNKNOWN
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
            if f.sizes[i] < self._least[i]:     # UNKNOWN is, too
                return False
        for i in range(self._n_given):
            a = &self._arguments[i]
            if a.is_looked_at and not has_numbers(given[i], a, &f.arrays[i], f.sizes[a.size]):
                return False
            if a.written and not self._is_apart(i, f):
                return False
            if a.made and given[i] is None and not can_be_made(a, f):
                return False
        for i in range(self._n_given, self._n):
            if not can_be_made(&self._arguments[i], f):
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


# ---- patterns ----

cdef int refuse_pattern(str must, str part) except -1:
    refuse(ValueError, "pattern", must, part)


cdef fnn_size least_size(str size, value) except -1:
    if type(value) is not int or not 0 <= value <= LARGEST:
        refuse(ValueError, size, f"be an integer from 0 to {LARGEST}", value)
    return value


cdef int index_of(list sizes, str size) except -1:
    """Return the place of a size; add it if it is new."""
    if size not in sizes:
        if len(sizes) == MAX_SIZES:
            refuse_pattern(f"have at most {MAX_SIZES} sizes", size)
        sizes.append(size)
    return sizes.index(size)


cdef int fill_argument(argument *a, str text, tuple parts, list names, list sizes, set told) except -1:
    """Fill an argument from the groups of `_ARGUMENT`; add its name, and the sizes that it tells."""
    cdef str name, integer, marks, axes, others, high, numbers
    name, integer, marks, axes, others, high, numbers = parts
    a.kind = c"n" if integer else c"q" if high else c"d" if numbers in (">=0", ":float64") else c"r"
    a.positive, a.are_weights = numbers == ">0", numbers == ">=0"
    a.is_looked_at = a.kind == c"q" or a.positive or a.are_weights
    a.may_be_none, a.made, a.is_given = "?" in marks, marks in ("!", "+") and not integer, marks != "+"
    a.written, a.n_axes, a.may_be = a.made or "&" in marks, 0, 0
    a.size = index_of(sizes, integer or high) if integer or high else 0
    if integer in told:
        refuse_pattern("have integers that tell sizes which no argument before tells", text)
    told.update(integer)
    if a.written and (high or numbers):
        refuse_pattern("have no condition for what is written", text)
    if others and not a.written:
        refuse_pattern("have = only for what is written", text)
    if name in names or len(set(marks)) < len(marks):
        refuse_pattern("have each name, and each mark of an argument, once", text)
    if axes == "*":
        a.n_axes = ANY
    else:
        for axis_text in axes.split():
            if a.n_axes == MAX_AXES:
                refuse_pattern(f"have at most {MAX_AXES} axes of an array", text)
            fill_axis(&a.axes[a.n_axes], axis_text, sizes, told, a.is_given)
            a.n_axes += 1
    for other in filter(None, others.split("|")):
        if other not in names:
            refuse_pattern("have = before names of arguments that came before", text)
        a.may_be |= 1u << <int> names.index(other)
    names.append(name)
    return 0


cdef int fill_axis(axis *a, str text, list sizes, set told, bint is_given) except -1:
    match = _AXIS.fullmatch(text)
    if match is None:
        refuse_pattern("have axes as B, 2*I*K or K|1", text)
    number, factors, or_1 = match.groups()
    factors = factors.split("*")
    if len(factors) > MAX_FACTORS:
        refuse_pattern(f"have at most {MAX_FACTORS} factors", text)
    if number and (len(number) > MAX_DIGITS or int(number) == 0):
        refuse_pattern(f"have factors above 0, of at most {MAX_DIGITS} digits", text)
    a.number, a.may_be_1, a.n_factors = int(number or 1), or_1 is not None, 0
    if len(factors) == 1 and a.number == 1:
        if is_given:
            told.update(factors)
    elif not told.issuperset(factors):
        refuse_pattern("have in products sizes that came before", text)
    for factor in factors:
        a.factors[a.n_factors] = index_of(sizes, factor)
        a.n_factors += 1
    return 0


# For losses.py. It is here as it would take longer in Python, in every call of a loss.
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
    """Return the length of an axis, UNKNOWN if a factor is, or if it is above LARGEST."""
    cdef fnn_size length = a.number
    cdef int i
    for i in range(a.n_factors):
        # The product of two numbers up to LARGEST is rounded in double, but not to LARGEST if it is above.
        if not 0 <= f.sizes[a.factors[i]] <= LARGEST or <double> length * f.sizes[a.factors[i]] > LARGEST:
            return UNKNOWN
        length *= f.sizes[a.factors[i]]
    return length


cdef bint has_shape(const argument *a, const plain_array *array, found *f) noexcept:
    """Whether an array has the type and shape that those before it ask for; store what it tells those after it."""
    cdef const axis *each
    cdef int i
    if a.kind == c"r":
        if f.kind == 0:
            f.kind = array.kind
        if array.kind != f.kind:
            return False
    if a.n_axes == ANY:
        if f.any_ndim == UNKNOWN:
            f.any_ndim = array.ndim
            for i in range(array.ndim):
                f.any_shape[i] = array.shape[i]
            return True
        if array.ndim != f.any_ndim:
            return False
        for i in range(array.ndim):
            if array.shape[i] != f.any_shape[i]:
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


cdef bint has_numbers(value, const argument *a, const plain_array *array, fnn_size high) noexcept:
    """Whether the numbers of an array are those that the argument asks for."""
    if array.size <= MOST_HELD:
        return are_right(a, array, high)
    _guard = guard_of(value)
    with nogil:
        right = are_right(a, array, high)
    return right


cdef bint are_right(const argument *a, const plain_array *array, fnn_size high) noexcept nogil:
    if a.kind == c"q":
        return are_below(array, high)
    return are_weights(array) if a.are_weights else are_positive(array)


cdef bint are_below(const plain_array *array, fnn_size high) noexcept nogil:
    """Whether all integers are from 0 to high - 1; as unsigned, those below 0 are large."""
    cdef const int64_t *numbers = <const int64_t *> array.data
    cdef bint all_below = True
    cdef fnn_size i
    for i in range(array.size):
        all_below &= <uint64_t> numbers[i] < <uint64_t> high
    return all_below


cdef bint are_weights(const plain_array *array) noexcept nogil:
    """Whether no number is below 0 and the sum is finite: so is each of them then."""
    cdef const double *numbers = <const double *> array.data
    cdef bint none_below = True
    cdef double total = 0.0
    cdef fnn_size i
    for i in range(array.size):
        none_below &= numbers[i] >= 0.0
        total += numbers[i]
    return none_below and isfinite(total)


cdef bint are_positive(const plain_array *array) noexcept nogil:
    """Whether all floats are above 0."""
    cdef const float *narrow = <const float *> array.data
    cdef const double *wide = <const double *> array.data
    cdef bint all_above = True
    cdef fnn_size i
    for i in range(array.size):
        all_above &= narrow[i] > 0.0 if array.kind == c"f" else wide[i] > 0.0
    return all_above


cdef bint can_be_made(const argument *a, const found *f) noexcept:
    """Whether the type and shape of a result are known, and it is not too large."""
    cdef double size = 1.0
    cdef fnn_size length
    cdef int i
    if f.kind == 0 or (a.n_axes == ANY and f.any_ndim == UNKNOWN):
        return False
    for i in range(a.n_axes):
        length = length_of(&a.axes[i], f)
        if length == UNKNOWN:
            return False
        size *= max(1, length)      # NumPy refuses large lengths beside 0, too
    return size <= LARGEST


cdef object new_array(const argument *a, const found *f):
    cdef cnp.npy_intp shape[MAX_AXES]
    cdef int i, number = cnp.NPY_FLOAT32 if f.kind == c"f" else cnp.NPY_FLOAT64
    if a.n_axes == ANY:
        return cnp.PyArray_SimpleNew(f.any_ndim, <cnp.npy_intp *> f.any_shape, number)
    for i in range(a.n_axes):
        shape[i] = length_of(&a.axes[i], f)
    return cnp.PyArray_SimpleNew(a.n_axes, shape, number)

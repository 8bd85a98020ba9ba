"""The kernel table: chooses the level of csrc's kernels and passes arrays' memory to them.

This is the only extension that links csrc. The others cimport `table` from here; if each linked csrc, each would have
its own table and thread pool. The level is chosen once, when this module is imported: the best one that the machine
supports, or the one that ``FASTNN_ISA`` names.
"""

import os

import numpy as np

cimport numpy as cnp

from fastnn._fastnn cimport (FNN_INPUT, FNN_MAX_PARAMETERS, FNN_N_ACTIVATIONS, FNN_N_LOSSES, FNN_N_UPDATES, fnn_kernels,
                             fnn_table)

from fastnn._validation import kind_of, refuse, refuse_memory, shown


cnp.import_array()


cdef extern from "fastnn.h" nogil:
    ctypedef struct fnn_level:
        const char *name
        int supported
    int fnn_levels(const fnn_level **levels)
    int fnn_choose(const char *name, fnn_table *table)
    const char *fnn_compiler()
    const char *const fnn_activation_names[FNN_N_ACTIVATIONS]
    const int fnn_activation_derivative_from[FNN_N_ACTIVATIONS]
    const char *const fnn_update_names[FNN_N_UPDATES]
    const int fnn_update_slots[FNN_N_UPDATES]
    const char *const fnn_loss_names[FNN_N_LOSSES]


cdef dict _activations = {(<bytes>fnn_activation_names[i]).decode(): i for i in range(FNN_N_ACTIVATIONS)}
cdef dict _updates = {(<bytes>fnn_update_names[i]).decode(): i for i in range(FNN_N_UPDATES)}
cdef dict _losses = {(<bytes>fnn_loss_names[i]).decode(): i for i in range(FNN_N_LOSSES)}

# What the derivative is computed from.
ACTIVATIONS = {name: "input" if fnn_activation_derivative_from[i] == FNN_INPUT else "output"
               for name, i in _activations.items()}
UPDATES = {name: fnn_update_slots[i] for name, i in _updates.items()}
LOSSES = tuple(_losses)


cdef const fnn_kernels *kernels_for(Py_ssize_t itemsize) noexcept nogil:
    return table.f32 if itemsize == sizeof(float) else table.f64


cdef int reserve_scratch() except -1:
    """Allocate this thread's scratch memory. Kernels use it without a check."""
    if table.scratch() is NULL:
        refuse_memory("a thread's scratch block")
    return 0


# ---- arrays ----

# An array's memory is read from its struct. The buffer protocol took 0.15 us for each array of a call, about as long as
# a small kernel, and typed memoryviews more (docs/decisions, 9 and 28). The caller holds a reference to the array, and
# an array's memory does not move.

cdef object ndarray = np.ndarray

cdef enum:
    MAX_ARRAYS = 8


cdef bint fill_plain(cnp.ndarray array, plain_array *a) noexcept:
    """Fill the struct of an array. Return whether kernels can read such elements."""
    cdef int flags = cnp.PyArray_FLAGS(array), number = cnp.PyArray_TYPE(array)
    a.kind = (c"f" if number == cnp.NPY_FLOAT32 else c"d" if number == cnp.NPY_FLOAT64 else
              c"B" if number == cnp.NPY_UINT8 else 0)
    a.data = <char *> cnp.PyArray_DATA(array)
    a.ndim, a.shape = cnp.PyArray_NDIM(array), <const Py_ssize_t *> cnp.PyArray_DIMS(array)
    a.strides = <const Py_ssize_t *> cnp.PyArray_STRIDES(array)
    a.size, a.itemsize = cnp.PyArray_SIZE(array), cnp.PyArray_ITEMSIZE(array)
    a.contiguous, a.writable = flags & cnp.NPY_ARRAY_C_CONTIGUOUS, flags & cnp.NPY_ARRAY_WRITEABLE
    return a.kind and flags & cnp.NPY_ARRAY_ALIGNED and cnp.PyArray_ISNOTSWAPPED(array)


cdef bint is_plain(array, plain_array *a) noexcept:
    """Whether this is an ndarray, of no subclass, that kernels can read; if so, fill its struct."""
    return type(array) is ndarray and fill_plain(array, a)


cdef bint apart(const plain_array *a, const plain_array *b) noexcept nogil:
    """Whether two contiguous arrays share no memory."""
    return a.data >= b.data + b.size * b.itemsize or b.data >= a.data + a.size * a.itemsize


cdef memory _memory(array, bint written) except *:
    cdef memory m
    cdef plain_array a
    if not cnp.PyArray_Check(array):
        refuse(TypeError, "array", "be an ndarray", kind_of(array))
    if not fill_plain(array, &a) or a.kind == c"B":
        refuse(TypeError, "array", "have dtype float32 or float64, and be aligned", f"dtype {array.dtype}")
    if not a.contiguous or (written and not a.writable):
        refuse(ValueError, "array", "be C-contiguous, and writable if it is written", "an array that is not")
    m.kernels = table.f32 if a.kind == c"f" else table.f64
    m.data, m.n = a.data, a.size
    m.rows = a.shape[0] if a.ndim == 2 else 1
    m.cols = a.shape[a.ndim - 1] if a.ndim > 0 else 1
    return m


cdef memory memory_of(array) except *:
    """Return the memory of an array that is read."""
    return _memory(array, False)


cdef char *_data(array, const memory *like, bint written) except? NULL:
    cdef memory m = _memory(array, written)
    if m.kernels is not like.kernels:
        refuse(TypeError, "all arrays of a call", "have one dtype", "float32 and float64")
    return m.data


cdef char *reading(array, const memory *like) except? NULL:
    """Return the first element of an array that is read, NULL for None. It must have the type of `like`."""
    return NULL if array is None else _data(array, like, False)


cdef char *writing(array, const memory *like) except? NULL:
    """Return the first element of an array that is written, NULL for None. It must have the type of `like`."""
    return NULL if array is None else _data(array, like, True)


def ready(tuple written, tuple read, bint in_place=False, bint columns=False, tuple by_row=()):
    """Return whether arrays can be passed to an elementwise kernel without further checks (docs/decisions, 9).

    True where all are ndarrays (not of a subclass), C-contiguous and aligned, with the same shape and the same of the
    two float types. Arrays that are written must be writable and share no memory with any other array, or, if
    `in_place`, be the same array as one that is read. With `columns` the first array of each tuple is a matrix and the
    others are vectors as long as its rows; those in `by_row`, which are read, have an entry for each row. Nearly every
    call's arrays are like this. For all others `_validation` decides, with its messages.
    """
    cdef plain_array arrays[MAX_ARRAYS]
    cdef Py_ssize_t n_written = len(written), n_given = n_written + len(read), n = n_given + len(by_row), i, j
    if n > MAX_ARRAYS:
        return False
    for i in range(n):
        array = (written[i] if i < n_written else read[i - n_written] if i < n_given else by_row[i - n_given])
        if not (is_plain(array, &arrays[i]) and arrays[i].contiguous and (i >= n_written or arrays[i].writable)):
            return False
        if i >= n_given:
            if not (arrays[0].ndim == 2 and matches(&arrays[0], &arrays[i], 1, 0)):
                return False
        elif columns and i != 0 and i != n_written:
            if not matches(&arrays[0], &arrays[i], 1, 1):
                return False
        elif not matches(&arrays[0], &arrays[i], 2 if columns else arrays[0].ndim, 0):
            return False
    for i in range(n_written):
        for j in range(n):
            if i != j and not apart(&arrays[i], &arrays[j]) and not (
                    in_place and j >= n_written and arrays[i].data == arrays[j].data):
                return False
    return True


cdef bint matches(const plain_array *first, const plain_array *array, int ndim, int axis) noexcept:
    """Whether an array has the type of the first, a float type, and `ndim` lengths: the first's from `axis` on."""
    cdef int i
    if array.kind == c"B" or array.kind != first.kind or array.ndim != ndim:
        return False
    for i in range(ndim):
        if array.shape[i] != first.shape[axis + i]:
            return False
    return True


# ---- names ----

cdef int activation_index(str name) except -1:
    return _activations[name]


cdef int fill_parameters(tuple values, double *parameters) except -1:
    """Write an activation's parameters as its functions take them: FNN_MAX_PARAMETERS numbers, the missing ones 0."""
    cdef int i
    for i in range(FNN_MAX_PARAMETERS):
        parameters[i] = values[i] if i < len(values) else 0.0
    return 0


cdef int update_index(str kind) except -1:
    return _updates[kind]


cdef int loss_index(str kind) except -1:
    return _losses[kind]


def levels():
    """Return the instruction-set levels that were built, slowest first: whether this machine supports each."""
    cdef const fnn_level *all_levels
    cdef int n = fnn_levels(&all_levels)
    return {(<bytes>all_levels[i].name).decode(): bool(all_levels[i].supported) for i in range(n)}


def isa():
    """Return the level in use."""
    return (<bytes>table.isa).decode()


def set_isa(name):
    """Use another level, or the default for None. For tests: no kernel may run meanwhile.

    Raises
    ------
    ValueError
        If the level is unknown or this machine does not support it.
    """
    cdef bytes encoded = b"" if name is None else name.encode(errors="replace")
    cdef int status = fnn_choose(NULL if name is None else <const char *>encoded, &table)
    if status == 0:
        return
    if name is None:
        refuse(ImportError, "the processor", f"have the instructions of {next(iter(levels()))}", "one without them")
    usable = ", ".join(level for level, supported in levels().items() if supported)
    problem = "which is no level of this build" if status == -1 else "which this processor cannot run"
    refuse(ValueError, "FASTNN_ISA", f"be one of {usable}", f"{shown(name)}, {problem}")


def compiler():
    """Return name and version of the compiler that built csrc."""
    return (<bytes>fnn_compiler()).decode()


set_isa(os.environ.get("FASTNN_ISA") or None)

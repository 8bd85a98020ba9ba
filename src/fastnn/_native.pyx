"""The kernel table: chooses the level of csrc's kernels and passes arrays' memory to them.

This is the only extension that links csrc. The others cimport `table` from here; if each linked csrc, each would have
its own table and thread pool. The level is chosen once, when this module is imported: the best one that the machine
supports, or the one that ``FASTNN_ISA`` names.
"""

import os

cimport numpy as cnp
from libc.stdint cimport int64_t

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

# An array's memory is read from its struct: the buffer protocol takes longer, and typed memoryviews more
# (docs/decisions, 9 and 28). The caller holds a reference to the array, and an array's memory does not move. What does
# not need the table is in _arrays.pxd.

cdef bint is_plain(array, plain_array *a) noexcept:
    """Whether this is an ndarray, of no subclass, of float32, float64 or uint8, and can be read; fill its struct."""
    return cnp.PyArray_CheckExact(array) and fill_plain(<cnp.ndarray> array, a) and a.kind != c"q"


cdef int refuse_kind(array, str dtypes, bint is_dtype) except -1:
    """Refuse an array that is of no such dtype, or else byte-swapped or not aligned."""
    if not is_dtype:
        refuse(TypeError, "array", f"have dtype {dtypes}", f"dtype {array.dtype}")
    if not cnp.PyArray_ISNOTSWAPPED(array):
        refuse(TypeError, "array", f"have dtype {dtypes}", f"dtype {array.dtype}, byte-swapped")
    refuse(TypeError, "array", "be aligned", "an array that is not")


cdef memory _memory(array, bint written) except *:
    cdef memory m
    cdef plain_array a
    if not cnp.PyArray_Check(array):
        refuse(TypeError, "array", "be an ndarray", kind_of(array))
    if not fill_plain(array, &a) or a.kind == c"B" or a.kind == c"q":
        refuse_kind(array, "float32 or float64", cnp.PyArray_TYPE(array) in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64))
    if not a.contiguous:
        refuse(ValueError, "array", "be C-contiguous", "an array that is not")
    if written and not a.writable:
        refuse(ValueError, "array", "be writable", "an array that is not")
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


cdef const void *_numbers(array, int type_number, str dtype) except? NULL:
    if array is None:
        return NULL
    if not cnp.PyArray_Check(array):
        refuse(TypeError, "array", "be an ndarray", kind_of(array))
    if cnp.PyArray_TYPE(array) != type_number or not can_be_read(array):
        refuse_kind(array, dtype, cnp.PyArray_TYPE(array) == type_number)
    if not cnp.PyArray_IS_C_CONTIGUOUS(array):
        refuse(ValueError, "array", "be C-contiguous", "an array that is not")
    return cnp.PyArray_DATA(array)


cdef const int64_t *integers(array) except? NULL:
    """Return the first number of an array of int64, NULL for None."""
    return <const int64_t *> _numbers(array, cnp.NPY_INT64, "int64")


cdef const double *doubles(array) except? NULL:
    """Return the first number of an array of float64, NULL for None."""
    return <const double *> _numbers(array, cnp.NPY_FLOAT64, "float64")


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

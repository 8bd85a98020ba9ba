"""The kernel table: chooses the level of csrc's kernels and passes arrays' memory to them.

This is the only extension that links csrc. The others cimport `table` from here; if each linked csrc, each would have
its own table and thread pool. The level is chosen once, when this module is imported: the best one that the machine
supports, or the one that ``FASTNN_ISA`` names.
"""

import os

import numpy as np

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer

from fastnn._fastnn cimport (FNN_INPUT, FNN_MAX_PARAMETERS, FNN_N_ACTIVATIONS, FNN_N_LOSSES, FNN_N_UPDATES, fnn_kernels,
                             fnn_table)

from fastnn._validation import refuse, refuse_memory, shown


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

# Typed memoryviews, and the choice among them by element type, took 0.5 us of a call, longer than a small kernel
# (docs/decisions, 9).  The buffer is released at once: the caller holds a reference to the array, and an array's memory
# does not move.

cdef memory _memory(array, int flags) except *:
    cdef memory m
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_ND | PyBUF_FORMAT | flags)
    m.kernels = table.f32 if view.format[0] == c"f" else table.f64 if view.format[0] == c"d" else NULL
    m.data = <char *> view.buf
    m.n = view.len // view.itemsize
    m.rows = view.shape[0] if view.ndim == 2 else 1
    m.cols = view.shape[view.ndim - 1] if view.ndim > 0 else 1
    PyBuffer_Release(&view)
    if m.kernels is NULL:
        refuse(TypeError, "array", "have dtype float32 or float64", f"{array.dtype}")
    return m


cdef memory memory_of(array) except *:
    """Return the memory of an array that is read."""
    return _memory(array, 0)


cdef char *_data(array, const memory *like, int flags) except? NULL:
    cdef memory m = _memory(array, flags)
    if m.kernels is not like.kernels:
        refuse(TypeError, "all arrays of a call", "have one dtype", "float32 and float64")
    return m.data


cdef char *reading(array, const memory *like) except? NULL:
    """Return the first element of an array that is read, NULL for None. It must have the type of `like`."""
    return NULL if array is None else _data(array, like, 0)


cdef char *writing(array, const memory *like) except? NULL:
    """Return the first element of an array that is written, NULL for None. It must have the type of `like`."""
    return NULL if array is None else _data(array, like, PyBUF_WRITABLE)


cdef object ndarray = np.ndarray

cdef enum:
    MAX_ARRAYS = 8


def ready(tuple written, tuple read, bint in_place=False, bint columns=False, tuple by_row=()):
    """Return whether arrays can be passed to an elementwise kernel without further checks (docs/decisions, 9).

    True where all are ndarrays (not of a subclass), C-contiguous and aligned, with the same shape and the same of the
    two float types. Arrays that are written must be writable and share no memory with any other array, or, if
    `in_place`, be the same array as one that is read. With `columns` the first array of each tuple is a matrix and the
    others are vectors as long as its rows; those in `by_row`, which are read, have an entry for each row. Nearly every
    call's arrays are like this. For all others `_validation` decides, with its messages.
    """
    cdef Py_buffer views[MAX_ARRAYS]
    cdef Py_ssize_t n_written = len(written), n_given = n_written + len(read), n = n_given + len(by_row), n_views = 0
    cdef Py_ssize_t i, j
    cdef bint good = n <= MAX_ARRAYS
    cdef char *a
    cdef char *b
    try:
        while good and n_views < n:
            array = (written[n_views] if n_views < n_written else
                     read[n_views - n_written] if n_views < n_given else by_row[n_views - n_given])
            if type(array) is not ndarray:
                good = False
                break
            PyObject_GetBuffer(array, &views[n_views],
                               PyBUF_ND | PyBUF_FORMAT | (PyBUF_WRITABLE if n_views < n_written else 0))
            n_views += 1
            if n_views > n_given:
                good = views[0].ndim == 2 and matches(&views[0], &views[n_views - 1], 1, 0)
            elif columns and n_views != 1 and n_views != n_written + 1:
                good = matches(&views[0], &views[n_views - 1], 1, 1)
            else:
                good = matches(&views[0], &views[n_views - 1], 2 if columns else views[0].ndim, 0)
    except (ValueError, BufferError):  # not contiguous, or not writable
        good = False
    for i in range(n_written if good else 0):
        a = <char *> views[i].buf
        for j in range(n):
            b = <char *> views[j].buf
            if i != j and a < b + views[j].len and b < a + views[i].len:
                good = good and in_place and j >= n_written and a == b
    for i in range(n_views):
        PyBuffer_Release(&views[i])
    return good


cdef bint matches(const Py_buffer *first, const Py_buffer *view, int ndim, int axis) noexcept:
    """Whether a view is aligned, has the type of the first, and `ndim` lengths: those of the first from `axis` on."""
    cdef int i
    if view.format[0] not in (c"f", c"d") or view.format[0] != first.format[0] or view.ndim != ndim:
        return False
    for i in range(ndim):
        if view.shape[i] != first.shape[axis + i]:
            return False
    return <size_t> view.buf % <size_t> view.itemsize == 0


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

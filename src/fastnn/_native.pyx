"""The one extension that links csrc: it owns the kernel table and, with it, the thread pool.

The level is chosen once, when this module is imported: the best that the machine runs, or the one that ``FASTNN_ISA``
names. The other extensions cimport `table` from here; linked into each, csrc would give each a table and a pool of its
own.
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

# What the derivative is told from.
ACTIVATIONS = {name: "input" if fnn_activation_derivative_from[i] == FNN_INPUT else "output"
               for name, i in _activations.items()}
UPDATES = {name: fnn_update_slots[i] for name, i in _updates.items()}
LOSSES = tuple(_losses)


cdef const fnn_kernels *kernels_for(Py_ssize_t itemsize) noexcept nogil:
    return table.f32 if itemsize == sizeof(float) else table.f64


cdef int prepare() except -1:
    """Reserves this thread's scratch memory, which kernels then rely on."""
    if table.scratch() is NULL:
        refuse_memory("a thread's scratch block")
    return 0


# ---- arrays ----

# Typed memoryviews, and the choice among them by element type, would take longer than a small kernel.  The buffer is
# let go at once: the caller has the array, and an array's memory stays where it is.

cdef memory _look(array, int flags) except *:
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
        refuse(TypeError, "arrays of kernels", "have dtype float32 or float64", f"dtype {array.dtype}")
    return m


cdef memory memory_of(array) except *:
    """The elements of an array that is read."""
    return _look(array, 0)


cdef char *_data(array, const memory *like, int flags) except? NULL:
    cdef memory m = _look(array, flags)
    if m.kernels is not like.kernels:
        refuse(TypeError, "arrays of a kernel", "have one dtype", "float32 and float64")
    return m.data


cdef char *reading(array, const memory *like) except? NULL:
    """The elements of another array of that type, which is read; NULL for None."""
    return NULL if array is None else _data(array, like, 0)


cdef char *writing(array, const memory *like) except? NULL:
    """The elements of another array of that type, which is written; NULL for None."""
    return NULL if array is None else _data(array, like, PyBUF_WRITABLE)


cdef object ndarray = np.ndarray

cdef enum:
    MOST_ARRAYS = 8


def ready(tuple written, tuple read, bint in_place=False, bint columns=False):
    """Whether arrays can go to an elementwise kernel as they are, as those of nearly every call can.

    They are plain, C-contiguous, aligned, of one shape and one of the two types; those to be written can be and share
    no memory with others, but all of that of one that is read if `in_place`. If `columns`, the first of each are
    matrices, and the others vectors as long as a row. All else is for `_validation` to judge.
    """
    cdef Py_buffer views[MOST_ARRAYS]
    cdef Py_ssize_t n_written = len(written), n = n_written + len(read), held = 0, i, j
    cdef bint good = n <= MOST_ARRAYS
    cdef char *a
    cdef char *b
    try:
        while good and held < n:
            array = written[held] if held < n_written else read[held - n_written]
            if type(array) is not ndarray:
                good = False
                break
            PyObject_GetBuffer(array, &views[held],
                               PyBUF_ND | PyBUF_FORMAT | (PyBUF_WRITABLE if held < n_written else 0))
            held += 1
            good = alike(&views[0], &views[held - 1], columns, held != 1 and held != n_written + 1)
    except (ValueError, BufferError):  # it is not contiguous, or cannot be written
        good = False
    for i in range(n_written if good else 0):
        a = <char *> views[i].buf
        for j in range(n):
            b = <char *> views[j].buf
            if i != j and a < b + views[j].len and b < a + views[i].len:
                good = good and in_place and j >= n_written and a == b
    for i in range(held):
        PyBuffer_Release(&views[i])
    return good


cdef bint alike(const Py_buffer *first, const Py_buffer *view, bint columns, bint vector) noexcept:
    cdef int i, ndim = (1 if vector else 2) if columns else first.ndim
    if view.format[0] not in (c"f", c"d") or view.format[0] != first.format[0] or view.ndim != ndim:
        return False
    for i in range(ndim):
        if view.shape[i] != first.shape[first.ndim - ndim + i]:
            return False
    return <size_t> view.buf % <size_t> view.itemsize == 0


# ---- names ----

cdef int activation_index(str name) except -1:
    return _activations[name]


cdef int fill_parameters(tuple values, double *parameters) except -1:
    """An activation's parameters as its functions take them: those that it has not are 0."""
    cdef int i
    for i in range(FNN_MAX_PARAMETERS):
        parameters[i] = values[i] if i < len(values) else 0.0
    return 0


cdef int update_index(str kind) except -1:
    return _updates[kind]


cdef int loss_index(str kind) except -1:
    return _losses[kind]


def levels():
    """The instruction-set levels that were built, worst first, each with whether this machine runs it."""
    cdef const fnn_level *all_levels
    cdef int n = fnn_levels(&all_levels)
    return {(<bytes>all_levels[i].name).decode(): bool(all_levels[i].supported) for i in range(n)}


def isa():
    """The level in use."""
    return (<bytes>table.isa).decode()


def set_isa(name):
    """Puts another level in use, or the default for None.  For tests: nothing may be running.

    Raises
    ------
    ValueError
        If the level is unknown or this machine cannot run it.
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
    """Name and version of the compiler that built csrc."""
    return (<bytes>fnn_compiler()).decode()


set_isa(os.environ.get("FASTNN_ISA") or None)

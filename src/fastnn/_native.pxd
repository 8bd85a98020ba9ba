# _native.pxd: the kernel table and access to arrays' memory, for the modules that run kernels.

cimport numpy as cnp
from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_kernels, fnn_size, fnn_table

ctypedef fused real:
    float
    double

cdef struct memory:
    # A C-contiguous float array: the kernels for its type, its first element, and its size.
    const fnn_kernels *kernels
    char *data
    fnn_size n
    fnn_size rows           # of a matrix
    fnn_size cols           # the length of the last axis

cdef struct plain_array:
    # An ndarray as kernels can read it: of float32, float64 or uint8 in the machine's byte order, and aligned.
    char kind               # "f", "d" or "B"
    char *data
    int ndim
    const Py_ssize_t *shape
    const Py_ssize_t *strides   # in bytes
    fnn_size size           # in elements
    fnn_size itemsize
    bint contiguous         # in the order of C
    bint writable

cdef fnn_table table
cdef const fnn_kernels *kernels_for(Py_ssize_t itemsize) noexcept nogil
cdef int reserve_scratch() except -1
cdef int activation_index(str name) except -1
cdef int fill_parameters(tuple values, double *parameters) except -1
cdef int update_index(str kind) except -1
cdef int loss_index(str kind) except -1
cdef memory memory_of(array) except *
cdef char *reading(array, const memory *like) except? NULL
cdef char *writing(array, const memory *like) except? NULL
cdef const int64_t *integers(array) except? NULL
cdef const double *doubles(array) except? NULL

# ---- arrays' structs: inline, so that a module that needs only them does not load the kernels ----

cdef inline void fill_struct(cnp.ndarray array, plain_array *a) noexcept:
    """Fill all but the kind."""
    cdef int flags = cnp.PyArray_FLAGS(array)
    a.data = <char *> cnp.PyArray_DATA(array)
    a.ndim, a.shape = cnp.PyArray_NDIM(array), <const Py_ssize_t *> cnp.PyArray_DIMS(array)
    a.strides = <const Py_ssize_t *> cnp.PyArray_STRIDES(array)
    a.size, a.itemsize = cnp.PyArray_SIZE(array), cnp.PyArray_ITEMSIZE(array)
    a.contiguous, a.writable = flags & cnp.NPY_ARRAY_C_CONTIGUOUS, flags & cnp.NPY_ARRAY_WRITEABLE


cdef inline bint can_be_read(cnp.ndarray array) noexcept:
    """Whether an array is aligned and in the machine's byte order."""
    return cnp.PyArray_FLAGS(array) & cnp.NPY_ARRAY_ALIGNED and cnp.PyArray_ISNOTSWAPPED(array)


cdef inline bint fill_plain(cnp.ndarray array, plain_array *a) noexcept:
    """Fill the struct of an array. Return whether kernels can read such elements."""
    cdef int number = cnp.PyArray_TYPE(array)
    fill_struct(array, a)
    a.kind = (c"f" if number == cnp.NPY_FLOAT32 else c"d" if number == cnp.NPY_FLOAT64 else
              c"B" if number == cnp.NPY_UINT8 else 0)
    return a.kind and can_be_read(array)


cdef inline bint is_plain(object array, plain_array *a) noexcept:
    """Whether this is an ndarray, of no subclass, that kernels can read; if so, fill its struct."""
    return cnp.PyArray_CheckExact(array) and fill_plain(<cnp.ndarray> array, a)


cdef inline bint apart(const plain_array *a, const plain_array *b) noexcept nogil:
    """Whether two contiguous arrays share no memory."""
    return a.data >= b.data + b.size * b.itemsize or b.data >= a.data + a.size * a.itemsize

# _native.pxd: the kernel table and access to arrays' memory, for the modules that run kernels.

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
cdef bint is_plain(array, plain_array *a) noexcept
cdef bint apart(const plain_array *a, const plain_array *b) noexcept nogil
cdef memory memory_of(array) except *
cdef char *reading(array, const memory *like) except? NULL
cdef char *writing(array, const memory *like) except? NULL

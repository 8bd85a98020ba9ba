# _native.pxd: the kernel table and access to arrays' memory, for the modules that run kernels.

from libc.stdint cimport int64_t

from fastnn._arrays cimport apart, can_be_read, fill_plain, plain_array  # no-cython-lint: for others
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

cdef fnn_table table
cdef const fnn_kernels *kernels_for(Py_ssize_t itemsize) noexcept nogil
cdef int reserve_scratch() except -1
cdef int activation_index(str name) except -1
cdef int fill_parameters(tuple values, double *parameters) except -1
cdef int update_index(str kind) except -1
cdef int loss_index(str kind) except -1
cdef bint is_plain(array, plain_array *a) noexcept
cdef memory memory_of(array) except *
cdef char *reading(array, const memory *like) except? NULL
cdef char *writing(array, const memory *like) except? NULL
cdef const int64_t *integers(array) except? NULL
cdef const double *doubles(array) except? NULL

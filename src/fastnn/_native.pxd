# _native.pxd: the kernel table, for the modules that run kernels.

from fastnn._fastnn cimport fnn_kernels, fnn_table

ctypedef fused real:
    float
    double

cdef fnn_table table
cdef const fnn_kernels *kernels_for(Py_ssize_t itemsize) noexcept nogil
cdef int prepare() except -1
cdef int activation_index(str name) except -1
cdef int fill_parameters(tuple values, double *parameters) except -1
cdef int update_index(str kind) except -1

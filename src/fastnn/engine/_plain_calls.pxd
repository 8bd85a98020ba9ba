# _plain_calls.pxd: the nets of a prediction, and what is made of their outputs.

from fastnn._arrays cimport plain_array
from fastnn._fastnn cimport fnn_size
from fastnn.engine._inference_cy cimport InferenceExecutor
from fastnn.engine._lock cimport NetLock
from fastnn.kernels._scaling_cy cimport scaling_numbers

cdef class PlainNet:
    cdef InferenceExecutor executor
    cdef NetLock lock           # of a net that may change between calls, or None
    cdef plain_array params
    cdef object scaling         # what x_scaling and z_scaling point into
    cdef object output_scaling
    cdef scaling_numbers x_scaling
    cdef scaling_numbers z_scaling
    cdef bint _has_large_ids
    cdef bint is_usable         # whether its calls may be plain ones
    cdef int _set_scaling(self, scaling, output_scaling) except -1
    cdef int follow(self, scaling, output_scaling) except -1
    cdef int run(self, const plain_array *x, char *to, array) except -1

cdef class PlainCalls:
    cdef readonly object snapshot
    cdef Py_ssize_t users           # calls that use the snapshot now
    cdef tuple _nets
    cdef fnn_size _most_rows
    cdef fnn_size _in_features
    cdef fnn_size _width            # of a net's outputs
    cdef fnn_size _out_features     # of the result
    cdef bint _needs_finite
    cdef int _result
    cdef int _link
    cdef object _classes
    cdef char _kind                 # of the result
    cdef char *_outputs             # room for a net's outputs
    cdef double *_probabilities
    cdef tuple _owners              # of that room
    cdef double _work               # of a row, in multiply-adds
    cdef object _plain(self, x, out, tuple attributes=*)
    cdef bint _are_ready(self, tuple attributes) noexcept
    cdef bint _has_right_shape(self, const plain_array *out, fnn_size rows) noexcept
    cdef bint _is_apart_from_parameters(self, const plain_array *out) noexcept
    cdef int _mean(self, const plain_array *x, array, double *mean) except -1
    cdef object _most_probable(self, const plain_array *x, array, out, tuple attributes)
    cdef bint _takes_classes(self, out, const plain_array *x)

cdef class BasePredictor:
    cdef PlainCalls _current
    cdef PlainCalls _spare

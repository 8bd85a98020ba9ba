# _inference_cy.pxd: the part of the executor that predicts.

from libc.stdint cimport int64_t

from fastnn._fastnn cimport fnn_size
from fastnn.engine._compile_cy cimport CompiledProgram
from fastnn.engine._op_cy cimport feed_rows
from fastnn.kernels._gather_cy cimport Source
from fastnn.kernels._scaling_cy cimport scaling_numbers

cdef int check_length(str name, Py_ssize_t n, Py_ssize_t wanted) except -1
cdef int check_columns(str name, Source array, Py_ssize_t wanted) except -1
cdef int fill_scaling(scaling_numbers *to, numbers, fnn_size cols) except -1

cdef class InferenceExecutor(CompiledProgram):
    cdef int64_t[::1] _row_numbers  # 0, 1, ...
    cdef bint _reads_in_place(self, const feed_rows *rows) noexcept
    cdef bint _predict_chunk(self, const feed_rows *rows, fnn_size n, bint in_place, char *to) noexcept nogil
    cdef int _begin_prediction(self, const feed_rows *rows, int threads) except -1
    cdef int _predict(self, feed_rows *rows, char *to, x, int threads) except -1
    cdef int _refuse_prediction(self, x) except -1
    cdef int predict_few(self, const feed_rows *rows, char *to, x) except -1
    cdef double work_of_row(self) noexcept

"""The rows of a batch: copied from a data set and cast to the net's type, in parts for the threads."""

from cpython.buffer cimport PyBUF_RECORDS_RO, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t

from fastnn._fastnn cimport FNN_FLOAT32, FNN_FLOAT64, FNN_UINT8, fnn_kernels, fnn_size
from fastnn._native cimport kernels_for, real, table
from fastnn.kernels._parallel cimport WORK_OF_TWO_PASSES, threads_for

from fastnn._validation import refuse

cdef dict KINDS = {b"f": FNN_FLOAT32, b"d": FNN_FLOAT64, b"B": FNN_UINT8}


cdef class Source:
    """A 2-D array of float32, float64 or uint8, any strides, whose memory stays while this object exists."""

    def __cinit__(self, x):
        PyObject_GetBuffer(x, &self.view, PyBUF_RECORDS_RO)
        if self.view.ndim != 2 or <bytes> self.view.format not in KINDS:
            refuse(TypeError, "x", "be 2-dimensional, of float32, float64 or uint8",
                   f"{self.view.ndim} dimensions of format {(<bytes> self.view.format).decode()!r}")
        self.kind = KINDS[<bytes> self.view.format]
        self.data = <const char *> self.view.buf
        self.rows = self.view.shape[0]
        self.cols = self.view.shape[1]
        self.row_bytes = self.view.strides[0]
        self.col_bytes = self.view.strides[1]

    def __dealloc__(self):
        PyBuffer_Release(&self.view)


cdef source struct_of(Source array) noexcept:
    cdef source x
    x.kind, x.data, x.cols = array.kind, array.data, array.cols
    x.row_bytes, x.col_bytes = array.row_bytes, array.col_bytes
    return x


cdef struct job:
    const fnn_kernels *kernels
    const source *x
    const int64_t *rows
    fnn_size n
    fnn_size each           # rows of a part
    char *out
    fnn_size out_row        # elements from one row of the result to the next


cdef void gather_part(void *context, fnn_size index) noexcept nogil:
    cdef const job *j = <const job *> context
    cdef fnn_size first = index * j.each
    j.kernels.gather[j.x.kind](j.x.data, j.x.row_bytes, j.x.col_bytes, j.rows + first, min(j.each, j.n - first),
                               j.x.cols, j.out + first * j.out_row * j.kernels.itemsize, j.out_row)


cdef void gather_rows(const fnn_kernels *kernels, const source *x, const int64_t *rows, fnn_size n, char *out,
                      fnn_size out_row, int threads) noexcept nogil:
    """out[i] = x[rows[i]]; rows of the result are out_row elements apart."""
    cdef job j
    cdef int parts = threads_for(<double> WORK_OF_TWO_PASSES * n * x.cols, threads)
    if n == 0:
        return
    j.kernels, j.x, j.rows, j.n, j.out, j.out_row = kernels, x, rows, n, out, out_row
    j.each = (n + parts - 1) // parts
    table.parallel(gather_part, &j, (n + j.each - 1) // j.each, threads)


def gather(x, const int64_t[::1] rows, real[:, ::1] out, int threads):
    """out[i] = x[rows[i]], cast to out's type"""
    cdef source s = struct_of(Source(x))
    with nogil:
        gather_rows(kernels_for(sizeof(real)), &s, &rows[0], rows.shape[0], <char *> &out[0, 0], out.shape[1], threads)

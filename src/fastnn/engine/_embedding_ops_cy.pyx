"""The bodies of the ops of embeddings: rows of a table, and the gradient and the update of the table."""

from libc.stdint cimport int64_t

from fastnn._fastnn cimport FNN_FLOAT32, FNN_FLOAT64
from fastnn.engine._op_cy cimport DW, DY, IDS, W, Y, op, shared
from fastnn.kernels._embedding_cy cimport update_found_rows, update_table, write_gradient
from fastnn.kernels._gather_cy cimport gather_rows, source


cdef void run_embedding(op *o, shared *s) noexcept nogil:
    cdef source w
    w.kind = FNN_FLOAT32 if s.kernels.itemsize == sizeof(float) else FNN_FLOAT64
    w.data, w.cols = o.data[W], o.width[W]
    w.row_bytes, w.col_bytes = o.width[W] * s.kernels.itemsize, s.kernels.itemsize
    gather_rows(s.kernels, &w, <const int64_t *> o.data[IDS], s.rows, o.data[Y] + o.first_column * s.kernels.itemsize,
                o.width[Y], s.threads)


cdef void run_embedding_grad(op *o, shared *s) noexcept nogil:
    o.table.dy, o.table.dy_row = o.data[DY] + o.first_column * s.kernels.itemsize, o.width[DY]
    o.table.ids, o.table.rows = <const int64_t *> o.data[IDS], s.rows
    if not o.updates:
        o.table.dw = o.data[DW]
        write_gradient(&o.table, s.threads)
    elif o.sparse:
        update_found_rows(&o.table, s.threads)
    else:
        update_table(&o.table, s.threads)

# _panels.pxd: matrices in panels, as docs/panels.md explains them. All inline: there is no module to load.

from libc.string cimport memcpy

from fastnn._fastnn cimport fnn_kernels, fnn_size


cdef inline fnn_size panel_offset(fnn_size rows, fnn_size row, fnn_size col, fnn_size width) noexcept nogil:
    """Return where a row starts in the panel of `width` columns from column `col` on. The matrix has `rows` rows."""
    return col * rows + row * width


cdef inline void copy_from_panels(const fnn_kernels *kernels, const char *panels, fnn_size rows, fnn_size cols,
                                  fnn_size first, fnn_size n, char *out) noexcept nogil:
    """Copy elements first..first+n of a matrix in panels, counted in the order of its rows."""
    cdef fnn_size size = kernels.itemsize, tile_cols = kernels.tile_cols, row = first // cols, col = first % cols
    cdef fnn_size rest, count   # rest: column of the panel
    while n > 0:
        rest = col % tile_cols
        count = min(n, min(tile_cols, cols - (col - rest)) - rest)
        memcpy(out, panels + (panel_offset(rows, row, col - rest, min(tile_cols, cols - (col - rest))) + rest) * size,
               count * size)
        out += count * size
        n -= count
        col += count
        if col == cols:
            row, col = row + 1, 0


cdef inline void into_panels(const fnn_kernels *kernels, char *matrix, fnn_size rows, fnn_size cols,
                             char *temporary) noexcept nogil:
    """Bring a matrix into panels, in place. `temporary` has room for as many elements."""
    cdef fnn_size size = kernels.itemsize, tile_cols = kernels.tile_cols, i, j, width
    for i in range(rows):
        j = 0
        while j < cols:
            width = min(tile_cols, cols - j)
            memcpy(temporary + panel_offset(rows, i, j, width) * size, matrix + (i * cols + j) * size, width * size)
            j += tile_cols
    memcpy(matrix, temporary, rows * cols * size)


cdef inline void out_of_panels(const fnn_kernels *kernels, char *matrix, fnn_size rows, fnn_size cols,
                               char *temporary) noexcept nogil:
    """Bring a matrix in panels back into contiguous rows, in place."""
    copy_from_panels(kernels, matrix, rows, cols, 0, rows * cols, temporary)
    memcpy(matrix, temporary, rows * cols * kernels.itemsize)

"""Dense layers: the product for the output and the gradients of input and weight; sums of columns for the bias.

An element of a product is one chain of multiply-adds over ascending k, whatever the blocks, the tile or the number of
threads. So a row of the result depends on that row of `a` alone, bit for bit (docs/decisions, 3).
docs/panels.md explains tiles, blocks and panels.
"""

from libc.string cimport memcpy

from fastnn._fastnn cimport FNN_LINE, FNN_MAX_PARAMETERS, FNN_SCRATCH, fnn_kernels, fnn_prefetch, fnn_size, fnn_tiles
from fastnn._native cimport (activation_index, fill_parameters, memory, memory_of, reading, reserve_scratch, table,
                             writing)

from fastnn._validation import refuse

# How a thread's scratch memory is divided: a block of b, a block of a and, at its end, a block of a result that goes
# elsewhere: the transpose of a product (multiply_transposed), or what only `done` needs. docs/decisions 10 and 13
# measured the sizes of the blocks.
cdef enum:
    B_BYTES = 1 << 19
    A_BYTES = 1 << 20
    RESULT_BYTES = 1 << 18

# Work that pays for waking a thread, in multiply-adds: an estimate, not tuned by measurement.
cdef double WORK_PER_THREAD = 5e5

cdef enum:
    # Terms of the sums of one block (docs/decisions, 6, 10 and 13).
    K_BLOCK = 512
    # Tiles of a band, one below the other: a band goes over all panels of a block of b before the next one does
    # (docs/decisions, 13).
    TILES_PER_BAND = 9
    # A b of at most this many bytes is read in place, and so is one that few tiles use. A panel of a larger b covers
    # more pages than the TLB holds, and its lines share few sets of the first-level cache (docs/decisions, 13).
    DIRECT_BYTES = 65536
    # The fewest tiles for which packing pays: of rows, to pack b; of columns, to pack a.
    PACK_MIN_TILES = 3
    # The same for a b whose rows do not share cache sets (docs/decisions, 14).
    PACK_B_MIN_TILES = 5
    # Rows whose distance is a multiple of this many bytes share few cache sets (docs/decisions, 6).
    SET_STRIDE = 2048
    # Terms of a at this distance or more are each in a different cache line, and after few terms in a different page
    # (docs/decisions, 15, compares reading them in place).
    TERM_STRIDE = 512
    # A larger result does not fit the first-level cache. Its tiles prefetch what the next ones need (docs/decisions,
    # 11).
    L1_BYTES = 32768
    # Rows of a product with few columns that are computed before `done` gets them.
    FEW_ROWS = 128


# The scratch memory is large enough for the blocks of every level. The last tile of a is packed at full height, which
# is at most 14 rows, with entries of at most 8 bytes.
if B_BYTES + A_BYTES + 14 * K_BLOCK * 8 + RESULT_BYTES > <fnn_size> FNN_SCRATCH:
    refuse(ImportError, "FNN_SCRATCH", "hold the blocks of a product", FNN_SCRATCH)


cdef int threads_for(double work, int threads) noexcept nogil:
    """Return how many of the threads the work keeps busy: each has at least WORK_PER_THREAD, or there is only one."""
    cdef double useful = work / WORK_PER_THREAD
    if useful < 2.0:
        return 1
    return threads if threads < useful else <int>useful


cdef fnn_size unaligned_head(const void *out, fnn_size itemsize, fnn_size n) noexcept nogil:
    """Return how many of n elements precede the first start of a cache line.

    They are processed separately, so that no other store crosses the end of a line (docs/decisions, 9). NumPy's large
    arrays start 16 bytes after the start of a line.
    """
    return min(n, <fnn_size> (-<size_t> out & (FNN_LINE - 1)) // itemsize)


cdef inline fnn_size ceil_div(fnn_size a, fnn_size b) noexcept nogil:
    """Return a / b rounded up.

    Where both fit, in 32 bits: a 64-bit division takes some 40 cycles or more on some processors, and the code around a
    product had 27 of them (docs/decisions, 13).
    """
    if 0 <= a < 1 << 30 and 0 < b < 1 << 30:
        return (<unsigned int> a + <unsigned int> b - 1) // <unsigned int> b
    return (a + b - 1) // b


cdef inline fnn_size how_many_fit(fnn_size n, fnn_size bytes, fnn_size available) noexcept nogil:
    """Return how many of n items of `bytes` bytes each fit the available bytes, but at least one."""
    return n if n * bytes <= available else max(1, available // bytes)


cdef struct block:
    # A part of a product: rows i..i+rows, columns j..j+cols, terms p..p+k of the sums.
    fnn_size i
    fnn_size rows
    fnn_size j
    fnn_size cols
    fnn_size p
    fnn_size k


cdef inline fnn_size even_piece(fnn_size n, fnn_size most) noexcept nogil:
    """Return the length of the first piece of n, cut into as few and as equal pieces of at most `most` as possible."""
    return n if n <= most else ceil_div(n, ceil_div(n, most))


cdef inline int add_prefetch(fnn_prefetch *queue, int n, const char *address, fnn_size stride,
                             fnn_size rows) noexcept nogil:
    """Add a prefetch to a queue of n, if it has rows, and return the new n."""
    if rows > 0:
        queue[n].address, queue[n].stride, queue[n].rows = address, stride, rows
        n += 1
    return n


cdef struct block_memory:
    # Where the operands and the result of a block are, and what its tiles prefetch.
    const char *b_panels    # packed panels, or NULL: b is read in place
    char *a_panels          # packed panels, or NULL: a is read in place
    bint pack_a             # a has to be packed into a_panels first
    char *c                 # the block's first element
    fnn_size c_row          # from one row of c to the next, in elements
    fnn_size c_rows         # the number of rows of c's panels; 0: c is not in panels
    fnn_size c_first        # the block's first row in these panels
    fnn_size tiles          # tiles that go over each panel of b, in all; 0: nothing is prefetched
    fnn_size tile           # the number of this block's first tile among them
    block next              # the part of b that is read or packed next: its terms and columns; no columns: nothing


# ---- matrices in panels ----

cdef inline fnn_size panel_offset(fnn_size rows, fnn_size row, fnn_size col, fnn_size width) noexcept nogil:
    """Return where a row starts in the panel of `width` columns from column `col` on. The matrix has `rows` rows."""
    return col * rows + row * width


cdef void into_panels(const fnn_kernels *kernels, char *matrix, fnn_size rows, fnn_size cols,
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


cdef void out_of_panels(const fnn_kernels *kernels, char *matrix, fnn_size rows, fnn_size cols,
                        char *temporary) noexcept nogil:
    """Bring a matrix in panels back into contiguous rows, in place."""
    copy_from_panels(kernels, matrix, rows, cols, 0, rows * cols, temporary)
    memcpy(matrix, temporary, rows * cols * kernels.itemsize)


cdef void copy_from_panels(const fnn_kernels *kernels, const char *panels, fnn_size rows, fnn_size cols, fnn_size first,
                           fnn_size n, char *out) noexcept nogil:
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


# ---- blocks ----

# The queue of a tile's prefetches: the next tile's rows of c, at most MAX_B_PREFETCHES for its share of b, and the end
# of the queue, which has no rows.
cdef enum:
    MAX_B_PREFETCHES = 8
    MAX_PREFETCHES = MAX_B_PREFETCHES + 2


cdef int prefetch_b(const product *q, const block_memory *mem, fnn_size tile, fnn_size j, fnn_size row_bytes,
                    fnn_prefetch *queue, int n) noexcept nogil:
    """Add prefetches for a tile's share of the part of b that is read next: the panel from that part's column j on.

    A prefetch covers `row_bytes` bytes of each of its rows.
    """
    cdef const block *next = &mem.next
    cdef fnn_size size = q.kernels.itemsize, tile_cols = q.kernels.tile_cols, cols = min(tile_cols, next.cols - j)
    cdef fnn_size each, first, i, end, width
    if cols <= 0:
        return n
    if q.b_col == 1:  # terms of contiguous columns: an equal share for each tile
        each = ceil_div(next.k, mem.tiles)
        first = next.p + tile * each
        i = panel_offset(q.k, first, next.j + j, cols) if q.b_panels else first * q.b_k + next.j + j
        return add_prefetch(queue, n, q.b + i * size, (cols if q.b_panels else q.b_k) * size,
                            min(each, next.p + next.k - first))
    if q.b_panels:  # the transpose of a matrix in panels: a prefetch for each of its panels
        each = min(MAX_B_PREFETCHES, ceil_div(next.k, tile_cols * mem.tiles)) * tile_cols
        i = next.p - next.p % tile_cols + tile * each
        end = min(i + each, next.p + next.k)
        while i < end:
            width = min(tile_cols, q.k - i)
            n = add_prefetch(queue, n, q.b + panel_offset(q.n, next.j + j, i, width) * size, width * size, cols)
            i += tile_cols
        return n
    # The transpose of a matrix in rows: a prefetch for each row.
    each = min(MAX_B_PREFETCHES, ceil_div(tile_cols, mem.tiles))
    first = tile * each
    for i in range(first, min(first + each, cols)):
        n = add_prefetch(queue, n, q.b + (next.p + (next.j + j + i) * q.b_col) * size, row_bytes,
                         ceil_div(next.k * size, row_bytes))
    return n


cdef inline char *panel_of_c(const block_memory *mem, fnn_size j, fnn_size cols, fnn_size size) noexcept nogil:
    """Return the address of the block's first row in the panel of c that starts with its column j."""
    return mem.c + (j if mem.c_rows == 0 else panel_offset(mem.c_rows, mem.c_first, j, cols)) * size


cdef void multiply_block(const product *q, const block *blk, fnn_size height, const block_memory *mem) noexcept nogil:
    """Compute the tiles of one block, `height` rows each: all rows for one panel of b, then for the next panel."""
    cdef const fnn_kernels *kn = q.kernels
    cdef fnn_size size = kn.itemsize, tile_cols = kn.tile_cols, k = blk.k, left, b_step = tile_cols * size, j = 0, tile
    cdef bint prefetching = mem.tiles > 0, starts = blk.p == 0, b_in_place = mem.b_panels is NULL
    cdef const char *a_top = q.a + (blk.i * q.a_row + blk.p * q.a_k) * size
    cdef const char *b = q.b + (blk.p * q.b_k + blk.j) * size
    cdef const char *a
    cdef const char *bias = NULL if q.bias is NULL else q.bias + blk.j * size
    cdef char *top = mem.c
    cdef char *c
    cdef fnn_tiles t
    cdef fnn_prefetch queue[MAX_PREFETCHES]
    cdef int n
    # Tiles of one call of gemm_tiles: all that have full height. Tiles that prefetch have a call and a queue each.
    cdef fnn_size full_tiles = 1 if prefetching else ceil_div(blk.rows + 1, height) - 1
    t.k, t.a_row, t.a_k, t.a_tile, t.b_k, t.c_row = k, q.a_row, q.a_k, height * q.a_row, q.b_k, mem.c_row
    t.prefetches = queue if prefetching else NULL
    if mem.a_panels is not NULL:
        if mem.pack_a:
            kn.pack(k, blk.rows, height, a_top, t.a_k, t.a_row, mem.a_panels, k * height)
        a_top, t.a_row, t.a_k, t.a_tile = mem.a_panels, 1, height, k * height
    if not b_in_place:
        b, t.b_k, b_step = mem.b_panels, tile_cols, tile_cols * k * size
    while j < blk.cols:
        t.cols = min(tile_cols, blk.cols - j)
        if mem.c_rows != 0:
            top, t.c_row = panel_of_c(mem, j, t.cols, size), t.cols
        if b_in_place and q.b_panels:
            b, t.b_k = q.b + panel_offset(q.k, blk.p, blk.j + j, t.cols) * size, t.cols
        t.b, t.init_row = b, 0 if starts else t.c_row
        a, c, left, tile = a_top, top, blk.rows, mem.tile
        while left > 0:
            t.rows = min(height, left)
            t.tiles = full_tiles if left >= height else 1
            left -= t.rows * t.tiles
            if prefetching:
                n = 0
                if left > 0:
                    n = add_prefetch(queue, n, c + height * t.c_row * size, t.c_row * size, min(height, left))
                elif j + tile_cols < blk.cols:
                    n = add_prefetch(queue, n,
                                     panel_of_c(mem, j + tile_cols, min(tile_cols, blk.cols - j - tile_cols), size),
                                     t.c_row * size, height)
                n = prefetch_b(q, mem, tile, j, tile_cols * size, queue, n)
                queue[n].rows = 0
            t.a, t.init, t.c = a, bias if starts else c, c
            kn.gemm_tiles(&t)
            a += t.tiles * t.a_tile * size
            c += t.tiles * height * t.c_row * size
            tile += 1
        if bias is not NULL:
            bias += tile_cols * size
        b += b_step
        top += tile_cols * size
        j += tile_cols


cdef bint packs_b(const product *q, const block *part) noexcept nogil:
    """Whether b is packed: its columns are not contiguous, or it is large and enough tiles read it."""
    cdef fnn_size size = q.kernels.itemsize, least = PACK_MIN_TILES
    if q.b_col != 1:
        return True
    if q.b_k * size % SET_STRIDE != 0:
        least = PACK_B_MIN_TILES
    return (not q.b_panels and part.rows >= least * q.kernels.tile_rows and q.n > q.kernels.tile_cols
            and q.k * q.n * size > DIRECT_BYTES)


cdef bint packs_a(const product *q, const block *part) noexcept nogil:
    """Whether a is packed: enough panels of b use it, and its terms are in different cache lines or its rows share few
    cache sets."""
    cdef fnn_size size = q.kernels.itemsize
    if part.cols < PACK_MIN_TILES * q.kernels.tile_cols:
        return False
    return q.a_row * size % SET_STRIDE == 0 if q.a_k == 1 else q.a_k * size >= TERM_STRIDE


cdef bint next_block(const product *q, const block *part, const block *limits, block *blk) noexcept nogil:
    """Go to the next block: columns first, then terms, then rows, at most `limits` of each. False after the last."""
    cdef fnn_size tile_cols = q.kernels.tile_cols, cols
    blk.j += blk.cols
    if blk.j >= part.j + part.cols:
        blk.j = part.j
        blk.p += blk.k
        if blk.p >= q.k:
            blk.p = 0
            blk.i += blk.rows
            if blk.i >= part.i + part.rows:
                return False
            blk.rows = even_piece(part.i + part.rows - blk.i, limits.rows)
        blk.k = min(limits.k, q.k - blk.p)
    cols = part.j + part.cols - blk.j
    blk.cols = cols if cols <= limits.cols else ceil_div(even_piece(cols, limits.cols), tile_cols) * tile_cols
    return True


cdef void pack_b(const product *q, const block *blk, char *panels) noexcept nogil:
    """Pack the block's part of b into panels."""
    cdef fnn_size size = q.kernels.itemsize, tile_cols = q.kernels.tile_cols, p = blk.p, first, width, count
    if not q.b_panels:
        q.kernels.pack(blk.k, blk.cols, tile_cols, q.b + (blk.p * q.b_k + blk.j * q.b_col) * size, q.b_k, q.b_col,
                       panels, blk.k * tile_cols)
        return
    while p < blk.p + blk.k:  # b is the transpose of a matrix in panels: the block's part of each of them
        first = p - p % tile_cols
        width = min(tile_cols, q.k - first)
        count = min(first + width, blk.p + blk.k) - p
        q.kernels.pack(count, blk.cols, tile_cols, q.b + (panel_offset(q.n, blk.j, first, width) + p - first) * size, 1,
                       width, panels + (p - blk.p) * tile_cols * size, blk.k * tile_cols)
        p += count


cdef void multiply_part(const product *q, const block *part) noexcept nogil:
    """Compute one thread's part of the product, block after block.

    A block has as many rows as the second-level cache holds of a, at most K_BLOCK terms, and as many columns as half of
    that cache holds of b. A band is a part of the block's rows, whose tiles go over all panels of the block's b.
    """
    cdef const fnn_kernels *kn = q.kernels
    cdef fnn_size size = kn.itemsize, tile_cols = kn.tile_cols, tiles = TILES_PER_BAND * kn.tile_rows
    cdef fnn_size panels = ceil_div(part.cols, tile_cols), column, last, height, j, width
    cdef bint complete, packing_b = packs_b(q, part), packing_a = packs_a(q, part)
    # With several blocks of terms the later ones add to the result, so it cannot be discarded.
    cdef bint discard_result = q.discard_result and q.k <= K_BLOCK
    cdef bint exceeds_l1 = q.m * q.n * size > L1_BYTES
    cdef char *scratch = <char *> table.scratch()
    cdef block limits, blk, band
    cdef block_memory mem
    mem.b_panels = mem.a_panels = NULL
    mem.pack_a = False
    mem.c_rows = mem.c_first = mem.tile = mem.tiles = 0
    limits.rows, limits.k = part.rows, K_BLOCK
    if packing_a and packing_b and q.k > K_BLOCK and q.m * q.n * size <= table.l2_bytes // 4:
        # Blocks of fewer terms read and write the result more often, which costs little while the second-level cache
        # holds it. In return the cache also holds both packed copies (docs/decisions, 15).
        limits.k = K_BLOCK // 2
    column = max(1, min(limits.k, q.k)) * size    # bytes of a block's terms
    if packing_b:
        mem.b_panels = scratch
        panels = how_many_fit(panels, column * tile_cols, min(B_BYTES, table.l2_bytes // 2))
    if packing_a:
        limits.rows = how_many_fit(limits.rows, column, min(A_BYTES, table.l2_bytes))
    if discard_result:
        panels = how_many_fit(panels, tiles * tile_cols * size, min(RESULT_BYTES, table.l2_bytes // 4))
    limits.cols = panels * tile_cols
    blk.i, blk.rows, blk.j, blk.cols, blk.p, blk.k = part.i, 0, part.j + part.cols, 0, q.k, 0
    while next_block(q, part, &limits, &blk):
        mem.next = blk
        if packing_b:
            pack_b(q, &blk, scratch)
            if not next_block(q, part, &limits, &mem.next):
                mem.next.cols = 0
        else:  # b is read in place, and tiles prefetch their next panel
            mem.next.j += tile_cols
            mem.next.cols -= tile_cols
        if packing_a:
            mem.a_panels, mem.pack_a = scratch + B_BYTES, blk.j == part.j
        complete = blk.p + blk.k == q.k      # with this block the sums have all terms
        last = blk.i + blk.rows
        band = blk
        while band.i < last:
            band.rows = even_piece(last - band.i, tiles)
            # Tiles of nearly equal height: in a low last tile each multiply-add would wait for the one before it.
            height = even_piece(band.rows, kn.tile_rows)
            if band.i + band.rows < last:
                band.rows = ceil_div(band.rows, height) * height
            if discard_result:
                mem.c, mem.c_row = scratch + FNN_SCRATCH - RESULT_BYTES, ceil_div(band.cols, tile_cols) * tile_cols
                mem.c_rows = band.rows if q.c_panels else 0
            elif q.c_panels:
                mem.c, mem.c_rows, mem.c_first = q.c + band.j * q.m * size, q.m, band.i
            else:
                mem.c, mem.c_row = q.c + (band.i * q.n + band.j) * size, q.n
            if exceeds_l1:
                mem.tile, mem.tiles = ceil_div(band.i - blk.i, height), ceil_div(blk.rows, height)
            multiply_block(q, &band, height, &mem)
            if q.done is not NULL and complete:
                if q.c_panels:
                    j = 0
                    while j < band.cols:
                        width = min(tile_cols, band.cols - j)
                        q.done(q.context, panel_of_c(&mem, j, width, size), width, band.i, band.rows, band.j + j,
                               width)
                        j += tile_cols
                else:
                    q.done(q.context, mem.c, mem.c_row, band.i, band.rows, band.j, band.cols)
            if packing_a and blk.cols < part.cols:  # other columns need the copy later; otherwise it is overwritten
                mem.a_panels += band.rows * band.k * size
            band.i += band.rows


cdef void multiply_row(const product *q, const block *part) noexcept nogil:
    """Compute a part of one row. b is read in place."""
    cdef fnn_size size = q.kernels.itemsize, at = part.j * size
    cdef char *c = q.c + part.i * q.n * size + at
    q.kernels.gemm_row(q.k, q.a + part.i * q.a_row * size, q.a_k, q.b + at, q.b_k,
                       NULL if q.bias is NULL else q.bias + at, c, part.cols)
    if q.done is not NULL:
        q.done(q.context, c, q.n, part.i, 1, part.j, part.cols)


cdef void multiply_few_columns(const product *q, const block *part) noexcept nogil:
    """Compute a product with few columns. a and b are read in place."""
    cdef fnn_size size = q.kernels.itemsize, i = part.i, end = part.i + part.rows, rows
    cdef char *c
    while i < end:
        rows = min(end - i, FEW_ROWS)
        c = q.c + i * q.n * size
        q.kernels.gemm_few(q.k, q.a + i * q.a_row * size, q.a_row, q.b, q.b_k, q.bias, c, rows, q.n)
        if q.done is not NULL:
            q.done(q.context, c, q.n, i, rows, 0, q.n)
        i += rows


cdef bint has_few_columns(const product *q, const block *part) noexcept nogil:
    """Whether the columns are so few that rows fill a vector's lanes better (docs/decisions, 13)."""
    return (q.a_k == 1 and q.b_col == 1 and part.cols == q.n and q.n <= q.kernels.few_cols and q.k >= q.kernels.lanes)


cdef bint rows_fill_better(const fnn_kernels *kernels, fnn_size rows, fnn_size cols) noexcept nogil:
    """Whether rows in the lanes take less than three quarters of the vectors that columns in the lanes take."""
    return 4 * cols * ceil_div(rows, kernels.lanes) < 3 * rows * ceil_div(cols, kernels.lanes)


cdef bint is_better_transposed(const product *q, const block *part) noexcept nogil:
    """Whether the transposed product, c.T = b.T @ a.T, fills vectors better and can read both operands in place."""
    return (q.a_row == 1 and q.b_col == 1 and q.bias is NULL and part.cols == q.n
            and rows_fill_better(q.kernels, part.rows, q.n))


cdef bint panels_pay(const fnn_kernels *kernels, fnn_size rows, fnn_size cols) noexcept nogil:
    """Whether a weight of this shape is large enough for panels: a product would pack it, or read it with large strides
    (docs/decisions, 14)."""
    return (cols > kernels.tile_cols and rows * cols * kernels.itemsize > DIRECT_BYTES
            and not rows_fill_better(kernels, rows, cols))


cdef void multiply_transposed(const product *q, const block *part) noexcept nogil:
    """Compute c.T = b.T @ a.T, the same sums term for term, then transpose it into c."""
    cdef const fnn_kernels *kn = q.kernels
    cdef fnn_size size = kn.itemsize, i = part.i, end = part.i + part.rows
    cdef product t
    cdef block whole
    t.kernels, t.m, t.k, t.bias, t.done, t.discard_result = kn, q.n, q.k, NULL, NULL, False
    t.b_panels = t.c_panels = False
    t.a, t.a_row, t.a_k, t.b_k, t.b_col = q.b, 1, q.b_k, q.a_k, 1
    t.c = <char *> table.scratch() + FNN_SCRATCH - RESULT_BYTES
    while i < end:
        t.n = min(end - i, RESULT_BYTES // (q.n * size))
        t.b = q.a + i * size
        whole.i, whole.rows, whole.j, whole.cols = 0, t.m, 0, t.n
        multiply_part(&t, &whole)
        kn.pack(t.n, q.n, q.n, t.c, 1, t.n, q.c + i * q.n * size, t.n * q.n)
        if q.done is not NULL:
            q.done(q.context, q.c + i * q.n * size, q.n, i, t.n, 0, q.n)
        i += t.n


cdef struct split:
    const product *q
    fnn_size parts
    bint by_rows


cdef void run_part(void *context, fnn_size index) noexcept nogil:
    cdef const split *s = <const split *> context
    cdef const product *q = s.q
    cdef fnn_size unit = q.kernels.tile_rows if s.by_rows else q.kernels.tile_cols
    cdef fnn_size whole = q.m if s.by_rows else q.n
    cdef fnn_size each = whole if s.parts == 1 else ceil_div(ceil_div(whole, s.parts), unit) * unit
    cdef fnn_size first = index * each, count = min(each, whole - index * each)
    cdef block part
    if count <= 0:
        return
    part.i, part.rows, part.j, part.cols = 0, q.m, 0, q.n
    if s.by_rows:
        part.i, part.rows = first, count
    else:
        part.j, part.cols = first, count
    if q.b_panels or q.c_panels:
        multiply_part(q, &part)
    elif part.rows == 1 and q.b_col == 1:
        multiply_row(q, &part)
    elif has_few_columns(q, &part):
        multiply_few_columns(q, &part)
    elif is_better_transposed(q, &part):
        multiply_transposed(q, &part)
    else:
        multiply_part(q, &part)


cdef void multiply(product *p, int threads) noexcept nogil:
    """Compute the product, in a part for each thread that it pays for."""
    cdef split s
    if p.m == 0 or p.n == 0:
        return
    s.q = p
    s.parts = threads_for(<double> p.m * p.n * p.k, threads)
    s.by_rows = p.m * p.kernels.tile_cols >= p.n * p.kernels.tile_rows    # more tiles down than across
    table.parallel(run_part, &s, s.parts, threads)


cdef struct column_sums:
    const fnn_kernels *kernels
    const char *x
    fnn_size rows
    fnn_size cols
    fnn_size each
    char *out


cdef void sum_part(void *context, fnn_size index) noexcept nogil:
    cdef const column_sums *s = <const column_sums *> context
    cdef fnn_size first = index * s.each, offset = first * s.kernels.itemsize
    s.kernels.column_sum(s.x + offset, s.cols, s.rows, min(s.each, s.cols - first), s.out + offset)


cdef void sum_columns(const fnn_kernels *kernels, const char *x, fnn_size rows, fnn_size cols, char *out,
                      int threads) noexcept nogil:
    """out[j] = sum over i, ascending, of x[i, j]"""
    cdef column_sums s
    cdef int parts = threads_for(<double> WORK_OF_SUM * rows * cols, threads)
    s.kernels, s.x, s.rows, s.cols, s.out = kernels, x, rows, cols, out
    s.each = ceil_div(ceil_div(cols, parts), kernels.tile_cols) * kernels.tile_cols
    if cols > 0:
        table.parallel(sum_part, &s, ceil_div(cols, s.each), threads)


cdef struct epilogue:
    const fnn_kernels *kernels
    int activation
    double parameters[FNN_MAX_PARAMETERS]
    fnn_size n


cdef void activate(void *context, char *c, fnn_size c_row, fnn_size first, fnn_size rows, fnn_size col,
                   fnn_size cols) noexcept nogil:
    cdef const epilogue *e = <const epilogue *> context
    cdef fnn_size _
    if cols == e.n:
        e.kernels.activation[e.activation].forward(c, c, rows * cols, e.parameters)
        return
    for _ in range(rows):
        e.kernels.activation[e.activation].forward(c, c, cols, e.parameters)
        c += c_row * e.kernels.itemsize


# ---- kernels ----


cdef int run_product(out, const memory *a, fnn_size a_row, fnn_size a_k, const memory *b, fnn_size b_k, fnn_size b_col,
                     fnn_size k, bias, block_done done, void *context, int threads) except -1:
    cdef product p
    cdef memory c = memory_of(out)
    p.kernels, p.m, p.n, p.k = a.kernels, c.rows, c.cols, k
    p.a, p.a_row, p.a_k = a.data, a_row, a_k
    p.b, p.b_k, p.b_col = b.data, b_k, b_col
    p.bias, p.c, p.done, p.context, p.discard_result = reading(bias, a), writing(out, b), done, context, False
    p.b_panels = p.c_panels = False
    reserve_scratch()
    with nogil:
        multiply(&p, threads)
    return 0


def dense(x, w, b, out, str activation, tuple parameters, int threads):
    """out = activation(x @ w + b); b may be None"""
    cdef epilogue e
    cdef memory left = memory_of(x), right = memory_of(w)
    e.kernels, e.activation, e.n = left.kernels, activation_index(activation), right.cols
    fill_parameters(parameters, e.parameters)
    run_product(out, &left, left.cols, 1, &right, right.cols, 1, left.cols, b,
                activate if e.activation > 0 else <block_done> NULL, &e, threads)


def dense_grad_input(dy, w, out, int threads):
    """out = dy @ w.T"""
    cdef memory left = memory_of(dy), right = memory_of(w)
    run_product(out, &left, left.cols, 1, &right, 1, right.cols, left.cols, None, NULL, NULL, threads)


def dense_grad_weight(x, dy, out, int threads):
    """out = x.T @ dy"""
    cdef memory left = memory_of(x), right = memory_of(dy)
    run_product(out, &left, 1, left.cols, &right, right.cols, 1, left.rows, None, NULL, NULL, threads)


def dense_grad_bias(dy, out, int threads):
    """out = dy.sum(axis=0)"""
    cdef memory m = memory_of(dy)
    cdef char *to = writing(out, &m)
    with nogil:
        if m.cols > 0:
            sum_columns(m.kernels, m.data, m.rows, m.cols, to, threads)

"""The matrix product over whole arrays: which way it is computed, in which blocks, by how many threads.

An element of a product is one chain of multiply-adds over ascending k, whatever the blocks, the tile or the number of
threads. So a row of the result depends on that row of `a` alone, bit for bit (docs/decisions, 3).
docs/panels.md explains tiles, blocks and panels.
"""

from fastnn._fastnn cimport FNN_SCRATCH, fnn_kernels, fnn_prefetch, fnn_size, fnn_tiles
from fastnn._native cimport table
from fastnn.kernels._panels cimport panel_offset
from fastnn.kernels._parallel cimport ceil_div, threads_for

from fastnn._validation import refuse

# How a thread's scratch memory is divided: a block of b, a block of a and, at its end, a block of a result that goes
# elsewhere: the transpose of a product (multiply_transposed), or what only `done` needs. docs/decisions 10 and 13
# measured the sizes of the blocks.
cdef enum:
    B_BYTES = 1 << 19
    A_BYTES = 1 << 20
    RESULT_BYTES = 1 << 18

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


cdef inline fnn_size how_many_fit(fnn_size n, fnn_size bytes, fnn_size available) noexcept nogil:
    """Return how many of n items of `bytes` bytes each fit the available bytes, but at least one."""
    return n if n * bytes <= available else max(1, available // bytes)


cdef inline fnn_size even_piece(fnn_size n, fnn_size most) noexcept nogil:
    """Return the length of the first piece of n, cut into as few and as equal pieces of at most `most` as possible."""
    return n if n <= most else ceil_div(n, ceil_div(n, most))


cdef struct block:
    # A part of a product: rows i..i+rows, columns j..j+cols, terms p..p+k of the sums.
    fnn_size i
    fnn_size rows
    fnn_size j
    fnn_size cols
    fnn_size p
    fnn_size k


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


cdef void finish_band(const product *q, const block *band, const block_memory *mem) noexcept nogil:
    """Give a band whose sums are complete to `done`."""
    cdef fnn_size size = q.kernels.itemsize, tile_cols = q.kernels.tile_cols, j = 0, width
    if not q.c_panels:
        q.done(q.context, mem.c, mem.c_row, band.i, band.rows, band.j, band.cols)
        return
    while j < band.cols:
        width = min(tile_cols, band.cols - j)
        q.done(q.context, panel_of_c(mem, j, width, size), width, band.i, band.rows, band.j + j, width)
        j += tile_cols


cdef void multiply_bands(const product *q, const block *blk, block_memory *mem, bint discard_result,
                         bint keep_a) noexcept nogil:
    """Compute one block. A band is a part of its rows, whose tiles go over all panels of the block's b.

    With `keep_a` the bands' packed copies of a stay, one after the other; otherwise each overwrites the one before it.
    """
    cdef const fnn_kernels *kn = q.kernels
    cdef fnn_size size = kn.itemsize, tile_cols = kn.tile_cols, last = blk.i + blk.rows, height
    cdef bint exceeds_l1 = q.m * q.n * size > L1_BYTES
    cdef block band = blk[0]
    while band.i < last:
        band.rows = even_piece(last - band.i, TILES_PER_BAND * kn.tile_rows)
        # Tiles of nearly equal height: in a low last tile each multiply-add would wait for the one before it.
        height = even_piece(band.rows, kn.tile_rows)
        if band.i + band.rows < last:
            band.rows = ceil_div(band.rows, height) * height
        if discard_result:
            mem.c = <char *> table.scratch() + FNN_SCRATCH - RESULT_BYTES
            mem.c_row = ceil_div(band.cols, tile_cols) * tile_cols
            mem.c_rows = band.rows if q.c_panels else 0
        elif q.c_panels:
            mem.c, mem.c_rows, mem.c_first = q.c + band.j * q.m * size, q.m, band.i
        else:
            mem.c, mem.c_row = q.c + (band.i * q.n + band.j) * size, q.n
        if exceeds_l1:
            mem.tile, mem.tiles = ceil_div(band.i - blk.i, height), ceil_div(blk.rows, height)
        multiply_block(q, &band, height, mem)
        if q.done is not NULL and blk.p + blk.k == q.k:  # with this block the sums have all terms
            finish_band(q, &band, mem)
        if keep_a:
            mem.a_panels += band.rows * band.k * size
        band.i += band.rows


cdef void multiply_part(const product *q, const block *part) noexcept nogil:
    """Compute one thread's part of the product, block after block.

    A block has as many rows as the second-level cache holds of a, at most K_BLOCK terms, and as many columns as half of
    that cache holds of b.
    """
    cdef fnn_size size = q.kernels.itemsize, tile_cols = q.kernels.tile_cols
    cdef fnn_size panels = ceil_div(part.cols, tile_cols), column
    cdef bint packing_b = packs_b(q, part), packing_a = packs_a(q, part)
    # With several blocks of terms the later ones add to the result, so it cannot be discarded.
    cdef bint discard_result = q.discard_result and q.k <= K_BLOCK
    cdef char *scratch = <char *> table.scratch()
    cdef block limits, blk
    cdef block_memory mem
    mem.b_panels = mem.a_panels = NULL
    mem.pack_a = False
    mem.c_row = mem.c_rows = mem.c_first = mem.tile = mem.tiles = 0
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
        panels = how_many_fit(panels, TILES_PER_BAND * q.kernels.tile_rows * tile_cols * size,
                              min(RESULT_BYTES, table.l2_bytes // 4))
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
        # Other columns need the packed copy of a again.
        multiply_bands(q, &blk, &mem, discard_result, packing_a and blk.cols < part.cols)


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

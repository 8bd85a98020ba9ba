"""Dense layers: the blocked matrix product around csrc's tile, and its three uses.

An element of a product is one chain of multiply-adds over ascending k, whatever the blocking, the tile or the number of
threads; so a row of the result depends on that row of `a` alone, bit for bit.
"""

from libc.string cimport memcpy

from fastnn._fastnn cimport FNN_LINE, FNN_MAX_PARAMETERS, FNN_SCRATCH, fnn_kernels, fnn_prefetch, fnn_size, fnn_tiles
from fastnn._native cimport activation_index, fill_parameters, memory, memory_of, prepare, reading, table, writing

from fastnn._validation import refuse

# A thread's scratch holds a block of b, a block of a and, at its end, a block of a result that is passed on: a narrow
# product's transpose, or what `done` alone needs.
cdef enum:
    B_BYTES = 1 << 19
    A_BYTES = 1 << 20
    RESULT_BYTES = 1 << 18

# Work for which waking a thread pays, in multiply-adds (or what takes as long).
cdef double WORK_PER_THREAD = 5e5

cdef enum:
    # Terms of a block's sums, and tiles of rows that pass over one panel of b after the other.
    K_BLOCK = 512
    TILES_PER_BLOCK = 9
    # b is read where it lies if it is small, or if few tiles use it. A panel of a larger one is more pages than the
    # processor knows the addresses of, and its lines share few sets of the first-level cache.
    DIRECT_BYTES = 65536
    PACK_MIN_TILES = 3
    PACK_B_MIN_TILES = 5
    # Rows that lie a multiple of this many bytes apart share few sets of the caches.
    SET_STRIDE = 2048
    # Terms of a that lie so many bytes apart are each in a cache line of their own, and soon in a page of its own.
    TERM_STRIDE = 512
    # A result of more bytes is not all in the first-level cache: tiles ask for what the next ones need.
    NEAR_BYTES = 32768
    # Rows of a product with few columns that are done at once.
    FEW_ROWS = 128


# Every level's blocks have room: the last tile, packed as if it were whole, has at most 14 rows, an entry 8 bytes.
if B_BYTES + A_BYTES + 14 * K_BLOCK * 8 + RESULT_BYTES > <fnn_size> FNN_SCRATCH:
    refuse(ImportError, "FNN_SCRATCH", "hold the blocks of a product", FNN_SCRATCH)


cdef int threads_for(double work, int threads) noexcept nogil:
    """How many of the threads a piece of work is worth."""
    cdef double most = work / WORK_PER_THREAD
    if most < 2.0:
        return 1
    return threads if threads < most else <int>most


cdef fnn_size head_of(const void *out, fnn_size itemsize, fnn_size n) noexcept nogil:
    """The elements of n that come before the first cache line that starts in them: a run on its own, so that the stores
    of the others split no lines (NumPy's large arrays start 16 bytes into one)."""
    return min(n, <fnn_size> (-<size_t> out & (FNN_LINE - 1)) // itemsize)


cdef inline fnn_size ceil_div(fnn_size a, fnn_size b) noexcept nogil:
    """The quotient, rounded up. Where both fit, in 32 bits, which some processors divide three times as fast."""
    if 0 <= a < 1 << 30 and 0 < b < 1 << 30:
        return (<unsigned int> a + <unsigned int> b - 1) // <unsigned int> b
    return (a + b - 1) // b


cdef inline fnn_size pieces(fnn_size n, fnn_size bytes, fnn_size room) noexcept nogil:
    """As many of n, of so many bytes each, as there is room for, but at least one."""
    return n if n * bytes <= room else max(1, room // bytes)


cdef struct block:
    # The part of a product that is being worked on: rows i..i+rows, columns j..j+cols, terms p..p+k of the sums.
    fnn_size i
    fnn_size rows
    fnn_size j
    fnn_size cols
    fnn_size p
    fnn_size k


cdef inline fnn_size even(fnn_size n, fnn_size most) noexcept nogil:
    """The length of the first of n's pieces, which are as few and as nearly equal as `most` allows."""
    return n if n <= most else ceil_div(n, ceil_div(n, most))


cdef inline int add_prefetch(fnn_prefetch *queue, int n, const char *at, fnn_size step, fnn_size rows) noexcept nogil:
    """Add one, if it has rows, and return how many there are."""
    if rows > 0:
        queue[n].at, queue[n].step, queue[n].rows = at, step, rows
        n += 1
    return n


cdef struct place:
    # Where a block's operands and its result are, and what is next.
    const char *b_panels    # NULL: b in place
    char *a_panels          # NULL: a in place
    bint pack_a             # into the panels
    char *c                 # the first column's first row
    fnn_size c_row          # elements
    fnn_size c_rows         # c is in panels of so many rows, of which the block's first is c_first; 0: it is not
    fnn_size c_first
    fnn_size tile, tiles    # the first of the tiles on one panel of b, and how many there are in all; none: all is near
    block next              # what will be read of b: terms and columns; none: nothing


# ---- matrices in panels ----

cdef inline fnn_size in_panels(fnn_size rows, fnn_size row, fnn_size col, fnn_size width) noexcept nogil:
    """Where a row lies of the panel, `width` wide, that begins with column `col` of a matrix of so many rows."""
    return col * rows + row * width


cdef void into_panels(const fnn_kernels *kernels, char *matrix, fnn_size rows, fnn_size cols,
                      char *room) noexcept nogil:
    """A matrix that lies row after row, brought into panels; `room` is for as many elements."""
    cdef fnn_size size = kernels.itemsize, nr = kernels.tile_cols, i, j, width
    for i in range(rows):
        j = 0
        while j < cols:
            width = min(nr, cols - j)
            memcpy(room + in_panels(rows, i, j, width) * size, matrix + (i * cols + j) * size, width * size)
            j += nr
    memcpy(matrix, room, rows * cols * size)


cdef void out_of_panels(const fnn_kernels *kernels, char *matrix, fnn_size rows, fnn_size cols,
                        char *room) noexcept nogil:
    """The way back"""
    copy_from_panels(kernels, matrix, rows, cols, 0, rows * cols, room)
    memcpy(matrix, room, rows * cols * kernels.itemsize)


cdef void copy_from_panels(const fnn_kernels *kernels, const char *panels, fnn_size rows, fnn_size cols, fnn_size first,
                           fnn_size n, char *out) noexcept nogil:
    """Elements first..first+n of a matrix, counted row after row"""
    cdef fnn_size size = kernels.itemsize, nr = kernels.tile_cols, row = first // cols, col = first % cols, at, some
    while n > 0:
        at = col % nr
        some = min(n, min(nr, cols - (col - at)) - at)
        memcpy(out, panels + (in_panels(rows, row, col - at, min(nr, cols - (col - at))) + at) * size, some * size)
        out += some * size
        n -= some
        col += some
        if col == cols:
            row, col = row + 1, 0


# ---- blocks ----

# Walks of a tile: the next tile's rows of c, the share of b that will be read, and one without rows.
cdef enum:
    MAX_ASKED = 8
    MAX_PREFETCHES = MAX_ASKED + 2


cdef int prefetch_b(const product *q, const place *here, fnn_size tile, fnn_size j, fnn_size step, fnn_prefetch *queue,
                    int n) noexcept nogil:
    """Add prefetches for a tile's share of what will be read of b, for the panel whose first column is j."""
    cdef const block *next = &here.next
    cdef fnn_size size = q.kernels.itemsize, nr = q.kernels.tile_cols, cols = min(nr, next.cols - j)
    cdef fnn_size each, first, i, end, width
    if cols <= 0:
        return n
    if q.b_col == 1:
        each = ceil_div(next.k, here.tiles)
        first = next.p + tile * each
        i = in_panels(q.k, first, next.j + j, cols) if q.b_panels else first * q.b_k + next.j + j
        return add_prefetch(queue, n, q.b + i * size, (cols if q.b_panels else q.b_k) * size,
                            min(each, next.p + next.k - first))
    if q.b_panels:
        each = min(MAX_ASKED, ceil_div(next.k, nr * here.tiles)) * nr
        i = next.p - next.p % nr + tile * each
        end = min(i + each, next.p + next.k)
        while i < end:
            width = min(nr, q.k - i)
            n = add_prefetch(queue, n, q.b + in_panels(q.n, next.j + j, i, width) * size, width * size, cols)
            i += nr
        return n
    each = min(MAX_ASKED, ceil_div(nr, here.tiles))
    first = tile * each
    for i in range(first, min(first + each, cols)):
        n = add_prefetch(queue, n, q.b + (next.p + (next.j + j + i) * q.b_col) * size, step,
                         ceil_div(next.k * size, step))
    return n


cdef inline char *top_of(const place *here, fnn_size j, fnn_size cols, fnn_size size) noexcept nogil:
    """The first row of a block's panel of c"""
    return here.c + (j if here.c_rows == 0 else in_panels(here.c_rows, here.c_first, j, cols)) * size


cdef void multiply_block(const product *q, const block *at, fnn_size height, const place *here) noexcept nogil:
    """Tiles of one block, `height` rows each: for each panel of b, down all rows."""
    cdef const fnn_kernels *kn = q.kernels
    cdef fnn_size size = kn.itemsize, nr = kn.tile_cols, k = at.k, left, b_step = nr * size, j = 0, tile
    cdef bint far = here.tiles > 0, starts = at.p == 0, in_place = here.b_panels is NULL
    cdef const char *a_top = q.a + (at.i * q.a_row + at.p * q.a_k) * size
    cdef const char *b = q.b + (at.p * q.b_k + at.j) * size
    cdef const char *a
    cdef const char *bias = NULL if q.bias is NULL else q.bias + at.j * size
    cdef char *top = here.c
    cdef char *c
    cdef fnn_tiles t
    cdef fnn_prefetch queue[MAX_PREFETCHES]
    cdef int n
    # A far tile asks for what the next ones need, so that each is a call.
    cdef fnn_size whole = 1 if far else ceil_div(at.rows + 1, height) - 1
    t.k, t.a_row, t.a_k, t.a_tile, t.b_k, t.c_row = k, q.a_row, q.a_k, height * q.a_row, q.b_k, here.c_row
    t.prefetches = queue if far else NULL
    if here.a_panels is not NULL:
        if here.pack_a:
            kn.pack(k, at.rows, height, a_top, t.a_k, t.a_row, here.a_panels, k * height)
        a_top, t.a_row, t.a_k, t.a_tile = here.a_panels, 1, height, k * height
    if not in_place:
        b, t.b_k, b_step = here.b_panels, nr, nr * k * size
    while j < at.cols:
        t.cols = min(nr, at.cols - j)
        if here.c_rows != 0:
            top, t.c_row = top_of(here, j, t.cols, size), t.cols
        if in_place and q.b_panels:
            b, t.b_k = q.b + in_panels(q.k, at.p, at.j + j, t.cols) * size, t.cols
        t.b, t.init_row = b, 0 if starts else t.c_row
        a, c, left, tile = a_top, top, at.rows, here.tile
        while left > 0:
            t.rows = min(height, left)
            t.tiles = whole if left >= height else 1
            left -= t.rows * t.tiles
            if far:
                n = 0
                if left > 0:
                    n = add_prefetch(queue, n, c + height * t.c_row * size, t.c_row * size, min(height, left))
                elif j + nr < at.cols:
                    n = add_prefetch(queue, n, top_of(here, j + nr, min(nr, at.cols - j - nr), size), t.c_row * size,
                                     height)
                n = prefetch_b(q, here, tile, j, nr * size, queue, n)
                queue[n].rows = 0
            t.a, t.init, t.c = a, bias if starts else c, c
            kn.gemm_tiles(&t)
            a += t.tiles * t.a_tile * size
            c += t.tiles * height * t.c_row * size
            tile += 1
        if bias is not NULL:
            bias += nr * size
        b += b_step
        top += nr * size
        j += nr


cdef bint packs_b(const product *q, const block *part) noexcept nogil:
    cdef fnn_size size = q.kernels.itemsize, least = PACK_MIN_TILES
    if q.b_col != 1:
        return True
    if q.b_k * size % SET_STRIDE != 0:
        least = PACK_B_MIN_TILES
    return (not q.b_panels and part.rows >= least * q.kernels.tile_rows and q.n > q.kernels.tile_cols
            and q.k * q.n * size > DIRECT_BYTES)


cdef bint packs_a(const product *q, const block *part) noexcept nogil:
    """Whether what a tile reads of a lies far apart, term by term or row by row (all in the same few sets of the
    cache), and enough panels of b pass over it."""
    cdef fnn_size size = q.kernels.itemsize
    if part.cols < PACK_MIN_TILES * q.kernels.tile_cols:
        return False
    return q.a_row * size % SET_STRIDE == 0 if q.a_k == 1 else q.a_k * size >= TERM_STRIDE


cdef bint next_block(const product *q, const block *part, const block *most, block *at) noexcept nogil:
    """The block after this one: columns, then terms, then rows; at most so many of each. False if it was the last."""
    cdef fnn_size nr = q.kernels.tile_cols, cols
    at.j += at.cols
    if at.j >= part.j + part.cols:
        at.j = part.j
        at.p += at.k
        if at.p >= q.k:
            at.p = 0
            at.i += at.rows
            if at.i >= part.i + part.rows:
                return False
            at.rows = even(part.i + part.rows - at.i, most.rows)
        at.k = min(most.k, q.k - at.p)
    cols = part.j + part.cols - at.j
    at.cols = cols if cols <= most.cols else ceil_div(even(cols, most.cols), nr) * nr
    return True


cdef void pack_b(const product *q, const block *at, char *panels) noexcept nogil:
    """The block's b, in panels one after the other"""
    cdef fnn_size size = q.kernels.itemsize, nr = q.kernels.tile_cols, p = at.p, first, width, some
    if not q.b_panels:
        q.kernels.pack(at.k, at.cols, nr, q.b + (at.p * q.b_k + at.j * q.b_col) * size, q.b_k, q.b_col, panels,
                       at.k * nr)
        return
    while p < at.p + at.k:  # of each panel of what b is the transpose of
        first = p - p % nr
        width = min(nr, q.k - first)
        some = min(first + width, at.p + at.k) - p
        q.kernels.pack(some, at.cols, nr, q.b + (in_panels(q.n, at.j, first, width) + p - first) * size, 1, width,
                       panels + (p - at.p) * nr * size, at.k * nr)
        p += some


cdef void multiply_part(const product *q, const block *part) noexcept nogil:
    """One thread's part of the product: rows of a that the second-level cache holds, then as many terms as a block has,
    then columns of b that half of it holds; then tiles."""
    cdef const fnn_kernels *kn = q.kernels
    cdef fnn_size size = kn.itemsize, nr = kn.tile_cols, tiles = TILES_PER_BLOCK * kn.tile_rows
    cdef fnn_size panels = ceil_div(part.cols, nr), column, last, height, j, width
    cdef bint whole, packing_b = packs_b(q, part), packing_a = packs_a(q, part)
    # A product of several blocks of terms adds to the result, which then has to be kept.
    cdef bint discard_result = q.discard_result and q.k <= K_BLOCK
    cdef bint far = q.m * q.n * size > NEAR_BYTES
    cdef char *scratch = <char *> table.scratch()
    cdef block most, at, some
    cdef place here
    here.b_panels = here.a_panels = NULL
    here.pack_a = False
    here.c_rows = here.c_first = here.tile = here.tiles = 0
    most.rows, most.k = part.rows, K_BLOCK
    if packing_a and packing_b and q.k > K_BLOCK and q.m * q.n * size <= table.l2_bytes // 4:
        # The cache holds the result, which blocks of fewer terms visit more often, and both copies, so that what is
        # copied next takes the place of what has been used.
        most.k = K_BLOCK // 2
    column = max(1, min(most.k, q.k)) * size    # bytes of a block's terms
    if packing_b:
        here.b_panels = scratch
        panels = pieces(panels, column * nr, min(B_BYTES, table.l2_bytes // 2))
    if packing_a:
        most.rows = pieces(most.rows, column, min(A_BYTES, table.l2_bytes))
    if discard_result:
        panels = pieces(panels, tiles * nr * size, min(RESULT_BYTES, table.l2_bytes // 4))
    most.cols = panels * nr
    at.i, at.rows, at.j, at.cols, at.p, at.k = part.i, 0, part.j + part.cols, 0, q.k, 0
    while next_block(q, part, &most, &at):
        here.next = at
        if packing_b:
            pack_b(q, &at, scratch)
            if not next_block(q, part, &most, &here.next):
                here.next.cols = 0
        else:  # the next panel
            here.next.j += nr
            here.next.cols -= nr
        if packing_a:
            here.a_panels, here.pack_a = scratch + B_BYTES, at.j == part.j
        whole = at.p + at.k == q.k      # these are the last terms
        last = at.i + at.rows
        some = at
        while some.i < last:
            some.rows = even(last - some.i, tiles)
            # Tiles of nearly equal height: a short last one would wait on its own additions.
            height = even(some.rows, kn.tile_rows)
            if some.i + some.rows < last:
                some.rows = ceil_div(some.rows, height) * height
            if discard_result:
                here.c, here.c_row = scratch + FNN_SCRATCH - RESULT_BYTES, ceil_div(some.cols, nr) * nr
                here.c_rows = some.rows if q.c_panels else 0
            elif q.c_panels:
                here.c, here.c_rows, here.c_first = q.c + some.j * q.m * size, q.m, some.i
            else:
                here.c, here.c_row = q.c + (some.i * q.n + some.j) * size, q.n
            if far:
                here.tile, here.tiles = ceil_div(some.i - at.i, height), ceil_div(at.rows, height)
            multiply_block(q, &some, height, &here)
            if q.done is not NULL and whole:
                if q.c_panels:
                    j = 0
                    while j < some.cols:
                        width = min(nr, some.cols - j)
                        q.done(q.context, top_of(&here, j, width, size), width, some.i, some.rows, some.j + j, width)
                        j += nr
                else:
                    q.done(q.context, here.c, here.c_row, some.i, some.rows, some.j, some.cols)
            if packing_a and at.cols < part.cols:  # other columns will need the copy
                here.a_panels += some.rows * some.k * size
            some.i += some.rows


cdef void multiply_row(const product *q, const block *part) noexcept nogil:
    """A part of one row, with b where it lies."""
    cdef fnn_size size = q.kernels.itemsize, at = part.j * size
    cdef char *c = q.c + part.i * q.n * size + at
    q.kernels.gemm_row(q.k, q.a + part.i * q.a_row * size, q.a_k, q.b + at, q.b_k,
                       NULL if q.bias is NULL else q.bias + at, c, part.cols)
    if q.done is not NULL:
        q.done(q.context, c, q.n, part.i, 1, part.j, part.cols)


cdef void multiply_few(const product *q, const block *part) noexcept nogil:
    """Few columns, a and b where they lie."""
    cdef fnn_size size = q.kernels.itemsize, i = part.i, end = part.i + part.rows, rows
    cdef char *c
    while i < end:
        rows = min(end - i, FEW_ROWS)
        c = q.c + i * q.n * size
        q.kernels.gemm_few(q.k, q.a + i * q.a_row * size, q.a_row, q.b, q.b_k, q.bias, c, rows, q.n)
        if q.done is not NULL:
            q.done(q.context, c, q.n, i, rows, 0, q.n)
        i += rows


cdef bint is_few(const product *q, const block *part) noexcept nogil:
    """Whether rows fill the lanes better than columns do."""
    return (q.a_k == 1 and q.b_col == 1 and part.cols == q.n and q.n <= q.kernels.few_cols and q.k >= q.kernels.lanes)


cdef bint rows_fill_better(const fnn_kernels *kernels, fnn_size rows, fnn_size cols) noexcept nogil:
    """Whether a matrix's rows, each a lane, fill vectors better than its columns do."""
    return 4 * cols * ceil_div(rows, kernels.lanes) < 3 * rows * ceil_div(cols, kernels.lanes)


cdef bint is_narrow(const product *q, const block *part) noexcept nogil:
    """Whether the transposed product, c.T = b.T @ a.T, fills vectors better, and reads both operands where they lie."""
    return (q.a_row == 1 and q.b_col == 1 and q.bias is NULL and part.cols == q.n
            and rows_fill_better(q.kernels, part.rows, q.n))


cdef bint panels_pay(const fnn_kernels *kernels, fnn_size rows, fnn_size cols) noexcept nogil:
    """Whether a product with such a b packs it, or would read it with too large strides."""
    return (cols > kernels.tile_cols and rows * cols * kernels.itemsize > DIRECT_BYTES
            and not rows_fill_better(kernels, rows, cols))


cdef void multiply_narrow(const product *q, const block *part) noexcept nogil:
    """The same sums, term for term, with the columns of c in the rows of tiles."""
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
    elif is_few(q, &part):
        multiply_few(q, &part)
    elif is_narrow(q, &part):
        multiply_narrow(q, &part)
    else:
        multiply_part(q, &part)


cdef void multiply(product *p, int threads) noexcept nogil:
    """The product, in as many parts as threads are worth it."""
    cdef split s
    if p.m == 0 or p.n == 0:
        return
    s.q = p
    s.parts = threads_for(<double> p.m * p.n * p.k, threads)
    s.by_rows = p.m * p.kernels.tile_cols >= p.n * p.kernels.tile_rows    # more tiles down than across
    table.parallel(run_part, &s, s.parts, threads)


cdef struct columns:
    const fnn_kernels *kernels
    const char *x
    fnn_size rows
    fnn_size cols
    fnn_size each
    char *out


cdef void sum_some(void *context, fnn_size index) noexcept nogil:
    cdef const columns *s = <const columns *> context
    cdef fnn_size first = index * s.each, offset = first * s.kernels.itemsize
    s.kernels.column_sum(s.x + offset, s.cols, s.rows, min(s.each, s.cols - first), s.out + offset)


cdef void sum_columns(const fnn_kernels *kernels, const char *x, fnn_size rows, fnn_size cols, char *out,
                      int threads) noexcept nogil:
    """out[j] = sum over i, ascending, of x[i, j]"""
    cdef columns s
    cdef int parts = threads_for(<double> rows * cols, threads)
    s.kernels, s.x, s.rows, s.cols, s.out = kernels, x, rows, cols, out
    s.each = ceil_div(ceil_div(cols, parts), kernels.tile_cols) * kernels.tile_cols
    if cols > 0:
        table.parallel(sum_some, &s, ceil_div(cols, s.each), threads)


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


# ---- the inner twins ----


cdef int run_product(out, const memory *a, fnn_size a_row, fnn_size a_k, const memory *b, fnn_size b_k, fnn_size b_col,
                     fnn_size k, bias, block_done done, void *context, int threads) except -1:
    cdef product p
    cdef memory c = memory_of(out)
    p.kernels, p.m, p.n, p.k = a.kernels, c.rows, c.cols, k
    p.a, p.a_row, p.a_k = a.data, a_row, a_k
    p.b, p.b_k, p.b_col = b.data, b_k, b_col
    p.bias, p.c, p.done, p.context, p.discard_result = reading(bias, a), writing(out, b), done, context, False
    p.b_panels = p.c_panels = False
    prepare()
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

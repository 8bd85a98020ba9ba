/* dense.inc.c: the tile of a matrix product, its variants for one row and for few columns, packing of operands into panels, and
 * column sums.  A dense layer's output and the gradients of its input and weight are products; the bias's gradient is a column
 * sum. The loops over blocks are in kernels/_product_cy.pyx; docs/panels.md explains tiles, blocks and panels.
 */

/* Tile shapes: as many accumulators as the register file holds beside a row of b and one broadcast entry of a (docs/decisions,
 * 3; 13 compares other shapes). */
#if FNN_VBYTES == 64
enum { TILE_ROWS = 14, TILE_VECS = 2 };
#elif FNN_VBYTES == 32
enum { TILE_ROWS = 6, TILE_VECS = 2 };
#elif defined(__aarch64__)
enum { TILE_ROWS = 8, TILE_VECS = 3 };
#else
enum { TILE_ROWS = 4, TILE_VECS = 2 };
#endif
#define TILE_COLS (TILE_VECS * LANES)
enum { TILE_LINES = (TILE_VECS * FNN_VBYTES + FNN_LINE - 1) / FNN_LINE }; /* cache lines of a tile's row */

/* How many rows one pointer into a reaches, by 0, 1 and 2 strides (measured in docs/decisions, 13). */
enum { POINTER_ROWS = 3 };
/* The multiply-adds of every third row but the first (4 of 14) read their entry of a from memory, which saves an instruction.
 * With more of them the two load ports would be the bottleneck. */
enum { MEMORY_OPERAND_ROWS = 3 };

/* Loads `vecs` vectors.  The last one holds `tail` elements (0: all of them). */
ALWAYS_INLINE void load_row(const int vecs, const fnn_size tail, const real *p, vreal v[TILE_VECS]) {
    UNROLL for (int j = 0; j < vecs; j++)
        v[j] = tail > 0 && j == vecs - 1 ? v_load_part(p + j * LANES, tail) : v_load(p + j * LANES);
}

/* Parts of the loop in `tile`, in terms of its variables. */
#define ENTRY(i, term) \
    (by_terms ? a_rows[0] + (i) : a_rows[(i) / POINTER_ROWS] + (i) % POINTER_ROWS * a_stride + (term))
#define TILE_TERM(term)                                                                                       \
    {                                                                                                         \
        vreal bv[TILE_VECS];                                                                                  \
        load_row(vecs, tail, b, bv);                                                                          \
        UNROLL for (int i = 0; i < rows; i++) {                                                               \
            if (vecs == TILE_VECS && i > 0 && i % MEMORY_OPERAND_ROWS == 0) {                                 \
                UNROLL for (int j = 0; j < vecs; j++) acc[i][j] = v_fma_at(ENTRY(i, term), bv[j], acc[i][j]); \
            } else {                                                                                          \
                const vreal av = v_set(*ENTRY(i, term));                                                      \
                UNROLL for (int j = 0; j < vecs; j++) acc[i][j] = v_fma(av, bv[j], acc[i][j]);                \
            }                                                                                                 \
        }                                                                                                     \
        if (by_terms) {                                                                                       \
            a_rows[0] += a_stride;                                                                            \
            V_OPAQUE(a_rows[0]);                                                                              \
        }                                                                                                     \
        b += b_k;                                                                                             \
        V_OPAQUE(b);                                                                                          \
    }
#define NEXT_TERMS(n)                                                                          \
    if (!by_terms) UNROLL for (int i = 0; i < (rows + POINTER_ROWS - 1) / POINTER_ROWS; i++) { \
            a_rows[i] += (n);                                                                  \
            V_OPAQUE(a_rows[i]);                                                               \
        }
#define TWO_TERMS() TILE_TERM(0) TILE_TERM(1) NEXT_TERMS(2)

/* One tile, for a constant number of rows and vectors.  It is inlined into each case of the switch below, so that every loop
 * over rows and vectors unrolls and the accumulators stay in registers.
 *
 * Where two threads share a core, each has half of its issue slots.  So as few instructions as possible are not multiply-adds:
 * - by_terms (a_row is 1: a is packed, or the transpose of a matrix in memory): one pointer into a reaches all rows.
 * - otherwise (a_k is 1): every third row has a pointer.  The two rows after it are reached by one or two strides, and the next
 *   term without moving the pointer.
 * - two terms in each pass of the loop.
 *
 * Prefetches are spread evenly, one row of them with every second term (docs/decisions, 11).  Issued all at once they would
 * fill the line-fill buffers of the first-level cache, so that the tile's own loads would wait; and a loop that ended after
 * each prefetch would be a mispredicted branch every time. */
ALWAYS_INLINE void tile(const int rows, const int vecs, const fnn_size tail, const int by_terms, fnn_size k, const real *a,
                        fnn_size a_stride, const real *b, fnn_size b_k, const real *init, fnn_size init_row, real *c,
                        fnn_size c_row, const fnn_prefetch *prefetch) {
    vreal acc[TILE_ROWS][TILE_VECS];
    const real *a_rows[(TILE_ROWS + POINTER_ROWS - 1) / POINTER_ROWS];
    const int from_zero = init == NULL;
    UNROLL for (int i = 0; i < rows; i++) {
        if (i % POINTER_ROWS == 0 && (i == 0 || !by_terms)) a_rows[i / POINTER_ROWS] = a + i * a_stride;
        if (from_zero) {
            UNROLL for (int j = 0; j < vecs; j++) acc[i][j] = (vreal){0};
        } else {
            load_row(vecs, tail, init, acc[i]);
            init += init_row;
            V_OPAQUE(init);
        }
    }
    if (vecs == TILE_VECS && tail == 0) {
        fnn_size left = prefetch ? prefetch->rows : 0;
        if (left > 0) {
            const char *row = prefetch->address;
            fnn_size stride = prefetch->stride;
            for (; k >= 2 && left > 0; k -= 2) {
                UNROLL for (int line = 0; line < TILE_LINES; line++) __builtin_prefetch(row + line * FNN_LINE);
                row += stride;
                if (--left == 0) {
                    prefetch++;
                    row = prefetch->address, stride = prefetch->stride, left = prefetch->rows;
                }
                TWO_TERMS()
            }
        }
        for (; k >= 2; k -= 2) { TWO_TERMS() }
    }
    for (; k > 0; k--) { TILE_TERM(0) NEXT_TERMS(1) }
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int j = 0; j < vecs; j++) {
            if (tail > 0 && j == vecs - 1)
                v_store_part(c + j * LANES, acc[i][j], tail);
            else
                v_store(c + j * LANES, acc[i][j]);
        }
        c += c_row;
        V_OPAQUE(c);
    }
}

#undef TWO_TERMS
#undef NEXT_TERMS
#undef TILE_TERM
#undef ENTRY

#define TILE_CASE(n)                                                                                                           \
    case n:                                                                                                                    \
        if (n <= TILE_ROWS)                                                                                                    \
            for (fnn_size left = t->tiles; left > 0; left--) {                                                                 \
                tile(n, vecs, tail, by_terms, t->k, a, a_stride, t->b, t->b_k, init, t->init_row, c, t->c_row, t->prefetches); \
                a += t->a_tile;                                                                                                \
                c += n * t->c_row;                                                                                             \
                if (init) init += n * t->init_row;                                                                             \
            }                                                                                                                  \
        break;

/* All tiles of t.  The number of rows becomes a constant. */
ALWAYS_INLINE void tiles_of(const int vecs, const fnn_size tail, const int by_terms, const fnn_tiles *t) {
    const fnn_size a_stride = by_terms ? t->a_k : t->a_row;
    const real *a = t->a, *init = t->init;
    real *c = t->c;
    switch (t->rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
#if FNN_VBYTES >= 32 || defined(__aarch64__)
        TILE_CASE(5)
        TILE_CASE(6)
#endif
#if FNN_VBYTES == 64 || defined(__aarch64__)
        TILE_CASE(7)
        TILE_CASE(8)
#endif
#if FNN_VBYTES == 64
        TILE_CASE(9)
        TILE_CASE(10)
        TILE_CASE(11)
        TILE_CASE(12)
        TILE_CASE(13)
        TILE_CASE(14)
#endif
        default:
            break;
    }
}

/* The number of vectors, and whether the last is whole, become constants. */
ALWAYS_INLINE void tiles_by(const int by_terms, const fnn_tiles *t) {
    const fnn_size tail = t->cols % LANES;
#define TILE_VECS_CASE(n)                   \
    case n:                                 \
        if (tail == 0)                      \
            tiles_of(n, 0, by_terms, t);    \
        else                                \
            tiles_of(n, tail, by_terms, t); \
        break;
    switch ((t->cols + LANES - 1) / LANES) {
        TILE_VECS_CASE(1)
        TILE_VECS_CASE(2)
#if defined(__aarch64__)
        TILE_VECS_CASE(3)
#endif
        default:
            break;
    }
}

static void gemm_tiles(const fnn_tiles *t) {
    if (t->a_row == 1)
        tiles_by(1, t);
    else
        tiles_by(0, t);
}

/* A single row of a: many columns at once, so that b is read along its rows.  Their sums take half of the registers (on aarch64
 * a quarter). */
#if FNN_VBYTES == 64
enum { ROW_VECS = 16 };
#else
enum { ROW_VECS = 8 };
#endif
enum { ROW_VECS_REST = 4 }; /* for the columns left: this many vectors at once, then single ones */

/* `vecs` vectors of one row of c; or one vector of `tail` elements. */
ALWAYS_INLINE void row_part(const int vecs, const fnn_size tail, fnn_size k, const real *a, fnn_size a_k, const real *b,
                            fnn_size b_k, const real *init, real *c) {
    vreal acc[ROW_VECS];
    UNROLL for (int j = 0; j < vecs; j++)
        acc[j] = !init ? (vreal){0} : tail > 0 ? v_load_part(init, tail) : v_load(init + j * LANES);
    for (fnn_size p = 0; p < k; p++, b += b_k) {
        const vreal av = v_set(a[p * a_k]);
        UNROLL for (int j = 0; j < vecs; j++)
            acc[j] = v_fma(av, tail > 0 ? v_load_part(b, tail) : v_load(b + j * LANES), acc[j]);
    }
    UNROLL for (int j = 0; j < vecs; j++) {
        if (tail > 0)
            v_store_part(c, acc[j], tail);
        else
            v_store(c + j * LANES, acc[j]);
    }
}

static void gemm_row(fnn_size k, const void *a, fnn_size a_k, const void *b_, fnn_size b_k, const void *init_, void *c_,
                     fnn_size cols) {
    const real *b = b_, *init = init_;
    real *c = c_;
    fnn_size j = 0;
#define ROW_INIT (init ? init + j : NULL)
    for (; j + ROW_VECS * LANES <= cols; j += ROW_VECS * LANES) row_part(ROW_VECS, 0, k, a, a_k, b + j, b_k, ROW_INIT, c + j);
    for (; j + ROW_VECS_REST * LANES <= cols; j += ROW_VECS_REST * LANES)
        row_part(ROW_VECS_REST, 0, k, a, a_k, b + j, b_k, ROW_INIT, c + j);
    for (; j + LANES <= cols; j += LANES) row_part(1, 0, k, a, a_k, b + j, b_k, ROW_INIT, c + j);
    if (j < cols) row_part(1, cols - j, k, a, a_k, b + j, b_k, ROW_INIT, c + j);
}

/* One stage of the transposition of a square: in every group of 2h lanes, the second half of row i and the first half of row i
 * + h are exchanged. */
#define LOW_LANE(i, h) ((i) & (h) ? FNN_LANES + (i) - (h) : (i))
#define HIGH_LANE(i, h) ((i) & (h) ? FNN_LANES + (i) : (i) + (h))
#define LANES_2(F, i, h) F(i, h), F((i) + 1, h)
#define LANES_4(F, i, h) LANES_2(F, i, h), LANES_2(F, (i) + 2, h)
#define LANES_8(F, i, h) LANES_4(F, i, h), LANES_4(F, (i) + 4, h)
#define LANES_16(F, i, h) LANES_8(F, i, h), LANES_8(F, (i) + 8, h)
#define ALL_LANES(F, h) FNN_PASTE(LANES_, FNN_LANES, )(F, 0, h)
#define EXCHANGE(row, h)                                                       \
    UNROLL for (int i = 0; i < FNN_LANES; i++) {                               \
        if (i & (h)) continue;                                                 \
        const vreal a = row[i], b = row[i + (h)];                              \
        row[i] = __builtin_shufflevector(a, b, ALL_LANES(LOW_LANE, h));        \
        row[i + (h)] = __builtin_shufflevector(a, b, ALL_LANES(HIGH_LANE, h)); \
    }

ALWAYS_INLINE void transpose(vreal row[FNN_LANES]) {
    EXCHANGE(row, 1)
#if FNN_LANES > 2
    EXCHANGE(row, 2)
#endif
#if FNN_LANES > 4
    EXCHANGE(row, 4)
#endif
#if FNN_LANES > 8
    EXCHANGE(row, 8)
#endif
}

/* Copies n elements and fills up to `width` with zeros. */
ALWAYS_INLINE void copy_row(const real *from, real *to, fnn_size n, fnn_size width) {
    FNN_RUN(j, count, n, v_store_n(to + j, v_load_n(from + j, count), count));
    for (fnn_size j = n; j < width; j++) to[j] = 0;
}

/* Copies rows of one panel, `vecs` vectors each.  Of the last vector `loaded` elements are read (0: all).  It is stored as a
 * whole vector, because the next row overwrites the surplus; only the panel's last row stores exactly `tail` elements of
 * it (0: all).  Source and target have one moving pointer each: otherwise the compiler made one for each row and
 * spilled them (docs/decisions, 15). */
ALWAYS_INLINE void copy_rows(const int vecs, const fnn_size loaded, const fnn_size tail, const real *src, fnn_size src_k,
                             real *to, fnn_size width, const fnn_size rows, const int last) {
    UNROLL for (fnn_size p = 0; p < rows; p++) {
        vreal v[TILE_VECS > 2 ? TILE_VECS : 2];
        load_row(vecs, loaded, src, v);
        UNROLL for (int j = 0; j < vecs; j++) {
            if (tail > 0 && last && j == vecs - 1)
                v_store_part(to + j * LANES, v[j], tail);
            else
                v_store(to + j * LANES, v[j]);
        }
        src += src_k;
        V_OPAQUE(src);
        to += width;
        V_OPAQUE(to);
    }
}

/* Packing copies this many rows into one panel before it goes to the next panel.  Panels may be a multiple of 4 KiB apart, so
 * that their lines share few sets of the first-level cache: a line has to be filled before it is evicted (docs/decisions, 11).
 */
enum { ROWS_TOGETHER = 8 };

/* Packs panels whose rows have `vecs` vectors (0: any number).  The last vector has `tail` elements (0: all). */
ALWAYS_INLINE void pack_rows_of(const int vecs, const fnn_size tail, fnn_size k, fnn_size cols, fnn_size width,
                                const real *src, fnn_size src_k, real *panels, fnn_size panel_stride) {
    const fnn_size before = (vecs - 1) * LANES; /* elements before the last vector */
    while (k > 0) {
        const fnn_size rows = k > ROWS_TOGETHER ? ROWS_TOGETHER : 1;
        const real *from = src;
        real *to = panels;
        for (fnn_size left = cols; left > 0; left -= width, from += width, to += panel_stride) {
            const fnn_size present = left < width ? left : width;
            const fnn_size loaded = tail == 0 || present == width ? tail : present - before;
            if (vecs == 0 || (present < width && (tail == 0 || loaded <= 0)))
                for (fnn_size i = 0; i < rows; i++) copy_row(from + i * src_k, to + i * width, present, width);
            else if (rows > 1)
                copy_rows(vecs, loaded, tail, from, src_k, to, width, ROWS_TOGETHER, 0);
            else
                copy_rows(vecs, loaded, tail, from, src_k, to, width, 1, k == 1);
        }
        k -= rows;
        src += rows * src_k;
        panels += rows * width;
    }
}

/* Packs a source whose terms are rows: src_col is 1. */
static void pack_rows(fnn_size k, fnn_size cols, fnn_size width, const real *src, fnn_size src_k, real *panels,
                      fnn_size panel_stride) {
    const fnn_size tail = width % LANES ? width % LANES : LANES;
    if (width == TILE_COLS)
        pack_rows_of(TILE_VECS, 0, k, cols, width, src, src_k, panels, panel_stride);
    else if (width <= LANES)
        pack_rows_of(1, tail, k, cols, width, src, src_k, panels, panel_stride);
    else if (width <= 2 * LANES)
        pack_rows_of(2, tail, k, cols, width, src, src_k, panels, panel_stride);
    else
        pack_rows_of(0, 0, k, cols, width, src, src_k, panels, panel_stride);
}

/* Loads `rows` rows of n elements into a square of LANES by LANES, zeros elsewhere, and transposes it.  One moving
 * pointer, as in copy_rows: otherwise the compiler would make one for each row (docs/decisions, 14). */
ALWAYS_INLINE void load_transposed(fnn_size rows, fnn_size n, const real *src, fnn_size src_row, vreal square[FNN_LANES]) {
    UNROLL for (int i = 0; i < FNN_LANES; i++) {
        square[i] = i >= rows ? (vreal){0} : n < LANES ? v_load_part(src, n) : v_load(src);
        src += src_row;
        V_OPAQUE(src);
    }
    transpose(square);
}

/* Packs a square of LANES terms by LANES columns.  The source has `terms` terms of `cols` columns; `stored` columns are
 * written. */
ALWAYS_INLINE void pack_square(fnn_size terms, fnn_size cols, fnn_size stored, fnn_size width, const real *src,
                               fnn_size src_col, real *to) {
    vreal row[FNN_LANES];
    load_transposed(cols, terms, src, src_col, row);
    UNROLL for (int i = 0; i < FNN_LANES; i++) {
        if (i >= terms) break;
        if (stored < LANES)
            v_store_part(to, row[i], stored);
        else
            v_store(to, row[i]);
        to += width;
        V_OPAQUE(to);
    }
}

/* Packs one panel of a source whose columns are rows: src_k is 1. */
static void pack_transposed(fnn_size k, fnn_size cols, fnn_size width, const real *src, fnn_size src_col, real *panel) {
    for (fnn_size j = 0; j < width; j += LANES) {
        const fnn_size stored = width - j < LANES ? width - j : LANES;
        for (fnn_size p = 0; p < k; p += LANES) {
            const fnn_size terms = k - p < LANES ? k - p : LANES;
            const real *from = src + j * src_col + p;
            real *to = panel + p * width + j;
            if (terms == LANES && cols - j >= LANES && stored == LANES)
                pack_square(LANES, LANES, LANES, width, from, src_col, to);
            else
                pack_square(terms, cols - j, stored, width, from, src_col, to);
        }
    }
}

static void pack(fnn_size k, fnn_size cols, fnn_size width, const void *src_, fnn_size src_k, fnn_size src_col,
                 void *panels_, fnn_size panel_stride) {
    const real *src = src_;
    real *panels = panels_;
    if (src_col == 1) {
        pack_rows(k, cols, width, src, src_k, panels, panel_stride);
        return;
    }
    for (fnn_size j = 0; j < cols; j += width, panels += panel_stride)
        pack_transposed(k, cols - j < width ? cols - j : width, width, src + j * src_col, src_col, panels);
}

/* Few columns: a lane holds a row, so that a term takes one multiply-add for each column instead of one for each row
 * (docs/decisions, 13). */
enum { FEW_COLS = FNN_LANES / 2 };

/* Adds the next `terms` terms, at most LANES, of `rows` rows, at most LANES. */
ALWAYS_INLINE void few_terms(const int cols, fnn_size rows, fnn_size terms, const real *a, fnn_size a_row, const real *b,
                             fnn_size b_k, vreal acc[FEW_COLS]) {
    vreal row[FNN_LANES];
    load_transposed(rows, terms, a, a_row, row);
    UNROLL for (int i = 0; i < FNN_LANES; i++) {
        if (i >= terms) break;
        UNROLL for (int j = 0; j < cols; j++) acc[j] = v_fma_at(b + j, row[i], acc[j]);
        b += b_k;
    }
}

/* c for at most LANES rows and a constant number of columns. */
ALWAYS_INLINE void few_columns(const int cols, fnn_size rows, fnn_size k, const real *a, fnn_size a_row, const real *b,
                               fnn_size b_k, const real *bias, real *c) {
    vreal acc[FEW_COLS], row[FNN_LANES];
    UNROLL for (int j = 0; j < cols; j++) acc[j] = bias ? v_set(bias[j]) : (vreal){0};
    fnn_size p = 0;
    for (; p + LANES <= k; p += LANES) few_terms(cols, rows, LANES, a + p, a_row, b + p * b_k, b_k, acc);
    if (p < k) few_terms(cols, rows, k - p, a + p, a_row, b + p * b_k, b_k, acc);
    UNROLL for (int j = 0; j < FNN_LANES; j++) row[j] = j < cols ? acc[j < cols ? j : 0] : (vreal){0};
    transpose(row);
    UNROLL for (int i = 0; i < FNN_LANES; i++)
        if (i < rows) v_store_part(c + i * cols, row[i], cols);
}

#define FEW_CASE(n)                                                              \
    case n:                                                                      \
        for (; rows >= LANES; rows -= LANES, a += LANES * a_row, c += LANES * n) \
            few_columns(n, LANES, k, a, a_row, b, b_k, bias, c);                 \
        if (rows > 0) few_columns(n, rows, k, a, a_row, b, b_k, bias, c);        \
        break;

static void gemm_few(fnn_size k, const void *a_, fnn_size a_row, const void *b_, fnn_size b_k, const void *bias_, void *c_,
                     fnn_size rows, fnn_size cols) {
    const real *a = a_, *b = b_, *bias = bias_;
    real *c = c_;
    switch (cols) {
        FEW_CASE(1)
#if FNN_LANES >= 4
        FEW_CASE(2)
#endif
#if FNN_LANES >= 8
        FEW_CASE(3)
        FEW_CASE(4)
#endif
#if FNN_LANES >= 16
        FEW_CASE(5)
        FEW_CASE(6)
        FEW_CASE(7)
        FEW_CASE(8)
#endif
        default:
            break;
    }
}

/* One to SUM_VECS vectors of columns at once, each an independent chain of additions. */
enum { SUM_VECS = 4 };
ALWAYS_INLINE void column_sum_of(const int vecs, const fnn_size tail, const real *x, fnn_size x_row, fnn_size rows,
                                 real *sum) {
    vreal acc[SUM_VECS] = {{0}, {0}, {0}, {0}};
    for (fnn_size i = 0; i < rows; i++, x += x_row)
        UNROLL for (int j = 0; j < vecs; j++)
            acc[j] += tail > 0 ? v_load_part(x, tail) : v_load(x + j * LANES);
    UNROLL for (int j = 0; j < vecs; j++) {
        if (tail > 0)
            v_store_part(sum, acc[j], tail);
        else
            v_store(sum + j * LANES, acc[j]);
    }
}

static void column_sum(const void *x_, fnn_size x_row, fnn_size rows, fnn_size cols, void *sum_) {
    const real *x = x_;
    real *sum = sum_;
    fnn_size j = 0;
    for (; j + SUM_VECS * LANES <= cols; j += SUM_VECS * LANES) column_sum_of(SUM_VECS, 0, x + j, x_row, rows, sum + j);
    for (; j + LANES <= cols; j += LANES) column_sum_of(1, 0, x + j, x_row, rows, sum + j);
    if (j < cols) column_sum_of(1, cols - j, x + j, x_row, rows, sum + j);
}

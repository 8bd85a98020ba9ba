/* normalization.inc.c: batch norm on a strip of columns: mean and variance, the affine map that normalises, and the backward
 * pass.
 *
 * A lane holds a column.  Sums take ROWS rows at a time and go along them, so that memory is read in its order and each
 * column's sum is loaded and stored once for ROWS rows (docs/decisions, 9).  A column is summed in the order of its rows.
 */
#define ROWS 8                        /* rows of a group */
#define ROWS_INVERSE R(0.125)         /* 1 / ROWS */
#define STRIP 1024                    /* most columns taken at a time, so that their factors fit a buffer on the stack */
#define SLOPE_VECS 4                  /* vectors that norm_backward loads before it stores the first */
#define NORM_PREFETCH_BYTES (1 << 18) /* norm_backward prefetches in larger arrays (docs/decisions, 14) */

/* STATEMENT for each row r of a group of `count` */
#define FOR_ROWS(r, count, STATEMENT)                        \
    do {                                                     \
        if (count == ROWS) {                                 \
            UNROLL for (int r = 0; r < ROWS; r++) STATEMENT; \
        } else {                                             \
            for (int r = 0; r < count; r++) STATEMENT;       \
        }                                                    \
    } while (0)

/* Mean and variance in one pass (docs/decisions, 10): mean and sum of squared deviations of ROWS rows are computed in registers
 * and merged with those of the rows before (Chan, Golub and LeVeque, 1979).  Everything is relative to the first row: where the
 * mean is large compared with the deviations, the differences are exact or almost exact, and nothing cancels later. */
static void moments_strip(const real *x, fnn_size x_row, fnn_size rows, fnn_size cols, real *mean, real *var) {
    memset(mean, 0, (size_t)cols * sizeof *mean);
    memset(var, 0, (size_t)cols * sizeof *var);
    for (fnn_size i = 0; i < rows; i += ROWS) {
        const int count = rows - i < ROWS ? (int)(rows - i) : ROWS;
        const int prefetch = i + 2 * ROWS <= rows; /* there is another full group, which is prefetched */
        const real *top = x + i * x_row, part = (real)count / (real)(i + count), merged = part * (real)i;
        FNN_RUN(j, width, cols, {
            const vreal first = v_load_n(x + j, width), before = v_load_n(mean + j, width);
            vreal row[ROWS], sum = v_set(0), squares = v_load_n(var + j, width);
            FOR_ROWS(r, count, sum += row[r] = v_load_n(top + r * x_row + j, width) - first);
            if (prefetch) FOR_ROWS(r, ROWS, V_PREFETCH(top + r * x_row + j, ROWS * x_row));
            const vreal center = count == ROWS ? sum * ROWS_INVERSE : sum / (real)count, shift = center - before;
            FOR_ROWS(r, count, {
                const vreal d = row[r] - center;
                squares = v_fma(d, d, squares);
            });
            v_store_n(mean + j, v_fma(shift, v_set(part), before), width);
            v_store_n(var + j, v_fma(shift * shift, v_set(merged), squares), width);
        });
    }
    FNN_RUN(j, width, cols, {
        v_store_n(mean + j, v_load_n(x + j, width) + v_load_n(mean + j, width), width);
        v_store_n(var + j, v_load_n(var + j, width) / (real)rows, width);
    });
}

static void column_moments(const void *x_, fnn_size x_row, fnn_size rows, fnn_size cols, void *mean_, void *var_) {
    const real *x = x_;
    real *mean = mean_, *var = var_;
    for (fnn_size j = 0; j < cols; j += STRIP)
        moments_strip(x + j, x_row, rows, cols - j < STRIP ? cols - j : STRIP, mean + j, var + j);
}

static void affine(const void *x_, fnn_size x_row, void *y_, fnn_size y_row, fnn_size rows, fnn_size cols, const void *center_,
                   const void *scale_, const void *shift_) {
    const real *x = x_, *center = center_, *scale = scale_, *shift = shift_;
    real *y = y_;
    for (; rows > 0; rows--, x += x_row, y += y_row) {
        const int prefetch = (rows - 1) * x_row >= AHEAD_2_KIB && (rows - 1) * y_row >= AHEAD_2_KIB;
        FNN_RUN(j, width, cols, {
            const vreal d = v_load_n(x + j, width) - v_load_n(center + j, width);
            if (prefetch) V_PREFETCH(x + j, AHEAD_2_KIB), V_PREFETCH_WRITE(y + j, AHEAD_2_KIB);
            v_store_n(y + j, v_fma(d, v_load_n(scale + j, width), v_load_n(shift + j, width)), width);
        });
    }
}

static void norm_reduce(const void *dy_, fnn_size dy_row, const void *x_, fnn_size x_row, fnn_size rows, fnn_size cols,
                        const void *mean_, const void *inv_std_, void *sum_dy_, void *sum_dy_xhat_) {
    const real *dy = dy_, *x = x_, *mean = mean_, *inv_std = inv_std_;
    real *sum_dy = sum_dy_, *sum_dy_xhat = sum_dy_xhat_;
    memset(sum_dy, 0, (size_t)cols * sizeof *sum_dy);
    memset(sum_dy_xhat, 0, (size_t)cols * sizeof *sum_dy_xhat);
    for (fnn_size i = 0; i < rows; i += ROWS) {
        const int count = rows - i < ROWS ? (int)(rows - i) : ROWS;
        const real *dy_top = dy + i * dy_row, *x_top = x + i * x_row;
        FNN_RUN(j, width, cols, {
            const vreal center = v_load_n(mean + j, width);
            vreal sum = v_load_n(sum_dy + j, width), product = v_load_n(sum_dy_xhat + j, width);
            FOR_ROWS(r, count, {
                const vreal d = v_load_n(dy_top + r * dy_row + j, width);
                sum += d;
                product = v_fma(d, v_load_n(x_top + r * x_row + j, width) - center, product);
            });
            v_store_n(sum_dy + j, sum, width);
            v_store_n(sum_dy_xhat + j, product, width);
        });
    }
    for (fnn_size j = 0; j < cols; j++) sum_dy_xhat[j] *= inv_std[j];
}

/* dx = (dy - offset + (x - center) * slope) * gain, for a group of vectors.  All are loaded before the first is stored: where
 * addresses agree in their low 12 bits, a load would wait for the store before it (docs/decisions, 9). */
ALWAYS_INLINE void slope_group(const int vecs, fnn_size width, const real *dy, const real *x, real *dx, const real *center,
                               const real *offset, const real *slope, const real *gain) {
    vreal d[SLOPE_VECS], e[SLOPE_VECS];
    UNROLL for (int i = 0; i < vecs; i++) d[i] = v_load_n(x + i * LANES, width), e[i] = v_load_n(dy + i * LANES, width);
    UNROLL for (int i = 0; i < vecs; i++) {
        const vreal deviation = d[i] - v_load_n(center + i * LANES, width);
        const vreal shifted = e[i] - v_load_n(offset + i * LANES, width);
        const vreal sum = v_fma(deviation, v_load_n(slope + i * LANES, width), shifted);
        v_store_n(dx + i * LANES, sum * v_load_n(gain + i * LANES, width), width);
    }
}

ALWAYS_INLINE void slope_rows(const int prefetch, const real *dy, fnn_size dy_row, const real *x, fnn_size x_row, real *dx,
                              fnn_size dx_row, fnn_size rows, fnn_size cols, const real *center, const real *offset,
                              const real *slope, const real *gain) {
    for (; rows > 0; rows--, dy += dy_row, x += x_row, dx += dx_row) {
        fnn_size j = 0;
#define SLOPE_GROUP(vecs, width) slope_group(vecs, width, dy + j, x + j, dx + j, center + j, offset + j, slope + j, gain + j)
        for (; j + SLOPE_VECS * LANES <= cols; j += SLOPE_VECS * LANES) {
            if (prefetch)
                UNROLL for (int i = 0; i < SLOPE_VECS; i++) {
                    V_PREFETCH(x + j + i * LANES, AHEAD_1_KIB);
                    V_PREFETCH_WRITE(dy + j + i * LANES, AHEAD_1_KIB);
                }
            SLOPE_GROUP(SLOPE_VECS, LANES);
        }
        for (; j + LANES <= cols; j += LANES) SLOPE_GROUP(1, LANES);
        if (j < cols) SLOPE_GROUP(1, cols - j);
#undef SLOPE_GROUP
    }
}

static void norm_backward(const void *dy_, fnn_size dy_row, const void *x_, fnn_size x_row, void *dx_, fnn_size dx_row,
                          fnn_size rows, fnn_size cols, fnn_size n, const void *mean_, const void *inv_std_, const void *gamma_,
                          const void *sum_dy_, const void *sum_dy_xhat_) {
    const real *mean = mean_, *inv_std = inv_std_, *gamma = gamma_, *sum_dy = sum_dy_, *sum_dy_xhat = sum_dy_xhat_;
    real offset[STRIP], slope[STRIP], gain[STRIP];
    for (fnn_size start = 0; start < cols; start += STRIP) {
        const fnn_size strip = cols - start < STRIP ? cols - start : STRIP;
        const real *dy = (const real *)dy_ + start, *x = (const real *)x_ + start, *center = mean + start;
        real *dx = (real *)dx_ + start;
        for (fnn_size j = 0; j < strip; j++) {
            offset[j] = sum_dy[start + j] / (real)n;
            slope[j] = -inv_std[start + j] * (sum_dy_xhat[start + j] / (real)n);
            gain[j] = gamma[start + j] * inv_std[start + j];
        }
        if (rows * x_row < NORM_PREFETCH_BYTES / (fnn_size)sizeof(real))
            slope_rows(0, dy, dy_row, x, x_row, dx, dx_row, rows, strip, center, offset, slope, gain);
        else
            slope_rows(1, dy, dy_row, x, x_row, dx, dx_row, rows, strip, center, offset, slope, gain);
    }
}

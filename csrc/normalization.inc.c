/* normalization.inc.c: statistics of columns over the rows of a strip, and what is done with them.
 *
 * Columns lie in the lanes.  Sums go down ROWS rows at a time and along them, so that memory is read as it lies and each sum
 * is loaded and stored once for all of them; the order of a column's sum is that of its rows.
 */
#define ROWS 8     /* whose inverse is written 0.125 below */
#define STRIP 1024 /* columns, at most, whose factors are kept at hand */

/* STATEMENT for the rows i, i + 1, ... of a group */
#define FOR_ROWS(r, count, STATEMENT)                        \
    do {                                                     \
        if (count == ROWS) {                                 \
            UNROLL for (int r = 0; r < ROWS; r++) STATEMENT; \
        } else {                                             \
            for (int r = 0; r < count; r++) STATEMENT;       \
        }                                                    \
    } while (0)

/* One pass: ROWS rows have a mean and a sum of squared deviations of their own, which are merged with those of the rows before
 * (Chan, Golub and LeVeque, 1979).  All is told from the first row: where the mean is large against the deviations, the
 * differences are exact, or nearly so, and nothing cancels later. */
static void moments_strip(const real *x, fnn_size x_row, fnn_size rows, fnn_size cols, real *mean, real *var) {
    memset(mean, 0, (size_t)cols * sizeof *mean);
    memset(var, 0, (size_t)cols * sizeof *var);
    for (fnn_size i = 0; i < rows; i += ROWS) {
        const int count = rows - i < ROWS ? (int)(rows - i) : ROWS;
        const int asks = i + 2 * ROWS <= rows; /* for the group after this one */
        const real *top = x + i * x_row, part = (real)count / (real)(i + count), merged = part * (real)i;
        FNN_RUN(j, width, cols, {
            const vreal first = v_load_n(x + j, width), before = v_load_n(mean + j, width);
            vreal row[ROWS], sum = v_set(0), squares = v_load_n(var + j, width);
            FOR_ROWS(r, count, sum += row[r] = v_load_n(top + r * x_row + j, width) - first);
            if (asks) FOR_ROWS(r, ROWS, V_ASK(top + r * x_row + j, ROWS * x_row));
            const vreal center = count == ROWS ? sum * R(0.125) : sum / (real)count, apart = center - before;
            FOR_ROWS(r, count, {
                const vreal d = row[r] - center;
                squares = v_fma(d, d, squares);
            });
            v_store_n(mean + j, v_fma(apart, v_set(part), before), width);
            v_store_n(var + j, v_fma(apart * apart, v_set(merged), squares), width);
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
        const int asks = (rows - 1) * x_row >= AHEAD_OF_TWO && (rows - 1) * y_row >= AHEAD_OF_TWO;
        FNN_RUN(j, width, cols, {
            const vreal d = v_load_n(x + j, width) - v_load_n(center + j, width);
            if (asks) V_ASK(x + j, AHEAD_OF_TWO), V_ASK_TO_WRITE(y + j, AHEAD_OF_TWO);
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

/* dx = (dy - offset + (x - center) * slope) * gain, for a group of vectors: all are loaded before the first is stored, as
 * addresses may agree in their low bits. */
ALWAYS_INLINE void slope_group(const int vecs, fnn_size width, const real *dy, const real *x, real *dx, const real *center,
                               const real *offset, const real *slope, const real *gain) {
    vreal d[4], e[4];
    UNROLL for (int i = 0; i < vecs; i++) d[i] = v_load_n(x + i * LANES, width), e[i] = v_load_n(dy + i * LANES, width);
    UNROLL for (int i = 0; i < vecs; i++) {
        const vreal apart = d[i] - v_load_n(center + i * LANES, width), shifted = e[i] - v_load_n(offset + i * LANES, width);
        const vreal sum = v_fma(apart, v_load_n(slope + i * LANES, width), shifted);
        v_store_n(dx + i * LANES, sum * v_load_n(gain + i * LANES, width), width);
    }
}

ALWAYS_INLINE void slope_rows(const int asks, const real *dy, fnn_size dy_row, const real *x, fnn_size x_row, real *dx,
                              fnn_size dx_row, fnn_size rows, fnn_size cols, const real *center, const real *offset,
                              const real *slope, const real *gain) {
    for (; rows > 0; rows--, dy += dy_row, x += x_row, dx += dx_row) {
        fnn_size j = 0;
#define SLOPE_GROUP(vecs, width) slope_group(vecs, width, dy + j, x + j, dx + j, center + j, offset + j, slope + j, gain + j)
        for (; j + 4 * LANES <= cols; j += 4 * LANES) {
            if (asks)
                UNROLL for (int i = 0; i < 4; i++) {
                    V_ASK(x + j + i * LANES, AHEAD_OF_THREE);
                    V_ASK_TO_WRITE(dy + j + i * LANES, AHEAD_OF_THREE);
                }
            SLOPE_GROUP(4, LANES);
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
        if (rows * x_row < (1 << 18) / (fnn_size)sizeof(real)) /* all is near already */
            slope_rows(0, dy, dy_row, x, x_row, dx, dx_row, rows, strip, center, offset, slope, gain);
        else
            slope_rows(1, dy, dy_row, x, x_row, dx, dx_row, rows, strip, center, offset, slope, gain);
    }
}

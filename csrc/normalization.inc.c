/* normalization.inc.c: statistics of columns over the rows of a strip, and what is done with them.
 *
 * Columns lie in the lanes.  Sums go down BLOCK vectors of columns at a time, so that as many chains of additions overlap.
 */
#define BLOCK 4
#define STRIP (8 * LANES) /* columns whose factors norm_backward keeps at hand */

/* Calls BODY(first column, vectors, columns in a vector), the last two constants but for the columns left at the end. */
#define FOR_BLOCKS(cols, BODY)                                                         \
    do {                                                                               \
        fnn_size j = 0;                                                                \
        for (; j + BLOCK * LANES <= (cols); j += BLOCK * LANES) BODY(j, BLOCK, LANES); \
        for (; j + LANES <= (cols); j += LANES) BODY(j, 1, LANES);                     \
        if (j < (cols)) BODY(j, 1, (cols) - j);                                        \
    } while (0)

/* The error of the mean that pass 1 found is what the deviations of pass 2 sum to. */
ALWAYS_INLINE void moments_block(const real *x, fnn_size x_row, fnn_size rows, real *mean, real *var, int vectors,
                                 fnn_size width) {
    const real n = (real)rows;
    vreal center[BLOCK], sum[BLOCK], squares[BLOCK];
    for (int v = 0; v < vectors; v++) sum[v] = v_set(0);
    for (fnn_size i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) sum[v] += v_load_n(x + i * x_row + v * LANES, width);
    for (int v = 0; v < vectors; v++) center[v] = sum[v] / n, sum[v] = squares[v] = v_set(0);
    for (fnn_size i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) {
            const vreal d = v_load_n(x + i * x_row + v * LANES, width) - center[v];
            sum[v] += d;
            squares[v] = v_fma(d, d, squares[v]);
        }
    for (int v = 0; v < vectors; v++) {
        const vreal d = sum[v] / n;
        v_store_n(mean + v * LANES, center[v] + d, width);
        v_store_n(var + v * LANES, v_max(v_set(0), squares[v] / n - d * d), width);
    }
}

static void column_moments(const void *x_, fnn_size x_row, fnn_size rows, fnn_size cols, void *mean_, void *var_) {
    const real *x = x_;
    real *mean = mean_, *var = var_;
#define MOMENTS(j, vectors, width) moments_block(x + (j), x_row, rows, mean + (j), var + (j), vectors, width)
    FOR_BLOCKS(cols, MOMENTS);
#undef MOMENTS
}

static void affine(const void *x_, fnn_size x_row, void *y_, fnn_size y_row, fnn_size rows, fnn_size cols, const void *center_,
                   const void *scale_, const void *shift_) {
    const real *x = x_, *center = center_, *scale = scale_, *shift = shift_;
    real *y = y_;
    for (; rows > 0; rows--, x += x_row, y += y_row)
        FNN_RUN(j, width, cols, {
            const vreal d = v_load_n(x + j, width) - v_load_n(center + j, width);
            v_store_n(y + j, v_fma(d, v_load_n(scale + j, width), v_load_n(shift + j, width)), width);
        });
}

ALWAYS_INLINE void reduce_block(const real *dy, fnn_size dy_row, const real *x, fnn_size x_row, fnn_size rows, const real *mean,
                                const real *inv_std, real *sum_dy, real *sum_dy_xhat, int vectors, fnn_size width) {
    vreal center[BLOCK], sum[BLOCK], product[BLOCK];
    for (int v = 0; v < vectors; v++) {
        center[v] = v_load_n(mean + v * LANES, width);
        sum[v] = product[v] = v_set(0);
    }
    for (fnn_size i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) {
            const vreal d = v_load_n(dy + i * dy_row + v * LANES, width);
            sum[v] += d;
            product[v] = v_fma(d, v_load_n(x + i * x_row + v * LANES, width) - center[v], product[v]);
        }
    for (int v = 0; v < vectors; v++) {
        v_store_n(sum_dy + v * LANES, sum[v], width);
        v_store_n(sum_dy_xhat + v * LANES, product[v] * v_load_n(inv_std + v * LANES, width), width);
    }
}

static void norm_reduce(const void *dy_, fnn_size dy_row, const void *x_, fnn_size x_row, fnn_size rows, fnn_size cols,
                        const void *mean_, const void *inv_std_, void *sum_dy_, void *sum_dy_xhat_) {
    const real *dy = dy_, *x = x_, *mean = mean_, *inv_std = inv_std_;
    real *sum_dy = sum_dy_, *sum_dy_xhat = sum_dy_xhat_;
#define REDUCE(j, vectors, width)                                                                                             \
    reduce_block(dy + (j), dy_row, x + (j), x_row, rows, mean + (j), inv_std + (j), sum_dy + (j), sum_dy_xhat + (j), vectors, \
                 width)
    FOR_BLOCKS(cols, REDUCE);
#undef REDUCE
}

/* dx = (dy - sum_dy / n + (x - mean) * slope) * gain */
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
        for (fnn_size i = 0; i < rows; i++, dy += dy_row, x += x_row, dx += dx_row)
            FNN_RUN(j, width, strip, {
                const vreal d = v_load_n(x + j, width) - v_load_n(center + j, width);
                const vreal shifted = v_load_n(dy + j, width) - v_load_n(offset + j, width);
                v_store_n(dx + j, v_fma(d, v_load_n(slope + j, width), shifted) * v_load_n(gain + j, width), width);
            });
    }
}

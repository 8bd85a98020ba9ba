/* row_norm.inc.c: layer norm and root mean square norm, which normalise each row by its own statistics, with the backward pass.
 *
 * Rows are taken in pairs, each with sums of its own, which are added in one order: a row's bits do not depend on the row
 * beside it.  A "wide" row, whose squares overflow or lose digits below the normal numbers, is computed again in double.
 */
#define PAIR 2       /* rows at a time */
#define ROW_SUMS 4   /* partial sums of a row, in vectors, so that additions need not wait for each other */
#define ROW_SLOPES 2 /* the same for each of the two sums of the backward pass */
#define LARGE 1e140  /* a row with a larger entry is multiplied by 2^-600, as the squares may overflow in double too */
#define SMALL 1e-120 /* and one with smaller entries alone by 2^600 */

/* STATEMENTS with the index k of a sum, for every vector j of a row */
#define FOR_SUMS(k, n_sums, j, width, cols, ...)                            \
    do {                                                                    \
        fnn_size start = 0;                                                 \
        for (; start + n_sums * LANES <= (cols); start += n_sums * LANES) { \
            UNROLL for (int k = 0; k < n_sums; k++) {                       \
                const fnn_size j = start + k * LANES, width = LANES;        \
                __VA_ARGS__;                                                \
            }                                                               \
        }                                                                   \
        for (; start < (cols); start += LANES) {                            \
            const fnn_size j = start;                                       \
            enum { k = 0 };                                                 \
            if (j + LANES <= (cols)) {                                      \
                const fnn_size width = LANES;                               \
                __VA_ARGS__;                                                \
            } else {                                                        \
                const fnn_size width = (cols) - j;                          \
                __VA_ARGS__;                                                \
            }                                                               \
        }                                                                   \
    } while (0)

ALWAYS_INLINE real total(const vreal *sums, const int n_sums) {
    vreal sum = sums[0];
    UNROLL for (int k = 1; k < n_sums; k++) sum += sums[k];
    return v_sum(sum);
}

/* The first lanes of v, 0 in the others. */
ALWAYS_INLINE vreal lanes_n(vreal v, fnn_size width) { return width == LANES ? v : v_keep(v_first(width), v); }

/* ---- forward ---- */

/* Whether a variance, or mean square, is not finite or has lost digits below the normal numbers; NaN is wide. */
static int is_wide(real var, double eps) { return !(isfinite(var) && (double)var + eps >= (double)REAL_MIN); }

/* A wide row in double.  Where an entry is not finite the row stays as it is. */
static void wide_row(int centered, const real *x, real *y, fnn_size cols, const real *gamma, const real *beta, double eps,
                     real *mean, real *inv_std) {
    double largest = 0, sum = 0, squares = 0;
    for (fnn_size j = 0; j < cols; j++) {
        if (!isfinite(x[j])) return;
        largest = fmax(largest, fabs((double)x[j]));
    }
    const double unit = largest > LARGE ? 0x1p-600 : largest > 0 && largest < SMALL ? 0x1p600 : 1;
    const double first = centered && cols > 0 ? x[0] * unit : 0;
    for (fnn_size j = 0; j < cols && centered; j++) sum += x[j] * unit - first;
    const double shift = centered ? sum / (double)cols : 0;
    for (fnn_size j = 0; j < cols; j++) {
        const double d = x[j] * unit - first - shift;
        squares += d * d;
    }
    const double inverse = 1 / sqrt(squares / (double)cols + eps * unit * unit);
    if (mean) *mean = (real)((first + shift) / unit);
    if (inv_std) *inv_std = (real)(unit * inverse);
    for (fnn_size j = 0; j < cols; j++) {
        const double d = x[j] * unit - first - shift;
        y[j] = (real)(d * inverse * gamma[j] + (beta ? beta[j] : 0));
    }
}

/* Differences to the first entry are exact or almost exact where the mean is large compared with them, so that a constant row
 * is exactly beta.  Three passes over a pair of rows: its mean, its variance, the result.  The second prefetches what the third
 * writes, and the next pair, `ahead` elements on. */
ALWAYS_INLINE void norm_rows(const int rows, const int centered, fnn_size ahead, const real *x, real *y, fnn_size cols,
                             const real *gamma, const real *beta, double eps, real *mean, real *inv_std) {
    vreal first[PAIR], shift[PAIR], scale[PAIR], sums[PAIR][ROW_SUMS];
    real var[PAIR];
    UNROLL for (int r = 0; r < rows; r++) {
        first[r] = v_set(centered && cols > 0 ? x[r * cols] : 0), shift[r] = v_set(0);
        UNROLL for (int k = 0; k < ROW_SUMS; k++) sums[r][k] = v_set(0);
    }
    if (centered) {
        FOR_SUMS(k, ROW_SUMS, j, width, cols, {
            UNROLL for (int r = 0; r < rows; r++) sums[r][k] += lanes_n(v_load_n(x + r * cols + j, width) - first[r], width);
        });
        UNROLL for (int r = 0; r < rows; r++) {
            const real from_first = total(sums[r], ROW_SUMS) / (real)cols;
            shift[r] = v_set(from_first);
            if (mean) mean[r] = first[r][0] + from_first;
            UNROLL for (int k = 0; k < ROW_SUMS; k++) sums[r][k] = v_set(0);
        }
    }
#define DEVIATION(r, j, width) \
    (centered ? v_load_n(x + r * cols + j, width) - first[r] - shift[r] : v_load_n(x + r * cols + j, width))
    FOR_SUMS(k, ROW_SUMS, j, width, cols, {
        UNROLL for (int r = 0; r < rows; r++) {
            const vreal d = lanes_n(DEVIATION(r, j, width), width);
            V_PREFETCH(x + r * cols + j, ahead), V_PREFETCH_WRITE(y + r * cols + j, 0);
            sums[r][k] = v_fma(d, d, sums[r][k]);
        }
    });
    int wide = 0;
    UNROLL for (int r = 0; r < rows; r++) {
        var[r] = total(sums[r], ROW_SUMS) / (real)cols;
        scale[r] = v_set((real)(1 / sqrt((double)var[r] + eps)));
        if (inv_std) inv_std[r] = scale[r][0];
        wide |= is_wide(var[r], eps);
    }
    FNN_RUN(j, width, cols, {
        const vreal g = v_load_n(gamma + j, width), b = beta ? v_load_n(beta + j, width) : v_set(0);
        vreal d[PAIR];
        UNROLL for (int r = 0; r < rows; r++) d[r] = DEVIATION(r, j, width);
        UNROLL for (int r = 0; r < rows; r++) v_store_n(y + r * cols + j, v_fma(d[r] * scale[r], g, b), width);
    });
#undef DEVIATION
    for (int r = 0; r < rows && wide; r++)
        if (is_wide(var[r], eps))
            wide_row(centered, x + r * cols, y + r * cols, cols, gamma, beta, eps, mean ? mean + r : 0,
                     inv_std ? inv_std + r : 0);
}

#define BY_PAIRS(rows, STEP)                                   \
    do {                                                       \
        fnn_size i = 0;                                        \
        for (; i + PAIR <= (rows); i += PAIR) STEP(PAIR, i);   \
        if (i < (rows)) STEP(1, i);                            \
    } while (0)

static void row_norm(int centered, const void *x_, void *y_, fnn_size rows, fnn_size cols, const void *gamma_,
                     const void *beta_, double eps, void *mean_, void *inv_std_) {
    const real *x = x_, *gamma = gamma_, *beta = beta_;
    real *y = y_, *mean = mean_, *inv_std = inv_std_;
#define ROWS_FROM(i, n, is_centered)                                                                                   \
    norm_rows(n, is_centered, (i) + 2 * PAIR <= rows ? PAIR * cols : 0, x + i * cols, y + i * cols, cols, gamma, beta, \
              eps, mean ? mean + i : 0, inv_std ? inv_std + i : 0)
#define CENTERED(n, i) ROWS_FROM(i, n, 1)
#define PLAIN(n, i) ROWS_FROM(i, n, 0)
    if (centered) {
        BY_PAIRS(rows, CENTERED);
    } else {
        BY_PAIRS(rows, PLAIN);
    }
#undef ROWS_FROM
#undef CENTERED
#undef PLAIN
}

/* ---- backward ---- */

/* (x - mean) * inv_std.  The difference may exceed the range of double, a quarter of it does not. */
static double wide_x_hat(real x, real mean, real inv_std) {
    return (0.25 * (double)x - 0.25 * (double)mean) * (double)inv_std * 4;
}

/* The gradients of a row in double, where the row's sums overflowed. */
static void wide_row_backward(const real *dy, const real *x, real *dx, fnn_size cols, const real *gamma, const real *mean,
                              real inv_std, real *dgamma, real *dbeta) {
    const real center = mean ? *mean : 0;
    double sum = 0, product = 0;
    for (fnn_size j = 0; j < cols; j++) {
        const double g = (double)dy[j] * gamma[j];
        sum += mean ? g : 0;
        product += g * wide_x_hat(x[j], center, inv_std);
    }
    for (fnn_size j = 0; j < cols; j++) {
        const double d = dy[j], x_hat = wide_x_hat(x[j], center, inv_std);
        dx[j] = (real)((d * gamma[j] - sum / (double)cols - x_hat * (product / (double)cols)) * inv_std);
        dgamma[j] += (real)(d * x_hat);
        if (dbeta) dbeta[j] += dy[j];
    }
}

/* What a pair of rows needs besides its entries; all lanes of a vector are the same. */
typedef struct {
    vreal center[PAIR], inverse[PAIR], offset[PAIR], slope[PAIR];
} row_slopes;

#define X_HAT(r, j, width) ((v_load_n(x + r * cols + j, width) - s->center[r]) * s->inverse[r])

/* First pass: the sums of g = dy * gamma and of g * x_hat of each row.  Whether one of them is not finite. */
ALWAYS_INLINE int find_slopes(const int rows, const int centered, const real *dy, const real *x, fnn_size cols,
                              const real *gamma, const real *mean, const real *inv_std, row_slopes *s) {
    vreal sums[PAIR][ROW_SLOPES], products[PAIR][ROW_SLOPES];
    UNROLL for (int r = 0; r < rows; r++) {
        s->center[r] = v_set(centered ? mean[r] : 0), s->inverse[r] = v_set(inv_std[r]);
        UNROLL for (int k = 0; k < ROW_SLOPES; k++) sums[r][k] = products[r][k] = v_set(0);
    }
    FOR_SUMS(k, ROW_SLOPES, j, width, cols, {
        const vreal weight = v_load_n(gamma + j, width);
        UNROLL for (int r = 0; r < rows; r++) {
            const vreal g = v_load_n(dy + r * cols + j, width) * weight;
            if (centered) sums[r][k] += g;
            products[r][k] = v_fma(g, lanes_n(X_HAT(r, j, width), width), products[r][k]);
        }
    });
    int wide = 0;
    UNROLL for (int r = 0; r < rows; r++) {
        const real sum = centered ? total(sums[r], ROW_SLOPES) : 0, product = total(products[r], ROW_SLOPES);
        s->offset[r] = v_set(sum / (real)cols * inv_std[r]), s->slope[r] = v_set(product / (real)cols * inv_std[r]);
        wide |= !(isfinite(sum) && isfinite(product));
    }
    return wide;
}

/* Second pass: dx = g * inv_std - (x_hat * slope + offset), and what the rows add to dgamma and dbeta.  All of a step is loaded
 * before the first store (docs/decisions, 9). */
ALWAYS_INLINE void use_slopes(const int rows, const int centered, const real *dy, const real *x, real *dx, fnn_size cols,
                              const real *gamma, const row_slopes *s, real *dgamma, real *dbeta) {
    FNN_RUN(j, width, cols, {
        const vreal weight = v_load_n(gamma + j, width);
        vreal d[PAIR], x_hat[PAIR];
        vreal by_gamma = v_load_n(dgamma + j, width), by_beta = dbeta ? v_load_n(dbeta + j, width) : weight;
        UNROLL for (int r = 0; r < rows; r++) d[r] = v_load_n(dy + r * cols + j, width), x_hat[r] = X_HAT(r, j, width);
        UNROLL for (int r = 0; r < rows; r++) {
            by_gamma = v_fma(d[r], x_hat[r], by_gamma);
            by_beta += d[r];
            const vreal from_sums = centered ? v_fma(x_hat[r], s->slope[r], s->offset[r]) : x_hat[r] * s->slope[r];
            v_store_n(dx + r * cols + j, v_fma(d[r] * weight, s->inverse[r], -from_sums), width);
        }
        v_store_n(dgamma + j, by_gamma, width);
        if (dbeta) v_store_n(dbeta + j, by_beta, width);
    });
}
#undef X_HAT

ALWAYS_INLINE void norm_rows_backward(const int rows, const int centered, const real *dy, const real *x, real *dx,
                                      fnn_size cols, const real *gamma, const real *mean, const real *inv_std, real *dgamma,
                                      real *dbeta) {
    row_slopes s;
    if (!find_slopes(rows, centered, dy, x, cols, gamma, mean, inv_std, &s)) {
        use_slopes(rows, centered, dy, x, dx, cols, gamma, &s, dgamma, dbeta);
        return;
    }
    for (int r = 0; r < rows; r++) {
        const real *dy_row = dy + r * cols, *x_row = x + r * cols, *center = centered ? mean + r : 0;
        if (find_slopes(1, centered, dy_row, x_row, cols, gamma, center, inv_std + r, &s))
            wide_row_backward(dy_row, x_row, dx + r * cols, cols, gamma, center, inv_std[r], dgamma, dbeta);
        else
            use_slopes(1, centered, dy_row, x_row, dx + r * cols, cols, gamma, &s, dgamma, dbeta);
    }
}

static void row_norm_backward(const void *dy_, const void *x_, void *dx_, fnn_size rows, fnn_size cols, const void *gamma_,
                              const void *mean_, const void *inv_std_, void *dgamma_, void *dbeta_) {
    const real *dy = dy_, *x = x_, *gamma = gamma_, *mean = mean_, *inv_std = inv_std_;
    real *dx = dx_, *dgamma = dgamma_, *dbeta = dbeta_;
    for (fnn_size j = 0; j < cols; j++) dgamma[j] = 0;
    for (fnn_size j = 0; j < cols && dbeta; j++) dbeta[j] = 0;
#define CENTERED(n, i)                                                                                              \
    norm_rows_backward(n, 1, dy + i * cols, x + i * cols, dx + i * cols, cols, gamma, mean + i, inv_std + i, dgamma, dbeta)
#define PLAIN(n, i)                                                                                                 \
    norm_rows_backward(n, 0, dy + i * cols, x + i * cols, dx + i * cols, cols, gamma, 0, inv_std + i, dgamma, 0)
    if (mean) {
        BY_PAIRS(rows, CENTERED);
    } else {
        BY_PAIRS(rows, PLAIN);
    }
#undef CENTERED
#undef PLAIN
}
#undef BY_PAIRS
#undef PAIR
#undef LARGE
#undef SMALL
#undef FOR_SUMS
#undef ROW_SUMS
#undef ROW_SLOPES

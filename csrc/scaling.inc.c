/* scaling.inc.c: what scalers of columns do besides the affine map: they fill NaN, clip smoothly, map quantiles to the normal
 * distribution.
 */

static void fill_nan(const void *x_, fnn_size x_row, void *y_, fnn_size y_row, fnn_size rows, fnn_size cols,
                     const void *fill_) {
    const real *x = x_, *fill = fill_;
    real *y = y_;
    for (; rows > 0; rows--, x += x_row, y += y_row)
        FNN_RUN(j, width, cols, {
            const vreal v = v_load_n(x + j, width);
            v_store_n(y + j, v_select(v == v, v, v_load_n(fill + j, width)), width);
        });
}

/* From here on t / sqrt(1 + t^2) is 1 to the last digit of a double, and t^2 is far from overflowing in float. */
#define CLIPPED R(1073741824.0) /* 2^30 */

static void smooth_clip(const void *x_, fnn_size x_row, void *y_, fnn_size y_row, fnn_size rows, fnn_size cols,
                        const void *limit_) {
    const real *x = x_, *limits = limit_;
    real *y = y_;
    for (; rows > 0; rows--, x += x_row, y += y_row)
        FNN_RUN(j, width, cols, {
            const vreal v = v_load_n(x + j, width), limit = v_load_n(limits + j, width), t = v / limit;
            const vreal clipped = v_select(v_abs(t) >= CLIPPED, v_copysign(limit, v), v / v_sqrt(1 + t * t));
            v_store_n(y + j, v_select(limit == (real)INFINITY, v, clipped), width);
        });
}
#undef CLIPPED

/* The number of sorted q that are below x, or at most x. */
ALWAYS_INLINE fnn_size rank_of(const real *q, fnn_size n, real x, int at_most) {
    const real *from = q;
    while (n > 0) {
        const fnn_size half = n / 2;
        const int right = at_most ? from[half] <= x : from[half] < x;
        from = right ? from + half + 1 : from;
        n = right ? n - half - 1 : half;
    }
    return from - q;
}

/* The share of a distribution below x, whose quantiles are q at 0, 1 / (n - 1), ..., 1: linear between them, and the middle of
 * the step where some are equal. */
static double share_below(const real *q, fnn_size n, real x) {
    const real least = q[0], most = q[n - 1];
    if (x < least || x > most) return x > most;
    if (x == least || x == most) return least == most ? 0.5 : x == most;
    const fnn_size at = rank_of(q, n, x, 0);
    if (q[at] == x) return 0.5 * (double)(at + rank_of(q, n, x, 1) - 1) / (double)(n - 1);
    const double a = (double)q[at - 1], b = (double)q[at], gap = b - a;
    const double part = isfinite(gap) ? ((double)x - a) / gap : ((double)x / 2 - a / 2) / (b / 2 - a / 2);
    return ((double)(at - 1) + part) / (double)(n - 1);
}

/* a[0] + a[1] r + ... + a[7] r^7 */
static double degree_7(const double a[8], double r) {
    double sum = a[7];
    for (int i = 6; i >= 0; i--) sum = sum * r + a[i];
    return sum;
}

/* The number that a share p of the normal distribution is below: Wichura's PPND16 (algorithm AS 241, Applied Statistics 37,
 * 1988), relative error about 1e-16.  p is limited to 1e-7 <= p <= 1 - 1e-7, so his third pair of polynomials, for tails below
 * 1.4e-11, is not needed. */
static double normal_quantile(double p) {
    static const double middle[8] = {3.3871328727963666080,   1.3314166789178437745e2, 1.9715909503065514427e3,
                                     1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                                     3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double middle_under[8] = {1.0,
                                           4.2313330701600911252e1,
                                           6.8718700749205790830e2,
                                           5.3941960214247511077e3,
                                           2.1213794301586595867e4,
                                           3.9307895800092710610e4,
                                           2.8729085735721942674e4,
                                           5.2264952788528545610e3};
    static const double tails[8] = {1.42343711074968357734,    4.63033784615654529590,   5.76949722146069140550,
                                    3.64784832476320460504,    1.27045825245236838258,   2.41780725177450611770e-1,
                                    2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double tails_under[8] = {1.0,
                                          2.05319162663775882187,
                                          1.67638483018380384940,
                                          6.89767334985100004550e-1,
                                          1.48103976427480074590e-1,
                                          1.51986665636164571966e-2,
                                          5.47593808499534494600e-4,
                                          1.05075007164441684324e-9};
    const double from_half = p - 0.5;
    if (fabs(from_half) <= 0.425) {
        const double r = 0.180625 - from_half * from_half;
        return from_half * degree_7(middle, r) / degree_7(middle_under, r);
    }
    const double tail = from_half < 0 ? p : 1 - p;
    const double r = sqrt(-log(tail > 1e-7 ? tail : 1e-7)) - 1.6;
    return copysign(degree_7(tails, r) / degree_7(tails_under, r), from_half);
}

static void quantile_normal(const void *x_, fnn_size x_row, void *y_, fnn_size y_row, fnn_size rows, fnn_size cols,
                            const void *quantiles, fnn_size n) {
    const real *q = quantiles;
    for (fnn_size j = 0; j < cols; j++, q += n) {
        const real *x = (const real *)x_ + j;
        real *y = (real *)y_ + j;
        for (fnn_size i = 0; i < rows; i++, x += x_row, y += y_row)
            *y = isnan(*x) || isnan(q[0]) ? *x : (real)normal_quantile(share_below(q, n, *x));
    }
}

/* losses.inc.c: one row of a batch: its loss, and the gradient of the loss by the row.
 *
 * Exponentials are kept times EXP_UNIT (math.inc.c), so that small probabilities are not lost before the division by their sum.
 */

/* The entries of a vector at its end; others are -inf. */
ALWAYS_INLINE vreal load_or_low(const real *p, fnn_size width) {
    return width == LANES ? v_load(p) : v_select(v_first(width), v_load_part(p, width), v_set(-(real)INFINITY));
}

/* The largest entry.  A NaN may be missed: the row's sum of exponentials will have it. */
static real row_top(const real *z, fnn_size n) {
    vreal top = v_set(-(real)INFINITY);
    FNN_RUN(i, width, n, top = v_max(top, load_or_low(z + i, width)));
    return v_top(top)[0];
}

/* The first entries; others are +0. */
ALWAYS_INLINE vreal keep_n(vreal v, fnn_size width) { return width == LANES ? v : v_keep(v_first(width), v); }

/* e = EXP_UNIT * exp(z - top), where e is not NULL; returns the sum, without the unit. */
static double row_exp(const real *z, real top, real *e, fnn_size n) {
    vreal sum = v_set(0);
    FNN_RUN(i, width, n, {
        const vreal value = keep_n(v_exp_scaled(v_load_n(z + i, width) - top), width);
        sum += value;
        if (e) v_store_n(e + i, value, width);
    });
    return (double)v_sum(sum) / (double)EXP_UNIT;
}

/* y *= factor */
static void row_scale(real *y, real factor, fnn_size n) {
    FNN_RUN(i, width, n, v_store_n(y + i, v_load_n(y + i, width) * factor, width));
}

static void softmax_row(const void *x, void *y, fnn_size n) {
    const double sum = row_exp(x, row_top(x, n), y, n);
    row_scale(y, (real)(1 / (sum * (double)EXP_UNIT)), n);
}

/* cross_entropy_row for a class and a row of one vector, which stays in a register */
static double cross_entropy_short(const real *z, fnn_size n, fnn_size label, double scale, real *grad) {
    const vint inside = v_first(n);
    const vreal row = v_load_part(z, n), top = v_top(v_select(inside, row, v_set(-(real)INFINITY)));
    const vreal e = v_keep(inside, v_exp_scaled(row - top));
    const double sum = (double)v_sum(e), score = (double)(z[label] - top[0]);
    if (grad) {
        const vreal target = v_keep(v_first(label + 1) & ~v_first(label), v_set((real)scale));
        v_store_part(grad, e * (real)(scale / sum) - target, n);
    }
    return log(sum / (double)EXP_UNIT) - score;
}

static double cross_entropy_row(const void *z_, fnn_size n, fnn_size label, const void *target, double scale, void *grad_) {
    const real *z = z_, *t = target;
    real *grad = grad_;
    if (!t && n <= LANES) return cross_entropy_short(z, n, label, scale, grad);
    const real top = row_top(z, n);
    double weight = 1, score;
    if (t) {
        vreal sum_t = v_set(0), sum_tz = v_set(0);
        FNN_RUN(i, width, n, {
            const vreal ti = v_load_n(t + i, width);
            sum_t += ti;
            sum_tz += v_keep(~(ti == 0), ti * (v_load_n(z + i, width) - top)); /* where t is 0, z may be -inf */
        });
        weight = v_sum(sum_t);
        score = v_sum(sum_tz);
    } else {
        score = z[label] - top;
    }
    const double sum = row_exp(z, top, grad, n);
    if (grad) {
        const real factor = (real)(scale * weight / (sum * (double)EXP_UNIT)), part_of_target = (real)scale;
        row_scale(grad, factor, n);
        if (t) {
            FNN_RUN(i, width, n,
                    v_store_n(grad + i, v_load_n(grad + i, width) - part_of_target * v_load_n(t + i, width), width));
        } else {
            grad[label] -= part_of_target;
        }
    }
    return log(sum) * weight - score;
}

/* returns the losses; d is sigmoid(z) - t */
ALWAYS_INLINE vreal binary_terms(vreal z, vreal t, vreal *d) {
    const vreal e = v_exp_scaled(-v_abs(z)) * (1 / EXP_UNIT);
    *d = v_select(z < 0, e, v_set(1)) / (1 + e) - t;
    return v_max(v_set(0), z) - z * t + v_log1p(e);
}

static double binary_cross_entropy_row(const void *z_, const void *target, fnn_size n, double scale, void *grad_) {
    const real *z = z_, *t = target;
    real *grad = grad_;
    vreal loss = v_set(0);
    FNN_RUN(i, width, n, {
        vreal d;
        loss += keep_n(binary_terms(v_load_n(z + i, width), v_load_n(t + i, width), &d), width);
        if (grad) v_store_n(grad + i, d * (real)scale, width);
    });
    return v_sum(loss);
}

static double squared_error_row(const void *z_, const void *target, fnn_size n, double scale, void *grad_) {
    const real *z = z_, *t = target;
    real *grad = grad_;
    const real twice = (real)(2 * scale);
    vreal loss = v_set(0);
    FNN_RUN(i, width, n, {
        const vreal d = v_load_n(z + i, width) - v_load_n(t + i, width);
        loss = v_fma(d, d, loss);
        if (grad) v_store_n(grad + i, d * twice, width);
    });
    return v_sum(loss);
}

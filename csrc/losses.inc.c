/* losses.inc.c: one row of a batch: its loss, and the gradient of the loss by the row.
 *
 * Exponentials are kept times EXP_UNIT (math.inc.c), so that small probabilities are not lost before the division by their sum.
 */

/* The largest entry.  A NaN may be missed: the row's sum of exponentials will have it. */
static real row_top(const real *z, fnn_size n) {
    vreal top = v_set(-(real)INFINITY);
    FNN_RUN(i, n, top = v_max(top, v_load(z + i)), top = v_max(top, v_select(v_first(part), v_load_part(z + i, part), top)));
    return v_top(top)[0];
}

/* e = EXP_UNIT * exp(z - top), where e is not NULL; returns the sum, without the unit. */
static double row_exp(const real *z, real top, real *e, fnn_size n) {
    vreal sum = v_set(0), value;
    FNN_RUN(
        i, n,
        {
            sum += value = v_exp_scaled(v_load(z + i) - top);
            if (e) v_store(e + i, value);
        },
        {
            sum += value = v_keep(v_first(part), v_exp_scaled(v_load_part(z + i, part) - top));
            if (e) v_store_part(e + i, value, part);
        });
    return (double)v_sum(sum) / (double)EXP_UNIT;
}

/* y *= factor */
static void row_scale(real *y, real factor, fnn_size n) {
    FNN_RUN(i, n, v_store(y + i, v_load(y + i) * factor), v_store_part(y + i, v_load_part(y + i, part) * factor, part));
}

static void softmax_row(const void *x, void *y, fnn_size n) {
    const double sum = row_exp(x, row_top(x, n), y, n);
    row_scale(y, (real)(1 / (sum * (double)EXP_UNIT)), n);
}

/* The sums of t and of t * (z - top), without the terms where t is 0, be z what it may. */
ALWAYS_INLINE void cross_terms(vreal z, vreal t, vreal *sum_t, vreal *sum_tz) {
    *sum_t += t;
    *sum_tz += v_keep(~(t == 0), t * z);
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
        FNN_RUN(i, n, cross_terms(v_load(z + i) - top, v_load(t + i), &sum_t, &sum_tz),
                cross_terms(v_load_part(z + i, part) - top, v_load_part(t + i, part), &sum_t, &sum_tz));
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
            FNN_RUN(i, n, v_store(grad + i, v_load(grad + i) - part_of_target * v_load(t + i)),
                    v_store_part(grad + i, v_load_part(grad + i, part) - part_of_target * v_load_part(t + i, part), part));
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
    vreal loss = v_set(0), d;
    FNN_RUN(
        i, n,
        {
            loss += binary_terms(v_load(z + i), v_load(t + i), &d);
            if (grad) v_store(grad + i, d * (real)scale);
        },
        {
            loss += v_keep(v_first(part), binary_terms(v_load_part(z + i, part), v_load_part(t + i, part), &d));
            if (grad) v_store_part(grad + i, d * (real)scale, part);
        });
    return v_sum(loss);
}

static double squared_error_row(const void *z_, const void *target, fnn_size n, double scale, void *grad_) {
    const real *z = z_, *t = target;
    real *grad = grad_;
    const real twice = (real)(2 * scale);
    vreal loss = v_set(0), d;
    FNN_RUN(
        i, n,
        {
            d = v_load(z + i) - v_load(t + i);
            loss = v_fma(d, d, loss);
            if (grad) v_store(grad + i, d * twice);
        },
        {
            d = v_load_part(z + i, part) - v_load_part(t + i, part);
            loss = v_fma(d, d, loss);
            if (grad) v_store_part(grad + i, d * twice, part);
        });
    return v_sum(loss);
}

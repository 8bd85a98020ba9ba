/* losses.inc.c: every loss of one row of a batch with its gradient by the row; softmax and log softmax of a row.
 *
 * A loss is a function name_row and a line of FNN_LOSSES in fastnn.h.  A loss whose targets are classes may also have a
 * name_block, for several rows at once, which unit.inc.c names.
 *
 * Exponentials are kept times EXP_UNIT (math.inc.c), so that small probabilities are not lost before the division by their sum.
 *
 * The caller computes a row whose loss is not finite again, with losses_wide.c.  So no body here handles overflow or infinite
 * outputs.
 */
#include "losses.h"

/* The next `width` entries; the other lanes are -inf. */
ALWAYS_INLINE vreal load_or_minus_inf(const real *p, fnn_size width) {
    return width == LANES ? v_load(p) : v_select(v_first(width), v_load_part(p, width), v_set(-(real)INFINITY));
}

/* The largest entry.  A NaN may be lost; the sum of exponentials will then be NaN. */
static real row_max(const real *z, fnn_size n) {
    vreal top = v_set(-(real)INFINITY);
    FNN_RUN(i, width, n, top = v_max(top, load_or_minus_inf(z + i, width)));
    return v_largest(top)[0];
}

/* The first `width` lanes; the others are +0. */
ALWAYS_INLINE vreal first_n_lanes(vreal v, fnn_size width) { return width == LANES ? v : v_keep(v_first(width), v); }

/* e[i] = EXP_UNIT * exp(z[i] - top), unless e is NULL.  Returns the sum of exp(z[i] - top). */
static double row_exp(const real *z, real top, real *e, fnn_size n) {
    vreal sum = v_set(0);
    FNN_RUN(i, width, n, {
        const vreal value = first_n_lanes(v_exp_scaled(v_load_n(z + i, width) - top), width);
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
    const double sum = row_exp(x, row_max(x, n), y, n);
    row_scale(y, (real)(1 / (sum * (double)EXP_UNIT)), n);
}

static void softmax_backward_row(const void *dy_, const void *y_, void *dx_, fnn_size n) {
    const real *dy = dy_, *y = y_;
    real *dx = dx_;
    vreal products = v_set(0);
    FNN_RUN(i, width, n, products = v_fma(v_load_n(dy + i, width), v_load_n(y + i, width), products));
    const vreal sum = v_set(v_sum(products));
    FNN_RUN(i, width, n, v_store_n(dx + i, v_load_n(y + i, width) * (v_load_n(dy + i, width) - sum), width));
}

static void log_softmax_row(const void *x_, void *y_, fnn_size n) {
    const real *x = x_;
    real *y = y_;
    const real top = row_max(x, n), log_sum = (real)log(row_exp(x, top, NULL, n));
    FNN_RUN(i, width, n, v_store_n(y + i, v_load_n(x + i, width) - top - log_sum, width));
}

static void log_softmax_backward_row(const void *dy_, const void *y_, void *dx_, fnn_size n) {
    const real *dy = dy_, *y = y_;
    real *dx = dx_;
    vreal sums = v_set(0);
    FNN_RUN(i, width, n, sums += v_load_n(dy + i, width));
    const vreal sum = v_set(v_sum(sums));
    FNN_RUN(i, width, n, {
        const vreal p = v_exp_scaled(v_load_n(y + i, width)) * (1 / EXP_UNIT);
        v_store_n(dx + i, v_fma(-p, sum, v_load_n(dy + i, width)), width);
    });
}

/* 1 in the lane of the class `label`, 0 in the others, where lane 0 is class i */
ALWAYS_INLINE vreal one_hot(fnn_size label, fnn_size i) {
    const fnn_size lane = label - i;
    return 0 <= lane && lane < LANES ? v_keep(v_first(lane + 1) & ~v_first(lane), v_set(1)) : v_set(0);
}

/* ---- classes: cross entropy and the multi-class margin ----
 *
 * cross_entropy: loss = -sum of u log softmax(z); grad = scale * (softmax(z) * sum(u) - u).  Without parameters u is the target
 * t: a row of probabilities or, in cross_entropy_labels, 1 for one class and 0 for the others.  With parameters, the label
 * smoothing s and a weight w for each class, u = w * ((1 - s) * t + s / n).  For labels, w is divided by the weight of the
 * row's class, as the weight of the row already contains it.
 */

/* cross_entropy_labels without parameters, for at most LANES rows of at most LANES outputs.  Each lane holds a row, after a
 * transposition; a single row would spend its time in chains of dependent instructions (docs/decisions, 10). */
ALWAYS_INLINE void labels_block(const real *z, const int64_t *label, fnn_size n, fnn_size rows, const double *scale, real *grad,
                                double *loss) {
    real result[FNN_LANES] = {0};
    ireal labels[FNN_LANES] = {0};
    vreal column[FNN_LANES];
    vint at;
    UNROLL for (int i = 0; i < FNN_LANES; i++) column[i] = i < rows ? v_load_part(z + i * n, n) : (vreal){0};
    for (fnn_size i = 0; i < rows; i++) labels[i] = (ireal)label[i];
    memcpy(&at, labels, sizeof at);
    transpose(column);
    vreal top = column[0], sum = v_set(0), score = v_set(0);
    for (fnn_size j = 1; j < n; j++) top = v_max(top, column[j]);
    for (fnn_size j = 0; j < n; j++) {
        const vreal below = column[j] - top;
        score = v_select(at == v_iset((ireal)j), below, score);
        column[j] = v_exp_scaled(below);
        sum += column[j];
    }
    v_store(result, v_log(sum * (1 / EXP_UNIT)) - score);
    for (fnn_size i = 0; i < rows; i++) loss[i] = (double)result[i];
    if (!grad) return;
    const vreal slope = v_doubles(scale, rows, 1), factor = slope / sum;
    for (fnn_size j = 0; j < n; j++) column[j] = column[j] * factor - v_keep(at == v_iset((ireal)j), slope);
    transpose(column);
    UNROLL for (int i = 0; i < FNN_LANES; i++)
        if (i < rows) v_store_part(grad + i * n, column[i], n);
}

static void cross_entropy_labels_block(const void *z, const int64_t *label, fnn_size n, fnn_size rows, const double *scale,
                                       void *grad, double *loss) {
    if (rows == LANES) /* with a constant count the loops over rows become vector operations (docs/decisions, 16) */
        labels_block(z, label, n, LANES, scale, grad, loss);
    else
        labels_block(z, label, n, rows, scale, grad, loss);
}

typedef struct {
    const real *t; /* the target's probabilities; NULL where the target is the class `label` */
    fnn_size label;
    const double *weights; /* of the classes; NULL where u is t */
    double weight;         /* the factor of all weights */
    real keep, spread;     /* u = weight * weights * (keep * t + spread): 1 - s and s / n */
} class_target;

/* `width` entries of u from class i on */
ALWAYS_INLINE vreal target_part(const class_target *c, fnn_size i, fnn_size width) {
    const vreal t = c->t ? v_load_n(c->t + i, width) : one_hot(c->label, i);
    return c->weights ? v_doubles(c->weights + i, width, c->weight) * (t * c->keep + c->spread) : t;
}

static double cross_entropy_of(const real *z, fnn_size n, const class_target *c, double scale, real *grad) {
    const real top = row_max(z, n);
    const int many = c->t || c->weights; /* u may be other than 0 for more classes than one */
    double weight = 1, score;
    if (many) {
        vreal sum_u = v_set(0), sum_uz = v_set(0);
        FNN_RUN(i, width, n, {
            const vreal u = target_part(c, i, width);
            sum_u += u;
            sum_uz += v_keep(~(u == 0), u * (v_load_n(z + i, width) - top)); /* where u is 0, z may be -inf */
        });
        weight = v_sum(sum_u);
        score = v_sum(sum_uz);
    } else {
        score = z[c->label] - top;
    }
    const double sum = row_exp(z, top, grad, n);
    if (grad) {
        const real factor = (real)(scale * weight / (sum * (double)EXP_UNIT)), part_of_target = (real)scale;
        row_scale(grad, factor, n);
        if (many) {
            FNN_RUN(i, width, n,
                    v_store_n(grad + i, v_load_n(grad + i, width) - part_of_target * target_part(c, i, width), width));
        } else {
            grad[c->label] -= part_of_target;
        }
    }
    return log(sum) * weight - score;
}

/* Sets the label smoothing and the class weights. */
static void smooth(class_target *c, const double *parameters, fnn_size n) {
    c->keep = (real)(1 - parameters[0]);
    c->spread = (real)(parameters[0] / (double)n);
    c->weights = parameters + 1;
}

static double cross_entropy_labels_row(const void *z, const void *target, fnn_size n, double scale, void *grad,
                                       const double *parameters) {
    const fnn_size label = (fnn_size) * (const int64_t *)target;
    class_target c = {.label = label};
    if (parameters) {
        smooth(&c, parameters, n);
        c.weight = 1 / c.weights[label];
    }
    return cross_entropy_of(z, n, &c, scale, grad);
}

static double cross_entropy_row(const void *z, const void *target, fnn_size n, double scale, void *grad,
                                const double *parameters) {
    class_target c = {.t = target, .weight = 1};
    if (parameters) smooth(&c, parameters, n);
    return cross_entropy_of(z, n, &c, scale, grad);
}

/* The sum over all classes j except the target y of max(0, margin - z[y] + z[j])^p.  Parameters: p (1 or 2), margin. */
static double multi_margin_row(const void *z_, const void *target, fnn_size n, double scale, void *grad_,
                               const double *parameters) {
    const real *z = z_;
    real *grad = grad_;
    const fnn_size label = (fnn_size) * (const int64_t *)target;
    const int squared = parameters[0] == 2;
    const vreal margin = v_set((real)parameters[1]), score = v_set(z[label]);
    vreal loss = v_set(0), slope = v_set(0);
    FNN_RUN(i, width, n, {
        const vint others = v_first(width) & (one_hot(label, i) == 0);
        const vreal over = margin - score + v_load_n(z + i, width), h = v_keep(others, v_max(v_set(0), over));
        const vreal d = squared ? 2 * h : v_keep(others, v_select(over > 0, v_set(1), v_keep(~(over <= 0), over)));
        loss += squared ? h * h : h;
        slope += d;
        if (grad) v_store_n(grad + i, d * (real)scale, width);
    });
    if (grad) grad[label] = -v_sum(slope) * (real)scale;
    return v_sum(loss);
}

/* ---- losses that are a sum of terms, one for each column ----
 *
 * Such a loss is a function on vectors, name_terms(z, t, p, &d), which returns the terms and sets d to their derivatives in z,
 * and a line COLUMN_LOSS(name), which makes name_row of it.  p is the loss's only parameter, or 0.
 */
#define COLUMN_LOSS(name)                                                                                      \
    static double name##_row(const void *z_, const void *target, fnn_size n, double scale, void *grad_,        \
                             const double *parameters) {                                                       \
        const real *z = z_, *t = target;                                                                       \
        real *grad = grad_;                                                                                    \
        const vreal p = v_set(parameters ? (real)parameters[0] : 0);                                           \
        vreal loss = v_set(0);                                                                                 \
        FNN_RUN(i, width, n, {                                                                                 \
            vreal d;                                                                                           \
            loss += first_n_lanes(name##_terms(v_load_n(z + i, width), v_load_n(t + i, width), p, &d), width); \
            if (grad) v_store_n(grad + i, d * (real)scale, width);                                             \
        });                                                                                                    \
        return v_sum(loss);                                                                                    \
    }

ALWAYS_INLINE vreal mean_squared_error_terms(vreal z, vreal t, vreal p, vreal *d) {
    (void)p;
    *d = 2 * (z - t);
    return (z - t) * (z - t);
}
COLUMN_LOSS(mean_squared_error)

ALWAYS_INLINE vreal mean_absolute_error_terms(vreal z, vreal t, vreal p, vreal *d) {
    (void)p;
    const vreal e = z - t;
    *d = v_select(e > 0, v_set(1), v_select(e < 0, v_set(-1), e)); /* the last is 0 or NaN */
    return v_abs(e);
}
COLUMN_LOSS(mean_absolute_error)

/* p is delta, the |z - t| at which the parabola becomes a line */
ALWAYS_INLINE vreal huber_terms(vreal z, vreal t, vreal p, vreal *d) {
    const vreal e = z - t, a = v_abs(e);
    *d = v_select(a > p, v_copysign(p, e), e);
    return v_select(a > p, p * (a - R(0.5) * p), R(0.5) * e * e);
}
COLUMN_LOSS(huber)

/* With h = tanh(a / 2), a = |z - t|: tanh(a) = 2h / (1 + h^2), and log cosh(a) is log(1 + u) with u = cosh(a) - 1 =
 * 2 h^2 / (1 - h^2) where that is below 1, else a - log 2 + log(1 + e^-2a) with e^-a = (1 - h) / (1 + h).  Nothing overflows.
 */
ALWAYS_INLINE vreal log_cosh_terms(vreal z, vreal t, vreal p, vreal *d) {
    (void)p;
    const vreal e = z - t, a = v_abs(e), h = v_tanh(R(0.5) * a), square = h * h, falling = (1 - h) / (1 + h);
    const vint large = a > R(1.25);
    *d = v_copysign(2 * h / (1 + square), e);
    return v_keep(large, a - R(0.69314718055994530942)) +
           v_log1p(v_select(large, falling * falling, 2 * square / (1 - square)));
}
COLUMN_LOSS(log_cosh)

/* t is -1 or 1 */
ALWAYS_INLINE vreal hinge_terms(vreal z, vreal t, vreal p, vreal *d) {
    (void)p;
    const vreal margin = 1 - t * z;
    *d = v_select(margin > 0, -t, v_keep(~(margin <= 0), margin)); /* the last is NaN */
    return v_max(v_set(0), margin);
}
COLUMN_LOSS(hinge)

ALWAYS_INLINE vreal squared_hinge_terms(vreal z, vreal t, vreal p, vreal *d) {
    (void)p;
    const vreal h = v_max(v_set(0), 1 - t * z);
    *d = -2 * t * h;
    return h * h;
}
COLUMN_LOSS(squared_hinge)

/* ---- log losses, and losses with parameters for each column ---- */

/* max(z, 0) - z t + log(1 + e^-|z|); d is sigmoid(z) - t */
ALWAYS_INLINE vreal binary_terms(vreal z, vreal t, vreal *d) {
    const vreal e = v_exp_scaled(v_minus_abs(z)) * (1 / EXP_UNIT);
    *d = v_select(z < 0, e, v_set(1)) / (1 + e) - t;
    return v_max(v_set(0), z) - z * t + v_log1p(e);
}

static double log_loss_labels_row(const void *z, const void *target, fnn_size n, double scale, void *grad,
                                  const double *parameters) {
    return clamp_loss(cross_entropy_labels_row(z, target, n, scale, grad, parameters), sizeof(real));
}

static void log_loss_labels_block(const void *z, const int64_t *label, fnn_size n, fnn_size rows, const double *scale,
                                  void *grad, double *loss) {
    cross_entropy_labels_block(z, label, n, rows, scale, grad, loss);
    for (fnn_size i = 0; i < rows; i++) loss[i] = clamp_loss(loss[i], sizeof(real));
}

/* t is 0 or 1 */
ALWAYS_INLINE vreal log_loss_terms(vreal z, vreal t, vreal p, vreal *d) {
    (void)p;
    const vreal loss = binary_terms(z, t, d), low = v_set((real)LEAST_LOG_LOSS(sizeof(real))),
                high = v_set((real)LARGEST_LOG_LOSS(sizeof(real)));
    return v_select(loss < low, low, v_select(loss > high, high, loss));
}
COLUMN_LOSS(log_loss)
#undef COLUMN_LOSS

/* p t log(1 + e^-z) + (1 - t) log(1 + e^z), where p is the weight of a target of 1.  With l = 1 + (p - 1) t it is
 * (1 - t) z + l log(1 + e^-z). */
ALWAYS_INLINE vreal weighted_binary_terms(vreal z, vreal t, vreal p, vreal *d) {
    const vreal e = v_exp_scaled(v_minus_abs(z)) * (1 / EXP_UNIT), l = 1 + (p - 1) * t;
    *d = (1 - t) - l * (v_select(z < 0, v_set(1), e) / (1 + e));
    return (1 - t) * z + l * (v_max(v_set(0), -z) + v_log1p(e));
}

/* Parameters: none, or for each column the weight of a target of 1. */
static double binary_cross_entropy_row(const void *z_, const void *target, fnn_size n, double scale, void *grad_,
                                       const double *parameters) {
    const real *z = z_, *t = target;
    real *grad = grad_;
    vreal loss = v_set(0);
    FNN_RUN(i, width, n, {
        vreal d;
        const vreal zi = v_load_n(z + i, width), ti = v_load_n(t + i, width);
        loss += first_n_lanes(parameters ? weighted_binary_terms(zi, ti, v_doubles(parameters + i, width, 1), &d)
                                  : binary_terms(zi, ti, &d),
                       width);
        if (grad) v_store_n(grad + i, d * (real)scale, width);
    });
    return v_sum(loss);
}

/* Parameters: the number m of quantiles, then the quantiles q.  Output j m + k is quantile k of target j.  A term is q (t - z)
 * for t > z and (1 - q) (z - t) for t < z.  The derivative at z = t is 0. */
static double quantile_row(const void *z_, const void *target, fnn_size n, double scale, void *grad_,
                           const double *parameters) {
    const real *z = z_, *t = target;
    real *grad = grad_;
    const fnn_size quantiles = (fnn_size)parameters[0], run = quantiles == 1 ? n : quantiles;
    const double *levels = parameters + 1;
    vreal loss = v_set(0);
    for (fnn_size j = 0; j < n; j += run) {
        FNN_RUN(i, width, run, {
            const vreal q = quantiles == 1 ? v_set((real)levels[0]) : v_doubles(levels + i, width, 1);
            const vreal ti = quantiles == 1 ? v_load_n(t + i, width) : v_set(t[j / quantiles]);
            const vreal e = ti - v_load_n(z + j + i, width);
            const vreal d = v_select(e > 0, -q, v_select(e < 0, 1 - q, e)); /* the last is 0 or NaN */
            loss += first_n_lanes(v_select(e > 0, q, q - 1) * e, width);
            if (grad) v_store_n(grad + j + i, d * (real)scale, width);
        });
    }
    return v_sum(loss);
}

/* Parameters: whether z is the logarithm of the rate; the constant to add (0: none, 1: Stirling's, 2: the deviance's); eps.  A
 * term is e^z - t z, or z - t log(z + eps) where z is the rate. */
static double poisson_row(const void *z_, const void *target, fnn_size n, double scale, void *grad_, const double *parameters) {
    const real *z = z_, *t = target;
    real *grad = grad_;
    vreal loss = v_set(0);
    double rest = 0;
    if (parameters[0] != 0) {
        FNN_RUN(i, width, n, {
            const vreal zi = v_load_n(z + i, width), ti = v_load_n(t + i, width), rate = v_exp(zi);
            loss += first_n_lanes(rate - ti * zi, width);
            if (grad) v_store_n(grad + i, (rate - ti) * (real)scale, width);
        });
    } else {
        for (fnn_size i = 0; i < n; i++) {
            const double rate = (double)z[i] + parameters[2];
            rest += (double)z[i] - (double)t[i] * log(rate);
            if (grad) grad[i] = (real)((1 - (double)t[i] / rate) * scale);
        }
    }
    if (parameters[1] != 0)
        for (fnn_size i = 0; i < n; i++) rest += poisson_constant((double)t[i], parameters[1] == 2);
    return (double)v_sum(loss) + rest;
}

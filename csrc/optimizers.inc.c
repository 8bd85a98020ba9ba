/* optimizers.inc.c: the update of every optimiser (SGD, Adam, ...), one step of the parameters w for their gradient g;
 * penalties, clipping, limits of norms, and sums.
 *
 * Each operation is rounded as it is written, without FMA, so that NumPy gives the same bits.  The scalars, listed above each
 * body, are those of the update's row in src/fastnn/_updates.py, rounded to the element type first.
 *
 * An update is the number of its scalars, name_scalars, a body on vectors, name_step(w, g, slot, c), and a line of FNN_UPDATES
 * in fastnn.h.  The macro UPDATE below makes name_update from them, the table's entry.  slot[k] is what the optimiser keeps of
 * each parameter between steps.
 */
/* The new value of a slot: +0 instead of a value below the normal numbers, so that dead units do not compute with denormals
 * (docs/decisions, 4). */
ALWAYS_INLINE vreal flush(vreal s) { return v_keep(~(v_abs(s) < REAL_MIN), s); }

/* lr */
enum { sgd_scalars = 1 };
ALWAYS_INLINE vreal sgd_step(vreal w, vreal g, vreal *slot, const vreal *c) { return (void)slot, w - c[0] * g; }

/* lr, mu, 1 - dampening */
enum { momentum_scalars = 3 };
ALWAYS_INLINE vreal momentum_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    slot[0] = flush(c[1] * slot[0] + c[2] * g);
    return w - c[0] * slot[0];
}

/* lr, mu */
enum { nesterov_scalars = 2 };
ALWAYS_INLINE vreal nesterov_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    slot[0] = flush(c[1] * slot[0] + g);
    return w - c[0] * (g + c[1] * slot[0]);
}

/* lr, mu: the slot contains the rate and is what w moves by */
enum { velocity_scalars = 2 };
ALWAYS_INLINE vreal velocity_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    slot[0] = flush(c[1] * slot[0] - c[0] * g);
    return w + slot[0];
}

/* lr, mu */
enum { nesterov_velocity_scalars = 2 };
ALWAYS_INLINE vreal nesterov_velocity_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    const vreal step = c[0] * g;
    slot[0] = flush(c[1] * slot[0] - step);
    return w + (c[1] * slot[0] - step);
}

/* lr, eps */
enum { adagrad_scalars = 2 };
ALWAYS_INLINE vreal adagrad_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    slot[0] = flush(slot[0] + g * g);
    return w - c[0] * g / (v_sqrt(slot[0]) + c[1]);
}

/* lr, rho, 1 - rho, eps */
enum { adadelta_scalars = 4 };
ALWAYS_INLINE vreal adadelta_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    slot[0] = flush(c[1] * slot[0] + c[2] * (g * g));
    const vreal move = v_sqrt(slot[1] + c[3]) / v_sqrt(slot[0] + c[3]) * g;
    slot[1] = flush(c[1] * slot[1] + c[2] * (move * move));
    return w - c[0] * move;
}

/* lr, alpha, 1 - alpha, eps; with momentum also mu */
enum { rmsprop_scalars = 4, rmsprop_momentum_scalars = 5, rmsprop_centered_scalars = 4, rmsprop_centered_momentum_scalars = 5 };
ALWAYS_INLINE vreal mean_square(vreal g, vreal *slot, const vreal *c) {
    return slot[0] = flush(c[1] * slot[0] + c[2] * (g * g));
}
/* The mean of squares minus the square of the mean, which rounding may make negative. */
ALWAYS_INLINE vreal variance(vreal g, vreal *slot, const vreal *c) {
    mean_square(g, slot, c);
    slot[1] = flush(slot[1] + c[2] * (g - slot[1]));
    return v_max(v_set(0), slot[0] - slot[1] * slot[1]);
}
ALWAYS_INLINE vreal rmsprop_momentum_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    slot[1] = flush(c[4] * slot[1] + g / (v_sqrt(mean_square(g, slot, c)) + c[3]));
    return w - c[0] * slot[1];
}
ALWAYS_INLINE vreal rmsprop_centered_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    return w - c[0] * g / (v_sqrt(variance(g, slot, c)) + c[3]);
}
ALWAYS_INLINE vreal rmsprop_centered_momentum_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    slot[2] = flush(c[4] * slot[2] + g / (v_sqrt(variance(g, slot, c)) + c[3]));
    return w - c[0] * slot[2];
}
ALWAYS_INLINE vreal rmsprop_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    return w - c[0] * g / (v_sqrt(mean_square(g, slot, c)) + c[3]);
}

/* lr sqrt(1 - beta2^t) / (1 - beta1^t), 1 - beta1, beta2, 1 - beta2, eps sqrt(1 - beta2^t).  With the bias corrections taken
 * out of the denominator, a step has one division and one square root (docs/decisions, 6). */
enum { adam_scalars = 5 };
ALWAYS_INLINE void moments(vreal g, vreal *slot, const vreal *c) {
    slot[0] = flush(slot[0] + c[0] * (g - slot[0]));
    slot[1] = flush(c[1] * slot[1] + c[2] * (g * g));
}
ALWAYS_INLINE vreal adam_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    moments(g, slot, c + 1);
    return w - c[0] * slot[0] / (v_sqrt(slot[1]) + c[4]);
}

/* the same scalars as adam */
enum { amsgrad_scalars = 5 };
ALWAYS_INLINE vreal amsgrad_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    moments(g, slot, c + 1);
    slot[2] = v_max(slot[2], slot[1]);
    return w - c[0] * slot[0] / (v_sqrt(slot[2]) + c[4]);
}

/* the rate of the gradient and the rate of its mean, 1 - beta1, beta2, 1 - beta2, eps; the rates and eps times sqrt(1 -
 * beta2^t) */
enum { nadam_scalars = 6 };
ALWAYS_INLINE vreal nadam_step(vreal w, vreal g, vreal *slot, const vreal *c) {
    moments(g, slot, c + 2);
    return w - (c[0] * g + c[1] * slot[0]) / (v_sqrt(slot[1]) + c[5]);
}

/* Long runs prefetch parameters and slots 1 KiB ahead (docs/decisions, 14). */
#define UPDATE(name, n_slots)                                                                                    \
    static void name##_update(void *w_, const void *g_, void *const *slots, fnn_size n, const double *scalars) { \
        real *w = w_, *slot[n_slots + 1];                                                                        \
        const real *g = g_;                                                                                      \
        vreal s[n_slots + 1], c[name##_scalars];                                                                 \
        for (int k = 0; k < n_slots; k++) slot[k] = slots[k];                                                    \
        for (int k = 0; k < name##_scalars; k++) c[k] = v_set((real)scalars[k]);                                 \
        const int prefetch = n > 2 * AHEAD_1_KIB;                                                                \
        FNN_RUN(i, width, n, {                                                                                   \
            if (prefetch) {                                                                                      \
                V_PREFETCH_WRITE(w + i, AHEAD_1_KIB);                                                            \
                for (int k = 0; k < n_slots; k++) V_PREFETCH_WRITE(slot[k] + i, AHEAD_1_KIB);                    \
            }                                                                                                    \
            for (int k = 0; k < n_slots; k++) s[k] = v_load_n(slot[k] + i, width);                               \
            v_store_n(w + i, name##_step(v_load_n(w + i, width), v_load_n(g + i, width), s, c), width);          \
            for (int k = 0; k < n_slots; k++) v_store_n(slot[k] + i, s[k], width);                               \
        });                                                                                                      \
    }
FNN_UPDATES(UPDATE)
#undef UPDATE

static void regularize(const void *w_, const void *g_, void *out_, fnn_size n, double l1, double l2) {
    const real *w = w_, *g = g_;
    real *out = out_;
    const vreal pull = v_set((real)l1), shrink = v_set((real)l2);
    FNN_RUN(i, width, n, {
        const vreal wi = v_load_n(w + i, width);
        const vreal sign = v_keep(wi > 0, pull) - v_keep(wi < 0, pull);
        v_store_n(out + i, v_load_n(g + i, width) + (shrink * wi + sign), width);
    });
}

static void clip(const void *x_, void *y_, fnn_size n, double limit) {
    const real *x = x_;
    real *y = y_;
    const vreal high = v_set((real)limit);
    FNN_RUN(i, width, n, v_store_n(y + i, v_min(high, v_max(-high, v_load_n(x + i, width))), width));
}

static void scale(const void *x_, void *y_, fnn_size n, double factor) {
    const real *x = x_;
    real *y = y_;
    const vreal by = v_set((real)factor);
    FNN_RUN(i, width, n, v_store_n(y + i, by * v_load_n(x + i, width), width));
}

/* The weight is rounded to the unit's type first; 1 - weight and the choice of the form use the rounded one. */
static void lerp(const void *a_, const void *b_, void *out_, fnn_size n, double weight) {
    const real *a = a_, *b = b_, by = (real)weight;
    real *out = out_;
    const vreal share = v_set(by), rest = v_set(1 - by);
    if (fabs((double)by) < 0.5)
        FNN_RUN(i, width, n, {
            const vreal ai = v_load_n(a + i, width);
            v_store_n(out + i, ai + share * (v_load_n(b + i, width) - ai), width);
        });
    else
        FNN_RUN(i, width, n, {
            const vreal bi = v_load_n(b + i, width);
            v_store_n(out + i, bi - (bi - v_load_n(a + i, width)) * rest, width);
        });
}

static void limit_norms(void *w_, fnn_size w_row, fnn_size rows, fnn_size cols, double limit) {
    real *w = w_;
    double square[FNN_NORM_COLS] = {0}; /* of each column: the sum of squares, then the factor */
    int above = 0;
    for (fnn_size i = 0; i < rows; i++)
        for (fnn_size j = 0; j < cols; j++) {
            const double v = (double)w[i * w_row + j];
            square[j] += v * v;
        }
    for (fnn_size j = 0; j < cols; j++) {
        const double norm = sqrt(square[j]);
        above |= norm > limit;
        square[j] = norm > limit ? limit / norm : 1;
    }
    if (!above) return;
    for (fnn_size i = 0; i < rows; i++)
        for (fnn_size j = 0; j < cols; j++) w[i * w_row + j] *= (real)square[j];
}

/* Adds |x[j]| to m[j] and x[j]^2 to s[j]. */
ALWAYS_INLINE void add_terms(const real *x, fnn_size width, double *m, double *s) {
    for (fnn_size j = 0; j < width; j++) {
        const double v = (double)x[j];
        m[j] += fabs(v);
        s[j] += v * v;
    }
}

/* Entry i goes into partial sum i % SUMS; the partial sums are combined by halves (docs/decisions, 8). */
enum { SUMS = 8 };
static void sums(const void *x_, fnn_size n, double *magnitude, double *square) {
    const real *x = x_;
    double m[SUMS] = {0}, s[SUMS] = {0};
    fnn_size i = 0;
    for (; i + SUMS <= n; i += SUMS) add_terms(x + i, SUMS, m, s);
    add_terms(x + i, n - i, m, s);
    for (int half = SUMS / 2; half; half /= 2)
        for (int j = 0; j < half; j++) {
            m[j] += m[j + half];
            s[j] += s[j + half];
        }
    *magnitude = m[0];
    *square = s[0];
}

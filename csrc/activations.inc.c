/* activations.inc.c: every elementwise activation y = f(x), its backward pass dx = dy * f'(x), and PReLU.
 *
 * An activation is a pair of functions on vectors, name_f(x, p) and name_df(dy, y or x, p), where p are its parameters, and a
 * line of FNN_ACTIVATIONS in fastnn.h, which says whether the derivative is computed from the output y or the input x.  The
 * loops over an array are made by the macro ACTIVATION below.
 */
ALWAYS_INLINE vreal identity_f(vreal x, const vreal *p) { return (void)p, x; }
ALWAYS_INLINE vreal identity_df(vreal dy, vreal y, const vreal *p) { return (void)p, (void)y, dy; }

/* + 0 turns -0 into +0 */
ALWAYS_INLINE vreal relu_f(vreal x, const vreal *p) { return (void)p, v_max(v_set(0), x) + 0; }
ALWAYS_INLINE vreal relu_df(vreal dy, vreal y, const vreal *p) {
    return (void)p, v_select(y > 0, dy, v_keep(~(y <= 0), y)); /* the last is NaN */
}

ALWAYS_INLINE vreal leaky_relu_f(vreal x, const vreal *p) { return v_select(x > 0, x, p[0] * x); }
ALWAYS_INLINE vreal leaky_relu_df(vreal dy, vreal y, const vreal *p) {
    return v_select(y > 0, dy, v_select(y <= 0, p[0] * dy, y));
}

ALWAYS_INLINE vreal sigmoid_f(vreal x, const vreal *p) { return (void)p, v_sigmoid(x); }
ALWAYS_INLINE vreal sigmoid_df(vreal dy, vreal y, const vreal *p) { return (void)p, dy * (y * (1 - y)); }

ALWAYS_INLINE vreal tanh_f(vreal x, const vreal *p) { return (void)p, v_tanh(x); }
ALWAYS_INLINE vreal tanh_df(vreal dy, vreal y, const vreal *p) { return (void)p, dy * (1 - y * y); }

/* dy where the mask is set, else 0; where `from` (y or x) is NaN, that NaN */
ALWAYS_INLINE vreal pass(vint mask, vreal dy, vreal from) { return v_select(mask, dy, v_keep(from != from, from)); }

ALWAYS_INLINE vreal relu6_f(vreal x, const vreal *p) { return (void)p, v_min(v_set(6), v_max(v_set(0), x)); }
ALWAYS_INLINE vreal relu6_df(vreal dy, vreal y, const vreal *p) { return (void)p, pass((y > 0) & (y < 6), dy, y); }

ALWAYS_INLINE vreal hard_tanh_f(vreal x, const vreal *p) { return v_min(p[1], v_max(p[0], x)); }
ALWAYS_INLINE vreal hard_tanh_df(vreal dy, vreal y, const vreal *p) { return pass((y > p[0]) & (y < p[1]), dy, y); }

ALWAYS_INLINE vreal threshold_f(vreal x, const vreal *p) { return v_select(x <= p[0], p[1], x); }
ALWAYS_INLINE vreal threshold_df(vreal dy, vreal x, const vreal *p) { return pass(x > p[0], dy, x); }

/* a / 6 with the same bits as a division, unless `a` is near the smallest numbers.  As the inverse is rounded correctly, one
 * correction of the product is enough (Markstein, 1990), provided that the correction is normal or 0.  Measured in
 * docs/decisions, 10 and 15; the division of a shorter vector is as fast. */
ALWAYS_INLINE vreal v_sixth(vreal a) {
#if FNN_VBYTES == 64
    const vreal inverse = v_set(R(1.0) / 6), q = a * inverse;
    return v_fma(v_fma(q, v_set(-6), a), inverse, q);
#else
    return a / 6;
#endif
}

/* Where x + 3 is positive, it is at least the spacing of the numbers below 3, far from the smallest numbers. */
ALWAYS_INLINE vreal hard_sigmoid_f(vreal x, const vreal *p) {
    return (void)p, v_sixth(v_min(v_set(6), v_max(v_set(0), x + 3)));
}
ALWAYS_INLINE vreal hard_sigmoid_df(vreal dy, vreal x, const vreal *p) {
    return (void)p, pass(v_abs(x) < 3, dy * (R(1.0) / 6), x);
}

/* The first factor is bounded where the second is 0, so that x = -inf gives -0. */
ALWAYS_INLINE vreal hard_swish_f(vreal x, const vreal *p) { return v_max(v_set(-3), x) * hard_sigmoid_f(x, p); }
ALWAYS_INLINE vreal hard_swish_df(vreal dy, vreal x, const vreal *p) {
    return (void)p, v_select(x >= 3, dy, pass(x > -3, dy * (x / 3 + R(0.5)), x));
}

/* x / (1 + |x|); infinity is replaced by the largest number, and both give 1 */
ALWAYS_INLINE vreal softsign_f(vreal x, const vreal *p) {
    const vreal finite = v_copysign(v_min(v_set(REAL_MAX), v_abs(x)), x);
    return (void)p, finite / (1 + v_abs(finite));
}
ALWAYS_INLINE vreal softsign_df(vreal dy, vreal x, const vreal *p) {
    const vreal d = 1 / (1 + v_abs(x));
    return (void)p, dy * d * d;
}

/* For x <= 0 the derivative is alpha e^x = y + alpha. */
ALWAYS_INLINE vreal elu_f(vreal x, const vreal *p) { return v_select(x >= 0, x, p[0] * v_expm1(x)); }
ALWAYS_INLINE vreal elu_df(vreal dy, vreal y, const vreal *p) { return v_select(y > 0, dy, dy * (y + p[0])); }

#define SELU_SCALE R(1.0507009873554804934193349852946)
#define SELU_LIMIT R(1.7580993408473768599402175208123) /* SELU_SCALE * 1.6732632423543772848170429916717 */
ALWAYS_INLINE vreal selu_f(vreal x, const vreal *p) {
    return (void)p, v_select(x >= 0, SELU_SCALE * x, SELU_LIMIT * v_expm1(x));
}
ALWAYS_INLINE vreal selu_df(vreal dy, vreal y, const vreal *p) {
    return (void)p, dy * v_select(y > 0, v_set(SELU_SCALE), y + SELU_LIMIT);
}

ALWAYS_INLINE vreal celu_f(vreal x, const vreal *p) { return v_select(x >= 0, x, p[0] * v_expm1(x / p[0])); }
ALWAYS_INLINE vreal celu_df(vreal dy, vreal y, const vreal *p) { return v_select(y > 0, dy, dy * (y / p[0] + 1)); }

/* max(x, 0) + log(1 + e) / beta with e = e^-|beta x|; where tail = TAIL_UNIT e is below 1, log(1 + e) is e itself */
ALWAYS_INLINE vreal softplus_f(vreal x, const vreal *p) {
    const vreal tail = v_exp_tail(v_minus_abs(p[0] * x)), e = v_max(v_set(1), tail) * (1 / TAIL_UNIT), inverse = 1 / p[0];
    return v_max(v_set(0), x) + v_select(tail < 1, v_remove_unit(tail * inverse), v_log1p(e) * inverse);
}
ALWAYS_INLINE vreal softplus_df(vreal dy, vreal y, const vreal *p) { return -dy * v_expm1(-p[0] * y); }

/* x sigmoid(s) = x / (1 + e^-s) */
ALWAYS_INLINE vreal times_sigmoid(vreal x, vreal s) {
    const vreal tail = v_exp_tail(v_minus_abs(s));
    const vint below = s < 0;
    const vreal whole = v_fma(v_max(v_set(TAIL_LEAST), tail), v_set(1 / TAIL_UNIT), v_set(1)); /* 1 + e^-|s| */
    const vreal y = v_select(below, v_max(v_set(-TAIL_END), x) * tail, x) / whole;
    return v_select(below, v_remove_unit(y), y);
}
/* Its derivative g + slope g (1 - g), where g = sigmoid(s) and slope = x s'. */
ALWAYS_INLINE vreal times_sigmoid_df(vreal slope, vreal s) {
    const vreal tail = v_exp_tail(v_minus_abs(s)), e = v_normal_tail(tail), inverse = 1 / (1 + e);
    const vint below = s < 0;
    const vreal part = inverse * v_fma(slope, v_select(below, v_set(1), e) * inverse, v_set(1));
    return v_select(below, v_remove_unit(tail * part), part);
}

/* x between -bound and bound, beyond which the sigmoid is 0 or 1 */
ALWAYS_INLINE vreal v_clamp(vreal x, real bound) { return v_max(v_set(-bound), v_min(v_set(bound), x)); }

ALWAYS_INLINE vreal silu_f(vreal x, const vreal *p) { return (void)p, times_sigmoid(x, x); }
ALWAYS_INLINE vreal silu_df(vreal dy, vreal x, const vreal *p) {
    return (void)p, dy * times_sigmoid_df(v_clamp(x, TAIL_END), x);
}

/* s = 2 sqrt(2 / pi) (x + 0.044715 x^3), as 1 + tanh(s / 2) = 2 / (1 + e^-s) */
#define GELU_LINEAR R(1.5957691216057307117597842397375)
#define GELU_CUBIC R(0.071354816272600248756377683279860)
#define GELU_END R(24.0) /* e^-s is 0 before */
ALWAYS_INLINE vreal gelu_tanh_f(vreal x, const vreal *p) {
    return (void)p, times_sigmoid(x, x * v_fma(x * x, v_set(GELU_CUBIC), v_set(GELU_LINEAR)));
}
ALWAYS_INLINE vreal gelu_tanh_df(vreal dy, vreal x_, const vreal *p) {
    const vreal x = v_clamp(x_, GELU_END), square = x * x;
    const vreal slope = x * v_fma(square, v_set(3 * GELU_CUBIC), v_set(GELU_LINEAR));
    return (void)p, dy * times_sigmoid_df(slope, x * v_fma(square, v_set(GELU_CUBIC), v_set(GELU_LINEAR)));
}

/* x Phi(x) = max(x, 0) - |x| Phi(-|x|).  The maximum with -0 gives zeros the right sign. */
ALWAYS_INLINE vreal gelu_f(vreal x, const vreal *p) {
    const vreal z = bell_argument(x);
    return (void)p, v_add_bell(v_max(v_set(R(-0.0)), x), -z * v_mills(z), z);
}
/* Phi(x) + x phi(x) */
ALWAYS_INLINE vreal gelu_df(vreal dy, vreal x, const vreal *p) {
    const vreal z = bell_argument(x);
    const vreal tail = v_fma(v_mills(z), v_set(BELL_ROOT), z * -BELL_DENSITY);
    return (void)p, dy * v_add_bell(v_keep(x >= 0, v_set(1)), v_select(x < 0, tail, -tail), z);
}

/* tanh(log(1 + e^x)) = n / d with n = e^x (e^x + 2) and d = n + 2.  For x < 0 it is computed as e^x (1 - e^x (1 + e^x) / d),
 * for x > 0 as 1 - 2 e^-2x / d with d divided by e^2x. */
ALWAYS_INLINE vreal mish_d(vreal e, vint below) {
    return v_select(below, v_fma(e, e + 2, v_set(2)), v_fma(2 * e, e + 1, v_set(1)));
}
ALWAYS_INLINE vreal mish_f(vreal x, const vreal *p) {
    const vreal tail = v_exp_tail(v_minus_abs(x)), e = v_normal_tail(tail);
    const vint below = x < 0;
    const vreal part = 1 - e * v_select(below, 1 + e, 2 * e) / mish_d(e, below);
    return (void)p, v_select(below, v_remove_unit(v_max(v_set(-TAIL_END), x) * tail * part), x * part);
}
/* n / d + 4 x e^x (1 + e^x) / d^2 */
ALWAYS_INLINE vreal mish_df(vreal dy, vreal x_, const vreal *p) {
    const vreal x = v_clamp(x_, TAIL_END), tail = v_exp_tail(v_minus_abs(x)), e = v_normal_tail(tail);
    const vint below = x < 0;
    const vreal inverse = 1 / mish_d(e, below), slope = 4 * x * (1 + e) * inverse;
    const vreal low = v_remove_unit(tail * ((e + 2 + slope) * inverse));
    return (void)p, dy * v_select(below, low, v_fma(slope, e * e, 1 + 2 * e) * inverse);
}

#define PARAMETERS(p) const vreal p[FNN_MAX_PARAMETERS] = {v_set((real)parameters[0]), v_set((real)parameters[1])}
/* So many vectors are loaded before the first of them is stored.  Where the addresses of arrays agree in their low 12 bits, a
 * load would wait for the store before it (docs/decisions, 9 and 10).  Runs of more than 2 KiB prefetch (docs/decisions, 12).
 */
#define GROUP 4

#define ACTIVATION(name, derivative_from)                                                                                 \
    static void name##_forward(const void *x_, void *y_, fnn_size n, const double *parameters) {                          \
        const real *x = x_;                                                                                               \
        real *y = y_;                                                                                                     \
        PARAMETERS(p);                                                                                                    \
        for (; n >= GROUP * LANES; n -= GROUP * LANES, x += GROUP * LANES, y += GROUP * LANES) {                          \
            vreal v[GROUP];                                                                                               \
            UNROLL for (int j = 0; j < GROUP; j++) v[j] = v_load(x + j * LANES);                                          \
            if (n >= AHEAD_2_KIB + GROUP * LANES)                                                                         \
                UNROLL for (int j = 0; j < GROUP; j++) V_PREFETCH(x + j * LANES, AHEAD_2_KIB),                            \
                    V_PREFETCH_WRITE(y + j * LANES, AHEAD_2_KIB);                                                         \
            UNROLL for (int j = 0; j < GROUP; j++) v_store(y + j * LANES, name##_f(v[j], p));                             \
        }                                                                                                                 \
        FNN_RUN(i, width, n, v_store_n(y + i, name##_f(v_load_n(x + i, width), p), width));                               \
    }                                                                                                                     \
    static void name##_backward(const void *dy_, const void *from_, void *dx_, fnn_size n, const double *parameters) {    \
        const real *dy = dy_, *from = from_;                                                                              \
        real *dx = dx_;                                                                                                   \
        PARAMETERS(p);                                                                                                    \
        for (; n >= GROUP * LANES; n -= GROUP * LANES, dy += GROUP * LANES, from += GROUP * LANES, dx += GROUP * LANES) { \
            vreal d[GROUP], f[GROUP];                                                                                     \
            UNROLL for (int j = 0; j < GROUP; j++) d[j] = v_load(dy + j * LANES), f[j] = v_load(from + j * LANES);        \
            if (n >= AHEAD_2_KIB + GROUP * LANES)                                                                         \
                UNROLL for (int j = 0; j < GROUP; j++) V_PREFETCH(dy + j * LANES, AHEAD_2_KIB),                           \
                    V_PREFETCH(from + j * LANES, AHEAD_2_KIB), V_PREFETCH_WRITE(dx + j * LANES, AHEAD_2_KIB);             \
            UNROLL for (int j = 0; j < GROUP; j++) v_store(dx + j * LANES, name##_df(d[j], f[j], p));                     \
        }                                                                                                                 \
        FNN_RUN(i, width, n, v_store_n(dx + i, name##_df(v_load_n(dy + i, width), v_load_n(from + i, width), p), width)); \
    }
FNN_ACTIVATIONS(ACTIVATION)
#undef ACTIVATION
#undef GROUP
#undef PARAMETERS

/* ---- prelu: a slope for each column ---- */

ALWAYS_INLINE vreal slope_n(const real *slope, fnn_size slope_col, fnn_size j, fnn_size width) {
    return slope_col ? v_load_n(slope + j, width) : v_set(slope[0]);
}

static void prelu(const void *x_, void *y_, fnn_size rows, fnn_size cols, const void *slope_, fnn_size slope_col) {
    const real *x = x_, *slope = slope_;
    real *y = y_;
    for (; rows > 0; rows--, x += cols, y += cols)
        FNN_RUN(j, width, cols, {
            const vreal v = v_load_n(x + j, width);
            v_store_n(y + j, v_select(v > 0, v, slope_n(slope, slope_col, j, width) * v), width);
        });
}

static void prelu_backward(const void *dy_, const void *x_, void *dx_, fnn_size row, fnn_size rows, fnn_size cols,
                           const void *slope_, fnn_size slope_col, void *dslope_) {
    const real *dy = dy_, *x = x_, *slope = slope_;
    real *dx = dx_, *dslope = dslope_;
    for (fnn_size j = 0; j < cols; j++) dslope[j] = 0;
    for (; rows > 0; rows--, dy += row, x += row, dx += row)
        FNN_RUN(j, width, cols, {
            const vreal d = v_load_n(dy + j, width), v = v_load_n(x + j, width);
            const vreal scaled = v_select(v <= 0, slope_n(slope, slope_col, j, width) * d, v); /* the last is NaN */
            v_store_n(dx + j, v_select(v > 0, d, scaled), width);
            v_store_n(dslope + j, v_load_n(dslope + j, width) + v_keep(~(v > 0), d * v), width);
        });
}

/* activations.inc.c: y = f(x), and dx = dy * f'(x) told from y or from x.
 *
 * An activation is a pair of functions on vectors, name_f(x, p) and name_df(dy, y or x, p) with p its parameters, and a line of
 * FNN_ACTIVATIONS, which says whether the derivative is told from the output or the input.
 */
ALWAYS_INLINE vreal identity_f(vreal x, const vreal *p) { return (void)p, x; }
ALWAYS_INLINE vreal identity_df(vreal dy, vreal y, const vreal *p) { return (void)p, (void)y, dy; }

/* + 0 makes -0 into 0 */
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

#define PARAMETERS(p) const vreal p[FNN_MAX_PARAMETERS] = {v_set((real)parameters[0]), v_set((real)parameters[1])}
/* A group of vectors is loaded before the first of it is stored: where addresses agree in their low bits, a load would wait
 * for the store before it. */
#define GROUP 4

#define ACTIVATION(name, told_from)                                                                                       \
    static void name##_forward(const void *x_, void *y_, fnn_size n, const double *parameters) {                          \
        const real *x = x_;                                                                                               \
        real *y = y_;                                                                                                     \
        PARAMETERS(p);                                                                                                    \
        FNN_RUN(i, width, n, v_store_n(y + i, name##_f(v_load_n(x + i, width), p), width));                               \
    }                                                                                                                     \
    static void name##_backward(const void *dy_, const void *from_, void *dx_, fnn_size n, const double *parameters) {    \
        const real *dy = dy_, *from = from_;                                                                              \
        real *dx = dx_;                                                                                                   \
        PARAMETERS(p);                                                                                                    \
        for (; n >= GROUP * LANES; n -= GROUP * LANES, dy += GROUP * LANES, from += GROUP * LANES, dx += GROUP * LANES) { \
            vreal d[GROUP], f[GROUP];                                                                                     \
            UNROLL for (int j = 0; j < GROUP; j++) d[j] = v_load(dy + j * LANES), f[j] = v_load(from + j * LANES);        \
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

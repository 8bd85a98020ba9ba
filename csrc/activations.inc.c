/* activations.inc.c: y = f(x), and dx = dy * f'(x) told from y.
 *
 * An activation is a pair of functions on vectors, name_f(x, alpha) and name_df(dy, y, alpha), and a line of FNN_ACTIVATIONS.
 */
ALWAYS_INLINE vreal identity_f(vreal x, vreal alpha) { return (void)alpha, x; }
ALWAYS_INLINE vreal identity_df(vreal dy, vreal y, vreal alpha) { return (void)alpha, (void)y, dy; }

/* + 0 makes -0 into 0 */
ALWAYS_INLINE vreal relu_f(vreal x, vreal alpha) { return (void)alpha, v_max(v_set(0), x) + 0; }
ALWAYS_INLINE vreal relu_df(vreal dy, vreal y, vreal alpha) {
    return (void)alpha, v_select(y > 0, dy, v_keep(~(y <= 0), y)); /* the last is NaN */
}

ALWAYS_INLINE vreal leaky_relu_f(vreal x, vreal alpha) { return v_select(x > 0, x, alpha * x); }
ALWAYS_INLINE vreal leaky_relu_df(vreal dy, vreal y, vreal alpha) {
    return v_select(y > 0, dy, v_select(y <= 0, alpha * dy, y));
}

ALWAYS_INLINE vreal sigmoid_f(vreal x, vreal alpha) { return (void)alpha, v_sigmoid(x); }
ALWAYS_INLINE vreal sigmoid_df(vreal dy, vreal y, vreal alpha) { return (void)alpha, dy * (y * (1 - y)); }

ALWAYS_INLINE vreal tanh_f(vreal x, vreal alpha) { return (void)alpha, v_tanh(x); }
ALWAYS_INLINE vreal tanh_df(vreal dy, vreal y, vreal alpha) { return (void)alpha, dy * (1 - y * y); }

#define ACTIVATION(name)                                                                                                   \
    static void name##_forward(const void *x_, void *y_, fnn_size n, double alpha_) {                                      \
        const real *x = x_;                                                                                                \
        real *y = y_;                                                                                                      \
        const vreal alpha = v_set((real)alpha_);                                                                           \
        FNN_RUN(i, width, n, v_store_n(y + i, name##_f(v_load_n(x + i, width), alpha), width));                            \
    }                                                                                                                      \
    static void name##_backward(const void *dy_, const void *y_, void *dx_, fnn_size n, double alpha_) {                   \
        const real *dy = dy_, *y = y_;                                                                                     \
        real *dx = dx_;                                                                                                    \
        const vreal alpha = v_set((real)alpha_);                                                                           \
        FNN_RUN(i, width, n, v_store_n(dx + i, name##_df(v_load_n(dy + i, width), v_load_n(y + i, width), alpha), width)); \
    }
FNN_ACTIVATIONS(ACTIVATION)
#undef ACTIVATION

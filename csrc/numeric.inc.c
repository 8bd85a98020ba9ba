/* numeric.inc.c: encodings of columns of numbers, piecewise linear and periodic, and a factor for each column. */

/* ---- piecewise linear: one column, whose entries are x_row apart ---- */

static void piecewise_linear(const void *x_, fnn_size x_row, void *y_, fnn_size y_row, fnn_size rows, const fnn_bins *bins) {
    const real *x = x_, *left = bins->left, *scale = bins->scale, *lower = bins->lower, *upper = bins->upper;
    real *y = y_;
    for (; rows > 0; rows--, x += x_row, y += y_row) {
        const vreal v = v_set(*x);
        FNN_RUN(t, width, bins->n, {
            const vreal inside = (v - v_load_n(left + t, width)) * v_load_n(scale + t, width);
            const vreal below_one = v_select(v >= v_load_n(upper + t, width), v_set(1), inside);
            v_store_n(y + t, v_select(v < v_load_n(lower + t, width), v_set(0), below_one), width);
        });
    }
}

static void piecewise_linear_backward(const void *dy_, fnn_size dy_row, const void *x_, void *dx_, fnn_size x_row,
                                      fnn_size rows, const fnn_bins *bins) {
    const real *dy = dy_, *x = x_, *scale = bins->scale, *upper = bins->upper;
    real *dx = dx_;
    for (; rows > 0; rows--, dy += dy_row, x += x_row, dx += x_row) {
        fnn_size t = 0, last = bins->n - 1; /* the bin of x is one of t to last */
        while (t < last) {
            const fnn_size middle = (t + last) / 2;
            if (*x >= upper[middle]) {
                t = middle + 1;
            } else {
                last = middle;
            }
        }
        *dx += *x == *x ? dy[t] * scale[t] : *x;
    }
}

/* ---- periodic: one column, cosines before sines ---- */

static void periodic(const void *x_, fnn_size x_row, void *y_, fnn_size y_row, fnn_size rows, fnn_size k,
                     const void *frequencies) {
    const real *x = x_, *c = frequencies;
    real *y = y_;
    for (; rows > 0; rows--, x += x_row, y += y_row) {
        const vreal v = v_set(*x);
        FNN_RUN(j, width, k, {
            const cos_sin a = v_cos_sin(v * v_load_n(c + j, width));
            v_store_n(y + j, a.cos, width);
            v_store_n(y + k + j, a.sin, width);
        });
    }
}

/* The gradient by 2 pi c x. */
ALWAYS_INLINE vreal angle_gradient(const real *dy, const real *y, fnn_size k, fnn_size width) {
    const vreal rising = v_load_n(y, width) * v_load_n(dy + k, width);
    return v_fma(-v_load_n(y + k, width), v_load_n(dy, width), rising);
}

static void periodic_grad_input(const void *dy_, const void *y_, fnn_size y_row, void *dx_, fnn_size x_row, fnn_size rows,
                                fnn_size k, const void *frequencies) {
    const real *dy = dy_, *y = y_, *c = frequencies;
    real *dx = dx_;
    for (; rows > 0; rows--, dy += y_row, y += y_row, dx += x_row) {
        vreal sum = {0};
        FNN_RUN(j, width, k, sum = v_fma(v_load_n(c + j, width), angle_gradient(dy + j, y + j, k, width), sum));
        *dx += TURN * v_sum(sum);
    }
}

static void periodic_grad_frequencies(const void *dy_, const void *y_, fnn_size y_row, const void *x_, fnn_size x_row,
                                      fnn_size rows, fnn_size k, fnn_size n, void *dc_) {
    const real *dy = dy_, *y = y_, *x = x_;
    real *dc = dc_;
    for (fnn_size j = 0; j < n; j++) dc[j] = 0;
    for (; rows > 0; rows--, dy += y_row, y += y_row, x += x_row) {
        const vreal v = v_set(*x);
        FNN_RUN(j, width, n,
                v_store_n(dc + j, v_fma(v, angle_gradient(dy + j, y + j, k, width), v_load_n(dc + j, width)), width));
    }
    for (fnn_size j = 0; j < n; j++) dc[j] *= TURN;
}

/* ---- a factor for each column ---- */

static void scale_columns(const void *x_, void *y_, fnn_size rows, fnn_size cols, const void *scale_) {
    const real *x = x_, *scale = scale_;
    real *y = y_;
    for (; rows > 0; rows--, x += cols, y += cols)
        FNN_RUN(j, width, cols, v_store_n(y + j, v_load_n(x + j, width) * v_load_n(scale + j, width), width));
}

static void scale_columns_backward(const void *dy_, const void *x_, void *dx_, fnn_size row, fnn_size rows, fnn_size cols,
                                   const void *scale_, void *dscale_) {
    const real *dy = dy_, *x = x_, *scale = scale_;
    real *dx = dx_, *dscale = dscale_;
    for (fnn_size j = 0; j < cols; j++) dscale[j] = 0;
    for (; rows > 0; rows--, dy += row, x += row, dx += row)
        FNN_RUN(j, width, cols, {
            const vreal d = v_load_n(dy + j, width);
            v_store_n(dscale + j, v_fma(d, v_load_n(x + j, width), v_load_n(dscale + j, width)), width);
            v_store_n(dx + j, d * v_load_n(scale + j, width), width);
        });
}

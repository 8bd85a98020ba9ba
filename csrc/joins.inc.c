/* joins.inc.c: what joins and splits the branches of a net: sums and products of two arrays, copies of columns. */

static void add(const void *x_, const void *x2_, void *y_, fnn_size n) {
    const real *x = x_, *x2 = x2_;
    real *y = y_;
    FNN_RUN(i, width, n, v_store_n(y + i, v_load_n(x + i, width) + v_load_n(x2 + i, width), width));
}

static void multiply(const void *x_, const void *x2_, void *y_, fnn_size n) {
    const real *x = x_, *x2 = x2_;
    real *y = y_;
    FNN_RUN(i, width, n, v_store_n(y + i, v_load_n(x + i, width) * v_load_n(x2 + i, width), width));
}

/* By vectors: for runs of up to 16 columns this takes half the time of a call of memcpy for each, or less; for long runs about
 * the same, except at the baseline, where long runs take up to twice as long. */
static void copy_columns(const void *x_, fnn_size x_row, void *y_, fnn_size y_row, fnn_size rows, const fnn_columns *runs,
                         fnn_size n_runs) {
    for (fnn_size i = 0; i < rows; i++)
        for (const fnn_columns *run = runs; run < runs + n_runs; run++) {
            const real *x = (const real *)x_ + i * x_row + run->read;
            real *y = (real *)y_ + i * y_row + run->written;
            FNN_RUN(j, width, run->n, v_store_n(y + j, v_load_n(x + j, width), width));
        }
}

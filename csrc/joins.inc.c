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

/* Short runs are copied by vectors, which takes less than a call of memcpy.  Long runs are not: vectors of the baseline are
 * slower there. */
enum { SHORT_RUN = 64 / sizeof(real) };
ALWAYS_INLINE void copy_run(const real *x, real *y, fnn_size n) {
    if (n > SHORT_RUN) {
        memcpy(y, x, (size_t)n * sizeof *x);
        return;
    }
    FNN_RUN(j, width, n, v_store_n(y + j, v_load_n(x + j, width), width));
}

static void copy_columns(const void *x_, fnn_size x_row, void *y_, fnn_size y_row, fnn_size rows,
                         const fnn_run_of_columns *runs, fnn_size n_runs) {
    for (fnn_size i = 0; i < rows; i++)
        for (const fnn_run_of_columns *run = runs; run < runs + n_runs; run++)
            copy_run((const real *)x_ + i * x_row + run->read, (real *)y_ + i * y_row + run->written, run->n);
}

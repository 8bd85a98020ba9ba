/* statistics.inc.c: what the entries of an array are like: their sums, extremes and counts. */

/* Entry i goes into partial sum i % SUMS; the partial sums are combined by halves, as in optimizers.inc.c. */
ALWAYS_INLINE double add_halves(double *part) {
    for (int half = SUMS / 2; half; half /= 2)
        for (int j = 0; j < half; j++) part[j] += part[j + half];
    return part[0];
}

/* Lane by lane: the least and the largest entry that is not NaN, and the numbers of entries, as negative numbers. */
typedef struct {
    vreal min, max;
    vint zeros, saturated, nonfinite;
} entry_lanes;

ALWAYS_INLINE void add_entries(entry_lanes *e, vreal v, vint counted, vreal low, vreal high) {
    e->min = v_select(counted & (v < e->min), v, e->min);
    e->max = v_select(counted & (v > e->max), v, e->max);
    e->zeros += counted & (v == v_set(0));
    e->saturated += counted & ((v <= low) | (v >= high));
    e->nonfinite += counted & ~(v_abs(v) <= v_set(REAL_MAX));
}

static void entry_statistics(const void *x_, fnn_size n, double low_, double high_, fnn_entries *out) {
    const real *x = x_;
    const vreal low = v_set((real)low_), high = v_set((real)high_);
    double sum[SUMS] = {0}, square[SUMS] = {0};
    entry_lanes e = {v_set((real)INFINITY), v_set(-(real)INFINITY), {0}, {0}, {0}};
    fnn_size i = 0;
    for (; i + LANES <= n; i += LANES) add_entries(&e, v_load(x + i), v_iset(-1), low, high);
    if (i < n) {
        vint counted;
        for (fnn_size j = 0; j < LANES; j++) counted[j] = i + j < n ? -1 : 0;
        add_entries(&e, v_load_part(x + i, n - i), counted, low, high);
    }
    *out = (fnn_entries){n, 0, 0, INFINITY, -INFINITY, 0, 0, 0};
    for (fnn_size j = 0; j < LANES; j++) {
        if ((double)e.min[j] < out->min) out->min = (double)e.min[j];
        if ((double)e.max[j] > out->max) out->max = (double)e.max[j];
        out->zeros -= e.zeros[j];
        out->saturated -= e.saturated[j];
        out->nonfinite -= e.nonfinite[j];
    }
    for (i = 0; i + SUMS <= n; i += SUMS)
        for (int j = 0; j < SUMS; j++) sum[j] += (double)x[i + j];
    for (int j = 0; i + j < n; j++) sum[j] += (double)x[i + j];
    out->mean = n > 0 ? add_halves(sum) / (double)n : 0;
    for (i = 0; i + SUMS <= n; i += SUMS)
        for (int j = 0; j < SUMS; j++) {
            const double d = (double)x[i + j] - out->mean;
            square[j] += d * d;
        }
    for (int j = 0; i + j < n; j++) {
        const double d = (double)x[i + j] - out->mean;
        square[j] += d * d;
    }
    out->square = add_halves(square);
}

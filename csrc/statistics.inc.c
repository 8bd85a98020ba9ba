/* statistics.inc.c: what the entries of an array are like: their sums, extremes and counts. */

/* Adds x - center or its square to a partial sum for each of `width` entries. */
ALWAYS_INLINE void add_differences(const real *x, fnn_size width, double center, int squared, double *sum) {
    for (fnn_size j = 0; j < width; j++) {
        const double d = (double)x[j] - center;
        sum[j] += squared ? d * d : d;
    }
}

/* Entry i goes into partial sum i % ENTRY_SUMS; the partial sums are combined by halves.  They are so many that an addition
 * need not wait for the one before. */
enum { ENTRY_SUMS = 16 };
ALWAYS_INLINE double sum_differences(const real *x, fnn_size n, double center, int squared) {
    double sum[ENTRY_SUMS] = {0};
    fnn_size i = 0;
    for (; i + ENTRY_SUMS <= n; i += ENTRY_SUMS) add_differences(x + i, ENTRY_SUMS, center, squared, sum);
    add_differences(x + i, n - i, center, squared, sum);
    for (int half = ENTRY_SUMS / 2; half; half /= 2)
        for (int j = 0; j < half; j++) sum[j] += sum[j + half];
    return sum[0];
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
    const double total = sum_differences(x, n, 0, 0);
    out->mean = n > 0 ? total / (double)n : 0;
    out->square = sum_differences(x, n, out->mean, 1);
}

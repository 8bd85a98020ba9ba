/* statistics.inc.c: what the entries of an array are like: their sums, extremes and counts. */

/* Entry i goes into partial sum i % ENTRY_SUMS; the partial sums are combined by halves.  They are so many that an addition
 * need not wait for the one before. */
enum { ENTRY_SUMS = 16 };

/* Adds x - center, and if `squares` is given its square, to a partial sum for each of `width` entries. */
ALWAYS_INLINE void add_differences(const real *x, fnn_size width, double center, double *sums, double *squares) {
    for (fnn_size j = 0; j < width; j++) {
        const double d = (double)x[j] - center;
        sums[j] += d;
        if (squares) squares[j] += d * d;
    }
}

ALWAYS_INLINE void sum_differences(const real *x, fnn_size n, double center, double *sums, double *squares) {
    fnn_size i = 0;
    for (; i + ENTRY_SUMS <= n; i += ENTRY_SUMS) add_differences(x + i, ENTRY_SUMS, center, sums, squares);
    add_differences(x + i, n - i, center, sums, squares);
}

static double combined(double *sums) {
    for (int half = ENTRY_SUMS / 2; half; half /= 2)
        for (int j = 0; j < half; j++) sums[j] += sums[j + half];
    return sums[0];
}

/* The corrected two-pass algorithm of Chan, Golub and LeVeque (1983): the differences from a mean that is rounded do not add
 * up to 0.  Their sum tells what rounding took from the mean, and what it added to the squares. */
static void find_moments(const real *x, fnn_size n, fnn_entries *out) {
    double sums[ENTRY_SUMS] = {0}, rests[ENTRY_SUMS] = {0}, squares[ENTRY_SUMS] = {0};
    if (n == 0) return;
    sum_differences(x, n, 0, sums, 0);
    out->mean = combined(sums) / (double)n;
    sum_differences(x, n, out->mean, rests, squares);
    const double rest = combined(rests), square = combined(squares) - rest * rest / (double)n;
    out->rest = rest / (double)n;
    out->square = square < 0 ? 0 : square;
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
    *out = (fnn_entries){n, 0, 0, 0, INFINITY, -INFINITY, 0, 0, 0};
    for (fnn_size j = 0; j < LANES; j++) {
        if ((double)e.min[j] < out->min) out->min = (double)e.min[j];
        if ((double)e.max[j] > out->max) out->max = (double)e.max[j];
        out->zeros -= e.zeros[j];
        out->saturated -= e.saturated[j];
        out->nonfinite -= e.nonfinite[j];
    }
    find_moments(x, n, out);
}

/* fastnn.h: the only header that the Cython side sees: the kernel table and its contracts.
 *
 * A kernel works on one tile, one row, one strip of columns or one contiguous run.  Loops over a whole array, blocking and
 * threads live in the Cython modules.  Sizes are element counts unless they say bytes.  Kernels take `void *` for float or
 * double, whichever the table that they were taken from is for, so that one caller serves both; scalars arrive as double and
 * are rounded to the table's type once.  Nothing here allocates, takes locks or reports errors: the callers have checked.
 *
 * Unless a comment says otherwise: input and output of an elementwise kernel may be the same memory but not overlap
 * otherwise; any size may be 0; NaN goes in and NaN comes out.
 */
#ifndef FASTNN_H
#define FASTNN_H

#include <stddef.h>
#include <stdint.h>

typedef ptrdiff_t fnn_size;

/* Activations: X(name, what the derivative is told from).  Each name has name_f and name_df in activations.inc.c. */
#define FNN_ACTIVATIONS(X) \
    X(identity, OUTPUT)    \
    X(relu, OUTPUT)        \
    X(leaky_relu, OUTPUT)  \
    X(sigmoid, OUTPUT)     \
    X(tanh, OUTPUT)        \
    X(relu6, OUTPUT)       \
    X(hard_tanh, OUTPUT)   \
    X(threshold, INPUT)    \
    X(hard_sigmoid, INPUT) \
    X(hard_swish, INPUT)   \
    X(softsign, INPUT)     \
    X(elu, OUTPUT)         \
    X(selu, OUTPUT)        \
    X(celu, OUTPUT)        \
    X(softplus, OUTPUT)    \
    X(silu, INPUT)         \
    X(mish, INPUT)         \
    X(gelu, INPUT)         \
    X(gelu_tanh, INPUT)

/* Parameter updates: X(name, slots).  Each name has name_update in optimizers.inc.c. */
#define FNN_UPDATES(X)              \
    X(sgd, 0)                       \
    X(momentum, 1)                  \
    X(nesterov, 1)                  \
    X(velocity, 1)                  \
    X(nesterov_velocity, 1)         \
    X(adagrad, 1)                   \
    X(adadelta, 2)                  \
    X(rmsprop, 1)                   \
    X(rmsprop_momentum, 2)          \
    X(rmsprop_centered, 2)          \
    X(rmsprop_centered_momentum, 3) \
    X(adam, 2)                      \
    X(amsgrad, 3)                   \
    X(nadam, 2)

/* Losses: X(name).  Each name has name_row in losses.inc.c. */
#define FNN_LOSSES(X)       \
    X(cross_entropy_labels) \
    X(cross_entropy)        \
    X(binary_cross_entropy) \
    X(log_loss_labels)      \
    X(log_loss)             \
    X(mean_squared_error)   \
    X(mean_absolute_error)  \
    X(huber)                \
    X(log_cosh)             \
    X(poisson)              \
    X(quantile)             \
    X(hinge)                \
    X(squared_hinge)        \
    X(multi_margin)

#define FNN_ENUM_1(name, derivative_from) FNN_ACT_##name,
#define FNN_ENUM_2(name, slots) FNN_UPDATE_##name,
#define FNN_ENUM_3(name) FNN_LOSS_##name,
enum { FNN_ACTIVATIONS(FNN_ENUM_1) FNN_N_ACTIVATIONS };
enum { FNN_UPDATES(FNN_ENUM_2) FNN_N_UPDATES };
enum { FNN_LOSSES(FNN_ENUM_3) FNN_N_LOSSES };
#undef FNN_ENUM_1
#undef FNN_ENUM_2
#undef FNN_ENUM_3

/* An activation's derivative is told from its output y or from its input x. */
enum { FNN_OUTPUT, FNN_INPUT };
enum { FNN_MAX_PARAMETERS = 2 };

/* What an array to be gathered holds. */
enum { FNN_FLOAT32, FNN_FLOAT64, FNN_UINT8, FNN_N_SOURCES };

/* A random stream: element i of (seed, stream, step) is a pure function of the four (Philox 4x32, random.h). */
typedef struct {
    uint64_t seed;
    uint32_t stream;
    uint32_t step;
} fnn_stream;

/* `parameters` are always FNN_MAX_PARAMETERS numbers; those that an activation has not are not used. */
typedef struct {
    /* y[i] = f(x[i]) */
    void (*forward)(const void *x, void *y, fnn_size n, const double *parameters);
    /* dx[i] = dy[i] * f'(x[i]); `from` is y or x, as fnn_activation_derivative_from says */
    void (*backward)(const void *dy, const void *from, void *dx, fnn_size n, const double *parameters);
} fnn_activation;

/* Rows of memory, `step` bytes apart, that a tile asks for while it works, as many bytes of each as its own rows have. */
typedef struct {
    const char *at;
    fnn_size step, rows;
} fnn_prefetch;

/* Tiles one below the other, `rows` rows each: c[i, j] = init[i, j] + sum over p of a[i, p] * b[p, j], p ascending, one
 * rounding a step where the level has FMA, so that an element's bits depend on its own row and column alone. */
typedef struct {
    fnn_size k, rows, cols, tiles; /* 0 < rows <= tile_rows, 0 < cols <= tile_cols; k and tiles may be 0 */
    const void *a;                 /* a[i, p] is at a + i * a_row + p * a_k, one of which is 1 */
    fnn_size a_row, a_k, a_tile;   /* a_tile: from one tile's first row to the next one's */
    const void *b;                 /* rows are contiguous, b_k apart */
    fnn_size b_k;
    const void *init; /* or NULL: zeros; c itself (accumulate), or a row of biases (init_row 0) */
    fnn_size init_row;
    void *c;
    fnn_size c_row;
    const fnn_prefetch *prefetches; /* of each tile, or NULL: taken one after the other, a row with every second term, up to one
                              without rows */
} fnn_tiles;

/* A function of a row of n entries. */
typedef struct {
    void (*forward)(const void *x, void *y, fnn_size n);
    /* dx from dy and the result y; dx may be dy */
    void (*backward)(const void *dy, const void *y, void *dx, fnn_size n);
} fnn_row_function;

typedef struct {
    fnn_size itemsize;  /* of the element type, in bytes */
    fnn_size lanes;     /* elements of a vector */
    fnn_size tile_rows; /* of the largest tile that gemm_tiles makes */
    fnn_size tile_cols;
    fnn_size few_cols; /* the most columns that gemm_few takes */

    /* ---- dense ---- */

    void (*gemm_tiles)(const fnn_tiles *t);
    /* The same for a single row of any number of columns. */
    void (*gemm_row)(fnn_size k, const void *a, fnn_size a_k, const void *b, fnn_size b_k, const void *init, void *c,
                     fnn_size cols);
    /* The same for up to few_cols columns and any number of rows: a's rows are contiguous, a_row apart, c's one after the
     * other. */
    void (*gemm_few)(fnn_size k, const void *a, fnn_size a_row, const void *b, fnn_size b_k, const void *bias, void *c,
                     fnn_size rows, fnn_size cols);
    /* Panels of `width` columns, `apart` elements from each other, the last filled up with zeros: column j is column
     * j % width of panel j / width, panel[p * width + j % width] = src[p * src_k + j * src_col]; src_k or src_col is 1. */
    void (*pack)(fnn_size k, fnn_size cols, fnn_size width, const void *src, fnn_size src_k, fnn_size src_col, void *panels,
                 fnn_size apart);
    /* sum[j] = sum over i, ascending, of x[i * x_row + j] */
    void (*column_sum)(const void *x, fnn_size x_row, fnn_size rows, fnn_size cols, void *sum);

    /* ---- activations ---- */
    fnn_activation activation[FNN_N_ACTIVATIONS];
    /* y = x where x > 0, else slope * x, by rows of cols entries; slope is one number for each column, or one alone if
     * slope_col is 0 rather than 1 */
    void (*prelu)(const void *x, void *y, fnn_size rows, fnn_size cols, const void *slope, fnn_size slope_col);
    /* For a strip of columns, rows apart by `row`: dx = dy where x > 0, else slope * dy; dslope[j] = sum over i, ascending, of
     * dy * x where x <= 0.  dx may be dy. */
    void (*prelu_backward)(const void *dy, const void *x, void *dx, fnn_size row, fnn_size rows, fnn_size cols,
                           const void *slope, fnn_size slope_col, void *dslope);

    /* ---- dropout ---- */

    /* 32 random bits for each index first <= i < first + n; the same for both element types */
    void (*random_bits)(const fnn_stream *stream, uint64_t first, fnn_size n, uint32_t *out);
    /* y[i] = x[i] * scale if the 16 bits of first + i >= threshold else 0; its own backward.  0 <= threshold <= 2^16. */
    void (*dropout)(const void *x, void *y, fnn_size n, uint64_t first, const fnn_stream *stream, uint32_t threshold,
                    double scale);

    /* ---- normalization: a strip of columns, rows apart by x_row ---- */

    /* Mean and biased variance of each column, in one pass. rows >= 1. */
    void (*column_moments)(const void *x, fnn_size x_row, fnn_size rows, fnn_size cols, void *mean, void *var);
    /* y = (x - center) * scale + shift, a vector of cols each */
    void (*affine)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size cols, const void *center,
                   const void *scale, const void *shift);
    /* sum_dy[j] = sum of dy; sum_dy_xhat[j] = sum of dy * (x - mean) * inv_std */
    void (*norm_reduce)(const void *dy, fnn_size dy_row, const void *x, fnn_size x_row, fnn_size rows, fnn_size cols,
                        const void *mean, const void *inv_std, void *sum_dy, void *sum_dy_xhat);
    /* dx = gamma * inv_std * (dy - sum_dy / n - xhat * sum_dy_xhat / n), n the number of rows of the batch; dx may be dy */
    void (*norm_backward)(const void *dy, fnn_size dy_row, const void *x, fnn_size x_row, void *dx, fnn_size dx_row,
                          fnn_size rows, fnn_size cols, fnn_size n, const void *mean, const void *inv_std, const void *gamma,
                          const void *sum_dy, const void *sum_dy_xhat);

    /* ---- losses ---- */

    fnn_row_function softmax;     /* exp(x) / sum of exp(x); backward y * (dy - sum of dy * y) */
    fnn_row_function log_softmax; /* its logarithm; backward dy - exp(y) * sum of dy */
    /* One row of n outputs: returns its loss, summed over the columns, or what is not finite, for loss_wide to do again; grad =
     * scale * the derivative by z, or NULL.  What the target is (a class, as int64_t, or numbers of the table's type) and the
     * parameters are listed at each body. */
    double (*loss[FNN_N_LOSSES])(const void *z, const void *target, fnn_size n, double scale, void *grad,
                                 const double *parameters);
    /* What takes its place without parameters for 0 < n <= lanes, where it is not NULL: 0 < rows <= lanes at once, with a scale
     * and a loss for each, whose bits do not depend on the rows beside it. */
    void (*loss_block[FNN_N_LOSSES])(const void *z, const int64_t *label, fnn_size n, fnn_size rows, const double *scale,
                                     void *grad, double *loss);

    /* ---- optimizers: scalars are listed at each body ---- */
    void (*update[FNN_N_UPDATES])(void *w, const void *g, void *const *slots, fnn_size n, const double *scalars);
    /* out[i] = g[i] + (l2 * w[i] + l1 * sign w[i]); out may be g */
    void (*regularize)(const void *w, const void *g, void *out, fnn_size n, double l1, double l2);
    /* y[i] = x[i] between -limit and limit; NaN stays */
    void (*clip)(const void *x, void *y, fnn_size n, double limit);
    /* y[i] = factor * x[i] */
    void (*scale)(const void *x, void *y, fnn_size n, double factor);
    /* Each column whose norm is above the limit is scaled down to it, in place; rows apart by w_row, columns <= FNN_STRIP.
     * The squares are added in double, rows ascending. */
    void (*limit_norms)(void *w, fnn_size w_row, fnn_size rows, fnn_size cols, double limit);
    /* sum of |x[i]| and of x[i]^2, in double and in an order that is the same at every level */
    void (*sums)(const void *x, fnn_size n, double *magnitude, double *square);

    /* ---- gather ---- */

    /* out[i * cols + j] = the element at x + rows[i] * x_row + j * x_col (bytes), by value. */
    void (*gather[FNN_N_SOURCES])(const void *x, fnn_size x_row, fnn_size x_col, const int64_t *rows, fnn_size n_rows,
                                  fnn_size cols, void *out);
} fnn_kernels;

/* ---- what is the same at every level ---- */

typedef void (*fnn_task)(void *context, fnn_size index);

typedef struct {
    const char *isa;   /* the level chosen */
    fnn_size l2_bytes; /* of a core's second-level cache */
    const fnn_kernels *f32;
    const fnn_kernels *f64;

    /* Runs task(context, i) for 0 <= i < n on at most `threads` threads, the caller among them, and returns when all are done.
     * Runs them all in the caller when the pool is busy with another caller's work. */
    void (*parallel)(fnn_task task, void *context, fnn_size n, int threads);
    /* Between hold and release idle workers may spin for a short while before they sleep. */
    void (*hold)(void);
    void (*release)(void);
    /* This thread's own FNN_SCRATCH bytes, 64-byte aligned; NULL if memory is short.  Workers have theirs before they run. */
    void *(*scratch)(void);
    /* Fisher-Yates: rows becomes a permutation of 0..n-1 */
    void (*permutation)(const fnn_stream *stream, fnn_size n, int64_t *rows);
    /* seconds of a monotonic clock */
    double (*clock)(void);
    /* fnn_kernels' loss of this kind again, in double, where that is not finite: what overflowed has its value there, and
     * infinite outputs have their limits. */
    double (*loss_wide)(int kind, fnn_size itemsize, const void *z, const void *target, fnn_size n, double scale, void *grad,
                        const double *parameters);
} fnn_table;

#define FNN_STRIP 64 /* columns */
#define FNN_SCRATCH ((size_t)29 << 16)
#define FNN_LINE 64 /* bytes of a cache line */

extern const char *const fnn_activation_names[FNN_N_ACTIVATIONS];
extern const int fnn_activation_derivative_from[FNN_N_ACTIVATIONS];
extern const char *const fnn_update_names[FNN_N_UPDATES];
extern const char *const fnn_loss_names[FNN_N_LOSSES];
extern const int fnn_update_slots[FNN_N_UPDATES];

/* The levels that were built, worst first; a level's `supported` tells whether this machine runs it. */
typedef struct {
    const char *name;
    const fnn_kernels *f32;
    const fnn_kernels *f64;
    int supported;
} fnn_level;

int fnn_levels(const fnn_level **levels);
/* Fills the table for one of fnn_levels, or for the best supported one if name is NULL.  0, or -1 for an unknown level, -2 for
 * one that this machine cannot run. */
int fnn_choose(const char *name, fnn_table *table);
const char *fnn_compiler(void);

#endif

/* fastnn.h: the kernel table and the contract of every kernel.  It is the only header that the Cython modules see.
 *
 * A kernel works on one tile, one row, one strip of columns or one contiguous run.  Loops over a whole array, blocking and
 * threads are in the Cython modules.  Sizes are element counts unless they say bytes.  Kernels take `void *` for float or
 * double.  There is one table for each type, so that one caller serves both (docs/decisions, 2).  Scalars arrive as double and
 * are rounded to the table's type once.  Nothing here allocates, takes locks or reports errors: the callers have checked.
 *
 * Unless a comment says otherwise: input and output of an elementwise kernel may be the same memory but must not overlap
 * partly; any size may be 0; a NaN in the input gives a NaN in the output.
 */
#ifndef FASTNN_H
#define FASTNN_H

#include <stddef.h>
#include <stdint.h>

typedef ptrdiff_t fnn_size;

/* Activations: X(name, what the derivative is computed from: OUTPUT for y, INPUT for x).  activations.inc.c has name_f and
 * name_df for each and makes name_forward and name_backward from them, which are the table's entries. */
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

/* Parameter updates: X(name, number of slots).  optimizers.inc.c has name_scalars and name_step for each and makes name_update
 * from them, which is the table's entry. */
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

/* Losses: X(name).  losses.inc.c has name_row for each, which is the table's entry; some are made from name_terms by
 * COLUMN_LOSS(name).  losses_wide.c has the same loss in double. */
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

/* What an activation's derivative is computed from: its output y or its input x. */
enum { FNN_OUTPUT, FNN_INPUT };
/* The largest number of parameters of an activation. */
enum { FNN_MAX_PARAMETERS = 2 };

/* The element types of an array that rows are gathered from. */
enum { FNN_FLOAT32, FNN_FLOAT64, FNN_UINT8, FNN_N_SOURCES };

/* A random stream: element i of (seed, stream, step) is a pure function of the four (Philox 4x32, random.h). */
typedef struct {
    uint64_t seed;
    uint32_t stream;
    uint32_t step;
} fnn_stream;

/* `parameters` always points to FNN_MAX_PARAMETERS numbers.  An activation with fewer parameters does not use the others. */
typedef struct {
    /* y[i] = f(x[i]) */
    void (*forward)(const void *x, void *y, fnn_size n, const double *parameters);
    /* dx[i] = dy[i] * f'(x[i]); `from` is y or x, as fnn_activation_derivative_from says */
    void (*backward)(const void *dy, const void *from, void *dx, fnn_size n, const double *parameters);
} fnn_activation;

/* `rows` rows of memory that a tile prefetches while it computes (docs/decisions, 11): as many bytes of each row as a row of
 * the tile has. */
typedef struct {
    const char *address;   /* of the first row */
    fnn_size stride, rows; /* stride: bytes from one row to the next */
} fnn_prefetch;

/* Tiles one below the other, `rows` rows each: c[i, j] = init[i, j] + sum over p of a[i, p] * b[p, j], p ascending, with one
 * rounding for each term where the level has FMA.  So an element's bits depend on its own row of a and column of b alone. */
typedef struct {
    fnn_size k, rows, cols, tiles; /* 0 < rows <= tile_rows, 0 < cols <= tile_cols; k and tiles may be 0 */
    const void *a;                 /* a[i, p] is at a + i * a_row + p * a_k, one of which is 1 */
    fnn_size a_row, a_k, a_tile;   /* a_tile: from the first row of one tile to that of the next */
    const void *b;                 /* rows are contiguous, b_k apart */
    fnn_size b_k;
    const void *init; /* NULL for zeros, c itself to add to it, or a row of biases with init_row 0 */
    fnn_size init_row;
    void *c;
    fnn_size c_row;
    const fnn_prefetch *prefetches; /* or NULL; a tile prefetches one row with every second term; the last has 0 rows */
} fnn_tiles;

/* A run of n neighbouring columns that are copied: the first that is read and the first that is written. */
typedef struct {
    fnn_size read, written, n;
} fnn_run_of_columns;

/* The n > 0 bins of a column. left, scale: left edge and 1 / width of each bin. lower, upper: below lower the entry is 0, from
 * upper on it is 1; NaN for the first lower and the last upper, which do not exist. */
typedef struct {
    fnn_size n;
    const void *left, *scale, *lower, *upper;
} fnn_bins;

/* A row that is an image: outer * height * width * inner elements in C order.  Channels are the outer or the inner axis. */
typedef struct {
    fnn_size outer, height, width, inner;
} fnn_image;

/* What some entries are like. */
typedef struct {
    fnn_size n;
    double mean, rest; /* the mean is their sum: the rest is what rounding took from it */
    double square;     /* the sum of the squared differences from the mean */
    double min, max;   /* of those that are not NaN; infinity and -infinity if there are none */
    fnn_size zeros, saturated, nonfinite;
} fnn_entries;

/* A function of a row of n entries. */
typedef struct {
    void (*forward)(const void *x, void *y, fnn_size n);
    /* dx from dy and the result y; dx may be dy */
    void (*backward)(const void *dy, const void *y, void *dx, fnn_size n);
} fnn_row_function;

typedef struct {
    fnn_size itemsize;  /* of the element type, in bytes */
    fnn_size lanes;     /* elements of a vector */
    fnn_size tile_rows; /* of the largest tile that gemm_tiles computes */
    fnn_size tile_cols;
    fnn_size few_cols; /* gemm_few takes at most this many columns */

    /* ---- dense ---- */

    /* Computes the tiles that t describes. */
    void (*gemm_tiles)(const fnn_tiles *t);
    /* The same for a single row of any number of columns. */
    void (*gemm_row)(fnn_size k, const void *a, fnn_size a_k, const void *b, fnn_size b_k, const void *init, void *c,
                     fnn_size cols);
    /* The same for up to few_cols columns and any number of rows.  The rows of a are contiguous and a_row apart, those of c
     * follow each other without gaps. */
    void (*gemm_few)(fnn_size k, const void *a, fnn_size a_row, const void *b, fnn_size b_k, const void *bias, void *c,
                     fnn_size rows, fnn_size cols);
    /* Copies k terms of `cols` columns into panels of `width` columns (docs/panels.md).  Panels are panel_stride elements apart
     * and the last one is filled up with zeros.  Column j is column j % width of panel j / width:
     * panel[p * width + j % width] = src[p * src_k + j * src_col].  src_k or src_col is 1. */
    void (*pack)(fnn_size k, fnn_size cols, fnn_size width, const void *src, fnn_size src_k, fnn_size src_col, void *panels,
                 fnn_size panel_stride);
    /* sum[j] = sum over i, ascending, of x[i * x_row + j] */
    void (*column_sum)(const void *x, fnn_size x_row, fnn_size rows, fnn_size cols, void *sum);

    /* ---- activations ---- */
    fnn_activation activation[FNN_N_ACTIVATIONS];
    /* y = x where x > 0, else slope * x, for rows of cols entries.  `slope` has one number for each column (slope_col 1) or one
     * for all columns (slope_col 0). */
    void (*prelu)(const void *x, void *y, fnn_size rows, fnn_size cols, const void *slope, fnn_size slope_col);
    /* For a strip of columns whose rows are `row` apart: dx = dy where x > 0, else slope * dy; dslope[j] = sum over i,
     * ascending, of dy * x where x <= 0.  dx may be dy. */
    void (*prelu_backward)(const void *dy, const void *x, void *dx, fnn_size row, fnn_size rows, fnn_size cols,
                           const void *slope, fnn_size slope_col, void *dslope);

    /* ---- dropout ---- */

    /* out[i - first] = the 32 random bits of index i, for first <= i < first + n; the same for both element types */
    void (*random_bits)(const fnn_stream *stream, uint64_t first, fnn_size n, uint32_t *out);
    /* y[i] = x[i] * scale where the 16 random bits of index first + i are >= threshold, else 0.  0 <= threshold <= 2^16.  The
     * backward pass is the same function of dy. */
    void (*dropout)(const void *x, void *y, fnn_size n, uint64_t first, const fnn_stream *stream, uint32_t threshold,
                    double scale);

    /* ---- augmentation: x and y do not overlap, except where a comment allows it ---- */

    /* y[i] = x[i] + std * z[first + i], rounded after each operation; y may be x.  z is standard normal and drawn in float for
     * both element types, by Box and Muller: of each block of Philox with seven rounds, words 0 and 1 give elements 4j and
     * 4j + 1, words 2 and 3 the next two. */
    void (*add_noise)(const void *x, void *y, fnn_size n, uint64_t first, const fnn_stream *stream, double std);
    /* For the rows from `first` on of a batch of n rows at x: y[i, j] = x[i, j], or where word i * cols + j of the stream (with
     * seven rounds) is below the threshold, the entry of another row, all of them equally likely.  0 <= threshold <= 2^32, and
     * n <= 2^32. */
    void (*swap_entries)(const void *x, void *y, fnn_size n, fnn_size cols, fnn_size first, fnn_size rows,
                         const fnn_stream *stream, uint64_t threshold);
    /* y[i] = share * x[i] + (1 - share) * x2[i], rounded after each operation; 1 - share is computed in double, then rounded */
    void (*mix)(const void *x, const void *x2, void *y, fnn_size n, double share);
    /* The pixel at (r, c) of y is that at (r - down, c - right) of x; where there is none it is `fill`, or with `edge` the
     * nearest one.  |down| < height and |right| < width. */
    void (*shift_image)(const void *x, void *y, const fnn_image *image, fnn_size down, fnn_size right, double fill, int edge);
    /* Exchanges left and right, or with `vertical` top and bottom. */
    void (*flip_image)(const void *x, void *y, const fnn_image *image, int vertical);

    /* ---- normalization: a strip of columns whose rows are x_row apart ---- */

    /* Mean and biased variance of each column, in one pass.  rows >= 1. */
    void (*column_moments)(const void *x, fnn_size x_row, fnn_size rows, fnn_size cols, void *mean, void *var);
    /* y = (x - center) * scale + shift; center, scale and shift have an entry for each column */
    void (*affine)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size cols, const void *center,
                   const void *scale, const void *shift);
    /* sum_dy[j] = sum of dy; sum_dy_xhat[j] = sum of dy * (x - mean) * inv_std */
    void (*norm_reduce)(const void *dy, fnn_size dy_row, const void *x, fnn_size x_row, fnn_size rows, fnn_size cols,
                        const void *mean, const void *inv_std, void *sum_dy, void *sum_dy_xhat);
    /* dx = gamma * inv_std * (dy - sum_dy / n - xhat * sum_dy_xhat / n); n is the number of rows of the batch; dx may be dy */
    void (*norm_backward)(const void *dy, fnn_size dy_row, const void *x, fnn_size x_row, void *dx, fnn_size dx_row,
                          fnn_size rows, fnn_size cols, fnn_size n, const void *mean, const void *inv_std, const void *gamma,
                          const void *sum_dy, const void *sum_dy_xhat);

    /* ---- normalization of each row by its own statistics ---- */

    /* y = (x - mean) * inv_std * gamma + beta, inv_std = 1 / sqrt(variance + eps).  mean and inv_std, or NULL, get an entry for
     * each row.  If it is not centered, nothing is subtracted and the mean square takes the place of the variance; mean is NULL
     * then.  beta may be NULL. */
    void (*row_norm)(int centered, const void *x, void *y, fnn_size rows, fnn_size cols, const void *gamma, const void *beta,
                     double eps, void *mean, void *inv_std);
    /* With xhat = (x - mean) * inv_std and g = dy * gamma: dx = inv_std * (g - the row's mean of g - xhat * that of g * xhat);
     * dgamma[j] = sum of dy * xhat, dbeta[j] = sum of dy, both in the order of the rows.  Without mean (NULL) x takes the place
     * of x - mean, g's mean is not subtracted, and dbeta is not written; dbeta may be NULL.  dx may be dy. */
    void (*row_norm_backward)(const void *dy, const void *x, void *dx, fnn_size rows, fnn_size cols, const void *gamma,
                              const void *mean, const void *inv_std, void *dgamma, void *dbeta);

    /* ---- losses ---- */

    fnn_row_function softmax;     /* exp(x) / sum of exp(x); backward y * (dy - sum of dy * y) */
    fnn_row_function log_softmax; /* its logarithm; backward dy - exp(y) * sum of dy */
    /* The loss of one row of n outputs z, summed over the columns.  Where the result is not finite the caller computes the row
     * again with loss_wide.  grad, or NULL, gets scale * the derivative in z.  Each body says what the target is (a class as
     * int64_t, or numbers of the table's type) and what the parameters are. */
    double (*loss[FNN_N_LOSSES])(const void *z, const void *target, fnn_size n, double scale, void *grad,
                                 const double *parameters);
    /* NULL, or the same loss without parameters for several rows at once: 0 < n <= lanes and 0 < rows <= lanes.  Each row has
     * its own scale and loss.  Its bits do not depend on the other rows. */
    void (*loss_block[FNN_N_LOSSES])(const void *z, const int64_t *label, fnn_size n, fnn_size rows, const double *scale,
                                     void *grad, double *loss);

    /* ---- optimizers ---- */

    /* One step of w for the gradient g.  The comment above each body in optimizers.inc.c lists its scalars. */
    void (*update[FNN_N_UPDATES])(void *w, const void *g, void *const *slots, fnn_size n, const double *scalars);
    /* out[i] = g[i] + (l2 * w[i] + l1 * sign w[i]); out may be g */
    void (*regularize)(const void *w, const void *g, void *out, fnn_size n, double l1, double l2);
    /* y[i] = x[i] between -limit and limit; NaN stays */
    void (*clip)(const void *x, void *y, fnn_size n, double limit);
    /* y[i] = factor * x[i] */
    void (*scale)(const void *x, void *y, fnn_size n, double factor);
    /* out[i] = a[i] + weight * (b[i] - a[i]) for |weight| < 0.5, else b[i] - (b[i] - a[i]) * (1 - weight); out may be a or b */
    void (*lerp)(const void *a, const void *b, void *out, fnn_size n, double weight);
    /* Scales each column whose norm is above the limit down to the limit, in place.  Rows are w_row apart; cols <=
     * FNN_NORM_COLS. The squares are added in double, in ascending order of the rows. */
    void (*limit_norms)(void *w, fnn_size w_row, fnn_size rows, fnn_size cols, double limit);
    /* The sums of |x[i]| and of x[i]^2, in double.  The order of additions is the same at every level. */
    void (*sums)(const void *x, fnn_size n, double *magnitude, double *square);

    /* ---- gather ---- */

    /* out[i * out_row + j] = the element at x + rows[i] * x_row + j * x_col, converted.  x_row and x_col are bytes. */
    void (*gather[FNN_N_SOURCES])(const void *x, fnn_size x_row, fnn_size x_col, const int64_t *rows, fnn_size n_rows,
                                  fnn_size cols, void *out, fnn_size out_row);

    /* ---- joins ---- */

    /* y[i] = x[i] + x2[i]; y may be x or x2 */
    void (*add)(const void *x, const void *x2, void *y, fnn_size n);
    /* y[i] = x[i] * x2[i]; y may be x or x2 */
    void (*multiply)(const void *x, const void *x2, void *y, fnn_size n);
    /* For each row i and each run: y[i * y_row + run.written + j] = x[i * x_row + run.read + j] for 0 <= j < run.n.  x and y do
     * not overlap. */
    void (*copy_columns)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, const fnn_run_of_columns *runs,
                         fnn_size n_runs);

    /* ---- scaling: y may be x ---- */

    /* y[i, j] = x[i, j], or fill[j] where that is NaN */
    void (*fill_nan)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size cols, const void *fill);
    /* y[i, j] = x[i, j] / sqrt(1 + (x[i, j] / limit[j])^2); limits are above 0, and an infinite one leaves x as it is */
    void (*smooth_clip)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size cols,
                        const void *limit);
    /* y[i, j] = the normal quantile of F(x[i, j]), F from the n quantiles of column j, which begin at quantiles[j * n]; n >= 2.
     * They ascend and are finite, or the first of a column is NaN: the column is copied. */
    void (*quantile_normal)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size cols,
                            const void *quantiles, fnn_size n);

    /* ---- numeric: encodings of one column of numbers, whose rows are x_row apart ---- */

    /* y[t] = 0 where x < lower[t], 1 where x >= upper[t], else (x - left[t]) * scale[t]; rows of y are y_row apart */
    void (*piecewise_linear)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, const fnn_bins *bins);
    /* dx += dy[t] * scale[t] of the bin t that has x; NaN where x is */
    void (*piecewise_linear_backward)(const void *dy, fnn_size dy_row, const void *x, void *dx, fnn_size x_row, fnn_size rows,
                                      const fnn_bins *bins);
    /* y[j] = cos(2 pi t) and y[k + j] = sin(2 pi t), where t = frequencies[j] * x is rounded; infinite t give NaN */
    void (*periodic)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size k,
                     const void *frequencies);
    /* With g[j] = y[j] * dy[k + j] - y[k + j] * dy[j]: dx += 2 pi * the sum over j of frequencies[j] * g[j] */
    void (*periodic_grad_input)(const void *dy, const void *y, fnn_size y_row, void *dx, fnn_size x_row, fnn_size rows,
                                fnn_size k, const void *frequencies);
    /* dfrequencies[j] = 2 pi * the sum over the rows, ascending, of x * g[j], for 0 <= j < n */
    void (*periodic_grad_frequencies)(const void *dy, const void *y, fnn_size y_row, const void *x, fnn_size x_row,
                                      fnn_size rows, fnn_size k, fnn_size n, void *dfrequencies);
    /* y = x * scale, a factor for each column */
    void (*scale_columns)(const void *x, void *y, fnn_size rows, fnn_size cols, const void *scale);
    /* For a strip of columns whose rows are `row` apart: dx = dy * scale; dscale[j] = sum over i, ascending, of dy * x.  dx may
     * be dy. */
    void (*scale_columns_backward)(const void *dy, const void *x, void *dx, fnn_size row, fnn_size rows, fnn_size cols,
                                   const void *scale, void *dscale);

    /* ---- statistics ---- */

    /* Describe n entries, added in double in one order: those are saturated that are <= low or >= high.  With NaN or infinity
     * among them, mean and square are not finite. */
    void (*entry_statistics)(const void *x, fnn_size n, double low, double high, fnn_entries *out);
} fnn_kernels;

/* ---- functions that are the same at every level ---- */

typedef void (*fnn_task)(void *context, fnn_size index);

typedef struct {
    const char *isa;   /* the level chosen */
    fnn_size l2_bytes; /* of a core's second-level cache */
    const fnn_kernels *f32;
    const fnn_kernels *f64;

    /* Runs task(context, i) for 0 <= i < n on at most `threads` threads, including the caller, and returns when all are done.
     * When another caller uses the pool, the caller runs all tasks itself. */
    void (*parallel)(fnn_task task, void *context, fnn_size n, int threads);
    /* Between these two calls idle workers spin for a short while before they sleep, so that the next job starts sooner. */
    void (*keep_workers_awake)(void);
    void (*let_workers_sleep)(void);
    /* The calling thread's FNN_SCRATCH bytes, 64-byte aligned; NULL if memory ran out.  Workers get theirs when they start. */
    void *(*scratch)(void);
    /* Writes a permutation of 0..n-1 into rows (Fisher-Yates; docs/decisions, 5). */
    void (*permutation)(const fnn_stream *stream, fnn_size n, int64_t *rows);
    /* What swap_entries does to one column of a batch, for integers that are stored apart; out and ids do not overlap. */
    void (*swap_ids)(const fnn_stream *stream, uint64_t threshold, const int64_t *ids, int64_t *out, fnn_size n, fnn_size cols,
                     fnn_size column);
    /* seconds of a monotonic clock */
    double (*clock)(void);
    /* The loss of a row in double, for rows whose loss fnn_kernels' function could not represent: sums that overflowed have
     * their values here, and infinite outputs have the limits of loss and gradient.  `kind` is a FNN_LOSS_..., itemsize that of
     * z. */
    double (*loss_wide)(int kind, fnn_size itemsize, const void *z, const void *target, fnn_size n, double scale, void *grad,
                        const double *parameters);
} fnn_table;

/* limit_norms takes at most this many columns: it keeps a sum for each on the stack, 512 bytes in all. */
#define FNN_NORM_COLS 64
/* Bytes of a thread's scratch memory, 29 * 64 KiB: what the largest product needs at any level.  kernels/_product_cy.pyx
 * divides it and checks the sum: 512 KiB for a block of b, 1 MiB for a block of a, 64 KiB for the block's last tile, which is
 * packed at full height, and 256 KiB for a result.  docs/decisions 10 and 13 measured these blocks. */
#define FNN_SCRATCH ((size_t)29 << 16)
#define FNN_LINE 64 /* bytes of a cache line */

extern const char *const fnn_activation_names[FNN_N_ACTIVATIONS];
extern const int fnn_activation_derivative_from[FNN_N_ACTIVATIONS];
extern const char *const fnn_update_names[FNN_N_UPDATES];
extern const char *const fnn_loss_names[FNN_N_LOSSES];
extern const int fnn_update_slots[FNN_N_UPDATES];

/* A level that was built. */
typedef struct {
    const char *name;
    const fnn_kernels *f32;
    const fnn_kernels *f64;
    int supported; /* whether this machine can run it */
} fnn_level;

/* Sets *levels to all levels, slowest first, and returns their number. */
int fnn_levels(const fnn_level **levels);
/* Fills the table for the level of this name, or for the best supported level if name is NULL.  Returns 0; or -1 for an
 * unknown level, or -2 for a level that this machine cannot run. */
int fnn_choose(const char *name, fnn_table *table);
/* Name and version of the compiler. */
const char *fnn_compiler(void);

#endif

# _fastnn.pxd: Cython's declarations of csrc/fastnn.h, whose comments are the contracts.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "fastnn.h" nogil:
    ctypedef ptrdiff_t fnn_size
    enum:
        FNN_N_ACTIVATIONS
        FNN_MAX_PARAMETERS
        FNN_INPUT
        FNN_N_UPDATES
        FNN_N_LOSSES
        FNN_FLOAT32
        FNN_FLOAT64
        FNN_UINT8
        FNN_N_SOURCES
    const fnn_size FNN_NORM_COLS
    const size_t FNN_SCRATCH
    const fnn_size FNN_LINE

    ctypedef struct fnn_stream:
        uint64_t seed
        uint32_t stream
        uint32_t step

    ctypedef struct fnn_activation:
        void (*forward)(const void *x, void *y, fnn_size n, const double *parameters) noexcept nogil
        void (*backward)(const void *dy, const void *derivative_from, void *dx, fnn_size n,
                         const double *parameters) noexcept nogil

    ctypedef struct fnn_prefetch:
        const char *address
        fnn_size stride
        fnn_size rows

    ctypedef struct fnn_tiles:
        fnn_size k
        fnn_size rows
        fnn_size cols
        fnn_size tiles
        const void *a
        fnn_size a_row
        fnn_size a_k
        fnn_size a_tile
        const void *b
        fnn_size b_k
        const void *init
        fnn_size init_row
        void *c
        fnn_size c_row
        const fnn_prefetch *prefetches

    ctypedef struct fnn_run_of_columns:
        fnn_size read
        fnn_size written
        fnn_size n

    ctypedef struct fnn_bins:
        fnn_size n
        const void *left
        const void *scale
        const void *lower
        const void *upper

    ctypedef struct fnn_image:
        fnn_size outer
        fnn_size height
        fnn_size width
        fnn_size inner

    ctypedef struct fnn_entries:
        fnn_size n
        double mean
        double rest
        double square
        double min
        double max
        fnn_size zeros
        fnn_size saturated
        fnn_size nonfinite

    ctypedef struct fnn_row_function:
        void (*forward)(const void *x, void *y, fnn_size n) noexcept nogil
        void (*backward)(const void *dy, const void *y, void *dx, fnn_size n) noexcept nogil

    ctypedef struct fnn_kernels:
        fnn_size itemsize
        fnn_size lanes
        fnn_size tile_rows
        fnn_size tile_cols
        fnn_size few_cols
        void (*gemm_tiles)(const fnn_tiles *t) noexcept nogil
        void (*gemm_row)(fnn_size k, const void *a, fnn_size a_k, const void *b, fnn_size b_k, const void *init,
                         void *c, fnn_size cols) noexcept nogil
        void (*gemm_few)(fnn_size k, const void *a, fnn_size a_row, const void *b, fnn_size b_k, const void *bias,
                         void *c, fnn_size rows, fnn_size cols) noexcept nogil
        void (*pack)(fnn_size k, fnn_size cols, fnn_size width, const void *src, fnn_size src_k, fnn_size src_col,
                     void *panels, fnn_size panel_stride) noexcept nogil
        void (*column_sum)(const void *x, fnn_size x_row, fnn_size rows, fnn_size cols, void *sum) noexcept nogil
        fnn_activation activation[FNN_N_ACTIVATIONS]
        void (*prelu)(const void *x, void *y, fnn_size rows, fnn_size cols, const void *slope,
                      fnn_size slope_col) noexcept nogil
        void (*prelu_backward)(const void *dy, const void *x, void *dx, fnn_size row, fnn_size rows, fnn_size cols,
                               const void *slope, fnn_size slope_col, void *dslope) noexcept nogil
        void (*random_bits)(const fnn_stream *stream, uint64_t first, fnn_size n, uint32_t *out) noexcept nogil
        void (*dropout)(const void *x, void *y, fnn_size n, uint64_t first, const fnn_stream *stream,
                        uint32_t threshold, double scale) noexcept nogil
        void (*add_noise)(const void *x, void *y, fnn_size n, uint64_t first, const fnn_stream *stream,
                          double std) noexcept nogil
        void (*swap_entries)(const void *x, void *y, fnn_size n, fnn_size cols, fnn_size first, fnn_size rows,
                             const fnn_stream *stream, uint64_t threshold) noexcept nogil
        void (*mix)(const void *x, const void *x2, void *y, fnn_size n, double share) noexcept nogil
        void (*shift_image)(const void *x, void *y, const fnn_image *image, fnn_size down, fnn_size right, double fill,
                            int edge) noexcept nogil
        void (*flip_image)(const void *x, void *y, const fnn_image *image, int vertical) noexcept nogil
        void (*column_moments)(const void *x, fnn_size x_row, fnn_size rows, fnn_size cols, void *mean,
                               void *var) noexcept nogil
        void (*affine)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size cols,
                       const void *center, const void *scale, const void *shift) noexcept nogil
        void (*norm_reduce)(const void *dy, fnn_size dy_row, const void *x, fnn_size x_row, fnn_size rows,
                            fnn_size cols, const void *mean, const void *inv_std, void *sum_dy,
                            void *sum_dy_xhat) noexcept nogil
        void (*norm_backward)(const void *dy, fnn_size dy_row, const void *x, fnn_size x_row, void *dx,
                              fnn_size dx_row, fnn_size rows, fnn_size cols, fnn_size n, const void *mean,
                              const void *inv_std, const void *gamma, const void *sum_dy,
                              const void *sum_dy_xhat) noexcept nogil
        void (*row_norm)(int centered, const void *x, void *y, fnn_size rows, fnn_size cols, const void *gamma,
                         const void *beta, double eps, void *mean, void *inv_std) noexcept nogil
        void (*row_norm_backward)(const void *dy, const void *x, void *dx, fnn_size rows, fnn_size cols,
                                  const void *gamma, const void *mean, const void *inv_std, void *dgamma,
                                  void *dbeta) noexcept nogil
        fnn_row_function softmax
        fnn_row_function log_softmax
        double (*loss[FNN_N_LOSSES])(const void *z, const void *target, fnn_size n, double scale, void *grad,
                                     const double *parameters) noexcept nogil
        void (*loss_block[FNN_N_LOSSES])(const void *z, const int64_t *label, fnn_size n, fnn_size rows,
                                         const double *scale, void *grad, double *loss) noexcept nogil
        void (*update[FNN_N_UPDATES])(void *w, const void *g, void *const *slots, fnn_size n,
                                      const double *scalars) noexcept nogil
        void (*regularize)(const void *w, const void *g, void *out, fnn_size n, double l1, double l2) noexcept nogil
        void (*clip)(const void *x, void *y, fnn_size n, double limit) noexcept nogil
        void (*scale)(const void *x, void *y, fnn_size n, double factor) noexcept nogil
        void (*lerp)(const void *a, const void *b, void *out, fnn_size n, double weight) noexcept nogil
        void (*limit_norms)(void *w, fnn_size w_row, fnn_size rows, fnn_size cols, double limit) noexcept nogil
        void (*sums)(const void *x, fnn_size n, double *magnitude, double *square) noexcept nogil
        void (*gather[FNN_N_SOURCES])(const void *x, fnn_size x_row, fnn_size x_col, const int64_t *rows,
                                      fnn_size n_rows, fnn_size cols, void *out, fnn_size out_row) noexcept nogil
        void (*add)(const void *x, const void *x2, void *y, fnn_size n) noexcept nogil
        void (*multiply)(const void *x, const void *x2, void *y, fnn_size n) noexcept nogil
        void (*copy_columns)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows,
                             const fnn_run_of_columns *runs, fnn_size n_runs) noexcept nogil
        void (*fill_nan)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size cols,
                         const void *fill) noexcept nogil
        void (*smooth_clip)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size cols,
                            const void *limit) noexcept nogil
        void (*quantile_normal)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size cols,
                                const void *quantiles, fnn_size n) noexcept nogil
        void (*piecewise_linear)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows,
                                 const fnn_bins *bins) noexcept nogil
        void (*piecewise_linear_backward)(const void *dy, fnn_size dy_row, const void *x, void *dx, fnn_size x_row,
                                          fnn_size rows, const fnn_bins *bins) noexcept nogil
        void (*periodic)(const void *x, fnn_size x_row, void *y, fnn_size y_row, fnn_size rows, fnn_size k,
                         const void *frequencies) noexcept nogil
        void (*periodic_grad_input)(const void *dy, const void *y, fnn_size y_row, void *dx, fnn_size x_row,
                                    fnn_size rows, fnn_size k, const void *frequencies) noexcept nogil
        void (*periodic_grad_frequencies)(const void *dy, const void *y, fnn_size y_row, const void *x, fnn_size x_row,
                                          fnn_size rows, fnn_size k, fnn_size n, void *dfrequencies) noexcept nogil
        void (*scale_columns)(const void *x, void *y, fnn_size rows, fnn_size cols, const void *scale) noexcept nogil
        void (*scale_columns_backward)(const void *dy, const void *x, void *dx, fnn_size row, fnn_size rows,
                                       fnn_size cols, const void *scale, void *dscale) noexcept nogil
        void (*entry_statistics)(const void *x, fnn_size n, double low, double high, fnn_entries *out) noexcept nogil

    ctypedef void (*fnn_task)(void *context, fnn_size index) noexcept nogil

    ctypedef struct fnn_table:
        const char *isa
        fnn_size l2_bytes
        const fnn_kernels *f32
        const fnn_kernels *f64
        void (*parallel)(fnn_task task, void *context, fnn_size n, int threads) noexcept nogil
        void (*keep_workers_awake)() noexcept nogil
        void (*let_workers_sleep)() noexcept nogil
        void *(*scratch)() noexcept nogil
        void (*permutation)(const fnn_stream *stream, fnn_size n, int64_t *rows) noexcept nogil
        void (*swap_ids)(const fnn_stream *stream, uint64_t threshold, const int64_t *ids, int64_t *out, fnn_size n,
                         fnn_size cols, fnn_size column) noexcept nogil
        double (*clock)() noexcept nogil
        double (*loss_wide)(int kind, fnn_size itemsize, const void *z, const void *target, fnn_size n, double scale,
                            void *grad, const double *parameters) noexcept nogil

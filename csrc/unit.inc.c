/* unit.inc.c: all kernels of one level for one element type: includes every body and fills the table.  isa/ has one file for
 * each unit, which includes this one.
 */
#include "simd.h"

#include "math.inc.c"
#include "random.inc.c"

#include "activations.inc.c"
#include "augmentation.inc.c"
#include "dense.inc.c"
#include "dropout.inc.c"
#include "gather.inc.c"
#include "joins.inc.c"
#include "losses.inc.c"
#include "normalization.inc.c"
#include "numeric.inc.c"
#include "optimizers.inc.c"
#include "row_norm.inc.c"
#include "scaling.inc.c"
#include "statistics.inc.c"

#ifdef FNN_F32
#define FNN_UNIT FNN_PASTE(fnn_, FNN_LEVEL, _f32)
#else
#define FNN_UNIT FNN_PASTE(fnn_, FNN_LEVEL, _f64)
#endif

#define FNN_ACTIVATION_ENTRY(name, derivative_from) [FNN_ACT_##name] = {name##_forward, name##_backward},
#define FNN_UPDATE_ENTRY(name, slots) [FNN_UPDATE_##name] = name##_update,
#define FNN_LOSS_ENTRY(name) [FNN_LOSS_##name] = name##_row,

extern const fnn_kernels FNN_UNIT;
const fnn_kernels FNN_UNIT = {
    .itemsize = sizeof(real),
    .lanes = LANES,
    .tile_rows = TILE_ROWS,
    .tile_cols = TILE_COLS,
    .gemm_tiles = gemm_tiles,
    .few_cols = FEW_COLS,
    .gemm_row = gemm_row,
    .gemm_few = gemm_few,
    .pack = pack,
    .column_sum = column_sum,
    .activation = {FNN_ACTIVATIONS(FNN_ACTIVATION_ENTRY)},
    .prelu = prelu,
    .prelu_backward = prelu_backward,
    .random_bits = random_bits,
    .dropout = dropout_run,
    .add_noise = add_noise,
    .swap_entries = swap_entries,
    .mix = mix,
    .shift_image = shift_image,
    .flip_image = flip_image,
    .column_moments = column_moments,
    .affine = affine,
    .norm_reduce = norm_reduce,
    .norm_backward = norm_backward,
    .row_norm = row_norm,
    .row_norm_backward = row_norm_backward,
    .softmax = {softmax_row, softmax_backward_row},
    .log_softmax = {log_softmax_row, log_softmax_backward_row},
    .loss = {FNN_LOSSES(FNN_LOSS_ENTRY)},
    .loss_block = {[FNN_LOSS_cross_entropy_labels] = cross_entropy_labels_block,
                   [FNN_LOSS_log_loss_labels] = log_loss_labels_block},
    .update = {FNN_UPDATES(FNN_UPDATE_ENTRY)},
    .regularize = regularize,
    .clip = clip,
    .scale = scale,
    .lerp = lerp,
    .limit_norms = limit_norms,
    .sums = sums,
    .gather = {[FNN_FLOAT32] = gather_f32, [FNN_FLOAT64] = gather_f64, [FNN_UINT8] = gather_u8},
    .add = add,
    .multiply = multiply,
    .copy_columns = copy_columns,
    .fill_nan = fill_nan,
    .smooth_clip = smooth_clip,
    .quantile_normal = quantile_normal,
    .piecewise_linear = piecewise_linear,
    .piecewise_linear_backward = piecewise_linear_backward,
    .periodic = periodic,
    .periodic_grad_input = periodic_grad_input,
    .periodic_grad_frequencies = periodic_grad_frequencies,
    .scale_columns = scale_columns,
    .scale_columns_backward = scale_columns_backward,
    .entry_statistics = entry_statistics,
};

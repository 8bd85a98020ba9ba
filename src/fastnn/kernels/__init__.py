"""Neural network kernels as plain functions on arrays.

Arguments are array-likes; the result is float32 if every array argument is float32, else float64. With ``out=`` the
result is written to that array instead of a new one. `fastnn.reference` has the same functions, computed by their NumPy
twins.
"""

from fastnn.kernels import activation_functions, loss_functions, update_functions
from fastnn.kernels.activation_functions import *
from fastnn.kernels.activations import activation, activation_backward, prelu, prelu_backward
from fastnn.kernels.augmentation import (
    add_noise,
    drop_features,
    flip_images,
    mix_rows,
    mixup_pairs,
    shift_images,
    swap_entries,
)
from fastnn.kernels.dense import dense, dense_grad_bias, dense_grad_input, dense_grad_weight
from fastnn.kernels.dropout import dropout, dropout_backward, permutation, random_bits
from fastnn.kernels.embedding import embedding_grad
from fastnn.kernels.gather import gather
from fastnn.kernels.joins import add, multiply, put_columns, take_columns
from fastnn.kernels.loss_functions import *
from fastnn.kernels.losses import log_softmax, log_softmax_backward, softmax, softmax_backward
from fastnn.kernels.normalization import (
    BatchNormResult,
    LayerNormResult,
    RMSNormResult,
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    layer_norm,
    layer_norm_backward,
    rms_norm,
    rms_norm_backward,
)
from fastnn.kernels.numeric import (
    periodic,
    periodic_grad_frequencies,
    periodic_grad_input,
    piecewise_linear,
    piecewise_linear_backward,
    scale_columns,
    scale_columns_backward,
)
from fastnn.kernels.optimizers import clip, lerp, limit_norms, regularize, scale, sums
from fastnn.kernels.scaling import fill_nan, quantile_normal, smooth_clip
from fastnn.kernels.statistics import EntryStatistics, entry_statistics
from fastnn.kernels.update_functions import *

__all__ = [
    "BatchNormResult",
    "EntryStatistics",
    "LayerNormResult",
    "RMSNormResult",
    "activation",
    "activation_backward",
    "add",
    "add_noise",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "clip",
    "dense",
    "dense_grad_bias",
    "dense_grad_input",
    "dense_grad_weight",
    "drop_features",
    "dropout",
    "dropout_backward",
    "embedding_grad",
    "entry_statistics",
    "fill_nan",
    "flip_images",
    "gather",
    "layer_norm",
    "layer_norm_backward",
    "lerp",
    "limit_norms",
    "log_softmax",
    "log_softmax_backward",
    "mix_rows",
    "mixup_pairs",
    "multiply",
    "periodic",
    "periodic_grad_frequencies",
    "periodic_grad_input",
    "permutation",
    "piecewise_linear",
    "piecewise_linear_backward",
    "prelu",
    "prelu_backward",
    "put_columns",
    "quantile_normal",
    "random_bits",
    "regularize",
    "rms_norm",
    "rms_norm_backward",
    "scale",
    "scale_columns",
    "scale_columns_backward",
    "shift_images",
    "smooth_clip",
    "softmax",
    "softmax_backward",
    "sums",
    "swap_entries",
    "take_columns",
]
__all__ += activation_functions.__all__ + loss_functions.__all__ + update_functions.__all__


def __dir__() -> list[str]:
    return __all__

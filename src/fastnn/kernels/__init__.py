"""Neural network kernels as plain functions on arrays.

Arguments are array-likes; the result is float32 if every array argument is float32, else float64. With ``out=`` the
result is written to that array instead of a new one. `fastnn.reference` has the same functions, computed by their NumPy
twins.
"""

from fastnn.kernels import activation_functions, loss_functions
from fastnn.kernels.activation_functions import *
from fastnn.kernels.activations import activation, activation_backward, prelu, prelu_backward
from fastnn.kernels.dense import dense, dense_grad_bias, dense_grad_input, dense_grad_weight
from fastnn.kernels.dropout import dropout, dropout_backward, permutation, random_bits
from fastnn.kernels.gather import gather
from fastnn.kernels.loss_functions import *
from fastnn.kernels.losses import log_softmax, log_softmax_backward, softmax, softmax_backward
from fastnn.kernels.normalization import BatchNormResult, batch_norm, batch_norm_backward, batch_norm_inference
from fastnn.kernels.optimizers import (
    adadelta,
    adadelta_scalars,
    adagrad,
    adagrad_scalars,
    adam,
    adam_scalars,
    amsgrad,
    clip,
    limit_norms,
    momentum,
    momentum_scalars,
    nadam,
    nadam_scalars,
    nesterov,
    nesterov_scalars,
    nesterov_velocity,
    nesterov_velocity_scalars,
    regularize,
    rmsprop,
    rmsprop_centered,
    rmsprop_centered_momentum,
    rmsprop_centered_momentum_scalars,
    rmsprop_centered_scalars,
    rmsprop_momentum,
    rmsprop_momentum_scalars,
    rmsprop_scalars,
    scale,
    sgd,
    sgd_scalars,
    sums,
    velocity,
    velocity_scalars,
)

__all__ = [
    "BatchNormResult",
    "activation",
    "activation_backward",
    "adadelta",
    "adadelta_scalars",
    "adagrad",
    "adagrad_scalars",
    "adam",
    "adam_scalars",
    "amsgrad",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "clip",
    "dense",
    "dense_grad_bias",
    "dense_grad_input",
    "dense_grad_weight",
    "dropout",
    "dropout_backward",
    "gather",
    "limit_norms",
    "log_softmax",
    "log_softmax_backward",
    "momentum",
    "momentum_scalars",
    "nadam",
    "nadam_scalars",
    "nesterov",
    "nesterov_scalars",
    "nesterov_velocity",
    "nesterov_velocity_scalars",
    "permutation",
    "prelu",
    "prelu_backward",
    "random_bits",
    "regularize",
    "rmsprop",
    "rmsprop_centered",
    "rmsprop_centered_momentum",
    "rmsprop_centered_momentum_scalars",
    "rmsprop_centered_scalars",
    "rmsprop_momentum",
    "rmsprop_momentum_scalars",
    "rmsprop_scalars",
    "scale",
    "sgd",
    "sgd_scalars",
    "softmax",
    "softmax_backward",
    "sums",
    "velocity",
    "velocity_scalars",
]
__all__ += activation_functions.__all__
__all__ += loss_functions.__all__

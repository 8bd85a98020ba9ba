"""Neural network kernels as plain functions on arrays.

Array-likes go in; the result is float32 where every array given is float32, else float64. ``out=`` takes the result in
place of a new array. `fastnn.reference` has the same functions on their NumPy twins.
"""

from fastnn.kernels.activations import (
    activation,
    activation_backward,
    identity,
    identity_backward,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from fastnn.kernels.dense import dense, dense_grad_bias, dense_grad_input, dense_grad_weight
from fastnn.kernels.dropout import dropout, dropout_backward, permutation, random_bits
from fastnn.kernels.gather import gather
from fastnn.kernels.losses import binary_cross_entropy, cross_entropy, mean_squared_error, softmax
from fastnn.kernels.normalization import BatchNormResult, batch_norm, batch_norm_backward, batch_norm_inference
from fastnn.kernels.optimizers import (
    adam,
    adam_scalars,
    momentum,
    momentum_scalars,
    nesterov,
    nesterov_scalars,
    nesterov_velocity,
    nesterov_velocity_scalars,
    regularize,
    rmsprop,
    rmsprop_scalars,
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
    "adam",
    "adam_scalars",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "binary_cross_entropy",
    "cross_entropy",
    "dense",
    "dense_grad_bias",
    "dense_grad_input",
    "dense_grad_weight",
    "dropout",
    "dropout_backward",
    "gather",
    "identity",
    "identity_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "mean_squared_error",
    "momentum",
    "momentum_scalars",
    "nesterov",
    "nesterov_scalars",
    "nesterov_velocity",
    "nesterov_velocity_scalars",
    "permutation",
    "random_bits",
    "regularize",
    "relu",
    "relu_backward",
    "rmsprop",
    "rmsprop_scalars",
    "sgd",
    "sgd_scalars",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "sums",
    "tanh",
    "tanh_backward",
    "velocity",
    "velocity_scalars",
]

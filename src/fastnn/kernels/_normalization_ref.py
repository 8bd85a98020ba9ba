"""NumPy twin of batch normalisation: statistics in float64 over the rows of x (B, I), each result rounded once."""

import numpy as np

from fastnn._typing import Array


@np.errstate(all="ignore")
def batch_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    eps: float,
    out: Array,
    mean: Array,
    var: Array,
    inv_std: Array,
    running_mean: Array | None,
    running_var: Array | None,
    momentum: float,
    threads: int,
) -> None:
    wide = x.astype(np.float64)
    mean64, var64 = wide.mean(axis=0), wide.var(axis=0)  # NumPy's var takes two passes
    inv_std64 = 1 / np.sqrt(var64 + eps)
    mean[...], var[...], inv_std[...] = mean64, var64, inv_std64
    out[...] = (wide - mean64) * inv_std64 * gamma + beta
    rows = len(x)
    for running, batch in ((running_mean, mean64), (running_var, var64 * (rows / max(1, rows - 1)))):
        if running is not None:
            running[...] = (1 - momentum) * running.astype(np.float64) + momentum * batch


@np.errstate(all="ignore")
def affine(x: Array, center: Array, scale: Array, shift: Array, out: Array, threads: int) -> None:
    out[...] = (x - center) * scale + shift


@np.errstate(all="ignore")
def batch_norm_backward(
    dy: Array,
    x: Array,
    gamma: Array,
    mean: Array,
    inv_std: Array,
    out: Array,
    dgamma: Array,
    dbeta: Array,
    threads: int,
) -> None:
    wide = dy.astype(np.float64)
    x_hat = (x - mean.astype(np.float64)) * inv_std
    sum_dy, sum_dy_x_hat = wide.sum(axis=0), (wide * x_hat).sum(axis=0)
    dbeta[...], dgamma[...] = sum_dy, sum_dy_x_hat
    n = len(x)
    out[...] = gamma * inv_std.astype(np.float64) * (wide - sum_dy / n - x_hat * (sum_dy_x_hat / n))

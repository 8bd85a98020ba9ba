"""NumPy twin of batch normalisation: statistics in float64 over the rows of x (B, I), each result rounded once.

They are computed from differences to the first row, so that a constant column has variance 0. Columns whose squares
would overflow are scaled down.
"""

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
    """Compute (x - mean) / sqrt(var + eps) * gamma + beta, and move the running statistics by `momentum`."""
    unit = np.where(np.abs(x).max(axis=0) > 1e140, 2.0**-600, 1.0)
    wide = x * unit
    from_first = wide - wide[0]
    mean64, var64 = wide[0] + from_first.mean(axis=0), from_first.var(axis=0)  # NumPy's var takes two passes
    inv_std64 = 1 / np.sqrt(var64 + eps * unit * unit)
    mean[...], var[...], inv_std[...] = mean64 / unit, var64 / unit / unit, unit * inv_std64
    out[...] = (wide - mean64) * inv_std64 * gamma + beta
    if running_mean is not None:
        running_mean[...] = (1 - momentum) * running_mean.astype(np.float64) + momentum * mean64 / unit
    if running_var is not None:
        unbiased = var64 * (len(x) / max(1, len(x) - 1))
        running_var[...] = (1 - momentum) * running_var.astype(np.float64) + momentum * unbiased / unit / unit


@np.errstate(all="ignore")
def affine(x: Array, center: Array, scale: Array, shift: Array, out: Array, threads: int) -> None:
    """Compute (x - center) * scale + shift: in evaluation center is the mean and scale gamma / sqrt(var + eps)."""
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
    """Compute dbeta = sum(dy), dgamma = sum(dy * x_hat) and gamma * inv_std * (dy - dbeta / n - x_hat * dgamma / n)."""
    wide = dy.astype(np.float64)
    # Without the division by 4, the difference could overflow.
    x_hat = 4 * ((x.astype(np.float64) / 4 - mean.astype(np.float64) / 4) * inv_std)
    sum_dy, sum_dy_x_hat = wide.sum(axis=0), (wide * x_hat).sum(axis=0)
    dbeta[...], dgamma[...] = sum_dy, sum_dy_x_hat
    n = len(x)
    out[...] = gamma * inv_std.astype(np.float64) * (wide - sum_dy / n - x_hat * (sum_dy_x_hat / n))

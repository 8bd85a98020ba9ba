"""NumPy twin of normalisation: statistics in float64 over the rows of x (B, I), or over its columns, rounded once.

They are computed from differences to the first row, or column, so that a constant one has variance 0. Where squares
would overflow, the entries are scaled down.
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


def _unit_of_rows(x: Array, eps: float) -> Array:
    """Return a factor for each row with which no square of x overflows, or is lost where eps is not larger anyway."""
    largest = np.abs(x).max(axis=1, keepdims=True, initial=0).astype(np.float64)
    small = (largest > 0) & (largest < 1e-120) & (eps < np.finfo(np.float64).tiny)
    return np.where(largest > 1e140, 2.0**-600, np.where(small, 2.0**600, 1.0))


@np.errstate(all="ignore")
def layer_norm(
    x: Array, gamma: Array, beta: Array | None, eps: float, out: Array, mean: Array, inv_std: Array, threads: int
) -> None:
    """Compute (x - mean) / sqrt(var + eps) * gamma + beta, with mean and variance of each row."""
    unit, n = _unit_of_rows(x / 4 - x[:, :1] / 4, eps), x.shape[1]  # the difference itself could overflow
    from_first = x * unit - x[:, :1] * unit
    shift = from_first.sum(axis=1, keepdims=True) / n
    deviation = from_first - shift
    inverse = 1 / np.sqrt((deviation**2).sum(axis=1, keepdims=True) / n + eps * unit * unit)
    out[...] = deviation * inverse * gamma + (0 if beta is None else beta)
    mean[...] = np.nan if n == 0 else ((x[:, :1] * unit + shift) / unit)[:, 0]
    inv_std[...] = (unit * inverse)[:, 0]


@np.errstate(all="ignore")
def layer_norm_backward(
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
    """Compute inv_std * (g - mean(g) - x_hat * mean(g * x_hat)) with g = dy * gamma; sum(dy * x_hat); sum(dy)."""
    # Without the division by 4, the difference could overflow.
    x_hat = 4 * ((x.astype(np.float64) / 4 - mean.astype(np.float64)[:, None] / 4) * inv_std[:, None])
    dgamma[...], dbeta[...] = (dy * x_hat).sum(axis=0), dy.astype(np.float64).sum(axis=0)
    g, n = dy.astype(np.float64) * gamma, x.shape[1]
    mean_g, mean_product = g.sum(axis=1, keepdims=True) / n, (g * x_hat).sum(axis=1, keepdims=True) / n
    out[...] = inv_std[:, None].astype(np.float64) * (g - mean_g - x_hat * mean_product)


@np.errstate(all="ignore")
def rms_norm(x: Array, gamma: Array, eps: float, out: Array, inv_rms: Array, threads: int) -> None:
    """Compute x / sqrt(mean(x**2) + eps) * gamma, with the mean over each row."""
    unit = _unit_of_rows(x, eps)
    wide = x * unit
    inverse = 1 / np.sqrt((wide**2).sum(axis=1, keepdims=True) / x.shape[1] + eps * unit * unit)
    out[...] = wide * inverse * gamma
    inv_rms[...] = (unit * inverse)[:, 0]


@np.errstate(all="ignore")
def rms_norm_backward(
    dy: Array, x: Array, gamma: Array, inv_rms: Array, out: Array, dgamma: Array, threads: int
) -> None:
    """Compute inv_rms * (g - x_hat * mean(g * x_hat)) with g = dy * gamma and x_hat = x * inv_rms; sum(dy * x_hat)."""
    inverse = inv_rms.astype(np.float64)[:, None]
    x_hat = x * inverse
    dgamma[...] = (dy * x_hat).sum(axis=0)
    g = dy.astype(np.float64) * gamma
    out[...] = inverse * (g - x_hat * ((g * x_hat).sum(axis=1, keepdims=True) / x.shape[1]))

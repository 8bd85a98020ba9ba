"""Specs of batch normalisation, and of norms of each row. A shape is (rows, features).

Each oracle's error is derived beside it, in units of u: e_<result> is the bound of a result.
"""

import math

import numpy as np

from .spec import BOUND, Spec, normal, wide

EPS, MOMENTUM = 1e-5, 0.1

BATCHES = (
    (2, 1),
    (2, 7),
    (3, 8),
    (7, 9),
    (8, 15),
    (9, 16),
    (15, 17),
    (16, 31),
    (17, 32),
    (33, 33),
    (61, 127),
    (257, 70),
    (5, 0),
)

# ---- over a batch ----


def make_batch_norm(rng, shape, dtype):
    mean, spread = 3 * rng.standard_normal(shape[1]), np.exp(rng.standard_normal(shape[1]))
    return {
        "x": (mean + spread * rng.standard_normal(shape)).astype(dtype),
        "gamma": normal(rng, shape[1], dtype),
        "beta": normal(rng, shape[1], dtype),
        "running_mean": normal(rng, shape[1], dtype),
        "running_var": np.exp(normal(rng, shape[1], dtype)),
        "eps": EPS,
        "momentum": MOMENTUM,
    }


def batch_norm(x, gamma, beta, running_mean, running_var, eps, momentum):
    n, u = len(x), np.finfo(x.dtype).eps / 2
    x, gamma, beta, running_mean, running_var = map(wide, (x, gamma, beta, running_mean, running_var))

    # A plain mean takes n - 1 additions and a division: n roundings of the mean magnitude. The kernel adds distances
    # from the first row: one rounding more for the distance, one for adding the first row, one for a group's mean. A
    # distance may be larger than its entry, but groups of 8 rows make the sums shorter: 0.46 of the bound measured.
    mean = x.sum(axis=0) / n
    e_mean = (n + 3) * np.abs(x).sum(axis=0) / n

    # A deviation is rounded once, which counts twice in its square; the square, n - 1 additions and the division make
    # n + 3. Merging groups of rows adds 5: a group's weight (2), the difference of the means, which counts twice (2),
    # and its square (1). A mean that is off by e_mean u adds the square of that to the variance.
    var = ((x - mean) ** 2).sum(axis=0) / n
    e_var = (n + 8) * (var + (e_mean * u) ** 2)

    # The root halves relative errors: half of e_var, and half a rounding of var + eps. Root, reciprocal and the
    # conversion to the dtype: 3.5 in all, 4 allowed.
    inv_std = 1 / np.sqrt(var + eps)
    relative_e_inv_std = 4 + e_var / 2 / (var + eps)

    # x_hat * gamma: difference, gamma * inv_std, product and sum are 4 roundings, 6 allowed. beta: the sum, 2 allowed.
    x_hat = (x - mean) * inv_std
    out = x_hat * gamma + beta
    e_out = np.abs(gamma) * (inv_std * e_mean + np.abs(x_hat) * (6 + relative_e_inv_std)) + 2 * np.abs(beta)

    return (
        (out, e_out),
        (mean, e_mean),
        (inv_std, inv_std * relative_e_inv_std),
        moved(running_mean, mean, e_mean, momentum),
        moved(running_var, var * n / (n - 1), e_var * n / (n - 1), momentum),  # the unbiased variance
    )


def moved(running, batch, e_batch, momentum):
    """Return a running statistic after a batch, and its bound.

    Bound: 1 - momentum, its product and the sum are 3 roundings of the old value; the factor n / (n - 1), two products
    and the sum are 4 of the batch's.
    """
    value = (1 - momentum) * running + momentum * batch
    magnitude = (1 - momentum) * np.abs(running) + momentum * np.abs(batch)
    return value, 4 * magnitude + momentum * e_batch


def batch_norm_by_hand(x, gamma, beta, running_mean, running_var, eps, momentum):
    mean, var = x.mean(axis=0), x.var(axis=0)
    running_mean = (1 - momentum) * running_mean + momentum * mean
    running_var = (1 - momentum) * running_var + momentum * var * len(x) / (len(x) - 1)
    return (x - mean) / np.sqrt(var + eps) * gamma + beta


# ---- by running statistics ----


def batch_norm_inference(x, gamma, beta, running_mean, running_var, eps):
    """Return the result and its bound.

    Bound: the difference; half a rounding of var + eps, the root, the reciprocal and its conversion; gamma's product;
    product and sum of the result: 7.5, 8 allowed. beta: the sum, 2 allowed.
    """
    x, gamma, beta, mean, var = map(wide, (x, gamma, beta, running_mean, running_var))
    scaled = (x - mean) * gamma / np.sqrt(var + eps)
    return scaled + beta, 8 * np.abs(scaled) + 2 * np.abs(beta)


# ---- backward ----


def make_batch_norm_backward(rng, shape, dtype):
    x = normal(rng, shape, dtype) + 1
    return {
        "dy": normal(rng, shape, dtype),
        "x": x,
        "gamma": normal(rng, shape[1], dtype),
        "mean": x.mean(axis=0, dtype=np.float64).astype(dtype),
        "inv_std": (1 / np.sqrt(x.var(axis=0, dtype=np.float64) + EPS)).astype(dtype),
    }


def batch_norm_backward(dy, x, gamma, mean, inv_std):
    n = len(x)
    dy, x, gamma, mean, inv_std = map(wide, (dy, x, gamma, mean, inv_std))
    x_hat = (x - mean) * inv_std

    # n - 1 additions, and the rounding of the twin's float64 sum.
    sum_dy = dy.sum(axis=0)
    e_sum_dy = n * np.abs(dy).sum(axis=0)

    # Difference, two products, n - 1 additions: n + 2, n + 4 allowed.
    sum_dy_x_hat = (dy * x_hat).sum(axis=0)
    e_sum_dy_x_hat = (n + 4) * np.abs(dy * x_hat).sum(axis=0)

    # x_hat's part has most roundings: difference, the slope's division and product, product and sum with dy's part,
    # gamma * inv_std, the last product: 7, 9 allowed for every part.
    dx = gamma * inv_std / n * (n * dy - sum_dy - x_hat * sum_dy_x_hat)
    parts = n * np.abs(dy) + np.abs(sum_dy) + np.abs(x_hat * sum_dy_x_hat)
    e_dx = np.abs(gamma * inv_std / n) * (9 * parts + e_sum_dy + np.abs(x_hat) * e_sum_dy_x_hat)
    return (dx, e_dx), (sum_dy_x_hat, e_sum_dy_x_hat), (sum_dy, e_sum_dy)


def batch_norm_backward_by_hand(dy, x, gamma, mean, inv_std):
    x_hat = (x - mean) * inv_std
    dbeta, dgamma = dy.sum(axis=0), (dy * x_hat).sum(axis=0)
    return gamma * inv_std / len(x) * (len(x) * dy - dbeta - x_hat * dgamma), dgamma, dbeta


# ---- each row by its own statistics ----

ROWS = ((0, 3), (1, 1), *BATCHES[:-2], (5, 321), *BATCHES[-2:])


def make_layer_norm(rng, shape, dtype):
    x = np.exp(rng.standard_normal((shape[0], 1))) * (rng.standard_normal((shape[0], 1)) + rng.standard_normal(shape))
    gamma, beta = normal(rng, shape[1], dtype), normal(rng, shape[1], dtype)
    return {"x": x.astype(dtype), "gamma": gamma, "beta": beta, "eps": EPS}


def without(name, make):
    return lambda rng, shape, dtype: {k: a for k, a in make(rng, shape, dtype).items() if k != name}


def layer_norm(x, gamma, eps, beta=None):
    n, u = x.shape[1], np.finfo(x.dtype).eps / 2
    x, gamma, beta = wide(x), wide(gamma), wide(gamma) * 0 if beta is None else wide(beta)

    # The kernel adds distances from the row's first entry: the distance, n - 1 additions and the division are n + 1
    # roundings of the mean distance. Adding the first entry is one of the mean.
    mean = x.sum(axis=1, keepdims=True) / n
    distance = np.abs(x - x[:, :1])
    e_shift = (n + 1) * distance.sum(axis=1, keepdims=True) / n

    # A deviation is the distance less the mean distance: the rounding of each, and the error of the mean distance.
    deviation = x - mean
    e_deviation = distance + np.abs(deviation) + e_shift

    # The roundings of a deviation count twice in its square. The error of the mean adds no more than its own square, as
    # deviations add to 0. The square, n - 1 additions and the division make n + 1, n + 2 allowed.
    var = (deviation**2).sum(axis=1, keepdims=True) / n
    e_own = (2 * np.abs(deviation) * (distance + np.abs(deviation))).sum(axis=1, keepdims=True) / n
    e_var = e_own + u * (e_deviation**2).sum(axis=1, keepdims=True) / n + (n + 2) * var

    # As in batch_norm. Then product with inv_std, product with gamma, sum: 3, 4 allowed. beta: the sum, 2 allowed.
    inv_std = 1 / np.sqrt(var + eps)
    relative_e_inv_std = 4 + e_var / 2 / (var + eps)
    x_hat = deviation * inv_std
    out = x_hat * gamma + beta
    e_out = np.abs(gamma) * (inv_std * e_deviation + np.abs(x_hat) * (4 + relative_e_inv_std)) + 2 * np.abs(beta)
    return (
        (out, e_out),
        (mean[:, 0], (e_shift + np.abs(mean))[:, 0]),
        (inv_std[:, 0], (inv_std * relative_e_inv_std)[:, 0]),
    )


def layer_norm_by_hand(x, gamma, eps, beta=0):
    mean, var = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * gamma + beta


def rms_norm(x, gamma, eps):
    """Return the results and their bounds.

    Bounds: the square, n - 1 additions and the division are n + 1 roundings of the mean square, n + 2 allowed; then as
    in layer_norm.
    """
    n = x.shape[1]
    x, gamma = map(wide, (x, gamma))
    square = (x**2).sum(axis=1, keepdims=True) / n
    inv_rms = 1 / np.sqrt(square + eps)
    relative_e = 4 + (n + 2) * square / 2 / (square + eps)
    out = x * inv_rms * gamma
    return (out, np.abs(out) * (4 + relative_e)), (inv_rms[:, 0], (inv_rms * relative_e)[:, 0])


def make_layer_norm_backward(rng, shape, dtype):
    x = normal(rng, shape, dtype) + 1
    with np.errstate(all="ignore"):
        mean = x.sum(axis=1, dtype=np.float64) / shape[1]
        var = ((x - mean[:, None]) ** 2).sum(axis=1) / shape[1]
    return {
        "dy": normal(rng, shape, dtype),
        "x": x,
        "gamma": normal(rng, shape[1], dtype),
        "mean": mean.astype(dtype),
        "inv_std": (1 / np.sqrt(var + EPS)).astype(dtype),
    }


def make_rms_norm_backward(rng, shape, dtype):
    x = normal(rng, shape, dtype) + 1
    with np.errstate(all="ignore"):
        inv_rms = 1 / np.sqrt((x.astype(np.float64) ** 2).sum(axis=1) / shape[1] + EPS)
    dy, gamma = normal(rng, shape, dtype), normal(rng, shape[1], dtype)
    return {"dy": dy, "x": x, "gamma": gamma, "inv_rms": inv_rms.astype(dtype)}


def layer_norm_backward(dy, x, gamma, mean, inv_std):
    dy, x, gamma, mean, inv_std = map(wide, (dy, x, gamma, mean[:, None], inv_std[:, None]))
    rows, n = dy.shape
    x_hat, g = (x - mean) * inv_std, dy * gamma

    # A product and n - 1 additions are n roundings; with a difference and two products more n + 3, n + 4 allowed.
    sum_g, e_sum_g = (f(g).sum(axis=1, keepdims=True) for f in (np.asarray, np.abs))
    sum_product, e_sum_product = (f(g * x_hat).sum(axis=1, keepdims=True) for f in (np.asarray, np.abs))

    # As in batch_norm_backward: 7 roundings of x_hat's part, 9 allowed for every part.
    dx = inv_std * (g - sum_g / n - x_hat * sum_product / n)
    parts = np.abs(g) + np.abs(sum_g / n) + np.abs(x_hat * sum_product / n)
    e_dx = np.abs(inv_std) * (9 * parts + e_sum_g + np.abs(x_hat) * (n + 4) / n * e_sum_product)

    # As in batch_norm_backward.
    dgamma, e_dgamma = (dy * x_hat).sum(axis=0), (rows + 4) * np.abs(dy * x_hat).sum(axis=0)
    return (dx, e_dx), (dgamma, e_dgamma), (dy.sum(axis=0), rows * np.abs(dy).sum(axis=0))


def layer_norm_backward_by_hand(dy, x, gamma, mean, inv_std):
    x_hat, g = (x - mean[:, None]) * inv_std[:, None], dy * gamma
    mean_product = (g * x_hat).mean(axis=1, keepdims=True)
    dx = inv_std[:, None] * (g - g.mean(axis=1, keepdims=True) - x_hat * mean_product)
    return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def rms_norm_backward(dy, x, gamma, inv_rms):
    """Return the results and their bounds: those of `layer_norm_backward` without its mean."""
    dy, x, gamma, inv_rms = map(wide, (dy, x, gamma, inv_rms[:, None]))
    rows, n = dy.shape
    x_hat, g = x * inv_rms, dy * gamma
    product, magnitude = (f(g * x_hat).sum(axis=1, keepdims=True) / n for f in (np.asarray, np.abs))
    dx = inv_rms * (g - x_hat * product)
    parts = np.abs(g) + np.abs(x_hat * product)
    e_dx = np.abs(inv_rms) * (9 * parts + np.abs(x_hat) * (n + 4) * magnitude)
    return (dx, e_dx), ((dy * x_hat).sum(axis=0), (rows + 4) * np.abs(dy * x_hat).sum(axis=0))


def rms_norm_backward_by_hand(dy, x, gamma, inv_rms):
    x_hat, g = x * inv_rms[:, None], dy * gamma
    return inv_rms[:, None] * (g - x_hat * (g * x_hat).mean(axis=1, keepdims=True)), (dy * x_hat).sum(axis=0)


NORMALIZATION = {
    "family": "normalization",
    "large_shape": (4099, 133),
    "bench_shapes": ((128, 256), (1024, 256), (1024, 1024)),
    # no infinities and no large values: columns whose squares overflow have tests in test_kernels_formulas.py
    "edge_values": (0.0, -0.0, 1e-310, -1e-40, math.nan),
}

SPECS = [
    Spec(
        name="batch_norm",
        twin="batch_norm",
        make=make_batch_norm,
        oracle=batch_norm,
        tiers=dict.fromkeys(("out", "mean", "inv_std", "running_mean", "running_var"), BOUND),
        numpy=batch_norm_by_hand,
        shapes=BATCHES,
        returns=("out", "mean", "inv_std"),
        in_place=("running_mean", "running_var"),
        edge_arguments=("x",),
        **NORMALIZATION,
    ),
    Spec(
        name="batch_norm_inference",
        twin="affine",
        make=lambda rng, shape, dtype: {k: a for k, a in make_batch_norm(rng, shape, dtype).items() if k != "momentum"},
        oracle=batch_norm_inference,
        tiers={"out": BOUND},
        numpy=lambda x, gamma, beta, running_mean, running_var, eps: (
            (x - running_mean) * (gamma / np.sqrt(running_var + eps)) + beta
        ),
        shapes=((0, 3), (1, 1), *BATCHES),
        row_arguments=("x",),
        out_may_be=("x",),
        edge_arguments=("x",),
        **NORMALIZATION,
    ),
    Spec(
        name="batch_norm_backward",
        twin="batch_norm_backward",
        make=make_batch_norm_backward,
        oracle=batch_norm_backward,
        tiers=dict.fromkeys(("out", "dgamma", "dbeta"), BOUND),
        numpy=batch_norm_backward_by_hand,
        shapes=BATCHES,
        returns=("out", "dgamma", "dbeta"),
        edge_arguments=("dy",),
        **NORMALIZATION,
    ),
    *(
        Spec(
            name=name,
            function="layer_norm",
            twin="layer_norm",
            make=make,
            oracle=layer_norm,
            tiers=dict.fromkeys(("out", "mean", "inv_std"), BOUND),
            numpy=layer_norm_by_hand,
            shapes=ROWS,
            returns=("out", "mean", "inv_std"),
            row_arguments=("x",),
            edge_arguments=("x",),
            **NORMALIZATION,
        )
        for name, make in (
            ("layer_norm", make_layer_norm),
            ("layer_norm without shift", without("beta", make_layer_norm)),
        )
    ),
    Spec(
        name="layer_norm_backward",
        twin="layer_norm_backward",
        make=make_layer_norm_backward,
        oracle=layer_norm_backward,
        tiers=dict.fromkeys(("out", "dgamma", "dbeta"), BOUND),
        numpy=layer_norm_backward_by_hand,
        shapes=ROWS,
        returns=("out", "dgamma", "dbeta"),
        row_arguments=("dy", "x", "mean", "inv_std"),
        out_may_be=("dy",),
        edge_arguments=("dy",),
        **NORMALIZATION,
    ),
    Spec(
        name="rms_norm",
        twin="rms_norm",
        make=without("beta", make_layer_norm),
        oracle=rms_norm,
        tiers=dict.fromkeys(("out", "inv_rms"), BOUND),
        numpy=lambda x, gamma, eps: x / np.sqrt((x * x).mean(axis=1, keepdims=True) + eps) * gamma,
        shapes=ROWS,
        returns=("out", "inv_rms"),
        row_arguments=("x",),
        edge_arguments=("x",),
        **NORMALIZATION,
    ),
    Spec(
        name="rms_norm_backward",
        twin="rms_norm_backward",
        make=make_rms_norm_backward,
        oracle=rms_norm_backward,
        tiers=dict.fromkeys(("out", "dgamma"), BOUND),
        numpy=rms_norm_backward_by_hand,
        shapes=ROWS,
        returns=("out", "dgamma"),
        row_arguments=("dy", "x", "inv_rms"),
        out_may_be=("dy",),
        edge_arguments=("dy",),
        **NORMALIZATION,
    ),
]

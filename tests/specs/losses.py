"""Specs of the losses, of softmax and of log-softmax. A shape is (rows, columns).

A loss is the weighted mean of its rows' losses; a row of weight 0 is no part of it. `grad` takes its derivative. Each
oracle returns both with their bounds, in units of u; `e_<result>` is the bound of a result.
"""

import math

import numpy as np

from .spec import BOUND, Spec, normal, wide

# ---- softmax ----


def softmax_parts(z, limits=False):
    """Return softmax, its bound, the logarithm of the sum of exponentials, its bound, and z less the row's largest.

    With `limits`, a row with one infinity has 0 for its other classes; without, the whole row is NaN.
    """
    k = z.shape[1]
    infinite = np.isposinf(z)
    d = z - z.max(axis=1, keepdims=True, initial=-np.inf)
    if limits:
        d[infinite & (infinite.sum(axis=1, keepdims=True) == 1)] = 0
    e = np.exp(d)
    total = e.sum(axis=1, keepdims=True)
    p = e / total
    log_total = np.log(total)

    # An exponential's 2 ULP are up to 4 u. Rounding its argument multiplies it by 1 + u |d|; the twin rounds twice, as
    # it takes log(total) from d before the exponential: |d| + (|d| + log(total)).
    e_term = 4 + np.where(p > 0, 2 * np.abs(d), 0) + log_total
    # The sum is off by the mean of its terms' errors, weighted by the terms, and by k - 1 additions.
    e_total = (p * e_term).sum(axis=1, keepdims=True) + k
    # The reciprocal of the sum, its conversion to the dtype and the product: 3, 4 allowed.
    e_p = p * (e_term + e_total + 4)
    # The logarithm turns a relative error into an absolute one; 2 more than that are allowed.
    return p, e_p, log_total, e_total + 2, d


def softmax(x):
    p, e_p, *_ = softmax_parts(wide(x))
    return p, e_p


def log_softmax(x):
    """Return the result and its bound.

    Bound: rounding d, d - log(total) and log(total) itself makes 2 roundings of each, 4 allowed.
    """
    _, _, log_total, e_log_total, d = softmax_parts(wide(x))
    return d - log_total, 4 * np.abs(d) + e_log_total + 4 * np.abs(log_total)


def softmax_backward(dy, y):
    """Return the result and its bound.

    Bound, for k columns: the sum of products has k roundings; the difference and the product with y add 2 to it and to
    dy. k + 2 and 2, k + 4 and 4 allowed.
    """
    dy, y = wide(dy), wide(y)
    total, magnitude = (dy * y).sum(axis=1, keepdims=True), np.abs(dy * y).sum(axis=1, keepdims=True)
    return y * (dy - total), np.abs(y) * ((y.shape[1] + 4) * magnitude + 4 * np.abs(dy))


def log_softmax_backward(dy, y):
    """Return the result and its bound.

    Bound, for k columns: the sum of dy has k - 1 additions; the exponential's 2 ULP are up to 4 u; the product and the
    difference make k + 5, k + 12 allowed. dy itself takes part in the difference: 1, 2 allowed.
    """
    dy, p = wide(dy), np.exp(wide(y))
    magnitude = np.abs(dy).sum(axis=1, keepdims=True)
    return dy - p * dy.sum(axis=1, keepdims=True), p * (p.shape[1] + 12) * magnitude + 2 * np.abs(dy)


def make_softmax_backward(output_of):
    return lambda rng, shape, dtype: {
        "dy": normal(rng, shape, dtype),
        "y": output_of(normal(rng, shape, np.float64, 4)).astype(dtype) if np.prod(shape) else np.empty(shape, dtype),
    }


def softmax_by_hand(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# ---- the mean over rows ----


def row_shares(z, sample_weight):
    """Return each row's share of the loss, and the error of a row's share in units of u.

    The share is computed in float64: for n rows, n - 1 additions of the weights, a division, and the loss's own factor
    and that of its columns: n + 2, n + 4 allowed, times the ratio of float64's u to that of the dtype.
    """
    weight = np.ones(len(z)) if sample_weight is None else sample_weight
    weight = weight.astype(np.longdouble)
    e_share = (len(z) + 4) * np.finfo(np.float64).eps / np.finfo(z.dtype).eps
    return (weight / weight.sum())[:, None], e_share


def mean_over_rows(losses, e_losses, share, e_share):
    """Return the mean of the rows' losses, and its bound; adding n rows takes n roundings more than a share."""
    mean = times_share(share, losses).sum()
    return mean, times_share(share, e_losses + 2 * e_share * np.abs(losses)).sum()


def times_share(share, values):
    """Multiply. A row of share 0 gives 0, even if it holds infinity or NaN."""
    return np.where(share > 0, share * values, 0)


# ---- cross-entropy of classes ----


def cross_entropy(logits, target, sample_weight=None, weight=None, label_smoothing=0.0):
    z = wide(logits)
    k = z.shape[1]
    labels = target.ndim == 1
    t = np.eye(k)[target] if labels else wide(target)
    class_weight = np.ones(k) if weight is None else np.array(weight)
    t = class_weight * ((1 - label_smoothing) * t + label_smoothing / k)
    if labels:  # the mean is by the rows' weights times those of their classes
        t = t / class_weight[target][:, None]
        sample_weight = class_weight[target] * (1 if sample_weight is None else sample_weight)
    share, e_share = row_shares(logits, sample_weight)
    p, e_p, log_total, e_log_total, d = softmax_parts(z, limits=True)
    sum_t = t.sum(axis=1, keepdims=True)
    t_d = np.where(t == 0, 0, t * d)

    # A smoothed and weighted target takes 5 roundings: 1 - smoothing, its product, the sum, the class's weight and its
    # product. sum_t * log(total): 5, k - 1 additions, logarithm, product and difference: k + 7. The sum of t * d: 5,
    # the rounding of d, the product, k - 1 additions, the difference: k + 7. k + 8 are allowed for both.
    losses = sum_t * log_total - t_d.sum(axis=1, keepdims=True)
    e_losses = np.abs(sum_t) * (e_log_total + (k + 8) * log_total) + (k + 8) * np.abs(t_d).sum(axis=1, keepdims=True)

    # p * sum_t: 5, k - 1 additions and the difference: k + 5, k + 8 allowed; its product is in e_p. t: 5, the share's
    # conversion to the dtype, its product and the difference: 8.
    grad = times_share(share, p * sum_t - t)
    e_grad = times_share(share, np.abs(sum_t) * (e_p + (k + 8) * p) + 8 * np.abs(t)) + e_share * np.abs(grad)
    return mean_over_rows(losses, e_losses, share, e_share), (grad, e_grad)


def cross_entropy_by_hand(logits, target, sample_weight=None, **settings):
    p = softmax_by_hand(logits)
    rows = np.arange(len(p))
    loss = -np.log(p[rows, target]).mean() if target.ndim == 1 else -(target * np.log(p)).sum(axis=1).mean()
    if target.ndim == 1:
        p[rows, target] -= 1
    else:
        p -= target
    return loss, p / len(p)


# ---- losses that are sums of terms, one for each column ----

# Roundings of a term or of a derivative, and of the derivative's product with its share: one allowance for all losses.
# Most formulas have 1 to 8 operations. log_cosh's is the longest: tanh's 2 ULP are up to 4 u, which the square doubles;
# two sums, a quotient and log1p's 4 u come after it, 15 in all. The largest error measured is 0.20 of the bound, also
# log_cosh's.
TERM_ROUNDINGS = 20


def column_loss(terms_of):
    """Return the oracle of a loss from its terms.

    `terms_of(z, t, **settings)` returns the terms, the magnitudes of which they are sums, the derivatives in z, and
    the magnitudes of these.

    Bound, for k columns: TERM_ROUNDINGS and k additions for the loss, TERM_ROUNDINGS for a derivative.
    """

    def oracle(**arguments):
        (_, outputs), (_, target), *others = arguments.items()
        settings = dict(others)
        sample_weight = settings.pop("sample_weight", None)
        z = wide(outputs)
        t = target if target.ndim == 1 else wide(target)
        terms, magnitudes, derivatives, derivative_magnitudes = terms_of(z, t, **settings)
        share, e_share = row_shares(outputs, sample_weight)
        share /= z.shape[1]
        losses = terms.sum(axis=1, keepdims=True)
        e_losses = (z.shape[1] + TERM_ROUNDINGS) * magnitudes.sum(axis=1, keepdims=True)
        e_grad = times_share(share, (TERM_ROUNDINGS + e_share) * derivative_magnitudes)
        return mean_over_rows(losses, e_losses, share, e_share), (times_share(share, derivatives), e_grad)

    return oracle


def loss_by_hand(terms_of):
    """Return what a user would write, without care for the dtype or overflow."""

    def loss(**arguments):
        (_, z), (_, t), *others = arguments.items()
        terms, _, derivatives, _ = terms_of(z, t, **{name: value for name, value in others if name != "sample_weight"})
        return terms.mean(), derivatives / z.size

    return loss


def product_in_limit(a, b):
    """Multiply. 0 times infinity is 0, the limit of 0 * b as b grows."""
    return np.where((a == 0) & np.isinf(b), 0, a * b)


def binary_terms(z, t, pos_weight=None):
    minus_log_p, minus_log_q = np.logaddexp(0, -z), np.logaddexp(0, z)
    p, q = np.exp(-minus_log_p), np.exp(-minus_log_q)
    positive, negative = (t if pos_weight is None else np.array(pos_weight) * t), 1 - t
    terms = product_in_limit(positive, minus_log_p) + product_in_limit(negative, minus_log_q)
    magnitudes = np.abs(product_in_limit(negative, z)) + (1 + positive + 2 * t) * np.log1p(np.exp(-np.abs(z)))
    if pos_weight is None:
        magnitudes = magnitudes + np.maximum(z, 0) + np.abs(product_in_limit(t, z))
        return terms, magnitudes, p - t, p + np.abs(p - t)
    magnitudes += (1 + positive + t) * np.maximum(-z, 0)
    return terms, magnitudes, negative - (negative + positive) * q, (1 + t) + (1 + positive + t) * q


def log_loss(logits, target, sample_weight=None):
    """Return the loss and its derivatives: losses are limited to those of probabilities from eps to 1 - eps."""
    eps = float(np.finfo(logits.dtype).eps)
    z, (share, e_share) = wide(logits), row_shares(logits, sample_weight)
    if target.ndim == 1:
        (_, grads), k = cross_entropy(logits, target, sample_weight), z.shape[1]
        _, _, log_total, e_log_total, d = softmax_parts(z, limits=True)
        score = np.take_along_axis(d, target[:, None], axis=1)
        losses = log_total - score
        e_losses = e_log_total + (k + 8) * (log_total + np.abs(score))  # as in `cross_entropy`
    else:
        losses, magnitudes, derivatives, derivative_magnitudes = binary_terms(z, wide(target))
        grads = times_share(share, derivatives), times_share(share, (TERM_ROUNDINGS + e_share) * derivative_magnitudes)
        e_losses = (z.shape[1] + TERM_ROUNDINGS) * magnitudes.sum(axis=1, keepdims=True)  # as in `column_loss`
    limited = np.clip(losses, -np.log1p(-eps), -np.log(eps)).sum(axis=1, keepdims=True)
    return mean_over_rows(limited, e_losses + limited, share, e_share), grads  # the limits are rounded


def log_loss_by_hand(logits, target, sample_weight=None):
    if target.ndim == 1:
        return cross_entropy_by_hand(logits, target)
    terms, _, derivatives, _ = binary_terms(logits, target)
    return terms.sum(axis=1).mean(), derivatives / len(logits)


def squared_terms(z, t):
    d = z - t
    return d * d, d * d, 2 * d, 2 * np.abs(d)


def absolute_terms(z, t):
    d = z - t
    return np.abs(d), np.abs(d), np.sign(d), np.abs(np.sign(d))


def huber_terms(z, t, delta):
    a = np.abs(z - t)
    terms = np.where(a <= delta, a * a / 2, delta * a - delta * delta / 2)
    derivatives = np.sign(z - t) * np.where(a <= delta, a, delta)
    return terms, np.where(a <= delta, terms, delta * a + delta * delta), derivatives, np.abs(derivatives)


def log_cosh_terms(z, t):
    """Near the target by cosh(a) - 1 = 2 sinh(a / 2)^2; farther off by a + log(1 + e^-2a) - log 2, which cancels."""
    a = np.abs(z - t)
    near = np.log1p(2 * np.sinh(np.minimum(a, 2) / 2) ** 2)
    terms = np.where(a < 1, near, np.logaddexp(a, -a) - np.log(z.dtype.type(2)))
    derivatives = np.tanh(z - t)
    return np.where(np.isnan(a), a, terms), terms + (a > 1) * (a + 1), derivatives, np.abs(derivatives)


def poisson_terms(z, t, log_input=True, full=False, deviance=False, eps=1e-8):
    if log_input:
        rate = np.exp(z)
        parts, derivatives = (rate, -product_in_limit(t, z)), (rate - t, rate + np.abs(t))
    else:
        rate = z + eps
        ratio = np.where((t == 0) & (rate == 0), 0, t / rate)
        parts, derivatives = (z, -product_in_limit(t, np.log(rate))), (1 - ratio, 1 + np.abs(ratio))
    # an infinite rate outweighs the other part
    parts = np.where(np.isposinf(rate), np.inf, parts[0]), np.where(np.isposinf(rate), 0, parts[1])
    t_log_t = t * np.log(np.where(t > 0, t, 1))
    if full:  # Stirling's approximation of log t!, for t > 1
        parts += (
            np.where(t > 1, t_log_t, 0),
            np.where(t > 1, -t, 0),
            np.where(t > 1, np.log(2 * np.pi * t + (t <= 1)) / 2, 0),
        )
    if deviance:
        parts += (t_log_t, -t)
    return sum(parts), sum(map(np.abs, parts)), *derivatives


def quantile_terms(z, t, quantiles):
    q = np.tile(np.atleast_1d(quantiles), t.shape[1])
    d = np.repeat(t, np.size(quantiles), axis=1) - z
    terms = np.where(d > 0, q * d, (1 - q) * -d)
    derivatives = np.select([d > 0, d < 0], [np.broadcast_to(-q, d.shape), np.broadcast_to(1 - q, d.shape)], d)
    return terms, np.abs(d), derivatives, 1 + np.abs(derivatives)


def hinge_terms(z, t):
    margin = 1 - t * z
    derivatives = np.select([margin > 0, margin <= 0], [-t, 0 * t], margin)
    return np.maximum(margin, 0), np.where(margin > 0, 1 + np.abs(t * z), 0), derivatives, np.abs(derivatives)


def squared_hinge_terms(z, t):
    h = np.maximum(1 - t * z, 0)
    magnitude = 1 + np.abs(t * z)
    return h * h, np.where(h > 0, h * magnitude, 0), -2 * t * h, np.where(h > 0, 2 * magnitude, 0)


def multi_margin_terms(z, t, p, margin):
    of_label = np.arange(z.shape[1]) == t[:, None]
    score = z[of_label][:, None]
    h = np.where(of_label, 0, np.maximum(margin - score + z, 0))
    magnitude = np.where(of_label | (h == 0), 0, margin + np.abs(score) + np.abs(z))
    derivatives = np.where(h > 0, p * h ** (p - 1), h)
    derivatives = np.where(of_label, -derivatives.sum(axis=1, keepdims=True), derivatives)
    derivative_magnitude = 2 * magnitude if p == 2 else np.abs(derivatives)
    # the label's derivative is a sum over the k columns, with as many roundings
    derivative_magnitude = np.where(
        of_label, z.shape[1] * derivative_magnitude.sum(axis=1, keepdims=True), derivative_magnitude
    )
    return h**p, np.where(h == 0, 0, h ** (p - 1) * magnitude), derivatives, derivative_magnitude


# ---- arguments ----


def make_loss(target, *, outputs_name="logits", weighted=False, outputs=1, positive=False, **settings):
    """Return what makes the arguments of a loss.

    There are `outputs` columns for each column of the target. Settings may be functions of the shape.
    """

    def make(rng, shape, dtype):
        z = normal(rng, (shape[0], shape[1] * outputs), dtype, 4)
        arguments = {outputs_name: np.abs(z) if positive else z, "target": target(rng, shape, dtype)}
        arguments |= {k: value(shape) if callable(value) else value for k, value in settings.items()}
        if weighted:
            weight = rng.random(shape[0])
            weight[::3] = 0
            weight[-1] = 1
            arguments["sample_weight"] = weight
        return arguments

    return make


def classes(rng, shape, dtype):
    return rng.integers(0, shape[1], shape[0])


def bits(rng, shape, dtype):
    return rng.integers(0, 2, shape).astype(dtype)


def counts(rng, shape, dtype):
    return rng.poisson(2, shape).astype(dtype)


def signs(rng, shape, dtype):
    return rng.choice([-1, 1], shape).astype(dtype)


def probabilities(rng, shape, dtype):
    t = rng.random(shape)
    t[t < 0.2] = 0
    t[:, 0] += 0.1
    return (t / t.sum(axis=1, keepdims=True)).astype(dtype)


def column_weights(shape):
    return np.linspace(0.25, 3, shape[1]).tolist()


# ---- the specs ----

ROWS = (
    (1, 1),
    (1, 2),
    (2, 7),
    (3, 8),
    (7, 9),
    (8, 15),
    (9, 16),
    (15, 17),
    (16, 31),
    (17, 32),
    (31, 33),
    (5, 61),
    (61, 10),
    (3, 1025),
)

# In float32 the exponential of 80 is large, and that of -200 is 0.
SOFTMAX_EDGES = (0.0, -0.0, 1e-310, -1e-40, 80.0, -200.0, math.inf, -math.inf, math.nan)
LOSS_EDGES = (0.0, -0.0, 1e-310, -1e-40, 80.0, -200.0, 3e38, -3e38, math.inf, -math.inf, math.nan)

LOSS = {
    "family": "losses",
    "twin": "loss",
    "tiers": {"loss": BOUND, "grad": BOUND},
    "returns": ("loss",),
    "out": "grad",
    "shapes": ROWS,
    "large_shape": (4099, 37),
    "bench_shapes": ((128, 10), (1024, 1024)),
    "edge_values": LOSS_EDGES,
}

SOFTMAX = {
    "family": "losses",
    "tiers": {"out": BOUND},
    "shapes": ((0, 3), (3, 0), *ROWS),
    "large_shape": (4099, 37),
    "bench_shapes": ((128, 10), (1024, 1024)),
    "edge_values": SOFTMAX_EDGES,
}

SPECS = [
    Spec(
        name="softmax",
        twin="softmax",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype, 4)},
        oracle=softmax,
        numpy=softmax_by_hand,
        row_arguments=("x",),
        edge_arguments=("x",),
        **SOFTMAX,
    ),
    Spec(
        name="log_softmax",
        twin="log_softmax",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype, 4)},
        oracle=log_softmax,
        numpy=lambda x: np.log(softmax_by_hand(x)),
        row_arguments=("x",),
        edge_arguments=("x",),
        **SOFTMAX,
    ),
    Spec(
        name="softmax_backward",
        twin="softmax_backward",
        make=make_softmax_backward(softmax_by_hand),
        oracle=softmax_backward,
        numpy=lambda dy, y: y * (dy - (dy * y).sum(axis=1, keepdims=True)),
        row_arguments=("dy", "y"),
        out_may_be=("dy",),
        edge_arguments=("dy",),
        **SOFTMAX,
    ),
    Spec(
        name="log_softmax_backward",
        twin="log_softmax_backward",
        make=make_softmax_backward(lambda x: np.log(softmax_by_hand(x))),
        oracle=log_softmax_backward,
        numpy=lambda dy, y: dy - np.exp(y) * dy.sum(axis=1, keepdims=True),
        row_arguments=("dy", "y"),
        out_may_be=("dy",),
        edge_arguments=("dy",),
        **SOFTMAX,
    ),
]


def class_loss(*, name, function, target, oracle, by_hand, **settings):
    """Return the spec of a variant of cross-entropy or of the log loss."""
    return Spec(
        name=name,
        function=function,
        make=make_loss(target, **settings),
        oracle=oracle,
        numpy=by_hand,
        edge_arguments=("logits",),
        **LOSS,
    )


CROSS_ENTROPY = {"function": "cross_entropy", "oracle": cross_entropy, "by_hand": cross_entropy_by_hand}
LOG_LOSS = {"function": "log_loss", "oracle": log_loss, "by_hand": log_loss_by_hand}
SMOOTHED_AND_WEIGHTED = {"weighted": True, "weight": column_weights, "label_smoothing": 0.1}

SPECS += [
    class_loss(name="cross_entropy", target=classes, **CROSS_ENTROPY),
    class_loss(name="cross_entropy of probabilities, weighted", target=probabilities, weighted=True, **CROSS_ENTROPY),
    class_loss(
        name="cross_entropy, smoothed and weighted by class",
        target=classes,
        **SMOOTHED_AND_WEIGHTED,
        **CROSS_ENTROPY,
    ),
    class_loss(
        name="cross_entropy of probabilities, smoothed and weighted by class",
        target=probabilities,
        **SMOOTHED_AND_WEIGHTED,
        **CROSS_ENTROPY,
    ),
    class_loss(name="log_loss", target=classes, **LOG_LOSS),
    class_loss(name="log_loss of columns, weighted", target=bits, weighted=True, **LOG_LOSS),
]


def loss(*, function, variant="", terms, target, outputs_name="prediction", edge_target=False, **settings):
    """Return the spec of a loss of columns; `edge_target` says whether its target takes edge values too."""
    return Spec(
        name=function + variant,
        function=function,
        make=make_loss(target, outputs_name=outputs_name, **settings),
        oracle=column_loss(terms),
        numpy=loss_by_hand(terms),
        edge_arguments=(outputs_name, "target") if edge_target else (outputs_name,),
        **LOSS,
    )


SPECS += [
    loss(function="binary_cross_entropy", terms=binary_terms, target=probabilities, outputs_name="logits"),
    loss(
        function="binary_cross_entropy",
        variant=" by column, weighted",
        terms=binary_terms,
        target=probabilities,
        outputs_name="logits",
        weighted=True,
        pos_weight=column_weights,
    ),
    loss(function="mean_squared_error", terms=squared_terms, target=normal, edge_target=True),
    loss(
        function="mean_squared_error",
        variant=", weighted",
        terms=squared_terms,
        target=normal,
        edge_target=True,
        weighted=True,
    ),
    loss(function="mean_absolute_error", terms=absolute_terms, target=normal, edge_target=True),
    loss(function="huber", terms=huber_terms, target=normal, edge_target=True, delta=1.5),
    loss(function="log_cosh", terms=log_cosh_terms, target=normal, edge_target=True),
    loss(function="poisson", terms=poisson_terms, target=counts),
    loss(
        function="poisson",
        variant=" of rates in full",
        terms=poisson_terms,
        target=counts,
        positive=True,
        log_input=False,
        full=True,
        eps=0.25,
    ),
    loss(function="poisson", variant=", the deviance", terms=poisson_terms, target=counts, deviance=True),
    loss(function="quantile", terms=quantile_terms, target=normal, edge_target=True, quantiles=0.25),
    loss(
        function="quantile",
        variant=" at three",
        terms=quantile_terms,
        target=normal,
        outputs=3,
        quantiles=(0.125, 0.5, 0.9),
    ),
    loss(function="hinge", terms=hinge_terms, target=signs),
    loss(function="squared_hinge", terms=squared_hinge_terms, target=signs),
    loss(function="multi_margin", terms=multi_margin_terms, target=classes, p=1, margin=0.75),
    loss(function="multi_margin", variant=" squared", terms=multi_margin_terms, target=classes, p=2, margin=0.75),
]

"""Specs of the parameter updates, and of what is done with gradients and weights around them.

All are exact: the oracles take the operations of the NumPy twin's formulas one at a time, each rounded to the dtype.
"""

import functools
import math
import operator

import numpy as np

from fastnn._updates import UPDATES

from .spec import ELEMENTWISE, ELEMENTWISE_SHAPES, EXACT, Spec, normal, rounded_to, rounder

# ---- updates ----


def make_update(row, parameters):
    """Return what makes weights, gradients and the slots of an update's row."""

    def make(rng, shape, dtype):
        w, g = normal(rng, shape, dtype), normal(rng, shape, dtype)
        arguments = {"w": w, "g": g}
        for slot in row.slots:
            value = normal(rng, shape, dtype)
            value = value * value if slot.squares else value
            # Some units are dead: they have no gradient, and their slots are about to fall below the normal numbers.
            dead = np.asarray(rng.random(shape) < 0.2)
            arguments[slot.name] = np.where(dead, np.finfo(dtype).tiny * (0.5 + rng.random(shape)), value).astype(dtype)
            g[dead] = 0
        return arguments | parameters

    return make


def flushed(value, dtype):
    """Return a slot's new value: 0 in place of denormals."""
    return np.where(np.abs(value) < np.finfo(dtype).tiny, 0, value)


def sgd(w, g, lr):
    r = rounder(w)
    w64, g64, lr = rounded_to(w.dtype, w, g, lr)
    return r(w64 - r(lr * g64)).astype(w.dtype)


def momentum(w, g, buf, lr, momentum, dampening=0.0):
    r, dtype = rounder(w), w.dtype
    w64, g64, b, lr, mu, rest = rounded_to(dtype, w, g, buf, lr, momentum, 1 - dampening)
    b = flushed(r(r(mu * b) + r(rest * g64)), dtype)
    return r(w64 - r(lr * b)).astype(dtype), b.astype(dtype)


def nesterov(w, g, buf, lr, momentum):
    r, dtype = rounder(w), w.dtype
    w64, g64, b, lr, mu = rounded_to(dtype, w, g, buf, lr, momentum)
    b = flushed(r(r(mu * b) + g64), dtype)
    return r(w64 - r(lr * r(g64 + r(mu * b)))).astype(dtype), b.astype(dtype)


def velocity(w, g, buf, lr, momentum):
    r, dtype = rounder(w), w.dtype
    w64, g64, b, lr, mu = rounded_to(dtype, w, g, buf, lr, momentum)
    b = flushed(r(r(mu * b) - r(lr * g64)), dtype)
    return r(w64 + b).astype(dtype), b.astype(dtype)


def nesterov_velocity(w, g, buf, lr, momentum):
    r, dtype = rounder(w), w.dtype
    w64, g64, b, lr, mu = rounded_to(dtype, w, g, buf, lr, momentum)
    b = flushed(r(r(mu * b) - r(lr * g64)), dtype)
    return r(w64 + r(r(mu * b) - r(lr * g64))).astype(dtype), b.astype(dtype)


def rmsprop(w, g, lr, alpha, eps, momentum=None, centered=False, **slots):
    r, dtype = rounder(w), w.dtype
    w64, g64, v, lr, a, rest, eps = rounded_to(dtype, w, g, slots["v"], lr, alpha, 1 - alpha, eps)
    v = flushed(r(r(a * v) + r(rest * r(g64 * g64))), dtype)
    new_slots, square = [v], v
    if centered:
        (mean,) = rounded_to(dtype, slots["mean"])
        mean = flushed(r(mean + r(rest * r(g64 - mean))), dtype)
        square = np.maximum(r(v - r(mean * mean)), 0)
        new_slots.append(mean)
    root = r(r(np.sqrt(square)) + eps)
    if momentum is None:
        w64 = r(w64 - r(r(lr * g64) / root))
    else:
        b, mu = rounded_to(dtype, slots["buf"], momentum)
        b = flushed(r(r(mu * b) + r(g64 / root)), dtype)
        w64 = r(w64 - r(lr * b))
        new_slots.append(b)
    return w64.astype(dtype), *(slot.astype(dtype) for slot in new_slots)


def adagrad(w, g, v, lr, eps):
    r, dtype = rounder(w), w.dtype
    w64, g64, v, lr, eps = rounded_to(dtype, w, g, v, lr, eps)
    v = flushed(r(v + r(g64 * g64)), dtype)
    return r(w64 - r(r(lr * g64) / r(r(np.sqrt(v)) + eps))).astype(dtype), v.astype(dtype)


def adadelta(w, g, v, u, lr, rho, eps):
    r, dtype = rounder(w), w.dtype
    w64, g64, v, u, lr, rest, rho, eps = rounded_to(dtype, w, g, v, u, lr, 1 - rho, rho, eps)
    v = flushed(r(r(rho * v) + r(rest * r(g64 * g64))), dtype)
    d = r(r(r(np.sqrt(r(u + eps))) / r(np.sqrt(r(v + eps)))) * g64)
    u = flushed(r(r(rho * u) + r(rest * r(d * d))), dtype)
    return r(w64 - r(lr * d)).astype(dtype), v.astype(dtype), u.astype(dtype)


def adam(w, g, m, v, step, lr, beta1, beta2, eps):
    r, dtype = rounder(w), w.dtype
    root = math.sqrt(1 - beta2**step)
    w64, g64, m, v = rounded_to(dtype, w, g, m, v)
    size = lr * root / (1 - beta1**step)
    size, rest1, beta2, rest2, eps = rounded_to(dtype, size, 1 - beta1, beta2, 1 - beta2, eps * root)
    m = flushed(r(m + r(rest1 * r(g64 - m))), dtype)
    v = flushed(r(r(beta2 * v) + r(rest2 * r(g64 * g64))), dtype)
    return r(w64 - r(r(size * m) / r(r(np.sqrt(v)) + eps))).astype(dtype), m.astype(dtype), v.astype(dtype)


def amsgrad(w, g, m, v, top, step, lr, beta1, beta2, eps):
    r, dtype = rounder(w), w.dtype
    root = math.sqrt(1 - beta2**step)
    w64, g64, m, v, top = rounded_to(dtype, w, g, m, v, top)
    size = lr * root / (1 - beta1**step)
    size, rest1, beta2, rest2, eps = rounded_to(dtype, size, 1 - beta1, beta2, 1 - beta2, eps * root)
    m = flushed(r(m + r(rest1 * r(g64 - m))), dtype)
    v = flushed(r(r(beta2 * v) + r(rest2 * r(g64 * g64))), dtype)
    top = np.maximum(top, v)
    return r(w64 - r(r(size * m) / r(r(np.sqrt(top)) + eps))).astype(dtype), *(s.astype(dtype) for s in (m, v, top))


def nadam(w, g, m, v, step, lr, beta1, beta2, eps, momentum_decay):
    r, dtype = rounder(w), w.dtype
    root = math.sqrt(1 - beta2**step)
    mu = [beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(1, step + 2)]
    gradient_rate = lr * root * (1 - mu[-2]) / (1 - math.prod(mu[:-1]))
    mean_rate = lr * root * mu[-1] / (1 - math.prod(mu))
    w64, g64, m, v, gradient_rate, mean_rate = rounded_to(dtype, w, g, m, v, gradient_rate, mean_rate)
    rest1, beta2, rest2, eps = rounded_to(dtype, 1 - beta1, beta2, 1 - beta2, eps * root)
    m = flushed(r(m + r(rest1 * r(g64 - m))), dtype)
    v = flushed(r(r(beta2 * v) + r(rest2 * r(g64 * g64))), dtype)
    move = r(r(r(gradient_rate * g64) + r(mean_rate * m)) / r(r(np.sqrt(v)) + eps))
    return r(w64 - move).astype(dtype), m.astype(dtype), v.astype(dtype)


# ---- updates in plain NumPy ----


def sgd_by_hand(w, g, lr):
    w -= lr * g


def momentum_by_hand(w, g, buf, lr, momentum):
    buf *= momentum
    buf += g
    w -= lr * buf


def damped_by_hand(w, g, buf, lr, momentum, dampening):
    buf *= momentum
    buf += (1 - dampening) * g
    w -= lr * buf


def nesterov_by_hand(w, g, buf, lr, momentum):
    buf *= momentum
    buf += g
    w -= lr * (g + momentum * buf)


def velocity_by_hand(w, g, buf, lr, momentum):
    buf *= momentum
    buf -= lr * g
    w += buf


def nesterov_velocity_by_hand(w, g, buf, lr, momentum):
    buf *= momentum
    buf -= lr * g
    w += momentum * buf - lr * g


def rmsprop_by_hand(w, g, v, lr, alpha, eps):
    v *= alpha
    v += (1 - alpha) * g * g
    w -= lr * g / (np.sqrt(v) + eps)


def rmsprop_variants_by_hand(w, g, v, lr, alpha, eps, mean=None, buf=None, momentum=0.0):
    v *= alpha
    v += (1 - alpha) * g * g
    square = v
    if mean is not None:
        mean *= alpha
        mean += (1 - alpha) * g
        square = np.maximum(v - mean * mean, 0)  # rounding may make it negative
    if buf is None:
        w -= lr * g / (np.sqrt(square) + eps)
    else:
        buf *= momentum
        buf += g / (np.sqrt(square) + eps)
        w -= lr * buf


def adagrad_by_hand(w, g, v, lr, eps):
    v += g * g
    w -= lr * g / (np.sqrt(v) + eps)


def adadelta_by_hand(w, g, v, u, lr, rho, eps):
    v *= rho
    v += (1 - rho) * g * g
    d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    u *= rho
    u += (1 - rho) * d * d
    w -= lr * d


def adam_by_hand(w, g, m, v, step, lr, beta1, beta2, eps):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    w -= lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)


def amsgrad_by_hand(w, g, m, v, top, step, lr, beta1, beta2, eps):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    np.maximum(top, v, out=top)
    w -= lr * (m / (1 - beta1**step)) / (np.sqrt(top / (1 - beta2**step)) + eps)


def nadam_by_hand(w, g, m, v, step, lr, beta1, beta2, eps, momentum_decay):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    mu = beta1 * (1 - 0.5 * 0.96 ** (np.arange(1, step + 2) * momentum_decay))
    rate, mean_rate = (1 - mu[-2]) / (1 - mu[:-1].prod()), mu[-1] / (1 - mu.prod())
    w -= lr * (rate * g + mean_rate * m) / (np.sqrt(v / (1 - beta2**step)) + eps)


# ---- the specs of updates ----


def update(kind, oracle, by_hand, parameters, name=""):
    """Return the spec of an update, which changes the weights and its slots in place."""
    row = UPDATES[kind]
    changed = ("w", *(slot.name for slot in row.slots))
    return Spec(
        name=name or kind,
        function=kind,
        family="optimizers",
        twin="update",
        make=make_update(row, parameters),
        oracle=oracle,
        tiers=dict.fromkeys(changed, EXACT),
        numpy=by_hand,
        returns=("w",),
        out=None,
        in_place=changed,
        edge_arguments=("w", "g"),
        bench_shapes=((4096,), (1 << 20,)),
        **ELEMENTWISE_SHAPES,
    )


MOMENTUM = {"lr": 0.05, "momentum": 0.9}
RMSPROP = {"lr": 0.01, "alpha": 0.99, "eps": 1e-8}
ADAM = {"step": 3, "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}

centered = functools.partial(rmsprop, centered=True)

SPECS = [
    update("sgd", sgd, sgd_by_hand, {"lr": 0.05}),
    update("momentum", momentum, momentum_by_hand, MOMENTUM),
    update("momentum", momentum, damped_by_hand, {**MOMENTUM, "dampening": 0.3}, name="damped momentum"),
    update("nesterov", nesterov, nesterov_by_hand, MOMENTUM),
    update("velocity", velocity, velocity_by_hand, MOMENTUM),
    update("nesterov_velocity", nesterov_velocity, nesterov_velocity_by_hand, MOMENTUM),
    update("rmsprop", rmsprop, rmsprop_by_hand, RMSPROP),
    update("adagrad", adagrad, adagrad_by_hand, {"lr": 0.05, "eps": 1e-10}),
    update("adadelta", adadelta, adadelta_by_hand, {"lr": 0.7, "rho": 0.9, "eps": 1e-6}),
    update("rmsprop_momentum", rmsprop, rmsprop_variants_by_hand, {**RMSPROP, "momentum": 0.9}),
    update("rmsprop_centered", centered, rmsprop_variants_by_hand, RMSPROP),
    update("rmsprop_centered_momentum", centered, rmsprop_variants_by_hand, {**RMSPROP, "momentum": 0.9}),
    update("adam", adam, adam_by_hand, ADAM),
    update("amsgrad", amsgrad, amsgrad_by_hand, ADAM),
    update("nadam", nadam, nadam_by_hand, {**ADAM, "momentum_decay": 4e-3}),
]

# ---- penalties, clipping and norms ----


def regularize(w, g, l1, l2):
    r = rounder(w)
    w64, g64, l1, l2 = rounded_to(w.dtype, w, g, l1, l2)
    return r(g64 + r(r(l2 * w64) + r(l1 * np.sign(w64)))).astype(w.dtype)


def lerp(a, b, weight):
    r = rounder(a)
    a64, b64, weight = rounded_to(a.dtype, a, b, weight)
    if abs(weight) < 0.5:
        return r(a64 + r(weight * r(b64 - a64))).astype(a.dtype)
    return r(b64 - r(r(b64 - a64) * r(1 - weight))).astype(a.dtype)


def lerp_spec(weight, name):
    """Return the spec of one of the two forms."""
    return Spec(
        name=name,
        function="lerp",
        family="optimizers",
        twin="lerp",
        make=lambda rng, shape, dtype: {
            "a": normal(rng, shape, dtype),
            "b": normal(rng, shape, dtype),
            "weight": weight,
        },
        oracle=lerp,
        tiers={"out": EXACT},
        numpy=lambda a, b, weight: a + weight * (b - a),
        edge_arguments=("a", "b"),
        **ELEMENTWISE,
    )


def limit_norms(w, limit):
    """Norms of columns in float64, added row by row; the factor rounded to the dtype."""
    square = np.zeros(w.shape[1])
    for row in w.astype(np.float64):
        square = square + row * row
    norm = np.sqrt(square)
    return w * np.where(norm > limit, limit / norm, 1).astype(w.dtype)


def limit_norms_by_hand(w, limit):
    norm = np.linalg.norm(w, axis=0)
    w *= np.minimum(1, limit / norm)


def sums(x):
    """Return the sums of magnitudes and of squares, in the kernel's order, which makes them exact.

    Of each 512 entries, i, i + 8, i + 16, ... are added in turn; the eight sums are added by halves, and the results
    of the 512s one after the other.
    """
    totals = [np.float64(0), np.float64(0)]
    for start in range(0, x.size, 512):
        chunk = np.zeros(512)
        entries = x.reshape(-1)[start : start + 512]
        chunk[: entries.size] = entries
        for which, terms in enumerate((np.abs(chunk), chunk * chunk)):
            e = [functools.reduce(operator.add, terms[i::8], np.float64(0)) for i in range(8)]
            totals[which] += ((e[0] + e[4]) + (e[2] + e[6])) + ((e[1] + e[5]) + (e[3] + e[7]))
    return tuple(totals)


SPECS += [
    Spec(
        name="regularize",
        family="optimizers",
        twin="regularize",
        make=lambda rng, shape, dtype: {
            "w": normal(rng, shape, dtype),
            "g": normal(rng, shape, dtype),
            "l1": 0.01,
            "l2": 0.3,
        },
        oracle=regularize,
        tiers={"out": EXACT},
        numpy=lambda w, g, l1, l2: g + l2 * w + l1 * np.sign(w),
        edge_arguments=("w", "g"),
        **ELEMENTWISE,
    ),
    Spec(
        name="clip",
        family="optimizers",
        twin="clip",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype), "limit": 0.7},
        oracle=lambda x, limit: np.clip(x, -x.dtype.type(limit), x.dtype.type(limit)),
        tiers={"out": EXACT},
        numpy=lambda x, limit: np.clip(x, -limit, limit),
        edge_arguments=("x",),
        **ELEMENTWISE,
    ),
    Spec(
        name="scale",
        family="optimizers",
        twin="scale",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype), "factor": 0.7},
        oracle=lambda x, factor: rounder(x)(float(x.dtype.type(factor)) * x.astype(np.float64)).astype(x.dtype),
        tiers={"out": EXACT},
        numpy=lambda x, factor: factor * x,
        edge_arguments=("x",),
        **ELEMENTWISE,
    ),
    lerp_spec(0.001, "lerp"),
    lerp_spec(0.7, "lerp by more than a half"),
    Spec(
        name="limit_norms",
        family="optimizers",
        twin="limit_norms",
        make=lambda rng, shape, dtype: {"w": normal(rng, shape, dtype), "limit": math.sqrt(shape[0])},
        oracle=limit_norms,
        tiers={"w": EXACT},
        numpy=limit_norms_by_hand,
        returns=("w",),
        out=None,
        in_place=("w",),
        edge_arguments=("w",),
        shapes=((1, 0), (1, 1), (3, 1), (2, 8), (7, 9), (33, 63), (100, 64), (61, 65), (5, 130)),
        large_shape=(700, 1100),
        bench_shapes=((784, 256),),
    ),
    Spec(
        name="sums",
        family="optimizers",
        twin="sums",
        make=lambda rng, shape, dtype: {"x": normal(rng, shape, dtype)},
        oracle=sums,
        tiers={"magnitude": EXACT, "square": EXACT},
        numpy=lambda x: (np.abs(x).sum(), (x * x).sum()),
        returns=("magnitude", "square"),
        out=None,
        edge_arguments=("x",),
        bench_shapes=ELEMENTWISE["bench_shapes"],
        **ELEMENTWISE_SHAPES,
    ),
]

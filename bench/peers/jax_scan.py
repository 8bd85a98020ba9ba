"""JAX: all steps of a call in one compiled `lax.scan`."""

import functools

import numpy as np

from bench.peers.shared import BETAS, EPS, LR, first_batches
from fastnn import nn


def adam(weights, g, m, v, t):
    """Return weights, moments and the number of the step after Adam's step `t`."""
    import jax
    import jax.numpy as jnp

    (b1, b2), tree = BETAS, jax.tree.map
    m = tree(lambda m, g: b1 * m + (1 - b1) * g, m, g)
    v = tree(lambda v, g: b2 * v + (1 - b2) * g * g, v, g)
    size, root = LR / (1 - b1**t), jnp.sqrt(1 - b2**t)
    return tree(lambda w, m, v: w - size * m / (jnp.sqrt(v) / root + EPS), weights, m, v), m, v, t


def scanned(config, step, carry, X, y, order, steps):
    """Return a function that takes the next steps: `step(carry, rows, X, y)` returns the carry and the loss.

    `X` is an array, or several.
    """
    import jax
    import jax.numpy as jnp

    @functools.partial(jax.jit, donate_argnums=0)
    def scan(carry, batches, X, y):
        return jax.lax.scan(lambda carry, rows: step(carry, rows, X, y), carry, batches)

    X, y = jax.tree.map(jnp.array, (X, y))
    order = order[: len(order) // config.batch * config.batch].reshape(-1, config.batch).astype(np.int32)
    first = first_batches(config, order.ravel(), steps)

    def run():
        nonlocal carry
        start = next(first)
        carry, losses = scan(carry, order[start : start + steps], X, y)
        return np.asarray(losses)[-1]  # waits for the losses; indexing in JAX would start another computation

    return run


def make_steps(config, net, X, y, order, steps):
    """Return the steps, a `lax.scan` over their batches."""
    import jax
    import jax.numpy as jnp

    def parameters(layer):
        return {k: jnp.array(getattr(layer, k)) for k in ("weight", "bias") if getattr(layer, k) is not None}

    def parameters_of_dense(layers):
        return [parameters(layer) for layer in layers if isinstance(layer, nn.Dense)]

    dense = parameters_of_dense(net.layers)
    blocks = [parameters_of_dense(layer.layers) for layer in net.layers if isinstance(layer, nn.Residual)]
    norms = [layer for layer in net.layers if isinstance(layer, nn.BatchNorm)]
    weights = {"dense": dense, "blocks": blocks, "norm": [parameters(layer) for layer in norms]}
    running = [(jnp.array(layer.running_mean), jnp.array(layer.running_var)) for layer in norms]
    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[config.activation]

    def affine(layer, x):
        x = x @ layer["weight"]
        return x + layer["bias"] if "bias" in layer else x

    def forward(weights, running, x, key):
        kept = []
        for i, layer in enumerate(weights["dense"][:-1]):
            x = affine(layer, x)
            if config.blocks:  # the only hidden layer has them all
                for first, second in weights["blocks"]:
                    x = x + affine(second, activation(affine(first, x)))
                continue
            if config.norm:
                mean, var = x.mean(0), x.var(0)
                x = (x - mean) * jax.lax.rsqrt(var + norms[i].eps) * weights["norm"][i]["weight"]
                x, mu, n = x + weights["norm"][i]["bias"], norms[i].momentum, config.batch
                old_mean, old_var = running[i]
                kept.append(((1 - mu) * old_mean + mu * mean, (1 - mu) * old_var + mu * var * n / (n - 1)))
            x = activation(x)
            if config.p:
                key, own_key = jax.random.split(key)
                x = jnp.where(jax.random.bernoulli(own_key, 1 - config.p, x.shape), x / (1 - config.p), 0)
        return affine(weights["dense"][-1], x), kept

    def loss_of(weights, running, x, target, key):
        z, kept = forward(weights, running, x, key)
        return -jnp.take_along_axis(jax.nn.log_softmax(z), target[:, None], axis=1).mean(), kept

    def step(carry, rows, X, y):
        weights, running, m, v, t, key = carry
        key, own_key = jax.random.split(key) if config.p else (key, key)
        (loss, running), g = jax.value_and_grad(loss_of, has_aux=True)(weights, running, X[rows], y[rows], own_key)
        weights, m, v, t = adam(weights, g, m, v, t + 1)
        return (weights, running, m, v, t, key), loss

    zeros = functools.partial(jax.tree.map, jnp.zeros_like)
    carry = (weights, running, zeros(weights), zeros(weights), jnp.float32(0), jax.random.key(0))
    return scanned(config, step, carry, X, jnp.array(y, jnp.int32), order, steps)

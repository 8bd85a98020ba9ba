"""JAX's steps of the click-through net, all steps of a call in one compiled `lax.scan`: in two forms.

`bench.lib.peer_cases` measures the faster one. JAX has no sparse updates.
"""

import functools

import numpy as np

from bench.peers import jax_scan
from bench.peers.shared import Missing


def make_steps(config, net, X, y, order, steps, joined):
    """Return the steps, with all tables as one if `joined`, whose rows the ids then are."""
    import jax
    import jax.numpy as jnp

    if config.sparse:
        raise Missing("it has no sparse updates")
    numbers, ids = config.split(X)
    ids = ids.astype(np.int32)
    tables, dense = config.weights(net)
    if joined:
        ids += np.arange(config.columns, dtype=np.int32) * config.categories
        tables = [np.concatenate(tables)]
    weights = jax.tree.map(jnp.array, {"tables": tables, "dense": dense})

    def rows_of(table, ids):
        return table.at[ids].get(mode="promise_in_bounds")  # ids are not checked, which is faster

    def loss_of(weights, numbers, ids, y):
        if joined:
            vectors = [rows_of(weights["tables"][0], ids).reshape(len(ids), -1)]
        else:
            vectors = [rows_of(table, ids[:, i]) for i, table in enumerate(weights["tables"])]
        x = jnp.concatenate([numbers, *vectors], axis=1)
        for i, (w, b) in enumerate(weights["dense"]):
            x = (jax.nn.relu(x) if i else x) @ w + b
        return (jax.nn.softplus(x) - y * x).mean()

    def step(carry, rows, X, y):
        weights, m, v, t = carry
        loss, g = jax.value_and_grad(loss_of)(weights, *(array[rows] for array in X), y[rows])
        return jax_scan.adam(weights, g, m, v, t + 1), loss

    zeros = functools.partial(jax.tree.map, jnp.zeros_like)
    carry = (weights, zeros(weights), zeros(weights), jnp.float32(0))
    return jax_scan.scanned(config, step, carry, (numbers, ids), y, order, steps)


# What follows "JAX with" in the name of a form -> its steps.
FORMS = {
    "a table per column": functools.partial(make_steps, joined=False),
    "one table": functools.partial(make_steps, joined=True),
}

"""Nets with branches that several tests share: one of each container, and random nestings."""

import numpy as np

from fastnn import nn

WIDTH = 6  # of the input
OUTPUTS = 3
BINS = [[-1, 0, 1], [-0.7, 0.4], [-2, -0.3, 0.1, 0.2, 2], [0, 1, 2, 3], [-1, 1], [-3, -2.5, 2.5, 3]]


def gated(features, width, gate):
    """Return a gated linear unit."""
    return nn.Parallel(nn.Sequential(nn.Dense(features, width), gate), nn.Dense(features, width), join="multiply")


# Name -> the layers of a net with WIDTH inputs and OUTPUTS outputs.
NETS = {
    "sequential": lambda: [nn.Sequential(nn.Dense(6, 5), "tanh"), nn.Sequential(nn.Sequential("selu"), nn.Dense(5, 3))],
    "concat": lambda: [nn.Parallel(nn.Dense(6, 4), nn.Sequential(nn.Dense(6, 2), "silu")), nn.Dense(6, 3)],
    "concat of the input": lambda: [nn.Parallel("identity", "tanh", nn.Dense(6, 1)), nn.Dense(13, 3)],
    "add": lambda: [nn.Parallel(nn.Dense(6, 3), nn.Sequential(nn.Dense(6, 4), "gelu", nn.Dense(4, 3)), join="add")],
    "multiply": lambda: [gated(6, 5, "sigmoid"), nn.Dense(5, 3)],
    "multiply three": lambda: [
        nn.Dense(6, 4), nn.Parallel("tanh", "identity", nn.Dense(4, 4), join="multiply"), nn.Dense(4, 3),
    ],
    "mean": lambda: [nn.Dense(6, 4), nn.Parallel("tanh", nn.Dense(4, 4), "identity", join="mean"), nn.Dense(4, 3)],
    "residual": lambda: [nn.Dense(6, 5), nn.Residual("tanh", nn.Dense(5, 4), "silu", nn.Dense(4, 5)), nn.Dense(5, 3)],
    "residual of the input": lambda: [nn.Residual(nn.Dense(6, 6), "tanh"), nn.Residual("identity"), nn.Dense(6, 3)],
    "columns": lambda: [
        nn.Parallel(nn.Columns([5, 0, 2], nn.Dense(3, 4), "tanh"), nn.Columns(range(1, 5)), nn.Dense(6, 2)),
        nn.Columns(slice(1, 9, 2), nn.Sequential("silu", nn.Dense(4, 3))),
    ],
    "batch norm": lambda: [
        nn.Dense(6, 4, bias=False), nn.BatchNorm(4), nn.Residual(nn.Dense(4, 4, bias=False), nn.BatchNorm(4), "tanh"),
        nn.Parallel(nn.BatchNorm(4), nn.PReLU(4), join="add"), nn.Dense(4, 3),
    ],
    "layer norm": lambda: [
        nn.Dense(6, 5), nn.Residual(nn.LayerNorm(5), nn.Dense(5, 5), "tanh", nn.Dense(5, 5)),
        nn.LayerNorm(5, bias=False),
        nn.Parallel(nn.LayerNorm(5), nn.Sequential(nn.RMSNorm(5), "gelu"), join="multiply"), nn.Dense(5, 3),
    ],
    "dropout": lambda: [
        nn.Residual(nn.Dense(6, 6), "tanh", nn.Dropout(0.3)), nn.Parallel(nn.Dropout(0.2), "silu"), nn.Dense(12, 3),
    ],
    "embeddings of numbers": lambda: [
        nn.ScaleColumns(6),
        nn.Parallel(
            nn.PiecewiseLinear(BINS, dim=2, activation="softplus"), nn.PiecewiseLinear(BINS),
            nn.Columns([3, 0], nn.Periodic(2, 3, dim=3, scale=0.2)), nn.Columns([1], nn.Periodic(1, 20, scale=0.2)),
        ),
        nn.Dense(72, 3),
    ],
    "embeddings of outputs": lambda: [
        nn.Dense(6, 3), nn.Tanh(),
        nn.Parallel(
            nn.Periodic(3, 2, scale=0.2), "identity", nn.PiecewiseLinear(BINS[:3], dim=2),
            nn.Periodic(3, 4, dim=2, scale=0.2, activation="tanh"), nn.ScaleColumns(3), nn.PiecewiseLinear(BINS[:3]),
        ),
        nn.Dense(37, 3),
    ],
    "heads": lambda: [nn.Dense(6, 5), "tanh", nn.Parallel(nn.Dense(5, 2), nn.Dense(5, 1))],
    "nested": lambda: [
        nn.Parallel(
            nn.Residual(nn.Parallel(nn.Dense(6, 6), nn.Residual("tanh"), join="multiply"), nn.Dense(6, 6)),
            nn.Columns([0, 1], nn.Parallel(nn.Sequential("tanh", nn.Dense(2, 3)), "softplus")),
        ),
        nn.Dense(11, 3),
    ],
}  # fmt: skip


def net_of(name, dtype="float64", seed=0):
    return nn.Sequential(*NETS[name](), dtype=dtype, seed=seed)


# ---- random nestings ----

SMOOTH = ("tanh", "silu", "sigmoid", "gelu", "softplus", "identity")


def random_layer(rng, width, depth):
    """Return a layer for inputs of this width, and the width of its output; containers go at most `depth` deep."""
    kinds = ["dense", "activation", *["norm"] * (width > 2)]
    kinds += ["sequential", "residual", "concat", "join", "columns"] * (depth > 0)
    kind = str(rng.choice(kinds))
    if kind == "dense":
        out = int(rng.integers(1, 7))
        return nn.Dense(width, out), out
    if kind == "activation":
        return nn.activation(str(rng.choice(SMOOTH))), width
    if kind == "norm":  # of narrow rows it is almost a step
        return nn.LayerNorm(width, eps=0.1) if rng.integers(2) else nn.RMSNorm(width, eps=0.1), width
    if kind == "sequential":
        layers, out = random_layers(rng, width, depth - 1)
        return nn.Sequential(*layers), out
    if kind == "residual":
        layers, out = random_layers(rng, width, depth - 1)
        return nn.Residual(*layers, *([] if out == width else [nn.Dense(out, width)])), width
    if kind == "columns":
        columns = rng.permutation(width)[: rng.integers(1, width + 1)]
        layers, out = random_layers(rng, len(columns), depth - 1)
        return nn.Columns(columns, *layers), out
    branches = [random_layers(rng, width, depth - 1) for _ in range(rng.integers(1, 4))]
    if kind == "concat":
        return nn.Parallel(*(nn.Sequential(*layers) for layers, _ in branches)), sum(out for _, out in branches)
    made = [nn.Sequential(*layers, nn.Dense(out, 4)) for layers, out in branches]
    return nn.Parallel(*made, join=str(rng.choice(["add", "multiply", "mean"]))), 4


def random_layers(rng, width, depth):
    """Return layers in a row for inputs of this width, and the width of their output."""
    layers = []
    for _ in range(rng.integers(1, 4)):
        layer, width = random_layer(rng, width, depth)
        layers.append(layer)
    return layers, width


def random_net(seed, dtype="float64"):
    """Return a net of random containers, three deep."""
    rng = np.random.default_rng(seed)
    layers, out = random_layers(rng, 5, 3)
    return nn.Sequential(nn.Dense(WIDTH, 5), *layers, nn.Dense(out, OUTPUTS), dtype=dtype, seed=seed)

"""Nets with branches, whose ops of joining and splitting are measured."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.lib.nets import NETS
from fastnn import nn


@dataclass(frozen=True)
class Branched:
    """A net of any layers, trained with squared error: what `engine_steps` needs of a `Net`."""

    name: str
    layers: Callable
    batch: int = 128

    @property
    def title(self):
        return self.name

    def native(self, dtype):
        return nn.Sequential(*self.layers(), dtype=dtype, seed=0)

    def program(self, net, optimizer="adam"):
        return net.training_program(loss="mean_squared_error", target="rows", optimizer=optimizer)

    def data(self, dtype, rows):
        net, rng = self.native(dtype), np.random.default_rng(0)
        X, y = (rng.standard_normal((rows, width), np.float32) for width in (net.in_features, net.out_features))
        return X.astype(dtype), y.astype(dtype), rng.permutation(rows)


def two_heads():
    hidden = [nn.Dense(64, 256), nn.ReLU(), nn.Dense(256, 256), nn.ReLU()]
    return [*hidden, nn.Parallel(nn.Dense(256, 4), nn.Dense(256, 1))]


def wide_and_deep():
    deep = [nn.Dense(24, 256), nn.ReLU(), nn.Dense(256, 128), nn.ReLU(), nn.Dense(128, 1)]
    wide = nn.Columns(range(40), nn.Dense(40, 1), in_features=64)
    return [nn.Parallel(wide, nn.Columns(range(40, 64), *deep), join="add")]


def concat():
    halves = nn.Parallel(nn.Dense(256, 128), nn.Dense(256, 128))
    return [nn.Dense(256, 256), nn.ReLU(), halves, nn.ReLU(), nn.Dense(256, 256), nn.ReLU(), nn.Dense(256, 10)]


def swiglu():
    def gated():
        return nn.Parallel(nn.Sequential(nn.Dense(256, 512), nn.SiLU()), nn.Dense(256, 512), join="multiply")

    return [nn.Dense(64, 256), gated(), nn.Dense(512, 256), gated(), nn.Dense(512, 10)]


BRANCHED = [
    Branched("two heads 64-256-256-(4 + 1)", two_heads),
    Branched("wide and deep (40-1) + (24-256-128-1)", wide_and_deep),
    Branched("concat 256-256-(128, 128)-256-10", concat),
    Branched("SwiGLU 64-256-(512 x 512)-256-(512 x 512)-10", swiglu),
    *(net for net in NETS if net.blocks),
]

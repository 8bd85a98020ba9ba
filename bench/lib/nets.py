"""The nets that are measured, their data, and functions that take fastnn's training steps."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnn import engine, nn, optim

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Net:
    """A net and its data: `rows` examples in batches of `batch`.

    It is trained with Adam and cross-entropy, or with squared error if it has one output.
    """

    name: str
    sizes: tuple[int, ...]
    activation: str
    batch: int
    rows: int
    steps: int  # in one call, so that a call takes some milliseconds
    norm: bool = False
    p: float = 0.0
    blocks: int = 0  # residual blocks of two dense layers, after each hidden layer in place of its activation

    checked_batches: ClassVar[int] = 1  # on which losses are compared, again and again

    @property
    def title(self):
        first, *hidden, last = map(str, self.sizes)
        hidden = [f"({width}-{width})x{self.blocks}" if self.blocks else width for width in hidden]
        parts = [
            self.name,
            "-".join([first, *hidden, last]),
            "batch norm" * self.norm,
            self.activation,
            "dropout" * bool(self.p),
        ]
        return " ".join(filter(None, parts))

    @property
    def loss(self):
        return "cross_entropy" if self.sizes[-1] > 1 else "mean_squared_error"

    def native(self, dtype, init=None):
        """Return the net in fastnn."""
        activation = {"tanh": nn.Tanh, "relu": nn.ReLU}[self.activation]
        layers = []
        for i, (n_in, n_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False), 1):
            last = i == len(self.sizes) - 1
            layers.append(nn.Dense(n_in, n_out, bias=last or not self.norm, init=init))
            if self.blocks and not last:
                ends = [[nn.Dense(n_out, n_out, init=init) for _ in range(2)] for _ in range(self.blocks)]
                layers += [nn.Residual(one, activation(), other) for one, other in ends]
            elif not last:
                layers += [nn.BatchNorm(n_out)] if self.norm else []
                layers += [activation()]
                layers += [nn.Dropout(self.p)] if self.p else []
        return nn.Sequential(*layers, dtype=dtype, seed=0)

    def program(self, net, optimizer="adam"):
        """Return the training program of a net that `native` has made."""
        target = "labels" if self.sizes[-1] > 1 else "rows"
        return net.training_program(loss=self.loss, target=target, optimizer=optimizer)

    def data(self, dtype, rows=None):
        """Return random examples, their targets and a shuffled order of the rows."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((rows or self.rows, self.sizes[0]), np.float32).astype(dtype)
        y = rng.integers(0, self.sizes[-1], len(X)) if self.sizes[-1] > 1 else X.mean(axis=1, keepdims=True)
        return X, y, rng.permutation(len(X))


NETS = [
    Net("tiny", (4, 64, 64, 2), "tanh", batch=64, rows=10_000, steps=156),
    Net("mnist", (784, 256, 128, 10), "relu", batch=128, rows=60_000, steps=4),
    Net("tab", (54, 256, 256, 7), "relu", batch=1024, rows=100_000, steps=2, norm=True, p=0.1),
    Net("residual", (64, 256, 10), "relu", batch=128, rows=10_000, steps=1, blocks=6),
]
WIDE = Net("wide", (1024, 2048, 2048, 10), "relu", batch=512, rows=8192, steps=1)  # the reference would take seconds
GRID = [*NETS, WIDE]
PLAIN = [net for net in NETS if not (net.norm or net.blocks)]
CALLED = [Net("control", (20, 32, 1), "relu", batch=64, rows=10_000, steps=156), *PLAIN]  # for single predictions


# The steps ahead in every call, as in a long epoch. The executor then reorders weights once, before the first call, and
# does not bring them back in order after each.
AHEAD = 1000


def engine_steps(config, net, X, y, order, backend, steps, lr=1e-3, program=None, ahead=AHEAD):
    """Return a function that takes the next steps as `Trainer.fit` takes them, and returns their result.

    With a `program` it runs the steps of that program, not those of the net's own. Between calls the executor may keep
    the weights in another order: read the net's weights after a call only with `ahead` 0.
    """
    optimizer = optim.Adam(lr=lr)
    program = program or config.program(net, optimizer.kind)
    slots = tuple(engine.aligned_zeros(net.params.layout.size, net.dtype) for _ in range(optimizer.n_slots))
    executor = engine.make_executor(
        program, net.dtype, config.batch, net.params, net.state, net.grads, slots, net.seed, backend
    )
    feed = engine.Feed(X, order, config.batch, y, scaling=net.input_scaling)
    taken, sparse = 0, bool(net.sparse_parameters())

    def run():
        nonlocal taken
        first = taken % (len(order) // config.batch - steps + 1)
        scalars = optimizer.table(np.arange(taken + 1, taken + steps + 1), np.full(steps, optimizer.lr), sparse)
        result = executor.run_steps(feed, first, first + steps, scalars, taken, math.inf, 1, ahead=ahead)
        taken += steps
        return result

    return run


def native_steps(config, net, X, y, order, steps):
    """Return fastnn's steps in the form of a peer: the function returns the last step's loss."""
    run = engine_steps(config, net, X, y, order, "native", steps)
    return lambda: run().last_loss

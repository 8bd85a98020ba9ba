"""The cases of `make instructions`: training steps, predictions and a hand-written loop, all in float32."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple


def fit(name, batches, epochs):
    """Train a net for so many epochs of `batches` batches each."""
    import fastnn
    from fastnn.training import _steps

    # An epoch runs in slices of a limited time. Under valgrind everything takes longer, so an epoch would have more
    # slices, and the work between them would count more often.
    assert _steps.SLICE_SECONDS > 0
    _steps.SLICE_SECONDS = math.inf
    net = _net(name)
    X, y, _ = net.data("float32", batches * net.batch)
    fastnn.Trainer(net.native("float32"), loss=net.loss).fit(X, y, epochs=epochs, batch_size=net.batch, verbose=0)


def predict(count):
    """Predict one row with the `tiny` net so many times."""
    import numpy as np

    config = _net("tiny")
    net, x, out = config.native("float32"), config.data("float32", 1)[0], np.empty((1, config.sizes[-1]), np.float32)
    for _ in range(count):
        net.predict(x, out=out)


def loop(count):
    """Take so many steps of the `tiny` net in a hand-written loop."""
    import numpy as np

    import fastnn
    from fastnn import kernels

    config = _net("tiny")
    net, (X, y, _) = config.native("float32"), config.data("float32", config.batch)
    trainer, dz = fastnn.Trainer(net), np.empty((len(X), config.sizes[-1]), np.float32)
    for _ in range(count):
        kernels.cross_entropy(net.forward(X, training=True), y, grad=dz)
        net.backward(dz)
        trainer.step()


def _net(name):
    from bench.lib.click import SMALL
    from bench.lib.nets import NETS

    return next(net for net in [*NETS, *SMALL] if net.name == name)


class Case(NamedTuple):
    """What is counted: the instructions of `run(more)` less those of `run(few)`, divided by `units`."""

    unit: str  # what the result is the count of
    run: Callable[[int], None]
    few: int
    more: int
    units: int  # by which `run(more)` exceeds `run(few)`
    growth: float  # the largest relative growth of a change that is not meant to cost instructions


CASES = {
    "tiny": Case("step of Trainer.fit", functools.partial(fit, "tiny", 100), 1, 3, 2 * 100, 0.01),
    "mnist": Case("step of Trainer.fit", functools.partial(fit, "mnist", 10), 1, 2, 10, 0.003),
    "tab": Case("step of Trainer.fit", functools.partial(fit, "tab", 4), 1, 2, 4, 0.003),
    "residual": Case("step of Trainer.fit", functools.partial(fit, "residual", 4), 1, 2, 4, 0.003),
    "embeddings": Case("step of Trainer.fit", functools.partial(fit, "embeddings", 20), 1, 3, 2 * 20, 0.01),
    "sparse": Case("step of Trainer.fit", functools.partial(fit, "sparse", 20), 1, 3, 2 * 20, 0.01),
    "predict": Case("one-row predict of tiny", predict, 100, 1100, 1000, 0.01),
    "loop": Case("step of tiny in a hand-written loop", loop, 50, 250, 200, 0.01),
}
